"""Tests face-perception doctor: what it reports, and its exit code."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from face_perception import cli
from face_perception.bringup import dds_profile
from face_perception.commands import doctor, network_choice
from face_perception.commands import machine_checks as machine
from face_perception.commands.machine_checks import ABSENT, OK, WRONG
from face_perception.inference import (
    Disagreement,
    ModelError,
    find_gpu,
    make_variant,
    read_reference_inputs,
    tensorrt_version,
)
from face_perception.inference.models.catalogue import find_card


@pytest.fixture(autouse=True)
def own_cache(own_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return own_models


@pytest.fixture
def only_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        network_choice, "chosen_networks", lambda: {"expression": find_card("expression")}
    )


def state(name: str) -> str:
    return next(found.state for found in machine.check_machine() if found.name == name)


def works(call: object) -> bool:
    try:
        call()  # type: ignore[operator]
    except ModelError:
        return False
    return True


def test_a_wrong_variable_of_ros_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_STATIC_PEERS", "###")
    _, _, found = machine._ros_checks()
    assert found.state == WRONG
    assert "ROS_STATIC_PEERS has '###'" in found.found
    assert "without spaces and ports" in found.fix


def test_every_network_of_the_package_is_checked() -> None:
    assert set(network_choice.chosen_networks()) - {"dlib_face_recognition"} == {
        *("blendshapes", "expression", "expression_fer", "face_detector", "face_mesh"),
        "voice_activity",
    }


def test_everything(only_expression: None, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["doctor", "--json", "--seconds", "0"])
    report = json.loads(capsys.readouterr().out)
    found = {each["name"]: each["state"] for each in report["findings"]}
    assert (found["Python"], found["ONNX Runtime"], found["models"]) == (OK, OK, OK)
    assert found["shared memory"] in (OK, ABSENT)
    assert (found["GPU"] == OK) == works(find_gpu)
    assert (found["TensorRT"] == OK) == works(tensorrt_version)
    assert report["device"]["cores"] >= 1
    assert code == (0 if report["ok"] else 1)
    processor = [row for row in report["networks"] if row["backend"] == "onnxruntime"]
    assert {row["model"] for row in processor} == {"expression"}
    assert all(row["state"] == "ran" and row["p50_ms"] > 0 for row in processor)
    for row in report["networks"]:
        if row["backend"] == "tensorrt" and not works(find_gpu):
            assert row["state"] == ("built" if works(tensorrt_version) else ABSENT)
            if row["state"] == "built":
                assert row["why"].startswith("built, but not run: ")
                assert " no " in row["why"]
                assert Path(row["engine"]).stat().st_size > 100_000


def test_a_variant_that_is_kept_off_is_no_fault(only_expression: None) -> None:
    make_variant("expression", "fp16")
    make_variant("expression", "int8-cpu", read_reference_inputs(find_card("expression")))
    rows = {(row["backend"], row["precision"]): row for row in doctor._networks(0)}
    assert rows["onnxruntime", "fp32"]["gate"] == "the reference"
    assert "times the tolerance" in rows["onnxruntime", "fp16"]["gate"]
    assert rows["onnxruntime", "int8"]["state"] == "refused"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([("onnxruntime", "fp32", "ran")], 0),
        ([("onnxruntime", "fp32", "ran"), ("onnxruntime", "int8", "refused")], 0),
        ([("onnxruntime", "fp32", "ran"), ("tensorrt", "fp32", "built")], 0),
        ([("onnxruntime", "fp32", "ran"), ("tensorrt", "fp32", ABSENT)], 0),
        ([("onnxruntime", "fp32", "ran"), ("tensorrt", "fp32", "refused")], 1),
        ([("onnxruntime", "fp32", "ran"), ("tensorrt", "fp32", WRONG)], 1),
        ([("onnxruntime", "fp32", WRONG)], 1),
        ([("tensorrt", "fp32", "built")], 1),
        ([], 1),
    ],
)
@pytest.mark.parametrize("state", [OK, ABSENT, WRONG])
def test_exit_code(
    rows: list[tuple[str, str, str]],
    code: int,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    networks = [
        {"model": "x", "backend": backend, "precision": precision, "state": state, "why": "y"}
        | ({"p50_ms": 1.0, "p95_ms": 2.0} if state == "ran" else {})
        for backend, precision, state in rows
    ]
    monkeypatch.setattr(doctor, "_networks", lambda seconds: networks)
    monkeypatch.setattr(doctor, "check_machine", lambda: [machine.Finding("a", state, "b", "c")])
    args = argparse.Namespace(json=False, seconds=0)
    assert doctor.run(args) == (1 if state == WRONG else code)
    said = capsys.readouterr().out
    assert ("face_perception works on this machine." in said) == (doctor.run(args) == 0)
    assert "has run on a GPU yet" in said


def test_a_damaged_model_is_found(own_cache: Path, only_expression: None) -> None:
    path = own_cache / "expression.onnx"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    assert state("models") == WRONG
    rows = doctor._networks(0)
    assert rows[0]["state"] == WRONG
    assert "models fetch" in rows[0]["why"]


def test_a_backend_that_disagrees_is_refused(
    only_expression: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from face_perception import inference

    def disagrees(*_: object, **__: object) -> None:
        raise Disagreement("model expression: TensorRT 10, fp32, disagrees")

    monkeypatch.setattr(inference, "load", disagrees)
    assert {row["state"] for row in doctor._networks(0)} == {"refused"}


def test_without_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a Python has no ROS, ROS is absent if none was sourced, and wrong if one was."""
    failed = subprocess.CompletedProcess(
        [], 1, "", "Traceback\nModuleNotFoundError: No module named 'rclpy'"
    )
    monkeypatch.setattr(machine, "_run_python", lambda *_: failed)
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    found = machine._ros_checks()
    assert [each.state for each in found] == [ABSENT, ABSENT, ABSENT]
    assert "No module named 'rclpy'" in found[0].found
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    assert machine._ros_checks()[0].state == WRONG


@pytest.mark.parametrize(
    ("printed", "states", "said"),
    [
        ("rclpy /a\nmessages /b\nmiddleware c\n", [OK, OK, OK], "c, domain"),
        ("rclpy /a\nmessages /b\nno_middleware 10 s\n", [OK, OK, WRONG], "within 10 s"),
        ("rclpy /a\nno_messages ImportError: x\nmiddleware c\n", [OK, ABSENT, OK], "c, domain"),
        # The middleware has ended the process.
        ("rclpy /a\nmessages /b\n", [OK, OK, WRONG], "no rmw"),
    ],
)
def test_each_check_of_ros_is_told_apart(
    printed: str, states: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 1, printed, "Traceback\nRuntimeError: no rmw")
    monkeypatch.setattr(machine, "_run_python", lambda *_: done)
    found = machine._ros_checks()
    assert [each.state for each in found] == states
    assert said in found[2].found


def test_what_hangs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **arguments: float) -> None:
        raise subprocess.TimeoutExpired("python", arguments["timeout"], output=b"rclpy /a\n")

    monkeypatch.setattr(machine.subprocess, "run", hang)
    ros, messages, dds = machine._ros_checks()
    assert (ros.state, messages.found) == (OK, "it did not finish within 20 s")
    assert (dds.state, dds.found) == (WRONG, "it did not finish within 20 s")


def test_a_full_or_read_only_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    assert state("cache") == WRONG
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    assert "is not writable" in machine._disk().found


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_memory", lambda: (2**33, 2**27))
    assert (machine._memory_left().state, machine._memory_left().found) == (
        WRONG,
        "0.1 of 8.0 GB free",
    )


def test_a_small_shared_memory_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker gives a container 64 MB."""
    monkeypatch.setattr(dds_profile, "shared_memory_size", lambda: 64 << 20)
    found = machine._shared_memory()
    assert found.state == OK, "it works, slowly"
    assert "/dev/shm has 64 MB" in found.found
    assert "--shm-size=512m or --ipc=host" in found.fix
    monkeypatch.setattr(dds_profile, "shared_memory_size", lambda: 4 << 30)
    assert machine._shared_memory().fix == ""
    monkeypatch.setattr(dds_profile, "shared_memory_size", lambda: 0)
    found = machine._shared_memory()
    assert (found.state, found.found[:8]) == (ABSENT, "there is")
    assert "--shm-size" in found.fix
