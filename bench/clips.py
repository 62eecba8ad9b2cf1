"""Measures `face-perception run` on many films: one by one, together, in processes, annotated.

    python3 bench/clips.py [--clips 8] [--frames 60] [--rounds 3]

Films of the sample scene, 640x480, with two faces. All ways take turns in each round; the table has
the medians over the rounds: frames per second, as a ratio to one command per film, and the CPU time
of all threads and processes per frame.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figures, add_option
from face_perception.inference import sample_photo
from face_perception.media import PHOTOS, SampleScene, write_mp4

COMMAND = [
    *(sys.executable, "-c"),
    "import sys; from face_perception.cli import main; sys.exit(main())",
    "run",
]


def films(folder: Path, clips: int, frames: int) -> list[str]:
    photos = {name: cv2.imread(str(sample_photo(name)))[..., ::-1] for name in PHOTOS}
    scene = SampleScene(photos, 640, 480)
    first = folder / "clip0.mp4"
    write_mp4(first, ((i / 30, scene.render(12 + i / 30)) for i in range(frames)), [], 16000)
    others = [folder / f"clip{number}.mp4" for number in range(1, clips)]
    for path in others:
        shutil.copy(first, path)
    return [str(path) for path in (first, *others)]


def measure(commands: list[list[str]]) -> tuple[float, float]:
    """Returns the wall and the CPU seconds of commands that run one after the other."""
    begin, before = time.perf_counter(), os.times()
    for command in commands:
        subprocess.run([*COMMAND, *command], check=True, stderr=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system
    return time.perf_counter() - begin, cpu - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    add_option(parser)
    args = parser.parse_args()
    figures = Figures("clips")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = films(folder, args.clips, args.frames)
        lines, drawn = ["--output", f"{folder}/lines"], ["--annotated", f"{folder}/drawn"]
        ways = {
            "one command per film": [[c, "--output", f"{c}.jsonl"] for c in clips],
            "one command": [[*clips, *lines]],
            "--threads 2": [[*clips, *lines, "--threads", "2"]],
            "--jobs 2": [[*clips, *lines, "--jobs", "2"]],
            "--annotated": [[*clips, *drawn]],
            "--annotated --jobs 2": [[*clips, *drawn, "--jobs", "2"]],
        }
        rounds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(args.rounds):
            for way, commands in ways.items():
                rounds[way].append(measure(commands))
    count = args.clips * args.frames
    reference = [wall for wall, _ in rounds["one command per film"]]
    print("| way | frames/s | ratio | CPU ms a frame |\n|---|---|---|---|")
    for way, times in rounds.items():
        wall = statistics.median(wall for wall, _ in times)
        ratio = statistics.median(r / wall for r, (wall, _) in zip(reference, times, strict=True))
        cpu = statistics.median(cpu for _, cpu in times)
        figures.add(f"{way}: speed", ratio, higher_is_better=True)
        figures.add_time(f"{way}: CPU a frame", cpu / count)
        print(f"| `{way}` | {count / wall:.0f} | {ratio:.2f} | {1e3 * cpu / count:.1f} |")
    if args.figures:
        figures.save(args.figures)


if __name__ == "__main__":
    main()
