"""Finds the first GPU and calls the CUDA runtime through cuda-python."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_perception.inference.models.cards import ModelError


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its name, compute capability (such as ``8.7``) and memory in bytes.

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


class Cuda:
    """The CUDA runtime. Raises ModelError if cuda-python cannot be imported."""

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
