"""The spectrogram that SyncNet hears: 80 mel bands, 80 columns a second.

Source: Prajwal et al., "Wav2Lip", 2020; LatentSync and MuseTalk use the same.
"""

from __future__ import annotations

import functools

import numpy as np

from face_perception.speech import triangular_filters
from face_perception.types import FloatArray

RATE = 16000  # hertz
COLUMN_RATE = 80  # columns a second
_HOP, _WINDOW, _MELS = RATE // COLUMN_RATE, 800, 80
_LOWEST, _HIGHEST = 55.0, 7600.0  # hertz
_EMPHASIS = 0.97
_LEAST_DB, _REFERENCE_DB, _LARGEST = -100.0, 20.0, 4.0


def sync_mel(samples: FloatArray) -> FloatArray:
    """Returns the spectrogram float32 [80, S // 200 + 1] of speech [S] (16 kHz, -1 to 1).

    Values are decibels, scaled to -4 (at -80 dB and below) to 4.
    """
    given = np.asarray(samples, np.float64)
    emphasised = given - _EMPHASIS * np.concatenate([[0.0], given[:-1]])[: len(given)]
    centred = np.pad(emphasised, _WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(centred, _WINDOW)[::_HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    levels = np.abs(np.fft.rfft(windows * hann, axis=1)) @ _filters().T
    decibels = 20 * np.log10(np.maximum(levels, 10 ** (_LEAST_DB / 20))) - _REFERENCE_DB
    scaled = 2 * _LARGEST * (decibels - _LEAST_DB) / -_LEAST_DB - _LARGEST
    made: FloatArray = np.clip(scaled, -_LARGEST, _LARGEST).T.astype(np.float32)
    return made


@functools.cache
def _filters() -> FloatArray:
    return triangular_filters(_MELS, _WINDOW, _LOWEST, _HIGHEST)
