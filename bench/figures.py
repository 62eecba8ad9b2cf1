"""Saves the figures of a benchmark, so that bench/compare.py can tell whether they got worse.

Times are saved together with the CPU time of a fixed piece of work in the same run: a slower or
busier machine makes both longer. Counts and ratios within the run are saved as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
_REPEATS = 5


class Figures:
    """The figures of one run of the benchmark ``bench``.

    >>> figures = Figures("example")
    >>> figures.add_time("read a picture", 0.012)
    >>> figures.add("frames per second", 30.0, higher_is_better=True)
    """

    def __init__(self, bench: str) -> None:
        self._bench = bench
        self._reference = [reference_seconds()]
        self._figures: dict[str, dict[str, Any]] = {}

    def add(self, name: str, value: float, *, higher_is_better: bool = False) -> None:
        """Adds a ratio, count or size, which does not depend on how busy the machine is."""
        self._figures[name] = {"value": value, "higher_is_better": higher_is_better}

    def add_time(self, name: str, seconds: float) -> None:
        """Adds a time. It is compared as a ratio to the reference work."""
        self._figures[name] = {"value": seconds, "time": True, "higher_is_better": False}

    def save(self, path: Path, details: Mapping[str, Any] | None = None) -> None:
        """Writes the figures to a JSON file, with ``details`` that are not compared."""
        self._reference.append(reference_seconds())
        content = {
            "bench": self._bench,
            "commit": commit(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "reference_seconds": statistics.mean(self._reference),
            "figures": self._figures,
            **({"details": details} if details else {}),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")


def commit() -> str:
    """Returns the short hash of the commit that is checked out; empty outside of a repository."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return done.stdout.strip()


def reference_seconds() -> float:
    """Returns the CPU time of one thread for work like ours: Python, NumPy and OpenCV."""
    image = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    values = np.random.default_rng(2).normal(size=(478, 3))
    times = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    for _ in range(_REPEATS):
        begin = time.thread_time()
        for number in range(40):
            small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_LINEAR)
            cv2.GaussianBlur(small, (5, 5), 0)
            for _ in range(40):
                np.linalg.norm(values - values.mean(0), axis=1).max()
            sum({str(k): k * number for k in range(400)}.values())
        times.append(time.thread_time() - begin)
    cv2.setNumThreads(threads)
    return min(times)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says where the figures are saved."""
    parser.add_argument(
        "--figures", type=Path, metavar="FILE.json", help="file for bench/compare.py"
    )
