"""Measures the CPU time per rendered image of the portrait, and the share of each stage.

    python3 bench/portrait.py [--side 512] [--images 300] [--rounds 5] [--core 0] [--portrait FILE]

The face speaks test/data/speech_espeak.wav at 30 images a second, with idle motion. Mouth, animator
and renderer are timed separately. A round has all images; the median of the rounds is reported.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import wave
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figures, add_option
from face_perception.avatar import IdleMotionAnimator, load_portrait
from face_perception.speech import BandMouth

ROOT = Path(__file__).resolve().parent.parent
FPS = 30


def speech() -> np.ndarray:
    with wave.open(str(ROOT / "test" / "data" / "speech_espeak.wav")) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return data.astype(np.float32) / 32768


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--portrait", default="")
    add_option(parser)
    arguments = parser.parse_args()
    figures = Figures("portrait")
    os.sched_setaffinity(0, {arguments.core})
    cv2.setNumThreads(1)
    begin = time.perf_counter()
    portrait = load_portrait(arguments.portrait, size=(arguments.side, arguments.side))
    print(f"made in {time.perf_counter() - begin:.2f} s, with loading the networks")
    said = speech()
    rounds = []
    for _ in range(arguments.rounds):
        spent: dict[str, float] = defaultdict(float)
        portrait.set_stage_timer(lambda stage, took, spent=spent: spent.__setitem__(
            stage, spent[stage] + took))  # fmt: skip
        mouth, life, slowest = BandMouth(), IdleMotionAnimator(0), 0.0
        for i in range(arguments.images):
            t = i / FPS
            at = (i * 16000 // FPS) % len(said)
            a = time.thread_time()
            mouth.push_samples(said[at : at + 16000 // FPS])
            b = time.thread_time()
            shape = mouth.shape_at(t - mouth.look_ahead)
            state = life.state_at(t, shape, speaking=True)
            c = time.thread_time()
            portrait.render(state)
            d = time.thread_time()
            spent["(mouth of 33 ms)"] += b - a
            spent["(animator)"] += c - b
            spent["image"] += d - c
            slowest = max(slowest, d - c)
        rounds.append({name: 1e3 * s / arguments.images for name, s in spent.items()})
        rounds[-1]["slowest image"] = 1e3 * slowest
    image = statistics.median(one["image"] for one in rounds)
    for name in sorted(rounds[0], key=lambda name: -rounds[0][name]):
        median = statistics.median(one[name] for one in rounds)
        figures.add_time(name, median / 1e3)
        print(f"{name:20} {median:7.2f} ms {100 * median / image:5.0f} %")
    width, height = portrait.region.width, portrait.region.height
    print(f"{arguments.side}x{arguments.side}, of which {width}x{height} move: "
          f"{1e3 / image:.0f} images a second on one core")  # fmt: skip
    if arguments.figures:
        figures.save(arguments.figures)


if __name__ == "__main__":
    main()
