"""Runs a network with ONNX Runtime on the CPU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import onnxruntime

from face_perception.errors import one_line, shortened
from face_perception.inference.memory_limit import memory_limit
from face_perception.inference.models.cards import Card, ModelError, Port
from face_perception.inference.reference_inputs import zero_inputs
from face_perception.outside_files import one_error

Array = npt.NDArray[Any]

_ERRORS_ONLY = 3
# The entry "location" of a weight file in an ONNX file (the message StringStringEntryProto), with
# the length of its value if that follows and is below 128.
_LOCATION = re.compile(rb"\x0a\x08location(?:\x12([\x01-\x7f]))?", re.DOTALL)
# Memory that loading a network and its first run may take: so much in any case, so many times the
# size of its files, and the stack of each thread. Measured with the default models: up to 50 MB.
_FREE_MEMORY, _LARGEST_RATIO, _STACK = 192 << 20, 12, 16 << 20
# The variable ORT_DISABLE_TELEMETRY is set too late if another package imported ONNX Runtime first.
onnxruntime.disable_telemetry_events()
# ONNX Runtime warns in containers without /sys/devices. Users cannot act on that.
onnxruntime.set_default_logger_severity(_ERRORS_ONLY)


class OnnxRuntime:
    """One ONNX Runtime session. Raises ModelError if the file does not fit its card.

    Loads a model with extra weight files from its path, so that ONNX Runtime finds those files.
    """

    # Weights are read from memory once for a batch. With the mesh network, each face takes 0.80 to
    # 0.83 of the time of a single face with 2 faces in a call, 0.74 to 0.75 with 4, and 0.72 to
    # 0.73 with 8, which gains little more (`face-perception bench face_mesh`, fastest calls, three
    # runs with a load of 3).
    batch_size = 4

    def __init__(self, card: Card, data: bytes, threads: int) -> None:
        _check_external(card, data)
        size = len(data) + sum(path.stat().st_size for path in card.extra_paths.values())
        self._headroom = _FREE_MEMORY + _LARGEST_RATIO * size + _STACK * threads
        try:
            with memory_limit(self._headroom):
                self.session = onnxruntime.InferenceSession(
                    str(card.path) if card.extra else data,
                    session_options(threads),
                    providers=["CPUExecutionProvider"],
                )
        except Exception as error:  # the exceptions of ONNX Runtime have no common base class
            raise ModelError(
                f"{card.path} cannot be loaded by ONNX Runtime: {one_line(error, 400)}"
            ) from error
        self._name = card.name
        self._card = card
        self._outputs = list(card.outputs)
        with one_error(f"{card.path}", "import the model again", ModelError):
            # A name in the file that is not UTF-8 raises UnicodeDecodeError.
            _compare(card, "input", card.inputs, self.session.get_inputs())
            _compare(card, "output", card.outputs, self.session.get_outputs())
        self.description = f"onnxruntime {onnxruntime.__version__} on the CPU, {threads} thread" + (
            "s" if threads > 1 else ""
        )

    def warm_up(self) -> None:
        """Runs the network once on zeros, with sizes of 1 where they are free.

        Raises ModelError if it fails, or needs much more memory than its file has bytes.
        """
        with memory_limit(self._headroom):
            self.run(zero_inputs(self._card))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            results = self.session.run(self._outputs, inputs)
        except Exception as error:
            raise ModelError(
                f"model {self._name}: ONNX Runtime failed: {one_line(error, 400)}"
            ) from error
        return dict(zip(self._outputs, results, strict=True))


def _check_external(card: Card, data: bytes) -> None:
    """Raises ModelError if an ONNX file refers to weight files that its card does not name."""
    for found in _LOCATION.finditer(data):
        name = data[found.end() : found.end() + found[1][0]] if found[1] else b""
        if name.decode(errors="replace") not in card.extra:
            raise ModelError(
                f"{card.path} refers to the weight file {shortened(name)}, which its card does not "
                "name: import the model again"
            )


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
            f"{card.path} does not fit its card: its {what}s are {one_line(actual)}, but the card "
            f"says {one_line(wanted)}: fetch or import the model again"
        )
