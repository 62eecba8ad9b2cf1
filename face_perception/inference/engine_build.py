"""ONNX -> TensorRT engine. Knows no cache and runs nothing; TensorRT-RTX needs no GPU for it."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from face_perception.inference.catalogue import Card, ModelError, Port
from face_perception.inference.tensorrt_api import Config, Log, TensorRT

# Faces in one image are run one by one or a few at a time; more are run in turns.
MAX_BATCH = 8

# Called about once a second with the seconds since the start and the share done, 0 to 1.
BuildProgress = Callable[[float, float], None]


@dataclass(frozen=True, slots=True)
class Built:
    """An engine, and what TensorRT measured on the way, which speeds up the next build."""

    engine: bytes
    timing: bytes


class _Share:
    """How much of nested phases is done, from the events of a progress monitor of any thread."""

    def __init__(self) -> None:
        self.cancelled = False
        self._lock = threading.Lock()
        self._open: list[list[Any]] = []  # name, steps, steps done; outermost first
        self._done = 0.0

    def start(self, name: str, steps: int) -> None:
        with self._lock:
            self._open.append([name, max(steps, 1), 0])

    def step(self, name: str, step: int) -> bool:
        with self._lock:
            for phase in self._open:
                if phase[0] == name:
                    phase[2] = step + 1
        return not self.cancelled

    def finish(self, name: str) -> None:
        with self._lock:
            self._open = [phase for phase in self._open if phase[0] != name]

    def value(self) -> float:
        """Never goes back: phases may overlap, and then the inner one is a guess."""
        with self._lock:
            share, width = 0.0, 1.0
            for _, steps, done in self._open:
                width /= steps
                share += width * min(done, steps - 1)
            self._done = max(self._done, share)
            return self._done


def build_engine(
    api: TensorRT,
    card: Card,
    onnx: bytes,
    *,
    precision: str = "fp32",
    timing: bytes = b"",
    progress: BuildProgress | None = None,
) -> Built:
    """Builds an engine for batches of 1 to MAX_BATCH.

    ``precision`` is that of the ONNX file (``fp32``, ``fp16``, ``int8``): it is decided at export,
    TensorRT 8.6 only has to be told. ``timing`` is what an earlier build gave. Ctrl-C ends the
    build at its next step (8.6: leaves it to the end of the process). Raises ModelError with
    TensorRT's own reason.
    """
    share = _Share()
    result: list[Built | BaseException] = []

    def work() -> None:
        try:
            result.append(_build(api, card, onnx, precision, timing, share))
        except BaseException as error:
            result.append(error)

    # In a thread of its own: an exception such as Ctrl-C inside a callback would end the process.
    thread = threading.Thread(target=work, name=f"build {card.name}", daemon=True)
    start = time.monotonic()
    thread.start()
    try:
        said = 0.0
        while thread.is_alive():
            thread.join(0.1)
            seconds = time.monotonic() - start
            if progress and seconds >= said + 1:
                said = seconds
                progress(seconds, share.value())
    except BaseException:
        share.cancelled = True
        # Also after a second Ctrl-C: a process that ends under a running build is aborted.
        while hasattr(api, "IProgressMonitor") and thread.is_alive():
            with contextlib.suppress(KeyboardInterrupt):
                thread.join()
        raise
    if isinstance(result[0], BaseException):
        raise result[0]
    if progress:
        progress(time.monotonic() - start, 1.0)
    return result[0]


def _build(
    api: TensorRT, card: Card, onnx: bytes, precision: str, timing: bytes, share: _Share
) -> Built:
    log = Log(api)
    what = f"model {card.name}: TensorRT {api.__version__}"
    try:
        builder = api.Builder(log.sink)
    except (TypeError, RuntimeError) as error:  # how it says that there is no GPU
        raise ModelError(f"{what} cannot build engines here: {log.why()}") from error
    network = builder.create_network(_network_flags(api))
    parser = api.OnnxParser(network, log.sink)
    # What is no ONNX file at all may be read as an empty network.
    if not parser.parse(onnx) or not network.num_layers:
        errors = [str(parser.get_error(k)) for k in range(parser.num_errors)] or [log.why()]
        raise ModelError(f"{what} does not understand {card.path}: {errors[0].splitlines()[0]}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name, (low, high) in batches(card.inputs).items():
        profile.set_shape(name, low, low, high)
    if config.add_optimization_profile(profile) < 0:
        raise ModelError(f"{what} refuses batches of 1 to {MAX_BATCH}: {log.why()}")
    _set_precision(api, config, precision)
    _set_timing(config, timing)
    if hasattr(api, "IProgressMonitor"):
        config.progress_monitor = _monitor(api, share)
    data = builder.build_serialized_network(network, config)
    if data is None:
        raise ModelError(f"{what} cannot build {card.path}: {log.why()}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        cache = config.get_timing_cache()
        measured = bytes(cache.serialize()) if cache else b""
    return Built(bytes(data), measured)


def batches(inputs: Mapping[str, Port]) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Smallest and largest shape of each input. Raises ModelError for a free size that is not the
    first one, which is the batch.
    """
    shapes = {}
    for name, port in inputs.items():
        if None in port.shape[1:]:
            raise ModelError(f"input {name}: TensorRT needs fixed sizes after the batch")
        rest = tuple(size for size in port.shape[1:] if size)
        first, most = (1, MAX_BATCH) if port.shape[0] is None else (port.shape[0],) * 2
        shapes[name] = ((first, *rest), (most, *rest))
    return shapes


def _network_flags(api: TensorRT) -> int:
    """Types as in the file where there is a choice (10), or it goes without saying (11); 8.6 must
    be told that the batch is a dimension like others.
    """
    for name in ("STRONGLY_TYPED", "EXPLICIT_BATCH"):
        flag = getattr(api.NetworkDefinitionCreationFlag, name, None)
        if flag is not None:
            return 1 << int(flag)
    return 0


def _set_precision(api: TensorRT, config: Config, precision: str) -> None:
    if precision == "fp32" or hasattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        return
    flag = getattr(api.BuilderFlag, precision.upper(), None)
    if flag is not None:
        config.set_flag(flag)


def _set_timing(config: Config, timing: bytes) -> None:
    with warnings.catch_warnings():
        # TensorRT-RTX times nothing, and says so.
        warnings.simplefilter("ignore", DeprecationWarning)
        cache = config.create_timing_cache(timing)
        if cache is not None:
            config.set_timing_cache(cache, False)


def _monitor(api: Any, share: _Share) -> Any:
    class Monitor(api.IProgressMonitor):
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            share.start(name, steps)

        def step_complete(self, name: str, step: int) -> bool:
            return share.step(name, step)

        def phase_finish(self, name: str) -> None:
            share.finish(name)

    return Monitor()
