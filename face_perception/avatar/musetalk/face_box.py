"""The part of a picture that MuseTalk sees: its box from 68 points, the image, the latents.

Boxes are (left, top, right, bottom) in pixels, right and bottom not included.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.musetalk.blending import Box
from face_perception.errors import InputError
from face_perception.types import FloatArray, Image

SIDE = 256
SCALING = 0.18215
NO_FACE: Box = (0, 0, 0, 0)
MARGIN = 10  # pixels below the chin, MuseTalk 1.5
# The nose's bridge just above its tip: a face box reaches as far above it as the chin is below.
_MIDDLE = 29


def face_box(
    points: npt.ArrayLike,
    height: int,
    *,
    shift: int = 0,
    margin: int = MARGIN,
    otherwise: Box = NO_FACE,
) -> Box:
    """Box of a face from its 68 points [68, 2] in a picture of ``height`` pixels.

    MuseTalk 1.5 has ``shift`` 0 and ``margin`` 10 (cut at the picture's edge); 1.0 has a margin of
    0 and a ``shift`` in pixels by which the middle is moved down, which opens the mouth more.
    Where the points give no box inside the picture's left edge, ``otherwise`` is returned (the
    detector's box, with the margin), ``NO_FACE`` where there is none.
    """
    whole = np.asarray(points, np.float64)
    if whole.shape != (68, 2):
        raise InputError(f"points must be [68, 2], not {list(whole.shape)}")
    box = otherwise
    if np.isfinite(whole).all():
        levels = whole.astype(np.int64)
        middle = int(levels[_MIDDLE, 1]) + shift
        bottom = int(levels[:, 1].max())
        top = max(0, middle - (bottom - middle))
        left, right = int(levels[:, 0].min()), int(levels[:, 0].max())
        if bottom > top and right > left and left >= 0:
            box = (left, top, right, bottom)
    if box == NO_FACE:
        return NO_FACE
    return box[0], box[1], box[2], min(box[3] + margin, height) if margin else box[3]


def mesh_box(landmarks: FloatArray, height: int, *, shift: int = 0, margin: int = MARGIN) -> Box:
    """The same from our landmarks [478, 3] in pixels; all of the mesh's extent where the 68 points
    give no box.
    """
    flat = landmarks[:, :2]
    if not np.isfinite(flat).all():
        return NO_FACE
    low, high = flat.min(axis=0).clip(0), flat.max(axis=0)
    extent = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    if extent[2] <= extent[0] or extent[3] <= extent[1]:
        extent = NO_FACE
    points = flat[faces.POINTS_68]
    return face_box(points, height, shift=shift, margin=margin, otherwise=extent)


def cut_face(picture: Image, box: Box) -> Image:
    """The box of a picture uint8 [H, W, 3] at the network's size [256, 256, 3], same colour order.

    What leaves the picture is cut off, as published. Raises InputError where nothing is left.
    """
    left, top, right, bottom = box
    part = picture[max(top, 0) : bottom, max(left, 0) : right]
    if not part.size:
        raise InputError(f"the face box {box} is outside the picture {list(picture.shape[:2])}")
    return np.asarray(
        cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_LANCZOS4), dtype=np.uint8
    )


def network_images(face: Image) -> FloatArray:
    """RGB uint8 [256, 256, 3] -> float32 [2, 3, 256, 256], 0 to 255, for the image encoder: with
    the lower half black, and whole, for reference.
    """
    whole = face.transpose(2, 0, 1).astype(np.float32)
    masked = whole.copy()
    masked[:, SIDE // 2 :] = 0
    return np.stack([masked, whole])


def to_latents(mean: FloatArray, logvar: FloatArray, noise: FloatArray | None = None) -> FloatArray:
    """The encoder's answers [2, 4, 32, 32] for ``network_images`` -> the UNet's [1, 8, 32, 32].

    The most likely latents; with ``noise`` (standard normal, same shape) a sample of them, as
    published.
    """
    latents = mean if noise is None else mean + np.exp(0.5 * logvar) * noise
    scaled: FloatArray = (SCALING * latents).astype(np.float32)
    return scaled.reshape(1, 2 * mean.shape[1], *mean.shape[2:])
