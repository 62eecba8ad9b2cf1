"""Types for the part of TensorRT's Python API that 8.6, 10, 11 and TensorRT-RTX have in common.

Two names differ between versions, and the code that uses them looks them up: the flags of a network
(EXPLICIT_BATCH in 8.6, STRONGLY_TYPED later) and IProgressMonitor (absent in 8.6).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol, cast

from face_perception.inference.models.cards import ModelError
from face_perception.inference.tensorrt.jetpack import find_jetpack, install_hint

MODULES = ("tensorrt", "tensorrt_rtx")


class Network(Protocol):
    num_inputs: int
    num_layers: int


class Profile(Protocol):
    def set_shape(
        self, name: str, low: Sequence[int], usual: Sequence[int], high: Sequence[int], /
    ) -> None: ...


class TimingCache(Protocol):
    def serialize(self) -> Any: ...


class Config(Protocol):
    progress_monitor: Any

    def set_flag(self, flag: Any, /) -> None: ...
    def add_optimization_profile(self, profile: Profile, /) -> int: ...
    def create_timing_cache(self, data: bytes, /) -> TimingCache | None: ...
    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool, /) -> bool: ...
    def get_timing_cache(self) -> TimingCache | None: ...


class Builder(Protocol):
    def create_network(self, flags: int, /) -> Network: ...
    def create_builder_config(self) -> Config: ...
    def create_optimization_profile(self) -> Profile: ...
    def build_serialized_network(self, network: Network, config: Config, /) -> Any: ...


class Parser(Protocol):
    num_errors: int

    def parse(self, model: bytes, /) -> bool: ...
    def parse_from_file(self, path: str, /) -> bool: ...
    def get_error(self, index: int, /) -> Any: ...


class Context(Protocol):
    active_optimization_profile: int

    def set_optimization_profile_async(self, index: int, stream: int, /) -> bool: ...
    def set_input_shape(self, name: str, shape: Sequence[int], /) -> bool: ...
    def get_tensor_shape(self, name: str, /) -> Sequence[int]: ...
    def set_tensor_address(self, name: str, address: int, /) -> bool: ...
    def execute_async_v3(self, stream: int, /) -> bool: ...


class Engine(Protocol):
    num_io_tensors: int

    def get_tensor_name(self, index: int, /) -> str: ...
    def get_tensor_mode(self, name: str, /) -> Any: ...
    def get_tensor_dtype(self, name: str, /) -> Any: ...
    def create_execution_context(self) -> Context | None: ...


class Runtime(Protocol):
    def deserialize_cuda_engine(self, data: bytes, /) -> Engine | None: ...


class TensorRT(Protocol):
    """The module ``tensorrt`` or ``tensorrt_rtx``."""

    __name__: str
    __version__: str
    ILogger: Any
    NetworkDefinitionCreationFlag: Any
    BuilderFlag: Any
    TensorIOMode: Any

    def Builder(self, logger: Any, /) -> Builder: ...
    def OnnxParser(self, network: Network, logger: Any, /) -> Parser: ...
    def Runtime(self, logger: Any, /) -> Runtime: ...
    def nptype(self, dtype: Any, /) -> type[Any]: ...


def import_tensorrt() -> TensorRT:
    """Returns the module of TensorRT, or of TensorRT-RTX.

    Raises ModelError if neither is installed.
    """
    reason = ""
    for name in MODULES:
        try:
            return cast(TensorRT, importlib.import_module(name))
        except ImportError as error:
            reason = reason or str(error)
    hint = install_hint(reason, find_jetpack())
    raise ModelError(f"TensorRT is not installed ({reason}): {hint}")


def tensorrt_version() -> str:
    """Returns name and version of TensorRT. Raises ModelError if it is not installed."""
    api = import_tensorrt()
    return f"{api.__name__} {api.__version__}"


class ErrorLog:
    """Collects the errors of TensorRT. Pass ``sink`` to TensorRT as its logger."""

    def __init__(self, api: TensorRT) -> None:
        errors: list[str] = []
        worst = (api.ILogger.INTERNAL_ERROR, api.ILogger.ERROR)

        base: Any = api.ILogger

        class Sink(base):
            def __init__(self) -> None:
                base.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in worst:
                    errors.append(message)

        self._errors = errors
        self.sink = Sink()

    def first_error(self) -> str:
        """Returns the first error since the last call, which is the cause of the later ones."""
        first = self._errors[0] if self._errors else "TensorRT gives no reason"
        self._errors.clear()
        return first
