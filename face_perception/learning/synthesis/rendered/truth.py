"""What is known about a rendered picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered.person import Person
from face_perception.learning.synthesis.rendered.posed_head import PosedHead
from face_perception.learning.synthesis.rendered.regions import HeadSurface
from face_perception.learning.synthesis.rendered.view import View, angles

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Truth:
    """Of one picture; points and directions are in the optical frame, metres; angles are radians.

    ``gaze`` [3] goes from ``eyes`` [3], the midpoint of the eyeballs' centres, to ``target`` [3].
    ``eye_centres`` [2, 3] and ``eye_gazes`` [2, 3] are those of each eye, the person's left one
    first; ``eye_axes`` [2, 3] are the axes of the eyeballs, which differ from where they look by
    angle kappa. ``head`` is yaw, pitch and roll. ``face_box`` is x0, y0, x1, y1 in pixels, from
    the brows to the chin. ``action_units`` are intensities from 0 to 1; a blink of 1 is closed.
    ``valence`` and ``arousal`` are NaN for units that were drawn one by one.
    """

    camera: dict[str, float]
    eyes: Array
    gaze: Array
    target: Array
    eye_centres: Array
    eye_gazes: Array
    eye_axes: Array
    head: tuple[float, float, float]
    face_box: tuple[float, float, float, float]
    blink: float
    action_units: dict[int, float]
    units: dict[str, float]
    expression: str
    valence: float
    arousal: float
    person: dict[str, Any]
    worn: dict[str, Any]

    @property
    def looks_at_camera(self) -> bool:
        return bool(np.linalg.norm(self.target) < 1e-6)

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as plain values, and the angles of gaze and head in degrees as well."""
        yaw, pitch = _optical_angles(self.gaze)
        return {
            "camera": {name: round(value, 3) for name, value in self.camera.items()},
            "gaze_yaw_deg": round(np.degrees(yaw), 3),
            "gaze_pitch_deg": round(np.degrees(pitch), 3),
            "head_yaw_deg": round(np.degrees(self.head[0]), 3),
            "head_pitch_deg": round(np.degrees(self.head[1]), 3),
            "head_roll_deg": round(np.degrees(self.head[2]), 3),
            "eyes": _rounded(self.eyes),
            "target": _rounded(self.target),
            "looks_at_camera": self.looks_at_camera,
            "eye_centres": _rounded(self.eye_centres),
            "eye_gazes": _rounded(self.eye_gazes),
            "eye_axes": _rounded(self.eye_axes),
            "face_box": [round(value, 1) for value in self.face_box],
            "blink": round(self.blink, 3),
            "action_units": {str(k): round(v, 3) for k, v in self.action_units.items() if v},
            "face_units": {k: round(v, 3) for k, v in self.units.items() if v},
            "expression": self.expression,
            "valence": None if math.isnan(self.valence) else round(self.valence, 3),
            "arousal": None if math.isnan(self.arousal) else round(self.arousal, 3),
            "person": self.person,
            "worn": self.worn,
        }


def make_truth(head: HeadSurface, person: Person, view: View, posed: PosedHead) -> Truth:
    centres = _optical(posed.to_world(posed.centres))
    target = _optical(np.array(view.target)[None])[0]
    eyes = centres.mean(0)
    gaze = target - eyes
    glasses, blink = view.worn.glasses, view.blink
    units = dict(view.expression.units)
    shown = view.expression.action_units
    if blink:
        shown = {**shown, 43: max(blink, shown[43]), 45: max(blink, shown[45])}
    return Truth(
        camera={
            "width": view.width, "height": view.height, "fx": view.focal, "fy": view.focal,
            # Pixel centres are whole numbers, so the middle is between two of them.
            "cx": (view.width - 1) / 2, "cy": (view.height - 1) / 2,
        },
        eyes=eyes,
        gaze=gaze / np.linalg.norm(gaze),
        target=target,
        eye_centres=centres,
        eye_gazes=_optical(posed.visual_axes @ posed.turn.T),
        eye_axes=_optical(posed.axes @ posed.turn.T),
        head=view.head,
        face_box=_face_box(head, posed, view),
        blink=blink,
        action_units=shown,
        units=units,
        expression=view.expression.name,
        valence=view.expression.valence,
        arousal=view.expression.arousal,
        person={
            "seed": person.seed, "sex": person.sex, "age": round(person.age, 1),
            "ancestry": [round(share, 3) for share in person.ancestry],
            "melanin": round(person.skin.melanin, 3), "beard": person.hair.beard,
            "hair": person.hair.style, "pupils_apart": round(person.pupils_apart, 4),
        },
        worn={
            "glasses": glasses is not None,
            "sunglasses": glasses is not None and glasses.transmission < 0.3,
            "mask": view.worn.mask is not None,
            "headwear": view.worn.headwear,
            "infrared": view.infrared,
        },
    )  # fmt: skip


def _face_box(head: HeadSurface, posed: PosedHead, view: View) -> tuple[float, float, float, float]:
    x, y, z = head.rest.T
    face = (np.abs(x) < 0.05) & (y < 0.02) & (y > -0.105) & (z > -0.01)
    points = _optical(posed.to_world(posed.shape.points[face]))
    column = (view.width - 1) / 2 + view.focal * points[:, 0] / points[:, 2]
    row = (view.height - 1) / 2 + view.focal * points[:, 1] / points[:, 2]
    return float(column.min()), float(row.min()), float(column.max()), float(row.max())


def _optical(points: Array) -> Array:
    """Points or directions [N, 3] of the world in the optical frame."""
    return np.asarray(points * [1, -1, -1])


def _optical_angles(direction: Array) -> tuple[float, float]:
    return angles(direction * [1, -1, -1])


def _rounded(values: Array) -> Any:
    return np.round(values, 5).tolist()
