"""Measures how well events are found in films of synthetic people, whose events are known.

    python3 bench/events.py [--people 4] [--seconds 40]

Each person looks at the camera and aside (0.3 rad), blinks and smiles at random times. The films,
25 frames per second, go through the whole pipeline. An event counts as found if it overlaps a true
one by more than half of their union. The table has precision, recall, F1, and the median and 90th
percentile of the errors of onset and offset in frames. The first 4 s, in which the neutral face is
learned, do not count.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from face_perception.avatar import FaceState, PortraitRenderer
from face_perception.learning.synthesis.synthetic_people import synthetic_person
from face_perception.pipeline import Perception
from face_perception.results import find_events, read_clip
from face_perception.types import Camera, Frame

RATE, SIDE, BEGIN = 25, 480, 4.0
CAMERA = Camera.assume(SIDE, SIDE)
ASIDE = 0.3  # rad
Interval = tuple[float, float]
Film = dict[str, tuple[list[Interval], list[Interval]]]  # by kind of event: true and found


def script(
    rng: random.Random, seconds: float, shortest: float, longest: float, gap: float
) -> list[Interval]:
    """Returns random intervals on whole frames, with gaps of ``gap`` to three times that."""
    out, t = [], BEGIN + gap
    while (end := t + rng.uniform(shortest, longest)) < seconds - 0.5:
        out.append((round(t * RATE) / RATE, round(end * RATE) / RATE))
        t = end + rng.uniform(gap, 3 * gap)
    return out


def during(intervals: Sequence[Interval], t: float) -> bool:
    return any(a - 1e-6 <= t < b - 1e-6 for a, b in intervals)


def measure(number: int, seconds: float, photo: bool) -> Film:
    """Returns the true and the found intervals of each kind of event in the film of a person."""
    rng = random.Random(number)
    truth = {
        "look": script(rng, seconds, 0.6, 4.0, 0.8),
        "blink": script(rng, seconds, 0.12, 0.28, 1.5),
        "smile": script(rng, seconds, 1.0, 4.0, 2.0),
    }
    portrait = PortraitRenderer(synthetic_person(number, photo=photo), size=(SIDE, SIDE))
    perception = Perception.load()
    noise = np.random.default_rng(number)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.jsonl"
        with path.open("w") as file:
            for frame in range(round(seconds * RATE)):
                t = frame / RATE
                state = FaceState(
                    smile=0.8 * during(truth["smile"], t),
                    blink=1.0 * during(truth["blink"], t),
                    gaze_yaw=0.0 if during(truth["look"], t) else ASIDE,
                )
                image = portrait.render(state) + noise.normal(0, 2, (SIDE, SIDE, 3))
                shown = Frame(np.clip(image, 0, 255).astype(np.uint8), t, CAMERA)
                file.write(json.dumps(perception.process(shown).to_json(frame)) + "\n")
        events = find_events(read_clip(path))
    return {
        kind: (
            known,
            [(e.onset, e.offset) for e in events if e.kind.value == kind and e.onset > BEGIN],
        )
        for kind, known in truth.items()
    }


def overlap(a: Interval, b: Interval) -> float:
    """Returns the time that both intervals share, as a share of their union; negative: none."""
    shared = min(a[1], b[1]) - max(a[0], b[0])
    return shared / (max(a[1], b[1]) - min(a[0], b[0]))


def pairs(truth: Sequence[Interval], found: Sequence[Interval]) -> list[tuple[Interval, Interval]]:
    """Returns each true interval that was found, with the interval that was found for it."""
    left, out = list(truth), []
    for event in found:
        best = max(left, key=lambda one: overlap(one, event), default=None)
        if best is not None and overlap(best, event) > 0.5:
            left.remove(best)
            out.append((best, event))
    return out


def intervals_f1(films: Sequence[tuple[Sequence[Interval], Sequence[Interval]]]) -> float:
    """Returns the F1 of events, from the true and the found intervals of each film."""
    counted = sum(len(truth) + len(found) for truth, found in films)
    return 2 * sum(len(pairs(*film)) for film in films) / max(counted, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=40.0)
    args = parser.parse_args()
    films = [measure(n, args.seconds, photo=n % 2 == 1) for n in range(args.people)]
    print("| event | true | found | precision | recall | F1 | onset (frames) | offset (frames) |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in films[0]:
        matched = [pair for film in films for pair in pairs(*film[kind])]
        true, found = (sum(len(film[kind][side]) for film in films) for side in (0, 1))
        errors = np.abs([np.subtract(*pair) * RATE for pair in matched]).reshape(-1, 2)
        quantiles = np.quantile(errors, (0.5, 0.9), axis=0) if matched else np.full((2, 2), np.nan)
        sides = " | ".join(f"{median:.1f}, {high:.1f}" for median, high in quantiles.T)
        shares = f"{len(matched) / max(found, 1):.2f} | {len(matched) / max(true, 1):.2f}"
        f1 = intervals_f1([film[kind] for film in films])
        print(f"| {kind} | {true} | {found} | {shares} | {f1:.3f} | {sides} |")


if __name__ == "__main__":
    main()
