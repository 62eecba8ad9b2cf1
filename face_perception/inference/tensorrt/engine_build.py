"""ONNX -> TensorRT engine, in a process of its own. Knows no cache and runs nothing.

A build takes minutes and gigabytes on a robot, cannot be stopped in every version of TensorRT, and
may crash: none of that is to happen to a node. TensorRT-RTX needs no GPU for it.
"""

from __future__ import annotations

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

from face_perception.inference.models.cards import Card, ModelError, Port

# Faces in one image are run one by one or a few at a time; more are run in turns.
MAX_BATCH = 8

WORKER = "face_perception.inference.tensorrt.engine_worker"

# Called about once a second with the seconds since the start and the share done, 0 to 1.
BuildProgress = Callable[[float, float], None]


@dataclass(frozen=True, slots=True)
class Built:
    """An engine, and what TensorRT measured on the way, which speeds up the next build."""

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
    """Builds an engine for batches of 1 to MAX_BATCH.

    ``folder`` is where the two processes leave each other files: nobody else may use it, and it is
    gone afterwards, however this ends but by SIGKILL. ``precision`` is that of the ONNX file
    (``fp32``, ``fp16``, ``int8``): it is decided at export, TensorRT 8.6 only has to be told.
    A model with extra files is read where it is. ``timing`` is what an earlier build gave. Raises
    ModelError with TensorRT's own reason, and OSError where the folder cannot be written.
    """
    request = {
        "model": card.name,
        "file": str(card.path),
        "in_place": bool(card.extra),
        "precision": precision,
        "shapes": {name: list(sizes) for name, sizes in batches(card.inputs).items()},
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


def batches(inputs: Mapping[str, Port]) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Smallest and largest shape of each input. Raises ModelError for a free size that is not the
    first one, which is the batch, and has no limit in the card.
    """
    shapes = {}
    for name, port in inputs.items():
        if None in port.shape[1:] and not port.most:
            raise ModelError(
                f"input {name}: TensorRT needs fixed sizes after the batch, or `most` in the card"
            )
        least = tuple(size or 1 for size in port.shape)
        shapes[name] = least, port.most or (least if port.shape[0] else (MAX_BATCH, *least[1:]))
    return shapes


def _run(name: str, folder: Path, progress: BuildProgress) -> None:
    # In a session of its own, so that Ctrl-C is ours to handle; it ends when our end of its stdin
    # closes, which the system sees to even after SIGKILL.
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
        error = f"the process that builds ended with {reason}, perhaps for want of memory"
    if error is not None:
        raise ModelError(f"model {name}: {error}")


def _read(worker: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    if worker.stdout:
        for line in worker.stdout:
            lines.put(line)
    lines.put(None)


def _follow(lines: queue.Queue[str | None], progress: BuildProgress) -> str | None:
    """Reports what the worker says until it ends; returns the error that it gives."""
    start, said, share, error = time.monotonic(), 0.0, 0.0, None
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
            pass  # nothing, or something that TensorRT printed
        seconds = time.monotonic() - start
        if seconds >= said + 1:
            said = seconds
            progress(seconds, share)
