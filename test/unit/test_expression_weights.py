"""Tests the script that makes the default expression weights, on a small package."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from face_perception.inference.conversion.face_api import read_weights

TOOL = Path(__file__).resolve().parents[2] / "tools" / "expression_weights.py"
DATA = bytes([0, 1, 255, 4]) + np.array([0.5, -2], "<f4").tobytes()
QUANTISATION = {"dtype": "uint8", "scale": 0.01, "min": -0.5}
MANIFEST = [
    {
        "weights": [
            {"name": "a", "shape": [2, 2], "dtype": "float32", "quantization": QUANTISATION},
            {"name": "b", "shape": [2], "dtype": "float32"},
        ],
        "paths": ["face_expression_model.bin"],
    }
]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Returns the script, changed to accept the small package."""
    spec = importlib.util.spec_from_file_location("expression_weights", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, data in (("MANIFEST", json.dumps(MANIFEST).encode()), ("WEIGHTS", DATA)):
        path, _ = getattr(module, name)
        monkeypatch.setattr(module, name, (path, hashlib.sha256(data).hexdigest()))
    return module


def package(tool: ModuleType, path: Path, data: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for (name, _), content in (
            (tool.MANIFEST, json.dumps(MANIFEST).encode()),
            (tool.WEIGHTS, data),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_the_weights_are_those_of_the_package(tool: ModuleType, tmp_path: Path) -> None:
    tgz = package(tool, tmp_path / "a.tgz", DATA)
    outputs = [tmp_path / "1.npz", tmp_path / "2.npz"]
    for output in outputs:
        tool.main(tgz, output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    weights = read_weights(outputs[0].read_bytes())
    assert {name: value.dtype for name, value in weights.items()} == {"a": "f4", "b": "f4"}
    assert weights["a"] == pytest.approx(np.array([[-0.5, -0.49], [2.05, -0.46]]))
    assert weights["b"].tolist() == [0.5, -2]


def test_another_package_is_refused(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"face_expression_model\.bin is not that of version"):
        tool.main(package(tool, tmp_path / "a.tgz", DATA[:-1]), tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()
