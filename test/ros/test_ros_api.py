"""docs/ros_api.md lists the topics, types and services that the running nodes have."""

from __future__ import annotations

import contextlib
import fnmatch
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import affect_models
import numpy as np
import pytest
from node_processes import NodeProcess, Peer
from rep155_listener import Heard
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from face_perception import msg, paths, srv
from face_perception.bringup import graph
from face_perception.inference import find_card, load, sample_photo
from face_perception.people import (
    RECOGNITION_MODEL,
    EnrolledPerson,
    EnrolledStore,
    FaceTemplates,
)
from face_perception.ros import qos
from tools.sros2_policy import permissions

websockets_client = pytest.importorskip("websockets.sync.client")
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


# Topics and services of rclpy, which every node has.
OWN = {"/rosout", "/parameter_events", "/diagnostics", "/clock"}
OWN_SERVICES = ("rcl_interfaces/", "lifecycle_msgs/", "type_description_interfaces/")


def table() -> set[tuple[str, str, str, str]]:
    """Returns the rows, without that of the speaker network, which has to be imported first."""
    rows = re.findall(
        r"^\| (\w+) \| (publishes|subscribes|serves|calls) \| (.+?) \| (\S+) \|$",
        (DOCS / "ros_api.md").read_text(),
        re.M,
    )
    return {
        (node, what, name, kind)
        for node, what, names, kind in rows
        if "(with `speaker_model`)" not in names
        for name in re.findall(r"`/?([a-z_/<>]+)`", names)[:1]
    }


def started_nodes() -> list[str]:
    """Returns all nodes but those that need an optional model that was not fetched."""
    absent = find_card(RECOGNITION_MODEL).left_out
    return [n.name for n in graph.NODES if not (absent and n.needs == RECOGNITION_MODEL)]


def enrolled_person(folder: Path) -> str:
    """Returns a folder in which somebody is enrolled: the node people then reads faces."""
    if not find_card(RECOGNITION_MODEL).left_out:
        revision = FaceTemplates(load(RECOGNITION_MODEL, backend="onnxruntime")).revision
        looks = np.zeros((3, 128), np.float32)
        EnrolledStore(folder).put(EnrolledPerson("anna", revision, looks, made=0.0))
    return str(folder)


def calibration(path: Path) -> str:
    path.write_text(
        "image_width: 512\nimage_height: 512\n"
        "camera_matrix: {data: [512., 0, 256, 0, 512, 256, 0, 0, 1]}\n"
    )
    return str(path)


@pytest.fixture
def listener(rep155: None, tmp_path: Path) -> Iterator[Heard]:
    with Heard(tmp_path / "heard") as heard:
        yield heard


def test_ros_api_is_what_the_nodes_have(
    start: Callable[..., NodeProcess],
    peer: Peer,
    own_models: Path,
    listener: Heard,
    tmp_path: Path,
) -> None:
    affect_models.install_mimamo()
    start(
        "camera",
        source=str(sample_photo("astronaut")),
        camera_info_file=calibration(tmp_path / "c.yaml"),
        rate=2.0,
    )
    recording = str(paths.resource("resources/speech/hello.wav"))
    started: dict[str, NodeProcess] = {}
    names = started_nodes()
    for name in names[1:]:
        more = {
            "people": {"folder": enrolled_person(tmp_path / "enrolled")},
            "microphone": {"source": recording},
            "talking_face": {
                **{"audio_out": "none", "barge_in": "stop"},
                **{"width": 128, "height": 128, "rate": 5.0},
            },
            "voice_activity": {"echo_cancellation": True},
            "affect": {"blendshapes": True},
            "session": {"folder": str(tmp_path / "sessions"), "stop_below": 0.0},
            "dashboard": {"web_port": 0},
        }
        started[name] = start(name, **more.get(name, {}))
    # The talking face reads faces only while it looks at one.
    look = peer.publisher(String, "avatar/look_at_face")
    peer.until(lambda: look.get_subscription_count() > 0, why="for the talking face")
    look.publish(String(data="face_1"))
    # The session node subscribes to what is published, while a session is recorded.
    peer.publisher(MarkerArray, "targets")
    peer.publisher(msg.RecognitionArray, "recognitions")  # of people, whose model is optional
    peer.node.create_publisher(String, "robot_target", qos.results(1, latched=True))
    request = srv.StartSession.Request(video="full")
    assert peer.call(srv.StartSession, "session/start", request).success
    # The dashboard does so while a browser shows its page.
    log = started["dashboard"].wait_for_log("the dashboard is on http://")
    port = int(re.findall(r"the dashboard is on http://127.0.0.1:(\d+)/", log)[-1])
    browser = websockets_client.connect(f"ws://127.0.0.1:{port}/stream")
    # Nodes subscribe to their inputs only while they have subscribers. ``listener`` hears hri.
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
    want = {row for row in table() if row[0] in names}
    assert len(want) > 20, "docs/ros_api.md has no table"

    def listed() -> set[tuple[str, str, str, str]]:
        found = set()
        # The dashboard's reader has the subscriptions of the dashboard.
        for asked in (*names, "_dashboard_reader"):
            node = asked.removeprefix("_").removesuffix("_reader")
            for what, ask in (
                ("publishes", peer.node.get_publisher_names_and_types_by_node),
                ("subscribes", peer.node.get_subscriber_names_and_types_by_node),
                ("serves", peer.node.get_service_names_and_types_by_node),
                ("calls", peer.node.get_client_names_and_types_by_node),
            ):
                try:
                    entries: list[Any] = ask(asked, "/")
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
                    ours = what in ("publishes", "subscribes") or not kind.startswith(OWN_SERVICES)
                    # The topics of each face, person and voice are one entry.
                    name = re.sub(r"^/humans/(\w+)/\w+/", r"/humans/\1/<id>/", name)
                    if ours and name not in OWN and not name.endswith("/transition_event"):
                        found.add((node, what, name.lstrip("/"), kind))
        return found

    with contextlib.suppress(AssertionError):
        peer.until(lambda: listed() >= want)
    assert listed() == want
    browser.close()
    assert {name: forbidden(peer, name) for name in names} == {name: set() for name in names}


def forbidden(peer: Peer, node: str) -> set[str]:
    """Returns what a running node has, but its SROS 2 policy does not allow."""
    allowed = permissions(node, (DOCS / "ros_api.md").read_text())
    found = set()
    for names, ask in (
        (allowed.publishes, peer.node.get_publisher_names_and_types_by_node),
        (allowed.subscribes, peer.node.get_subscriber_names_and_types_by_node),
        (allowed.serves, peer.node.get_service_names_and_types_by_node),
        (allowed.calls, peer.node.get_client_names_and_types_by_node),
    ):
        known = {f"/{node}/{n[2:]}" if n.startswith("~/") else f"/{n.lstrip('/')}" for n in names}
        actions = tuple(f"/{name}/_action/" for name in allowed.executes | allowed.starts)
        found |= {
            name
            for name, _ in ask(node, "/")
            if not any(fnmatch.fnmatch(name, pattern) for pattern in known)
            if not (actions and name.startswith(actions))
        }
    return found
