"""What a protocol returns: figures with intervals, and curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from face_perception.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve: ``x``, and the figure there."""

    x: float
    y: Estimate


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve with the labels of its axes. ``diagonal``: the ideal is y = x."""

    x_label: str
    y_label: str
    points: tuple[Point, ...]
    diagonal: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures and curves by name."""

    figures: Mapping[str, Estimate]
    curves: Mapping[str, Curve] = field(default_factory=dict)
