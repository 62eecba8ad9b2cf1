"""Measures the voice: CPU until the first sound, closed lips, and how well it is understood.

`python3 bench/voice.py [--voice hibari:heart]` prints a table. The word error needs pocketsphinx
(BSD, `pip install pocketsphinx`, its English model is in the wheel).
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable

import numpy as np
import soxr

from face_perception.speech import (
    BILABIALS,
    MOUTH_RATE,
    REST,
    MouthShape,
    NeuralMouth,
    PhonemeMouth,
    SpokenText,
    Voice,
    letters,
    lip_distance,
    loudness,
    open_voice,
    speak_text,
    with_effort_of,
)

SENTENCES = (
    "Good morning, may I help you find the museum shop?",
    "Please put the empty cups back on the table.",
    "The next bus to the airport leaves in ten minutes.",
    "My battery is almost empty, but I can still walk with you.",
    "People often bring a map, and a bottle of water.",
)
FRAME_RATE = 30.0  # frames a second of the talking face
CLOSED = 0.05  # distance of the lips below which they count as closed; 1: jaw fully down


def first_sound(voice: Voice) -> float:
    """Returns the largest CPU time in seconds until the first sound of a long text is made."""
    text = " ".join(SENTENCES) * 3
    found = []
    for _ in range(5):
        begin = time.process_time()
        next(speak_text(voice, text))
        found.append(time.process_time() - begin)
    return max(found)


def at_16_khz(spoken: SpokenText) -> np.ndarray:
    return soxr.resample(spoken.samples, spoken.rate, MOUTH_RATE).astype(np.float32)


def heard_mouth(samples: np.ndarray) -> Callable[[float], MouthShape]:
    """Returns the shapes of the mouth that follows the sound."""
    mouth = NeuralMouth()
    mouth.push_samples(np.concatenate([samples, np.zeros(MOUTH_RATE // 2, np.float32)]))
    return mouth.shape_at


def announced_mouth(spoken: SpokenText) -> Callable[[float], MouthShape]:
    """Returns the shapes of the mouth that follows the phonemes."""
    mouth, heard = PhonemeMouth(), heard_mouth(at_16_khz(spoken))
    mouth.add(spoken.phones)
    return lambda at: with_effort_of(mouth.shape_at(at) or REST, heard(at))


def lip_figures(spoken: SpokenText, shape_at: Callable[[float], MouthShape]) -> tuple[list, list]:
    """Returns whether lips are closed in a frame of each p, b, m, and their distance each 10 ms."""
    closed = []
    for phone in spoken.phones:
        if not set(letters(phone.name)) & BILABIALS:
            continue
        for phase in np.arange(0, 1, 0.1) / FRAME_RATE:
            first = np.ceil((phone.start - phase) * FRAME_RATE)
            frames = np.arange(first, (phone.end - phase) * FRAME_RATE + 1e-9) / FRAME_RATE + phase
            distances = [float(lip_distance(shape_at(float(at)).values())) for at in frames]
            closed.append(min(distances, default=1.0) <= CLOSED)
    steps = np.arange(0, spoken.duration, 0.01)
    return closed, [float(lip_distance(shape_at(float(at)).values())) for at in steps]


def word_errors(spoken: SpokenText, text: str) -> tuple[int, int]:
    """Returns the number of wrong words that pocketsphinx hears, and of the words said."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=MOUTH_RATE, loglevel="FATAL")
    decoder.start_utt()
    pcm = (np.clip(at_16_khz(spoken), -1, 1) * 32767).astype("<i2")
    decoder.process_raw(pcm.tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    heard = re.findall(r"[a-z']+", hypothesis.hypstr.lower()) if hypothesis else []
    said = re.findall(r"[a-z']+", text.lower())
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, before + (word != other)),
            )
    return row[-1], len(said)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voice", default="hibari:heart")
    name = parser.parse_args().voice
    begin = time.process_time()
    voice = open_voice(name)
    print(f"| CPU to load it (s) | {time.process_time() - begin:.1f} |")
    spoken = [next(speak_text(voice, text))[0] for text in SENTENCES]
    print(f"| CPU until the first sound, worst of 5 (ms) | {first_sound(voice) * 1e3:.0f} |")
    begin = time.process_time()
    whole = [next(speak_text(voice, text))[0] for text in SENTENCES]
    taken = time.process_time() - begin
    pace = taken / sum(s.duration for s in whole)
    print(f"| CPU for one second of speech (ms) | {pace * 1e3:.0f} |")
    for name, mouth in (
        ("phonemes", announced_mouth),
        ("sound", lambda s: heard_mouth(at_16_khz(s))),
    ):
        if not all(s.phones for s in spoken):
            break
        found = [lip_figures(s, mouth(s)) for s in spoken]
        closed = np.mean([one for closures, _ in found for one in closures])
        levels = [loudness(at_16_khz(s), len(d)) for s, (_, d) in zip(spoken, found, strict=True)]
        together = np.corrcoef(np.concatenate([d for _, d in found]), np.concatenate(levels))[0, 1]
        count = sum(len(c) for c, _ in found) // 10
        print(f"| p, b, m with closed lips, mouth by {name} ({count} of them) | {closed:.2f} |")
        print(f"| correlation of lips and level, mouth by {name} | {together:.2f} |")
        moved = max(np.abs(np.subtract(d[3:], d[:-3])).max() for _, d in found)
        print(f"| largest change of the distance of the lips in 30 ms, by {name} | {moved:.2f} |")
    try:
        errors = [word_errors(s, text) for s, text in zip(spoken, SENTENCES, strict=True)]
    except ImportError:
        print("| word error | not measured: pip install pocketsphinx |")
    else:
        wrong, said = (sum(values) for values in zip(*errors, strict=True))
        print(f"| word error of pocketsphinx ({said} words) | {wrong / said:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
