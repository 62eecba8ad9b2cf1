"""The CUDA device, through cuda-python, with its error codes made exceptions. Knows no TensorRT."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from face_perception.inference.models.cards import ModelError


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU: its name, compute capability (``8.7``) and memory in bytes."""

    name: str
    capability: str
    memory: int


class Cuda:
    """The CUDA runtime. Raises ModelError where cuda-python cannot be imported."""

    def __init__(self) -> None:
        self._api = _import()

    def call(self, function: str, *arguments: Any) -> Any:
        """Calls a function of the runtime and returns what it gives beside its error code: nothing,
        a value or several. Raises ModelError with CUDA's own text where it fails.
        """
        error, *values = getattr(self._api, function)(*arguments)
        if int(error):
            _, text = self._api.cudaGetErrorString(error)
            raise ModelError(f"CUDA: {function}: {text.decode(errors='replace')}")
        return values[0] if len(values) == 1 else tuple(values)

    def to_device(self, target: int, source: int, size: int, stream: Any) -> None:
        kind = self._api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpyAsync", target, source, size, kind, stream)

    def to_host(self, target: int, source: int, size: int, stream: Any) -> None:
        kind = self._api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", target, source, size, kind, stream)


def find_gpu() -> Gpu:
    """The first GPU. Raises ModelError saying why there is none."""
    cuda = Cuda()
    try:
        count = cuda.call("cudaGetDeviceCount")
    except ModelError as error:
        raise ModelError(f"no usable NVIDIA GPU ({error}): check the driver") from error
    if not count:
        raise ModelError("no NVIDIA GPU in this machine")
    properties = cuda.call("cudaGetDeviceProperties", 0)
    return Gpu(
        name=properties.name.split(b"\0")[0].decode(errors="replace"),
        capability=f"{properties.major}.{properties.minor}",
        memory=int(properties.totalGlobalMem),
    )


def _import() -> Any:
    reason = ""
    # The second name is that of cuda-python before 12.6, which JetPack 5 and 6 may have.
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            reason = reason or str(error)
    raise ModelError(f"no access to a GPU ({reason}): pip install cuda-python")
