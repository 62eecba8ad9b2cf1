"""Loads a model and runs it on ONNX Runtime or TensorRT."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from face_perception.errors import one_line
from face_perception.inference.accuracy_gate import Deviation, deviations, refuse_deviating
from face_perception.inference.model_progress import ModelProgress
from face_perception.inference.models import store
from face_perception.inference.models.cards import Card, ModelError, Port
from face_perception.inference.models.catalogue import find_card
from face_perception.inference.models.purpose import ANY_NETWORK, Purpose
from face_perception.inference.models.variants import PRECISIONS, find_variant, kind_of
from face_perception.inference.reference_inputs import (
    read_reference_inputs,
    shape_fits,
    zero_inputs,
)
from face_perception.settings import setting

if TYPE_CHECKING:
    from face_perception.inference.tensorrt.kept_verdict import KeptVerdict

_log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

BACKENDS = ("auto", "onnxruntime", "tensorrt")
# More CPU threads than cores make nothing faster, and 20 000 take all memory.
_MOST_THREADS = 64

# The inputs that `record_inputs` collects, by model; None outside of it.
_recorded: dict[str, list[dict[str, Array]]] | None = None


@dataclass(frozen=True)
class NetworkSettings:
    """How networks run; the arguments of ``load``.

    >>> settings = NetworkSettings(threads=2, backend="onnxruntime")
    >>> model = load("blendshapes", threads=settings.threads, backend=settings.backend)
    >>> model.backend
    'onnxruntime'
    """

    threads: int = setting(
        1,
        "Number of CPU threads for each network. A larger value is faster on a machine with idle "
        "cores.",
        minimum=1,
        maximum=_MOST_THREADS,
    )
    backend: str = setting(
        "auto",
        "Backend that runs the networks. auto: TensorRT if it and a GPU are available, else ONNX "
        "Runtime.",
        choices=BACKENDS,
    )
    precision: str = setting(
        "auto",
        "Precision of the networks. auto: fp16 on TensorRT for each network whose outputs then do "
        "not deviate too much from fp32, else fp32. `face-perception models export` makes fp16 and "
        "`quantize` int8; the node refuses either if its outputs deviate too much.",
        choices=(*PRECISIONS, "auto"),
    )
    fall_back: bool = setting(
        False,
        "If backend or precision cannot be used: true runs ONNX Runtime in fp32 with a warning, "
        "false refuses to start.",
    )


class Backend(Protocol):
    """Runs a network. ``run`` may be called from several threads at the same time.

    >>> from face_perception.inference import load
    >>> load("blendshapes", backend="onnxruntime").runtime.description[:11]
    'onnxruntime'
    """

    @property
    def description(self) -> str:
        """Name and version of the runtime, and the device."""

    @property
    def batch_size(self) -> int:
        """The largest number of samples that one call should have."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the network on inputs that fit its card, and returns all outputs by name."""


class Model:
    """A network that is ready to run. ``load`` makes it. Several threads may use it.

    ``inputs`` and ``outputs`` are the ports by name (shape with None for a free size, dtype,
    meaning). ``backend`` and ``precision`` say what runs, and ``why`` is a sentence with the
    reason. ``deviations`` are the results of the accuracy gate; they are empty for ONNX Runtime in
    FP32, which is the reference. ``fallen_back`` is true if ONNX Runtime in FP32 replaces the
    requested backend. ``batch_size`` is the largest number of samples that one call should have.
    ``card`` and ``runtime`` (the backend) serve measurements.

    >>> from face_perception.inference import load
    >>> model = load("blendshapes", backend="onnxruntime")
    >>> model.backend, model.precision
    ('onnxruntime', 'fp32')
    >>> model.inputs["landmarks"].shape, model.outputs["strength"].shape
    ((None, 146, 2), (None, 52))
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
        self.batch_size = backend.batch_size
        self._run = backend.run
        # Convert the port's dtype from text once, because every call compares it.
        self._types = {name: np.dtype(port.dtype) for name, port in card.inputs.items()}

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the network on arrays by input name, and returns all outputs by name.

        Raises ModelError if a name, shape or dtype does not fit the model, or if the backend fails.

        >>> import numpy as np
        >>> from face_perception.inference import load
        >>> model = load("blendshapes", backend="onnxruntime")
        >>> points = np.random.default_rng(0).random((2, 146, 2), np.float32)
        >>> model.infer({"landmarks": points})["strength"].shape
        (2, 52)
        """
        if inputs.keys() != self._types.keys():
            raise ModelError(
                f"model {self.name} takes the inputs {', '.join(self.inputs)}, not "
                f"{', '.join(inputs) or 'none'}"
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
                f"model {self.name}: input {name} must be {port.dtype} [{wanted}], not "
                f"{value.dtype} {list(shape)}"
            )


class Inferring(Protocol):
    """A model: anything with its ``inputs`` and its ``infer``."""

    @property
    def inputs(self) -> Mapping[str, Port]: ...

    def infer(self, inputs: dict[str, Array], /) -> dict[str, Array]: ...


def infer_batch(model: Inferring, inputs: dict[str, Array]) -> dict[str, Array]:
    """Runs a network on a batch, whether or not it takes one.

    A network whose batch size is fixed at 1 runs once for each sample. ``inputs`` and the result
    are as in ``Model.infer``; the batch must not be empty.
    """
    count = len(next(iter(inputs.values())))
    if count == 1 or all(port.shape[0] != 1 for port in model.inputs.values()):
        return model.infer(inputs)
    each = [
        model.infer({name: value[k : k + 1] for name, value in inputs.items()})
        for k in range(count)
    ]
    return {name: np.concatenate([found[name] for found in each]) for name in each[0]}


@contextlib.contextmanager
def record_inputs() -> Iterator[dict[str, list[dict[str, Array]]]]:
    """Records copies of the inputs of all networks of this process, by model.

    Yields the record: for each model, a list of calls, each with arrays by input name. Use it for
    quantization and for the gate, from one thread at a time.

    >>> import numpy as np
    >>> from face_perception.inference import load, record_inputs
    >>> model = load("blendshapes", backend="onnxruntime")
    >>> with record_inputs() as calls:
    ...     _ = model.infer({"landmarks": np.ones((1, 146, 2), np.float32)})
    >>> [call["landmarks"].shape for call in calls["blendshapes"]]
    [(1, 146, 2)]
    """
    global _recorded
    _recorded = {}
    try:
        yield _recorded
    finally:
        _recorded = None


def load(
    name: str | os.PathLike[str],
    purpose: Purpose = ANY_NETWORK,
    *,
    threads: int = NetworkSettings.threads,
    backend: str = NetworkSettings.backend,
    precision: str = NetworkSettings.precision,
    fall_back: bool = NetworkSettings.fall_back,
    progress: ModelProgress | None = None,
) -> Model:
    """Loads a model by its name or by the path of its card, and runs it once to warm it up.

    An error about an unknown name lists the names that can be used for ``purpose``.
    ``threads`` is the number of CPU threads of one call. ``backend`` is ``onnxruntime``,
    ``tensorrt``, or ``auto``, which takes TensorRT if it and a GPU are there. ``precision`` is
    ``fp32``, ``fp16``, ``int8``, or ``auto``: on TensorRT ``fp16`` if the gate accepts it, else
    ``fp32``; ``Model.why`` says which and why. ``auto`` makes a missing FP16 variant. Any other
    choice than ONNX Runtime in FP32 must agree with it on the card's reference inputs. If the
    requested backend cannot be used, raises ModelError, or, with ``fall_back``, uses ONNX Runtime
    in FP32 and says so in ``Model.why``.
    ``progress`` is called while an engine is built. Raises ModelError, which names the model or
    file and the fix.

    >>> from face_perception.inference import ModelError, load
    >>> load("face_mesh", backend="onnxruntime").name
    'face_mesh'
    >>> try:
    ...     load("face_mash")
    ... except ModelError as error:
    ...     print(str(error)[:29])
    there is no model 'face_mash'
    """
    if backend not in BACKENDS:
        raise ModelError(f"there is no backend {backend!r}: use one of {', '.join(BACKENDS)}")
    if precision not in (*PRECISIONS, "auto"):
        raise ModelError(
            f"there is no precision {precision!r}: use one of {', '.join(PRECISIONS)}, auto"
        )
    if not 1 <= threads <= _MOST_THREADS:
        raise ModelError(f"threads must be 1 to {_MOST_THREADS}, not {threads}")
    card = find_card(Path(name), purpose)
    if card.kind != "model":
        raise ModelError(f"{card.name} is a {card.kind}, not a model: give the name of a model")
    data = store.read(card)
    onnxruntime_version()
    # Import here, because listing and fetching models does not need this large package.
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    fallen_back = False
    try:
        backend, reason = _choose(card, backend)
        runtime, found, precision, remark = _start(
            card, data, backend, precision, threads, progress or _log_progress
        )
        reason += remark
    except ModelError as error:
        if not fall_back:
            raise
        runtime, found = OnnxRuntime(card, data, threads), []
        wanted = backend if precision == "auto" else f"{backend} in {precision}"
        reason = f"used because {wanted} cannot be used: {error}"
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
    if isinstance(runtime, OnnxRuntime):
        runtime.warm_up()
    else:
        model.infer(zero_inputs(card))
    return model


def open_network(card: Card, data: bytes) -> Backend:
    """Returns a network on ONNX Runtime, FP32 and one thread, of a file that is not in the cache.

    ``data`` is an ONNX file whose hash the caller has checked, such as one of an installed package.
    ``run`` of the result names inputs and outputs as the file does. Raises ModelError if the file
    does not fit its card.
    """
    onnxruntime_version()
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    return OnnxRuntime(card, data, threads=1)


@functools.cache
def log_terms(terms: str) -> None:
    """Writes ``Card.terms`` to the log, once in a process. Nodes write it to their own log."""
    if terms:
        _log.warning("%s", terms)


def onnxruntime_version() -> str:
    """Returns the version of ONNX Runtime. Raises ModelError if it cannot be imported."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"ONNX Runtime cannot be imported ({error}): pip install onnxruntime"
        ) from error
    return str(onnxruntime.__version__)


def _choose(card: Card, backend: str) -> tuple[str, str]:
    """Returns the backend to use and the reason. Raises ModelError if it cannot run here."""
    if backend == "onnxruntime":
        return backend, "requested"
    from face_perception.inference.tensorrt.engines import why_unavailable

    reason = why_unavailable()
    if backend == "auto":
        return ("onnxruntime", f"auto: {reason}") if reason else ("tensorrt", "auto: GPU found")
    if reason:
        raise ModelError(
            f"model {card.name}: TensorRT cannot run here: {reason}; use the backend onnxruntime "
            "or auto"
        )
    return backend, "requested"


def _start(
    card: Card, data: bytes, backend: str, precision: str, threads: int, progress: ModelProgress
) -> tuple[Backend, list[Deviation], str, str]:
    """Returns the backend, its deviations, its precision, and why ``auto`` did not choose FP16."""
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    remark = ""
    if precision == "auto":
        precision = "fp32"
        if backend == "tensorrt":
            try:
                _ensure_fp16(card, data, progress)
                return *_gated(card, data, backend, "fp16", threads, progress), "fp16", ""
            except ModelError as error:
                remark = f"; auto did not choose fp16: {error}"
    if (backend, precision) == ("onnxruntime", "fp32"):
        return OnnxRuntime(card, data, threads), [], precision, remark
    return *_gated(card, data, backend, precision, threads, progress), precision, remark


def _ensure_fp16(card: Card, data: bytes, progress: ModelProgress) -> None:
    """Makes the FP16 variant of a network if it is missing.

    Raises ModelError if it cannot be made, if its weights exceed 2 GB (which takes minutes), or if
    it deviates too much from FP32 on ONNX Runtime, so that an engine would be built in vain.
    """
    from face_perception.inference.models.derive import make_variant_of

    try:
        _, variant = find_variant(card, "fp16", data)
    except ModelError:
        if card.extra:
            raise
        progress(card.name, "making fp16", 0.0)
        try:
            variant = make_variant_of(card, "fp16")
        except Exception as error:  # the converter fails in its own ways on graphs of others
            raise ModelError(
                f"fp16 of {card.name} cannot be made: {one_line(error, 400)}"
            ) from error
    refuse_deviating(card, variant.deviations, "ONNX Runtime, fp16")


def _gated(
    card: Card, data: bytes, backend: str, precision: str, threads: int, progress: ModelProgress
) -> tuple[Backend, list[Deviation]]:
    """Returns the backend and its deviations from ONNX Runtime in FP32, if the gate accepts it."""
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    kind = kind_of(precision, backend)
    variant, content = card, data
    if kind:
        variant, _ = find_variant(card, kind, data)
        content = store.read(variant)
    inputs = read_reference_inputs(card)
    candidate: Backend
    verdict: KeptVerdict | None = None
    if backend == "tensorrt":
        from face_perception.inference.tensorrt.engines import load_tensorrt
        from face_perception.inference.tensorrt.kept_verdict import KeptVerdict

        engine = load_tensorrt(variant, content, precision, progress)
        candidate = engine.backend
        verdict = KeptVerdict(engine.path, engine.content, card, data, inputs)
    else:
        candidate = OnnxRuntime(variant, content, threads)
    found = verdict.read() if verdict else None
    if found is None:
        found = deviations(card, OnnxRuntime(card, data, threads), candidate, inputs)
        if verdict:
            verdict.write(found)
    refuse_deviating(card, found, f"{candidate.description}, {precision}")
    return candidate, found


def _log_progress(name: str, step: str, share: float) -> None:
    _log.info("model %s: %s (%.0f %%)", name, step, 100 * share)
