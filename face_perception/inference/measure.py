"""Times and costs of networks. Only for reports: nothing here serves a node."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.inference import store
from face_perception.inference.captured import read_captured
from face_perception.inference.catalogue import find
from face_perception.inference.gate import Deviation, deviations
from face_perception.inference.variants import find_variant

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds a call: the quickest, which is the machine undisturbed, the median, and 95 %."""

    least: float
    p50: float
    p95: float


def time_in_turns(
    calls: Mapping[str, Callable[[], object]], *, seconds: float = 1.0, least: int = 10
) -> dict[str, Times]:
    """Times calls in turns, so that whatever disturbs the machine disturbs all of them alike.

    Goes on for about ``seconds`` in all, and for ``least`` turns; two turns before warm up.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    end = math.inf
    turn = -2
    while turn < least or time.perf_counter() < end:
        if turn == 0:
            end = time.perf_counter() + seconds
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= 0:
                taken[name].append(time.perf_counter() - start)
        turn += 1
    return {
        name: Times(min(t), float(np.quantile(t, 0.5)), float(np.quantile(t, 0.95)))
        for name, t in taken.items()
    }


def gemm_peak(seconds: float = 0.5) -> float:
    """FLOP/s of this machine's own FP32 matrix product in numpy, on as many threads as it takes
    (limit them with OPENBLAS_NUM_THREADS before the start); the quickest of many.
    """
    side = 768
    a = np.random.default_rng(0).random((side, side), np.float32)
    b, out = a.T.copy(), np.empty_like(a)
    times = time_in_turns({"gemm": lambda: np.matmul(a, b, out=out)}, seconds=seconds)
    return 2 * side**3 / times["gemm"].least


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One precision of a model by ONNX Runtime on the CPU, beside FP32.

    ``outputs`` [K, ...] on the captured inputs by name; ``speed`` is FP32's time over its own.
    """

    kind: str
    size: int
    outputs: Mapping[str, Array]
    deviations: tuple[Deviation, ...]
    speed: float


def compare_variants(
    name: str | os.PathLike[str], kinds: tuple[str, ...], *, seconds: float = 3.0
) -> list[VariantReport]:
    """FP32 and variants of a model side by side, in one run and in turns, one thread each; no gate.

    Raises ModelError where a variant is missing.
    """
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    card = find(Path(name))
    data = store.read(card)
    inputs = read_captured(card)
    backends, sizes = {"fp32": OnnxRuntime(card, data, 1)}, {"fp32": len(data)}
    for kind in kinds:
        variant, _ = find_variant(card, kind, data)
        content = store.read(variant)
        backends[kind], sizes[kind] = OnnxRuntime(variant, content, 1), len(content)
    one = {name: value[:1] for name, value in inputs.items()}
    calls = {kind: (lambda backend=backend: backend.run(one)) for kind, backend in backends.items()}
    times = time_in_turns(calls, seconds=seconds)
    return [
        VariantReport(
            kind=kind,
            size=sizes[kind],
            outputs=backend.run(inputs),
            deviations=tuple(deviations(card, backends["fp32"], backend, inputs)),
            speed=times["fp32"].least / times[kind].least,
        )
        for kind, backend in backends.items()
    ]
