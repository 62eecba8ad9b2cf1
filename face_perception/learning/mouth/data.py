"""Clips of synthetic speech with the matching mouth weights, for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.espeak import SPEECH_RATE, Request, Spoken
from face_perception.learning.synthesis.room_acoustics import noise, simulate_recording
from face_perception.learning.synthesis.sentences import (
    HELD_OUT_LANGUAGES,
    HELD_OUT_VARIANTS,
    SENTENCES,
    TRAINED_LANGUAGES,
    TRAINED_VARIANTS,
)
from face_perception.speech import (
    ARTICULATION_RATE,
    Phone,
    articulation,
    mouth_features,
    with_effort,
)

FloatArray = npt.NDArray[np.floating]

_SILENT_CLIPS = 0.06  # share of clips with noise only, without speech


@dataclass(frozen=True, slots=True)
class SpeechClip:
    """``samples`` [S] as a microphone records them, 16 kHz, with their phonemes (``phones``).

    ``weights`` [S // 160 + 1, 6] are the mouth weights, 100 a second.
    """

    samples: npt.NDArray[np.float32]
    phones: tuple[Phone, ...]
    weights: FloatArray


@dataclass(frozen=True, slots=True)
class MouthArrays:
    """Speech ``features`` [N, T, 80] and mouth ``weights`` [N, T, 6] of N clips, float32."""

    features: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def random_requests(
    count: int,
    seed: int,
    languages: Sequence[str] = TRAINED_LANGUAGES,
    variants: Sequence[str] = TRAINED_VARIANTS,
) -> list[Request]:
    """Returns ``count`` sentences for eSpeak NG to speak.

    Language, voice, rate, pitch and the size of the speaker are random. The same seed gives the
    same sentences.
    """
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        language = str(random.choice(languages))
        found.append(
            Request(
                text=str(random.choice(SENTENCES[language])),
                language=language,
                variant=str(random.choice(variants)),
                rate=int(random.integers(115, 230)),
                pitch=int(random.integers(15, 85)),
                pitch_range=int(random.integers(20, 90)),
                size=float(random.uniform(0.86, 1.16)),
            )
        )
    return found


def held_out_requests(count: int, seed: int, *, languages: bool) -> list[Request]:
    """Returns requests in held-out voices; with ``languages``, also in held-out languages."""
    chosen = HELD_OUT_LANGUAGES if languages else TRAINED_LANGUAGES
    return random_requests(count, seed, chosen, HELD_OUT_VARIANTS)


def make_clips(
    spoken: Sequence[Spoken], seconds: float, seed: int, *, silent: float = _SILENT_CLIPS
) -> list[SpeechClip]:
    """Returns one clip for each utterance, cut to ``seconds`` and recorded in a random room.

    A clip is cut at a random place from the utterance, a pause, and the next utterance. A share
    ``silent`` of the clips has noise only.
    """
    random = np.random.default_rng(seed)
    count = round(seconds * SPEECH_RATE)
    result = []
    for i, first in enumerate(spoken):
        if random.random() < silent:
            level = 10 ** (random.uniform(-75, -15) / 20)
            samples = np.clip(noise(count, random) * level, -1, 1).astype(np.float32)
            weights = np.zeros((count // (SPEECH_RATE // ARTICULATION_RATE) + 1, 6))
            result.append(SpeechClip(samples, (), weights))
            continue
        clean, phones = _joined((first, spoken[(i + 1) % len(spoken)]), random)
        begin = int(random.uniform(0, max(len(clean) - count, 0) / SPEECH_RATE) * ARTICULATION_RATE)
        result.append(_clip(clean, phones, begin / ARTICULATION_RATE, count, random))
    return result


def make_whole_clips(spoken: Sequence[Spoken], seed: int) -> list[SpeechClip]:
    """Returns one clip for each utterance, whole, with silence before and after it."""
    random = np.random.default_rng(seed)
    result = []
    for one in spoken:
        clean, phones = _joined((one,), random)
        result.append(_clip(clean, phones, 0.0, len(clean), random))
    return result


def to_arrays(clips: Sequence[SpeechClip]) -> MouthArrays:
    """Stacks clips of the same length into arrays for training."""
    return MouthArrays(
        np.stack([mouth_features(clip.samples) for clip in clips]),
        np.stack([clip.weights for clip in clips]).astype(np.float32),
    )


def _joined(
    parts: Sequence[Spoken], random: np.random.Generator
) -> tuple[npt.NDArray[np.float32], list[Phone]]:
    """Joins the parts, with silence before, between and after; returns samples and phonemes."""
    pieces: list[npt.NDArray[np.float32]] = []
    phones: list[Phone] = []
    at = 0
    for part in (*parts, None):
        silence = round(random.uniform(0.05, 0.7) * SPEECH_RATE)
        pieces.append(np.zeros(silence, np.float32))
        phones.append(Phone("", at / SPEECH_RATE, (at + silence) / SPEECH_RATE))
        at += silence
        if part is not None:
            start = at / SPEECH_RATE
            phones += [Phone(p.name, start + p.start, start + p.end) for p in part.phones]
            pieces.append(part.samples)
            at += len(part.samples)
    return np.concatenate(pieces), phones


def _clip(
    clean: npt.NDArray[np.float32],
    phones: Sequence[Phone],
    begin: float,
    count: int,
    random: np.random.Generator,
) -> SpeechClip:
    hop = SPEECH_RATE // ARTICULATION_RATE
    frames = len(clean) // hop + 1
    weights = with_effort(articulation(phones, frames), clean)
    first, frames = round(begin * ARTICULATION_RATE), count // hop + 1
    kept = np.zeros((frames, weights.shape[1]))
    given = weights[first : first + frames]
    kept[: len(given)] = given
    samples = np.zeros(count, np.float32)
    piece = clean[first * hop : first * hop + count]
    samples[: len(piece)] = piece
    moved = tuple(Phone(p.name, p.start - begin, p.end - begin) for p in phones)
    return SpeechClip(simulate_recording(samples, random), moved, kept)
