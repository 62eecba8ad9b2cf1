"""Makes the images that the two streams of MIMAMO-Net take from an aligned face.

Resizes with Pillow, like the published code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from face_perception import faces
from face_perception.errors import InputError
from face_perception.motion.pyramid import SIDE
from face_perception.types import FaceCrop, FloatArray
from face_perception.types import Image as Pixels

_APPEARANCE_SIDE = 224
# The published code enlarges a face to 256 pixels and keeps the middle 224. Enlarging this part of
# the aligned face (left, top, right, bottom) gives the same picture.
_PART = (7, 7, 105, 105)


def gray_image(aligned: Pixels) -> FloatArray:
    """Returns an aligned face, RGB uint8 [112, 112, 3], as gray float32 [48, 48], 0 to 1.

    Raises InputError for another image.
    """
    gray = _picture(aligned).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(gray, np.float32) / 255


def gray_images(crops: Sequence[FaceCrop]) -> FloatArray:
    """Returns ``gray_image`` of each crop, [N, 48, 48].

    Raises InputError if a crop is not RGB uint8 [160, 160, 3].
    """
    return np.stack([gray_image(faces.aligned_face(crop)) for crop in crops])


def appearance_image(aligned: Pixels) -> FloatArray:
    """Returns an aligned face, RGB uint8 [112, 112, 3], as float32 [3, 224, 224], 0 to 255.

    Raises InputError for another image.
    """
    side = (_APPEARANCE_SIDE, _APPEARANCE_SIDE)
    large = _picture(aligned).resize(side, Image.Resampling.BILINEAR, box=_PART)
    return np.asarray(large, np.float32).transpose(2, 0, 1)


def appearance_images(crops: Sequence[FaceCrop]) -> FloatArray:
    """Returns ``appearance_image`` of each crop, [N, 3, 224, 224].

    Raises InputError if a crop is not RGB uint8 [160, 160, 3].
    """
    return np.stack([appearance_image(faces.aligned_face(crop)) for crop in crops])


def _picture(aligned: Pixels) -> Image.Image:
    side = faces.ALIGNED_SIDE
    if aligned.shape != (side, side, 3) or aligned.dtype != np.uint8:
        raise InputError(
            f"an aligned face must be RGB uint8 [{side}, {side}, 3], not {aligned.dtype} "
            f"{list(aligned.shape)}: make it with faces.aligned_face"
        )
    return Image.fromarray(np.ascontiguousarray(aligned))
