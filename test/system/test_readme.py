"""README and docs against the code: topics, types and services of running nodes, package data, and
the code blocks of the pages. What needs no ROS is in test_docs.py.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import wave
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import affect_models
import cv2
import pytest
from node_processes import NodeProcess, Peer
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from face_perception import cli, msg, paths
from face_perception.bringup import graph
from face_perception.inference import catalogue, sample_photo

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# rclpy's own, on every node.
OWN = {"/rosout", "/parameter_events", "/diagnostics", "/clock"}
OWN_SERVICES = ("rcl_interfaces/", "lifecycle_msgs/", "type_description_interfaces/")


def table() -> set[tuple[str, str, str, str]]:
    rows = re.findall(
        r"^\| (\w+) \| (publishes|subscribes|serves) \| (.+?) \| (\S+) \|$",
        (DOCS / "ros_api.md").read_text(),
        re.M,
    )
    return {
        (node, what, name, kind)
        for node, what, names, kind in rows
        for name in re.findall(r"`([a-z_/]+)`", names)[:1]
    }


def calibration(path: Path) -> str:
    path.write_text(
        "image_width: 512\nimage_height: 512\n"
        "camera_matrix: {data: [512., 0, 256, 0, 512, 256, 0, 0, 1]}\n"
    )
    return str(path)


def test_ros_api_is_what_the_nodes_have(
    start: Callable[..., NodeProcess],
    peer: Peer,
    own_models: Path,
    tmp_path: Path,
) -> None:
    affect_models.install_mimamo()
    start(
        "camera",
        source=str(sample_photo("astronaut")),
        camera_info_file=calibration(tmp_path / "c.yaml"),
    )
    recording = str(paths.resource("resources/speech/hello.wav"))
    for node in graph.NODES[1:]:
        more = {
            "microphone": {"source": recording},
            "talking_face": {"audio_out": "none"},
            "affect": {"blendshapes": True},
        }
        start(node.name, **more.get(node.name, {}))
    # It reads faces only to look at one.
    look = peer.publisher(String, "avatar/look_at_face")
    peer.until(lambda: look.get_subscription_count() > 0, why="for the talking face")
    look.publish(String(data="face_1"))
    # Nodes subscribe only while somebody listens to them.
    for topic, kind in (
        ("face_crops", msg.FaceCrops),
        ("action_units", msg.ActionUnitsArray),
        ("blendshapes", msg.BlendshapesArray),
        ("expressions", msg.ExpressionArray),
        ("valence_arousal", msg.ValenceArousalArray),
        ("motion_affect", msg.ValenceArousalArray),
        ("attention", msg.AttentionArray),
        ("overlay", Image),
        ("overlay/compressed", CompressedImage),
        ("voice_activity", msg.VoiceActivity),
    ):
        peer.listen(kind, topic)
    want = table()
    assert len(want) > 20, "docs/ros_api.md has no table"

    def listed() -> set[tuple[str, str, str, str]]:
        found = set()
        for node in graph.NODES:
            for what, ask in (
                ("publishes", peer.node.get_publisher_names_and_types_by_node),
                ("subscribes", peer.node.get_subscriber_names_and_types_by_node),
                ("serves", peer.node.get_service_names_and_types_by_node),
            ):
                try:
                    entries: list[Any] = ask(node.name, "/")
                except Exception:  # not discovered yet
                    continue
                for name, kinds in entries:
                    kind = kinds[0]
                    if "/_action/" in name:
                        # An action is three services and two topics; one of them stands for it.
                        if not name.endswith("/_action/send_goal"):
                            continue
                        name = name.removesuffix("/_action/send_goal")
                        kind = kind.removesuffix("_SendGoal")
                    ours = what != "serves" or not kind.startswith(OWN_SERVICES)
                    if ours and name not in OWN and not name.endswith("/transition_event"):
                        found.add((node.name, what, name.lstrip("/"), kind))
        return found

    with contextlib.suppress(AssertionError):
        peer.until(lambda: listed() >= want)
    assert listed() == want


def test_models_and_licences_are_listed() -> None:
    for card in catalogue().values():
        if card.kind != "model":
            continue
        row = re.search(rf"^\| `{card.name}` \|.*$", (DOCS / "models.md").read_text(), re.M)
        assert row, f"{card.name} is not in docs/models.md"
        assert card.licence in row[0]
        assert card.source is not None
        named = f"{card.source.package}=={card.source.version}"
        assert (named if card.source.package else f"`{card.source.member}`") in row[0]


def test_the_wheel_has_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"),
            *("-w", str(tmp_path), str(ROOT)),
        ],
        capture_output=True,
        text=True,
    )
    if "bdist_wheel" in done.stderr:
        pytest.skip("this environment's setuptools builds no wheels")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    version = ET.parse(ROOT / "package.xml").findtext("version")
    assert f"-{version}-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    for path in (
        "face_perception/py.typed",
        "face_perception/config/fastdds.xml",
        "face_perception/config/face_tracker.yaml",
        "face_perception/resources/models/face_mesh.yaml",
        "face_perception/resources/avatar.html",
        "face_perception/resources/speech/hello.wav",
        "face_perception/ros/driver.py",
    ):
        assert path in names
    assert not [n for n in names if n.startswith(("test", "bench"))]


def python_block(page: str, number: int) -> str:
    return str(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)[number])


def run_in(folder: Path, code: str, *arguments: str) -> str:
    (folder / "block.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "block.py", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def paths_of(value: dict[str, Any], prefix: str = "") -> list[str]:
    """Every key of nested objects, as ``outer.inner``."""
    found = []
    for key, inner in value.items():
        found.append(prefix + key)
        if isinstance(inner, dict):
            found += paths_of(inner, f"{prefix}{key}.")
    return found


def test_the_offline_page_is_what_a_clip_gives(tmp_path: Path, own_models: Path) -> None:
    # A second is enough, in a container whose stamps are the frames'.
    clip = cv2.VideoWriter(
        str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (512, 512)
    )
    picture = cv2.imread(str(sample_photo("astronaut")))
    for _ in range(10):
        clip.write(picture)
    clip.release()
    lines = tmp_path / "faces.jsonl"
    more = ["--landmarks", "--blendshapes"]
    assert cli.main(["run", str(tmp_path / "clip.mp4"), "--output", str(lines), *more]) == 0
    line = json.loads(lines.read_text().splitlines()[-1])
    page = (ROOT / "docs" / "offline.md").read_text()
    of_line, of_face = page.split("Of each of its `faces`:")
    rows = [re.findall(r"^\| `([\w.]+)` \|", part, re.M) for part in (of_line, of_face)]
    face = line["faces"][0]
    # Objects whose keys are data, not fields.
    of_units = ("action_units", "action_unit_probability", "action_unit_confidence")
    for name in (*of_units, "expression", "blendshapes"):
        assert face.pop(name)
        face[name] = None
    assert sorted(rows[0]) == sorted(paths_of({**line, "faces": None}))
    assert sorted(rows[1]) == sorted(paths_of(face))
    run_in(tmp_path, python_block("offline.md", 0))
    assert "face_1" in (tmp_path / "faces.csv").read_text()
    assert "face_1" in run_in(tmp_path, python_block("offline.md", 1))


def test_the_data_set_on_the_training_page_is_read_by_an_imported_model(
    tmp_path: Path, own_models: Path
) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("torch")
    assert cli.main(["import", "geddnet", "--random", "1"]) == 0
    run_in(tmp_path, python_block("training.md", 0))
    said = run_in(tmp_path, python_block("training.md", 1), "mine")
    assert re.fullmatch(r"4 images, mean error \d+\.\d\d degrees\n", said)


def test_the_subscriber_on_the_robot_page_says_who_looks(
    peer: Peer, tmp_path: Path, domain: int
) -> None:
    (tmp_path / "who.py").write_text(python_block("robot.md", 0))
    publisher = peer.publisher(msg.AttentionArray, "/head/attention")
    with (tmp_path / "log").open("wb") as log:
        who = subprocess.Popen(
            [sys.executable, "who.py", "--ros-args", "-r", "__ns:=/head"], cwd=tmp_path, stderr=log
        )
    try:
        peer.until(lambda: publisher.get_subscription_count() > 0, why="for who.py")
        for attention in (
            [],
            [
                msg.Attention(face_id="face_7", looking_at_robot=True),
                msg.Attention(face_id="face_8"),
            ],
        ):
            publisher.publish(msg.AttentionArray(attention=attention))

        def said() -> list[str]:
            return re.findall(r"looks at the robot: (.*)", (tmp_path / "log").read_text())

        peer.until(lambda: len(said()) == 2)
        assert said() == ["nobody", "face_7"]
    finally:
        who.kill()
        who.wait()


def test_the_sender_on_the_avatar_page_says_a_recording(peer: Peer, tmp_path: Path) -> None:
    heard = peer.listen(msg.Audio, "speech")
    recording = paths.resource("resources/speech/hello.wav")
    run_in(tmp_path, python_block("avatar.md", 0), str(recording))
    peer.until(lambda: len(heard) == 2)
    with wave.open(str(recording)) as file:
        assert heard[0].sample_rate == file.getframerate()
        assert heard[0].samples.tobytes() == file.readframes(file.getnframes())
    assert not heard[1].samples
