"""Measures the speed of networks, for reports only."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.inference.accuracy_gate import Deviation, deviations
from face_perception.inference.model import Model
from face_perception.inference.models import store
from face_perception.inference.models.cards import Card, ModelError
from face_perception.inference.models.catalogue import find_card
from face_perception.inference.models.variants import find_variant
from face_perception.inference.reference_inputs import read_reference_inputs, shape_fits

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Durations of a call in seconds: the shortest, the median, and the 95 % quantile.

    >>> from face_perception.inference import load
    >>> (speed,) = measure_speeds(load("voice_activity"), batches=(1,), seconds=0.01)
    >>> 0 < speed.times.least <= speed.times.p50 <= speed.times.p95
    True
    """

    least: float
    p50: float
    p95: float


def time_in_turns(
    calls: Mapping[str, Callable[[], object]], *, seconds: float = 1.0, least: int = 10
) -> dict[str, CallTimes]:
    """Times several calls in turns, so that other load on the machine affects all of them equally.

    Runs for about ``seconds`` in total, but for at least ``least`` turns, after two turns of
    warm-up.
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
        name: CallTimes(min(t), float(np.quantile(t, 0.5)), float(np.quantile(t, 0.95)))
        for name, t in taken.items()
    }


def gemm_peak(threads: int = 1, seconds: float = 0.5) -> float:
    """Returns the peak speed of this machine in FP32, in floating-point operations per second.

    Takes the fastest of many products of large matrices by ONNX Runtime on ``threads`` threads.
    """
    import onnxruntime

    from face_perception.inference.conversion.onnx_graph import Graph
    from face_perception.inference.onnxruntime_backend import session_options

    side = 768
    graph = Graph("gemm")
    a = graph.input("a", (side,))
    b = np.random.default_rng(0).random((side, side), np.float32)
    graph.output("c", graph.node("MatMul", a, graph.constant(b)), (side,))
    session = onnxruntime.InferenceSession(
        graph.serialise(), session_options(threads), providers=["CPUExecutionProvider"]
    )
    times = time_in_turns({"gemm": lambda: session.run(["c"], {"a": b})}, seconds=seconds)
    return 2 * side**3 / times["gemm"].least


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed of a model at one batch size: durations of a call, and operations (FLOP) per call."""

    batch: int
    times: CallTimes
    flops: float

    @property
    def flops_per_second(self) -> float:
        return self.flops / self.times.least


def measure_speeds(
    model: Model, batches: Sequence[int] = (1, 2, 4, 8), *, seconds: float = 1.0
) -> list[Speed]:
    """Times a loaded model on its reference inputs, with the batch sizes in turns.

    Leaves out batch sizes that the network cannot take.
    """
    from face_perception.inference.graph_cost import network_cost

    graph = store.read(model.card)
    given = _inputs_by_batch(model.card, batches)
    calls = {str(batch): partial(model.infer, value) for batch, value in given.items()}
    times = time_in_turns(calls, seconds=seconds)
    return [Speed(batch, times[str(batch)], network_cost(graph, batch).flops) for batch in given]


def compare_speeds(
    models: Mapping[str, Model], batches: Sequence[int] = (1, 2, 4, 8), *, seconds: float = 1.0
) -> dict[int, dict[str, CallTimes]]:
    """Times several loaded forms of one network in turns on its reference inputs.

    Returns the durations of a call by batch size, then by the key in ``models``. Spends
    ``seconds`` on each batch size. Leaves out batch sizes that the network cannot take.

    >>> from face_perception.inference import compare_speeds, load
    >>> models = {f"{n} threads": load("expression", threads=n) for n in (1, 2)}
    >>> list(compare_speeds(models, (1, 2), seconds=0)[2])
    ['1 threads', '2 threads']
    """
    card = next(iter(models.values())).card
    return {
        batch: time_in_turns(
            {name: partial(model.infer, inputs) for name, model in models.items()}, seconds=seconds
        )
        for batch, inputs in _inputs_by_batch(card, batches).items()
    }


def _inputs_by_batch(card: Card, batches: Sequence[int]) -> dict[int, dict[str, Array]]:
    """Returns reference inputs by batch size and name, for those sizes that the network takes."""
    inputs = read_reference_inputs(card)
    given = {
        batch: {name: np.resize(v, (batch, *v.shape[1:])) for name, v in inputs.items()}
        for batch in batches
    }
    return {
        batch: values
        for batch, values in given.items()
        if all(shape_fits(values[name].shape, port.shape) for name, port in card.inputs.items())
    }


def infer_overhead(model: Model, *, seconds: float = 1.0) -> float:
    """Returns the median duration of ``Model.infer`` divided by that of ``session.run``.

    Times both in turns, on the same ONNX Runtime session and input. Raises ModelError for another
    backend.
    """
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    if not isinstance(model.runtime, OnnxRuntime):
        raise ModelError(
            f"model {model.name} does not run on ONNX Runtime: load it with backend='onnxruntime'"
        )
    session = model.runtime.session
    one = {name: value[:1] for name, value in read_reference_inputs(model.card).items()}
    names = list(model.card.outputs)
    calls = {"raw": partial(session.run, names, one), "ours": partial(model.infer, one)}
    times = time_in_turns(calls, seconds=seconds, least=50)
    return times["ours"].p50 / times["raw"].p50


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One precision of a model, compared with FP32 by ONNX Runtime on the CPU.

    ``size`` is that of the ONNX file in bytes. ``outputs`` are the outputs [K, ...] on the K
    reference inputs, by name. ``speed`` is the duration of FP32 divided by that of this precision.

    >>> (report,) = compare_variants("expression", (), seconds=0.01)
    >>> report.kind, report.speed, report.deviations[0].largest
    ('fp32', 1.0, 0.0)
    """

    kind: str
    size: int
    outputs: Mapping[str, Array]
    deviations: tuple[Deviation, ...]
    speed: float


def compare_variants(
    name: str | os.PathLike[str], kinds: tuple[str, ...], *, seconds: float = 3.0
) -> list[VariantReport]:
    """Compares FP32 and variants of a model, timed in turns on one thread, without the gate.

    Raises ModelError if a variant is missing.
    """
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    card = find_card(Path(name))
    data = store.read(card)
    inputs = read_reference_inputs(card)
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
