"""Tests settings as data: how values are converted, what is refused, and what the message names."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import Any

import numpy as np
import pytest

from face_perception.errors import InputError
from face_perception.settings import check, from_mapping, setting, settings_of, with_default


@dataclass(frozen=True)
class Example:
    rate: float = setting(30.0, "Rate.", minimum=1.0, maximum=240.0, unit="Hz", dynamic=True)
    count: int = setting(3, "Count.", minimum=1, maximum=10)
    kind: str = setting("auto", "Kind.", choices=("auto", "other"))
    name: str = setting("sample", "Name.")
    on: bool = setting(True, "On.")
    point: tuple[float, ...] = setting((0.0, 0.0, 0.0), "Point.", length=3, unit="m")
    share: float = setting(0.5, "Share.", above=0, below=1)


@dataclass(frozen=True)
class Required:
    size: int = setting(MISSING, "Size.", minimum=1)


@dataclass(frozen=True)
class Other(Example):
    count: int = with_default(Example, "count", 5)


SETTINGS = {found.name: found for found in settings_of(Example)}


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("rate", 30, 30.0),
        ("rate", 1.0, 1.0),
        ("rate", np.float32(2.0), 2.0),
        ("count", 10, 10),
        ("count", np.int64(2), 2),
        ("kind", "other", "other"),
        ("name", 0, "0"),
        ("on", False, False),
        ("point", [1, 2.5, 3], (1.0, 2.5, 3.0)),
    ],
)
def test_good_values(name: str, value: Any, want: Any) -> None:
    got = SETTINGS[name].coerce(value)
    assert got == want
    assert type(got) is type(want)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("rate", 0.5, "from 1 to 240 Hz"),
        ("rate", float("nan"), "a number"),
        ("rate", "30", "a number"),
        ("rate", True, "a number"),
        ("count", 3.0, "a whole number"),
        ("count", True, "a whole number"),
        ("count", 11, "from 1 to 10"),
        ("kind", "none", "one of auto, other"),
        ("name", 1.5, "a text"),
        ("name", True, "a text"),
        ("on", 1, "true or false"),
        ("point", [1.0, 2.0], "3 numbers"),
        ("point", [1.0, 2.0, float("inf")], "list of numbers"),
        ("point", [1.0, 2.0, True], "list of numbers"),
        ("point", "123", "list of numbers"),
        ("point", 1.0, "list of numbers"),
        ("share", 0.0, "above 0 and below 1"),
        ("share", 1.0, "above 0 and below 1"),
    ],
)
def test_a_refused_value_is_named_with_what_is_allowed(name: str, value: Any, allowed: str) -> None:
    with pytest.raises(InputError) as error:
        SETTINGS[name].coerce(value)
    text = str(error.value)
    assert text.startswith(f"{name}: {value!r}")
    assert allowed in text
    assert not allowed.startswith(("from", "one of")) or text.endswith(f"is not {allowed}")


def test_a_whole_dataclass_is_checked() -> None:
    check(Example(rate=60, point=(1, 2, 3)))
    with pytest.raises(InputError, match="count: 0"):
        check(Example(count=0))


def test_values_by_name() -> None:
    assert from_mapping(Example, {"rate": 15, "point": [1, 2, 3]}) == Example(15.0, point=(1, 2, 3))
    assert from_mapping(Required, {"size": 2}).size == 2
    with pytest.raises(InputError, match=r"conut.*count"):
        from_mapping(Example, {"conut": 3})
    with pytest.raises(InputError, match="count: 0"):
        from_mapping(Example, {"count": 0})
    with pytest.raises(InputError, match="size is missing"):
        from_mapping(Required, {})


def test_a_class_may_inherit_settings_and_change_a_default() -> None:
    assert [found.name for found in settings_of(Other)] == list(SETTINGS)
    assert Other().count == 5
    with pytest.raises(InputError, match="count: 11"):
        check(Other(count=11))
