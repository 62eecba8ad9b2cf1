"""Reads pictures, and changes them in known ways."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from face_perception.types import Image

GRAY = 127


def read_picture(path: Path) -> Image:
    """Returns RGB uint8 [H, W, 3]. Raises ValueError if the file is not a picture."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is not a picture that OpenCV can read")
    return np.ascontiguousarray(image[..., ::-1])


def no_larger_than(image: Image, side: int) -> Image:
    """Returns the picture, shrunk until its longer side has at most ``side`` pixels."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def with_width(image: Image, width: int) -> Image:
    """Returns the picture, scaled to a width of ``width`` pixels."""
    scale = width / image.shape[1]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=how))


def with_margin(image: Image) -> Image:
    """Returns the picture in the middle of a gray one of twice its width and height."""
    height, width = image.shape[:2]
    return np.asarray(
        cv2.copyMakeBorder(
            image,
            *(height // 2, height // 2, width // 2, width // 2),
            cv2.BORDER_CONSTANT,
            value=(GRAY,) * 3,
        )
    )


def darkened(image: Image, share: float, noise: float, random: np.random.Generator) -> Image:
    """Returns ``share`` of the picture's light, with normal noise of ``noise`` gray levels."""
    dark = image.astype(np.float32) * share + random.normal(0, noise, image.shape)
    return np.clip(np.rint(dark), 0, 255).astype(np.uint8)


def turned(image: Image, angle: float) -> Image:
    """Returns the picture, turned clockwise by ``angle`` radians, whole, on a larger square."""
    height, width = image.shape[:2]
    side = math.ceil(math.hypot(height, width))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -math.degrees(angle), 1.0)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    return np.asarray(
        cv2.warpAffine(
            image, turn, (side, side), borderMode=cv2.BORDER_CONSTANT, borderValue=(GRAY,) * 3
        )
    )
