"""The README against the code: topics, types and services of running nodes; package data."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import affect_models
import pytest
from conftest import NodeProcess, Peer
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from face_perception import graph, msg, paths
from face_perception.inference import catalogue, sample_photo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
# rclpy's own, on every node.
OWN = {"/rosout", "/parameter_events", "/diagnostics", "/clock"}
OWN_SERVICES = ("rcl_interfaces/", "lifecycle_msgs/", "type_description_interfaces/")


def table() -> set[tuple[str, str, str, str]]:
    rows = re.findall(
        r"^\| (\w+) \| (publishes|subscribes|serves) \| (.+?) \| (\S+) \|$", README, re.M
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
    recording = str(paths.resource("config/speech/hello.wav"))
    for node in graph.NODES[1:]:
        more = {"microphone": {"source": recording}, "talking_face": {"audio_out": "none"}}
        start(node.name, **more.get(node.name, {}))
    # It reads faces only to look at one.
    look = peer.publisher(String, "avatar/look_at_face")
    peer.until(lambda: look.get_subscription_count() > 0, why="for the talking face")
    look.publish(String(data="face_1"))
    # Nodes subscribe only while somebody listens to them.
    for topic, kind in (
        ("face_crops", msg.FaceCrops),
        ("action_units", msg.ActionUnitsArray),
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
    assert len(want) > 20, "the README's table was not found"

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
        row = re.search(rf"^\| `{card.name}` \|.*$", README, re.M)
        assert row, f"{card.name} is not in the README"
        assert card.licence in row[0]
        assert card.source is not None
        assert f"{card.source.package}=={card.source.version}" in row[0]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_launch_arguments_are_documented() -> None:
    launch = (ROOT / "launch" / "perception.launch.py").read_text()
    for name in re.findall(r'declare\(\s*"(\w+)"', launch):
        assert f"`{name}`" in README or f"{name}:=" in README, name


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
        "face_perception/config/models/face_mesh.yaml",
        "face_perception/config/avatar.html",
        "face_perception/config/speech/hello.wav",
        "face_perception/nodes/driver.py",
    ):
        assert path in names
    assert not [n for n in names if n.startswith(("test", "bench"))]
