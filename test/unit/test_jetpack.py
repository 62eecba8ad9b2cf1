"""What doctor knows about TensorRT on Jetsons."""

from __future__ import annotations

from pathlib import Path

import pytest

from face_perception import inference
from face_perception.commands import machine_checks
from face_perception.inference import Gpu, ModelError, find_jetpack, version_warning
from face_perception.inference.tensorrt import api, jetpack

R36 = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (R36, "JetPack 6.2, L4T 36.4.3"),
        (R36.replace("R36", "R39").replace("4.3", "2.0"), "JetPack 7.2, L4T 39.2.0"),
        (R36.replace("R36", "R41"), "JetPack (unknown), L4T 41.4.3"),
        ("something else", "JetPack (unknown), L4T unknown"),
    ],
)
def test_the_jetpack_is_named(text: str, found: str, tmp_path: Path) -> None:
    file = tmp_path / "nv_tegra_release"
    assert find_jetpack(file) is None
    file.write_text(text)
    assert str(find_jetpack(file)) == found


@pytest.mark.parametrize(
    ("on_jetson", "reason", "hint"),
    [
        (False, "No module named 'tensorrt'", "pip install tensorrt"),
        (True, "No module named 'tensorrt'", "sudo apt install python3-libnvinfer"),
        (True, "libnvdla_compiler.so: cannot open shared object file", "10.16 of JetPack 7.2"),
    ],
)
def test_a_missing_tensorrt_gets_the_hint_that_works(
    on_jetson: bool, reason: str, hint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(name: str) -> None:
        raise ImportError(reason)

    file = tmp_path / "nv_tegra_release"
    if on_jetson:
        file.write_text(R36)
    monkeypatch.setattr(api.importlib, "import_module", fail)
    monkeypatch.setattr(api, "find_jetpack", lambda: find_jetpack(file))
    with pytest.raises(ModelError) as error:
        api.import_tensorrt()
    assert hint in str(error.value)
    assert ("pip install" in str(error.value)) is not on_jetson


def test_versions_with_faults_are_named() -> None:
    assert "sm_87" in version_warning("10.13.3.9", "8.7")
    assert not version_warning("10.13.3.9", "11.0")
    for version in ("10.3.0", "10.16.2.1"):
        assert "other outputs" in version_warning(version)
    assert not version_warning("10.30.0")
    assert not version_warning("11.4.0", "8.7")


def test_doctor_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "tensorrt_version", lambda: "tensorrt 10.13.3.9")
    monkeypatch.setattr(inference, "find_gpu", lambda: Gpu("Orin", "8.7", 8 * 2**30))
    monkeypatch.setattr(inference, "find_jetpack", lambda: jetpack.JetPack("7.1", "38.4"))
    found = machine_checks._tensorrt()
    assert found.state == machine_checks.OK
    assert found.found == "tensorrt 10.13.3.9, JetPack 7.1, L4T 38.4"
    assert "backend: onnxruntime" in found.fix
