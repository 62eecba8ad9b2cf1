"""Keeps the sound that was played, so that it can be looked up by time."""

from __future__ import annotations

import numpy as np
import soxr

from face_perception.speech.audio_chunks import AudioChunk, AudioSamples
from face_perception.speech.echo.stamp_clock import StampClock

_KEPT = 3.0  # seconds
_CONTINUES = 0.02  # seconds by which the stamp of a chunk that continues the sound may be off
_JITTER = 2e-4  # seconds by which a stamp usually is off: it is that of the loudspeaker's clock


class PlayedSound:
    """Holds the last seconds of a loudspeaker at ``rate`` (hertz), silent where nothing was played.

    >>> played = PlayedSound(16_000)
    >>> played.push(AudioChunk(10.0, 16_000, np.full(160, 0.5, np.float32)))
    >>> first = round(played.number_at(9.99))
    >>> played.read(first, 320).tolist() == [0.0] * 160 + [0.5] * 160
    True
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._samples = np.zeros(round(_KEPT * rate), np.float32)
        self._total = 0  # number of samples so far; the last ones are kept
        self._clock = StampClock(_JITTER)
        self._begun = False
        self._before = 0.0  # seconds of the last chunk
        self._source = 0
        self._resampler: soxr.ResampleStream | None = None

    @property
    def end(self) -> float:
        """The time at which the sound so far ends, seconds; minus infinity before any."""
        return self._clock.time + self._before * self._clock.rate if self._begun else -np.inf

    @property
    def clock_rate(self) -> float:
        """How many true seconds pass in one second of the sound."""
        return self._clock.rate

    def push(self, chunk: AudioChunk) -> None:
        """Appends a chunk, whose stamp is the time at which its first sample is heard."""
        if not len(chunk.samples):
            return
        if not abs(chunk.stamp - self.end) <= _CONTINUES or chunk.rate != self._source:
            self._begin(chunk)
        else:
            self._clock.follow(self._before, chunk.stamp)
        self._append(chunk.samples)

    def number_at(self, time: float) -> float:
        """Returns the number of the sample that is heard at a time (seconds); NaN before any."""
        if not self._begun:
            return np.nan
        return self._total + (time - self.end) * self._rate / self._clock.rate

    def read(self, first: int, count: int) -> AudioSamples:
        """Returns ``count`` samples from the one with the number ``first`` on."""
        out = np.zeros(count, np.float32)
        first -= self._total - len(self._samples)
        begin, end = max(first, 0), min(first + count, len(self._samples))
        if begin < end:
            out[begin - first : end - first] = self._samples[begin:end]
        return out

    def read_between(self, first: float, count: int) -> AudioSamples:
        """Returns ``count`` samples from a place between samples on (cubic interpolation)."""
        whole = int(np.floor(first))
        samples, part = self.read(whole - 1, count + 3), first - whole
        weights = (
            -part * (part - 1) * (part - 2) / 6,
            (part + 1) * (part - 1) * (part - 2) / 2,
            -(part + 1) * part * (part - 2) / 2,
            (part + 1) * part * (part - 1) / 6,
        )
        made = sum(weight * samples[k : k + count] for k, weight in enumerate(weights))
        return np.asarray(made, np.float32)

    def _begin(self, chunk: AudioChunk) -> None:
        """Begins sound that does not continue the sound so far: silence lies between."""
        silence = (chunk.stamp - self.end) * self._rate
        known = 0 <= silence < len(self._samples)
        self._shift(np.zeros(round(silence) if known else len(self._samples), np.float32))
        self._clock.begin(chunk.stamp)
        self._begun = True
        self._source = chunk.rate
        # "QQ" is the only quality that holds nothing back. The aliases of hisses do not matter.
        self._resampler = (
            soxr.ResampleStream(chunk.rate, self._rate, 1, dtype="float32", quality="QQ")
            if chunk.rate != self._rate
            else None
        )

    def _append(self, samples: AudioSamples) -> None:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        self._shift(samples)
        self._before = len(samples) / self._rate

    def _shift(self, samples: AudioSamples) -> None:
        self._total += len(samples)
        self._samples = np.concatenate([self._samples, samples])[-len(self._samples) :]
