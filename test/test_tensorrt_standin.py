"""The code that runs engines, on a stand-in: host memory for the GPU's, ONNX Runtime for TensorRT.

This is no proof that an engine runs: no line of it has seen a GPU. It shows that the code passes
shapes, addresses and sizes as TensorRT's documentation wants them, frees what it takes, and words
what fails.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from face_perception import paths
from face_perception.inference import Disagreement, ModelError, load, make_variant, read_captured
from face_perception.inference.models import store
from face_perception.inference.models.cards import find
from face_perception.inference.tensorrt import backend as tensorrt_backend
from face_perception.inference.tensorrt import cuda, engine_cache, engine_worker, engines
from face_perception.inference.tensorrt.engine_build import MAX_BATCH, Built

DTYPES = {"tensor(float)": np.float32}


class Cudart:
    """Part of cuda-python's runtime, on host memory."""

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
        else:  # nothing may be read before the stream was waited for
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
    """Part of TensorRT's module; an engine is the ONNX file."""

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


@pytest.fixture
def cudart(monkeypatch: pytest.MonkeyPatch) -> Cudart:
    found = Cudart()
    monkeypatch.setattr(cuda, "_import", lambda: found)
    return found


@pytest.fixture(autouse=True)
def standin(cudart: Cudart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    models = tmp_path / "models"
    models.mkdir()
    for path in paths.models_dir().glob("expression.onnx*"):
        (models / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(models))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(engines, "MODULES", ("json",))  # something that can be imported
    for module in (engines, tensorrt_backend):
        monkeypatch.setattr(module, "import_tensorrt", Api)
    monkeypatch.setattr(
        engines, "build_engine", lambda card, onnx, folder, **_: Built(onnx, b"timing")
    )
    return


def test_runs_and_agrees() -> None:
    model = load("expression")
    assert model.backend == "tensorrt"
    assert model.why == "TensorRT 10.3 on Stand-in, fp32, auto: GPU found"
    assert [found.used for found in model.deviations] == [0.0]
    inputs = {k: np.concatenate([v, v]) for k, v in read_captured(find("expression")).items()}
    wanted = load("expression", backend="onnxruntime").infer(inputs)["probability"]
    assert len(wanted) > MAX_BATCH, "or it is not run in parts"
    assert np.allclose(model.infer(inputs)["probability"], wanted, atol=1e-5)
    turned = {"face": inputs["face"][:, :, ::-1]}  # not contiguous
    wanted = load("expression", backend="onnxruntime").infer(turned)["probability"]
    assert np.allclose(model.infer(turned)["probability"], wanted, atol=1e-5)


def test_frees_what_it_takes(cudart: Cudart) -> None:
    model = load("expression", backend="tensorrt")
    assert len(cudart.memory) == 2
    assert cudart.streams
    del model
    assert not cudart.memory
    assert not cudart.streams


def test_out_of_memory(cudart: Cudart, monkeypatch: pytest.MonkeyPatch) -> None:
    cudart.free_bytes = 1000
    with pytest.raises(ModelError, match=r"CUDA: cudaMalloc: out of memory \(the engine is .*\)"):
        load("expression", backend="tensorrt")
    assert not cudart.memory
    monkeypatch.setattr(Engine, "create_execution_context", lambda self: None)
    with pytest.raises(ModelError, match="expression: TensorRT has no memory to run the engine"):
        load("expression", backend="tensorrt")


def test_what_fails_while_running(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("expression", backend="tensorrt")
    inputs = read_captured(find("expression"))
    monkeypatch.setattr(Context, "execute_async_v3", lambda *_: False)
    with pytest.raises(ModelError, match="expression: TensorRT failed to run: TensorRT gives no"):
        model.infer(inputs)


def test_an_engine_that_cannot_be_read() -> None:
    card = find("expression")
    with pytest.raises(ModelError, match=r"cannot load the engine: made by another version$"):
        tensorrt_backend.TensorRTBackend(card, b"other")


def test_an_engine_of_another_network() -> None:
    other = paths.models_dir() / "expression.onnx"
    card = find("expression")
    wrong = dataclasses.replace(card, outputs={"classes": card.outputs["probability"]})
    with pytest.raises(ModelError, match=r"the engine of expression has .*'probability'.*'classes"):
        tensorrt_backend.TensorRTBackend(wrong, other.read_bytes())


def test_an_engine_that_computes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, kept off, and replaced only where that was asked for."""
    right = Context.execute_async_v3

    def wrong(self: Context, stream: int) -> bool:
        done = right(self, stream)
        self._array("probability")[:] += 0.05
        return done

    monkeypatch.setattr(Context, "execute_async_v3", wrong)
    said = r"expression: TensorRT 10\.3 on Stand-in, fp32, disagrees .*off by 0\.05, 2\.5 times"
    with pytest.raises(Disagreement, match=said):
        load("expression")
    model = load("expression", fall_back=True)
    assert model.backend == "onnxruntime"
    assert "fallen back to, since tensorrt in fp32 does not serve" in model.why


def test_variants_reach_the_engine() -> None:
    make_variant("expression", "fp16")
    model = load("expression", precision="fp16")
    assert (model.backend, model.precision) == ("tensorrt", "fp16")
    assert 0 < model.deviations[0].used < 1


def test_an_engine_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    load("expression")
    monkeypatch.setattr(engines, "build_engine", None)
    load("expression")
    steps: list[str] = []
    card = find("expression")
    path, _ = engines.engine_of(
        card,
        store.read(card),
        precision="fp32",
        gpu=cuda.find_gpu(),
        progress=lambda name, step, share: steps.append(step),
    )
    assert not steps
    assert '"gpu": "Stand-in 8.7"' in path.read_bytes().split(b"\n")[0].decode()
    assert '"tensorrt": "tensorrt 10.3"' in path.read_bytes().split(b"\n")[0].decode()


def test_timing_of_one_build_serves_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bytes] = []

    def build(card: Any, onnx: bytes, folder: Path, *, timing: bytes, **_: Any) -> Built:
        given.append(timing)
        return Built(onnx, timing + b"+")

    monkeypatch.setattr(engines, "build_engine", build)
    make_variant("expression", "fp16")
    load("expression")
    load("expression", precision="fp16")
    assert given == [b"", b"+"]


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [({"EXPLICIT_BATCH": 0}, 1), ({"STRONGLY_TYPED": 1, "EXPLICIT_BATCH": 0}, 2), ({}, 0)],
    ids=["8.6", "10", "none"],
)
def test_flags_of_other_versions(flags: dict[str, int], wanted: int) -> None:
    api: Any = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace(**flags))
    assert engine_worker._network_flags(api) == wanted


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_8_6_is_told_the_precision(precision: str) -> None:
    told: list[str] = []
    config: Any = SimpleNamespace(set_flag=told.append)
    flags = SimpleNamespace(FP16="fp16", INT8="int8")
    for creation, wanted in (
        ({"EXPLICIT_BATCH": 0}, [precision] if precision != "fp32" else []),
        ({"STRONGLY_TYPED": 1}, []),
    ):
        api: Any = SimpleNamespace(
            NetworkDefinitionCreationFlag=SimpleNamespace(**creation), BuilderFlag=flags
        )
        engine_worker._set_precision(api, config, precision)
        assert told == wanted
        told.clear()


def test_no_gpu_in_the_machine(cudart: Cudart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cudart, "cudaGetDeviceCount", lambda self: (0, 0))
    with pytest.raises(ModelError, match="TensorRT cannot run here: no NVIDIA GPU in this machine"):
        load("expression", backend="tensorrt")
    assert load("expression").why.endswith("auto: no NVIDIA GPU in this machine")


def test_no_cuda_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(cuda.importlib, "import_module", _fail)
    with pytest.raises(ModelError, match=r"no access to a GPU \(no module\): pip install cuda-py"):
        cuda.find_gpu()


def _fail(name: str) -> None:
    raise ModuleNotFoundError("no module")


def test_left_by_a_killed_process_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "x.engine"
    left = tmp_path / "x.engine.1.part"
    left.write_bytes(b"half")
    engine_cache.get_or_make(path, {}, lambda: b"whole", lambda: None)
    assert not left.exists()
    assert engine_cache.read(path, {}) == b"whole"
