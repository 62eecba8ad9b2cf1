"""Runs a network with ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import onnxruntime

from face_perception.inference.models.cards import Card, ModelError, Port

Array = npt.NDArray[Any]

_ERRORS_ONLY = 3
# ONNX Runtime warns in containers without /sys/devices. Users cannot act on that.
onnxruntime.set_default_logger_severity(_ERRORS_ONLY)


class OnnxRuntime:
    """One ONNX Runtime session. Raises ModelError if the file does not fit its card.

    Loads a model with extra weight files from its path, so that ONNX Runtime finds those files.
    """

    def __init__(self, card: Card, data: bytes, threads: int) -> None:
        try:
            self.session = onnxruntime.InferenceSession(
                str(card.path) if card.extra else data,
                session_options(threads),
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # the exceptions of ONNX Runtime have no common base class
            raise ModelError(f"{card.path} cannot be loaded by ONNX Runtime: {error}") from error
        self._name = card.name
        self._outputs = list(card.outputs)
        _compare(card, "input", card.inputs, self.session.get_inputs())
        _compare(card, "output", card.outputs, self.session.get_outputs())
        self.description = f"onnxruntime {onnxruntime.__version__} on the CPU, {threads} thread" + (
            "s" if threads > 1 else ""
        )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            results = self.session.run(self._outputs, inputs)
        except Exception as error:
            raise ModelError(f"model {self._name}: ONNX Runtime failed: {error}") from error
        return dict(zip(self._outputs, results, strict=True))


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Returns the options that all sessions of the package use."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    # Spinning threads take CPU time from the other nodes: they ran at half speed on two cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _compare(card: Card, what: str, ports: Mapping[str, Port], found: list[Any]) -> None:
    def text(shape: Any) -> str:
        return "[" + ", ".join(str(v) if isinstance(v, int) else "N" for v in shape) + "]"

    types = {"float32": "tensor(float)", "int64": "tensor(int64)"}
    wanted = {name: (types[port.dtype], text(port.shape)) for name, port in ports.items()}
    actual = {value.name: (value.type, text(value.shape)) for value in found}
    if wanted != actual:
        raise ModelError(
            f"{card.path} does not fit its card: its {what}s are {actual}, but the card says "
            f"{wanted}: fetch or import the model again"
        )
