"""Holds the results of one frame and converts them to the JSON line of ``face-perception run``.

The fields below are the schema. The JSON lines and the tables in docs/offline.md are made from
them. Units are pixels, metres, radians and seconds. An unknown value is None (null in JSON).
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
    """Holds everything that was estimated from one frame.

    Results are matched to ``faces`` by face id. ``stamp`` is in seconds. ``camera`` is the camera
    that everything was computed with; for a picture without calibration its focal length may be
    longer than that of the frame's camera (``faces.plausible_camera``).
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
        """Returns the JSON line of ``face-perception run`` for frame ``number``, as plain values.

        ``landmarks`` adds the 478 points of each face, which makes lines long. Blendshapes are
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
    """Holds all results of one face; None for a result that was not estimated."""

    face: Face
    gaze: Gaze | None
    action_units: ActionUnits | None
    expression: Expression | None
    valence_arousal: ValenceArousal | None
    attention: Attention | None
    blendshapes: Blendshapes | None


@dataclass(frozen=True, slots=True)
class JsonField:
    """Describes one key of a JSON object.

    - ``name``: the key.
    - ``meaning``: text for the docs.
    - ``value``: function that returns the value from the object that holds it; None becomes null.
    - ``unit``: unit or range for the docs.
    - ``parts``: fields of the nested object; without parts the value is a plain value.
    - ``type``: type of the value, or of each element of a list or object without parts.
    - ``keys``: the elements of a list in order, or the keys of an object without parts.
    """

    name: str
    meaning: str
    value: Callable[[Any], Any]
    unit: str = ""
    parts: tuple[JsonField, ...] = ()
    type: type[float] | type[str] | type[bool] = float
    keys: tuple[str, ...] = ()

    def json(self, source: Any) -> Any:
        """Returns the value of ``source`` for this key, as plain JSON types."""
        value = self.value(source)
        if value is None or not self.parts:
            return value
        return {part.name: part.json(value) for part in self.parts}


def fields_as_markdown() -> str:
    """Returns Markdown tables of the fields of a line, and of the fields of each face in it."""
    line_rows = [("frame", "", "number of the frame, from 0"), *_rows(LINE_FIELDS, "")]
    line_rows.append(
        ("faces", "", "list of faces, one object each (below); empty if none was found")
    )
    lines = ["Each line:", "", *_table(line_rows), "", "Each object in `faces`:", ""]
    return (
        "\n".join([*lines, *_table(_rows((*FACE_FIELDS, BLENDSHAPES_FIELD, LANDMARKS_FIELD), ""))])
        + "\n"
    )


def _by_face(result: FrameResult) -> Iterator[FaceResults]:
    gazes = {one.face_id: one for one in result.gazes}
    action_units = {one.face_id: one for one in result.action_units}
    expressions = {one.face_id: one for one in result.expressions}
    valence_arousal = {one.face_id: one for one in result.valence_arousal}
    attention = {one.face_id: one for one in result.attention}
    blendshapes = {one.face_id: one for one in result.blendshapes}
    for face in result.faces:
        yield FaceResults(
            face,
            gazes.get(face.face_id),
            action_units.get(face.face_id),
            expressions.get(face.face_id),
            valence_arousal.get(face.face_id),
            attention.get(face.face_id),
            blendshapes.get(face.face_id),
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
    """Returns the name of a state in lower case; None for None."""
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
    "camera that all positions and angles were computed with",
    lambda r: r.camera,
    parts=(
        JsonField(
            "assumed",
            "true: no calibration was given, so `fx` and `fy` are guesses",
            lambda c: bool(c.assumed),
            type=bool,
        ),
        JsonField("fx", "focal length along x", lambda c: _number(c.fx, 2), "px"),
        JsonField("fy", "focal length along y", lambda c: _number(c.fy, 2), "px"),
        JsonField("width", "width of the image", lambda c: c.width, "px"),
        JsonField("height", "height of the image", lambda c: c.height, "px"),
    ),
)

LINE_FIELDS = (
    JsonField(
        "stamp",
        "time since the start of the video; 0 for a picture; of a bag, the stamp of the image "
        "header",
        lambda r: _number(r.stamp, 6),
        "s",
    ),
    CAMERA_FIELD,
)

_HEAD_POSE = (
    JsonField(
        "position",
        "x, y, z of the sellion (the root of the nose, between the eyes)",
        lambda p: _numbers(p.position),
        "m",
        keys=("x", "y", "z"),
    ),
    JsonField(
        "yaw",
        "direction in which the face points, horizontally: positive towards image right",
        lambda p: _number(p.yaw),
        "rad",
    ),
    JsonField("pitch", "the same, vertically: positive up", lambda p: _number(p.pitch), "rad"),
    JsonField(
        "roll",
        "rotation of the head in the image: positive clockwise",
        lambda p: _number(p.roll),
        "rad",
    ),
)

_GAZE = (
    JsonField(
        "origin",
        "x, y, z of the midpoint between the eyes",
        lambda g: _numbers(g.origin),
        "m",
        keys=("x", "y", "z"),
    ),
    JsonField(
        "direction",
        "x, y, z of the unit vector of the gaze",
        lambda g: _numbers(g.direction, 6),
        keys=("x", "y", "z"),
    ),
    JsonField(
        "yaw",
        "horizontal angle of `direction`: positive towards image right",
        lambda g: _number(g.yaw),
        "rad",
    ),
    JsonField(
        "pitch", "vertical angle of `direction`: positive up", lambda g: _number(g.pitch), "rad"
    ),
    JsonField(
        "yaw_sigma",
        "standard deviation of the error of `yaw` for a look at `yaw_centre`; null if unknown",
        lambda g: _number(g.yaw_sigma),
        "rad",
    ),
    JsonField(
        "pitch_sigma",
        "standard deviation of the error of `pitch` for a look at `pitch_centre`; null if unknown",
        lambda g: _number(g.pitch_sigma),
        "rad",
    ),
    JsonField(
        "yaw_gain",
        "change of `yaw` per change of the true yaw; null if unknown",
        lambda g: _number(g.yaw_gain),
    ),
    JsonField(
        "pitch_gain",
        "change of `pitch` per change of the true pitch; well below 1 without a calibration; "
        "null if unknown",
        lambda g: _number(g.pitch_gain),
    ),
    JsonField(
        "yaw_gain_sigma",
        "standard deviation of `yaw_gain`; null if unknown",
        lambda g: _number(g.yaw_gain_sigma),
    ),
    JsonField(
        "pitch_gain_sigma",
        "standard deviation of `pitch_gain`; null if unknown",
        lambda g: _number(g.pitch_gain_sigma),
    ),
    JsonField(
        "yaw_centre",
        "mean yaw of the calibration targets, from the line to the camera; 0 without a calibration",
        lambda g: _number(g.yaw_centre),
        "rad",
    ),
    JsonField(
        "pitch_centre",
        "mean pitch of the calibration targets, from the line to the camera; 0 without a "
        "calibration",
        lambda g: _number(g.pitch_centre),
        "rad",
    ),
    JsonField(
        "valid",
        "true: measured in this frame; false: the eyes are closed or not visible, and the last "
        "direction is held",
        lambda g: bool(g.valid),
        type=bool,
    ),
    JsonField(
        "eyes",
        "`unknown` (not visible), `open`, `blink`, or `closed` (for longer than a blink)",
        lambda g: _name(g.eyes),
        type=str,
    ),
    JsonField(
        "confidence",
        "reliability of the gaze; 0: do not use it",
        lambda g: _number(g.confidence),
        "0 to 1",
    ),
    JsonField("source", "name of the estimator, such as `geometric`", lambda g: g.source, type=str),
    JsonField(
        "eye_contact",
        "probability that the eyes look into the camera; 0 with closed eyes, null if unknown",
        lambda g: _number(g.eye_contact),
        "0 to 1",
    ),
    JsonField(
        "person_id",
        "id of the person that the face is linked to; empty: not linked",
        lambda g: g.person_id,
        type=str,
    ),
    JsonField(
        "calibrated",
        "true: the calibration of this person was applied",
        lambda g: bool(g.calibrated),
        type=bool,
    ),
)

_ATTENTION = (
    JsonField(
        "looking_at_robot",
        "true: the eyes look at the camera (with hysteresis)",
        lambda a: bool(a.looking_at_robot),
        type=bool,
    ),
    JsonField(
        "confidence",
        "probability that `target` is right",
        lambda a: _number(a.confidence),
        "0 to 1",
    ),
    JsonField(
        "source",
        "`gaze.source`; `head_pose` if there is no valid gaze; `eyes_closed` with closed eyes",
        lambda a: a.source,
        type=str,
    ),
    JsonField("eyes", "same as `gaze.eyes`", lambda a: _name(a.eyes), type=str),
    JsonField(
        "angle",
        "angle between the gaze and the line from the eyes to the camera; null if unknown",
        lambda a: _number(a.angle),
        "rad",
    ),
    JsonField(
        "distance",
        "distance from the eyes to the camera; null if unknown",
        lambda a: _number(a.distance),
        "m",
    ),
    JsonField(
        "eye_contact", "same as `gaze.eye_contact`", lambda a: _number(a.eye_contact), "0 to 1"
    ),
    JsonField(
        "target",
        "what the person looks at: `unknown`, `none` (something else, or closed eyes), `robot` "
        "(the camera), `face`, or `object` (one of `--targets`)",
        lambda a: _name(a.target),
        type=str,
    ),
    JsonField(
        "target_id",
        "id of the other face if `target` is `face`; else empty",
        lambda a: a.target_id,
        type=str,
    ),
    JsonField(
        "target_since",
        "`stamp` of the frame in which `target` began, which is before the frame that reports it "
        "first; null if unknown",
        lambda a: _number(a.target_since, 6),
        "s",
    ),
    JsonField(
        "target_name",
        "name of the named target if `target` is `object`; else empty",
        lambda a: a.target_name,
        type=str,
    ),
    JsonField(
        "speaking",
        "probability that the person speaks, from the lips and the sound of the film; null if "
        "unknown, as without sound, and in the first 0.3 s of a face",
        lambda a: _number(a.speaking),
        "0 to 1",
    ),
    JsonField(
        "speaking_source",
        "`lips_voice_and_sound`; empty without sound",
        lambda a: a.speaking_source,
        type=str,
    ),
    JsonField(
        "engagement",
        "engagement with the robot: `unknown`, `disengaged`, `engaging`, `engaged` or "
        "`disengaging`",
        lambda a: _name(a.engagement),
        type=str,
    ),
)

FACE_FIELDS = (
    JsonField(
        "face_id",
        "id of the track; ends when the face is lost, so that one person may have several",
        lambda f: f.face.face_id,
        type=str,
    ),
    JsonField(
        "confidence",
        "confidence that this is a face: 0.7 to 0.95 for clear faces, lower for false detections",
        lambda f: _number(f.face.confidence),
        "0 to 1",
    ),
    JsonField(
        "roi",
        "box around the face: left, top, width, height",
        lambda f: [f.face.roi.x, f.face.roi.y, f.face.roi.width, f.face.roi.height],
        "px",
        keys=("left", "top", "width", "height"),
    ),
    JsonField(
        "head_pose",
        "position and rotation of the head; null if not estimated",
        lambda f: f.face.pose,
        parts=_HEAD_POSE,
    ),
    JsonField("gaze", "where the eyes look; null if not estimated", lambda f: f.gaze, parts=_GAZE),
    JsonField(
        "action_units",
        "intensity by FACS number, 1 for the full movement; null if not estimated",
        lambda f: _codes(f.action_units, lambda u: u.intensity),
        "0 to 1",
    ),
    JsonField(
        "action_unit_probability",
        "probability that the unit is active, by FACS number; null if not estimated",
        lambda f: _codes(f.action_units, lambda u: u.probability),
        "0 to 1",
    ),
    JsonField(
        "action_unit_confidence",
        "reliability of the unit, by FACS number; 0: do not use it",
        lambda f: _codes(f.action_units, lambda u: u.confidence),
        "0 to 1",
    ),
    JsonField(
        "action_unit_source",
        "`landmarks+appearance`, `landmarks` with `--no-appearance`, or the name of the network; "
        "null without action units",
        lambda f: f.action_units and f.action_units.source,
        type=str,
    ),
    JsonField(
        "action_unit_neutral",
        "neutral face that the intensities are relative to: `none` (a network needs none), "
        "`population` (mean of many people), `learned` (from this face) or `set` (by "
        "`--neutral`, the service or the command); null without action units",
        lambda f: f.action_units and _name(f.action_units.neutral),
        type=str,
    ),
    JsonField(
        "expression",
        "probability of each of the seven classes, by name; null if unknown",
        lambda f: _classes(f.expression),
        "0 to 1",
        keys=EXPRESSIONS,
    ),
    JsonField(
        "expression_label",
        "most probable class; null if unknown",
        lambda f: (f.expression and f.expression.label) or None,
        type=str,
    ),
    JsonField(
        "expression_confidence",
        "reliability of the expression; null if unknown",
        lambda f: f.expression and _number(f.expression.confidence),
        "0 to 1",
    ),
    JsonField(
        "expression_source",
        "name of the network; null without an expression",
        lambda f: f.expression and f.expression.source,
        type=str,
    ),
    JsonField(
        "valence",
        "−1: negative, 1: positive; null if unknown",
        lambda f: f.valence_arousal and _number(f.valence_arousal.valence),
        "−1 to 1",
    ),
    JsonField(
        "arousal",
        "−1: calm, 1: excited; null if unknown",
        lambda f: f.valence_arousal and _number(f.valence_arousal.arousal),
        "−1 to 1",
    ),
    JsonField(
        "valence_arousal_confidence",
        "reliability of valence and arousal; null if unknown",
        lambda f: f.valence_arousal and _number(f.valence_arousal.confidence),
        "0 to 1",
    ),
    JsonField(
        "valence_arousal_source",
        "`derived` (from the probabilities of the expression), or the name of the network; null "
        "without valence and arousal",
        lambda f: f.valence_arousal and f.valence_arousal.source,
        type=str,
    ),
    JsonField(
        "attention",
        "what the person attends to; null if not estimated",
        lambda f: f.attention,
        parts=_ATTENTION,
    ),
)

BLENDSHAPES_FIELD = JsonField(
    "blendshapes",
    "strength of each of the 52 ARKit blendshapes, by name; only with `--blendshapes`",
    lambda f: dict(zip(BLENDSHAPES, _numbers(f.blendshapes.strength), strict=True)),
    "0 to 1",
    keys=BLENDSHAPES,
)

LANDMARKS_FIELD = JsonField(
    "landmarks",
    "478 points, each x, y, z; only with `--landmarks`",
    lambda f: [_numbers(point, 2) for point in f.face.landmarks],
    "px",
)
