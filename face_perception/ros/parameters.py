"""ROS parameters from a settings dataclass: declared, described and checked in one place.

``face_perception.settings`` describes the fields; the documentation is generated from the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.parameter import Parameter

from face_perception.errors import InputError
from face_perception.ros import rclpy_compat
from face_perception.settings import Setting, did_you_mean, settings_of

if TYPE_CHECKING:
    from rclpy.node import Node

T = TypeVar("T")

# Overrides that belong to rclpy, which may declare them later.
_FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")
_ROS_TYPES: dict[Any, str] = {
    bool: "bool",
    int: "integer",
    float: "double",
    str: "string",
    tuple[float, ...]: "double[]",
}


def ros_type(setting: Setting) -> str:
    """Returns the name that ROS gives to the type of a setting, such as "double"."""
    return _ROS_TYPES[setting.type]


def descriptor(setting: Setting) -> ParameterDescriptor:
    """Returns the descriptor that `ros2 param describe` shows."""
    how = "" if setting.dynamic else " Read when the node is configured."
    found = ParameterDescriptor(
        name=setting.name,
        description=setting.description + how,
        additional_constraints=setting.allowed,
        # rclpy alone refuses `rate: 30` where 30.0 is meant; Parameters checks the type instead.
        dynamic_typing=True,
    )
    low, high = setting.minimum, setting.maximum
    if low is not None and high is not None:
        if setting.type is int:
            found.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
        elif setting.type is float:
            found.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            ]
    return found


class Parameters(Generic[T]):
    """Declares the settings of a dataclass as parameters of a node, and keeps their values.

    ``values`` is replaced as a whole when a dynamic parameter changes. An override that is not
    allowed does not stop the node: ``problems`` holds the reason by name until a good value is set.
    ``change(values)`` is called before dynamic parameters change while the node is configured; if
    it raises InputError, they are refused with its message.
    """

    def __init__(
        self, node: Node, parameters: type[T], change: Callable[[T], None] = lambda values: None
    ) -> None:
        self._change = change
        self._settings = {found.name: found for found in settings_of(parameters)}
        self.configured = False
        self.problems: dict[str, str] = {}
        overrides: Mapping[str, Parameter] = rclpy_compat.parameter_overrides(node)
        current = {}
        for name, setting in self._settings.items():
            value = setting.default
            if name in overrides:
                try:
                    value = setting.coerce(overrides[name].value)
                except ValueError as error:
                    self.problems[name] = str(error)
            current[name] = value
            node.declare_parameter(
                name,
                list(value) if isinstance(value, tuple) else value,
                descriptor(setting),
                ignore_override=True,
            )
        for name in overrides:
            if not node.has_parameter(name) and not name.startswith(_FOREIGN):
                hint = did_you_mean(name, self._settings)
                node.get_logger().warning(f"there is no parameter {name}{hint}")
        self.values: T = parameters(**current)
        node.add_on_set_parameters_callback(self._on_set)

    def check(self, parameters: list[Parameter]) -> SetParametersResult:
        """Returns whether the parameters may be set in the current state, with the reason if not.

        Parameters that are not declared here are not checked.
        """
        for new in parameters:
            setting = self._settings.get(new.name)
            if setting is None:
                continue
            try:
                setting.coerce(new.value)
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if self.configured and not setting.dynamic:
                return SetParametersResult(
                    successful=False,
                    reason=f"{new.name} is read when the node is configured: restart the node with "
                    "the new value, or set it after `ros2 lifecycle set` deactivate and cleanup",
                )
        return SetParametersResult(successful=True)

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        result = self.check(parameters)
        if result.successful:
            changes = {
                new.name: self._settings[new.name].coerce(new.value)
                for new in parameters
                if new.name in self._settings
            }
            new_values = dataclasses.replace(self.values, **changes)  # type: ignore[type-var]
            if self.configured and changes:
                try:
                    self._change(new_values)
                except InputError as error:
                    return SetParametersResult(successful=False, reason=str(error))
            # Replaced, not changed: another thread may be reading the old values.
            self.values = new_values
            for name in changes:
                self.problems.pop(name, None)
        return result
