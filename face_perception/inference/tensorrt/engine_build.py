"""Builds a TensorRT engine from an ONNX file in a subprocess.

A build takes minutes and gigabytes on a robot, may crash, and cannot be stopped in some versions of
TensorRT. The subprocess protects the node from that. TensorRT-RTX builds without a GPU.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_perception.inference.models.cards import Card, ModelError

# Largest batch of an engine: the number of faces in one call. More faces take several calls.
MAX_BATCH = 8
# Number of faces in a batch for which the kernels are chosen, if it is not 1.
USUAL_BATCH = 4

WORKER = "face_perception.inference.tensorrt.engine_worker"

# Called about once a second with the elapsed seconds and the finished share of the work, 0 to 1.
BuildProgress = Callable[[float, float], None]


Shapes = Mapping[str, tuple[int, ...]]  # of the inputs, by name


@dataclass(frozen=True, slots=True)
class Profile:
    """A range of shapes of the inputs. TensorRT chooses the kernels that suit ``usual`` best."""

    least: Shapes
    usual: Shapes
    most: Shapes

    def includes(self, shapes: Shapes) -> bool:
        """Returns whether all inputs are within the range."""
        return all(
            len(shape) == len(self.least[name])
            and (
                np.less_equal(self.least[name], shape) & np.less_equal(shape, self.most[name])
            ).all()
            for name, shape in shapes.items()
        )


@dataclass(frozen=True, slots=True)
class Built:
    """An engine, and TensorRT's timing cache, which speeds up the next build."""

    engine: bytes
    timing: bytes


def build_engine(
    card: Card,
    onnx: bytes,
    folder: Path,
    *,
    precision: str = "fp32",
    timing: bytes = b"",
    progress: BuildProgress | None = None,
) -> Built:
    """Builds an engine for the shapes of ``profiles``.

    ``folder`` is a private folder, in which the two processes exchange files. It is deleted at the
    end, except after SIGKILL. ``precision`` is that of the ONNX file (``fp32``, ``fp16``,
    ``int8``); TensorRT 8.6 gets it as a flag. A model with extra weight files is read from its
    path. ``timing`` is the timing cache of an earlier build. Raises ModelError with TensorRT's
    reason, or OSError if the folder cannot be written.
    """
    request = {
        "model": card.name,
        "file": str(card.path),
        "in_place": bool(card.extra),
        "precision": precision,
        "profiles": [dataclasses.asdict(profile) for profile in profiles(card)],
    }
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        if not card.extra:
            (folder / "model.onnx").write_bytes(onnx)
        (folder / "timing.in").write_bytes(timing)
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        _run(card.name, folder, progress or (lambda seconds, share: None))
        return Built((folder / "engine").read_bytes(), (folder / "timing.out").read_bytes())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def profiles(card: Card) -> list[Profile]:
    """Returns the ranges of shapes for which TensorRT chooses kernels separately.

    A network of which only the batch size is free has two: for one sample, and for 2 to MAX_BATCH.
    One with extra weight files has one, because the engine may hold the weights once for each
    profile. Raises ModelError if another size is free and the card does not limit it (``most``).
    """
    inputs = card.inputs
    for name, port in inputs.items():
        if None in port.shape[1:] and not port.most:
            raise ModelError(
                f"input {name}: TensorRT needs fixed sizes after the batch size: give `most` in "
                "the card"
            )

    def shapes(batch: int) -> Shapes:
        return {
            name: (port.shape[0] or batch, *(size or 1 for size in port.shape[1:]))
            for name, port in inputs.items()
        }

    one, largest = shapes(1), shapes(MAX_BATCH)
    if largest == one or card.extra or any(port.most for port in inputs.values()):
        largest = {name: port.most or largest[name] for name, port in inputs.items()}
        return [Profile(one, one, largest)]
    return [Profile(one, one, one), Profile(shapes(2), shapes(USUAL_BATCH), largest)]


def _run(name: str, folder: Path, progress: BuildProgress) -> None:
    # The worker runs in its own session, so that Ctrl-C reaches only this process. It exits when
    # its stdin closes, which happens even if this process gets SIGKILL.
    worker = subprocess.Popen(
        [sys.executable, "-m", WORKER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(worker, lines), daemon=True).start()
    try:
        error = _follow(lines, progress)
    except BaseException:
        worker.kill()
        raise
    finally:
        code = worker.wait()
        if worker.stdin:
            worker.stdin.close()
    if error is None and code:
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        error = f"the build process ended with {reason}: it may need more memory"
    if error is not None:
        raise ModelError(f"model {name}: {error}")


def _read(worker: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    if worker.stdout:
        for line in worker.stdout:
            lines.put(line)
    lines.put(None)


def _follow(lines: queue.Queue[str | None], progress: BuildProgress) -> str | None:
    """Reports the worker's progress until it ends, and returns its error, or None."""
    start, reported, share, error = time.monotonic(), 0.0, 0.0, None
    while True:
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            line = ""
        if line is None:
            progress(time.monotonic() - start, share if error else 1.0)
            return error
        try:
            message = json.loads(line)
            share, error = message["share"], error or message["error"]
        except (ValueError, KeyError, TypeError):
            pass  # no line yet, or a line that TensorRT printed
        seconds = time.monotonic() - start
        if seconds >= reported + 1:
            reported = seconds
            progress(seconds, share)
