"""Computes phase differences: the motion input of MIMAMO-Net (Deng et al. 2020).

For a new image only its own pyramid is computed. Unwrapping depends on the other images of a window
and is done for each window, with an extra blur only where a phase was corrected.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.motion.pyramid import BANDS, LEVELS, pyramid_bands
from face_perception.types import FloatArray

HALF_WINDOW = 6  # images of a window before and after the one in its middle
PHASE_WINDOW = 2 * HALF_WINDOW + 1
_CHANNELS = BANDS * (PHASE_WINDOW - 1)

_TINY = np.float32(1e-10)  # added to magnitudes, as published, to avoid a division by zero
_MOST = np.float32(5 * np.pi)  # radians, to which differences are clipped
_SIGMA, _REACH = 2.0, 5  # pixels; standard deviation and half width of the Gaussian blur
_TURN = np.float32(-2 * np.pi)


@dataclass(frozen=True, slots=True)
class _LevelPhase:
    """Holds one pyramid level of one image; each array is [2, S, S].

    ``phase`` is in radians, ``weight`` the blurred magnitude, and ``blurred`` the phase blurred
    with the magnitude as weight.
    """

    phase: FloatArray
    magnitude: FloatArray
    weight: FloatArray
    blurred: FloatArray


ImagePhase = tuple[_LevelPhase, ...]


def image_phases(images: FloatArray) -> list[ImagePhase]:
    """Returns the phases of each gray image [N, 48, 48], 0 to 1, for ``phase_differences``.

    Raises InputError for another shape.
    """
    levels = pyramid_bands(images)
    measured = [_level_phases(bands, blur) for bands, blur in zip(levels, _BLURS, strict=True)]
    return list(zip(*measured, strict=True))


def phase_differences(
    window: Sequence[ImagePhase], *, one_sided: bool = True
) -> tuple[FloatArray, ...]:
    """Returns the phase differences between the 13 images of a window, in radians.

    The arrays are float32 [24, 48, 48] and [24, 24, 24]. Their channels are the 12 differences of
    the first band, then those of the second. The mean over the image is subtracted from each
    difference, and the result is clipped to +-5 pi. The published unwrapping (``one_sided``)
    corrects only jumps above pi; otherwise jumps below -pi are corrected too, which the released
    weights were not trained with. Raises InputError if there are not 13 images.
    """
    if len(window) != PHASE_WINDOW:
        raise InputError(f"a window must have {PHASE_WINDOW} images, not {len(window)}")
    return tuple(
        _level_differences(level, blur, one_sided)
        for level, blur in zip(zip(*window, strict=True), _BLURS, strict=True)
    )


def _window_indices(centre: int, count: int) -> list[int]:
    """Returns the images of the window around ``centre`` in a clip of ``count`` images.

    Repeats the first and the last image beyond the ends.
    """
    return [
        min(max(i, 0), count - 1) for i in range(centre - HALF_WINDOW, centre + HALF_WINDOW + 1)
    ]


def clip_phase_differences(images: FloatArray, *, one_sided: bool = True) -> tuple[FloatArray, ...]:
    """Returns the phase differences of all images of a clip [T, 48, 48], gray, 0 to 1.

    The arrays are float32 [T, 24, 48, 48] and [T, 24, 24, 24]; see ``phase_differences``. Windows
    repeat the first and the last image beyond the ends of the clip. Raises InputError for another
    shape.
    """
    measured = image_phases(images)
    found = [
        phase_differences(
            [measured[i] for i in _window_indices(t, len(images))], one_sided=one_sided
        )
        for t in range(len(images))
    ]
    return tuple(np.stack(level) for level in zip(*found, strict=True))


def _level_phases(bands: npt.NDArray[np.complexfloating], blur: FloatArray) -> list[_LevelPhase]:
    phase = np.arctan2(bands.imag, bands.real)
    magnitude = np.sqrt(bands.imag**2 + bands.real**2) + _TINY
    weight = blur @ magnitude @ blur
    blurred = blur @ (magnitude * phase) @ blur / weight
    parts = zip(phase, magnitude, weight, blurred, strict=True)
    return [_LevelPhase(*of_image) for of_image in parts]


def _level_differences(
    window: Sequence[_LevelPhase], blur: FloatArray, one_sided: bool
) -> FloatArray:
    phase = np.stack([image.phase for image in window])
    change = phase[1:] - phase[:-1]
    jumps = (change >= np.pi).astype(np.float32)
    if not one_sided:
        jumps -= change <= -np.pi
    blurred = np.stack([image.blurred for image in window])
    if jumps.any():
        first = int(jumps.any((1, 2, 3)).argmax())
        turned: FloatArray = jumps[first:]
        for before, after in itertools.pairwise(turned):
            after += before
        turned *= np.stack([image.magnitude for image in window[first + 1 :]])
        turned = blur @ turned @ blur
        turned /= np.stack([image.weight for image in window[first + 1 :]])
        blurred[first + 1 :] += _TURN * turned
    found = blurred[1:] - blurred[:-1]
    found -= found.mean((2, 3), keepdims=True)
    np.clip(found, -_MOST, _MOST, out=found)
    return np.ascontiguousarray(found.swapaxes(0, 1)).reshape(_CHANNELS, *phase.shape[2:])


def _blur(side: int) -> FloatArray:
    """Returns one axis of an 11 x 11 Gaussian as a matrix [side, side], not normalized."""
    distance = np.subtract.outer(np.arange(side), np.arange(side))
    weights = np.exp(-(distance**2) / (2 * _SIGMA**2)) * (np.abs(distance) <= _REACH)
    return weights.astype(np.float32)


_BLURS = [_blur(side) for side in LEVELS]
