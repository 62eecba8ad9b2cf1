"""The memory in which an engine exchanges one input or output with the host."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.inference.tensorrt.cuda import Cuda

Array = npt.NDArray[Any]


class PortBuffer:
    """Page-locked memory of the host and memory of the GPU, for one port, made once.

    ``size`` is that of the port's largest shape, in bytes. On an integrated GPU (Jetson) both are
    the same memory, and nothing is copied. ``device`` is the address for the GPU. Raises ModelError
    if memory is short.
    """

    def __init__(self, cuda: Cuda, size: int, *, integrated: bool) -> None:
        self._cuda = cuda
        self._integrated = integrated
        self._host = cuda.host_memory(size, mapped=integrated)
        if integrated:
            self.device = int(cuda.call("cudaHostGetDevicePointer", self._host, 0))
        else:
            self.device = int(cuda.call("cudaMalloc", size))
        content = (ctypes.c_ubyte * size).from_address(self._host)
        self._bytes: npt.NDArray[np.uint8] = np.frombuffer(memoryview(content), np.uint8)

    def view(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Returns the host's memory as an array, from its start on."""
        size = int(np.prod(shape)) * dtype.itemsize
        array: Array = self._bytes[:size].view(dtype).reshape(shape)
        return array

    def to_device(self, view: Array, stream: Any) -> None:
        """Puts the copy of a view to the GPU on a stream, if the GPU has separate memory."""
        if not self._integrated:
            self._cuda.to_device(self.device, self._host, view.nbytes, stream)

    def to_host(self, view: Array, stream: Any) -> None:
        """Puts the copy of a view from the GPU on a stream, if the GPU has separate memory."""
        if not self._integrated:
            self._cuda.to_host(self._host, self.device, view.nbytes, stream)

    def __del__(self) -> None:
        if hasattr(self, "device") and not self._integrated:
            self._cuda.call("cudaFree", self.device)
        if hasattr(self, "_host"):
            self._cuda.call("cudaFreeHost", self._host)
