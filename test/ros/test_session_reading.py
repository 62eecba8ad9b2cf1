"""The results in a session are those that were published."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from synthetic_session import AWAY, ROBOT, Script, frames

from face_perception import msg, results
from face_perception.cli import main
from face_perception.errors import InputError
from face_perception.markers import Marker
from face_perception.nodes.session.topic_recording import add_topic
from face_perception.ros import messages, result_kinds
from face_perception.ros.result_kinds import Result
from face_perception.sessions import SessionFolder, SessionRecorder, TopicQos

pytest.importorskip("rosbags")
BEGIN = 1_700_000_000.25
KINDS = {
    "faces": result_kinds.FACES,
    "gaze": result_kinds.GAZES,
    "action_units": result_kinds.ACTION_UNITS,
    "expressions": result_kinds.EXPRESSIONS,
    "attention": result_kinds.ATTENTION,
}
PEOPLE = (
    Script("face_1", looks=[(0.0, 1.0, ROBOT), (1.0, 2.0, AWAY)], smiles=[(0.5, 1.5)]),
    Script("face_2", at=(-0.3, 0.0, 1.0), looks=[(0.0, 2.0, "face_1")], hidden=[(1.0, 1.2)]),
)


def record(
    folder: Path,
    made: list[results.FrameResult],
    namespace: str = "/",
    *,
    extra: Iterable[tuple[str, float, bytes]] = (),
    restart: int = 0,
) -> Path:
    """Records results as the session node does; the attention of an image comes late.

    ``extra`` has further messages: topic, time and bytes. The clock is set back before the image
    ``restart``.
    """
    recorder = SessionRecorder(SessionFolder(folder, "", BEGIN), buffer=1 << 24)
    for topic, kind in KINDS.items():
        name = kind.message_type.__name__
        add_topic(recorder, f"{namespace}{topic}", f"face_perception/msg/{name}", TopicQos())
    recorder.mark(Marker(BEGIN + 1.0, "=condition $B$", "service"))
    for part in (made[:restart], made[restart:]) if restart else (made,):
        late = [*extra]
        for one in part:
            header = Header(stamp=messages.time(one.stamp), frame_id="camera")
            values: dict[str, Any] = {
                "faces": one.faces,
                "gaze": one.gazes,
                "action_units": one.action_units,
                "expressions": one.expressions,
                "attention": one.attention,
            }
            for topic, kind in KINDS.items():
                camera = one.camera if topic == "faces" else None
                message = kind.write(Result(header, values[topic], camera))
                at = one.stamp + (0.3 if topic == "attention" else 0.01)
                late.append((f"{namespace}{topic}", at, serialize_message(message)))
        for topic, at, data in sorted(late, key=lambda item: item[1]):
            recorder.put(topic, round(at * 1e9), data)
    recorder.close("it was stopped", BEGIN + 5)
    return recorder.folder.path


@pytest.fixture(scope="module")
def truth() -> list[results.FrameResult]:
    return list(frames(PEOPLE, 4.0, rate=10.0, begin=BEGIN))


@pytest.fixture(scope="module")
def session(truth: list[results.FrameResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("sessions"), truth)


def close(one: Any, other: Any) -> bool:
    """Compares JSON values; messages have 32-bit numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=2e-4)
    return bool(one == other)


def test_a_session_has_the_lines_that_run_writes(
    session: Path, truth: list[results.FrameResult]
) -> None:
    rows = list(results.read_rows(session))
    want = [
        (number, line["stamp"], face)
        for number, line in enumerate(one.to_json(i) for i, one in enumerate(truth))
        for face in line["faces"]
    ]
    assert len(rows) == len(want) > 70
    for row, (number, stamp, face) in zip(rows, want, strict=True):
        assert (row["frame"], row["stamp"]) == (number, stamp)
        # A unit without an intensity is NaN in a message, and null in both.
        assert close(row["face"], face), (row["face"], face)


def test_tables_and_reports_are_made_of_a_session(session: Path, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    assert main(["table", str(session), "--output", str(tmp_path / "study")]) == 0
    events = results.read(tmp_path / "study", "events")
    looks = events[(events["event"] == "look") & (events["person"] == "face_1")]
    assert looks["target"].iloc[0] == "robot"
    assert results.read(session, "persons")["person"].tolist() == ["face_1", "face_2"]
    pytest.importorskip("matplotlib")
    page = tmp_path / "report.html"
    assert main(["report", str(session), "-o", str(page)]) == 0
    assert session.name in page.read_text()
    marker = Marker(BEGIN + 1.0, "=condition $B$", "service")
    assert results.read_clip(session).markers == (marker,)
    assert "=condition $B$" in page.read_text()
    # The table must not replace the list of markers that it is made of.
    assert main(["table", str(session), "--output", str(session)]) == 1
    assert results.read_markers(session) == (marker,)


def test_a_session_without_faces_or_with_two_cameras_is_refused(
    truth: list[results.FrameResult], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has no faces: run face_tracker"):
        list(results.read_rows(record(tmp_path, [])))
    recorder = SessionRecorder(SessionFolder(tmp_path, "two", BEGIN), buffer=1 << 20)
    faces = serialize_message(msg.FaceArray())
    for topic in ("/left/faces", "/right/faces"):
        add_topic(recorder, topic, "face_perception/msg/FaceArray", TopicQos())
        recorder.put(topic, 1, faces)
    recorder.close("", BEGIN)
    with pytest.raises(InputError, match=r"several cameras \(/left/faces, /right/faces\)"):
        list(results.read_rows(recorder.folder.path))


# Messages that nobody should have sent: each costs only itself, and is counted.


def faces_message(stamp: float, **fields: Any) -> Any:
    """Returns faces with one face, of which ``fields`` are set; ``camera``: focal length."""
    focal = fields.pop("focal", 500.0)
    message = msg.FaceArray(header=Header(stamp=messages.time(stamp)))
    message.camera_info.k[0] = message.camera_info.k[4] = focal
    message.camera_info.width, message.camera_info.height = 640, 480
    message.faces = [msg.Face(**{"face_id": "odd", **fields})]
    return message


def units_message(stamp: float) -> Any:
    units = msg.ActionUnits(face_id="face_1", code=[12, 45], intensity=[0.5])
    return msg.ActionUnitsArray(header=Header(stamp=messages.time(stamp)), action_units=[units])


AT = BEGIN + 1.05  # between two images
INVALID: dict[str, tuple[str, Any]] = {
    "no bytes": ("faces", b""),
    "noise": ("gaze", b"\0\1\0\0" + bytes(range(255, 200, -1))),
    "cut in half": ("faces", serialize_message(faces_message(AT))[:60]),
    "a count of 4 billion": ("attention", b"\0\1\0\0" + bytes(16) + b"\xff\xff\xff\xff"),
    "few landmarks": ("faces", serialize_message(faces_message(AT, landmarks=[1.0] * 7))),
    "no camera": ("faces", serialize_message(faces_message(AT, focal=0.0))),
    "uneven lists": ("action_units", serialize_message(units_message(AT))),
}


@pytest.fixture(scope="module")
def damaged(truth: list[results.FrameResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    extra = [(f"/{topic}", AT, data) for topic, data in INVALID.values()]
    return record(tmp_path_factory.mktemp("damaged"), truth, extra=extra)


def test_an_invalid_message_costs_only_itself_and_is_counted(session: Path, damaged: Path) -> None:
    said: list[str] = []
    rows = [row["face"] for row in results.read_rows(damaged, said.append)]
    # The face with too few landmarks was in a valid image, which has no face now.
    assert rows.count(None) == 1
    rows.remove(None)
    assert rows == [row["face"] for row in results.read_rows(session)]
    (text,) = said
    assert f"{len(INVALID)} messages or values in them are invalid and left out; the first" in text
    assert len(text) < 500


@pytest.mark.parametrize("command", [["table", "--output"], ["report", "-o"]])
def test_commands_say_once_what_they_leave_out(
    command: list[str], damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command[0] == "report":
        pytest.importorskip("matplotlib")
    output = tmp_path / ("study" if command[0] == "table" else "page.html")
    assert main([command[0], str(damaged), command[1], str(output)]) == 0
    assert capsys.readouterr().err.count("invalid and left out") == 1


def test_data_frames_come_with_a_warning(damaged: Path) -> None:
    pytest.importorskip("pandas")
    with pytest.warns(UserWarning, match="invalid and left out") as caught:
        results.read(damaged, "persons")
    assert caught[0].filename == __file__


def test_a_session_of_invalid_faces_is_refused_with_the_reason(tmp_path: Path) -> None:
    topic, data = INVALID["no camera"]
    path = record(tmp_path, [], extra=[(f"/{topic}", AT, data)])
    with pytest.raises(InputError, match=r"has no valid faces: /faces: .*record the session again"):
        list(results.read_rows(path))


ODD: tuple[dict[str, Any], ...] = (
    {"confidence": math.nan, "person_confidence": math.nan, "head_pose_valid": True},
    {"face_id": "x" * 5000, "person_id": "\u202e\x07"},
    {"face_id": ""},
    {"confidence": -1e30},
)


def test_odd_values_are_read_and_reported(tmp_path: Path) -> None:
    extra = []
    for number, fields in enumerate(ODD):
        message = faces_message(AT + number, **fields)
        message.faces[0].roi.x_offset = message.faces[0].roi.width = 2**32 - 1
        extra.append(("/faces", AT + number, serialize_message(message)))
    said: list[str] = []
    path = record(tmp_path, [], extra=extra)
    assert len(list(results.read_rows(path, said.append))) == len(ODD)
    assert not said
    assert main(["table", str(path), "--output", str(tmp_path / "study"), "--elan"]) == 0


def test_a_clock_that_is_set_back_mixes_no_images(
    truth: list[results.FrameResult], tmp_path: Path
) -> None:
    """As of a recording that is played in a loop: the same stamps come again, 4 s later."""
    made = [*truth, *truth]
    path = record(tmp_path, made, restart=len(truth))
    stamps = [s for s, _ in itertools.groupby(row["stamp"] for row in results.read_rows(path))]
    assert stamps == [round(one.stamp, 6) for one in made]
    assert yaml.safe_load((path / "session.yaml").read_text())["clock_set_back"] == 1
