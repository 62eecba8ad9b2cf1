"""Turns phonemes with times into weights of ``MouthShape``, 100 a second.

Each phoneme pulls each weight towards its target with a certain strength, also during neighbouring
phonemes (dominance functions, Cohen and Massaro 1993): /b/ always closes the lips, while /k/ takes
the mouth shape of the vowel next to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from face_perception.speech.audio_chunks import AudioSamples
from face_perception.speech.mouth_shapes import MOUTH_RATE
from face_perception.speech.voices.voice import Phone

FloatArray = npt.NDArray[np.float64]

ARTICULATION_RATE = 100  # shapes a second; shape i is at i / 100 seconds
WEIGHTS = ("jaw", "wide", "round", "press", "teeth", "tuck")  # in the order of speech.MouthShape

_PRESS = WEIGHTS.index("press")

_REACH = 0.028  # seconds in which a pull falls to 1/e
_CORE = 0.2  # share of a phoneme at each end in which its pull already falls
_REST_FROM = 0.09  # shortest pause in which the mouth goes to rest, seconds
_GATE = 3  # number of frames in which the mouth goes to rest

# IPA letters with the target of each weight: jaw, wide, round, press, teeth, tuck.
_VOWEL_ROWS = (
    ("aɑ", 0.75, 0, 0, 0, 0, 0),
    ("æ", 0.65, 0.3, 0, 0, 0, 0),
    ("ɐʌ", 0.52, 0, 0, 0, 0, 0),
    ("ɒ", 0.6, 0, 0.25, 0, 0, 0),
    ("ɔ", 0.5, 0, 0.5, 0, 0, 0),
    ("o", 0.38, 0, 0.7, 0, 0, 0),
    ("u", 0.18, 0, 0.95, 0, 0, 0),
    ("ʊ", 0.25, 0, 0.6, 0, 0, 0),
    ("y", 0.18, 0, 0.85, 0, 0, 0),
    ("ʏ", 0.22, 0, 0.6, 0, 0, 0),
    ("ø", 0.3, 0, 0.7, 0, 0, 0),
    ("œ", 0.42, 0, 0.5, 0, 0, 0),
    ("ɵʉ", 0.25, 0, 0.6, 0, 0, 0),
    ("e", 0.35, 0.5, 0, 0, 0, 0),
    ("ɛ", 0.45, 0.35, 0, 0, 0, 0),
    ("i", 0.18, 0.75, 0, 0, 0, 0),
    ("ɪ", 0.25, 0.5, 0, 0, 0, 0),
    ("ɨɯ", 0.2, 0.3, 0, 0, 0, 0),
    ("əɘɤᵻ", 0.3, 0.1, 0, 0, 0, 0),
    ("ɜɚɝ", 0.35, 0, 0.2, 0, 0, 0),
)
_CONSONANT_ROWS = (
    ("pbmɓ", 0.04, 0, 0, 1.0, 0, 0),
    ("ɸβ", 0.1, 0, 0, 0.5, 0, 0),
    ("fvɱ", 0.1, 0, 0, 0, 0, 0.9),
    ("ʋ", 0.15, 0, 0, 0, 0, 0.5),
    ("szʂʐ", 0.08, 0.25, 0, 0, 0.7, 0),
    ("tdʈɖ", 0.15, 0.1, 0, 0, 0.45, 0),
    ("n", 0.18, 0, 0, 0, 0.25, 0),
    ("lɫɬɭ", 0.25, 0, 0, 0, 0.15, 0),
    ("rɾɽ", 0.2, 0, 0, 0, 0.2, 0),
    ("ɹɻ", 0.18, 0, 0.35, 0, 0.2, 0),
    ("ʃʒɕʑ", 0.12, 0, 0.55, 0, 0.5, 0),
    ("θð", 0.2, 0, 0, 0, 0.35, 0),
    ("jɲʎɟcçʝ", 0.18, 0.45, 0, 0, 0.1, 0),
    ("wɥʍ", 0.12, 0, 0.9, 0, 0, 0),
    ("kgɡŋxɣqɢχʁʀɴ", 0.25, 0, 0, 0, 0, 0),
)
_VOWELS = {letter: np.array(row[1:], float) for row in _VOWEL_ROWS for letter in row[0]}
_CONSONANTS = {letter: np.array(row[1:], float) for row in _CONSONANT_ROWS for letter in row[0]}
_SHAPES = {**_VOWELS, **_CONSONANTS}
_NEUTRAL = np.array([0.25, 0, 0, 0, 0, 0])  # of h, the glottal stop, other letters

# Letters -> strength of the pull at each weight; ``""`` stands for all other weights.
_PULLS: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("pbmɓ", {"press": 6.0, "jaw": 5.0, "tuck": 4.0, "teeth": 4.0, "": 0.4}),
    ("fvɱ", {"tuck": 6.0, "jaw": 3.0, "press": 4.0, "teeth": 3.0, "": 0.4}),
    ("szʂʐʃʒɕʑ", {"teeth": 4.0, "jaw": 2.5, "round": 1.0, "": 0.7}),
    ("wɥʍ", {"round": 4.0, "jaw": 1.5, "": 1.0}),
    ("tdʈɖnlrɾɹθð", {"teeth": 1.5, "jaw": 0.9, "press": 1.0, "tuck": 1.0, "": 0.35}),
    ("kgɡŋxɣqɢχʁʀɴ", {"jaw": 0.6, "": 0.25}),
)

BILABIALS = frozenset("pbm")
VOWELS = frozenset(_VOWELS)


def articulation(phones: Sequence[Phone], frames: int) -> FloatArray:
    """Returns weights [frames, 6] in [0, 1], in the order of ``WEIGHTS``, 100 a second."""
    times = np.arange(frames) / ARTICULATION_RATE
    above = np.zeros((frames, len(WEIGHTS)))
    below = np.full((frames, len(WEIGHTS)), 1e-9)
    for start, end, target, pull, core in _segments(phones):
        margin = core * (end - start)
        away = np.maximum(0.0, np.maximum(start + margin - times, times - end + margin))
        reach = np.exp(-((away / _REACH) ** 2))[:, None] * pull
        above += reach * target
        below += reach
    made: FloatArray = above / below * _gate(phones, times)[:, None]
    return np.clip(made, 0, 1)


def with_effort(weights: FloatArray, samples: AudioSamples) -> FloatArray:
    """Returns weights [frames, 6] in which the jaw opens further in louder syllables.

    ``samples`` are clean speech, 16 kHz. The phoneme gives the target of the jaw. The level of
    the speech scales it: to about half in the speaker's weak syllables, to all of it in loud ones.
    """
    level = loudness(samples, len(weights))
    loud = float(np.percentile(level, 95)) + 1e-9
    effort = np.clip(level / loud, 0, 1.2)
    made = weights.copy()
    made[:, 0] *= 0.3 + 0.7 * effort**0.6
    return np.clip(made, 0, 1)


def loudness(samples: AudioSamples, frames: int) -> FloatArray:
    """Returns the RMS level [frames] of windows of 50 ms, every 10 ms, of speech at 16 kHz."""
    half, hop = MOUTH_RATE // 40, MOUTH_RATE // ARTICULATION_RATE
    padded = np.zeros(2 * half + frames * hop)
    given = samples[: frames * hop]
    padded[half : half + len(given)] = given
    sums = np.concatenate([[0.0], np.cumsum(padded**2)])
    starts = np.arange(frames) * hop
    power = (sums[starts + 2 * half] - sums[starts]) / (2 * half)
    level: FloatArray = np.sqrt(np.maximum(power, 0.0))
    return level


def letters(name: str) -> list[str]:
    """Returns the letters of a phoneme that have a target: two for a diphthong or affricate."""
    return [letter for letter in name if letter in _SHAPES]


def target_of(letter: str) -> FloatArray:
    """Returns the weights [6] that a letter of IPA pulls towards; all zero for a pause (``""``)."""
    target: FloatArray = _SHAPES.get(letter, _NEUTRAL) if letter else np.zeros(len(WEIGHTS))
    return target


def _segments(
    phones: Iterable[Phone],
) -> Iterable[tuple[float, float, FloatArray, FloatArray, float]]:
    """Yields (start, end, target [6], pull [6], core) of each letter and long pause."""
    for phone in phones:
        length = phone.end - phone.start
        if not phone.name:
            if length >= _REST_FROM:
                yield phone.start, phone.end, np.zeros(len(WEIGHTS)), np.ones(len(WEIGHTS)), 0.0
            continue
        parts = letters(phone.name) or [""]
        for i, letter in enumerate(parts):
            start = phone.start + length * i / len(parts)
            end = phone.start + length * (i + 1) / len(parts)
            target = _SHAPES.get(letter, _NEUTRAL)
            # The lips are closed during the whole bilabial, not only in its middle.
            core = 0.0 if target[_PRESS] else _CORE
            yield start, end, target, _pull(letter), core


def _pull(letter: str) -> FloatArray:
    if letter in _VOWELS:
        return np.ones(len(WEIGHTS))
    for members, pulls in _PULLS:
        if letter and letter in members:
            return np.array([pulls.get(name, pulls[""]) for name in WEIGHTS])
    return np.full(len(WEIGHTS), 0.2 if not letter else 0.7)


def _gate(phones: Sequence[Phone], times: FloatArray) -> FloatArray:
    """Returns 1 during speech and 0 in pauses and outside speech, with short transitions."""
    gate = np.zeros(len(times))
    for phone in phones:
        if phone.name or phone.end - phone.start < _REST_FROM:
            gate[(times >= phone.start) & (times < phone.end)] = 1.0
    kernel = np.hanning(2 * _GATE + 1)[1:-1]
    smooth: FloatArray = np.convolve(
        np.pad(gate, _GATE - 1, mode="edge"), kernel / kernel.sum(), "valid"
    )
    return smooth
