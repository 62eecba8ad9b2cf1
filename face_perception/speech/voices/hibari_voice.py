"""Speaks English with the voice "heart" of hibari-tts, and keeps the time of each phoneme.

The package hibari-tts (Apache-2.0) turns text into phonemes and spectra into sound. Its network
runs here, because the package does not give the durations that the network computes.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from face_perception import paths
from face_perception.errors import InputError, MissingDependencyError, one_line, shortened
from face_perception.inference import Backend, find_card, open_network
from face_perception.optional_modules import extra
from face_perception.outside_files import read_json
from face_perception.speech.audio_chunks import AudioSamples
from face_perception.speech.voices.voice import Phone, SpokenText, TimedWord

_CARD = "resources/speech/hibari.yaml"
_DURATIONS = "/Cast_32_output_0"  # the tensor of the durations of its network
_UNIT = 0.025  # seconds of one unit of duration: two frames
_VOICES = ("heart",)
_SEED = 0  # of the noise in the sound, so that the same text gives the same sound
# Seconds of silence that are left before and after a sentence. The network makes 0.35 s before it.
_LEAD, _TRAIL = 0.03, 0.25
_QUIET = 0.003  # of full scale
# The letters of its phoneme alphabet that are not IPA.
_IPA = {
    **{"A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ"},
    **{"T": "ɾ", "ᵊ": "ə", "ᵻ": "ɪ", "ʤ": "dʒ", "ʧ": "tʃ"},
}
_STRESS = "ˈˌ"
_MOST_LETTERS = 400  # of one run of the network, as in its package; about 25 s
# Longer numbers are said digit by digit: the package knows no names for them.
_LONG_NUMBER = re.compile(r"\d{16,}")
_PAUSES = ';:,.!?—…"()“” '

_Span = tuple[str, float, float]  # a letter of the alphabet, and its start and end in seconds


@dataclass(frozen=True, slots=True)
class _Word:
    """A word or punctuation mark, its phonemes in hibari's letters, and the space after it."""

    text: str
    letters: str
    space: str


class HibariVoice:
    """The voice ``heart``: American English, female (``Voice``). Knows all times.

    Raises MissingDependencyError if hibari-tts is missing or has another version than the card,
    and InputError for another voice: those are not in the package, and nothing is downloaded here.
    """

    def __init__(self, name: str = "") -> None:
        name = name or _VOICES[0]
        if name not in _VOICES:
            raise InputError(
                f"hibari has no voice {shortened(name)} in its package: use hibari:heart"
            )
        self.name = f"hibari:{name}"
        self._network = _network()
        self._g2p = _g2p()
        self._vocabulary: dict[str, int] = read_json(_assets() / "vocab.json")

    def synthesise(self, text: str, speed: float) -> SpokenText:
        """Returns the speech of a sentence; see ``Voice``."""
        words = self._words(text)
        if all(c in _STRESS + _PAUSES for word in words for c in word.letters):
            raise InputError(
                f"hibari speaks English, and finds nothing to say in {shortened(text)}: use "
                "another voice, such as espeak:de"
            )
        return _joined([self._said(group, speed) for group in _groups(words)])

    def _words(self, text: str) -> list[_Word]:
        """Returns the words of a sentence with their phonemes."""
        from hibari.g2p import normalize

        # Square brackets are a notation of the package for phonemes: here they are not.
        plain = text.replace("[", " ").replace("]", " ")
        plain = _LONG_NUMBER.sub(lambda digits: " ".join(digits[0]), plain)
        try:
            tokens = self._g2p.phonemize_tokens(self._g2p.tokenize(normalize(plain)))
        except Exception as error:  # the package is made for text that people write
            raise InputError(
                f"hibari cannot read {shortened(text)} ({one_line(error)}): write it in words"
            ) from error
        return [
            _Word(
                token.text,
                "".join(c for c in token.phonemes or "" if c in self._vocabulary),
                " " if token.whitespace else "",
            )
            for token in tokens
        ]

    def _said(self, words: Sequence[_Word], speed: float) -> SpokenText:
        """Returns the speech of words whose phonemes are known."""
        from hibari import dsp

        letters = "".join(word.letters + word.space for word in words).rstrip()
        ids = [0, *(self._vocabulary[c] for c in letters), 0]
        inputs = {"ids": np.array([ids]), "speed": np.array([speed], np.float32)}
        found = self._network.run(inputs)
        spectra = (found[name][0] for name in ("lh", "theta", "ln", "lr", "phi", "f0"))
        sound = dsp.synth(*spectra, np.random.default_rng(_SEED))
        samples, cut = _trimmed(np.clip(sound, -1, 1).astype(np.float32), dsp.SR)
        edges = np.concatenate([[0], np.cumsum(found[_DURATIONS])]) * _UNIT - cut
        edges = np.clip(edges, 0, len(samples) / dsp.SR).tolist()
        spans = list(zip(["", *letters, ""], edges[:-1], edges[1:], strict=True))
        return SpokenText(
            samples, dsp.SR, tuple(_phones(spans)), tuple(_timed_words(words, spans[1:-1]))
        )


def _groups(words: Sequence[_Word]) -> list[list[_Word]]:
    """Splits words into groups that the network can say at once."""
    groups: list[list[_Word]] = [[]]
    count = 0
    for word in words:
        if count and count + len(word.letters) > _MOST_LETTERS:
            groups.append([])
            count = 0
        groups[-1].append(word)
        count += len(word.letters) + 1
    return groups


def _joined(parts: Sequence[SpokenText]) -> SpokenText:
    """Returns pieces of speech one after the other."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0.0, *(part.duration for part in parts[:-1])]).tolist()
    later = list(zip(parts, starts, strict=True))
    return SpokenText(
        np.concatenate([part.samples for part in parts]),
        parts[0].rate,
        tuple(Phone(p.name, p.start + at, p.end + at) for part, at in later for p in part.phones),
        tuple(
            TimedWord(w.text, w.start + at, w.end + at) for part, at in later for w in part.words
        ),
    )


@functools.cache
def _assets() -> Path:
    """Returns the folder of the files of hibari-tts."""
    with extra("the voice hibari", install_command()):
        import hibari
    return Path(hibari.__file__).parent / "assets"


@functools.cache
def _g2p() -> Any:
    """Returns what turns text into phonemes. Its dictionaries take 0.6 s of CPU to read."""
    with extra("the voice hibari", install_command()):
        from hibari.g2p import G2P
    return G2P()


def install_command() -> str:
    """Returns the command that installs the version of hibari-tts that the card describes."""
    source = find_card(paths.resource(_CARD)).source
    assert source is not None
    return f"pip install {source.package}=={source.version}"


@functools.cache
def _network() -> Backend:
    """Returns the network of the installed package, with the durations as another output.

    Raises MissingDependencyError if it is not the network that the card describes: the durations
    would be another tensor.
    """
    card = find_card(paths.resource(_CARD))
    assert card.source is not None
    path = _assets() / Path(card.source.member).name
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != card.source.sha256:
        raise MissingDependencyError(
            f"{path} is not the file of {card.source.text}: {install_command()} --force-reinstall"
        )
    return open_network(card, data + _output(_DURATIONS))


def _output(name: str) -> bytes:
    """Returns what to append to an ONNX file to make a tensor an output.

    The parts of a message of Protocol Buffers may be concatenated. These are the fields ``graph``
    of ModelProto, ``output`` of GraphProto and ``name`` of ValueInfoProto.
    """
    made = name.encode()
    for number in (1, 12, 7):
        made = bytes([number << 3 | 2, len(made)]) + made
    return made


def _trimmed(samples: AudioSamples, rate: int) -> tuple[AudioSamples, float]:
    """Cuts silence at both ends. Returns the rest, and the seconds that were cut at the start."""
    loud = np.flatnonzero(np.abs(samples) > _QUIET)
    if not len(loud):
        return samples, 0.0
    begin = max(0, int(loud[0]) - round(_LEAD * rate))
    return samples[begin : int(loud[-1]) + round(_TRAIL * rate)], begin / rate


def _phones(spans: Sequence[_Span]) -> list[Phone]:
    """Returns the phonemes, without gaps, of letters of hibari's alphabet with their times."""
    made: list[Phone] = []
    begin = spans[0][1]
    for letter, _, end in spans:
        before = made[-1] if made else None
        if letter in _STRESS and letter:
            continue  # its time belongs to the vowel after it
        name = "" if letter in _PAUSES else _IPA.get(letter, letter)
        if letter == " " and before is not None:
            # Half of the time between two words belongs to each of them.
            end = (begin + end) / 2 if before.name else end
            made[-1] = replace(before, end=end)
        elif before is not None and (letter == "ː" or name == before.name == ""):
            made[-1] = replace(before, end=end)
        else:
            made.append(Phone(name, begin, end))
        begin = end
    return [phone for phone in made if phone.end > phone.start]


def _timed_words(words: Sequence[_Word], spans: Sequence[_Span]) -> list[TimedWord]:
    """Returns the words that are said, with the times of their letters."""
    made, place = [], 0
    for word in words:
        letters = spans[place : place + len(word.letters)]
        place += len(word.letters) + len(word.space)
        if any(letter not in _PAUSES for letter, _, _ in letters):
            made.append(TimedWord(word.text, letters[0][1], letters[-1][2]))
    return made
