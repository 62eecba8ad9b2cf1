"""Images for tests of faces: the sample photographs, whole, or faces cut out and moved."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.inference import sample_photo
from face_perception.types import Camera, Frame, Image

# Middle and height of the face in the photograph.
_FACES = {"astronaut": ((224, 122), 108), "grace_hopper": ((265, 220), 195)}


@functools.cache
def photo(name: str) -> Image:
    """Returns a sample photograph, RGB uint8 [H, W, 3]."""
    image = cv2.imread(str(sample_photo(name)))
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def frame(image: Image, stamp: float = 0.0) -> Frame:
    return Frame(image, stamp, Camera.assume(image.shape[1], image.shape[0]))


@functools.cache
def _cutout(name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    image = photo(name)
    centre, height = _FACES[name]
    opacity = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(opacity, centre, (int(0.62 * height), int(0.85 * height)), 0, 0, 360, 1.0, -1)
    opacity = cv2.GaussianBlur(opacity, (0, 0), 0.02 * height)
    return image * opacity[..., None], opacity


@functools.lru_cache(maxsize=8)  # 4 MB each
def _blurred_cutout(
    name: str, sigma: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    colours, opacity = _cutout(name)
    if not sigma:
        return colours, opacity
    return cv2.GaussianBlur(colours, (0, 0), sigma), cv2.GaussianBlur(opacity, (0, 0), sigma)


def paste(canvas: Image, name: str, x: float, y: float, height: float, angle: float = 0) -> None:
    """Pastes a face with its hair: middle and height in pixels, degrees clockwise."""
    centre, own_height = _FACES[name]
    matrix = cv2.getRotationMatrix2D(centre, -angle, height / own_height)
    matrix[:, 2] += np.array([x, y]) - centre
    reach = int(height)
    left, top = max(0, int(x) - reach), max(0, int(y) - reach)
    part = canvas[top : int(y) + reach, left : int(x) + reach]
    if part.size == 0:
        return
    matrix[:, 2] -= (left, top)
    # Shrinking by warping alone would alias.
    blur = 0.5 * max(0.0, own_height / height - 1)
    colours, opacity = _blurred_cutout(name, blur if blur > 0.2 else 0.0)
    size = (part.shape[1], part.shape[0])
    over = cv2.warpAffine(colours, matrix, size)
    share = cv2.warpAffine(opacity, matrix, size)[..., None]
    part[:] = np.clip(part * (1 - share) + over, 0, 255).astype(np.uint8)


def wall(width: int = 640, height: int = 480) -> Image:
    """Returns an empty background with slight noise."""
    return _wall(width, height).copy()


@functools.cache
def _wall(width: int, height: int) -> Image:
    rng = np.random.default_rng(0)
    tones = rng.uniform(80, 170, (4, 6, 3)).astype(np.float32)
    smooth = cv2.resize(tones, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 2, smooth.shape), 0, 255).astype(np.uint8)
