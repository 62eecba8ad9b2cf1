"""Makes speech with eSpeak NG, with the start and end of every phoneme.

eSpeak NG is needed for training only. Its library is loaded at the first request.
"""

from __future__ import annotations

import ctypes
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from face_perception.errors import FacePerceptionError
from face_perception.learning.processes import results_in_order
from face_perception.speech import Phone

Samples = npt.NDArray[np.float32]

SPEECH_RATE = 16_000  # samples a second of all speech in this module

_NEEDS = "pip install espeakng-loader (it is in tools/training.txt)"
# Longest silence before a stop that counts as its closure, seconds. eSpeak NG reports the start of
# the release.
_LONGEST_CLOSURE = 0.12
_SILENT = 40  # amplitude below which a sample counts as silent, of 32768
_STOPS = frozenset("ptkcqʈ")
# Requests for each process. A process loads a fresh library, because its state cannot be reset.
_SHARD = 32

# Constants of speak_lib.h, eSpeak NG 1.49 to 1.52.
_SYNCHRONOUS, _PHONEMES, _IPA, _NO_EXIT = 2, 1, 2, 0x8000
_UTF8, _END_PAUSE = 1, 0x1000
_RATE, _PITCH, _PITCH_RANGE = 1, 3, 4
_LIST_END, _PHONEME = 0, 7


class SpeechError(FacePerceptionError, RuntimeError):
    """Raised if no speech can be made; the message says why, and the fix."""


@dataclass(frozen=True, slots=True)
class Request:
    """A text and the voice that speaks it.

    ``language`` and ``variant`` are names of eSpeak NG (``de``, ``f3``; ``""`` for no variant).
    ``rate`` is in words a minute (80 to 450). ``pitch`` and ``pitch_range`` are 0 to 99; 50 is the
    default of the voice. ``size`` scales the vocal tract, and lowers all formants: 1.1 is a larger
    person.
    """

    text: str
    language: str = "en-us"
    variant: str = ""
    rate: int = 170
    pitch: int = 50
    pitch_range: int = 50
    size: float = 1.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """Speech: ``samples`` float32 [S], 16 kHz, -1 to 1, and ``phones`` in order, without gaps."""

    request: Request
    samples: Samples
    phones: tuple[Phone, ...]


def speak(requests: Sequence[Request], *, workers: int = 1) -> list[Spoken]:
    """Speaks all requests, in separate processes, and returns them in order.

    eSpeak NG carries state from one utterance to the next. Equal lists of requests give equal
    samples, for any number of ``workers``; equal requests in different lists differ inaudibly.
    Raises SpeechError if the library is missing or does not know a language or variant.
    """
    shards = [requests[i : i + _SHARD] for i in range(0, len(requests), _SHARD)]
    calls = [(shard,) for shard in shards]
    found = results_in_order(_shard, calls, workers, fresh=True)
    return [spoken for shard in found for spoken in shard]


def _shard(requests: Sequence[Request]) -> list[Spoken]:
    library = _Library()
    return [library.say(request) for request in requests]


class _Identity(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("identity", _Identity),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Library:
    """The initialised library of eSpeak NG; make one for each process."""

    def __init__(self) -> None:
        loader = _loader()
        try:
            self._espeak = ctypes.CDLL(loader.get_library_path())
            data = str(loader.get_data_path())
        except (OSError, RuntimeError) as error:
            raise SpeechError(f"eSpeak NG's library cannot be loaded ({error}): {_NEEDS}") from None
        options = _PHONEMES | _IPA | _NO_EXIT
        self._rate = int(self._espeak.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), options))
        if self._rate <= 0:
            raise SpeechError(f"eSpeak NG cannot read its voices in {data}: {_NEEDS}")
        # Without a seed, its noises depend on the time.
        self._espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._pieces: list[npt.NDArray[np.int16]] = []
        self._events: list[tuple[int, str]] = []
        # A reference keeps the callback alive while the library calls it.
        self._callback: Callable[..., int] = _Callback(self._collect)
        self._espeak.espeak_SetSynthCallback(self._callback)

    def say(self, request: Request) -> Spoken:
        name = f"{request.language}+{request.variant}" if request.variant else request.language
        if self._espeak.espeak_SetVoiceByName(name.encode()) != 0:
            raise SpeechError(
                f"eSpeak NG has no voice {name!r}: `espeak-ng --voices` lists languages, "
                "`espeak-ng --voices=variant` variants"
            )
        self._espeak.espeak_SetParameter(_RATE, request.rate, 0)
        self._espeak.espeak_SetParameter(_PITCH, request.pitch, 0)
        self._espeak.espeak_SetParameter(_PITCH_RANGE, request.pitch_range, 0)
        self._pieces, self._events = [], []
        text = request.text.encode() + b"\0"
        self._espeak.espeak_Synth(text, len(text), 0, 1, 0, _UTF8 | _END_PAUSE, None, None)
        if not self._pieces or not self._events:
            raise SpeechError(f"eSpeak NG made no speech of {request.text!r} in {name}")
        return self._finished(request, np.concatenate(self._pieces))

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if count > 0 and samples:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].kind != _LIST_END:
            if events[i].kind == _PHONEME:
                # Eight bytes, without a final 0 if all are used. An incomplete last letter is
                # dropped.
                name = bytes(events[i].identity.string).decode("utf-8", "ignore")
                self._events.append((events[i].sample, name))
            i += 1
        return 0

    def _finished(self, request: Request, raw: npt.NDArray[np.int16]) -> Spoken:
        # Played slower by the factor ``size``: formants and pitch go down, times get longer.
        source = self._rate / request.size
        starts = [max(0, min(sample, len(raw))) for sample, _ in self._events]
        names = [_plain(name) for _, name in self._events]
        for i, name in enumerate(names):
            if name and name[0] in _STOPS:
                starts[i] = _closure(raw, starts[i], round(_LONGEST_CLOSURE * self._rate))
        starts = list(np.maximum.accumulate(starts))
        edges = [float(start / source) for start in (*starts, len(raw))]
        phones = tuple(
            Phone(name, edges[i], edges[i + 1])
            for i, name in enumerate(names)
            if edges[i + 1] > edges[i]
        )
        samples = soxr.resample(raw.astype(np.float32) / 32768, source, SPEECH_RATE)
        return Spoken(request, samples.astype(np.float32), phones)


def _closure(raw: npt.NDArray[np.int16], start: int, most: int) -> int:
    """Returns the start of the silence before ``start``, which is the release of a stop."""
    # The burst may begin a little before the event.
    silent_until = max(0, start - most // 10)
    before = np.abs(raw[max(0, start - most) : silent_until].astype(np.int32)) > _SILENT
    sounding = np.flatnonzero(before)
    silent = len(before) - (int(sounding[-1]) + 1 if len(sounding) else 0)
    return silent_until - silent if silent else start


def _plain(name: str) -> str:
    """Returns the name without stress and syllable marks, and without a language in brackets."""
    return re.sub(r"\([a-z-]*\)|[ˈˌ._|-]", "", name)


def _loader() -> Any:
    try:
        return importlib.import_module("espeakng_loader")
    except ImportError as error:
        raise SpeechError(f"speech for training needs eSpeak NG's library: {_NEEDS}") from error
