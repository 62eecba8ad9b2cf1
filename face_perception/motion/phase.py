"""Phase differences: how the parts of a face move from image to image, as MIMAMO-Net reads them.

A new image costs one pyramid. What of a window depends on its other images is only the unwrapping,
which begins anew with each window: a blur is added where it corrected something.
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

HALF_WINDOW = 6  # images of a window before and after the one that it is about
PHASE_WINDOW = 2 * HALF_WINDOW + 1
CHANNELS = BANDS * (PHASE_WINDOW - 1)

_TINY = np.float32(1e-10)  # published: added to magnitudes, which would else divide zero by zero
_MOST = np.float32(5 * np.pi)
_SIGMA, _REACH = 2.0, 5  # pixels, of the blur; outside is zero
_TURN = np.float32(-2 * np.pi)


@dataclass(frozen=True, slots=True)
class _LevelPhase:
    """Of one level of one image, each [2, S, S]: ``blurred`` is the phase, blurred with magnitude
    for weight, ``weight`` the blurred magnitude.
    """

    phase: FloatArray
    magnitude: FloatArray
    weight: FloatArray
    blurred: FloatArray


ImagePhase = tuple[_LevelPhase, ...]


def image_phases(images: FloatArray) -> list[ImagePhase]:
    """What windows need of each gray image [N, 48, 48], 0 to 1. Raises InputError for others."""
    levels = pyramid_bands(images)
    measured = [_level_phases(bands, blur) for bands, blur in zip(levels, _BLURS, strict=True)]
    return list(zip(*measured, strict=True))


def phase_differences(
    window: Sequence[ImagePhase], *, one_sided: bool = True
) -> tuple[FloatArray, ...]:
    """Phase differences float32 [24, 48, 48] and [24, 24, 24] between the 13 images of a window.

    Channels: the first band's 12 differences, then the second's. Each is less its mean over the
    image, so that a turn of the whole phase does not count, and within 5 pi. The published
    unwrapping corrects only jumps above pi; without ``one_sided`` also those below -pi, which
    trained weights have not seen. Raises InputError where there are not 13 images.
    """
    if len(window) != PHASE_WINDOW:
        raise InputError(f"a window has {PHASE_WINDOW} images, not {len(window)}")
    return tuple(
        _level_differences(level, blur, one_sided)
        for level, blur in zip(zip(*window, strict=True), _BLURS, strict=True)
    )


def window_indices(centre: int, count: int) -> list[int]:
    """The images of the window about ``centre`` where there are ``count``: the ends repeat."""
    return [
        min(max(i, 0), count - 1) for i in range(centre - HALF_WINDOW, centre + HALF_WINDOW + 1)
    ]


def clip_phase_differences(images: FloatArray, *, one_sided: bool = True) -> tuple[FloatArray, ...]:
    """Those of every image of a clip [T, 48, 48]: [T, 24, 48, 48] and [T, 24, 24, 24].

    Windows repeat the first and last image of the clip where they go beyond it.
    """
    measured = image_phases(images)
    found = [
        phase_differences(
            [measured[i] for i in window_indices(t, len(images))], one_sided=one_sided
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
    return np.ascontiguousarray(found.swapaxes(0, 1)).reshape(CHANNELS, *phase.shape[2:])


def _blur(side: int) -> FloatArray:
    """One axis of a Gaussian of 11x11 as a matrix [side, side]; its scale cancels."""
    distance = np.subtract.outer(np.arange(side), np.arange(side))
    weights = np.exp(-(distance**2) / (2 * _SIGMA**2)) * (np.abs(distance) <= _REACH)
    return weights.astype(np.float32)


_BLURS = [_blur(side) for side in LEVELS]
