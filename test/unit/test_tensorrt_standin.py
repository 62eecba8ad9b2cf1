"""Tests the code that runs engines on a stand-in: host memory for the GPU's, ONNX Runtime for
TensorRT.

This does not prove that an engine runs: no line of it was run on a GPU. It shows that the code
passes shapes, addresses and sizes as TensorRT's documentation says, frees what it allocates, and
words its errors.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faces_scene import frame, paste, wall
from tensorrt_standin import Context, Cudart, Engine, install

from face_perception import paths
from face_perception.affect import load_appearance
from face_perception.faces import load_tracker
from face_perception.inference import (
    Deviation,
    Disagreement,
    ModelError,
    make_variant,
    read_reference_inputs,
)
from face_perception.inference import model as network
from face_perception.inference.models import store
from face_perception.inference.models.catalogue import find_card
from face_perception.inference.tensorrt import backend as tensorrt_backend
from face_perception.inference.tensorrt import (
    cuda,
    engine_cache,
    engine_worker,
    engines,
    kept_verdict,
)
from face_perception.inference.tensorrt.engine_build import MAX_BATCH, Built
from face_perception.media import PHOTOS

load = functools.partial(network.load, precision="fp32")


@pytest.fixture(autouse=True)
def cudart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cudart:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("expression", "face_detector", "face_mesh", *PHOTOS):
        for path in paths.models_dir().glob(f"{name}.*"):
            (models / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(models))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return install(monkeypatch.setattr)


def test_runs_and_agrees() -> None:
    model = load("expression")
    assert model.backend == "tensorrt"
    assert model.why == "TensorRT 10.3 on Stand-in, fp32, auto: GPU found"
    assert [found.used for found in model.deviations] == [0.0]
    inputs = {
        k: np.concatenate([v, v]) for k, v in read_reference_inputs(find_card("expression")).items()
    }
    wanted = load("expression", backend="onnxruntime").infer(inputs)["probability"]
    assert len(wanted) > MAX_BATCH, "or it is not run in parts"
    assert np.allclose(model.infer(inputs)["probability"], wanted, atol=1e-5)
    turned = {"face": inputs["face"][:, :, ::-1]}  # not contiguous
    wanted = load("expression", backend="onnxruntime").infer(turned)["probability"]
    assert np.allclose(model.infer(turned)["probability"], wanted, atol=1e-5)


def test_frees_what_it_takes(cudart: Cudart) -> None:
    model = load("expression", backend="tensorrt")
    assert len(cudart.memory) == len(cudart.host_memory) == 2
    assert cudart.streams
    assert cudart.events
    assert cudart.graphs
    del model
    assert not cudart.memory
    assert not cudart.host_memory
    assert not cudart.streams
    assert not cudart.events
    assert not cudart.graphs


def test_networks_of_a_process_do_not_share_what_they_free(cudart: Cudart) -> None:
    models = [load("expression", backend="tensorrt") for _ in range(2)]
    assert len(cudart.streams) == len(cudart.events) == 2
    del models[0]
    models[0].infer(faces(1))
    assert len(cudart.streams) == len(cudart.events) == 1


def faces(count: int) -> dict[str, np.ndarray]:
    inputs = read_reference_inputs(find_card("expression"))["face"]
    return {"face": np.roll(inputs, count, axis=0)[:count]}


def test_known_shapes_cost_one_launch(cudart: Cudart) -> None:
    """The first call with new shapes runs plainly and records a graph; the next ones replay it."""
    model = load("expression", backend="tensorrt")
    reference = load("expression", backend="onnxruntime")
    for count in (2, 3):
        model.infer(faces(count))
    for count in (2, 3, 2, 1):
        cudart.calls.clear()
        found = model.infer(faces(count))["probability"]
        assert cudart.calls == {
            "cudaGraphLaunch": 1,
            "cudaEventRecord": 1,
            "cudaEventSynchronize": 1,
        }
        wanted = reference.infer(faces(count))["probability"]
        assert np.allclose(found, wanted, atol=1e-5)


def test_all_faces_of_an_image_cost_one_launch(cudart: Cudart) -> None:
    """The tracker on a GPU; the results are those of one face a call, on the CPU."""
    image = wall()
    for number in range(6):
        paste(
            image,
            sorted(PHOTOS)[number % 2],
            110 + 210 * (number % 3),
            120 + 230 * (number // 3),
            90,
        )
    trackers = [
        load_tracker(backend=backend, precision="fp32") for backend in ("tensorrt", "onnxruntime")
    ]
    for number in range(6):
        cudart.calls.clear()
        ours, theirs = (tracker.track(frame(image, number / 30)) for tracker in trackers)
    assert len(ours) == len(theirs) >= 5, "or the CPU does not use two threads"
    for one, other in zip(ours, theirs, strict=True):
        assert one.face_id == other.face_id
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.01)
    assert cudart.calls["cudaGraphLaunch"] == 1


def test_each_number_of_faces_uses_its_profile(cudart: Cudart) -> None:
    model = load("expression", backend="tensorrt")
    cudart.calls.clear()
    for count in (1, 2, 3, 1, 2, 3):
        model.infer(faces(count))
    assert cudart.calls["set_optimization_profile_async"] <= 3
    used = {one.active_optimization_profile for one in model.runtime._engine.contexts}
    assert used == {0, 1}


def test_results_stay_after_the_next_call() -> None:
    model = load("expression", backend="tensorrt")
    first = model.infer(faces(1))["probability"]
    kept = first.copy()
    model.infer({"face": np.zeros_like(faces(1)["face"])})
    assert np.array_equal(first, kept)


def test_the_stream_waits_for_nobody_and_the_thread_sleeps(cudart: Cudart) -> None:
    model = load("expression", backend="tensorrt")
    assert list(cudart.streams.values()) == [Cudart.cudaStreamNonBlocking]
    (flags,) = cudart.events.values()
    assert flags & Cudart.cudaEventBlockingSync
    del model


def test_a_jetson_copies_nothing(cudart: Cudart) -> None:
    """Its GPU uses the memory of the CPU."""
    cudart.integrated = 1
    model = load("expression", backend="tensorrt")
    found = model.infer(faces(3))["probability"]
    wanted = load("expression", backend="onnxruntime").infer(faces(3))["probability"]
    assert np.allclose(found, wanted, atol=1e-5)
    assert not cudart.calls["cudaMemcpyAsync"]
    assert not cudart.memory
    del model
    assert not cudart.host_memory


@pytest.mark.parametrize("fails", ["capture", "context", "profile"])
def test_without_graphs_it_runs_plainly(
    fails: str, cudart: Cudart, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A network that cannot be captured, memory for one context only, or a TensorRT that gives a
    profile to one context only: the log says so once.
    """
    if fails == "capture":
        cudart.captures = False
    if fails == "profile":
        monkeypatch.setattr(Context, "shares_profiles", False)
    model = load("expression", backend="tensorrt")
    if fails == "context":
        monkeypatch.setattr(Engine, "create_execution_context", lambda self: None)
    reference = load("expression", backend="onnxruntime")
    for count in (2, 3, 3, 2):
        found = model.infer(faces(count))["probability"]
        wanted = reference.infer(faces(count))["probability"]
        assert np.allclose(found, wanted, atol=1e-5)
    said = [each for each in caplog.messages if "runs without CUDA graphs" in each]
    assert len(said) == 1
    assert ("capture invalid" if fails == "capture" else "no more execution contexts") in said[0]
    assert not cudart.graphs
    cudart.calls.clear()
    model.infer(faces(2))
    assert cudart.calls["execute_async_v3"] == 1
    assert not cudart.calls["set_input_shape"], "the shapes are those of the last call"
    assert not cudart.calls["cudaGraphLaunch"]


def test_a_failed_capture_leaves_no_error_behind(cudart: Cudart) -> None:
    cudart.captures = False
    load("expression", backend="tensorrt")
    assert cudart.calls["cudaGetLastError"] == 1
    assert cudart.captured is None


def test_old_graphs_make_room(cudart: Cudart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_backend, "_MOST_GRAPHS", 2)
    model = load("expression", backend="tensorrt")
    reference = load("expression", backend="onnxruntime")
    for count in (2, 3, 1, 2, 3):
        found = model.infer(faces(count))["probability"]
        assert np.allclose(found, reference.infer(faces(count))["probability"], atol=1e-5)
        assert len(cudart.graphs) <= 2


def test_out_of_memory(cudart: Cudart, monkeypatch: pytest.MonkeyPatch) -> None:
    cudart.free_bytes = 1000
    with pytest.raises(ModelError, match=r"CUDA: cudaMalloc: out of memory \(the engine is .*\)"):
        load("expression", backend="tensorrt")
    assert not cudart.memory
    assert not cudart.host_memory
    monkeypatch.setattr(Engine, "create_execution_context", lambda self: None)
    with pytest.raises(ModelError, match="expression: TensorRT has too little memory to run"):
        load("expression", backend="tensorrt")


def test_what_fails_while_running(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("expression", backend="tensorrt")
    inputs = read_reference_inputs(find_card("expression"))
    assert len(inputs["face"]) > 1, "or its graph is recorded already"
    monkeypatch.setattr(Context, "execute_async_v3", lambda *_: False)
    with pytest.raises(ModelError, match="expression: TensorRT failed to run: TensorRT gives no"):
        model.infer(inputs)


def test_an_engine_that_cannot_be_read() -> None:
    card = find_card("expression")
    with pytest.raises(ModelError, match=r"cannot load the engine: made by another version$"):
        tensorrt_backend.TensorRTBackend(card, b"other")


def test_an_engine_of_another_network() -> None:
    other = paths.models_dir() / "expression.onnx"
    card = find_card("expression")
    wrong = dataclasses.replace(card, outputs={"classes": card.outputs["probability"]})
    with pytest.raises(ModelError, match=r"the engine of expression has .*'probability'.*'classes"):
        tensorrt_backend.TensorRTBackend(wrong, other.read_bytes())


def test_an_engine_that_computes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is named and not used. It is replaced only if that was asked for."""
    right = Context.compute

    def wrong(self: Context) -> None:
        right(self)
        self.array("probability")[:] += 0.05

    monkeypatch.setattr(Context, "compute", wrong)
    said = r"expression: TensorRT 10\.3 on Stand-in, fp32, .* deviates by 0\.05, 2\.5 times"
    with pytest.raises(Disagreement, match=said):
        load("expression")
    model = load("expression", fall_back=True)
    assert model.backend == "onnxruntime"
    assert "used because tensorrt in fp32 cannot be used" in model.why


@pytest.mark.parametrize("right", [True, False])
def test_a_start_does_not_gate_again(right: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict is kept beside the engine, whether it was good or bad."""
    if not right:
        monkeypatch.setattr(Context, "compute", lambda self: None)
    first = verdict()
    monkeypatch.setattr("face_perception.inference.model.deviations", None)
    assert verdict() == first
    monkeypatch.setattr(kept_verdict, "GATE_REVISION", 2)
    with pytest.raises(TypeError):
        verdict()


def verdict() -> str:
    try:
        return str([str(each) for each in load("expression", backend="tensorrt").deviations])
    except Disagreement as error:
        return str(error)


def test_a_verdict_holds_for_what_was_compared(tmp_path: Path) -> None:
    card = find_card("expression")
    inputs = faces(2)
    stricter = dataclasses.replace(card.outputs["probability"], tolerance=0.001)
    others = {
        "engine": (b"another", card, b"fp32", inputs),
        "network": (b"engine", card, b"another", inputs),
        "inputs": (b"engine", card, b"fp32", faces(1)),
        "tolerance": (
            b"engine",
            dataclasses.replace(card, outputs={"probability": stricter}),
            b"fp32",
            inputs,
        ),
    }
    path = tmp_path / "x.engine"
    kept = kept_verdict.KeptVerdict(path, b"engine", card, b"fp32", inputs)
    assert kept.read() is None
    found = [Deviation("probability", largest=math.inf, rms=0.1, relative=0.2, used=math.inf)]
    kept.write(found)
    assert kept.read() == found
    for what, arguments in others.items():
        assert kept_verdict.KeptVerdict(path, *arguments).read() is None, what


def test_a_verdict_that_cannot_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "x.engine"
    kept = kept_verdict.KeptVerdict(path, b"engine", find_card("expression"), b"", {})
    kept.write([])
    assert f"cannot write engines to {path.parent}" in caplog.text


def test_auto_takes_fp16_where_the_gate_accepts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    model = load("expression", precision="auto", progress=lambda *step: steps.append(step[1]))
    assert model.precision == "fp16"
    assert "did not choose" not in model.why
    assert "making fp16" in steps
    load("expression", precision="auto", progress=lambda *step: steps.append(step[1]))
    assert steps.count("making fp16") == 1
    right = Context.compute

    def wrong(self: Context) -> None:
        right(self)
        if self.engine.size < 10**6:  # FP16
            self.array("probability")[:] += 0.05

    monkeypatch.setattr(Context, "compute", wrong)
    monkeypatch.setattr(kept_verdict, "GATE_REVISION", 2)
    model = load("expression", precision="auto")
    assert (model.backend, model.precision, model.fallen_back) == ("tensorrt", "fp32", False)
    assert "auto did not choose fp16: model expression: TensorRT 10.3" in model.why


def test_auto_builds_no_engine_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The FP16 variant deviates already on ONNX Runtime, or cannot be made."""
    large = dataclasses.replace(find_card("expression"), extra={"weights": ""})
    with pytest.raises(ModelError, match=r"has no fp16 variant.*run `face-perception models exp"):
        network._ensure_fp16(large, b"", lambda *_: None)
    engines_built: list[str] = []
    real = engines.build_engine

    def build(card: Any, *given: Any, **options: Any) -> Built:
        engines_built.append(options["precision"])
        return real(card, *given, **options)

    monkeypatch.setattr(engines, "build_engine", build)
    monkeypatch.setattr(Deviation, "within", property(lambda self: self.used < 1e-6))
    model = load("expression", precision="auto")
    assert "auto did not choose fp16: model expression: ONNX Runtime, fp16, deviates" in model.why
    assert engines_built == ["fp32"]


def test_what_cannot_be_converted_runs_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    from face_perception.inference.conversion import precision

    def fails(data: bytes) -> bytes:
        raise KeyError("a node of another producer")

    monkeypatch.setattr(precision, "to_fp16", fails)
    model = load("expression", precision="auto")
    assert model.precision == "fp32"
    assert "fp16 of expression cannot be made: 'a node of another producer'" in model.why


def test_a_variant_of_a_model_in_the_package_is_written_to_the_model_cache() -> None:
    card = paths.resource("resources/gaze/small_gaze.yaml")
    before = sorted(card.parent.iterdir())
    assert load(card, precision="auto").precision == "fp16"
    assert sorted(card.parent.iterdir()) == before
    written = {path.name for path in paths.models_dir().glob("small_gaze*")}
    assert written == {"small_gaze.fp16.onnx", "small_gaze.fp16.yaml"}
    assert load(card, precision="fp16").precision == "fp16"


def test_the_appearance_of_faces_stays_on_the_processor() -> None:
    model = load_appearance()._model
    assert (model.backend, model.precision) == ("onnxruntime", "fp32")


def test_auto_is_fp32_on_the_processor() -> None:
    make_variant("expression", "fp16")
    model = load("expression", backend="onnxruntime", precision="auto")
    assert model.precision == "fp32"
    assert not model.deviations


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
    card = find_card("expression")
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


@pytest.mark.parametrize("features", [None, {}, {"PROFILE_SHARING_0806": 3}])
def test_8_6_is_told_to_share_profiles(features: dict[str, int] | None) -> None:
    told: list[Any] = []
    config: Any = SimpleNamespace(set_preview_feature=lambda *given: told.append(given))
    preview = {} if features is None else {"PreviewFeature": SimpleNamespace(**features)}
    engine_worker._share_profiles(SimpleNamespace(**preview), config)
    assert told == ([(3, True)] if features else [])


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
    with pytest.raises(ModelError, match=r"TensorRT cannot run here: .*no NVIDIA GPU"):
        load("expression", backend="tensorrt")
    assert load("expression").why.endswith("auto: this machine has no NVIDIA GPU")


def test_no_cuda_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(cuda.importlib, "import_module", _fail)
    monkeypatch.setattr(cuda, "_has_nvidia_hardware", lambda: False)
    with pytest.raises(ModelError, match=r"^this machine has no NVIDIA GPU$"):
        cuda.find_gpu()  # no advice about CUDA, which would not help
    monkeypatch.setattr(cuda, "_has_nvidia_hardware", lambda: True)
    with pytest.raises(ModelError, match=r"\(no module\): pip install cuda-py"):
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
