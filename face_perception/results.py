"""The results of one image, and their JSON line in ``face-perception run``.

The fields below are the schema: the lines and the table in docs/offline.md are built from them.
Pixels, metres, radians, seconds; None (JSON's null) for an unknown value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from face_perception.types import (
    BLENDSHAPES,
    EXPRESSIONS,
    ActionUnit,
    ActionUnits,
    Attention,
    Blendshapes,
    Camera,
    Expression,
    Face,
    Gaze,
    ValenceArousal,
)


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What was found in one image; results are matched to faces by face id.

    ``camera`` is the camera that everything was computed with. For a still without calibration its
    lens may be longer than that of the frame's camera (see ``faces.plausible_camera``).
    """

    stamp: float
    camera: Camera
    faces: tuple[Face, ...]
    gazes: tuple[Gaze, ...] = ()
    action_units: tuple[ActionUnits, ...] = ()
    expressions: tuple[Expression, ...] = ()
    valence_arousal: tuple[ValenceArousal, ...] = ()
    attention: tuple[Attention, ...] = ()
    blendshapes: tuple[Blendshapes, ...] = ()

    def to_json(self, number: int, landmarks: bool = False) -> dict[str, Any]:
        """The line of ``face-perception run`` for frame ``number``, as plain values.

        ``landmarks`` adds the 478 points of each face, which makes long lines. Blendshapes are
        included if they were estimated.
        """
        faces = []
        for found in _by_face(self):
            entry = {field.name: field.json(found) for field in FACE_FIELDS}
            if found.blendshapes is not None:
                entry[BLENDSHAPES_FIELD.name] = BLENDSHAPES_FIELD.json(found)
            if landmarks:
                entry[LANDMARKS_FIELD.name] = LANDMARKS_FIELD.json(found)
            faces.append(entry)
        made = {field.name: field.json(self) for field in LINE_FIELDS}
        return {"frame": number, **made, "faces": faces}


@dataclass(frozen=True, slots=True)
class FaceResults:
    """All results of one face. None: that result was not made."""

    face: Face
    gaze: Gaze | None
    units: ActionUnits | None
    expression: Expression | None
    affect: ValenceArousal | None
    attention: Attention | None
    blendshapes: Blendshapes | None


@dataclass(frozen=True, slots=True)
class JsonField:
    """One key of a JSON object: how its value is read, its unit, and a sentence for the docs.

    ``parts`` are the fields of the object that the key holds; without parts it holds a plain value.
    ``value`` may return None; then the key holds null.
    """

    name: str
    meaning: str
    value: Callable[[Any], Any]
    unit: str = ""
    parts: tuple[JsonField, ...] = ()

    def json(self, source: Any) -> Any:
        """The value as plain JSON types."""
        value = self.value(source)
        if value is None or not self.parts:
            return value
        return {part.name: part.json(value) for part in self.parts}


def fields_as_markdown() -> str:
    """The fields as Markdown tables: those of a line, then those of each of its faces."""
    line_rows = [("frame", "", "number of the frame, from 0"), *_rows(LINE_FIELDS, "")]
    line_rows.append(("faces", "", "one object for each face, below; empty if nobody was found"))
    lines = ["Of the line:", "", *_table(line_rows), "", "Of each of its `faces`:", ""]
    return (
        "\n".join([*lines, *_table(_rows((*FACE_FIELDS, BLENDSHAPES_FIELD, LANDMARKS_FIELD), ""))])
        + "\n"
    )


def _by_face(result: FrameResult) -> Iterator[FaceResults]:
    gazes = {one.face_id: one for one in result.gazes}
    units = {one.face_id: one for one in result.action_units}
    expressions = {one.face_id: one for one in result.expressions}
    affects = {one.face_id: one for one in result.valence_arousal}
    attention = {one.face_id: one for one in result.attention}
    blendshapes = {one.face_id: one for one in result.blendshapes}
    for face in result.faces:
        yield FaceResults(
            face,
            gazes.get(face.id),
            units.get(face.id),
            expressions.get(face.id),
            affects.get(face.id),
            attention.get(face.id),
            blendshapes.get(face.id),
        )


def _rows(fields: Sequence[JsonField], prefix: str) -> list[tuple[str, str, str]]:
    rows = []
    for field in fields:
        rows.append((prefix + field.name, field.unit, field.meaning))
        rows += _rows(field.parts, f"{prefix}{field.name}.")
    return rows


def _table(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    return [
        "| field | unit | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {unit} | {meaning} |" for name, unit, meaning in rows),
    ]


def _number(value: float | None, digits: int = 4) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)


def _numbers(values: Iterable[Any], digits: int = 4) -> list[float | None]:
    return [_number(value, digits) for value in values]


def _name(value: IntEnum | None) -> str | None:
    """Name of a state in lower case; None for None."""
    return None if value is None else value.name.lower()


def _codes(
    units: ActionUnits | None, value: Callable[[ActionUnit], float]
) -> Mapping[str, float | None]:
    if units is None:
        return {}
    return {str(code): _number(value(unit)) for code, unit in sorted(units.units.items())}


def _classes(expression: Expression | None) -> Mapping[str, float | None]:
    if expression is None:
        return {}
    return dict(zip(EXPRESSIONS, _numbers(np.asarray(expression.probability)), strict=True))


CAMERA_FIELD = JsonField(
    "camera",
    "the camera that all positions and angles were computed with",
    lambda r: r.camera,
    parts=(
        JsonField(
            "assumed",
            "true: no calibration was given, and the values are a guess",
            lambda c: bool(c.assumed),
        ),
        JsonField("fx", "focal length along x", lambda c: _number(c.fx, 2), "px"),
        JsonField("fy", "focal length along y", lambda c: _number(c.fy, 2), "px"),
    ),
)

LINE_FIELDS = (
    JsonField(
        "stamp", "time since the clip began; 0 for a picture", lambda r: _number(r.stamp, 6), "s"
    ),
    CAMERA_FIELD,
)

_HEAD_POSE = (
    JsonField(
        "position",
        "x, y, z of the head (its sellion, between the eyes) from the camera",
        lambda p: _numbers(p.position),
        "m",
    ),
    JsonField(
        "yaw",
        "where the face points: positive towards image right",
        lambda p: _number(p.yaw),
        "rad",
    ),
    JsonField("pitch", "where the face points: positive up", lambda p: _number(p.pitch), "rad"),
    JsonField(
        "roll",
        "tilt of the head: positive clockwise in the image",
        lambda p: _number(p.roll),
        "rad",
    ),
)

_GAZE = (
    JsonField("origin", "x, y, z of the midpoint of the eyes", lambda g: _numbers(g.origin), "m"),
    JsonField("direction", "unit vector of the gaze", lambda g: _numbers(g.direction, 6)),
    JsonField(
        "yaw", "the same direction: positive towards image right", lambda g: _number(g.yaw), "rad"
    ),
    JsonField("pitch", "the same direction: positive up", lambda g: _number(g.pitch), "rad"),
    JsonField(
        "yaw_sigma",
        "standard deviation of the error of a look at `yaw_centre`",
        lambda g: _number(g.yaw_sigma),
        "rad",
    ),
    JsonField(
        "pitch_sigma",
        "standard deviation of the error of a look at `pitch_centre`",
        lambda g: _number(g.pitch_sigma),
        "rad",
    ),
    JsonField(
        "yaw_gain",
        "change of the reported yaw per change of the true yaw",
        lambda g: _number(g.yaw_gain),
    ),
    JsonField(
        "pitch_gain",
        "change of the reported pitch per change of the true pitch; well below 1 uncalibrated",
        lambda g: _number(g.pitch_gain),
    ),
    JsonField(
        "yaw_gain_sigma",
        "standard deviation of `yaw_gain` for this person",
        lambda g: _number(g.yaw_gain_sigma),
    ),
    JsonField(
        "pitch_gain_sigma",
        "standard deviation of `pitch_gain` for this person",
        lambda g: _number(g.pitch_gain_sigma),
    ),
    JsonField(
        "yaw_centre",
        "yaw of the calibration targets from the line to the camera; 0 uncalibrated",
        lambda g: _number(g.yaw_centre),
        "rad",
    ),
    JsonField(
        "pitch_centre",
        "pitch of the calibration targets from the line to the camera; 0 uncalibrated",
        lambda g: _number(g.pitch_centre),
        "rad",
    ),
    JsonField(
        "valid",
        "false while the eyes are closed or not visible: the last direction is held",
        lambda g: bool(g.valid),
    ),
    JsonField(
        "eyes",
        "`unknown` (not visible), `open`, `blink`, or `closed` for longer than a blink",
        lambda g: _name(g.eyes),
    ),
    JsonField("confidence", "how reliable the gaze is", lambda g: _number(g.confidence), "0 to 1"),
    JsonField("source", "the estimator, such as `geometric`", lambda g: g.source),
    JsonField(
        "eye_contact",
        "probability that the eyes look into the camera",
        lambda g: _number(g.eye_contact),
        "0 to 1",
    ),
    JsonField(
        "person_id", "person that the face is linked to; empty: nobody", lambda g: g.person_id
    ),
    JsonField(
        "calibrated",
        "true: that person's calibration has been applied",
        lambda g: bool(g.calibrated),
    ),
)

_ATTENTION = (
    JsonField(
        "looking_at_robot",
        "true: the face looks at the camera (with hysteresis)",
        lambda a: bool(a.looking_at_robot),
    ),
    JsonField(
        "confidence",
        "probability that `target` is right",
        lambda a: _number(a.confidence),
        "0 to 1",
    ),
    JsonField(
        "source",
        "the source of the gaze; `head_pose` without a valid gaze; or `eyes_closed`",
        lambda a: a.source,
    ),
    JsonField("eyes", "state of the eyes, as in `gaze.eyes`", lambda a: _name(a.eyes)),
    JsonField(
        "angle",
        "between the gaze and the line from the eyes to the camera",
        lambda a: _number(a.angle),
        "rad",
    ),
    JsonField("distance", "from the eyes to the camera", lambda a: _number(a.distance), "m"),
    JsonField(
        "eye_contact", "as in `gaze.eye_contact`", lambda a: _number(a.eye_contact), "0 to 1"
    ),
    JsonField(
        "target",
        "what is looked at: `unknown`, `none` (somewhere else), `robot` or `face`",
        lambda a: _name(a.target),
    ),
    JsonField(
        "target_id",
        "id of the face that is looked at if `target` is `face`; else empty",
        lambda a: a.target_id,
    ),
    JsonField(
        "engagement",
        "`unknown`, `disengaged`, `engaging`, `engaged` or `disengaging`",
        lambda a: _name(a.engagement),
    ),
)

FACE_FIELDS = (
    JsonField(
        "id",
        "the track. One person may have several: a track ends when its face is lost",
        lambda f: f.face.id,
    ),
    JsonField(
        "confidence",
        "certainty that this is a face: 0.7 to 0.95 for clear faces, less for false ones",
        lambda f: _number(f.face.confidence),
        "0 to 1",
    ),
    JsonField(
        "roi",
        "box round the face: left, top, width, height",
        lambda f: [f.face.roi.x, f.face.roi.y, f.face.roi.width, f.face.roi.height],
        "px",
    ),
    JsonField(
        "head_pose", "null if it could not be estimated", lambda f: f.face.pose, parts=_HEAD_POSE
    ),
    JsonField("gaze", "where the eyes look", lambda f: f.gaze, parts=_GAZE),
    JsonField(
        "action_units",
        "intensity by FACS number",
        lambda f: _codes(f.units, lambda u: u.intensity),
        "0 to 1",
    ),
    JsonField(
        "action_unit_probability",
        "probability that the unit is active, by FACS number",
        lambda f: _codes(f.units, lambda u: u.probability),
        "0 to 1",
    ),
    JsonField(
        "action_unit_confidence",
        "how reliable the unit is, by FACS number",
        lambda f: _codes(f.units, lambda u: u.confidence),
        "0 to 1",
    ),
    JsonField(
        "action_unit_source",
        "`landmarks`, or the name of the network",
        lambda f: f.units and f.units.source,
    ),
    JsonField(
        "action_unit_neutral",
        "neutral face that the intensities are relative to: `unknown`, `none` (for a network), "
        "`population` (the average of many people), `learned` (while this face was followed) or "
        "`set` by the service or command",
        lambda f: f.units and _name(f.units.neutral),
    ),
    JsonField(
        "expression",
        "probability of each of the seven classes",
        lambda f: _classes(f.expression),
        "0 to 1",
    ),
    JsonField(
        "expression_label",
        "the most probable class",
        lambda f: (f.expression and f.expression.label) or None,
    ),
    JsonField(
        "expression_confidence",
        "how reliable the expression is",
        lambda f: f.expression and _number(f.expression.confidence),
        "0 to 1",
    ),
    JsonField(
        "expression_source", "name of the network", lambda f: f.expression and f.expression.source
    ),
    JsonField(
        "valence",
        "negative to positive",
        lambda f: f.affect and _number(f.affect.valence),
        "−1 to 1",
    ),
    JsonField(
        "arousal", "calm to excited", lambda f: f.affect and _number(f.affect.arousal), "−1 to 1"
    ),
    JsonField(
        "valence_arousal_confidence",
        "how reliable both are",
        lambda f: f.affect and _number(f.affect.confidence),
        "0 to 1",
    ),
    JsonField(
        "valence_arousal_source",
        "`derived` from the expression's probabilities, or the name of the network",
        lambda f: f.affect and f.affect.source,
    ),
    JsonField("attention", "what the face attends to", lambda f: f.attention, parts=_ATTENTION),
)

BLENDSHAPES_FIELD = JsonField(
    "blendshapes",
    "only with `--blendshapes`: strength of each of the 52 ARKit blendshapes, by name",
    lambda f: dict(zip(BLENDSHAPES, _numbers(f.blendshapes.strength), strict=True)),
    "0 to 1",
)

LANDMARKS_FIELD = JsonField(
    "landmarks",
    "only with `--landmarks`: 478 points, each x, y, z",
    lambda f: [_numbers(point, 2) for point in f.face.landmarks],
    "px",
)
