"""Draws the panel of a face: id, engagement, expression, action units, valence and arousal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from face_perception.overlay.primitives import AT_ROBOT, GRAY, SMALL_TEXT, WHITE, Colour, Pen
from face_perception.types import (
    ActionUnits,
    Attention,
    Engagement,
    Expression,
    Eyes,
    Face,
    ValenceArousal,
)

_ENGAGEMENT: dict[Engagement, Colour] = {
    Engagement.DISENGAGED: GRAY,
    Engagement.ENGAGING: (255, 220, 90),
    Engagement.ENGAGED: AT_ROBOT,
    Engagement.DISENGAGING: (255, 160, 70),
}

_WEAKEST_UNIT = 0.15  # least intensity of an action unit that is shown
_MOST_UNITS = 3  # action units shown of each source


def draw_panel(
    pen: Pen,
    face: Face,
    attention: Attention | None,
    units: Sequence[ActionUnits],
    expression: Expression | None,
    affects: Sequence[ValenceArousal],
) -> None:
    """Draws the panel of ``face`` below it, or above it if there is no room below.

    ``units`` and ``affects`` hold one entry for each source.
    """
    lines: list[list[tuple[str, Colour]]] = [[(face.face_id, WHITE)]]
    if attention and attention.engagement in _ENGAGEMENT:
        lines[0].append((attention.engagement.name.lower(), _ENGAGEMENT[attention.engagement]))
    if attention and attention.eyes == Eyes.CLOSED:
        lines[0].append(("eyes closed", GRAY))
    if expression and expression.label:
        share = float(expression.probability.max())
        lines.append([(expression.label, WHITE), (f"{share:.0%}", GRAY)])
    for of_source in units:
        strongest = _strongest(of_source)
        if strongest:
            lines.append(
                [(f"AU{code} {value:.1f}".replace(" 0.", " ."), GRAY) for code, value in strongest]
            )
            if len(units) > 1:
                lines[-1].append((of_source.source, WHITE))
    affects = [a for a in affects if math.isfinite(a.valence + a.arousal)]

    pitch, gap, word_gap = 15 * pen.scale, 6 * pen.scale, 9 * pen.scale
    dial, name = 17 * pen.scale, 10 * pen.scale
    dials = [max(2 * dial, pen.text_width(a.source, SMALL_TEXT)) + gap for a in affects]
    text = max(sum(pen.text_width(word) + word_gap for word, _ in line) for line in lines)
    height = max(len(lines) * pitch, (2 * dial + name) * bool(dials)) + gap
    width = text + gap + sum(dials)
    x, y = _panel_corner(pen, face, width, height)
    region = pen.image[
        max(round(y), 0) : max(round(y + height), 0), max(round(x), 0) : max(round(x + width), 0)
    ]
    if region.size:
        cv2.convertScaleAbs(region, dst=region, alpha=0.35)
    for row, line in enumerate(lines):
        left = x + gap
        for word, colour in line:
            pen.text(word, left, y + gap / 2 + (row + 0.75) * pitch, colour)
            left += pen.text_width(word) + word_gap
    left = x + gap + text
    for affect, across in zip(affects, dials, strict=True):
        middle = left + (across - gap) / 2
        _dial(pen, affect, middle, y + gap / 2 + dial, dial - pen.scale)
        start = middle - pen.text_width(affect.source, SMALL_TEXT) / 2
        pen.text(affect.source, start, y + gap / 2 + 2 * dial + 0.8 * name, GRAY, SMALL_TEXT)
        left += across


def _dial(pen: Pen, affect: ValenceArousal, x: float, y: float, radius: float) -> None:
    """Draws the circumplex at (x, y): valence to the right, arousal up."""
    centre = np.array([x, y])
    pen.circle(centre, radius, GRAY)
    for across in (np.array([radius, 0.0]), np.array([0.0, radius])):
        pen.line(np.stack([centre - across, centre + across]), (90, 94, 98))
    dot = np.clip([affect.valence, -affect.arousal], -1, 1) * radius
    warm = AT_ROBOT if affect.valence > 0.1 else (255, 110, 90) if affect.valence < -0.1 else WHITE
    pen.circle(centre + dot, 3.2 * pen.scale, warm, -1)


def _panel_corner(pen: Pen, face: Face, width: float, height: float) -> tuple[float, float]:
    """Returns the upper left corner of a panel of this size, inside the image if it fits."""
    margin = 5 * pen.scale
    x = face.roi.x + face.roi.width / 2 - width / 2
    y = face.roi.y + face.roi.height + margin
    if y + height > pen.height:
        y = face.roi.y - height - margin
    return max(min(x, pen.width - width), 0), max(min(y, pen.height - height), 0)


def _strongest(units: ActionUnits) -> list[tuple[int, float]]:
    """Returns code and intensity of the units with the largest intensity times confidence.

    Also returns code and probability of the active units that have no intensity.
    """
    active = []
    for code, unit in units.units.items():
        # A NaN intensity compares false.
        if unit.intensity >= _WEAKEST_UNIT:
            trust = unit.confidence if math.isfinite(unit.confidence) else 1.0
            active.append((unit.intensity * trust, code, unit.intensity))
        elif unit.active:
            active.append((unit.probability - unit.threshold, code, unit.probability))
    return [(code, intensity) for _, code, intensity in sorted(active, reverse=True)[:_MOST_UNITS]]
