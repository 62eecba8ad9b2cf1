"""Settings as data: a frozen dataclass whose fields state default, meaning, range and unit.

A setting is written once, in the class that uses it. The parameters of the nodes, ``config/*.yaml``
and the tables of the documentation derive from it, and training recipes are read by the same code.
This module knows neither ROS nor YAML.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

from face_perception.errors import InputError, one_line, shortened

T = TypeVar("T")

_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple[float, ...]: "a list of numbers",
}


def setting(
    default: Any,
    description: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[Any, ...] = (),
    length: int | None = None,
    unit: str = "",
    dynamic: bool = False,
) -> Any:
    """Returns a dataclass field that is a setting.

    A setting with the default ``dataclasses.MISSING`` is required. ``minimum`` and ``maximum`` are
    allowed values; ``above`` and ``below`` are not. ``length`` is the number of values of a list. A
    node reads a ``dynamic`` setting each time it uses it, and every other setting when it is
    configured.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "description": description,
            "minimum": minimum,
            "maximum": maximum,
            "above": above,
            "below": below,
            "choices": choices,
            "length": length,
            "unit": unit,
            "dynamic": dynamic,
        },
    )


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting as declared. The attributes are the arguments of ``setting``."""

    name: str
    type: Any
    default: Any
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()
    length: int | None = None
    unit: str = ""
    dynamic: bool = False

    @property
    def allowed(self) -> str:
        """The allowed values and their unit in words, such as "from 0 to 1"; empty for any."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        limits = " and ".join(self._limits())
        if self.length is not None:
            limits = f"{self.length} numbers" + (f", each {limits}" if limits else "")
            return f"{limits}, in {self.unit}" if self.unit else limits
        if self.unit and not limits:
            return f"in {self.unit}"
        return f"{limits} {self.unit}".rstrip()

    def _limits(self) -> Iterable[str]:
        if self.minimum is not None and self.maximum is not None:
            yield f"from {self.minimum:g} to {self.maximum:g}"
            return
        for words, limit in (
            ("at least", self.minimum),
            ("above", self.above),
            ("at most", self.maximum),
            ("below", self.below),
        ):
            if limit is not None:
                yield f"{words} {limit:g}"

    @property
    def expected(self) -> str:
        """The type and the allowed values in words, such as "a number (from 0 to 1)"."""
        kind = _KINDS[self.type]
        return f"{kind} ({self.allowed})" if self.allowed else kind

    def coerce(self, value: Any) -> Any:
        """Returns ``value`` in the type of the setting.

        Converts whole numbers to floats for a setting of type float, lists to tuples, and a whole
        number to a text for a setting of type str (YAML reads the device 0 as a number). Raises
        InputError, which names the setting, the value and the allowed values.
        """
        said = f"{self.name}: {shortened(value)} is not"
        error = InputError(f"{said} {self.expected}")
        numbers: tuple[float, ...] = ()
        if self.type is float:
            if not _is_number(value):
                raise error
            value = float(value)
            numbers = (value,)
        elif self.type is int:
            if not _is_number(value) or not isinstance(value, Integral):
                raise error
            value = int(value)
            numbers = (value,)
        elif self.type == tuple[float, ...]:
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise error
            items = tuple(value)
            if not all(map(_is_number, items)) or self.length not in (None, len(items)):
                raise error
            value = numbers = tuple(float(item) for item in items)
        else:
            if self.type is str and type(value) is int:
                value = str(value)
            if type(value) is not self.type:
                raise error
        if not all(map(self._in_range, numbers)) or (self.choices and value not in self.choices):
            finite = all(map(math.isfinite, numbers))
            raise InputError(f"{said} {self.allowed}") if finite else error
        return value

    def _in_range(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and (self.minimum is None or number >= self.minimum)
            and (self.maximum is None or number <= self.maximum)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )


def settings_of(kind: type[Any]) -> tuple[Setting, ...]:
    """Returns the settings of a dataclass in order, including those that it inherits."""
    hints = typing.get_type_hints(kind)
    return tuple(
        Setting(name=field.name, type=hints[field.name], default=field.default, **field.metadata)
        for field in dataclasses.fields(kind)
    )


def check(settings: Any) -> None:
    """Raises InputError for the first setting of a dataclass whose value is not allowed."""
    for declared in settings_of(type(settings)):
        declared.coerce(getattr(settings, declared.name))


def from_mapping(kind: type[T], values: Mapping[str, Any]) -> T:
    """Returns a settings dataclass with ``values`` by name; the others keep their defaults.

    Raises InputError if a name is not that of a setting, if a required setting is missing, or if a
    value is not allowed.
    """
    declared = {found.name: found for found in settings_of(kind)}
    for name in values:
        if name not in declared:
            raise InputError(
                f"there is no setting {one_line(name, 80)}{did_you_mean(name, declared)}"
            )
    good = {name: declared[name].coerce(value) for name, value in values.items()}
    for name, found in declared.items():
        if name not in values and found.default is dataclasses.MISSING:
            raise InputError(f"{name} is missing: give {found.expected}")
    return kind(**good)


def changed_settings(settings: Any, names: Iterable[str]) -> list[str]:
    """Returns those of the ``names`` whose value in a settings dataclass is not the default."""
    defaults = {found.name: found.default for found in settings_of(type(settings))}
    return [name for name in names if getattr(settings, name) != defaults[name]]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ": did you mean NAME?" for the most similar known name, or an empty text."""
    close = difflib.get_close_matches(str(name)[:80], list(known), 1)
    return f": did you mean {close[0]}?" if close else ""


def with_default(kind: type[Any], name: str, default: Any) -> Any:
    """Returns the field ``name`` of ``kind`` with another default, for a class that inherits it."""
    field = kind.__dataclass_fields__[name]
    return dataclasses.field(default=default, metadata=field.metadata)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
