"""``face-perception calibrate``: from a video to the file of a person, and its errors."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import COMMAND
from faces_scene import photo
from gaze_network import PITCH, install_sides
from waits import scaled

from face_perception import cli
from face_perception.people import CalibrationStore

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def calibrate(call_here: Call) -> Call:
    return functools.partial(call_here, "calibrate")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of five seconds, with noise, in which the astronaut looks at the lens."""
    path = tmp_path_factory.mktemp("clip") / "astronaut.mp4"
    image = cv2.cvtColor(photo("astronaut"), cv2.COLOR_RGB2BGR)
    random = np.random.default_rng(1)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (512, 512))
    for k in range(50):
        move = np.float32([[1, 0, 6 * np.sin(k / 7)], [0, 1, 4 * np.cos(k / 5)]])
        moved = cv2.warpAffine(image, move, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        video.write(np.clip(moved + random.normal(0, 3, moved.shape), 0, 255).astype(np.uint8))
    video.release()
    return path


def test_from_a_video_to_a_file_and_back(
    clip: Path, tmp_path: Path, calibrate: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = calibrate("--person", "anna", "--camera", clip)
    assert done.returncode == 0, done.stderr
    assert "anna is calibrated for the estimator geometric" in done.stdout
    assert "look at the camera" in done.stderr
    store = CalibrationStore(tmp_path / "face_perception" / "people")
    calibration = store.get("anna")["geometric"]
    assert calibration.samples == 30
    # On this photograph the error is below 4 degrees horizontally and 8 degrees vertically.
    assert abs(calibration.correction.bias_yaw) < 0.07
    assert abs(calibration.correction.bias_pitch) < 0.14
    assert calibration.targets == 1
    # One still photograph gives no information about other directions: 5.2 degrees are promised.
    assert calibration.expected_residual == pytest.approx(0.0908, abs=0.001)
    assert "from 30 samples of 1 target" in done.stdout
    assert "off by 5.2° on average; with five targets" in done.stdout
    assert f"Stored in {store.folder}" in done.stdout
    listed = calibrate("--list")
    assert "anna" in listed.stdout
    assert "geometric" in listed.stdout
    assert "1.00 1.50" in listed.stdout
    assert calibrate("--delete", "--person", "anna").stdout == "anna: deleted\n"
    again = calibrate("--delete", "--person", "anna")
    assert (again.returncode, "anna has no calibration" in again.stderr) == (1, True)
    assert "no calibrations in" in calibrate("--list").stdout


def test_a_terminal_shows_a_bar(clip: Path, tmp_path: Path) -> None:
    shown, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "calibrate", "--person", "anna", "--camera", str(clip), "--people", tmp_path],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    text = b""
    with contextlib.suppress(OSError):  # a terminal that is closed
        while part := os.read(shown, 65536):
            text += part
    os.close(shown)
    process.communicate(timeout=scaled(60))
    assert process.returncode == 0, text
    assert b"look at the camera" in text
    assert b"kept" in text


def test_a_network_is_calibrated_for_itself(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """This network always reports a look upwards. The astronaut looks at the lens: this is the
    bias.
    """
    install_sides(folder=tmp_path)
    people = tmp_path / "people"
    line = ["calibrate", "--person", "anna", "--camera", str(clip), "--people", str(people)]
    assert cli.main([*line, "--model", str(tmp_path / "sides.yaml")]) == 0, capfd.readouterr().err
    calibration = CalibrationStore(people).get("anna")["sides"]
    assert calibration.correction.bias_pitch == pytest.approx(-PITCH, abs=0.005)
    assert calibration.correction.gain_pitch == 1, "a network's scale is right"
    assert "five targets" not in capfd.readouterr().out
    assert len(calibration.revision) == 64
    assert cli.main([*line, "--model", "nobody_has_this"]) == 1
    assert "nobody_has_this" in capfd.readouterr().err


def test_five_targets_of_somebody_who_looks_at_the_lens_only(
    clip: Path, tmp_path: Path, calibrate: Call
) -> None:
    arguments = ("--person", "anna", "--camera", clip, "--people", tmp_path / "people")
    five = (*arguments, "--targets", 5, "--distance", 0.8)
    # When the video ends, only the lens has been a target.
    done = calibrate(*five)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[:3] == [
        "Sit 0.8 m from the lens. You will be asked to look at each of these:",
        "  the camera",
        "  the mark 21 cm to your right and 14 cm above the lens",
    ]
    assert "look at the mark 21 cm to your right and 14 cm above the lens" in lines
    assert "no usable image of a look at the mark" in lines[-1]
    done = calibrate(*five, "--samples", 2, "--seconds", 1.0)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert "did not follow the targets" in said or "(the mark 21 cm to your" in said
    assert not (tmp_path / "people").exists()


def test_who_does_not_turn_the_head_when_asked_to(
    clip: Path, tmp_path: Path, calibrate: Call
) -> None:
    arguments = ("--person", "anna", "--camera", clip, "--people", tmp_path / "people")
    done = calibrate(*arguments, "--turn-head", 15)
    assert done.returncode == 1
    assert "turn your head a little" in done.stderr
    assert "the head turned by" in done.stderr
    assert not (tmp_path / "people").exists()


def test_what_cannot_be(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.mp4"
    video = cv2.VideoWriter(str(empty), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
    for _ in range(10):
        video.write(np.full((240, 320, 3), 90, np.uint8))
    video.release()
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), photo("astronaut"))
    for arguments, why in (
        ((), "give the id of the person with --person ID"),
        (("--delete",), "give the id of the person"),
        (("--person", " "), "person_id is empty"),
        (("--person", "a", "--camera", "/nowhere.mp4"), "nowhere.mp4 does not exist"),
        (("--person", "a", "--camera", "/dev/video93"), "/dev/video93 cannot be opened"),
        (("--person", "a", "--camera", picture), "is a picture"),
        (("--person", "a", "--camera", empty), "shows no face"),
        (("--person", "a", "--camera", clip, "--samples", "3"), "at least 10"),
        (("--person", "a", "--camera", clip, "--seconds", "1"), "too few"),
        (("--person", "a", "--camera", clip, "--turn-head", "90"), "--turn-head must be from 0"),
        (
            ("--person", "a", "--camera", clip, "--turn-head", "nan"),
            "--turn-head must be from 0",
        ),
        (("--person", "a", "--camera", clip, "--model", "/no.yaml"), "no model card /no.yaml"),
        (("--person", "a", "--targets", "5", "--distance", "0"), "distance must be positive"),
        (
            ("--person", "a", "--targets", "5", *["--target", "0", "0", "0"]),
            "give --targets or --target, not both",
        ),
        (("--list",), "people does not exist: give the folder"),
        (("--delete", "--person", "a"), "people does not exist: give the folder"),
    ):
        line = ["calibrate", *map(str, arguments), "--people", str(tmp_path / "people")]
        assert cli.main(line) == 1, arguments
        assert why in capfd.readouterr().err
    assert not (tmp_path / "people").exists()


def test_people_that_are_no_folder(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Reported before anybody has to look at a camera."""
    file = tmp_path / "anna.json"
    file.write_text("{}")
    for arguments in (
        ("--list",),
        ("--list", "--person", "anna"),
        ("--delete", "--person", "anna"),
        ("--person", "anna", "--camera", str(clip)),
    ):
        assert cli.main(["calibrate", *arguments, "--people", str(file)]) == 1
        (message,) = capfd.readouterr().err.splitlines()
        assert f"{file} is not a folder" in message


def test_a_list_of_damaged_files_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "anna-0.json").write_text("{")
    line = ["calibrate", "--list", "--people", str(tmp_path)]
    assert cli.main(line) == 1
    said = capfd.readouterr()
    assert f"no calibrations in {tmp_path}" in said.out
    assert "anna-0.json is damaged" in said.err
    assert "calibrate again" in said.err
    assert cli.main(line) == 0, "set aside"
