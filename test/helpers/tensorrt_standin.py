"""Stand-ins for TensorRT and cuda-python that run the ONNX graph on the CPU.

``install`` puts them in place of both.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import weakref
from collections import Counter
from collections.abc import Callable
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from face_perception.inference.tensorrt import api, backend, cuda, engines
from face_perception.inference.tensorrt.engine_build import MAX_BATCH, Built

PROFILES = {-1: (), 0: (1,), 1: range(2, MAX_BATCH + 1)}  # their batch sizes
DTYPES = {"tensor(float)": np.float32}


class Cudart:
    """The part of cuda-python's runtime that is used, in host memory.

    Counts the calls of its functions, and those of contexts, in ``calls``. Copies to the host are
    done when somebody waits for the stream.
    """

    class cudaMemcpyKind:
        cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost = "up", "down"

    class cudaStreamCaptureMode:
        cudaStreamCaptureModeThreadLocal = "thread"

    cudaStreamNonBlocking = 1
    cudaEventBlockingSync, cudaEventDisableTiming = 1, 2
    cudaHostAllocDefault, cudaHostAllocMapped = 0, 2

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.memory: dict[int, Any] = {}  # of the GPU
        self.host_memory: dict[int, Any] = {}  # page-locked
        self.handles = itertools.count(1)
        self.streams: dict[int, int] = {}
        self.events: dict[int, int] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.integrated = 0
        self.free_bytes = 10**9
        self.captures = True  # False: what is put on a stream cannot be captured
        self.captured: list[Callable[[], None]] | None = None
        self.pending: list[Callable[[], None]] = []

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if isinstance(value, MethodType) and name.startswith("cuda"):
            self.calls[name] += 1
        return value

    def put(self, work: Callable[[], None], *, at_wait: bool = False) -> None:
        """Does what was put on the stream, or records it while the stream is captured."""
        if self.captured is not None:
            self.captured.append(lambda: self.put(work, at_wait=at_wait))
        elif at_wait:
            self.pending.append(work)
        else:
            work()

    def cudaGetErrorString(self, error: int) -> tuple[int, bytes]:
        texts = {2: b"out of memory", 700: b"an illegal memory access", 901: b"capture invalidated"}
        return 0, texts[error]

    def cudaGetLastError(self) -> tuple[int]:
        return (0,)

    def cudaDriverGetVersion(self) -> tuple[int, int]:
        return 0, 12080

    def cudaRuntimeGetVersion(self) -> tuple[int, int]:
        return 0, 12060

    def cudaGetDeviceCount(self) -> tuple[int, int]:
        return 0, 1

    def cudaGetDeviceProperties(self, device: int) -> tuple[int, Any]:
        name = b"Stand-in" + bytes(248)
        return 0, SimpleNamespace(
            name=name, major=8, minor=7, totalGlobalMem=2**33, integrated=self.integrated
        )

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        stream = next(self.handles)
        self.streams[stream] = flags
        return 0, stream

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        del self.streams[stream]
        return (0,)

    def cudaEventCreateWithFlags(self, flags: int) -> tuple[int, int]:
        event = next(self.handles)
        self.events[event] = flags
        return 0, event

    def cudaEventDestroy(self, event: int) -> tuple[int]:
        del self.events[event]
        return (0,)

    def cudaEventRecord(self, event: int, stream: int) -> tuple[int]:
        return (0 if event in self.events and stream in self.streams else 700,)

    def cudaEventSynchronize(self, event: int) -> tuple[int]:
        pending, self.pending = self.pending, []
        for work in pending:
            work()
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

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int, int]:
        assert bool(flags & self.cudaHostAllocMapped) == bool(self.integrated)
        buffer = ctypes.create_string_buffer(size)
        self.host_memory[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cudaHostGetDevicePointer(self, address: int, flags: int) -> tuple[int, int]:
        assert address in self.host_memory
        return 0, address

    def cudaFreeHost(self, address: int) -> tuple[int]:
        del self.host_memory[address]
        return (0,)

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: str, stream: int
    ) -> tuple[int]:
        ours, host = (target, source) if kind == "up" else (source, target)
        if stream not in self.streams or size > len(self.memory[ours]):
            return (700,)
        assert host in self.host_memory, "a copy that is recorded needs memory that stays"
        self.put(lambda: ctypes.memmove(target, source, size), at_wait=kind == "down")
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: str) -> tuple[int]:
        assert mode == "thread"
        self.captured = []
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, int | None]:
        captured, self.captured = self.captured, None
        if captured is None or not self.captures:
            return 901, None
        graph = next(self.handles)
        self.graphs[graph] = captured
        return 0, graph

    def cudaGraphInstantiateWithFlags(self, graph: int, flags: int) -> tuple[int, int]:
        launchable = next(self.handles)
        self.graphs[launchable] = self.graphs[graph]
        return 0, launchable

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[int]:
        for work in self.graphs[graph]:
            work()
        return (0,)

    def cudaGraphDestroy(self, graph: int) -> tuple[int]:
        del self.graphs[graph]
        return (0,)

    cudaGraphExecDestroy = cudaGraphDestroy


class Context:
    """An execution context. A graph that was captured from it is invalid after its shapes change,
    and it must run once with new shapes before it is captured.

    As in TensorRT 8.6, the first context of an engine has profile 0, and later ones have none.
    """

    cudart = Cudart()  # ``install`` sets another one
    shares_profiles = True  # False: as TensorRT before 10, if it was not told

    def __init__(self, engine: Engine) -> None:
        self.engine, self.shapes, self.addresses = engine, {}, {}
        self.ran = False
        self.active_optimization_profile = -1 if engine.contexts else 0
        engine.contexts.add(self)

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.cudart.calls["set_optimization_profile_async"] += 1
        assert stream in self.cudart.streams
        assert self.cudart.captured is None
        users = {one.active_optimization_profile for one in self.engine.contexts}
        if index in users and not self.shares_profiles:
            return False
        self.active_optimization_profile, self.shapes = index, {}
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.cudart.calls["set_input_shape"] += 1
        if shape[0] not in PROFILES[self.active_optimization_profile]:
            return False
        self.shapes[name], self.ran = tuple(shape), False
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        self.cudart.calls["get_tensor_shape"] += 1
        return self._shape(name)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.cudart.calls["set_tensor_address"] += 1
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.cudart.calls["execute_async_v3"] += 1
        if self.cudart.captured is not None and not self.ran:
            return False
        shapes = dict(self.shapes)

        def compute() -> None:
            assert self.shapes == shapes, "the graph is invalid: the shapes of its context changed"
            self.compute()

        self.cudart.put(compute)
        self.ran = True
        return True

    def compute(self) -> None:
        session = self.engine.session
        given = {tensor.name: self.array(tensor.name).copy() for tensor in session.get_inputs()}
        for tensor, result in zip(session.get_outputs(), session.run(None, given), strict=True):
            self.array(tensor.name)[:] = result

    def array(self, name: str) -> np.ndarray:
        shape = self._shape(name)
        buffer = (ctypes.c_float * math.prod(shape)).from_address(self.addresses[name])
        return np.frombuffer(buffer, np.float32).reshape(shape)

    def _shape(self, name: str) -> tuple[int, ...]:
        batch = next(iter(self.shapes.values()))[0]
        return self.shapes.get(name) or (batch, *self.engine.tensors[name].shape[1:])


class Engine:
    def __init__(self, data: bytes) -> None:
        self.session = onnxruntime.InferenceSession(data)
        self.size = len(data)
        self.contexts: weakref.WeakSet[Context] = weakref.WeakSet()
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

    def create_execution_context(self) -> Context | None:
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
    set_attribute(Context, "cudart", cudart)
    set_attribute(cuda, "_import", lambda: cudart)
    set_attribute(engines, "MODULES", ("json",))  # something that can be imported
    for module in (api, engines, backend):
        set_attribute(module, "import_tensorrt", Api)
    set_attribute(engines, "build_engine", lambda card, onnx, folder, **_: Built(onnx, b"timing"))
    return cudart
