"""A loaded model: arrays in, arrays out, on whichever backend runs it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from face_perception.inference.gate import Deviation, check_agreement
from face_perception.inference.models import store
from face_perception.inference.models.cards import Card, ModelError, Port, find_card
from face_perception.inference.models.variants import PRECISIONS, find_variant, kind_of
from face_perception.inference.reference_inputs import read_reference_inputs, shape_fits
from face_perception.settings import setting

_log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

BACKENDS = ("auto", "onnxruntime", "tensorrt")

# Called with a model's name, what is being done for it, and the share done, 0 to 1.
ModelProgress = Callable[[str, str, float], None]

# Where `record_inputs` puts what networks are given, by model; None while nobody asked for it.
_recorded: dict[str, list[dict[str, Array]]] | None = None


@dataclass(frozen=True)
class NetworkSettings:
    """How networks run; the arguments of ``load``."""

    threads: int = setting(
        1,
        "Number of CPU threads for each network. A larger value is faster on a machine with idle "
        "cores.",
        minimum=1,
        maximum=64,
    )
    backend: str = setting(
        "auto",
        "Backend that runs the networks. auto: TensorRT if it and a GPU are available, else ONNX "
        "Runtime.",
        choices=BACKENDS,
    )
    precision: str = setting(
        "fp32",
        "Precision of the networks. `face-perception models export` makes fp16 and `quantize` "
        "int8; both must agree with fp32.",
        choices=PRECISIONS,
    )
    fall_back: bool = setting(
        False,
        "If backend or precision cannot be used: true runs ONNX Runtime in fp32 with a warning, "
        "false refuses to start.",
    )


class Backend(Protocol):
    """What runs a network. ``run`` may be called from several threads at once."""

    @property
    def description(self) -> str:
        """Name and version, and where it runs."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs as the card says (already checked) -> all outputs."""


class Model:
    """A network ready to run, from ``load``; safe to use from several threads.

    ``inputs`` and ``outputs`` are the card's ports by name (shape with None for any size, dtype,
    meaning); ``why`` is one sentence saying which backend runs, in which precision, and why;
    ``deviations`` is what the gate found, empty for ONNX Runtime in FP32, which is the reference;
    ``fallen_back`` is true where that stands in for what was asked for.
    ``card`` and ``runtime`` are for those who measure.
    """

    def __init__(
        self,
        card: Card,
        backend: Backend,
        *,
        name: str,
        precision: str,
        why: str,
        deviations: Sequence[Deviation] = (),
        fallen_back: bool = False,
    ) -> None:
        self.fallen_back = fallen_back
        self.name = card.name
        self.backend = name
        self.precision = precision
        self.why = why
        self.deviations = tuple(deviations)
        self.inputs: Mapping[str, Port] = card.inputs
        self._public = {name: port.public or name for name, port in card.outputs.items()}
        self.outputs: Mapping[str, Port] = {
            self._public[name]: port for name, port in card.outputs.items()
        }
        self.card = card
        self.runtime = backend
        self._run = backend.run
        # Compared in every call; the port's own type is a text.
        self._types = {name: np.dtype(port.dtype) for name, port in card.inputs.items()}

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the network on arrays by input name and returns all outputs by name.

        Raises ModelError for a name, shape or type that the model does not take, and where the
        backend fails.
        """
        if inputs.keys() != self._types.keys():
            raise ModelError(
                f"model {self.name} takes the inputs {', '.join(self.inputs)}, "
                f"not {', '.join(inputs) or 'none'}"
            )
        arrays = {name: np.asarray(inputs[name]) for name in self.inputs}
        for name, port in self.inputs.items():
            self._check(name, port, arrays[name])
        if _recorded is not None:
            copies = {name: value.copy() for name, value in arrays.items()}
            _recorded.setdefault(self.name, []).append(copies)
        return {self._public[name]: value for name, value in self._run(arrays).items()}

    def _check(self, name: str, port: Port, value: Array) -> None:
        shape = value.shape
        if not shape_fits(shape, port.shape) or value.dtype != self._types[name]:
            wanted = ", ".join("N" if size is None else str(size) for size in port.shape)
            raise ModelError(
                f"model {self.name}: input {name} must be {port.dtype} [{wanted}], "
                f"not {value.dtype} {list(shape)}"
            )


@contextlib.contextmanager
def record_inputs() -> Iterator[dict[str, list[dict[str, Array]]]]:
    """Keeps copies of what every network of this process is given while it lasts, by model: the
    inputs for calibration and for the gate. Not for several threads at once.
    """
    global _recorded
    _recorded = {}
    try:
        yield _recorded
    finally:
        _recorded = None


def load(
    name: str | os.PathLike[str],
    *,
    threads: int = NetworkSettings.threads,
    backend: str = NetworkSettings.backend,
    precision: str = NetworkSettings.precision,
    fall_back: bool = NetworkSettings.fall_back,
    progress: ModelProgress | None = None,
) -> Model:
    """Loads a model of the catalogue, or of a card at a path, and runs it once to warm it up.

    ``threads`` is for one call of ``infer`` on the CPU. ``backend`` is ``onnxruntime``,
    ``tensorrt``, or ``auto``: TensorRT where it and a GPU are there. ``precision`` is ``fp32``,
    ``fp16`` or ``int8``. Anything but ONNX Runtime in FP32 must agree with that on the card's
    reference inputs. What is asked for is used or refused; only with ``fall_back`` it is replaced by
    ONNX Runtime in FP32, and ``Model.why`` says so. ``progress`` hears of an engine being built.
    Raises ModelError naming the model or file and the fix.
    """
    if backend not in BACKENDS:
        raise ModelError(f"there is no backend {backend!r}: use one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise ModelError(f"there is no precision {precision!r}: use one of {', '.join(PRECISIONS)}")
    if threads < 1:
        raise ModelError(f"threads must be at least 1, not {threads}")
    card = find_card(Path(name))
    if card.kind != "model":
        raise ModelError(f"{card.name} is a {card.kind}, not a model")
    data = store.read(card)
    onnxruntime_version()
    # Heavy, and not needed to list or fetch models.
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    runtime: Backend
    found: list[Deviation] = []
    fallen_back = False
    try:
        backend, reason = _choose(card, backend)
        if (backend, precision) == ("onnxruntime", "fp32"):
            runtime = OnnxRuntime(card, data, threads)
        else:
            report = progress or _log_progress
            runtime, found = _gated(card, data, backend, precision, threads, report)
    except ModelError as error:
        if not fall_back:
            raise
        runtime = OnnxRuntime(card, data, threads)
        reason = f"fallen back to, since {backend} in {precision} does not serve: {error}"
        backend, precision, fallen_back = "onnxruntime", "fp32", True
        _log.warning("model %s: %s, %s", card.name, runtime.description, reason)
    why = f"{runtime.description}, {precision}, {reason}"
    model = Model(
        card,
        runtime,
        name=backend,
        precision=precision,
        why=why,
        deviations=found,
        fallen_back=fallen_back,
    )
    model.infer(
        {
            name: np.zeros([size or 1 for size in port.shape], port.dtype)
            for name, port in card.inputs.items()
        }
    )
    return model


def onnxruntime_version() -> str:
    """The version of ONNX Runtime. Raises ModelError where it cannot be imported."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"ONNX Runtime is missing ({error}): pip install onnxruntime") from error
    return str(onnxruntime.__version__)


def _choose(card: Card, backend: str) -> tuple[str, str]:
    """The backend to use and the reason."""
    if backend == "onnxruntime":
        return backend, "asked for"
    from face_perception.inference.tensorrt.engines import why_unavailable

    reason = why_unavailable()
    if backend == "auto":
        return ("onnxruntime", f"auto: {reason}") if reason else ("tensorrt", "auto: GPU found")
    if reason:
        raise ModelError(
            f"model {card.name}: TensorRT cannot run here: {reason}. "
            "The backends onnxruntime and auto can"
        )
    return backend, "asked for"


def _gated(
    card: Card, data: bytes, backend: str, precision: str, threads: int, progress: ModelProgress
) -> tuple[Backend, list[Deviation]]:
    """The backend, after it has agreed with ONNX Runtime in FP32, and how well."""
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    kind = kind_of(precision, backend)
    variant, content = card, data
    if kind:
        variant, _ = find_variant(card, kind, data)
        content = store.read(variant)
    inputs = read_reference_inputs(card)
    candidate: Backend
    if backend == "tensorrt":
        from face_perception.inference.tensorrt.engines import load_tensorrt

        candidate = load_tensorrt(variant, content, precision, progress)
    else:
        candidate = OnnxRuntime(variant, content, threads)
    what = f"{candidate.description}, {precision}"
    found = check_agreement(card, OnnxRuntime(card, data, threads), candidate, inputs, what)
    return candidate, found


def _log_progress(name: str, step: str, share: float) -> None:
    _log.info("model %s: %s (%.0f %%)", name, step, 100 * share)
