"""TensorRT without a GPU: engines are built for real, and all steps before running are tested.

Running an engine (``TensorRTBackend.run``) needs a GPU and has no test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import logging
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorrt_builds
from optional_models import needs_model
from waits import scaled

from face_perception import paths
from face_perception.inference import ModelError, build_tensorrt_engine, catalogue, load
from face_perception.inference.conversion.precision import to_int8
from face_perception.inference.models import store
from face_perception.inference.reference_inputs import read_reference_inputs
from face_perception.inference.tensorrt import engine_cache as cache
from face_perception.inference.tensorrt import engines
from face_perception.inference.tensorrt.api import TensorRT, import_tensorrt
from face_perception.inference.tensorrt.backend import TensorRTBackend
from face_perception.inference.tensorrt.cuda import find_gpu
from face_perception.inference.tensorrt.engine_build import (
    MAX_BATCH,
    WORKER,
    build_engine,
    profiles,
)

if platform.machine() != "x86_64":
    pytest.skip("tensorrt_rtx has wheels for x86-64 only", allow_module_level=True)

MODELS = [card.name for card in catalogue().values() if card.kind == "model" and not card.folder]
# Its engines take 5 to 10 s of CPU each. FP32 has all of its layers.
LARGE = "face_mesh"
BUILDS = [
    pytest.param(
        name,
        kind,
        marks=[
            needs_model(name),
            *([pytest.mark.slow] if name == LARGE and kind != "fp32" else []),
        ],
    )
    for name in MODELS
    for kind in tensorrt_builds.KINDS
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate cache of engines for each test; the models are shared."""
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(paths.models_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "face_perception" / "engines"


@pytest.fixture(scope="module")
def api() -> TensorRT:
    return import_tensorrt()


def has_gpu() -> bool:
    try:
        find_gpu()
    except ModelError:
        return False
    return True


no_gpu = pytest.mark.skipif(has_gpu(), reason="says what happens without a GPU")


@pytest.mark.parametrize(("name", "kind"), BUILDS)
def test_every_model_builds(tmp_path: Path, name: str, kind: str) -> None:
    shares: list[float] = []
    built = tensorrt_builds.engine(
        name, kind, tmp_path / "build", lambda seconds, share: shares.append(share)
    )
    assert len(built) > 100_000
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert not (tmp_path / "build").exists()


def test_int8_for_processors_is_refused(tmp_path: Path) -> None:
    card = catalogue()["expression"]
    onnx = to_int8(store.read(card), "int8-cpu", read_reference_inputs(card))
    with pytest.raises(ModelError, match=r"model expression: TensorRT .* cannot parse"):
        build_engine(card, onnx, tmp_path / "build", precision="int8")


def test_what_is_no_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot parse .*expression\.onnx"):
        build_engine(catalogue()["expression"], b"<html>not found</html>", tmp_path / "build")


def test_one_face_and_several_have_separate_profiles() -> None:
    one, several = profiles(catalogue()["face_mesh"])
    assert one.least == one.usual == one.most == {"image": (1, 192, 192, 3)}
    found = [shapes["image"][0] for shapes in (several.least, several.usual, several.most)]
    assert found == [2, 4, MAX_BATCH]
    assert one.includes({"image": (1, 192, 192, 3)})
    assert not one.includes({"image": (2, 192, 192, 3)})
    assert not several.includes({"image": (2, 192, 192)})


def test_networks_with_one_profile() -> None:
    """A card may limit its sizes, and the weights of a very large network must not be doubled."""
    (of_speech,) = profiles(catalogue()["voice_activity"])
    assert of_speech.most == {"input": (1, 576), "h": (1, 1, 128), "c": (1, 1, 128)}
    large = dataclasses.replace(catalogue()["face_mesh"], extra={"weights": ""})
    (of_large,) = profiles(large)
    assert (of_large.usual["image"][0], of_large.most["image"][0]) == (1, MAX_BATCH)


def test_what_is_used_of_tensorrt_is_there(api: TensorRT) -> None:
    """The real API has every method and attribute that our Protocols name."""
    from face_perception.inference.tensorrt import api as ours

    theirs = {
        ours.Network: "INetworkDefinition",
        ours.Profile: "IOptimizationProfile",
        ours.TimingCache: "ITimingCache",
        ours.Config: "IBuilderConfig",
        ours.Builder: "Builder",
        ours.Parser: "OnnxParser",
        ours.Context: "IExecutionContext",
        ours.Engine: "ICudaEngine",
        ours.Runtime: "Runtime",
        ours.TensorRT: None,
    }
    protocols = {
        value
        for value in vars(ours).values()
        if inspect.isclass(value)
        and getattr(value, "_is_protocol", False)
        and value.__module__ == ours.__name__
    }
    assert protocols == set(theirs)
    for protocol, name in theirs.items():
        real = getattr(api, name) if name else api
        used = {n for n in (*vars(protocol), *protocol.__annotations__) if not n.startswith("_")}
        missing = [n for n in used if not hasattr(real, n)]
        assert not missing, f"{name or api.__name__} has no {missing}"


def test_what_is_used_of_cuda_is_there() -> None:
    from cuda.bindings import runtime

    from face_perception.inference.tensorrt import backend as tensorrt_backend
    from face_perception.inference.tensorrt import buffers, cuda

    source = "".join(map(inspect.getsource, (cuda, buffers, tensorrt_backend)))
    used = set(re.findall(r"\bcuda[A-Z]\w+", source))
    assert {"cudaMalloc", "cudaMemcpyAsync", "cudaGraphLaunch"} <= used
    members = {
        "cudaMemcpyKind": {"cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"},
        "cudaStreamCaptureMode": {"cudaStreamCaptureModeThreadLocal"},
    }
    for enum, names in members.items():
        assert all(hasattr(getattr(runtime, enum), name) for name in names)
        used -= names
    assert [name for name in used if not hasattr(runtime, name)] == []


@no_gpu
def test_loading_an_engine_needs_a_gpu(api: TensorRT) -> None:
    """The last step that is possible here: TensorRT returns None, and logs the reason."""
    card = catalogue()["expression"]
    _, engine = engines.engine_of(
        card, store.read(card), precision="fp32", gpu=None, progress=lambda *_: None
    )
    with pytest.raises(ModelError, match=r"expression: TensorRT cannot load the engine: .*CUDA"):
        TensorRTBackend(card, engine)
    with pytest.raises(ModelError, match=r"expression: TensorRT cannot load the engine: .*Serial"):
        TensorRTBackend(card, engine[:1000])


@no_gpu
def test_asking_for_tensorrt_without_a_gpu(own_cache: Path) -> None:
    with pytest.raises(
        ModelError, match=r"expression: TensorRT cannot run here: .*no .*GPU.*onnxruntime or auto"
    ):
        load("expression", backend="tensorrt")
    assert not own_cache.exists(), "built an engine in vain"


@no_gpu
def test_auto_says_why_it_is_the_processor() -> None:
    model = load("expression", backend="auto")
    assert model.backend == "onnxruntime"
    assert re.search(r"on the CPU, 1 thread, fp32, auto: .*no .*GPU", model.why)


def test_auto_without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MODULES", ("no_such_tensorrt",))
    assert load("expression").why.endswith("fp32, auto: TensorRT is not installed")


def test_cache_hits_and_misses(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_tensorrt_engine("expression")
    assert first.parent == own_cache
    before = first.stat().st_mtime_ns
    monkeypatch.setattr(engines, "build_engine", None)  # would raise TypeError
    assert build_tensorrt_engine("expression") == first
    assert first.stat().st_mtime_ns == before
    for change in ("onnx", "precision", "gpu"):
        card = catalogue()["expression"]
        onnx, precision, gpu = store.read(card), "fp32", None
        if change == "onnx":
            onnx += b" "
        elif change == "precision":
            precision = "fp16"
        else:
            from face_perception.inference.tensorrt.cuda import Gpu

            gpu = Gpu("Orin", "8.7", 1)
        with pytest.raises(TypeError):
            engines.engine_of(card, onnx, precision=precision, gpu=gpu, progress=lambda *_: None)


def test_timing_is_kept(own_cache: Path) -> None:
    build_tensorrt_engine("expression")
    assert len(list(own_cache.glob("timing-*.cache"))) == 1


@pytest.mark.parametrize("where", ["header", "first", "middle", "last", "truncated", "empty"])
def test_damaged_engine_is_built_again(
    where: str, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, key, made = own_cache / "x.engine", {"gpu": "none"}, []
    cache.write(path, key, b"engine" * 100)
    data = bytearray(path.read_bytes())
    start = data.index(b"\n") + 1
    at = {"header": 20, "first": start, "middle": start + 300, "last": len(data) - 1}
    if where in at:
        data[at[where]] ^= 1
    else:
        del data[len(data) // 2 if where == "truncated" else 0 :]
    path.write_bytes(data)

    def make() -> bytes:
        made.append(1)
        return b"new"

    with caplog.at_level(logging.WARNING):
        assert cache.get_or_make(path, key, make, lambda: None) == b"new"
    assert made == [1]
    assert [f"{path} is damaged and is built again"] == caplog.messages
    assert cache.read(path, key) == b"new"


def test_foreign_engine_is_built_again(own_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = own_cache / "x.engine"
    cache.write(path, {"gpu": "another"}, b"foreign")
    with caplog.at_level(logging.WARNING):
        assert cache.get_or_make(path, {"gpu": "this"}, lambda: b"own", lambda: None) == b"own"
    assert "was built from something else" in caplog.text


def test_full_disk(own_cache: Path) -> None:
    """A file cannot grow. Linux reports this like a full disk."""
    code = (
        "import resource\n"
        "from face_perception.inference import build_tensorrt_engine\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "build_tensorrt_engine('expression')"
    )
    done = run(code)
    assert f"ModelError: cannot write engines to {own_cache}: File too large; free" in done.stderr
    assert [path.name for path in own_cache.iterdir() if path.suffix in (".engine", ".part")] == []
    assert build_tensorrt_engine("expression").exists()


def test_unwritable_cache(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache.parent.parent.joinpath("file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_cache.parent.parent / "file"))
    with pytest.raises(ModelError, match=r"file/face_perception/engines.*XDG_CACHE_HOME"):
        build_tensorrt_engine("expression")


def test_two_processes_build_one_engine(own_cache: Path) -> None:
    code = (
        "from face_perception.inference import build_tensorrt_engine\n"
        "from face_perception.inference.tensorrt import engines\n"
        "made = []\n"
        "really = engines.build_engine\n"
        "engines.build_engine = lambda *a, **k: made.append(1) or really(*a, **k)\n"
        "steps = []\n"
        "note = lambda name, step, share: steps.append(step)\n"
        "build_tensorrt_engine('face_detector', progress=note)\n"
        "print(len(made), 'waiting for another process that builds the engine' in steps)"
    )
    running = [start(code) for _ in range(2)]
    results = [process.communicate(timeout=scaled(120)) for process in running]
    assert sorted(out.split()[0] for out, _ in results) == ["0", "1"], results
    assert len(list(own_cache.glob("*.engine"))) == 1
    assert not list(own_cache.glob("*.part"))


INTERRUPTED = """
import os, signal
from face_perception.inference import build_tensorrt_engine
build_tensorrt_engine("face_detector", progress=lambda *_: os.kill(os.getpid(), signal.{signal}))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_interrupted_build_leaves_nothing(own_cache: Path, name: str) -> None:
    """It leaves no file that could be taken for an engine, and no process that goes on building."""
    done = run(INTERRUPTED.format(signal=name))
    if name == "SIGINT":
        assert done.stderr.rstrip().endswith("KeyboardInterrupt")
        assert [path.suffix for path in own_cache.iterdir()] == [".lock"]
    else:
        assert done.returncode == -signal.SIGKILL
        assert not list(own_cache.glob("*.engine"))
    end = time.monotonic() + scaled(30)
    while builders(own_cache):
        assert time.monotonic() < end, "it builds for nobody"
        time.sleep(0.05)
    if name == "SIGKILL":  # the next build removes its files, and does not wait for its lock
        assert [path for path in own_cache.iterdir() if path.is_dir()]
        assert build_tensorrt_engine("face_detector").exists()
        assert not [path for path in own_cache.iterdir() if path.is_dir()]


def builders(folder: Path) -> list[str]:
    """Returns the processes whose command line names a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes()
            if f"{WORKER}\0{folder}".encode() in command:
                found.append(path.parent.name)
    return found


def test_a_builder_that_crashes(own_cache: Path) -> None:
    """It may crash because memory is short: this is reported, and the caller goes on."""
    code = (
        "import os, signal, subprocess, threading\n"
        "from face_perception.inference import ModelError, build_tensorrt_engine\n"
        "from face_perception.inference.tensorrt import engine_build\n"
        "class Popen(subprocess.Popen):\n"
        "    def __init__(self, *a, **k):\n"
        "        super().__init__(*a, **k)\n"
        "        threading.Timer(0.3, self.kill).start()\n"
        "engine_build.subprocess.Popen = Popen\n"
        "try:\n"
        "    build_tensorrt_engine('face_mesh')\n"
        "except ModelError as error:\n"
        "    print(error)"
    )
    said = run(code).stdout.strip()
    assert said == (
        "model face_mesh: the build process ended with SIGKILL: it may need more memory"
    )
    assert [path.suffix for path in own_cache.iterdir()] == [".lock"]


def start(code: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str) -> subprocess.CompletedProcess[str]:
    process = start(code)
    out, errors = process.communicate(timeout=scaled(120))
    return subprocess.CompletedProcess(code, process.returncode, out, errors)
