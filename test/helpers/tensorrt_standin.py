"""Stand-ins for TensorRT and cuda-python that run the ONNX graph on the CPU.

``install`` puts them in place of both.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from face_perception.inference.tensorrt import api, backend, cuda, engines
from face_perception.inference.tensorrt.engine_build import MAX_BATCH, Built

DTYPES = {"tensor(float)": np.float32}


class Cudart:
    """The part of cuda-python's runtime that is used, in host memory."""

    class cudaMemcpyKind:
        cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost = "up", "down"

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.streams: set[int] = set()
        self.free_bytes = 10**9
        self.pending: list[tuple[int, int, int]] = []

    def cudaGetErrorString(self, error: int) -> tuple[int, bytes]:
        return 0, {2: b"out of memory", 700: b"an illegal memory access"}[error]

    def cudaGetDeviceCount(self) -> tuple[int, int]:
        return 0, 1

    def cudaGetDeviceProperties(self, device: int) -> tuple[int, Any]:
        name = b"Stand-in" + bytes(248)
        return 0, SimpleNamespace(name=name, major=8, minor=7, totalGlobalMem=2**33)

    def cudaStreamCreate(self) -> tuple[int, int]:
        self.streams.add(7)
        return 0, 7

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        self.streams.remove(stream)
        return (0,)

    def cudaMalloc(self, size: int) -> tuple[int, int | None]:
        if size > self.free_bytes:
            return 2, None
        buffer = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cudaFree(self, address: int) -> tuple[int]:
        del self.memory[address]
        return (0,)

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: str, stream: int
    ) -> tuple[int]:
        ours = target if kind == "up" else source
        if stream not in self.streams or size > len(self.memory[ours]):
            return (700,)
        if kind == "up":
            ctypes.memmove(target, source, size)
        else:  # reading before the stream was synchronized is an error
            self.pending.append((target, source, size))
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        for target, source, size in self.pending:
            ctypes.memmove(target, source, size)
        self.pending.clear()
        return (0,)


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.shapes, self.addresses = engine, {}, {}
        self.works = True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if not 1 <= shape[0] <= MAX_BATCH:
            return False
        self.shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch = next(iter(self.shapes.values()))[0]
        return self.shapes.get(name) or (batch, *self.engine.tensors[name].shape[1:])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        session = self.engine.session
        given = {tensor.name: self._array(tensor.name).copy() for tensor in session.get_inputs()}
        for tensor, result in zip(session.get_outputs(), session.run(None, given), strict=True):
            self._array(tensor.name)[:] = result
        return self.works

    def _array(self, name: str) -> np.ndarray:
        shape = self.get_tensor_shape(name)
        buffer = (ctypes.c_float * math.prod(shape)).from_address(self.addresses[name])
        return np.frombuffer(buffer, np.float32).reshape(shape)


class Engine:
    def __init__(self, data: bytes) -> None:
        self.session = onnxruntime.InferenceSession(data)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self.tensors = {tensor.name: tensor for tensor in (*inputs, *outputs)}
        self.inputs = {tensor.name for tensor in inputs}
        self.num_io_tensors = len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in self.inputs else "out"

    def get_tensor_dtype(self, name: str) -> str:
        return self.tensors[name].type

    def create_execution_context(self) -> Context:
        return Context(self)


class Api:
    """The part of TensorRT's module that is used; an engine is the ONNX file."""

    __name__, __version__ = "tensorrt", "10.3"
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")

    class ILogger:
        INTERNAL_ERROR, ERROR = "internal", "error"

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            if data == b"other":
                self.logger.log("error", "made by another version")
                self.logger.log("error", "and so it cannot be read")
                return None
            return Engine(data)

    def nptype(self, dtype: str) -> type[Any]:
        return DTYPES[dtype]


def install(set_attribute: Callable[[Any, str, Any], None]) -> Cudart:
    """Puts the stand-ins in place with ``setattr`` or ``monkeypatch.setattr``; returns the CUDA."""
    cudart = Cudart()
    set_attribute(cuda, "_import", lambda: cudart)
    set_attribute(engines, "MODULES", ("json",))  # something that can be imported
    for module in (api, engines, backend):
        set_attribute(module, "import_tensorrt", Api)
    set_attribute(engines, "build_engine", lambda card, onnx, folder, **_: Built(onnx, b"timing"))
    return cudart
