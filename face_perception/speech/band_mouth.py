"""A mouth by signal processing: levels of a few frequency bands, against the speaker's own. Nothing
trained.

It knows how loud, how bright and how voiced speech is, not which sound it is: the jaw follows the
syllables, the lips hint at the vowels.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.speech.audio_chunks import AudioSamples
from face_perception.speech.mouth_shape_track import MouthShapeTrack, checked_samples
from face_perception.speech.mouth_shapes import MOUTH_RATE, MouthShape

FloatArray = npt.NDArray[np.float64]

_HOP = 160  # samples between two moments: 10 ms
_WINDOW = 512  # 32 ms about a moment: two periods of a deep voice
_SMOOTH = 3  # moments on either side that a shape is smoothed over
_AHEAD = 3  # moments within which a voice that begins opens the mouth
_NEAR = 6  # moments before one that say how loud it is about it
_PERIOD = _HOP / MOUTH_RATE

# Edges of the bands, hertz: voice and first formant of closed vowels; first formant of open ones;
# second formant of back and of front vowels; hiss.
_EDGES = (100, 450, 1100, 1900, 3600, 7600)
_HISS = 4

_VOICED = 0.42  # periodicity from which on a moment is voiced; noise stays below 0.3
_ONSET = 2  # moments in a row that begin a voice
_HOLD = 18  # moments after the last voiced one in which speech goes on
_FLOOR_OVER = 200  # moments whose quietest is the noise
_FLOOR_RISE = 0.04  # share of the way a moment, once they all were louder
_ABOVE_FLOOR = 8.0  # dB over the noise at which a mouth begins to open
_SILENT = -62.0  # dB of full scale: no speech below
_RANGE = 26.0  # dB below the speaker's loud vowels at which the mouth is closed
_LOUD_START = -26.0  # dB, before a speaker is known
_LOUD_FALL = 8.0 * _PERIOD  # dB a moment, while the speaker is quieter than before
_LOUD_RISE = 0.25  # share of the way a moment
_JAW_MOST = 0.75  # of a loud open vowel; more is shouting
_LEARN = 0.01  # share a moment by which the speaker's usual spectrum is learned

# The speaker's usual spectrum before it is known: bands against the mean of the first four, dB.
_USUAL = (7.0, 3.0, -3.0, -7.0, -12.0)


@dataclass(slots=True)
class _Moment:
    """What was heard about one moment."""

    level: float  # dB of full scale, voice bands
    bands: FloatArray  # [5] dB
    voiced: bool  # part of a run of voiced moments
    floor: float
    loud: float
    usual: FloatArray  # [5] dB, of the speaker


class BandMouth:
    """``Mouth`` from band levels, with a gain that follows the speaker.

    Lips open for voices only: a hiss, a fan or white noise, however loud, does not move them, and
    what is as even as noise is learned as noise within two seconds. The result depends on the
    samples alone, not on how they were cut into chunks. ``tuck`` is never used: nothing here tells
    an /f/.
    """

    frame_period = _PERIOD
    look_ahead = (_WINDOW // 2 + (_SMOOTH + _AHEAD) * _HOP) / MOUTH_RATE  # 76 ms

    def __init__(self) -> None:
        self._hann = np.hanning(_WINDOW + 1)[:-1]
        scale = 2 / (self._hann**2).sum() / _WINDOW
        hertz = np.fft.rfftfreq(_WINDOW, 1 / MOUTH_RATE)
        edges = itertools.pairwise(_EDGES)
        self._bands = [np.flatnonzero((hertz >= low) & (hertz < high)) for low, high in edges]
        self._scale = scale
        # What a window's own autocorrelation takes away from that of a periodic signal.
        own = np.fft.irfft(np.abs(np.fft.rfft(self._hann, 2 * _WINDOW)) ** 2)
        self._lags = slice(MOUTH_RATE // 400, MOUTH_RATE // 70)
        self._own = own[self._lags] / own[0]
        kernel = np.hanning(2 * _SMOOTH + 3)[1:-1]
        self._kernel = kernel / kernel.sum()
        self.reset()

    def reset(self) -> None:
        """Forget the stream and the speaker; the next sample is at time zero."""
        # Silence before the stream, so that its first sample is the middle of the first window.
        self._samples = np.zeros(_WINDOW // 2, np.float32)
        self._last = 0.0  # the sample before, for the pre-emphasis
        self._moments: deque[_Moment] = deque(maxlen=_AHEAD + _NEAR + 1)
        self._heard = 0  # moments
        self._quiet: deque[float] = deque(maxlen=_FLOOR_OVER)
        self._floor = -90.0
        self._loud = _LOUD_START
        self._usual = np.array(_USUAL)
        self._run = 0
        self._since_voice = _HOLD + 1
        self._raw: deque[FloatArray] = deque(maxlen=2 * _SMOOTH + 1)
        self._opened = MouthShapeTrack(_PERIOD)

    def push_samples(self, samples: AudioSamples) -> None:
        """The next samples, float32 [N] mono at 16 kHz in [-1, 1]; any N, also none.

        What is not finite counts as silence. Raises InputError for another shape or type.
        """
        self._samples = np.concatenate([self._samples, checked_samples(samples)])
        begin = 0
        while begin + _WINDOW <= len(self._samples):
            self._hear(self._samples[begin : begin + _WINDOW].astype(np.float64))
            begin += _HOP
        self._samples = self._samples[begin:]

    def shape_at(self, time: float) -> MouthShape:
        """The shape at ``time`` seconds; see ``Mouth``. Times more than a minute ago give rest."""
        return self._opened.at(time)

    def _hear(self, window: FloatArray) -> None:
        """One moment: its bands, whether it is voiced, what it says about noise and speaker."""
        spectrum = np.abs(np.fft.rfft(window * self._hann)) ** 2 * self._scale
        power = np.array([spectrum[band].sum() for band in self._bands])
        bands = 10 * np.log10(power + 1e-12)
        level = 10 * math.log10(float(power[:_HISS].sum()) + 1e-12)
        self._quiet.append(level)
        quietest = min(self._quiet)
        if quietest < self._floor:
            self._floor = quietest
        elif len(self._quiet) == _FLOOR_OVER:
            self._floor += _FLOOR_RISE * (quietest - self._floor)
        # A voice that is not far louder than what never stops is part of it.
        audible = level > max(self._floor + _ABOVE_FLOOR, _SILENT)
        periodic = audible and self._periodicity(window) > _VOICED
        self._run = self._run + 1 if periodic else 0
        voiced = self._run >= _ONSET
        if voiced:
            rise = level - self._loud
            self._loud += _LOUD_RISE * rise if rise > 0 else max(rise, -_LOUD_FALL)
            if level > self._loud - 15:
                relative = bands - bands[:_HISS].mean()
                self._usual = self._usual + _LEARN * (relative - self._usual)
        self._moments.append(_Moment(level, bands, voiced, self._floor, self._loud, self._usual))
        self._heard += 1
        self._decide()

    def _periodicity(self, window: FloatArray) -> float:
        """0 for noise to 1 for a perfect period of 2.5 to 14 ms."""
        # Differences: noise with more bass than treble would look periodic.
        flat = np.diff(window, prepend=window[0]) * self._hann
        correlation = np.fft.irfft(np.abs(np.fft.rfft(flat, 2 * _WINDOW)) ** 2)
        if correlation[0] < 1e-10:
            return 0.0
        found = correlation[self._lags] / correlation[0] / np.maximum(self._own, 0.2)
        return float(found.max())

    def _decide(self) -> None:
        """The shape, not smoothed yet, of the moment ``_AHEAD`` ago; then of that before."""
        if self._heard <= _AHEAD:
            return
        moments = self._moments
        now = moments[-1 - _AHEAD]
        # A voice that comes within the next moments opens the mouth already.
        if now.voiced or any(moments[-1 - k].voiced for k in range(_AHEAD)):
            self._since_voice = 0
        else:
            self._since_voice += 1
        around = [moments[-1 - k].level for k in range(min(len(moments), _AHEAD + _NEAR + 1))]
        talking = self._since_voice <= _HOLD
        self._raw.append(_raw_shape(now, max(around)) if talking else np.zeros(6))
        have = len(self._raw)
        if have <= _SMOOTH:
            return
        # Before the stream began there was rest.
        missing = 2 * _SMOOTH + 1 - have
        rows = np.zeros((2 * _SMOOTH + 1, 6))
        rows[missing:] = self._raw
        smooth = (self._kernel[:, None] * rows).sum(0)
        self._opened.append(np.where(smooth < 1e-3, 0.0, smooth))


def _raw_shape(heard: _Moment, near: float) -> FloatArray:
    """[6] in the order of ``MouthShape``.

    ``near``: the loudest level from 60 ms before to 30 ms after, dB.
    """
    low = max(heard.loud - _RANGE, heard.floor + _ABOVE_FLOOR, _SILENT)
    room = max(heard.loud - low, 6.0)
    over = min(max((heard.level - low) / room, 0.0), 1.15)
    # Loudness as it is heard in the middle, and less so at both ends.
    opening = over**1.6
    colour = heard.bands - heard.bands[:_HISS].mean() - heard.usual
    open_vowel = _between(colour[1] - colour[0], -6.0, 6.0)
    front = _between(colour[3] - 0.5 * (colour[1] + colour[2]), 0.0, 9.0)
    back = _between(0.5 * (colour[0] + colour[1]) - 0.5 * (colour[2] + colour[3]), 1.0, 10.0)
    hiss_level = heard.bands[_HISS] - max(heard.loud - 34.0, heard.floor + _ABOVE_FLOOR, _SILENT)
    hiss = _between(hiss_level, 0.0, 14.0) * _between(heard.bands[_HISS] - heard.level, -6.0, 3.0)
    # Lips that meet between two vowels: the level falls and comes back, the treble first.
    dip = _between(near - heard.level, 9.0, 18.0) * (1 - hiss) * float(over > 0)
    jaw = _JAW_MOST * opening * (0.55 + 0.45 * open_vowel) * (1 - 0.6 * hiss) * (1 - 0.35 * back)
    return np.array(
        [
            jaw,
            0.8 * front * min(1.0, 1.5 * over) * (1 - back) + 0.25 * hiss,
            back * min(1.0, 1.6 * over) * (1 - hiss),
            0.8 * dip,
            0.85 * hiss + 0.15 * opening,
            0.0,
        ]
    )


def _between(value: float, low: float, high: float) -> float:
    return min(max((float(value) - low) / (high - low), 0.0), 1.0)
