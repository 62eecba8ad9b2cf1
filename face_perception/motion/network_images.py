"""What MIMAMO-Net's two streams see of an aligned face, resized as published (by Pillow)."""

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
# Published: enlarged to 256, and 224 of it kept. That is this part, enlarged at once.
_PART = (7, 7, 105, 105)


def gray_image(aligned: Pixels) -> FloatArray:
    """Of an aligned face, RGB uint8 [112, 112, 3]: gray float32 [48, 48], 0 to 1."""
    gray = _picture(aligned).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(gray, np.float32) / 255


def gray_images(crops: Sequence[FaceCrop]) -> FloatArray:
    """[N, 48, 48] of face patches. Raises InputError for those that are none."""
    return np.stack([gray_image(faces.aligned_face(crop)) for crop in crops])


def appearance_image(aligned: Pixels) -> FloatArray:
    """Of an aligned face, RGB uint8 [112, 112, 3]: float32 [3, 224, 224], 0 to 255."""
    side = (_APPEARANCE_SIDE, _APPEARANCE_SIDE)
    large = _picture(aligned).resize(side, Image.Resampling.BILINEAR, box=_PART)
    return np.asarray(large, np.float32).transpose(2, 0, 1)


def appearance_images(crops: Sequence[FaceCrop]) -> FloatArray:
    """[N, 3, 224, 224] of face patches. Raises InputError for those that are none."""
    return np.stack([appearance_image(faces.aligned_face(crop)) for crop in crops])


def _picture(aligned: Pixels) -> Image.Image:
    side = faces.ALIGNED_SIDE
    if aligned.shape != (side, side, 3) or aligned.dtype != np.uint8:
        raise InputError(
            f"an aligned face must be RGB uint8 [{side}, {side}, 3], not {aligned.dtype} "
            f"{list(aligned.shape)}: make it with faces.aligned_face"
        )
    return Image.fromarray(np.ascontiguousarray(aligned))
