"""Computes mel-frequency cepstral coefficients (Davis and Mermelstein 1980), for networks.

The variant is that of the Python package python_speech_features with its defaults, which networks
such as LR-ASD were trained on: pre-emphasis 0.97, no window function, 26 filters, lifter 22, and
the log energy in place of the first coefficient.
"""

from __future__ import annotations

import functools

import numpy as np

from face_perception.types import FloatArray

MFCC_RATE = 16_000  # hertz
MFCC_STEP = 160  # samples between two frames
MFCC_WINDOW = 400  # samples of a frame
_SPECTRUM = 512
_FILTERS, _KEPT, _LIFTER = 26, 13, 22
_EMPHASIS = 0.97
_FULL_SCALE = 32768.0  # the networks take samples of 16 bits


def mfcc_frames(samples: FloatArray, before: float = 0.0) -> FloatArray:
    """Returns the coefficients of all whole frames of sound [S] (16 kHz, -1 to 1): float64 [N, 13].

    Frame k is that of the samples from 160 k to 160 k + 400. ``before`` is the sample that comes
    before the first one.
    """
    count = max(0, (len(samples) - MFCC_WINDOW) // MFCC_STEP + 1)
    if not count:
        return np.zeros((0, _KEPT))
    scaled = samples.astype(np.float64) * _FULL_SCALE
    shifted = np.concatenate([[before * _FULL_SCALE], scaled[:-1]])
    emphasised = scaled - _EMPHASIS * shifted
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, MFCC_WINDOW)[::MFCC_STEP][:count]
    power = np.abs(np.fft.rfft(frames, _SPECTRUM)) ** 2 / _SPECTRUM
    least = np.finfo(np.float64).eps
    bands = np.log(_at_least(power @ _filters().T, least))
    found: FloatArray = bands @ _cosines() * _lifter()
    found[:, 0] = np.log(_at_least(power.sum(1), least))
    return found


def _at_least(values: FloatArray, least: float) -> FloatArray:
    """Replaces zeros, whose logarithm does not exist."""
    return np.where(values == 0, least, values)


@functools.cache
def _filters() -> FloatArray:
    """Returns triangular filters [26, 257] between whole bins, equally wide in mel."""
    top = 2595 * np.log10(1 + MFCC_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _FILTERS + 2) / 2595) - 1)
    edges = np.floor((_SPECTRUM + 1) * hertz / MFCC_RATE)
    bins = np.arange(_SPECTRUM // 2 + 1)
    made = np.zeros((_FILTERS, len(bins)))
    for k, (left, middle, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising, falling = (bins >= left) & (bins < middle), (bins >= middle) & (bins < right)
        made[k, rising] = (bins[rising] - left) / (middle - left)
        made[k, falling] = (right - bins[falling]) / (right - middle)
    return made


@functools.cache
def _cosines() -> FloatArray:
    """Returns the orthonormal discrete cosine transform [26, 13] (type II)."""
    bands, kept = np.arange(_FILTERS)[:, None], np.arange(_KEPT)
    made: FloatArray = np.cos(np.pi * kept * (2 * bands + 1) / (2 * _FILTERS))
    made *= np.sqrt(2 / _FILTERS)
    made[:, 0] /= np.sqrt(2)
    return made


@functools.cache
def _lifter() -> FloatArray:
    made: FloatArray = 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_KEPT) / _LIFTER)
    return made
