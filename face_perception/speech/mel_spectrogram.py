"""Computes log-mel spectrograms as whisper takes them (Radford et al. 2022, section 2.2)."""

from __future__ import annotations

import functools

import numpy as np

from face_perception.types import FloatArray

RATE = 16000  # hertz
HOP = 160  # samples a frame: 100 frames a second
MELS = 80
_WINDOW = 400  # samples
_TOP = 8000.0  # hertz; upper edge of the last band


def log_mel(samples: FloatArray, frames: int | None = None, *, least: float = -10.0) -> FloatArray:
    """Returns the log-mel spectrogram of speech [S] (16 kHz, -1 to 1), float32 [80, frames].

    With ``frames`` (3000 for whisper's 30 s) the speech is padded with silence, or cut, to this
    length. With None all whole frames are computed. Values are log10 of the power, floored at 8
    below the largest value (or below ``least``, if that is larger), then scaled to about -1 to 1.
    """
    count = len(samples) // HOP if frames is None else frames
    padded = np.zeros(max(len(samples) if frames is None else count * HOP, 1), np.float32)
    given = samples[: len(padded)]
    padded[: len(given)] = given
    centred = np.pad(padded, _WINDOW // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(centred, _WINDOW)[::HOP][:count]
    power = np.abs(np.fft.rfft(windows * _hann(), axis=1)) ** 2
    logarithm = np.log10(np.maximum(power @ mel_filters().T, 1e-10))
    floored = np.maximum(logarithm, logarithm.max(initial=least) - 8.0)
    scaled: FloatArray = ((floored + 4.0) / 4.0).T.astype(np.float32)
    return scaled


@functools.cache
def mel_filters() -> FloatArray:
    """Returns the filters [80, 201] of whisper's spectrogram."""
    return triangular_filters(MELS, _WINDOW, 0.0, _TOP)


def triangular_filters(count: int, window: int, lowest: float, highest: float) -> FloatArray:
    """Returns ``count`` triangular filters of area 1, on the mel scale of Slaney's toolbox.

    [count, window // 2 + 1], from ``lowest`` to ``highest`` hertz, for spectra of ``window``
    samples at 16 kHz.
    """
    ends = (_mel(np.array(lowest)), _mel(np.array(highest)))
    edges = _hertz(np.linspace(*ends, count + 2))
    bins = np.linspace(0.0, RATE / 2, window // 2 + 1)
    slopes = edges[:, None] - bins
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0.0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    made: FloatArray = triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return made


@functools.cache
def _hann() -> FloatArray:
    made: FloatArray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    return made


# The scale is linear up to 1 kHz (15 mels), then logarithmic with 27 mels for a factor of 6.4.
_KNEE_HZ, _KNEE_MEL, _STEP = 1000.0, 15.0, np.log(6.4) / 27.0


def _mel(hertz: FloatArray) -> FloatArray:
    above = _KNEE_MEL + np.log(np.maximum(hertz, 1e-9) / _KNEE_HZ) / _STEP
    mel: FloatArray = np.where(hertz < _KNEE_HZ, hertz * _KNEE_MEL / _KNEE_HZ, above)
    return mel


def _hertz(mel: FloatArray) -> FloatArray:
    above = _KNEE_HZ * np.exp(_STEP * (mel - _KNEE_MEL))
    hertz: FloatArray = np.where(mel < _KNEE_MEL, mel * _KNEE_HZ / _KNEE_MEL, above)
    return hertz
