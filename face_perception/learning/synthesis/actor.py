"""Renders a person who shows given action units, from a single picture.

The portrait mesh moves by a basis of action units; skin folds, light, lens and sensor are added.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar import SHAPES, Anatomy, PortraitRenderer
from face_perception.faces import FaceTracker, crop_face
from face_perception.learning.synthesis.emfacs import UNITS, Act
from face_perception.types import Face, Image

FloatArray = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.float32]

SIDE = 320  # pixels of the portrait; its face is then as large as in an aligned patch
_EXTRA = ("cheek", "nose")

# Action unit at intensity 1 -> amount of each shape. A full unit is more than the lively speech
# that the shapes are made for.
_BASIS: dict[int, dict[str, float]] = {
    1: {"inner_up": 1.25},
    2: {"outer_up": 1.3},
    4: {"brow_down": 1.2},
    6: {"cheek": 1.0},
    9: {"nose": 1.0, "brow_down": 0.35},
    12: {"smile": 1.1},
    15: {"frown": 1.2},
    20: {"wide": 1.3, "frown": 0.25},
    24: {"press": 1.2},
    25: {"teeth": 0.9},
    26: {"jaw": 0.6},
}
_NAMES = (*SHAPES, *_EXTRA)
_MIXING = np.array([[_BASIS.get(u, {}).get(name, 0.0) for name in _NAMES] for u in UNITS])
_CLOSE = _NAMES.index("close")
_HEAD = [_NAMES.index(name) for name in ("yaw", "pitch", "roll")]
_SMILE, _CHEEK = _NAMES.index("smile"), _NAMES.index("cheek")

# Action unit that folds the skin -> darkness of the fold at full intensity.
_FOLDS = {1: 0.22, 2: 0.22, 4: 0.45, 6: 0.35, 9: 0.45, 12: 0.30}


class Actor:
    """Renders displays of ``Act`` on one picture. Not thread-safe.

    Equal random numbers give equal images. ``creases`` scales the darkness of skin folds. Raises
    avatar.PortraitError for a picture that cannot be animated.
    """

    def __init__(self, picture: Image, *, tracker: FaceTracker, creases: float = 0.7) -> None:
        self._portrait = PortraitRenderer(
            picture, size=(SIDE, SIDE), tracker=tracker, extra=_extra_shapes
        )
        folds = _folds(self._portrait.anatomy)
        self._folds = {code: creases * _FOLDS[code] * fold for code, fold in folds.items()}

    @property
    def face(self) -> Face:
        """The face in the images of ``show`` while it is at rest."""
        return self._portrait.face

    def show(self, act: Act) -> Image:
        """Returns the image, RGB uint8 [320, 320, 3], in the light of the picture."""
        amounts = act.units @ _MIXING
        amounts[_CLOSE] = 1.0
        amounts[_HEAD] = act.head
        shade = np.ones((SIDE, SIDE), np.float32)
        for code, fold in self._folds.items():
            shade *= 1 - np.float32(act.units[UNITS.index(code)]) * fold
        cheek = min(1.0, float(0.5 * amounts[_SMILE] + amounts[_CHEEK]))
        return self._portrait.render_shapes(
            amounts, lids=act.lids, gaze=act.gaze, cheek=cheek, shade=shade
        )

    def patch(self, act: Act, random: np.random.Generator) -> Image:
        """Returns a face crop, RGB uint8 [160, 160, 3], like that of ``faces.crop_face``.

        It has random light and noise, and a random error of the landmarks.
        """
        image = _relit(self.show(act), random)
        face = self._portrait.face
        moved = face.landmarks.astype(np.float64)
        middle = moved[:, :2].mean(0)
        angle, scale = random.normal(0, 0.05), math.exp(random.normal(0, 0.04))
        turn = scale * np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        moved[:, :2] = (moved[:, :2] - middle) @ turn.T + middle + random.normal(0, 1.5, 2)
        cut = crop_face(image, dataclasses.replace(face, landmarks=moved.astype(np.float32)))
        return _through_camera(cut.image, random)


def _extra_shapes(face: Anatomy) -> FloatArray:
    """Returns shapes [2, 468, 2] in cm: cheeks that rise (AU6) and a nose that wrinkles (AU9)."""
    u, v = face.local(face.points).T
    out = np.zeros((len(_EXTRA), 468, 2))
    eyes = face.local(face.points[[faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS]])[:, 1]
    below = float(eyes.mean())
    cheek = np.exp(-(((np.abs(u) - 3.4) / 1.7) ** 2) - ((v - below - 2.2) / 1.1) ** 2)
    out[0, :, 1] = -0.55 * cheek
    out[0, :, 0] = 0.10 * np.sign(u) * cheek
    nose = float(face.local(face.points[faces.NOSE_TIP][None])[0, 1])
    wings = np.exp(-(((np.abs(u) - 1.1) / 0.9) ** 2) - ((v - nose - 0.3) / 1.2) ** 2)
    # The upper lip moves with the nose, but its lower edge does not.
    lip = np.exp(-((u / 1.8) ** 2) - ((v + 1.3) / 0.6) ** 2)
    out[1, :, 1] = -0.42 * wings - 0.18 * lip
    out[1, :, 0] = 0.10 * np.sign(u) * wings
    return out


def _folds(face: Anatomy) -> dict[int, Pixels]:
    """Returns a map [320, 320] of the skin folds of each unit, 1 in the middle of a fold."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    u, v = np.moveaxis(face.local(np.stack([x, y], -1)), -1, 0)
    side = np.abs(u)

    def at(index: int) -> FloatArray:
        found = face.local(face.points[index][None])[0]
        return np.array([abs(found[0]), found[1]])

    brow = float(face.local(face.points[faces.RIGHT_BROW_UPPER]).mean(0)[1])
    outer = (at(faces.RIGHT_OUTER_CANTHUS) + at(faces.LEFT_OUTER_CANTHUS)) / 2
    root, tip = at(faces.SELLION)[1], at(faces.NOSE_TIP)[1]

    def stroke(distance: FloatArray, width: float, window: FloatArray) -> FloatArray:
        return np.asarray(np.exp(-((distance / width) ** 2)) * window)

    rows = sum(stroke(v - brow + d, 0.10, np.ones_like(v)) for d in (1.3, 2.0, 2.7))
    crow = sum(
        stroke(
            v - outer[1] - slope * (side - outer[0]), 0.08,
            np.exp(-(((side - outer[0] - 0.9) / 0.5) ** 2)),
        )
        for slope in (-0.35, 0.05, 0.45)
    )  # fmt: skip
    across = sum(stroke(v - root - d, 0.11, np.exp(-((u / 0.8) ** 2))) for d in (0.1, 0.6, 1.1))
    between = np.exp(-(((v - brow - 0.6) / 0.9) ** 2))
    # From the wing of the nose to a point next to the corner of the mouth.
    t = np.clip((v - tip) / max(-tip, 0.5), -0.5, 1.5)
    fold = stroke(side - 1.6 - (face.half_mouth - 0.9) * t, 0.16, np.exp(-(((t - 0.5) / 0.5) ** 2)))
    found = {
        1: rows * np.exp(-((u / 1.8) ** 2)),
        2: rows * np.exp(-(((side - 3.6) / 1.4) ** 2)),
        4: stroke(side - 0.45, 0.13, between),
        6: crow,
        9: across,
        12: fold,
    }
    return {code: np.asarray(np.clip(value, 0, 1), np.float32) for code, value in found.items()}


def _relit(image: Image, random: np.random.Generator) -> Image:
    """Returns the image in a random light: from a side, warmer or colder, with more contrast."""
    out = image.astype(np.float32) / 255
    direction = random.uniform(0, 2 * math.pi)
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    across = math.cos(direction) * ramp[None] + math.sin(direction) * ramp[:, None]
    out *= (1 + np.float32(random.uniform(0, 0.7)) * across)[..., None]
    warm = random.normal(0, 0.06)
    out *= np.array([1 + warm, 1, 1 - warm], np.float32) * np.float32(random.uniform(0.6, 1.25))
    out = np.clip(out, 0, 1) ** np.float32(math.exp(random.normal(0, 0.2)))
    return np.asarray(np.clip(255 * out + 0.5, 0, 255), np.uint8)


def _through_camera(patch: Image, random: np.random.Generator) -> Image:
    """Returns the patch as a camera sees it: from a distance, out of focus, with noise."""
    side = len(patch)
    small = round(side * random.uniform(0.4, 1.0))
    far = cv2.resize(patch, (small, small), interpolation=cv2.INTER_AREA)
    out = cv2.resize(far, (side, side), interpolation=cv2.INTER_LINEAR)
    out = cv2.GaussianBlur(out, (0, 0), float(random.uniform(0.3, 0.9))).astype(np.float32)
    out += random.normal(0, random.uniform(1, 7), out.shape).astype(np.float32)
    return np.asarray(np.clip(out + 0.5, 0, 255), np.uint8)
