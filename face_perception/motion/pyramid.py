"""The oriented bands of a complex steerable pyramid, as MIMAMO-Net takes them from a face.

Published: the image is mirrored to twice its size, and each band is a masked Fourier transform of
it. The transform of a mirrored image is a cosine transform of the image, and every mask is even in
one frequency and one-sided in the other: so a band is real and imaginary part of small products of
matrices. These are several times faster than the transforms (bench/motion.py), and as exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import FloatArray

SIDE = 48
LEVELS = (48, 24)  # sides of the bands
BANDS = 2

_Complex = npt.NDArray[np.complexfloating]


def pyramid_bands(images: FloatArray) -> tuple[_Complex, _Complex]:
    """Gray images [N, 48, 48], 0 to 1 -> bands complex64 [N, 2, 48, 48] and [N, 2, 24, 24].

    The first is of the frequencies up to the finest, the second an octave below. In each, the first
    band sees change along x, the second along y. The result of an image does not depend on which
    others come with it. Raises InputError for another shape.
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise InputError(
            f"gray images must be [N, {SIDE}, {SIDE}], not {list(images.shape)}: "
            "make them with motion.gray_image"
        )
    # No band has the mean; without it less is lost in the sums.
    centred = images - images.mean((1, 2), keepdims=True)
    spectrum = _COSINES @ centred @ _COSINES.T
    fine, coarse = (_bands(spectrum, level) for level in _LEVELS)
    return fine, coarse


@dataclass(frozen=True)
class _Level:
    """Matrices of one level with K frequencies and S pixels.

    ``masks`` [2, K, K] have what the band passes of each frequency pair (y, x), times how often
    the pair occurs; ``even`` [S, K] cosines; ``pair`` [K, 2 S] sines, then negative cosines: of
    real and imaginary part.
    """

    masks: FloatArray
    even: FloatArray
    pair: FloatArray


def _bands(spectrum: FloatArray, level: _Level) -> _Complex:
    size = len(level.masks[0])
    side = len(level.even)
    along_x = level.even @ (spectrum[:, :size, :size] * level.masks[0]) @ level.pair
    along_y = level.pair.T @ ((spectrum[:, :size, :size] * level.masks[1]) @ level.even.T)
    bands = np.empty((len(spectrum), BANDS, side, side), np.complex64)
    bands[:, 0].real, bands[:, 0].imag = along_x[..., :side], along_x[..., side:]
    bands[:, 1].real, bands[:, 1].imag = along_y[:, :side], along_y[:, side:]
    return bands


def band_masks() -> list[FloatArray]:
    """What each band passes, as published: [2, 96, 96] and [2, 48, 48], zero frequency centred.

    Radial masks are raised cosines over an octave, angular ones a half-wave of a cosine; both from
    tables with linear interpolation, which is part of the published numbers.
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


def _level(level: int, masks: FloatArray) -> _Level:
    size = masks.shape[-1] // 2  # frequencies from zero on; the most negative one passes nothing
    frequency = np.arange(size)
    # The inverse transform of the mirrored image's spectrum, whose phase is half a pixel; a pixel
    # of a coarser level is two of the image.
    phase = np.pi / (2 * SIDE) * np.outer(frequency, 2 * 2**level * np.arange(size) + 1)
    twice = np.where(frequency > 0, 2, 1)  # positive and negative frequency, on the even axis
    scale = 4 / (2 * size) ** 2
    quadrants = scale * masks[:, size:, size:]
    quadrants[0] *= twice[:, None]
    quadrants[1] *= twice
    return _Level(
        quadrants.astype(np.float32),
        np.cos(phase).T.astype(np.float32, order="C"),
        np.hstack([np.sin(phase), -np.cos(phase)]).astype(np.float32),
    )


_COSINES = np.cos(np.pi / (2 * SIDE) * np.outer(np.arange(SIDE), 2 * np.arange(SIDE) + 1)).astype(
    np.float32
)
_LEVELS = [_level(level, masks) for level, masks in enumerate(band_masks())]
