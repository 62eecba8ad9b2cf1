"""The session node as a process: starts, marks, stops, and what a kill leaves."""

from __future__ import annotations

import csv
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from command_line import COMMAND
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_processes import NodeProcess, Peer
from overlay_scene import face
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from waits import scaled

from face_perception import msg, srv
from face_perception.cli import main
from face_perception.nodes.session import video_recording
from face_perception.ros import messages, qos
from face_perception.ros.result_kinds import FACES, Result
from face_perception.types import Camera

pytest.importorskip("rosbags")
from face_perception.media import BagReader, FrameReader

Start = Callable[..., NodeProcess]
CAMERA = Camera.assume(160, 120)
SEEN = face(x=60, y=40, size=30)


def header(number: int) -> Header:
    return Header(stamp=messages.time(100 + number / 10), frame_id="eye")


def begin(peer: Peer, **request: Any) -> Any:
    return peer.call(srv.StartSession, "session/start", srv.StartSession.Request(**request))


def statuses(peer: Peer) -> list[Any]:
    heard: list[Any] = []
    peer.node.create_subscription(
        msg.SessionStatus, "session/status", heard.append, qos.results(1, latched=True)
    )
    return heard


def texts(folder: Path, topic: str) -> list[str]:
    reader = BagReader(folder)
    found = [message.data for _, _, message in reader.messages(topic)]
    reader.close()
    return found


def test_a_session_with_markers_and_pixelated_video(
    start: Start, peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = start("session", folder=str(tmp_path / "s"), topics="faces,chat,/odd", stop_below=0.0)
    latched = peer.node.create_publisher(String, "chat", qos.results(1, latched=True))
    latched.publish(String(data="before the start"))
    faces, images = peer.publisher(msg.FaceArray, "faces"), peer.publisher(Image, "image")
    node.wait_for_log("active")

    assert "label" in begin(peer, label="a\nb").message
    assert "use off, pixelated, full" in begin(peer, video="sharp").message
    answer = begin(peer, label="Pilot für A/B", consent="yes", video="pixelated")
    assert answer.success, answer.message
    again = begin(peer)
    assert not again.success
    assert f"{answer.folder} is recorded since" in again.message
    folder = Path(answer.folder)

    peer.until(lambda: faces.get_subscription_count() == 2 and images.get_subscription_count())
    pixels = np.random.default_rng(11).integers(0, 255, (120, 160, 3), np.uint8)
    for number in range(4):
        image = Image(header=header(number), height=120, width=160, step=480, encoding="rgb8")
        image.data = pixels.tobytes()
        images.publish(image)
        if number != 2:  # its faces are not known
            faces.publish(FACES.write(Result(header(number), [SEEN], CAMERA)))
        peer.spin(0.05)
    for number in range(4, 20):  # an image waits for faces that are found later
        faces.publish(FACES.write(Result(header(number), [SEEN], CAMERA)))
        peer.spin(0.02)
    heard = statuses(peer)
    mark = srv.MarkSession.Request(label="condition B", age=2.0)
    assert peer.call(srv.MarkSession, "session/mark", mark).success
    topic = peer.publisher(String, "session/marker")
    peer.until(topic.get_subscription_count)
    topic.publish(String(data="from the topic"))
    # 19 of faces, one of chat, two markers, and two or three images.
    peer.until(lambda: heard and heard[-1].markers >= 2 and heard[-1].messages >= 24)
    assert main(["session", "status"]) == 0
    assert f"recording into {folder}" in capsys.readouterr().out
    assert main(["session", "mark", "caf\udce9"]) == 1
    assert "is not UTF-8 text, which ROS needs: type it" in capsys.readouterr().err
    assert main(["session", "stop"]) == 0
    assert "2 markers" in capsys.readouterr().out
    assert not peer.call(Trigger, "session/stop", Trigger.Request()).success
    second = Path(begin(peer).folder)
    assert node.interrupt() == 0
    assert set(texts(second, "/chat")) <= {"before the start"}
    assert yaml.safe_load((second / "session.yaml").read_text())["reason"] == (
        "the node was deactivated"
    )

    assert texts(folder, "/chat") == ["before the start"]
    with (folder / "markers.csv").open(newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert rows["condition B"]["source"] == "service"
    assert rows["from the topic"]["source"] == "topic"
    early = float(rows["from the topic"]["stamp"]) - float(rows["condition B"]["stamp"])
    assert early >= 2.0
    record = yaml.safe_load((folder / "session.yaml").read_text())
    assert (record["label"], record["consent"], record["video"]) == (
        "Pilot für A/B",
        "yes",
        "pixelated",
    )
    assert folder.name.endswith("_Pilot_fur_A_B")
    assert record["clock_offsets"]["/faces"]["count"] == 19
    assert record["camera"]["width"] == 160
    assert "face_mesh" in record["models"]
    with FrameReader(folder) as clip:
        video = [frame.image for frame in clip]
    assert len(video) in (2, 3)
    small = cv2.cvtColor(video[0], cv2.COLOR_RGB2GRAY).astype(float)
    assert small[20:60, 40:80].std() < small[85:, :].std() / 2  # the face is flat


def test_what_a_killed_process_recorded_can_be_read(
    start: Start, peer: Peer, tmp_path: Path
) -> None:
    node = start("session", folder=str(tmp_path / "s"), topics="chat", stop_below=0.0)
    chat = peer.publisher(String, "chat", depth=50)
    folder = Path(begin(peer).folder)
    peer.until(chat.get_subscription_count)
    for number in range(20):
        chat.publish(String(data=f"{number}"))
    file = folder / "bag" / "bag.mcap"
    peer.until(lambda: file.stat().st_size and len(texts(folder, "/chat")) == 20)
    node.popen.kill()
    node.popen.wait()
    assert not (folder / "bag" / "metadata.yaml").exists()
    assert texts(folder, "/chat") == [*map(str, range(20))]
    assert yaml.safe_load((folder / "session.yaml").read_text())["stopped"] is None


def test_the_disk_is_watched(start: Start, peer: Peer, tmp_path: Path) -> None:
    start("session", folder=str(tmp_path), stop_below=1e9, warn_below=1e9)
    assert "less than stop_below" in begin(peer).message
    assert list(tmp_path.glob("2*")) == []
    heard = peer.listen(DiagnosticArray, "/diagnostics")
    peer.until(lambda: any("GB left (warn_below" in m.status[0].message for m in heard))


def change(peer: Peer, transition: int) -> None:
    request = ChangeState.Request(transition=Transition(id=transition))
    assert peer.call(ChangeState, "session/change_state", request).success


def test_an_inactive_node_refuses_and_its_session_has_ended(
    start: Start, peer: Peer, tmp_path: Path
) -> None:
    start(
        "session",
        folder=str(tmp_path / "s"),
        topics="session/markers, chat, chat, pictures",
        stop_below=0.0,
        autostart=False,
    )
    change(peer, Transition.TRANSITION_CONFIGURE)
    mark = srv.MarkSession.Request(label="begin")
    assert "not active: run `ros2 lif" in peer.call(srv.MarkSession, "session/mark", mark).message
    assert "not active: run `ros2 lifecycle set /session activate`" in begin(peer).message

    change(peer, Transition.TRANSITION_ACTIVATE)
    pictures = peer.publisher(Image, "pictures")
    chat = peer.publisher(String, "chat")
    folder = Path(begin(peer).folder)
    heard = statuses(peer)
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    peer.until(chat.get_subscription_count)
    assert peer.call(srv.MarkSession, "session/mark", mark).success
    peer.until(lambda: any("/pictures is left out" in m.status[0].message for m in diagnostics))
    assert not pictures.get_subscription_count()
    change(peer, Transition.TRANSITION_DEACTIVATE)
    peer.until(lambda: heard and not heard[-1].recording)
    assert (heard[-1].folder, heard[-1].markers) == (str(folder), 1)
    reader = BagReader(folder)
    assert (reader.counts["/session/markers"], "/pictures" in reader.topics) == (1, False)
    reader.close()


def test_a_wrong_name_in_topics_is_refused(start: Start, peer: Peer, tmp_path: Path) -> None:
    start("session", folder=str(tmp_path), topics="faces,a b", stop_below=0.0).wait_for_log(
        "topics: 'a b' is not a ROS name"
    )


def test_sigterm_ends_a_command_that_waits_for_the_node_without_a_traceback() -> None:
    arguments = [*COMMAND, "session", "status", "--namespace", "nowhere"]
    asked = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        asked.wait(4)  # it waits for 10 s
    asked.terminate()
    _, said = asked.communicate(timeout=scaled(10))
    assert (asked.returncode, said) == (-signal.SIGTERM, b"")


def test_a_late_image_does_not_get_into_the_next_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first session has full video, the next one pixelated: no open face may get into it."""
    waiting: list[Any] = []
    written: list[str] = []
    seen = SimpleNamespace(status="", topic="/image", pixels=lambda message: message.pixels)
    monkeypatch.setattr(video_recording, "ImageInput", lambda *_, **__: seen)
    monkeypatch.setattr(video_recording, "add_topic", lambda *_: None)
    node: Any = SimpleNamespace(
        worker=lambda work, **_: SimpleNamespace(put=waiting.append),
        subscribe=lambda *_, **__: SimpleNamespace(status=""),
        count=lambda what: None,
        get_clock=lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=1)),
    )
    video = video_recording.VideoRecording(node, SimpleNamespace(compressed=False, qos="auto"))
    for name, mode in (("first", "full"), ("second", "pixelated")):
        recorder: Any = SimpleNamespace(put=lambda *_, name=name: written.append(name))
        video.begin(recorder, mode, 10.0)
        if mode == "full":
            image = SimpleNamespace(header=header(0), pixels=np.zeros((8, 8, 3), np.uint8))
            video._on_image(image)
            video.end()
    (item,) = waiting
    video._record(item)
    assert written == ["first"]
