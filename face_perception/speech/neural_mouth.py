"""Estimates mouth shapes from speech with a small recurrent network on log-mel frames.

The network moves lips and teeth. ``BandMouth`` moves the jaw and closes the mouth in pauses.
"""

from __future__ import annotations

from collections import deque
from types import MappingProxyType

import numpy as np

from face_perception.geometry import smoothstep
from face_perception.inference import Model, ModelError, Purpose, load
from face_perception.speech.audio_chunks import AudioSamples, checked_samples
from face_perception.speech.band_mouth import BandMouth
from face_perception.speech.lip_speed_limit import CLOSES_AHEAD, LipSpeedLimit, closing_in_time
from face_perception.speech.mel_spectrogram import mel_filters
from face_perception.speech.mouth_shape_track import MouthShapeTrack
from face_perception.speech.mouth_shapes import MOUTH_RATE, MouthShape
from face_perception.types import FloatArray

TRAINED = "trained"  # name of the network that the package contains
MOUTH_CARD = "resources/speech/mouth.yaml"  # its card
MOUTH_NETWORKS = Purpose(
    lambda card: _DELAY in card.facts,
    "`face-perception train mouth`",
    MappingProxyType({TRAINED: MOUTH_CARD}),
    ("bands",),
)
_DELAY = "delay_frames"  # fact of the card of a mouth network

_HOP = 160  # samples between two frames: 10 ms
_LONGEST_DELAY = 100  # frames that a mouth network may look ahead: 1 s
_WINDOW = 400  # samples of a frame: 25 ms
_SPEAKING = 0.06  # largest weight of the band mouth above which the network's weights count in full
_FULL = 0.3  # jaw of the band mouth above which teeth and rounding count in full
# The weight ``press`` is reduced as the band mouth's jaw rises from _OPEN_FROM, by the share _APART
# at _OPEN_AT. With unfamiliar voices the network half closes the lips in loud vowels.
_OPEN_FROM, _OPEN_AT, _APART = 0.25, 0.5, 0.7
# Samples that are taken at once: far less than the minute of shapes that the band mouth keeps.
_PIECE = MOUTH_RATE
_QUIETEST = 1e-8  # least power; below the noise of 16 bits


class NeuralMouth:
    """Estimates mouth shapes (``Mouth``) with a network and a ``BandMouth``.

    The network (``learning/mouth``) estimates lips and teeth; the ``BandMouth`` estimates the jaw
    and the rest position in pauses. The network closes the lips where it should in speech that it
    was not trained on, but follows the level of real recordings badly (docs/mouth.md). The lips
    therefore close only in part while the jaw is wide open.

    Each 10 ms frame is one run of the network, so that the result does not depend on how the
    samples are split into calls. The shape of a frame comes out after ``delay_frames`` (a fact of
    the card) more frames. The network runs on the CPU, which takes less time than copying to a GPU.

    >>> from face_perception.speech import REST
    >>> mouth = NeuralMouth()
    >>> mouth.push_samples(np.zeros(8000, np.float32))
    >>> mouth.shape_at(0.2) == REST
    True
    """

    frame_period = _HOP / MOUTH_RATE

    def __init__(self, model: Model | None = None, *, extra_look_ahead: float = 0.0) -> None:
        """Takes a trained ``model``; None loads that of the package.

        With ``extra_look_ahead`` (seconds; more than 0.07 is not used) the lips begin to close so
        long before they must be closed: their speed is limited. Raises ModelError if the model is
        not a mouth network.
        """
        self._model = model or load(TRAINED, MOUTH_NETWORKS, backend="onnxruntime")
        delay = self._model.card.facts.get(_DELAY)
        if type(delay) is not int or not 0 <= delay <= _LONGEST_DELAY:
            raise ModelError(
                f"model {self._model.name} is not a mouth model: its card has no fact {_DELAY}; "
                "train one with `face-perception train mouth`"
            )
        self._delay = delay
        # One hop is added because interpolation needs the next shape.
        own = (delay * _HOP + _WINDOW // 2 + _HOP) / MOUTH_RATE
        self._bands = BandMouth()
        # Frames that are known beyond the one that is shown.
        self._further = int(
            min(max(extra_look_ahead, 0.0), CLOSES_AHEAD) / self.frame_period + 1e-6
        )
        self.look_ahead = max(own, self._bands.look_ahead) + self._further * self.frame_period
        state = self._model.inputs["state"].shape
        self._rest = np.zeros([size or 1 for size in state], np.float32)
        self.reset()

    def reset(self) -> None:
        """Forgets the stream; the next sample is at time 0."""
        # Begin with silence, so that the first sample is in the middle of the first window.
        self._bands.reset()
        self._samples = np.zeros(_WINDOW // 2, np.float32)
        self._state = self._rest
        self._frame_count = 0
        self._track = MouthShapeTrack(self.frame_period)  # the network alone
        self._limit = LipSpeedLimit(self.frame_period)
        self._wanted: deque[FloatArray] = deque(maxlen=self._further + 1)
        self._count = 0  # frames that were combined
        self._shown = MouthShapeTrack(self.frame_period)

    def push_samples(self, samples: AudioSamples) -> None:
        """Takes the next samples: float32 [N], mono, 16 kHz, in [-1, 1]; N may be 0.

        Samples that are not finite count as 0. Raises InputError for another shape or type, and
        ModelError if the network fails.
        """
        checked = checked_samples(samples)
        for first in range(0, len(checked), _PIECE):
            self._push_piece(checked[first : first + _PIECE])

    def _push_piece(self, samples: AudioSamples) -> None:
        self._bands.push_samples(samples)
        self._samples = np.concatenate([self._samples, samples])
        begin = 0
        while begin + _WINDOW <= len(self._samples):
            self._run(_log_mel_frames(self._samples[None, begin : begin + _WINDOW]))
            begin += _HOP
        self._samples = self._samples[begin:]
        self._combine()

    def shape_at(self, time: float) -> MouthShape:
        """Returns the shape at ``time`` (seconds); see ``Mouth``. Keeps one minute of shapes."""
        return self._shown.at(time)

    def _combine(self) -> None:
        """Combines the frames that both the network and the band mouth have estimated."""
        bands = self._bands.wanted
        for i in range(self._count, min(len(self._track), len(bands))):
            made = _combined(MouthShape(*bands[i].tolist()), MouthShape(*self._track[i].tolist()))
            self._wanted.append(made)
            self._count += 1
            if len(self._wanted) > self._further:
                coming = closing_in_time(np.array(self._wanted), self.frame_period)
                self._shown.append(self._limit.follow(coming))

    def _run(self, frame: FloatArray) -> None:
        out = self._model.infer({"features": frame[None], "state": self._state})
        self._state = out["next_state"]
        self._frame_count += 1
        if self._frame_count > self._delay:
            self._track.append(out["weights"][0, 0])


def _combined(measured: MouthShape, lips: MouthShape) -> FloatArray:
    """Returns the weights [6] of the band mouth (``measured``) and the network together."""
    share = min(1.0, float(measured.values().max()) / _SPEAKING)
    apart = float(smoothstep(measured.jaw, _OPEN_FROM, _OPEN_AT))
    shown = share * (0.5 + 0.5 * min(1.0, measured.jaw / _FULL))
    return np.array(
        [
            measured.jaw,
            share * lips.wide,
            shown * lips.round,
            share * lips.press * (1 - _APART * apart),
            shown * lips.teeth,
            share * lips.tuck,
        ]
    )


def mouth_features(samples: AudioSamples) -> FloatArray:
    """Returns the network's input for speech [S] (16 kHz, -1 to 1), float32 [S // 160 + 1, 80].

    The frames are centred at 0, 10, 20 … ms, with silence before and after the speech. Values are
    log10 of the power in 80 mel bands, scaled to about -1 to 1.
    """
    count = len(samples) // _HOP + 1
    padded = np.zeros((count - 1) * _HOP + _WINDOW, np.float32)
    given = checked_samples(samples)[: len(padded) - _WINDOW // 2]
    padded[_WINDOW // 2 : _WINDOW // 2 + len(given)] = given
    return _log_mel_frames(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP])


def _log_mel_frames(windows: FloatArray) -> FloatArray:
    """Returns scaled log-mel frames [N, 80] of windows of samples [N, 400]."""
    power = np.abs(np.fft.rfft(windows * _HANN, axis=1)) ** 2
    logarithm = np.log10(np.maximum(power @ mel_filters().T, _QUIETEST))
    made: FloatArray = ((logarithm + 4.0) / 4.0).astype(np.float32)
    return made


_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
