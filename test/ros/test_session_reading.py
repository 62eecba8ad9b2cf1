"""The results in a session are those that were published."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from synthetic_session import AWAY, ROBOT, Script, frames

from face_perception import msg, results
from face_perception.cli import main
from face_perception.errors import InputError
from face_perception.nodes.session.topic_recording import add_topic
from face_perception.ros import messages, result_kinds
from face_perception.ros.result_kinds import Result
from face_perception.sessions import Marker, SessionFolder, SessionRecorder, TopicQos

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


def record(folder: Path, made: list[results.FrameResult], namespace: str = "/") -> Path:
    """Records results as the session node does; the attention of an image comes late."""
    recorder = SessionRecorder(SessionFolder(folder, "", BEGIN), buffer=1 << 24)
    for topic, kind in KINDS.items():
        name = kind.message_type.__name__
        add_topic(recorder, f"{namespace}{topic}", f"face_perception/msg/{name}", TopicQos())
    late: list[tuple[str, float, bytes]] = []
    for one in made:
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
    recorder.mark(Marker(BEGIN + 1.0, "=condition $B$", "service"))
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
    assert results.read_clip(session).markers == [(BEGIN + 1.0, "=condition $B$")]


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
