"""Parameters as data: a frozen dataclass a node, declared, described and checked in one place.

The documentation's tables are generated from the same dataclasses.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.parameter import Parameter

from face_perception.errors import InputError

if typing.TYPE_CHECKING:
    from rclpy.node import Node

T = TypeVar("T")

# Overrides that belong to rclpy itself, which may declare them later.
_FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")
_ROS_TYPES: dict[Any, str] = {
    bool: "bool",
    int: "integer",
    float: "double",
    str: "string",
    tuple[float, ...]: "double[]",
}


def parameter(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    length: int | None = None,
    dynamic: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter.

    ``dynamic`` parameters take effect when they are set; the others are read when the node is
    configured, and can be set only while it is not.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "description": description,
            "minimum": minimum,
            "maximum": maximum,
            "choices": choices,
            "length": length,
            "dynamic": dynamic,
        },
    )


@dataclasses.dataclass(frozen=True)
class Field:
    """One parameter as declared: what a table of parameters shows."""

    name: str
    type: Any
    default: Any
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    length: int | None
    dynamic: bool

    @property
    def type_name(self) -> str:
        """As ROS names it."""
        return _ROS_TYPES[self.type]

    @property
    def allowed(self) -> str:
        """What values are allowed, in words; empty where any is."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        low = "" if self.minimum is None else f"{self.minimum:g}"
        high = "" if self.maximum is None else f"{self.maximum:g}"
        bounds = ""
        if low and high:
            bounds = f"from {low} to {high}"
        elif low or high:
            bounds = f"at least {low}" if low else f"at most {high}"
        if self.length is not None:
            bounds = f"{self.length} numbers" + (f", each {bounds}" if bounds else "")
        return bounds

    def coerce(self, value: Any) -> Any:
        """The value in the field's type. Raises InputError with a reason that names the fix."""
        error = InputError(f"{self.name}: {value!r} is not {self._expected()}")
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.type is str and type(value) is int:
            value = str(value)  # as YAML reads the device 0
        if self.type == tuple[float, ...]:
            if isinstance(value, str) or not hasattr(value, "__iter__"):
                raise error
            value = tuple(value)
            if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
                raise error
            value = tuple(float(v) for v in value)
            numbers = value
            if self.length is not None and len(value) != self.length:
                raise error
        else:
            if type(value) is not self.type:
                raise error
            numbers = (value,) if self.type in (int, float) else ()
        for number in numbers:
            if not math.isfinite(number):
                raise error
            if self.minimum is not None and number < self.minimum:
                raise error
            if self.maximum is not None and number > self.maximum:
                raise error
        if self.choices and value not in self.choices:
            raise error
        return value

    def _expected(self) -> str:
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        name = kind.get(self.type, "a list of numbers")
        return f"{name} ({self.allowed})" if self.allowed else name

    def descriptor(self) -> ParameterDescriptor:
        how = "" if self.dynamic else " Read when the node is configured."
        descriptor = ParameterDescriptor(
            name=self.name,
            description=self.description + how,
            additional_constraints=self.allowed,
            # Checked here, with a reason; rclpy alone refuses `rate: 30` where 30.0 is meant.
            dynamic_typing=True,
        )
        if self.minimum is not None and self.maximum is not None:
            if self.type is int:
                descriptor.integer_range = [
                    IntegerRange(from_value=int(self.minimum), to_value=int(self.maximum), step=0)
                ]
            elif self.type is float:
                descriptor.floating_point_range = [
                    FloatingPointRange(
                        from_value=float(self.minimum), to_value=float(self.maximum), step=0.0
                    )
                ]
        return descriptor


def fields(parameters: type[Any]) -> tuple[Field, ...]:
    """The parameters of a dataclass, in order."""
    hints = typing.get_type_hints(parameters)
    return tuple(
        Field(name=f.name, type=hints[f.name], default=f.default, **f.metadata)
        for f in dataclasses.fields(parameters)
    )


def settings(values: Any, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Parameters by name, for the constructor that takes most of them."""
    return {k: v for k, v in dataclasses.asdict(values).items() if k not in without}


class Parameters(Generic[T]):
    """Declares a dataclass's parameters on a node and keeps its current values.

    ``values`` is replaced whole when a dynamic parameter changes. An override that is refused does
    not stop the node: ``problems`` holds the reasons by name until a good value is set.
    """

    def __init__(self, node: Node, parameters: type[T]) -> None:
        self._node = node
        self._fields = {f.name: f for f in fields(parameters)}
        self.configured = False
        self.problems: dict[str, str] = {}
        overrides: Mapping[str, Parameter] = node._parameter_overrides
        current = {}
        for name, field in self._fields.items():
            value = field.default
            if name in overrides:
                try:
                    value = field.coerce(overrides[name].value)
                except ValueError as error:
                    self.problems[name] = str(error)
            current[name] = value
            node.declare_parameter(
                name,
                list(value) if isinstance(value, tuple) else value,
                field.descriptor(),
                ignore_override=True,
            )
        for name in overrides:
            if not node.has_parameter(name) and not name.startswith(_FOREIGN):
                close = difflib.get_close_matches(name, self._fields, 1)
                hint = f": did you mean {close[0]}?" if close else ""
                node.get_logger().warning(f"there is no parameter {name}{hint}")
        self.values: T = parameters(**current)
        node.add_on_set_parameters_callback(self._on_set)

    def check(self, parameters: list[Parameter]) -> SetParametersResult:
        """Whether these may be set now, with a reason where not."""
        for new in parameters:
            field = self._fields.get(new.name)
            if field is None:
                continue
            try:
                field.coerce(new.value)
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if self.configured and not field.dynamic:
                return SetParametersResult(
                    successful=False,
                    reason=f"{new.name} is read when the node is configured: restart the node with "
                    "the new value, or set it after `ros2 lifecycle set` deactivate and cleanup",
                )
        return SetParametersResult(successful=True)

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        result = self.check(parameters)
        if result.successful:
            ours = [p for p in parameters if p.name in self._fields]
            changes = {p.name: self._fields[p.name].coerce(p.value) for p in ours}
            # Replaced, not changed: another thread may be reading the old values.
            self.values = dataclasses.replace(self.values, **changes)  # type: ignore[type-var]
            for name in changes:
                self.problems.pop(name, None)
        return result
