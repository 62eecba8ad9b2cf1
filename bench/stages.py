"""Measures the CPU time of each step from an image to its results, without ROS.

    python3 bench/stages.py [--faces 2] [--images 200] [--save FILE] [--compare FILE]

The steps are those of the nodes of the composed graph, on the images of bench/steady_faces.py, in
one thread. The times are milliseconds of the thread for each image with all its faces: the median,
and the 10th percentile, which other programs on the machine change least. The first fifth of the
images is left out. --save writes all numbers of all results; --compare prints how much they differ
from those of an earlier version of the package.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import cv2
import numpy as np

from bench.figures import Figures, add_option
from bench.steady_faces import render
from face_perception import types
from face_perception.affect import (
    SMOOTHING,
    ExpressionNet,
    ExpressionSmoother,
    LandmarkActionUnits,
    RateLimitedExpressions,
    load_appearance,
)
from face_perception.attention import AttentionTracker
from face_perception.faces import crop_face, load_tracker
from face_perception.gaze import GeometricGaze
from face_perception.inference import load
from face_perception.people import CalibrationStore, PersonRegistry

SIZE = (640, 480)
RATE = 30  # Hz


class Steps:
    """Runs steps, and keeps their CPU times and the numbers of their results."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.numbers: dict[str, list[float]] = defaultdict(list)

    def run(self, name: str, step: Callable[[], Any]) -> Any:
        begin = time.thread_time()
        found = step()
        self.seconds[name].append(time.thread_time() - begin)
        self.numbers[name] += numbers_of(found)
        return found


def numbers_of(value: Any) -> list[float]:
    """Returns all numbers in a result, in order."""
    if isinstance(value, int | float | np.number):
        return [float(value)]
    if isinstance(value, np.ndarray):
        return [float(number) for number in value.ravel()]
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        value = [*value.values()]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [number for part in value for number in numbers_of(part)]
    return []


def measure(images: list[types.Image], count: int, folder: Path) -> Steps:
    """Runs all steps on ``count`` images, which repeat ``images``. Returns what they gave."""
    steps = Steps()
    tracker, gaze, units, attention = (
        load_tracker(),
        GeometricGaze(),
        LandmarkActionUnits(appearance=True),
        AttentionTracker(),
    )
    people = PersonRegistry(CalibrationStore(folder), {gaze.name: gaze.revision})
    expressions = RateLimitedExpressions(
        ExpressionNet(load("expression")), ExpressionSmoother(SMOOTHING)
    )
    appearance = load_appearance()
    camera = types.Camera.assume(*SIZE)
    for number in range(count):
        stamp = 100 + number / RATE
        frame = types.Frame(images[number % len(images)], stamp, camera)
        faces = steps.run("faces", lambda frame=frame: tracker.track(frame))
        gazes = steps.run(
            "gaze",
            lambda faces=faces, stamp=stamp: [gaze.estimate(camera, f, stamp) for f in faces],
        )
        gazes = steps.run(
            "persons and eye contact",
            lambda faces=faces, gazes=gazes, stamp=stamp: people.update(
                stamp, camera, faces, gazes
            ),
        )
        crops = [crop_face(frame.image, face) for face in faces]
        looks = steps.run("appearance", lambda crops=crops: appearance.estimate(crops))
        steps.run(
            "action units",
            lambda faces=faces, looks=looks, stamp=stamp: [
                units.estimate(face, stamp, appearance=look)
                for face, look in zip(faces, looks, strict=True)
            ],
        )
        steps.run(
            "expressions",
            lambda crops=crops, stamp=stamp: expressions.estimate_affect(crops, stamp),
        )
        steps.run(
            "attention",
            lambda faces=faces, gazes=gazes, stamp=stamp: attention.update(stamp, faces, gazes),
        )
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--save", type=Path, metavar="FILE")
    parser.add_argument("--compare", type=Path, metavar="FILE")
    add_option(parser)
    options = parser.parse_args()
    saved = Figures("stages")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        steps = measure(render(options.faces, *SIZE, RATE), options.images, Path(folder))
    print(f"{'ms an image':<24} {'median':>8} {'10 %':>8}")
    for name, seconds in steps.seconds.items():
        kept = 1e3 * np.array(seconds[len(seconds) // 5 :])
        print(f"{name:<24} {np.median(kept):8.3f} {np.percentile(kept, 10):8.3f}")
        saved.add_time(f"{options.faces} faces, {name}", float(np.percentile(kept, 10)) / 1e3)
    found = {name: np.array(numbers) for name, numbers in steps.numbers.items()}
    if options.save:
        np.savez(options.save, allow_pickle=False, **found)
    if options.figures:
        saved.save(options.figures)
    if options.compare:
        with np.load(options.compare) as before:
            for name, now in found.items():
                then = before[name]
                if then.shape != now.shape:
                    print(f"{name}: {len(now)} numbers instead of {len(then)}")
                    continue
                apart = np.where(np.isnan(then) & np.isnan(now), 0.0, np.abs(now - then))
                print(
                    f"{name}: {np.count_nonzero(apart)} of {len(now)} numbers differ, by at most "
                    f"{apart.max(initial=0.0):.1e}"
                )


if __name__ == "__main__":
    main()
