"""Puts transparent images on a plain ground."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.types import Image

_GROUND = 128  # gray: no edge to light or dark hair


def on_plain_ground(image: npt.NDArray[np.uint8]) -> Image:
    """Returns RGB uint8 [H, W, 3] of RGBA [H, W, 4]: what is transparent is gray, as if not there.

    Works on a band of rows at a time, to need little memory.
    """
    out = np.empty((*image.shape[:2], 3), np.uint8)
    for top in range(0, len(image), 256):
        band = image[top : top + 256].astype(np.uint32)
        alpha = band[..., 3:]
        # Adds half of 255 to round.
        out[top : top + 256] = (band[..., :3] * alpha + _GROUND * (255 - alpha) + 127) // 255
    return out
