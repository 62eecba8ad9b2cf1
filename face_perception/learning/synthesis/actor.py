"""Renders a person who shows given action units, from a single picture.

The portrait mesh moves by a basis of action units; skin folds, light, lens and sensor are added.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.avatar import FOLDS, SHAPES, PortraitRenderer
from face_perception.faces import FaceTracker, crop_face
from face_perception.learning.synthesis.emfacs import UNITS, Act
from face_perception.types import Face, Image

FloatArray = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.float32]

SIDE = 320  # pixels of the portrait; its face is then as large as in an aligned patch

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
_MIXING = np.array([[_BASIS.get(u, {}).get(name, 0.0) for name in SHAPES] for u in UNITS])
_CLOSE = SHAPES.index("close")
_HEAD = [SHAPES.index(name) for name in ("yaw", "pitch", "roll")]


class Actor:
    """Renders displays of ``Act`` on one picture. Not thread-safe.

    Equal random numbers give equal images. ``creases`` scales the darkness of skin folds. Raises
    avatar.PortraitError for a picture that cannot be animated.
    """

    def __init__(self, picture: Image, *, tracker: FaceTracker, creases: float = 0.7) -> None:
        self._portrait = PortraitRenderer(picture, size=(SIDE, SIDE), tracker=tracker)
        self._creases = creases

    @property
    def face(self) -> Face:
        """The face in the images of ``show`` while it is at rest."""
        return self._portrait.face

    def show(self, act: Act) -> Image:
        """Returns the image, RGB uint8 [320, 320, 3], in the light of the picture."""
        amounts = act.units @ _MIXING
        amounts[_CLOSE] = 1.0
        amounts[_HEAD] = act.head
        folds = {code: self._creases * float(act.units[UNITS.index(code)]) for code in FOLDS}
        return self._portrait.render_shapes(amounts, lids=act.lids, gaze=act.gaze, folds=folds)

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
