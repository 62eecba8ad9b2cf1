"""Tests `make gpu-check` on the stand-in for TensorRT, and what it says without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorrt_standin

from bench import compare, gpu_check
from bench.figures import Figures
from face_perception import paths
from face_perception.inference import ModelError

ON_STANDIN = Path(tensorrt_standin.__file__).with_name("gpu_check_standin.py")
ROW = {
    "network": "expression",
    "precision": "fp32",
    "gate": "accepted",
    "build_seconds": 1.5,
    "batches": [
        {
            "batch": 1,
            "onnxruntime_ms": 4.0,
            "tensorrt_ms": 1.0,
            "tensorrt_p95_ms": 2.0,
            "ratio": 0.25,
        }
    ],
}
GRAPH = {
    "composed, tensorrt: CPU a message": {"value": 0.012, "time": True, "higher_is_better": False},
    "composed, tensorrt: attention p95, ms": {"value": 17.0, "higher_is_better": False},
}


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model cache with one network, and an empty cache of engines."""
    folder = tmp_path / "models"
    folder.mkdir()
    for path in paths.models_dir().glob("expression.onnx*"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def check(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", [str(ON_STANDIN), *arguments])
    return gpu_check.main()


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("find_gpu", "this machine has no NVIDIA GPU"),
        ("tensorrt_version", "TensorRT is not installed (no module): pip install tensorrt"),
    ],
)
def test_without_a_gpu_or_tensorrt(
    missing: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def fail() -> None:
        raise ModelError(reason)

    monkeypatch.setattr(gpu_check, "find_gpu", lambda: None)
    monkeypatch.setattr(gpu_check, "tensorrt_version", lambda: "")
    monkeypatch.setattr(gpu_check, missing, fail)
    assert check("--output", str(tmp_path / "out"), monkeypatch=monkeypatch) == 69
    said = capsys.readouterr()
    assert said.err == f"gpu-check needs an NVIDIA GPU with TensorRT: {reason}.\n"
    assert not said.out
    assert not (tmp_path / "out").exists()


def test_builds_gates_and_times(tmp_path: Path) -> None:
    """The whole check of a network, in a process of its own that makes the missing variant."""
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(ON_STANDIN), "expression", "--precision", "fp16"]
        + ["--no-graph", "--seconds", "0", "--output", str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    (file,) = out.glob("gpu_check-*.json")
    saved = json.loads(file.read_text())
    device = saved["details"]["device"]
    assert device["gpu"]["name"] == "Stand-in"
    assert device["tensorrt"] == "tensorrt 10.3"
    (row,) = saved["details"]["networks"]
    assert (row["precision"], row["gate"]) == ("fp16", "accepted")
    assert row["deviations"][0].startswith("probability deviates by")
    assert row["build_seconds"] >= 0
    assert [each["batch"] for each in row["batches"]] == [1, 2, 4, 8]
    for each in row["batches"]:
        assert 0 < each["tensorrt_ms"] <= each["tensorrt_p95_ms"]
        name = f"expression fp16, batch {each['batch']}: time / ONNX Runtime"
        assert saved["figures"][name]["value"] == each["ratio"]
    text = file.with_suffix(".txt").read_text()
    assert text in done.stdout
    assert "the graph was not run" in text
    assert not (tmp_path / "cache").exists(), "builds must not come from the user's engines"


@pytest.mark.parametrize(
    ("function", "result", "gate", "why"),
    [
        ("execute_async_v3", False, "not run", "TensorRT failed to run"),
        ("compute", None, "refused", "deviates too much from ONNX Runtime"),
    ],
)
def test_a_network_that_fails_is_named(
    function: str, result: Any, gate: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt_standin.install(monkeypatch.setattr)
    monkeypatch.setattr(tensorrt_standin.Context, function, lambda *_: result)
    row = gpu_check.check_network("expression", "fp32", 0)
    assert row["gate"] == gate
    assert why in row["why"]
    assert "batches" not in row


def test_a_process_that_crashes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "crash.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr("sys.argv", [str(script)])
    row = gpu_check.check_apart("expression", "fp32", 0)
    assert row["why"] == "the process of the check ended with SIGKILL"
    assert gpu_check.has_failed({"networks": [row], "graph": {}})


def test_the_graph_runs_with_each_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "graph.py"
    script.write_text(
        "import json, sys\nfrom pathlib import Path\n"
        "figures = {'given': sys.argv[1:]}\n"
        "file = sys.argv[sys.argv.index('--figures') + 1]\n"
        "Path(file).write_text(json.dumps({'figures': figures}))\n"
    )
    monkeypatch.setattr(gpu_check, "GRAPH", script)
    given = gpu_check.check_graph(7, tmp_path)["given"]
    assert given[:3] == ["--backends", "onnxruntime", "tensorrt"]
    assert given[given.index("--seconds") + 1] == "7"
    script.write_text("raise SystemExit(3)")
    assert gpu_check.check_graph(7, tmp_path) == {"why": "bench/graph.py ended with exit code 3"}


@pytest.mark.parametrize(
    ("row", "graph", "failed"),
    [
        (ROW, GRAPH, False),
        ({**ROW, "precision": "fp16", "gate": "refused", "why": "deviates"}, GRAPH, False),
        ({**ROW, "precision": "fp16", "why": "CUDA: an illegal memory access"}, GRAPH, True),
        ({**ROW, "gate": "refused", "why": "deviates"}, GRAPH, True),
        (ROW, {"why": "bench/graph.py ended with exit code 1"}, True),
    ],
)
def test_what_counts_as_failure(row: Any, graph: Any, failed: bool) -> None:
    assert gpu_check.has_failed({"networks": [row], "graph": graph}) == failed


def test_reports_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tensorrt_standin.install(monkeypatch.setattr)
    slower = {**ROW, "batches": [{**ROW["batches"][0], "ratio": 0.5}]}
    monkeypatch.setattr("bench.figures.reference_seconds", lambda: 0.1)
    for name, row in (("old", ROW), ("new", slower)):
        report = {
            "date": "2026-11-30",
            "commit": "abc",
            "device": gpu_check.device_info(),
            "networks": [row],
            "graph": GRAPH,
        }
        gpu_check.write_report(report, Figures("gpu_check"), tmp_path / f"{name}.json")
    text = (tmp_path / "new.txt").read_text()
    assert "Stand-in, compute capability 8.7, 8.0 GB" in text
    assert "tensorrt 10.3, CUDA 12.6 (the driver's: 12.8), ONNX Runtime" in text
    assert "composed, tensorrt: CPU a message: 12.00 ms" in text
    assert "composed, tensorrt: attention p95, ms: 17.00" in text
    files = [str(tmp_path / f"{name}.json") for name in ("old", "new")]
    monkeypatch.setattr("sys.argv", ["compare.py", *files])
    assert compare.main() == 1
    (worse,) = (line for line in capsys.readouterr().out.splitlines() if line.endswith("WORSE"))
    assert worse.split("  ")[1] == "expression fp32, batch 1: time / ONNX Runtime"
