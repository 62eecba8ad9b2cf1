"""Finds the first GPU and calls the CUDA runtime through cuda-python."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_perception.inference.models.cards import ModelError


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its name, compute capability (such as ``8.7``) and memory in bytes.

    ``integrated`` says that it uses the memory of the CPU, as on a Jetson.

    >>> from face_perception.inference import ModelError, find_gpu
    >>> try:
    ...     gpu = find_gpu()
    ... except ModelError:
    ...     gpu = Gpu("Orin", capability="8.7", memory=8 * 2**30)  # as on a Jetson Orin with 8 GB
    >>> tuple(int(part) for part in gpu.capability.split(".")) >= (5, 0)
    True
    """

    name: str
    capability: str
    memory: int
    integrated: bool = False


class Cuda:
    """The CUDA runtime. Raises ModelError if cuda-python cannot be imported.

    It creates no context: all users in a process share the primary context of the GPU.
    """

    def __init__(self) -> None:
        self._api = _import()

    def call(self, function: str, *arguments: Any) -> Any:
        """Calls a function of the runtime and returns its results: one value or a tuple.

        Raises ModelError, with CUDA's error text, if the call fails.
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

    def make_stream(self) -> Any:
        """Returns a new stream that does not wait for the default stream of the process."""
        return self.call("cudaStreamCreateWithFlags", self._api.cudaStreamNonBlocking)

    def make_event(self) -> Any:
        """Returns a new event. A thread that waits for it sleeps and uses no CPU time."""
        flags = self._api.cudaEventBlockingSync | self._api.cudaEventDisableTiming
        return self.call("cudaEventCreateWithFlags", flags)

    def wait(self, stream: Any, event: Any) -> None:
        """Waits until a stream has done everything that was put on it."""
        self.call("cudaEventRecord", event, stream)
        self.call("cudaEventSynchronize", event)

    def host_memory(self, size: int, *, mapped: bool) -> int:
        """Returns the address of new page-locked memory of the host.

        If ``mapped``, the GPU can use it under the address that ``cudaHostGetDevicePointer`` gives.
        """
        flags = self._api.cudaHostAllocMapped if mapped else self._api.cudaHostAllocDefault
        return int(self.call("cudaHostAlloc", size, flags))

    def capture(self, stream: Any, work: Callable[[], None]) -> Any:
        """Records what ``work`` puts on a stream, without running it, and returns it as a CUDA
        graph that can be launched. Raises ModelError; the stream can then be used as before.
        """
        # Other threads of the process may go on using CUDA.
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)
        graph = None
        try:
            try:
                work()
            except ModelError:
                # End the capture, or the stream stays unusable. The error of this call would hide
                # the cause.
                _, graph = self._api.cudaStreamEndCapture(stream)
                raise
            graph = self.call("cudaStreamEndCapture", stream)
            return self.call("cudaGraphInstantiateWithFlags", graph, 0)
        except ModelError:
            # Clear the error, or TensorRT takes it for one of its next call.
            self._api.cudaGetLastError()
            raise
        finally:
            if graph is not None and int(graph):
                self.call("cudaGraphDestroy", graph)


def _has_nvidia_hardware() -> bool:
    """Returns whether the system knows an NVIDIA device: a driver, a PCI device or a Jetson.

    Without one, what the CUDA runtime says about drivers would only mislead.
    """
    if any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg")):
        return True
    with contextlib.suppress(OSError):
        if "tegra" in Path("/proc/device-tree/compatible").read_text(errors="replace"):
            return True
    for vendor in Path("/sys/bus/pci/devices").glob("*/vendor"):
        with contextlib.suppress(OSError):
            if vendor.read_text().strip() == "0x10de":
                return True
    return False


def find_gpu() -> Gpu:
    """Returns the first GPU. Raises ModelError, with the reason, if no GPU can be used."""
    cuda = Cuda()
    try:
        count = cuda.call("cudaGetDeviceCount")
    except ModelError as error:
        if not _has_nvidia_hardware():
            raise ModelError("this machine has no NVIDIA GPU") from error
        raise ModelError(f"no usable NVIDIA GPU ({error}): check the driver") from error
    if not count:
        raise ModelError("this machine has no NVIDIA GPU")
    properties = cuda.call("cudaGetDeviceProperties", 0)
    return Gpu(
        name=properties.name.split(b"\0")[0].decode(errors="replace"),
        capability=f"{properties.major}.{properties.minor}",
        memory=int(properties.totalGlobalMem),
        integrated=bool(properties.integrated),
    )


def _import() -> Any:
    reason = ""
    # cuda-python before 12.6 has the second name. JetPack 5 and 6 may have such a version.
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            reason = reason or str(error)
    if not _has_nvidia_hardware():
        raise ModelError("this machine has no NVIDIA GPU")
    raise ModelError(f"cuda-python cannot be imported ({reason}): pip install cuda-python")
