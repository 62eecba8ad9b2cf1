"""Describes the columns of a table, with unit and meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from face_perception.markers import Marker

Value = float | str | bool | int | None


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, the type of its values, its unit and meaning.

    ``value`` returns the value from what a row is made of. None means unknown.
    """

    name: str
    type: type[Any]
    unit: str
    meaning: str
    value: Callable[[Any], Value]


def cells(columns: Sequence[Column], row: Any) -> list[Value]:
    """Returns the values of a row. An empty text, which means unknown, becomes None."""
    values = (column.value(row) for column in columns)
    return [None if value == "" else value for value in values]


def with_degrees(found: Sequence[Column]) -> Iterator[Column]:
    """Yields the columns, and one whose name ends in ``_deg`` after each column in radians."""
    for column in found:
        yield column
        if column.unit == "rad":

            def in_degrees(row: Any, of: Callable[[Any], Any] = column.value) -> Value:
                angle = of(row)
                return None if angle is None else round(math.degrees(angle), 3)

            yield Column(f"{column.name}_deg", float, "deg", column.meaning, in_degrees)


def marker_columns(
    moment: str, of: Callable[[Any], tuple[Marker | None, float]]
) -> tuple[Column, Column]:
    """Returns the columns that say after which marker a row is.

    ``moment`` is the name of the column with the stamp of the row. ``of`` returns the last marker
    until then, and that stamp.
    """

    def label(row: Any) -> Value:
        marker, _ = of(row)
        return None if marker is None else marker.label

    def since(row: Any) -> Value:
        marker, stamp = of(row)
        return None if marker is None else rounded(stamp - marker.stamp)

    meaning = f"label of the last marker that is not after `{moment}`; empty: none"
    return (
        Column("marker", str, "", meaning, label),
        Column("since_marker", float, "s", f"`{moment}` − stamp of that marker", since),
    )


def rounded(value: float, digits: int = 6) -> float | None:
    """Returns a number for a table; None if it is not finite."""
    return round(value, digits) if math.isfinite(value) else None
