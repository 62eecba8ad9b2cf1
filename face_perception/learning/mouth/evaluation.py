"""Measures whether lips close for /p b m/, follow voices of any level, and rest without a voice.

`python -m face_perception.learning.mouth.evaluation [speech.wav ...]` compares the trained mouth
with the mouth that uses signal processing only.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from face_perception import paths
from face_perception.inference import load
from face_perception.learning.mouth.data import SpeechClip, held_out_requests, make_whole_clips
from face_perception.learning.synthesis.espeak import speak
from face_perception.learning.synthesis.steady_sounds import at_level, steady_sounds
from face_perception.speech import (
    BILABIALS,
    MOUTH_RATE,
    VOWELS,
    BandMouth,
    Mouth,
    NeuralMouth,
    letters,
    lip_distance,
    loudness,
    read_wav,
)

Array = npt.NDArray[np.floating]
Maker = Callable[[], Mouth]

CLOSED = 0.05  # distance below which lips count as closed; 1 is the jaw fully down: 1 mm
_AT_REST = 0.03
_STEP = 0.01
_SPEECH_DB = -35.0  # level, relative to the loudest 50 ms, above which there is speech
_PAUSE = 30  # shortest pause that counts, in steps of 10 ms
_LOUD, _FAINT, _QUIET = -20.0, -40.0, -61.0  # dB of full scale, RMS
_SEED = 4711
_CLIPS = 60


def lip_openings(mouth: Mouth, samples: npt.NDArray[np.float32]) -> Array:
    """Returns the distance of the lips [S // 160] every 10 ms (see ``lip_distance``)."""
    mouth.reset()
    for begin in range(0, len(samples), 320):
        mouth.push_samples(samples[begin : begin + 320])
    mouth.push_samples(np.zeros(round(mouth.look_ahead * MOUTH_RATE) + 320, np.float32))
    weights = np.array([mouth.shape_at(i * _STEP).values() for i in range(len(samples) // 160)])
    return lip_distance(weights.reshape(-1, 6))


def phoneme_figures(mouth: Mouth, clips: Sequence[SpeechClip]) -> dict[str, float]:
    """Returns shares of phonemes for which the lips close or open at some moment.

    ``closed`` is the share of /p b m/ with closed lips, ``open`` the share of vowels of at least
    60 ms with lips apart by more than twice ``CLOSED``. ``bilabials`` is the number of /p b m/.
    """
    closed, opened = [], []
    for clip in clips:
        distance = lip_openings(mouth, clip.samples)
        for phone in clip.phones:
            of = set(letters(phone.name))
            inside = distance[round(phone.start / _STEP) : round(phone.end / _STEP) + 1]
            if not len(inside):
                continue
            if of & BILABIALS:
                closed.append(bool(inside.min() <= CLOSED))
            elif of and of <= VOWELS and phone.end - phone.start >= 0.06:
                opened.append(bool(inside.max() > 2 * CLOSED))
    return {
        "closed": float(np.mean(closed)),
        "open": float(np.mean(opened)),
        "bilabials": len(closed),
    }


def recording_figures(mouth: Mouth, samples: npt.NDArray[np.float32]) -> dict[str, float]:
    """Returns how the distance of the lips follows the level of a recording.

    ``correlation`` is that of distance and level during speech, ``whole`` the same for the whole
    recording. ``still`` is the share of moments with closed lips in pauses of at least 300 ms (NaN
    without a pause), ``pauses`` their number. ``quiet`` is the distance of the lips at -61 dB of
    full scale (RMS), relative to that at -20 dB; both are the 95th percentile.
    """
    loud, quiet = (
        float(np.percentile(lip_openings(mouth, at_level(samples, level)), 95))
        for level in (_LOUD, _QUIET)
    )
    distance = lip_openings(mouth, samples)
    level = loudness(samples, len(distance))
    speech = level > level.max() * 10 ** (_SPEECH_DB / 20)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~speech, [False]]).astype(int)))
    runs = [slice(a, b) for a, b in edges.reshape(-1, 2) if b - a >= _PAUSE]
    still = np.concatenate([distance[run] for run in runs]) if runs else np.zeros(0)
    return {
        "correlation": float(np.corrcoef(distance[speech], level[speech])[0, 1]),
        "whole": float(np.corrcoef(distance, level)[0, 1]),
        "still": float((still < _AT_REST).mean()) if len(still) else float("nan"),
        "pauses": len(runs),
        "quiet": quiet / loud,
    }


def steady_figures(mouth: Mouth) -> dict[str, float]:
    """Returns how far hums, tones, buzzes and beeps open the lips: the largest distance (``most``),
    and the number of sounds that open them by more than ``CLOSED`` (``open``) of all (``sounds``).
    """
    most = [
        float(lip_openings(mouth, at_level(sound, level)).max())
        for sound in steady_sounds().values()
        for level in (_LOUD, _FAINT)
    ]
    return {"most": max(most), "open": sum(one > CLOSED for one in most), "sounds": len(most)}


def read_speech(path: Path) -> npt.NDArray[np.float32]:
    """Reads a wav file as float32 [S], 16 kHz, mono. Raises AudioError."""
    recording = read_wav(path)
    mono = recording.samples.astype(np.float32).mean(axis=1) / 32768
    made: npt.NDArray[np.float32] = soxr.resample(mono, recording.rate, MOUTH_RATE)
    return made.astype(np.float32)


def evaluate(card: Path, recordings: Sequence[Path] = ()) -> dict[str, dict[str, Any]]:
    """Returns figures of the mouth of a card (``trained``) and of ``BandMouth`` (``bands``).

    They are given for held-out voices, for held-out voices in held-out languages, for each
    recording, and for sounds without a voice. Raises SpeechError if eSpeak NG is missing,
    ModelError if the model is unusable.
    """
    makers: Mapping[str, Maker] = {
        "trained": lambda: NeuralMouth(load(card, backend="onnxruntime")),
        "bands": BandMouth,
    }
    sets = {
        "held-out voices": held_out_requests(_CLIPS, _SEED, languages=False),
        "held-out voices and languages": held_out_requests(_CLIPS, _SEED + 1, languages=True),
    }
    spoken = {name: make_whole_clips(speak(asked), _SEED) for name, asked in sets.items()}
    real = {path.name: read_speech(path) for path in recordings}
    found: dict[str, dict[str, Any]] = {}
    for name, make in makers.items():
        mouth = make()
        found[name] = {
            **{place: _rounded(phoneme_figures(mouth, clips)) for place, clips in spoken.items()},
            **{place: _rounded(recording_figures(mouth, s)) for place, s in real.items()},
            "hums, tones, buzzes": _rounded(steady_figures(mouth)),
        }
    return found


def markdown_table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Returns the figures as a Markdown table, one line for each place and figure."""
    lines = ["| where | figure | " + " | ".join(found) + " |", "|---|---|" + "---|" * len(found)]
    first = next(iter(found.values()))
    for place, figures in first.items():
        for figure in figures:
            values = " | ".join(f"{mouth[place][figure]:g}" for mouth in found.values())
            lines.append(f"| {place} | {figure} | {values} |")
    return "\n".join(lines)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {
        name: value if isinstance(value, int) else round(value, 3)
        for name, value in figures.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--card", type=Path, default=None, help="card of the mouth; default: that of the package"
    )
    parser.add_argument("recordings", nargs="*", type=Path, help="wav files of real speech")
    options = parser.parse_args(argv)
    card = options.card or paths.resource("resources/speech/mouth.yaml")
    print(markdown_table(evaluate(card, options.recordings)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
