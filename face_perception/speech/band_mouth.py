"""Estimates mouth shapes from the levels of a few frequency bands, without a network.

Measures how loud, how bright and how voiced speech is, relative to the speaker, but does not
recognise sounds: the jaw follows the syllables, and the lips roughly follow the vowels.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.speech.audio_chunks import AudioSamples, checked_samples
from face_perception.speech.lip_speed_limit import LipSpeedLimit
from face_perception.speech.mouth_shape_track import MouthShapeTrack
from face_perception.speech.mouth_shapes import MOUTH_RATE, MouthShape
from face_perception.speech.steady_sound import SteadySound

FloatArray = npt.NDArray[np.float64]

_HOP = 160  # samples between two frames: 10 ms
_WINDOW = 512  # samples of a frame: 32 ms, two periods of a deep voice
_SMOOTH = 3  # frames on either side over which shapes are smoothed
# Frames by which the smoothed shapes are early. The limited speed of the lips makes them as late.
_EARLY = 2
_AHEAD = 3  # frames by which the mouth opens before a voice begins
_NEAR = 6  # earlier frames that are searched for the loudest level around a frame
_PERIOD = _HOP / MOUTH_RATE

# Edges of the bands, hertz: voice and first formant of closed vowels; first formant of open vowels;
# second formant of back vowels; second formant of front vowels; hiss.
_EDGES = (100, 450, 1100, 1900, 3600, 7600)
_HISS = 4

_VOICED = 0.42  # periodicity above which a frame is voiced; that of noise stays below 0.3
_ONSET = 2  # consecutive voiced frames with which a voice begins
# Share of the power in one spectral line above which a sound is a tone or a whistle. In a recording
# of a high voice, 5 % of the voiced frames have more than 0.9 and 1 % more than 0.97.
_ONE_LINE = 0.96
_HOLD = 18  # frames for which speech lasts after the last voiced frame
_FLOOR_OVER = 200  # frames; the quietest of them is the noise floor
_FLOOR_RISE = 0.04  # share by which the noise floor rises each frame if all of them were louder
_ABOVE_FLOOR = 8.0  # dB above the noise floor at which the mouth begins to open
_SILENT = -84.0  # dB of full scale below which there is no speech; the noise of 16 bits is lower
_RANGE = 26.0  # dB below the speaker's loud vowels at which the mouth is closed
# Level of the loud vowels of a speaker who is not known yet: _LOUD_ABOVE dB above the first voiced
# frame, but at most _LOUD_START dB of full scale.
_LOUD_ABOVE, _LOUD_START = 10.0, -26.0
_LOUD_FALL = 8.0 * _PERIOD  # dB per frame by which that level falls while the speaker is quieter
_LOUD_RISE = 0.25  # share of the difference by which that level rises each frame
_JAW_MOST = 0.75  # jaw of a loud open vowel; more is shouting
_LEARN = 0.01  # share by which the speaker's usual spectrum is updated each frame

# Usual spectrum before the speaker is known: each band relative to the mean of the first four, dB.
_USUAL = (7.0, 3.0, -3.0, -7.0, -12.0)


@dataclass(slots=True)
class _AudioFrame:
    """Holds the measures of one frame. Levels are in dB of full scale."""

    level: float  # of the first four bands
    bands: FloatArray  # [5]
    voiced: bool  # in a run of at least _ONSET voiced frames
    floor: float  # noise floor
    loud: float  # level of the speaker's loud vowels
    usual: FloatArray  # [5] dB; the speaker's usual spectrum


class BandMouth:
    """Estimates mouth shapes (``Mouth``) from band levels, relative to the speaker's loudness.

    The lips open only for voices, also for quiet ones (speech of -61 dB of full scale, RMS). Hiss,
    fans and white noise do not move them at any level, and neither do tones, buzzes and hums: a
    voice changes (see ``SteadySound``) and has more than one spectral line. Music moves them. The
    result does not depend on how the samples are split into calls. ``tuck`` is always 0, because an
    /f/ cannot be recognised.

    >>> mouth = BandMouth()
    >>> mouth.push_samples(np.zeros(8000, np.float32))
    >>> mouth.shape_at(0.2).jaw
    0.0
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
        # The autocorrelation of the window function, which damps that of a periodic signal.
        own = np.fft.irfft(np.abs(np.fft.rfft(self._hann, 2 * _WINDOW)) ** 2)
        self._lags = slice(MOUTH_RATE // 400, MOUTH_RATE // 70)
        self._own = own[self._lags] / own[0]
        kernel = np.hanning(2 * (_SMOOTH - _EARLY) + 3)[1:-1]
        self._kernel = np.pad(kernel / kernel.sum(), (2 * _EARLY, 0))
        self.reset()

    def reset(self) -> None:
        """Forgets the stream and the speaker; the next sample is at time 0."""
        # Begin with silence, so that the first sample is in the middle of the first window.
        self._samples = np.zeros(_WINDOW // 2, np.float32)
        self._frames: deque[_AudioFrame] = deque(maxlen=_AHEAD + _NEAR + 1)
        self._frame_count = 0
        self._quiet: deque[float] = deque(maxlen=_FLOOR_OVER)
        self._floor = -90.0
        self._loud = _LOUD_START
        self._usual = np.array(_USUAL)
        self._known = False  # whether the speaker has been heard
        self._run = 0
        self._steady = SteadySound()
        self._since_voice = _HOLD + 1
        self._raw: deque[FloatArray] = deque(maxlen=2 * _SMOOTH + 1)
        self._limit = LipSpeedLimit(_PERIOD)
        self._wanted = MouthShapeTrack(_PERIOD)
        self._track = MouthShapeTrack(_PERIOD)

    def push_samples(self, samples: AudioSamples) -> None:
        """Takes the next samples: float32 [N], mono, 16 kHz, in [-1, 1]; N may be 0.

        Samples that are not finite count as 0. Raises InputError for another shape or type.
        """
        self._samples = np.concatenate([self._samples, checked_samples(samples)])
        begin = 0
        while begin + _WINDOW <= len(self._samples):
            self._add_frame(self._samples[begin : begin + _WINDOW].astype(np.float64))
            begin += _HOP
        self._samples = self._samples[begin:]

    def shape_at(self, time: float) -> MouthShape:
        """Returns the shape at ``time`` (seconds); see ``Mouth``. Keeps one minute of shapes."""
        return self._track.at(time)

    @property
    def wanted(self) -> MouthShapeTrack:
        """Returns the final shapes, 10 ms apart, before their speed is limited."""
        return self._wanted

    def _add_frame(self, window: FloatArray) -> None:
        """Measures one frame, and updates noise floor and speaker."""
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
        # A sound that is not clearly above the noise floor belongs to the noise.
        audible = level > max(self._floor + _ABOVE_FLOOR, _SILENT)
        changing = self._steady.is_changing(bands, level, audible=audible)
        periodic = audible and changing and self._periodicity(window) > _VOICED
        self._run = self._run + 1 if periodic else 0
        voiced = self._run >= _ONSET
        if voiced:
            if not self._known:
                self._loud = min(_LOUD_START, level + _LOUD_ABOVE)
                self._known = True
            rise = level - self._loud
            self._loud += _LOUD_RISE * rise if rise > 0 else max(rise, -_LOUD_FALL)
            if level > self._loud - 15:
                relative = bands - bands[:_HISS].mean()
                self._usual = self._usual + _LEARN * (relative - self._usual)
        self._frames.append(_AudioFrame(level, bands, voiced, self._floor, self._loud, self._usual))
        self._frame_count += 1
        self._add_shape()

    def _periodicity(self, window: FloatArray) -> float:
        """Returns 0 for noise to 1 for a signal with an exact period of 2.5 to 14 ms."""
        # Use differences, because noise with more bass than treble would look periodic.
        flat = np.diff(window, prepend=window[0]) * self._hann
        power = np.abs(np.fft.rfft(flat, 2 * _WINDOW)) ** 2
        correlation = np.fft.irfft(power)
        if correlation[0] < 1e-13:
            return 0.0
        # Its main lobe is four bins of the window wide, and the spectrum is twice as fine.
        line = int(power.argmax())
        if power[max(0, line - 5) : line + 6].sum() > _ONE_LINE * power.sum():
            return 0.0
        found = correlation[self._lags] / correlation[0] / np.maximum(self._own, 0.2)
        return float(found.max())

    def _add_shape(self) -> None:
        """Computes the shape of the frame ``_AHEAD`` ago, and adds the smoothed one before it."""
        if self._frame_count <= _AHEAD:
            return
        frames = self._frames
        now = frames[-1 - _AHEAD]
        # The mouth opens shortly before a voice begins.
        if now.voiced or any(frames[-1 - k].voiced for k in range(_AHEAD)):
            self._since_voice = 0
        else:
            self._since_voice += 1
        around = [frames[-1 - k].level for k in range(min(len(frames), _AHEAD + _NEAR + 1))]
        talking = self._since_voice <= _HOLD
        self._raw.append(_raw_shape(now, max(around)) if talking else np.zeros(6))
        have = len(self._raw)
        if have <= _SMOOTH:
            return
        # Before the stream begins the mouth is at rest.
        missing = 2 * _SMOOTH + 1 - have
        rows = np.zeros((2 * _SMOOTH + 1, 6))
        rows[missing:] = self._raw
        smooth = (self._kernel[:, None] * rows).sum(0)
        wanted = np.where(smooth < 1e-3, 0.0, smooth)
        self._wanted.append(wanted)
        self._track.append(self._limit.follow(wanted))


def _raw_shape(heard: _AudioFrame, near: float) -> FloatArray:
    """Returns the weights [6] of a frame, in the order of ``MouthShape``, before smoothing.

    ``near`` is the loudest level from 60 ms before to 30 ms after the frame, dB.
    """
    low = max(heard.loud - _RANGE, heard.floor + _ABOVE_FLOOR, _SILENT)
    room = max(heard.loud - low, 6.0)
    over = min(max((heard.level - low) / room, 0.0), 1.15)
    opening = over**1.6
    colour = heard.bands - heard.bands[:_HISS].mean() - heard.usual
    open_vowel = _between(colour[1] - colour[0], -6.0, 6.0)
    front = _between(colour[3] - 0.5 * (colour[1] + colour[2]), 0.0, 9.0)
    back = _between(0.5 * (colour[0] + colour[1]) - 0.5 * (colour[2] + colour[3]), 1.0, 10.0)
    hiss_level = heard.bands[_HISS] - max(heard.loud - 34.0, heard.floor + _ABOVE_FLOOR, _SILENT)
    hiss = _between(hiss_level, 0.0, 14.0) * _between(heard.bands[_HISS] - heard.level, -6.0, 3.0)
    # Between two vowels the level falls while the lips meet.
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
    """Returns 0 at ``low`` and below, 1 at ``high`` and above, linear in between."""
    return min(max((float(value) - low) / (high - low), 0.0), 1.0)
