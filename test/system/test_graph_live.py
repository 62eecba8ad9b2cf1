"""The whole graph under `face-perception up`: results, and recovery when nodes are killed."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from node_processes import BAD_LOG_PATTERNS, Peer
from segments import locks_of, segment_of
from sensor_msgs.msg import CompressedImage
from waits import scaled

from face_perception import msg
from face_perception.bringup.watch import Watcher
from face_perception.inference import sample_photo
from face_perception.media import image_from_compressed
from face_perception.ros import images, messages

CLI = [sys.executable, "-c", "from face_perception.cli import main; raise SystemExit(main())"]
RESULTS: dict[str, type[Any]] = {
    "faces": msg.FaceArray,
    "gaze": msg.GazeArray,
    "action_units": msg.ActionUnitsArray,
    "expressions": msg.ExpressionArray,
    "valence_arousal": msg.ValenceArousalArray,
    "attention": msg.AttentionArray,
}

# Few images, drawn even if results are late: a busy computer is fast enough.
SLOW = """
/**/camera: {ros__parameters: {rate: 5.0}}
/**/overlay: {ros__parameters: {hold: 30.0}}
"""


class Up:
    """`face-perception up`, and the process ids of its nodes."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log_file = log
        with log.open("wb") as stream:
            self.popen = subprocess.Popen(
                [*CLI, "up", *arguments], stderr=stream, stdout=stream, cwd=log.parent
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def pids(self) -> dict[str, int]:
        """Returns the process ids by node name, read from /proc, which shows what really runs."""
        found = {}
        children = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text()
        for pid in children.split():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except FileNotFoundError:
                continue
            if b"face_perception.nodes" in words:
                found[words[words.index(b"face_perception.nodes") + 1].decode()] = int(pid)
        return found


class Shown:
    """A command that runs until Ctrl-C, and its output so far."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._file = folder / f"{arguments[0]}.log"
        with self._file.open("wb") as stream:
            self.popen = subprocess.Popen(
                [*CLI, *arguments], stderr=stream, stdout=stream, cwd=folder
            )

    @property
    def said(self) -> str:
        return self._file.read_text(errors="replace")

    def until(self, condition: Callable[[], Any], timeout: float) -> None:
        end = time.monotonic() + scaled(timeout)
        while not condition():
            assert self.popen.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.1)

    def interrupt(self) -> int:
        """Sends SIGINT and returns the exit code."""
        self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(scaled(30))

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: Any) -> None:
        self.popen.kill()
        self.popen.wait()


@pytest.fixture
def up(domain: int, tmp_path: Path) -> Iterator[Any]:
    """Starts the graph: ``up("--camera", "photo.png")``."""
    made: list[Up] = []
    parameters = tmp_path / "slow.yaml"
    parameters.write_text(SLOW)

    def start(*arguments: str) -> Up:
        if "--params-file" not in arguments:
            arguments = (*arguments, "--params-file", str(parameters))
        made.append(Up(tmp_path / f"up{len(made)}.log", *arguments))
        return made[-1]

    try:
        yield start
        for one in made:
            if one.popen.poll() is None:
                pids = one.pids()
                one.popen.send_signal(signal.SIGINT)
                assert one.popen.wait(scaled(20)) == 0, one.log
                for name, pid in pids.items():
                    assert not Path(f"/proc/{pid}").exists(), f"{name} is left behind"
    finally:
        # A graph that stays alive would disturb the next test in this domain. Its nodes end too.
        for one in made:
            one.popen.kill()
            one.popen.wait()
    for one in made:
        for pattern in BAD_LOG_PATTERNS:
            assert pattern not in one.log, one.log


@pytest.fixture(scope="module")
def group_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of two people side by side who look at the lens."""
    left = cv2.imread(str(sample_photo("astronaut")))
    right = cv2.resize(cv2.imread(str(sample_photo("grace_hopper"))), (410, 480))
    canvas = np.full((480, 820, 3), 90, np.uint8)
    canvas[:, :410] = left[:480, 30:440]
    canvas[:, 410:] = right
    path = tmp_path_factory.mktemp("photo") / "group.png"
    cv2.imwrite(str(path), canvas)
    return path


def listen_all(peer: Peer) -> dict[str, list[Any]]:
    return {topic: peer.listen(kind, topic) for topic, kind in RESULTS.items()}


def full(heard: dict[str, list[Any]], people: int = 2) -> bool:
    return all(
        messages_ and len(messages.listed(messages_[-1])) == people for messages_ in heard.values()
    )


@pytest.mark.parametrize("composed", [False, True])
def test_pictures_in_values_out(up: Any, peer: Peer, group_photo: Path, composed: bool) -> None:
    graph = up("--camera", str(group_photo), *(["--composed"] if composed else []))
    heard = listen_all(peer)
    pictures = peer.listen(CompressedImage, "overlay/compressed")
    peer.until(lambda: full(heard) and pictures, timeout=60)
    states = (msg.Attention.ENGAGEMENT_ENGAGING, msg.Attention.ENGAGEMENT_ENGAGED)
    peer.until(
        lambda: all(
            a.looking_at_robot and a.target == msg.Attention.TARGET_ROBOT and a.engagement in states
            for a in heard["attention"][-1].attention
        ),
        why="for both to look at the robot",
    )

    faces = {f.face_id: f for f in heard["faces"][-1].faces}
    assert set(faces) == {"face_1", "face_2"}
    for face in faces.values():
        assert face.confidence > 0.5
        assert abs(face.yaw) < math.radians(35)
    for gaze in heard["gaze"][-1].gazes:
        d = np.array([gaze.direction.x, gaze.direction.y, gaze.direction.z])
        o = np.array([gaze.origin.x, gaze.origin.y, gaze.origin.z])
        assert np.linalg.norm(d) == pytest.approx(1, abs=1e-3)
        assert gaze.valid
        assert gaze.source == "geometric"
        angle = math.degrees(math.acos(np.clip(d @ -o / np.linalg.norm(o), -1, 1)))
        assert angle < 12, "both look at the lens"
    for units in heard["action_units"][-1].action_units:
        assert set(units.code) <= {1, 2, 4, 5, 6, 9, 12, 15, 18, 20, 25, 26, 45}
        assert len(units.code) == len(units.intensity) == len(units.confidence)
    left = min(faces.values(), key=lambda f: f.roi.x_offset).face_id
    expressions = {e.face_id: e for e in heard["expressions"][-1].expressions}
    assert expressions[left].label == msg.Expression.HAPPY
    assert sum(expressions[left].probability) == pytest.approx(1, abs=1e-3)
    va = {v.face_id: v for v in heard["valence_arousal"][-1].values}
    assert va[left].valence > 0.3
    assert va[left].source == "derived"

    # Every result has the stamp and the frame of an image whose faces were published.
    first = messages.nanoseconds(heard["faces"][0].header.stamp)
    for topic, heard_ in heard.items():
        assert all(m.header.frame_id == "camera_optical_frame" for m in heard_), topic
        stamps = {messages.nanoseconds(m.header.stamp) for m in heard_}
        stamps = {stamp for stamp in stamps if stamp >= first}
        # A result may arrive here before the faces that it is about.
        peer.until(
            lambda s=stamps: s <= {messages.nanoseconds(m.header.stamp) for m in heard["faces"]},
            why=f"for the faces of {topic}",
        )
    plain = cv2.cvtColor(cv2.imread(str(group_photo)), cv2.COLOR_BGR2RGB)

    def drawn() -> bool:
        picture = image_from_compressed(pictures[-1])
        assert picture.shape == plain.shape
        return bool((np.abs(picture.astype(int) - plain).max(-1) > 60).mean() > 0.01)

    peer.until(drawn, why="for results that are drawn on the image")
    if composed:
        (pid,) = graph.pids().values()
        os.kill(pid, signal.SIGKILL)
        peer.until(lambda: not Path(f"/proc/{pid}/exe").exists())
        for heard_ in heard.values():
            heard_.clear()
        peer.until(lambda: full(heard), timeout=60, why="for all nodes to come back")
    else:  # a killed supervisor leaves no nodes
        pids = graph.pids()
        assert len(pids) == 6
        graph.popen.kill()
        graph.popen.wait()
        peer.until(
            lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids.values()),
            why="for the nodes to end",
        )


def test_kill_one_and_the_others_go_on(
    up: Any, peer: Peer, group_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is stopped instead (SIGSTOP): `up` misses its heartbeats after 6 s, and kills it."""
    monkeypatch.setenv("FACE_PERCEPTION_DELAY_FACTOR", "0.4")
    graph = up("--camera", str(group_photo))
    heard = listen_all(peer)
    peer.until(lambda: full(heard), timeout=60)
    locks: set[Path] = set()
    for victim, its_topics in (
        ("gaze", {"gaze"}),
        ("affect", {"action_units", "expressions", "valence_arousal"}),
        ("attention", {"attention"}),
        ("face_tracker", set(RESULTS)),
        ("camera", set(RESULTS)),
    ):
        pid = graph.pids()[victim]
        owned = locks_of(pid)
        assert owned, "no shared memory to leave behind"
        locks |= owned
        os.kill(pid, signal.SIGSTOP if victim == "attention" else signal.SIGKILL)
        peer.until(lambda p=pid: not Path(f"/proc/{p}/exe").exists())
        killed = time.monotonic()
        others = set(RESULTS) - its_topics
        counts = {topic: len(heard[topic]) for topic in RESULTS}
        peer.until(
            lambda o=others, c=counts: all(len(heard[topic]) > c[topic] + 3 for topic in o),
            why=f"for the others after the end of {victim}",
        )
        for topic in its_topics:
            heard[topic].clear()
        peer.until(
            lambda v=victim, p=pid: graph.pids().get(v, p) != p and full(heard),
            timeout=60,
            why=f"for {victim} to come back",
        )
        print(f"{victim}: whole again {time.monotonic() - killed:.1f} s after kill -9")
    assert graph.log.count("restarting it in") == 5
    assert "attention has exited (no heartbeat for" in graph.log
    # The shared memory of the killed nodes is removed.
    files = locks | {segment_of(lock) for lock in locks}
    assert [file for file in files if file.exists()] == []


def test_attention_falls_back_to_the_head(
    up: Any, peer: Peer, group_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = ("--nodes", "face_tracker,attention", "--composed")
    graph = up("--camera", str(group_photo), *nodes)
    attention = peer.listen(msg.AttentionArray, "attention")
    peer.until(lambda: attention and len(attention[-1].attention) == 2, timeout=60)
    assert {a.source for a in attention[-1].attention} == {"head_pose"}
    # A second start of the same names does nothing to the first.
    monkeypatch.setenv("FACE_PERCEPTION_DELAY_FACTOR", "0")
    second = [*CLI, "up", "--nodes", "face_tracker,gaze"]
    done = subprocess.run(second, capture_output=True, text=True, cwd=tmp_path, timeout=scaled(60))
    assert done.returncode == 1
    assert "/face_tracker already run in ROS domain" in done.stderr
    assert "publishers on" not in graph.log


def test_namespace_and_parameter_file(
    up: Any, peer: Peer, group_photo: Path, tmp_path: Path
) -> None:
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(SLOW + "/**/face_tracker:\n  ros__parameters:\n    id_prefix: person_\n")
    up(
        *("--camera", str(group_photo), "--namespace", "head/left"),
        *("--params-file", str(parameters), "--nodes", "face_tracker"),
    )
    faces = peer.listen(msg.FaceArray, "/head/left/faces")
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    peer.until(lambda: faces and faces[-1].faces and diagnostics, timeout=60)
    assert faces[-1].faces[0].face_id.startswith("person_")
    peer.until(
        lambda: (
            {"head/left/face_tracker", "head/left/camera"}
            <= {m.status[0].name for m in diagnostics}
        )
    )


def test_demo_ends_with_a_summary(domain: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Shown(tmp_path, "demo", "--output", str(out)) as demo:
        demo.until(lambda: (out / "overlay_002.jpg").exists() and "face_1" in demo.said, 120)
        code = demo.interrupt()
    log = (out / "nodes.log").read_text()
    assert code == 0, demo.said + log
    summary = demo.said.split("\n\n")[-1]
    assert re.search(
        r"^\d+ s, [1-9]\d* images, [12] (person|people) \(face ids\), who looked at", summary
    )
    assert re.search(r"face_tracker +[\d.]+ Hz", summary), demo.said
    pictures = sorted(out.glob("overlay_*.jpg"))
    assert cv2.imread(str(pictures[-1])).shape == (480, 640, 3)
    for pattern in BAD_LOG_PATTERNS:
        assert pattern not in log + demo.said, log


def test_watch_shows_a_running_graph(
    up: Any, peer: Peer, group_photo: Path, tmp_path: Path
) -> None:
    up("--camera", str(group_photo), "--composed")
    heard = listen_all(peer)
    peer.until(lambda: full(heard), timeout=60)
    words = ("face_1: head", "face_2: head", "looks at the robot", "happy", "face_tracker")
    with Shown(tmp_path, "watch") as watch:
        watch.until(
            lambda: any(all(w in line for w in words) for line in watch.said.splitlines()), 60
        )
        assert watch.interrupt() == 0, watch.said


def test_watch_outlives_what_it_cannot_read(peer: Peer, tmp_path: Path) -> None:
    faces = peer.publisher(msg.FaceArray, "faces")
    bad = msg.FaceArray(faces=[msg.Face(face_id="face_9", landmarks=[0.0] * 100)])
    good = msg.FaceArray(faces=[msg.Face(face_id="face_3")])

    def shown(message: msg.FaceArray, words: str) -> bool:
        faces.publish(message)
        return words in watch.said

    with Shown(tmp_path, "watch") as watch:
        watch.until(lambda: shown(bad, "faces: the landmarks of face_9 are 100 numbers"), 60)
        watch.until(lambda: shown(good, "face_3"), 60)
        assert watch.interrupt() == 0, watch.said


def test_pictures_outlive_their_folder(
    peer: Peer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The folder is deleted, and made again, while the demo writes to it."""
    folder = tmp_path / "out"
    jpeg = images.to_compressed(np.zeros((48, 64, 3), np.uint8))
    pictures = peer.publisher(CompressedImage, "overlay/compressed")
    rclpy.init(args=[])
    watcher = Watcher(pictures=folder)

    def until(condition: Callable[[], Any]) -> None:
        end = time.monotonic() + scaled(30)
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            pictures.publish(jpeg)
            rclpy.spin_once(watcher, timeout_sec=0.05)

    try:
        until(lambda: watcher.summary.pictures)
        shutil.rmtree(folder)
        said: list[str] = []
        until(lambda: said.append(capfd.readouterr().err) or "No such file" in "".join(said))
        folder.mkdir()
        until(lambda: list(folder.glob("overlay_*.jpg")))
    finally:
        watcher.destroy_node()
        rclpy.shutdown()
    assert f"overlay/compressed: [Errno 2] No such file or directory: '{folder}" in "".join(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--nodes", "gaze,gase"], "there is no node 'gase'"),
        (["up", "--params-file", "nowhere.yaml"], "parameter file nowhere.yaml does not exist"),
        (["up", "--namespace", "a b"], "namespace 'a b' is not a ROS name"),
        (["watch", "--namespace", "my-robot"], "namespace 'my-robot' is not a ROS name"),
        (["up", "--image", "camera-1/image"], "image topic 'camera-1/image' is not a ROS name"),
        (["demo", "--camera", "nowhere.mp4"], "nowhere.mp4: no such camera, video or picture"),
        (["demo", "--affect", "multitask-9"], "there is no model 'multitask-9'"),
    ],
)
def test_wrong_usage_is_one_clear_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = subprocess.run([*CLI, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_ros_it_says_so(tmp_path: Path) -> None:
    """Where only the library is installed, `up` says what to do."""
    code = (
        "import sys; sys.modules['rclpy'] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'rclpy' else find(n, *a)\n"
        "from face_perception.cli import main; raise SystemExit(main(['up']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ROS 2 was not found" in done.stderr
    assert json.dumps(done.stderr).count("\\n") == 1
