"""Runs a TensorRT engine on the first GPU.

Not tested on a GPU yet. The tests run TensorRT up to ``deserialize_cuda_engine``, and the code
after it with a stand-in for TensorRT and CUDA.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.inference.models.cards import Card, ModelError
from face_perception.inference.tensorrt.api import ErrorLog, TensorRT, import_tensorrt
from face_perception.inference.tensorrt.cuda import Cuda, find_gpu
from face_perception.inference.tensorrt.engine_build import batches

Array = npt.NDArray[Any]


class TensorRTBackend:
    """One engine with its GPU buffers and one CUDA stream. Concurrent calls run one after another.

    Raises ModelError if there is no GPU, the engine is for another GPU, or memory is short.
    """

    def __init__(self, card: Card, engine: bytes) -> None:
        api = import_tensorrt()
        self._name = card.name
        self._log = ErrorLog(api)
        self._lock = threading.Lock()
        self._runtime = api.Runtime(self._log.sink)
        # Returns None instead of raising an exception.
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise self._failure("cannot load the engine")
        context = self._engine.create_execution_context()
        if context is None:
            raise self._failure("has too little memory to run the engine")
        self._context = context
        self._inputs, self._outputs = _ports(api, self._engine, card)
        largest = {name: most for name, (_, most) in batches(card.inputs).items()}
        self._batch = max((most[0] for most in largest.values()), default=1)
        for name, shape in largest.items():
            self._shape_input(name, shape)
        gpu = find_gpu()
        self._cuda = Cuda()
        self._stream = self._cuda.call("cudaStreamCreate")
        self._buffers: dict[str, int] = {}
        for name, dtype in {**self._inputs, **self._outputs}.items():
            size = math.prod(context.get_tensor_shape(name)) * dtype.itemsize
            self._buffers[name] = int(self._cuda.call("cudaMalloc", size))
            if not context.set_tensor_address(name, self._buffers[name]):
                raise self._failure(f"rejects the buffer of {name}")
        self.description = f"TensorRT {api.__version__} on {gpu.name}"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        count = len(next(iter(inputs.values())))
        with self._lock:
            parts = [
                self._run({name: value[k : k + self._batch] for name, value in inputs.items()})
                for k in range(0, count, self._batch)
            ]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        cuda, context, stream = self._cuda, self._context, self._stream
        # `arrays` and `outputs` keep the memory alive until the stream has used it.
        arrays = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        for name, value in arrays.items():
            self._shape_input(name, value.shape)
            cuda.to_device(self._buffers[name], value.ctypes.data, value.nbytes, stream)
        outputs = {}
        for name, dtype in self._outputs.items():
            outputs[name] = np.empty(tuple(context.get_tensor_shape(name)), dtype)
        if not context.execute_async_v3(int(stream)):
            raise self._failure("failed to run")
        for name, value in outputs.items():
            cuda.to_host(value.ctypes.data, self._buffers[name], value.nbytes, stream)
        cuda.call("cudaStreamSynchronize", stream)
        return outputs

    def _shape_input(self, name: str, shape: tuple[int, ...]) -> None:
        if not self._context.set_input_shape(name, shape):
            raise self._failure(f"rejects the shape {list(shape)} of {name}")

    def _failure(self, what: str) -> ModelError:
        return ModelError(f"model {self._name}: TensorRT {what}: {self._log.first_error()}")

    def __del__(self) -> None:
        # Skipped at the end of the process, when cuda-python may be unloaded; CUDA frees all then.
        for address in getattr(self, "_buffers", {}).values():
            self._cuda.call("cudaFree", address)
        if hasattr(self, "_stream"):
            self._cuda.call("cudaStreamDestroy", self._stream)


def _ports(
    api: TensorRT, engine: Any, card: Card
) -> tuple[dict[str, np.dtype[Any]], dict[str, np.dtype[Any]]]:
    """Returns the dtypes of the engine's inputs and outputs by name.

    Raises ModelError if they differ from the card.
    """
    inputs: dict[str, np.dtype[Any]] = {}
    outputs: dict[str, np.dtype[Any]] = {}
    for name in (engine.get_tensor_name(k) for k in range(engine.num_io_tensors)):
        dtype = np.dtype(api.nptype(engine.get_tensor_dtype(name)))
        ports = inputs if engine.get_tensor_mode(name) == api.TensorIOMode.INPUT else outputs
        ports[name] = dtype
    wanted = [
        {name: port.dtype for name, port in ports.items()} for ports in (card.inputs, card.outputs)
    ]
    actual = [{name: str(dtype) for name, dtype in ports.items()} for ports in (inputs, outputs)]
    if wanted != actual:
        raise ModelError(
            f"the engine of {card.name} has the ports {actual}, but its card says {wanted}"
        )
    return inputs, outputs
