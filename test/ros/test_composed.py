"""Several nodes in one process: the same results, names and failures as in separate processes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_processes import NodeProcess, Peer
from rep155_listener import Heard
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from waits import scaled

from face_perception import geometry, msg
from face_perception.inference import sample_photo
from face_perception.media import PHOTOS, SampleScene, read_picture
from face_perception.ros import images, messages
from face_perception.ros.rclpy_compat import events_executor
from face_perception.ros.result_kinds import GAZES, Result

Start = Callable[..., NodeProcess]
GRAPH = ("face_tracker", "gaze", "affect", "attention")
RESULTS = {
    "faces": msg.FaceArray,
    "gaze": msg.GazeArray,
    "action_units": msg.ActionUnitsArray,
    "expressions": msg.ExpressionArray,
    "valence_arousal": msg.ValenceArousalArray,
    "attention": msg.AttentionArray,
}


class Camera:
    """Publishes the sample scene image by image, each when all results of the last have come."""

    def __init__(self, peer: Peer, topics: dict[str, type[Any]]) -> None:
        self._peer = peer
        self._scene = SampleScene({n: read_picture(sample_photo(n)) for n in PHOTOS}, 640, 480)
        self._images = peer.publisher(Image, "image")
        self.heard = {topic: peer.listen(kind, topic) for topic, kind in topics.items()}
        peer.until(lambda: self._images.get_subscription_count() > 0, why="for the tracker")

    def show(self, number: int, *topics: str) -> dict[str, Any]:
        """Publishes an image; returns its results, by default those of all topics."""
        stamp = messages.time(100 + number / 10)
        image = images.from_array(self._scene.render(13 + number / 30))
        image.header = Header(stamp=stamp, frame_id="eye")
        wanted = topics or tuple(self.heard)

        def found() -> dict[str, Any]:
            return {t: m for t in wanted for m in self.heard[t] if m.header.stamp == stamp}

        self._images.publish(image)
        self._peer.until(lambda: len(found()) == len(wanted), why=f"for {wanted} of {number}")
        return found()


def compare(one: Any, other: Any, at: str) -> None:
    """Texts, whole numbers and lengths are equal; other numbers are within 1e-6."""
    if hasattr(one, "get_fields_and_field_types"):
        for name in one.get_fields_and_field_types():
            compare(getattr(one, name), getattr(other, name), f"{at}.{name}")
    elif isinstance(one, (str, int)):
        assert one == other, at
    elif isinstance(one, list):
        assert len(one) == len(other), at
        for n, (a, b) in enumerate(zip(one, other, strict=True)):
            compare(a, b, f"{at}[{n}]")
    else:  # a number, or an array of numbers
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=at)


def attended_by(found: dict[str, Any]) -> set[str]:
    """Returns the sources of the attention of an image."""
    return {attention.source for attention in found["attention"].attention}


def test_results_are_those_of_separate_processes(
    start: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def results(*processes: tuple[str, ...]) -> list[dict[str, Any]]:
        running = [start(*nodes) for nodes in processes]
        camera = Camera(peer, RESULTS)
        for node in running:
            for _ in range(len(GRAPH) // len(running)):
                node.wait_for_log("active")
        peer.until(
            lambda: all(peer.node.count_publishers(topic) == 1 for topic in RESULTS),
            why="for the nodes to find each other",
        )
        peer.spin(1.0)
        found = [camera.show(number) for number in range(12)]
        for node in running:
            assert node.interrupt() == 0
        for heard in camera.heard.values():
            heard.clear()
        peer.until(lambda: not any(peer.node.count_publishers(topic) for topic in RESULTS))
        return found

    separate = results(*((name,) for name in GRAPH))
    composed = results(GRAPH)
    assert len(messages.listed(separate[-1]["faces"])) == 2
    for number, (one, other) in enumerate(zip(separate, composed, strict=True)):
        for topic in RESULTS:
            compare(one[topic], other[topic], f"{topic} of image {number}")


def test_one_that_fails_says_so_and_the_others_go_on(start: Start, peer: Peer) -> None:
    node = start(*GRAPH, affect={"model": "no_such_model"})
    topics = {t: RESULTS[t] for t in ("faces", "gaze", "attention")}
    camera = Camera(peer, topics)
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    peer.spin(1.0)
    camera.show(0)
    node.wait_for_log("[affect]: cannot be configured: ")
    peer.until(
        lambda: {s.name for m in diagnostics for s in m.status} == set(GRAPH),
        why="for the diagnostics of each node",
    )
    health = {s.name: s for m in diagnostics for s in m.status}
    assert health["affect"].level == DiagnosticStatus.ERROR
    assert "no_such_model" in health["affect"].message
    assert health["gaze"].level != DiagnosticStatus.ERROR


def test_a_topic_stays_inside_until_somebody_outside_publishes_or_subscribes(
    start: Start, peer: Peer
) -> None:
    start("face_tracker", "gaze", "attention")
    camera = Camera(peer, {"attention": msg.AttentionArray})
    peer.until(lambda: peer.node.count_publishers("/attention") == 1)
    peer.spin(1.0)
    assert attended_by(camera.show(0)) == {"geometric"}
    assert peer.node.count_publishers("/gaze") == 1
    assert peer.node.count_subscribers("/gaze") == 0, "handed over without DDS"
    # A second publisher, outside: attention hears both by DDS.
    gaze = peer.publisher(msg.GazeArray, "gaze")
    peer.until(lambda: gaze.get_subscription_count() == 1, why="for attention outside")
    header = Header(stamp=messages.time(200.0), frame_id="eye")
    gaze.publish(GAZES.write(Result(header, [])))
    assert attended_by(camera.show(1)) == {"geometric"}
    peer.node.destroy_publisher(gaze)
    peer.until(lambda: peer.node.count_subscribers("/gaze") == 0, why="for attention inside")
    assert attended_by(camera.show(2)) == {"geometric"}
    # Somebody outside listens, and attention still gets each gaze once.
    heard = peer.listen(msg.GazeArray, "gaze")
    peer.until(lambda: peer.node.count_subscribers("/gaze") == 1)
    peer.spin(0.3)
    camera.show(3)
    peer.until(lambda: heard)
    assert peer.node.count_subscribers("/gaze") == 1


def test_hri_gets_the_results_inside_the_process(
    start: Start, peer: Peer, rep155: None, tmp_path: Path
) -> None:
    """The program that is written from REP-155 hears the same as from a separate hri node."""
    start(*GRAPH, "hri")
    topics = {t: RESULTS[t] for t in ("faces", "gaze", "attention")}
    camera = Camera(peer, topics)
    shown: dict[tuple[int, int], dict[str, Any]] = {}
    with Heard(tmp_path / "heard.jsonl") as heard:
        peer.until(lambda: peer.node.count_subscribers("/tf") > 0, why="for the consumer")
        ids = ("face_1", "face_2")
        wanted = {f"{kind}_{i}" for i in ids for kind in ("face", "gaze", "person_anonymous")}
        names = ("roi", "landmarks", "facs", "expression", "cropped", "aligned")
        wanted |= {f"faces/{i}/{name}" for i in ids for name in names}
        wanted |= {f"persons/anonymous_{i}/engagement_status" for i in ids}
        number = 0
        while not wanted <= heard.last().keys():
            assert number < 300, f"not heard: {wanted - heard.last().keys()}"
            found = camera.show(number, "faces", "gaze")
            at = found["faces"].header.stamp
            shown[at.sec, at.nanosec] = found
            number += 1
            peer.spin(0.1)
        last = heard.last()
    for topic in ("/face_crops", "/action_units", "/expressions", "/valence_arousal"):
        assert peer.node.count_subscribers(topic) == 0, "handed over without DDS"
    for face_id in ids:
        frame = last[f"gaze_{face_id}"]
        at = frame["header"]["stamp"]
        gazes = {g.face_id: g for g in shown[at["sec"], at["nanosec"]]["gaze"].gazes}
        true = gazes[face_id].direction
        axis = geometry.rotation_matrix(**frame["transform"]["rotation"])[:, 2]
        angle = geometry.angle_between(axis, np.array([true.x, true.y, true.z]))
        assert np.degrees(angle) < 0.1
        roi = last[f"faces/{face_id}/roi"]
        at = roi["header"]["stamp"]
        message = shown[at["sec"], at["nanosec"]]["faces"]
        (face,) = [f for f in message.faces if f.face_id == face_id]
        assert roi["xmin"] * message.camera_info.width == pytest.approx(face.roi.x_offset, abs=1.0)


def test_each_node_keeps_its_lifecycle(start: Start, peer: Peer) -> None:
    start("face_tracker", "gaze", "attention")
    camera = Camera(peer, {t: RESULTS[t] for t in ("faces", "gaze", "attention")})
    peer.until(lambda: peer.node.count_publishers("/attention") == 1)
    peer.spin(1.0)
    camera.show(0)

    def change(transition: int) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        assert peer.call(ChangeState, "/gaze/change_state", request).success

    change(Transition.TRANSITION_DEACTIVATE)
    change(Transition.TRANSITION_CLEANUP)
    peer.until(lambda: peer.node.count_publishers("/gaze") == 0)
    peer.spin(0.5)
    known = len(camera.heard["gaze"])
    camera.show(1, "faces", "attention")
    assert len(camera.heard["gaze"]) == known
    change(Transition.TRANSITION_CONFIGURE)
    change(Transition.TRANSITION_ACTIVATE)
    peer.until(lambda: peer.node.count_publishers("/gaze") == 1)
    peer.spin(0.5)
    assert attended_by(camera.show(2)) == {"geometric"}


@pytest.mark.parametrize("events", [True, False])
def test_an_error_of_a_callback_ends_the_process(domain: int, events: bool) -> None:
    """With both executors; an error of one node is not lost among the others."""
    program = """
import dataclasses, sys
from face_perception.ros import driver, node_process
class Node(driver.PerceptionNode):
    def __init__(self, **kwargs):
        super().__init__("node", Nothing, **kwargs)
        self.create_timer(0.1, self.fail)
    def fail(self):
        raise ValueError("a wheel came off")
Nothing = dataclasses.make_dataclass("Nothing", [], frozen=True)
start = node_process.NodeStart(Node, ["--ros-args", "-p", f"events_executor:={sys.argv[1]}"])
raise SystemExit(node_process.run("node", [start]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(events).lower()],
        capture_output=True,
        text=True,
        timeout=scaled(60),
    )
    assert done.returncode == 1
    assert "ValueError: a wheel came off" in done.stderr
    # Only rclpy's EventsExecutor logs it as well: which one ran?
    assert bool(re.search("Exception in 'timers' callback", done.stderr)) == (
        events and events_executor_exists()
    )


def events_executor_exists() -> bool:
    import rclpy

    rclpy.init(args=[])
    try:
        return events_executor() is not None
    finally:
        rclpy.try_shutdown()
