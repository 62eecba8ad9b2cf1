"""The command line on the sample photographs, in separate processes where that matters."""

from __future__ import annotations

import errno
import json
import math
import os
import pty
import runpy
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import COMMAND, call, film
from waits import scaled

from face_perception import results
from face_perception.errors import error_text
from face_perception.faces import load_tracker
from face_perception.inference import sample_photo
from face_perception.media import FrameReader
from face_perception.types import (
    BLENDSHAPES,
    EXPRESSIONS,
)

Call = Callable[..., subprocess.CompletedProcess[str]]


def lines(text: str) -> list[dict[str, Any]]:
    """Parses JSON lines; NaN and Infinity are errors, because they are not JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    assert text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 1.5 s with both people."""
    return film(tmp_path_factory.mktemp("film") / "clip.avi", np.arange(13, 14.5, 1 / 30))


def number(value: object, low: float, high: float) -> None:
    assert isinstance(value, int | float)
    assert not isinstance(value, bool)
    assert low <= value <= high


def check_face(face: dict[str, Any], width: int, height: int, landmarks: bool = False) -> None:
    """Checks the keys of the schema and the ranges of values."""
    keys = [field.name for field in results.FACE_FIELDS] + ["landmarks"] * landmarks
    assert list(face) == keys
    assert face["face_id"][0].isalpha()
    number(face["confidence"], 0, 1)
    x, y, w, h = face["roi"]
    assert 0 <= x < x + w <= width
    assert 0 <= y < y + h <= height
    pose, gaze, attention = face["head_pose"], face["gaze"], face["attention"]
    assert len(pose["position"]) == 3
    number(pose["position"][2], 0.1, 5)
    number(gaze["eye_contact"], 0, 1)
    number(gaze["confidence"], 0, 1)
    assert gaze["source"] == "geometric"
    assert isinstance(gaze["valid"], bool)
    dx, dy, dz = gaze["direction"]
    assert math.hypot(dx, dy, dz) == pytest.approx(1, abs=1e-4)
    assert gaze["yaw"] == pytest.approx(math.atan2(dx, -dz), abs=1e-3)
    assert gaze["pitch"] == pytest.approx(math.asin(-dy), abs=1e-3)
    for angle in (pose["yaw"], pose["pitch"], pose["roll"], gaze["yaw"], gaze["pitch"]):
        number(angle, -math.pi, math.pi)
    assert face["action_unit_source"] == "landmarks+appearance"
    of_units = ("action_units", "action_unit_probability", "action_unit_confidence")
    assert len({tuple(face[key]) for key in of_units}) == 1, "the same units in all three"
    for key in of_units:
        for code, value in face[key].items():
            assert 1 <= int(code) <= 64
            if value is not None:
                number(value, 0, 1)
    assert face["action_unit_neutral"] in ("population", "learned", "set")
    assert list(face["expression"]) == list(EXPRESSIONS)
    assert sum(face["expression"].values()) == pytest.approx(1, abs=1e-3)
    assert face["expression_label"] == max(face["expression"], key=face["expression"].__getitem__)
    number(face["expression_confidence"], 0, 1)
    assert face["expression_source"].startswith("expression")
    number(face["valence"], -1, 1)
    number(face["arousal"], -1, 1)
    number(face["valence_arousal_confidence"], 0, 1)
    assert face["valence_arousal_source"] == "derived"
    number(attention["angle"], 0, math.pi)
    number(attention["distance"], 0.1, 5)
    number(attention["eye_contact"], 0, 1)
    assert attention["source"]
    assert gaze["eyes"] == attention["eyes"] == "open"
    number(gaze["yaw_sigma"], 0.01, 0.5)
    number(gaze["pitch_sigma"], 0.01, 0.5)
    number(attention["confidence"], 0, 1)
    assert attention["target"] in ("unknown", "none", "robot", "face")
    assert (attention["target"] == "face") == bool(attention["target_id"])
    assert attention["engagement"] in ("disengaged", "engaging", "engaged", "disengaging")
    if landmarks:
        assert np.shape(face["landmarks"]) == (478, 3)
        points = np.array(face["landmarks"])[:, :2]
        assert (points.min(0) >= np.array([x, y]) - 1).all()
        assert (points.max(0) <= np.array([x + w, y + h]) + 1).all()


def test_a_smile_on_a_photograph(tmp_path: Path, call_here: Call) -> None:
    drawn = tmp_path / "drawn.png"
    done = call_here(
        "run", sample_photo("astronaut"), "--output", "-", "--annotated", drawn, "--landmarks"
    )
    assert done.returncode == 0, done.stderr
    (line,) = lines(done.stdout)
    assert (line["frame"], line["stamp"]) == (0, 0.0)
    (face,) = line["faces"]
    check_face(face, 512, 512, landmarks=True)
    assert face["expression"]["happy"] > 0.8
    assert face["valence"] > 0.4
    assert face["action_units"]["12"] > 0.5
    assert face["attention"]["looking_at_robot"]
    assert abs(face["head_pose"]["roll"]) < 0.2
    picture, photo = cv2.imread(str(drawn)), cv2.imread(str(sample_photo("astronaut")))
    assert picture.shape == photo.shape
    changed = (picture != photo).any(axis=2)
    assert 0.005 < changed.mean() < 0.3
    assert "1 with a face; frames per face id: face_1" in done.stderr


def test_a_neutral_face_of_another_picture(tmp_path: Path, call_here: Call) -> None:
    astronaut, hopper = sample_photo("astronaut"), sample_photo("grace_hopper")
    done = call_here("run", astronaut, "--neutral", astronaut, "--blendshapes")
    assert done.returncode == 0, done.stderr
    (face,) = lines(done.stdout)[0]["faces"]
    assert face["action_unit_neutral"] == "set"
    assert max(v for code, v in face["action_units"].items() if code != "45") < 0.1
    assert "17" in face["action_units"]
    assert list(face["blendshapes"]) == list(BLENDSHAPES)
    assert face["blendshapes"]["mouthSmileLeft"] > 0.5
    (smile,) = lines(call_here("run", astronaut, "--neutral", hopper).stdout)[0]["faces"]
    assert smile["action_units"]["12"] > 0.5
    assert None not in smile["action_units"].values()
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((120, 160, 3), 128, np.uint8))
    refused = call_here("run", astronaut, "--neutral", blank)
    assert refused.returncode == 1
    assert f"--neutral {blank}: no face was found" in refused.stderr
    picture = cv2.imread(str(astronaut))
    with FrameReader(astronaut) as clip:
        (shot,) = clip
    (found,) = load_tracker().detect(shot)
    nose, chin = found.landmarks[[2, 152], 1].astype(int)
    left, right = found.landmarks[[234, 454], 0].astype(int)
    cv2.rectangle(picture, (left, nose), (right, chin), (200, 160, 120), -1)  # a mask
    masked = tmp_path / "masked.png"
    cv2.imwrite(str(masked), picture)
    refused = call_here("run", astronaut, "--neutral", masked)
    assert f"--neutral {masked}: the mouth is hidden: give a picture" in refused.stderr


def test_a_film(clip: Path, tmp_path: Path, call_here: Call) -> None:
    output, drawn = tmp_path / "out.jsonl", tmp_path / "drawn.mp4"
    done = call_here("run", clip, "--output", output, "--annotated", drawn)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    found = lines(output.read_text())
    assert [line["frame"] for line in found] == list(range(45))
    assert [line["stamp"] for line in found] == pytest.approx(np.arange(45) / 30, abs=1e-3)
    for line in found[4:]:
        assert {face["face_id"] for face in line["faces"]} == {"face_1", "face_2"}
    for line in found:
        for face in line["faces"]:
            check_face(face, 320, 240)
    assert len(list(FrameReader(drawn))) == 45
    assert "45 frame(s)" in done.stderr
    summary, camera = done.stderr.splitlines()
    assert summary.startswith("clip")
    assert "the camera is assumed (focal length = image width)" in camera
    assert "--camera-info" in camera


def test_a_full_list_of_faces_is_said(clip: Path, call_here: Call) -> None:
    done = call_here("run", clip, "--max-faces", "1")
    assert {face["face_id"] for line in lines(done.stdout) for face in line["faces"]} == {"face_1"}
    assert "raise --max-faces" in done.stderr


def test_lines_go_to_stdout_where_nothing_else_is_asked_for(clip: Path, call_here: Call) -> None:
    one, again = call("run", clip), call_here("run", clip)
    assert one.stdout == again.stdout, "the same twice, in two processes"
    assert len(lines(one.stdout)) == 45


def test_a_calibration_is_used(tmp_path: Path, call_here: Call) -> None:
    def camera(focal: float, width: int = 512) -> Path:
        path = tmp_path / "camera.yaml"
        path.write_text(
            f"{{image_width: {width}, image_height: 512, camera_matrix: "
            f"{{data: [{focal}, 0, 255, 0, {focal}, 255, 0, 0, 1]}}}}"
        )
        return path

    def distance(*more: object) -> float:
        done = call_here("run", sample_photo("astronaut"), *more)
        assert done.returncode == 0, done.stderr
        assert ("the camera is assumed" in done.stderr) == (not more)
        return float(lines(done.stdout)[0]["faces"][0]["head_pose"]["position"][2])

    assert distance("--camera-info", camera(1024)) == pytest.approx(2 * distance(), rel=0.1)
    done = call_here("run", sample_photo("astronaut"), "--camera-info", camera(1024, 640))
    assert done.returncode == 1
    assert "calibrated for 640x512" in done.stderr


@pytest.mark.parametrize("option", ["--output", "--annotated"])
def test_an_unwritable_path_is_refused_before_the_work(
    option: str, clip: Path, tmp_path: Path, call_here: Call
) -> None:
    path = tmp_path / "nowhere" / "file.avi"
    done = call_here("run", clip, option, path)
    assert done.returncode == 1
    assert done.stdout == ""
    (message,) = done.stderr.splitlines()
    assert "nowhere" in message
    assert "No such file or directory" in message


def test_the_input_is_not_overwritten(clip: Path, call_here: Call) -> None:
    before = clip.read_bytes()
    for option in ("--output", "--annotated"):
        done = call_here("run", clip, option, clip)
        assert done.returncode == 1
        assert "is the input" in done.stderr
    assert clip.read_bytes() == before


def test_bad_files_are_named_in_one_line(tmp_path: Path, call_here: Call) -> None:
    photo = sample_photo("grace_hopper").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(photo[:20000])
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder").mkdir()
    for name in ("cut.jpg", "text.mp4", "empty.png", "missing.mp4", "folder"):
        done = call_here("run", tmp_path / name)
        assert done.returncode == 1
        (message,) = done.stderr.splitlines()
        assert message.startswith("face-perception: ")
        assert str(tmp_path / name) in message


def test_a_file_of_another_user_is_named_with_what_to_do() -> None:
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "people.json")
    message = error_text(error)
    assert message.startswith("people.json: Permission denied: ")
    assert "choose another place" in message


def test_missing_models_name_the_command(
    tmp_path: Path, call_here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = sample_photo("astronaut")
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path))
    for arguments in (["run", photo], ["models", "verify"]):
        done = call_here(*arguments)
        assert done.returncode == 1
        assert "face-perception models fetch" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_missing_module_is_named_in_one_line() -> None:
    """In processes in which the import fails as if the module were not installed."""

    def without(module: str) -> subprocess.CompletedProcess[str]:
        hidden = f"import sys; sys.modules[{module!r}] = None; {COMMAND[-1]}"
        line = [*COMMAND[:-1], hidden, "models", "list"]
        return subprocess.run(line, capture_output=True, text=True, timeout=scaled(120))

    done = without("rich")
    assert done.returncode == 1
    assert done.stderr.startswith("face-perception: this command needs the Python module rich")
    assert len(done.stderr.splitlines()) == 1
    ours = without("face_perception.inference")
    assert "Traceback" in ours.stderr, "a defect of ours is shown whole"


def test_ctrl_c_while_the_commands_are_imported() -> None:
    interrupting = """if True:
        import os, signal, sys

        class Interrupting:
            def find_spec(self, name, path=None, target=None):
                if name == "face_perception.commands.models":
                    os.kill(os.getpid(), signal.SIGINT)

        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.meta_path.insert(0, Interrupting())
        """
    line = [*COMMAND[:-1], f"{interrupting}\n{COMMAND[-1]}", "models", "list"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=scaled(120))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["walk"],
        ["run"],
        ["run", "a", "--threads", "0"],
        ["bench", "--threads", "0"],
        ["models"],
        ["models", "capture", "--count", "-3"],
    ],
)
def test_wrong_usage(arguments: list[str], call_here: Call) -> None:
    done = call_here(*arguments)
    assert done.returncode == 2
    assert "usage: face-perception" in done.stderr


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    movie = film(tmp_path / "long.avi", np.arange(0, 30, 1 / 30))
    output, drawn = tmp_path / "out.jsonl", tmp_path / "drawn.mp4"
    arguments = ["run", str(movie), "--output", str(output), "--annotated", str(drawn)]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts a process in the background makes it ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + scaled(60)
    while not (output.exists() and output.read_text().count("\n") > 20):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=scaled(30))
    assert process.returncode == 130
    assert "Traceback" not in errors
    found = lines(output.read_text())
    assert 20 < len(found) < 900
    assert abs(len(list(FrameReader(drawn))) - len(found)) <= 1
    assert "stopped after" in errors


def test_a_reader_that_leaves(clip: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", str(clip)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(scaled(60)) == 1
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_progress_shows_on_a_terminal(clip: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", str(clip), "--output", str(tmp_path / "out.jsonl")],
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # on Linux, the error of a terminal whose other end is closed
        pass
    os.close(ours)
    assert process.wait(scaled(60)) == 0
    assert b"clip.avi" in shown
    assert b"%" in shown


@pytest.mark.parametrize("script", ["face-perception", "node"])
def test_processes_of_a_pool_do_not_begin_the_command_again(script: str) -> None:
    """Spawned processes import the main script again; training uses them."""
    runpy.run_path(str(Path(__file__).parents[2] / "scripts" / script), run_name="__mp_main__")
