"""Computes the oriented bands of a complex steerable pyramid for MIMAMO-Net.

The published code mirrors the image to twice its size and masks its Fourier transform for each
band. That transform is a cosine transform of the image, and every mask is even in one frequency and
one-sided in the other, so small matrix products give the real and the imaginary part of a band.
They are several times faster than the transforms (bench/motion.py) and equally exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import FloatArray

SIDE = 48  # of an image, pixels
LEVELS = (48, 24)  # sides of the bands, pixels
BANDS = 2  # orientations

_Complex = npt.NDArray[np.complexfloating]


def pyramid_bands(images: FloatArray) -> tuple[_Complex, _Complex]:
    """Returns the bands of gray images [N, 48, 48], 0 to 1.

    The arrays are complex64: [N, 2, 48, 48] for the finest octave and [N, 2, 24, 24] for the next
    coarser one. In each, the first band responds to changes along x, the second to changes along
    y. An image gives the same result in any batch. Raises InputError for another shape.
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise InputError(
            f"gray images must be [N, {SIDE}, {SIDE}], not {list(images.shape)}: "
            "make them with motion.gray_image"
        )
    # No band contains the mean; subtracting it reduces rounding errors.
    centred = images - images.mean((1, 2), keepdims=True)
    spectrum = _COSINES @ centred @ _COSINES.T
    fine, coarse = (_bands(spectrum, level) for level in _LEVELS)
    return fine, coarse


@dataclass(frozen=True)
class _LevelMatrices:
    """Holds the matrices of one level with K frequencies and S pixels.

    ``masks`` [2, K, K] is the gain of each band at the frequencies (y, x), times the number of
    times that the pair occurs. ``even`` [S, K] holds cosines. ``pair`` [K, 2 S] holds sines for the
    real part, then negative cosines for the imaginary part.
    """

    masks: FloatArray
    even: FloatArray
    pair: FloatArray


def _bands(spectrum: FloatArray, level: _LevelMatrices) -> _Complex:
    size = len(level.masks[0])
    side = len(level.even)
    along_x = level.even @ (spectrum[:, :size, :size] * level.masks[0]) @ level.pair
    along_y = level.pair.T @ ((spectrum[:, :size, :size] * level.masks[1]) @ level.even.T)
    bands = np.empty((len(spectrum), BANDS, side, side), np.complex64)
    bands[:, 0].real, bands[:, 0].imag = along_x[..., :side], along_x[..., side:]
    bands[:, 1].real, bands[:, 1].imag = along_y[:, :side], along_y[:, side:]
    return bands


def band_masks() -> list[FloatArray]:
    """Returns the gain of each band as published, with the zero frequency in the centre.

    The arrays are [2, 96, 96] and [2, 48, 48]. The radial gain is a raised cosine over an octave,
    the angular gain half a period of a cosine. Both are interpolated linearly from tables, as in
    the published code.
    """
    axis = np.linspace(-1, 1 - 1 / SIDE, 2 * SIDE)
    x, y = np.meshgrid(axis, axis)
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    radius[SIDE, SIDE] = radius[SIDE, SIDE - 1]
    octave = np.log2(radius)

    at = np.arange(-257, 2) / 256
    high = np.abs(np.cos(np.pi * at / 2))
    high[0], high[-1] = high[1], high[-2]
    low = np.sqrt(1 - high**2)

    turn = np.pi * np.arange(-2049, 1026) / 1024
    in_front = np.abs((turn + np.pi) % (2 * np.pi) - np.pi) < np.pi / 2
    wave = 2 * np.cos(turn) * in_front

    passed = np.interp(octave, at, low)
    masks = []
    for level in range(len(LEVELS)):
        shifted = at - level - 1
        radial = passed * np.interp(octave, shifted, high)
        bands = [np.interp(angle - np.pi * b / BANDS, turn, wave) for b in range(BANDS)]
        masks.append(radial * bands)
        passed = passed * np.interp(octave, shifted, low)
        inner = slice(len(octave) // 4, 3 * len(octave) // 4)
        passed, octave, angle = (m[inner, inner] for m in (passed, octave, angle))
    return masks


def _level(level: int, masks: FloatArray) -> _LevelMatrices:
    size = masks.shape[-1] // 2  # frequencies from zero; the gain at the most negative one is 0
    frequency = np.arange(size)
    # Inverse transform of the mirrored image's spectrum, which is shifted by half a pixel. A pixel
    # of the coarser level covers two pixels of the image.
    phase = np.pi / (2 * SIDE) * np.outer(frequency, 2 * 2**level * np.arange(size) + 1)
    twice = np.where(frequency > 0, 2, 1)  # counts the negative frequency on the even axis
    scale = 4 / (2 * size) ** 2
    quadrants = scale * masks[:, size:, size:]
    quadrants[0] *= twice[:, None]
    quadrants[1] *= twice
    return _LevelMatrices(
        quadrants.astype(np.float32),
        np.cos(phase).T.astype(np.float32, order="C"),
        np.hstack([np.sin(phase), -np.cos(phase)]).astype(np.float32),
    )


_COSINES = np.cos(np.pi / (2 * SIDE) * np.outer(np.arange(SIDE), 2 * np.arange(SIDE) + 1)).astype(
    np.float32
)
_LEVELS = [_level(level, masks) for level, masks in enumerate(band_masks())]
