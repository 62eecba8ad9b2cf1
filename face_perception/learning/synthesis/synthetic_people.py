"""Makes pictures of synthetic people with a neutral face.

They are painted, or made of the sample photograph with other proportions. Each person has a number,
which alone determines the picture. ``actor`` moves them.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.avatar import FaceStyle, read_picture, synthetic_face
from face_perception.inference import sample_photo
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

# The other photograph shows a smile, so its neutral face is not known.
PHOTO = "grace_hopper"

# Heights on the face, cm below the middle of the mouth; standard deviation of the logarithm of the
# width of the face there; standard deviation of the logarithm of the length of each part between.
_HEIGHTS = np.array([-18.0, -13.0, -9.0, -6.5, -3.0, 0.0, 3.0, 5.5, 12.0])
_WIDER = np.array([0.03, 0.04, 0.05, 0.05, 0.06, 0.08, 0.08, 0.08, 0.02])
_LONGER = 0.09

_SKINS = np.array([(1.0, 1.0, 1.0), (0.93, 0.88, 0.82), (0.76, 0.67, 0.60), (0.50, 0.42, 0.38)])
_HAIRS = np.array([(0.35, 0.35, 0.4), (1, 1, 1), (1.8, 1.2, 0.8), (2.6, 2.5, 2.0), (2.3, 2.9, 3.4)])
_IRISES = np.array([(1.0, 1.0, 1.0), (0.8, 0.5, 0.3), (0.6, 0.9, 0.6), (0.6, 0.7, 1.2)])

# x, y of the middle of the mouth and pixels per centimetre, in the painted picture and in the
# photograph.
_DRAWN = (383.5, 520.0, 17.6)
_IN_PHOTO = (263.0, 285.0, 10.2)


def synthetic_person(number: int, *, photo: bool = False) -> Image:
    """Returns a frontal picture of person ``number`` with a neutral face, RGB uint8.

    The same number gives the same picture. With ``photo``, it is made of the photograph.
    """
    random = np.random.default_rng([7907, number])
    look = _look(random)
    if photo:
        picture, place = read_picture(sample_photo(PHOTO)), _IN_PHOTO
    else:
        picture, place = synthetic_face(look), _DRAWN
    return _proportioned(picture, place, random)


def _look(random: np.random.Generator) -> FaceStyle:
    def colour(table: FloatArray, spread: float) -> tuple[float, float, float]:
        # A random mixture of two rows of the table, with a random error of each channel.
        a, b = random.choice(len(table), 2)
        found = table[a] + random.random() * (table[b] - table[a])
        red, green, blue = (float(v) for v in found * random.uniform(1 - spread, 1 + spread, 3))
        return red, green, blue

    bearded = random.random() < 0.3
    return FaceStyle(
        skin=colour(_SKINS, 0.04),
        lip=colour(np.array([(1.0, 1.0, 1.0), (1.1, 0.75, 0.85), (0.95, 1.1, 1.1)]), 0.05),
        hair=colour(_HAIRS, 0.1),
        iris=colour(_IRISES, 0.1),
        shirt=colour(np.array([(0.3, 0.3, 0.3), (2.5, 1.5, 1.0), (3.0, 2.0, 1.8)]), 0.2),
        background=colour(np.array([(0.3, 0.3, 0.3), (1.0, 0.9, 0.8), (1.1, 1.1, 1.1)]), 0.1),
        fringe=bool(random.random() < 0.5),
        long=not bearded and bool(random.random() < 0.6),
        brow=float(random.uniform(0.6, 1.8)),
        beard=float(random.uniform(0.2, 0.75)) if bearded else 0.0,
        freckles=float(random.uniform(0.2, 0.8)) if random.random() < 0.25 else 0.0,
        grain=int(random.integers(1 << 20)),
    )


def _proportioned(
    picture: Image, place: tuple[float, float, float], random: np.random.Generator
) -> Image:
    """Returns the picture with random proportions of the face, smooth and symmetrical."""
    x0, y0, cm = place
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.arange(width) - x0, np.arange(height) - y0)
    wide = np.exp(_WIDER * random.standard_normal(len(_HEIGHTS)))
    long = np.exp(np.clip(_LONGER * random.standard_normal(len(_HEIGHTS) - 1), -0.2, 0.2))
    new = _HEIGHTS[0] + np.concatenate([[0], np.cumsum(long * np.diff(_HEIGHTS))])
    new -= new[5]  # the mouth stays
    fine = np.linspace(new[0], new[-1], 400)

    def smooth(values: FloatArray) -> FloatArray:
        rough = np.interp(fine, new, values)
        padded = np.pad(rough, 30, mode="reflect", reflect_type="odd")
        kernel = np.exp(-(np.linspace(-2, 2, 61) ** 2))
        return np.convolve(padded, kernel / kernel.sum(), "valid")

    v = y / cm
    source_v = np.where(
        v < new[0], v - new[0] + _HEIGHTS[0], np.where(v > new[-1], v - new[-1] + _HEIGHTS[-1], 0)
    )
    inside = (v >= new[0]) & (v <= new[-1])
    source_v = np.where(inside, np.interp(v, fine, smooth(_HEIGHTS)), source_v)
    factor = np.interp(v, fine, smooth(wide))
    near = np.exp(-((x / cm / 13) ** 4))
    source_x = x / (1 + near * (factor - 1))
    where = (source_x + x0).astype(np.float32), (source_v * cm + y0).astype(np.float32)
    return np.asarray(cv2.remap(picture, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
