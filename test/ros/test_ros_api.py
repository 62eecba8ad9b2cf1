"""docs/ros_api.md lists the topics, types and services that the running nodes have."""

from __future__ import annotations

import contextlib
import fnmatch
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import affect_models
from node_processes import NodeProcess, Peer
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from std_msgs.msg import String
from waits import scaled

from face_perception import msg, paths
from face_perception.bringup import graph
from face_perception.inference import sample_photo
from face_perception.ros import qos
from tools.sros2_policy import permissions

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BAG = ROOT / "test" / "helpers" / "bag_of_everything.py"


# Topics and services of rclpy, which every node has.
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
        for name in re.findall(r"`/?([a-z_/<>]+)`", names)[:1]
    }


def calibration(path: Path) -> str:
    path.write_text(
        "image_width: 512\nimage_height: 512\n"
        "camera_matrix: {data: [512., 0, 256, 0, 512, 256, 0, 0, 1]}\n"
    )
    return str(path)


@contextlib.contextmanager
def bag(command: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Records into a folder, or plays it, until the end of the block."""
    program = subprocess.Popen(
        [sys.executable, BAG, command, folder], stdout=subprocess.PIPE, text=True, cwd=folder.parent
    )
    try:
        yield program
        program.terminate()
        assert program.wait(scaled(60)) == 0
    finally:
        program.kill()
        program.wait()


def recorded(folder: Path) -> dict[str, list[bytes]]:
    """Returns the messages of each topic of a recording, but those about the nodes themselves."""
    found: dict[str, list[bytes]] = {}
    with Reader(folder) as reader:
        for connection, _, data in reader.messages():
            if connection.topic != "/diagnostics":
                found.setdefault(connection.topic, []).append(bytes(data))
    return found


def latched_topics(folder: Path) -> set[str]:
    with Reader(folder) as reader:
        return {
            c.topic
            for c in reader.connections
            for offered in c.ext.offered_qos_profiles  # type: ignore[union-attr]
            if offered.durability == QosDurability.TRANSIENT_LOCAL
        }


def test_ros_api_is_what_the_nodes_have_and_a_bag_keeps_it(
    start: Callable[..., NodeProcess],
    peer: Peer,
    own_models: Path,
    rep155: None,
    tmp_path: Path,
) -> None:
    with bag("record", tmp_path / "recorded"):
        nodes = compare_the_running_nodes(start, peer, tmp_path)
        for node in nodes:
            assert node.interrupt() == 0
    first = recorded(tmp_path / "recorded")
    ours = {topic for topic in first if first[topic]}
    for topic in (
        *("/faces", "/gaze", "/action_units", "/expressions", "/valence_arousal", "/attention"),
        *("/face_crops", "/overlay", "/look_at", "/look_at_id", "/avatar/state", "/tf"),
        *("/humans/faces/face_1/facs", "/humans/persons/anonymous_face_1/face_id", "/audio"),
    ):
        assert topic in ours, topic
    latched = latched_topics(tmp_path / "recorded")
    assert latched >= {"/look_at_id", "/avatar/state", "/humans/persons/anonymous_face_1/face_id"}
    # What is played is what was recorded, also for a subscriber that comes late to latched topics.
    with bag("record", tmp_path / "again"), bag("play", tmp_path / "recorded") as player:
        assert player.stdout is not None
        assert player.stdout.readline() == "played\n"
        late: list[Any] = []
        state = peer.node.create_subscription(
            msg.AvatarState,
            "avatar/state",
            late.append,
            qos.results(1, latched=True),
        )
        peer.until(lambda: late)
        peer.node.destroy_subscription(state)
    again = recorded(tmp_path / "again")
    assert again.keys() == first.keys()
    for topic in first:
        assert again[topic] == first[topic], topic
    assert latched_topics(tmp_path / "again") == latched


def compare_the_running_nodes(
    start: Callable[..., NodeProcess], peer: Peer, tmp_path: Path
) -> list[NodeProcess]:
    """Starts all nodes, compares what they have with docs/ros_api.md, and returns them."""
    affect_models.install_mimamo()
    nodes = [
        start(
            "camera",
            source=str(sample_photo("astronaut")),
            camera_info_file=calibration(tmp_path / "c.yaml"),
        )
    ]
    recording = str(paths.resource("resources/speech/hello.wav"))
    for node in graph.NODES[1:]:
        more = {
            "microphone": {"source": recording},
            "talking_face": {"audio_out": "none"},
            "affect": {"blendshapes": True},
        }
        nodes.append(start(node.name, **more.get(node.name, {})))
    # The talking face reads faces only while it looks at one.
    look = peer.publisher(String, "avatar/look_at_face")
    # The recorder is the other one.
    peer.until(lambda: look.get_subscription_count() > 1, why="for the talking face")
    look.publish(String(data="face_1"))
    # Nodes subscribe to their inputs only while they have subscribers: the recorder is one.
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
                    # The topics of each face, person and voice are one entry.
                    name = re.sub(r"^/humans/(\w+)/\w+/", r"/humans/\1/<id>/", name)
                    if ours and name not in OWN and not name.endswith("/transition_event"):
                        found.add((node.name, what, name.lstrip("/"), kind))
        return found

    with contextlib.suppress(AssertionError):
        peer.until(lambda: listed() >= want)
    assert listed() == want
    assert {node.name: forbidden(peer, node.name) for node in graph.NODES} == {
        node.name: set() for node in graph.NODES
    }
    return nodes


def forbidden(peer: Peer, node: str) -> set[str]:
    """What a running node has, but its SROS 2 policy does not allow."""
    allowed = permissions(node, (DOCS / "ros_api.md").read_text())
    found = set()
    for names, ask in (
        (allowed.publishes, peer.node.get_publisher_names_and_types_by_node),
        (allowed.subscribes, peer.node.get_subscriber_names_and_types_by_node),
        (allowed.serves, peer.node.get_service_names_and_types_by_node),
    ):
        known = {f"/{node}/{n[2:]}" if n.startswith("~/") else f"/{n.lstrip('/')}" for n in names}
        actions = tuple(f"/{name}/_action/" for name in allowed.executes)
        found |= {
            name
            for name, _ in ask(node, "/")
            if not any(fnmatch.fnmatch(name, pattern) for pattern in known)
            if not (actions and name.startswith(actions))
        }
    return found
