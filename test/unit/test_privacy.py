"""Nothing is collected: networks run without leaving a trace in the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from face_perception import paths
from face_perception.bringup.graph import merged_environment, process_environment

ROOT = Path(__file__).parents[2]
LOAD = (
    "from face_perception.inference import load\n"
    "load('blendshapes', backend='onnxruntime')\n"
    "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
)


def run(program: str, home: Path, **more: str) -> str:
    kept = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    environment |= {"HOME": str(home), "FACE_PERCEPTION_MODELS": str(paths.models_dir()), **more}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("first", ["", "import onnxruntime\n"])
def test_onnx_runtime_collects_nothing(first: str, tmp_path: Path) -> None:
    """With ONNX Runtime 1.32 and without the variable, ~/.cache/Microsoft appears."""
    if first:
        pytest.importorskip("onnxruntime")
        program = f"import face_perception\n{first}{LOAD}"
    else:
        program = LOAD
    assert run(program, tmp_path) == "1"
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == []


def test_the_choice_of_the_user_counts(tmp_path: Path) -> None:
    program = "import face_perception, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert run(program, tmp_path, ORT_DISABLE_TELEMETRY="0") == "0"


def test_nodes_and_shells_get_the_variable() -> None:
    assert process_environment()["ORT_DISABLE_TELEMETRY"] == "1"
    assert merged_environment({})["ORT_DISABLE_TELEMETRY"] == "1"
    assert "export ORT_DISABLE_TELEMETRY=1" in (ROOT / "tools" / "env.sh").read_text()
