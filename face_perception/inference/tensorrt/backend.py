"""Runs a TensorRT engine on the first GPU.

Not tested on a GPU yet. The tests run TensorRT up to ``deserialize_cuda_engine``, and the code
after it with a stand-in for TensorRT and CUDA. ``make gpu-check`` tests it on a GPU.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.inference.models.cards import Card, ModelError
from face_perception.inference.tensorrt.api import Context, ErrorLog, TensorRT, import_tensorrt
from face_perception.inference.tensorrt.buffers import PortBuffer
from face_perception.inference.tensorrt.cuda import Cuda, find_gpu
from face_perception.inference.tensorrt.engine_build import MAX_BATCH, Shapes, profiles

_log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

# Largest number of CUDA graphs of a network; each has an execution context, which takes memory.
_MOST_GRAPHS = MAX_BATCH


class TensorRTBackend:
    """One engine with its buffers and one CUDA stream. Concurrent calls run one after another.

    The first call with new input shapes runs plainly and then records a CUDA graph; later calls
    with these shapes only launch it. Raises ModelError if there is no GPU, the engine is for
    another GPU, or memory is short.
    """

    def __init__(self, card: Card, engine: bytes) -> None:
        api = import_tensorrt()
        self._name = card.name
        self._log = ErrorLog(api)
        self._lock = threading.Lock()
        self._runtime = api.Runtime(self._log.sink)
        # Returns None instead of raising an exception.
        loaded = self._runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            raise self._failure("cannot load the engine")
        self._engine = loaded
        context = self._engine.create_execution_context()
        if context is None:
            raise self._failure("has too little memory to run the engine")
        self._inputs, self._outputs = _ports(api, self._engine, card)
        gpu = find_gpu()
        self._cuda = Cuda()
        self._stream = self._cuda.make_stream()
        self._event = self._cuda.make_event()
        self._profiles = profiles(card)
        largest = self._profiles[-1].most
        self.batch_size = max(most[0] for most in largest.values())
        self._set_shapes(context, largest)
        self._buffers = {
            name: PortBuffer(
                self._cuda,
                math.prod(context.get_tensor_shape(name)) * dtype.itemsize,
                integrated=gpu.integrated,
            )
            for name, dtype in {**self._inputs, **self._outputs}.items()
        }
        self._set_addresses(context)
        # What is prepared, by the shapes of the inputs; oldest first.
        self._plans: dict[tuple[tuple[int, ...], ...], _Plan] = {}
        self._spare: list[Context] = [context]
        self._captures = True
        self.description = f"TensorRT {api.__version__} on {gpu.name}"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        count = len(next(iter(inputs.values())))
        with self._lock:
            parts = [
                self._run({name: value[k : k + self.batch_size] for name, value in inputs.items()})
                for k in range(0, count, self.batch_size)
            ]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        shapes = tuple(inputs[name].shape for name in self._inputs)
        plan = self._plans.get(shapes) or self._prepare(shapes)
        for name, view in plan.inputs.items():
            np.copyto(view, inputs[name])
        if plan.graph is None:
            self._enqueue(plan)
        else:
            self._cuda.call("cudaGraphLaunch", plan.graph, self._stream)
        self._cuda.wait(self._stream, self._event)
        # Copy, because the next call overwrites the buffers.
        outputs = {name: view.copy() for name, view in plan.outputs.items()}
        if plan.graph is None and self._captures:
            self._capture(plan)
        return outputs

    def _prepare(self, shapes: tuple[tuple[int, ...], ...]) -> _Plan:
        """Sets input shapes for the first time and returns what the next calls need."""
        by_name = dict(zip(self._inputs, shapes, strict=True))
        context = self._take_context(by_name)
        try:
            self._set_shapes(context, by_name)
        except ModelError:
            self._spare.append(context)
            raise

        def views(ports: Mapping[str, np.dtype[Any]]) -> dict[str, Array]:
            return {
                name: self._buffers[name].view(tuple(context.get_tensor_shape(name)), dtype)
                for name, dtype in ports.items()
            }

        plan = _Plan(context, views(self._inputs), views(self._outputs))
        self._plans[shapes] = plan
        return plan

    def _take_context(self, shapes: Shapes) -> Context:
        """Returns an execution context for new shapes.

        Each CUDA graph needs its own context, because new shapes change the state of a context,
        which invalidates its graph.
        """
        if not self._spare and self._captures and len(self._plans) < _MOST_GRAPHS:
            context = self._engine.create_execution_context()
            if context is not None and self._choose_profile(context, shapes):
                self._set_addresses(context)
                return context
            self._stop_capturing(f"no more execution contexts: {self._log.first_error()}")
        if not self._spare:
            self._drop(next(iter(self._plans)))
        return self._spare.pop()

    def _drop(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Forgets a plan. Its context can be used for other shapes."""
        plan = self._plans.pop(shapes)
        if plan.graph is not None:
            self._cuda.call("cudaGraphExecDestroy", plan.graph)
        self._spare.append(plan.context)

    def _enqueue(self, plan: _Plan) -> None:
        """Puts the copies and the network on the stream."""
        for name, view in plan.inputs.items():
            self._buffers[name].to_device(view, self._stream)
        if not plan.context.execute_async_v3(int(self._stream)):
            raise self._failure("failed to run")
        for name, view in plan.outputs.items():
            self._buffers[name].to_host(view, self._stream)

    def _capture(self, plan: _Plan) -> None:
        """Records the CUDA graph of a plan that has run once, as TensorRT requires."""
        try:
            plan.graph = self._cuda.capture(self._stream, lambda: self._enqueue(plan))
        except ModelError as error:
            self._stop_capturing(str(error))

    def _stop_capturing(self, reason: str) -> None:
        """Runs without CUDA graphs from now on, on one context."""
        _log.warning("model %s runs without CUDA graphs: %s", self._name, reason)
        self._captures = False
        for shapes in list(self._plans):
            self._drop(shapes)
        del self._spare[1:]

    def _choose_profile(self, context: Context, shapes: Shapes) -> bool:
        """Returns False if TensorRT refuses the profile that includes the shapes.

        TensorRT before 10 does so if another context uses this profile.
        """
        index = next((k for k, one in enumerate(self._profiles) if one.includes(shapes)), 0)
        if context.active_optimization_profile == index:
            return True
        return context.set_optimization_profile_async(index, int(self._stream))

    def _set_shapes(self, context: Context, shapes: Shapes) -> None:
        """Raises ModelError if TensorRT refuses the shapes, or their profile."""
        if not self._choose_profile(context, shapes):
            raise self._failure(f"refuses the profile for the shapes {dict(shapes)}")
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise self._failure(f"rejects the shape {list(shape)} of {name}")

    def _set_addresses(self, context: Context) -> None:
        for name, buffer in self._buffers.items():
            if not context.set_tensor_address(name, buffer.device):
                raise self._failure(f"rejects the buffer of {name}")

    def _failure(self, what: str) -> ModelError:
        return ModelError(f"model {self._name}: TensorRT {what}: {self._log.first_error()}")

    def __del__(self) -> None:
        # Skipped at the end of the process, when cuda-python may be unloaded; CUDA frees all then.
        for shapes in list(getattr(self, "_plans", ())):
            self._drop(shapes)
        if hasattr(self, "_event"):
            self._cuda.call("cudaEventDestroy", self._event)
        if hasattr(self, "_stream"):
            self._cuda.call("cudaStreamDestroy", self._stream)


@dataclass(slots=True)
class _Plan:
    """What runs one combination of input shapes.

    ``context`` has these shapes. ``inputs`` and ``outputs`` are views of the buffers' host memory.
    ``graph`` is the CUDA graph of copies and network, None until it was recorded.
    """

    context: Context
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    graph: Any = None


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
