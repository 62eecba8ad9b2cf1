"""Finds and crops the part of a picture that MuseTalk sees.

Boxes are (left, top, right, bottom) in pixels; right and bottom are excluded.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.musetalk.blending import Box
from face_perception.errors import InputError
from face_perception.types import FloatArray, Image

SIDE = 256  # pixels
SCALING = 0.18215  # factor on the latents of the autoencoder (Stable Diffusion's)
NO_FACE: Box = (0, 0, 0, 0)
MARGIN = 10  # pixels below the chin, MuseTalk 1.5
# The point on the bridge of the nose just above its tip, of the 68 points: the vertical middle of
# the box, whose lower edge is the chin.
_MIDDLE = 29


def face_box(
    points: npt.ArrayLike,
    height: int,
    *,
    shift: int = 0,
    margin: int = MARGIN,
    otherwise: Box = NO_FACE,
) -> Box:
    """Returns the box of a face from its 68 points [68, 2], in a picture of ``height`` pixels.

    MuseTalk 1.5 uses ``shift`` 0 and ``margin`` 10: pixels below the chin, clipped at the edge of
    the picture. MuseTalk 1.0 uses margin 0 and a ``shift`` in pixels that moves the middle down,
    which opens the mouth more. If the points give no valid box, or one that crosses the left edge,
    the result is ``otherwise`` (such as the detector's box) with the margin, or ``NO_FACE``.

    Raises InputError if ``points`` are not [68, 2].
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
    """Returns the box of a face from its landmarks [478, 3] in pixels; see ``face_box``.

    If the 68 points among them give no box, the result is the extent of all landmarks.
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
    """Crops a picture, uint8 [H, W, 3], to a box and resizes it to [256, 256, 3].

    As in the published code, the part of the box outside the picture is cut off first, so that the
    face is stretched there. Raises InputError if the box is entirely outside.
    """
    left, top, right, bottom = box
    part = picture[max(top, 0) : bottom, max(left, 0) : right]
    if not part.size:
        raise InputError(f"the face box {box} is outside the picture {list(picture.shape[:2])}")
    return np.asarray(
        cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_LANCZOS4), dtype=np.uint8
    )


def encoder_images(face: Image) -> Image:
    """Returns what the image encoder sees of a face: masked and whole, uint8 [2, 256, 256, 3].

    ``face`` is RGB uint8 [256, 256, 3]; in the first image its lower half is black.
    """
    masked = face.copy()
    masked[SIDE // 2 :] = 0
    return np.stack([masked, face])
