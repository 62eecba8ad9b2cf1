"""A mouth that was trained: a small recurrent network on log-mel frames says what the lips do.

How loud the voice is, and whether there is one, is measured, not learned: ``BandMouth`` does.
"""

from __future__ import annotations

import numpy as np

from face_perception import paths
from face_perception.geometry import smoothstep
from face_perception.inference import Model, ModelError, load
from face_perception.speech.audio_chunks import AudioSamples
from face_perception.speech.band_mouth import BandMouth
from face_perception.speech.mel_spectrogram import mel_filters
from face_perception.speech.mouth_shape_track import MouthShapeTrack, checked_samples
from face_perception.speech.mouth_shapes import MOUTH_RATE, REST, MouthShape
from face_perception.types import FloatArray

MOUTH_CARD = "resources/speech/mouth.yaml"  # the one that the package ships

_HOP = 160  # samples between two frames: 10 ms
_WINDOW = 400  # about a frame's moment
_SPEAKING = 0.06  # of any weight by bands, from which on lips do all that the network says
_FULL = 0.3  # jaw by bands from which on teeth and rounding are shown in full
# Jaw by bands from which on the lips are kept apart, and at which they are to _APART: nobody says a
# loud vowel with closed lips, but the network, unsure of a voice, half closes them there.
_OPEN_FROM, _OPEN_AT, _APART = 0.25, 0.5, 0.7
_QUIETEST = 1e-8  # power; under the noise of 16 bits


class NeuralMouth:
    """``Mouth`` by a network that ``training.mouth`` made: what lips and teeth do is the network's,
    how far the jaw goes and the rest in pauses ``BandMouth``'s.

    The network alone closes the lips where it should in speech it never heard, but follows the
    level of real recordings badly (docs/mouth.md): so lips that the jaw holds wide apart close only
    in part. Each frame is heard in a call of its own, so the
    result does not depend on how the samples were cut into chunks. The card's ``delay_frames`` says
    how many frames after a moment its shape comes out. Runs on the CPU: the network takes less than
    copying to a GPU would.
    """

    frame_period = _HOP / MOUTH_RATE

    def __init__(self, model: Model | None = None) -> None:
        """``model``: None loads the package's own. Raises ModelError where it cannot be used."""
        self._model = model or load(paths.resource(MOUTH_CARD), backend="onnxruntime")
        delay = self._model.card.facts.get("delay_frames")
        if not isinstance(delay, int) or delay < 0:
            raise ModelError(
                f"model {self._model.name} is no mouth: its card has no fact delay_frames; "
                "train one: face-perception train mouth"
            )
        self._delay = delay
        # The last part: between two shapes the later one is needed.
        own = (delay * _HOP + _WINDOW // 2 + _HOP) / MOUTH_RATE
        self._bands = BandMouth()
        self.look_ahead = max(own, self._bands.look_ahead)
        state = self._model.inputs["state"].shape
        self._rest = np.zeros([size or 1 for size in state], np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next sample is at time zero."""
        # Silence before the stream, so that its first sample is the middle of the first window.
        self._bands.reset()
        self._samples = np.zeros(_WINDOW // 2, np.float32)
        self._state = self._rest
        self._heard = 0
        self._track = MouthShapeTrack(self.frame_period)

    def push_samples(self, samples: AudioSamples) -> None:
        """The next samples, float32 [N] mono at 16 kHz in [-1, 1]; any N, also none.

        What is not finite counts as silence. Raises InputError for another shape or type,
        ModelError where the network fails.
        """
        self._bands.push_samples(samples)
        self._samples = np.concatenate([self._samples, checked_samples(samples)])
        begin = 0
        while begin + _WINDOW <= len(self._samples):
            self._hear(_frames(self._samples[None, begin : begin + _WINDOW]))
            begin += _HOP
        self._samples = self._samples[begin:]

    def shape_at(self, time: float) -> MouthShape:
        """The shape at ``time`` seconds; see ``Mouth``. Times more than a minute ago give rest."""
        measured = self._bands.shape_at(time)
        share = min(1.0, float(measured.values().max()) / _SPEAKING)
        if share == 0:
            return REST
        lips = self._track.at(time)
        apart = float(smoothstep(measured.jaw, _OPEN_FROM, _OPEN_AT))
        shown = share * (0.5 + 0.5 * min(1.0, measured.jaw / _FULL))
        return MouthShape(
            jaw=measured.jaw,
            wide=share * lips.wide,
            round=shown * lips.round,
            press=share * lips.press * (1 - _APART * apart),
            teeth=shown * lips.teeth,
            tuck=share * lips.tuck,
        )

    def _hear(self, frame: FloatArray) -> None:
        out = self._model.infer({"features": frame[None], "state": self._state})
        self._state = out["next_state"]
        self._heard += 1
        if self._heard > self._delay:
            self._track.append(out["weights"][0, 0])


def mouth_features(samples: AudioSamples) -> FloatArray:
    """Speech [S], 16 kHz, -1 to 1 -> float32 [S // 160 + 1, 80]: what the network hears at 0, 10,
    20 … ms; log10 of the power of mel bands, brought to about -1 to 1, silence before and after.
    """
    count = len(samples) // _HOP + 1
    padded = np.zeros((count - 1) * _HOP + _WINDOW, np.float32)
    given = checked_samples(samples)[: len(padded) - _WINDOW // 2]
    padded[_WINDOW // 2 : _WINDOW // 2 + len(given)] = given
    return _frames(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP])


def _frames(windows: FloatArray) -> FloatArray:
    """[N, 400] samples -> [N, 80]."""
    power = np.abs(np.fft.rfft(windows * _HANN, axis=1)) ** 2
    logarithm = np.log10(np.maximum(power @ mel_filters().T, _QUIETEST))
    made: FloatArray = ((logarithm + 4.0) / 4.0).astype(np.float32)
    return made


_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
