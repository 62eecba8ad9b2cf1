"""Calibration by the action and services of a gaze node, over DDS, on scripted people."""

from __future__ import annotations

import importlib.util
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from gaze_scene import CAMERA, Actor
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_processes import NodeProcess, Peer
from rclpy.action import ActionClient
from std_msgs.msg import Header
from waits import scaled

from face_perception import msg
from face_perception.action import CalibrateGaze
from face_perception.people import CalibrationStore
from face_perception.ros import messages
from face_perception.ros.result_kinds import FACES, Result
from face_perception.srv import DeleteCalibration, LinkFace, ListCalibrations

Start = Callable[..., NodeProcess]
DEG = math.radians(1)
LENS = (0.0, 0.0, 0.0)
# A goal that does not finish by itself within the test.
LONG = {"samples_per_target": 1000, "seconds_per_target": 600.0}


class Goal:
    """A goal that was sent to the node, its feedback, and its result."""

    def __init__(self, scene: Scene, peer: Peer | None = None, **request: Any) -> None:
        self.scene = scene
        self.feedback: list[Any] = []
        client = scene.client
        if peer is not None:
            scene.others.append(peer)
            client = ActionClient(peer.node, CalibrateGaze, "gaze/calibrate")
            scene.until(client.server_is_ready)
        sent = client.send_goal_async(
            CalibrateGaze.Goal(**request),
            feedback_callback=lambda message: self.feedback.append(message.feedback),
        )
        scene.until(sent.done)
        self.handle = sent.result()
        assert self.handle.accepted
        self._result = self.handle.get_result_async()

    def cancel(self) -> None:
        self.scene.until(self.handle.cancel_goal_async().done)

    @property
    def done(self) -> bool:
        return self._result.done()

    def result(self) -> tuple[int, Any]:
        self.scene.until(self._result.done)
        return self._result.result().status, self._result.result().result


class Scene:
    """Replaces face_tracker: publishes scripted people, ten images per second of their time.

    ``period`` is the real time between two images, seconds.
    """

    def __init__(self, peer: Peer, *actors: Actor, period: float = 0.01) -> None:
        self.peer, self.actors, self._period = peer, list(actors), period
        self.others: list[Peer] = []
        self.now = 100.0
        self._unanswered = -math.inf  # stamp of the newest gaze, when none came after it
        self._faces = peer.publisher(msg.FaceArray, "faces")
        self.gazes = peer.listen(msg.GazeArray, "gaze")
        self.client = ActionClient(peer.node, CalibrateGaze, "gaze/calibrate")
        self.until(self.client.server_is_ready)

    def until(self, condition: Callable[[], Any], timeout: float = 30.0) -> None:
        end = time.monotonic() + scaled(timeout)
        while not condition():
            assert time.monotonic() < end, "nothing came of it"
            self.step()

    def step(self) -> None:
        self.now += 0.1
        header = Header(stamp=messages.time(self.now), frame_id="eye_optical_frame")
        here = [actor for actor in self.actors if actor.seen(self.now)]
        faces = [actor.face(self.now) for actor in here]
        self._faces.publish(FACES.write(Result(header, faces, CAMERA)))
        self._spin()
        self._let_catch_up()

    def _spin(self) -> None:
        for peer in (self.peer, *self.others):
            peer.spin(self._period)

    def _let_catch_up(self) -> None:
        """Waits for the node, which loses images if more than ten are waiting."""
        end = time.monotonic() + scaled(1.0)
        while self.gazes:
            newest = messages.seconds(self.gazes[-1].header.stamp)
            if self.now - newest <= 0.5 or newest == self._unanswered:
                return
            if time.monotonic() > end:
                self._unanswered = newest  # nobody is there
                return
            self._spin()

    def gaze(
        self, face_id: str = "face_1", wanted: Callable[[Any], bool] = lambda gaze: True
    ) -> Any:
        """Returns the gaze of a new image that fulfils ``wanted``, for example with open eyes."""
        found: list[Any] = []

        def fresh() -> bool:
            message = self.gazes[-1] if self.gazes else None
            if message is not None and messages.seconds(message.header.stamp) > begin + 0.05:
                found[:] = [g for g in message.gazes if g.face_id == face_id and wanted(g)]
            return bool(found)

        begin = self.now
        self.until(fresh)
        return found[0]

    def call(self, kind: Any, name: str, **request: Any) -> Any:
        client = self.peer.node.create_client(kind, f"gaze/{name}")
        self.until(client.service_is_ready)
        future = client.call_async(kind.Request(**request))
        self.until(future.done)
        self.peer.node.destroy_client(client)
        return future.result()


def off(gaze: Any) -> float:
    """Returns the angle between the gaze and the line to the camera, degrees."""
    seen = messages.gaze_from_msg(gaze)
    line = -seen.origin / np.linalg.norm(seen.origin)
    return math.degrees(math.acos(min(1.0, float(line @ seen.direction))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "people"


def anna(**more: Any) -> Actor:
    return Actor("face_1", bias=(4 * DEG, -3 * DEG), noise=0.5 * DEG, **more)


def bert(**more: Any) -> Actor:
    return Actor("face_2", at=(-0.35, 0.1, 1.0), bias=(-3 * DEG, 2 * DEG), noise=0.5 * DEG, **more)


def test_calibrated_once_and_after_a_restart(start: Start, peer: Peer, folder: Path) -> None:
    node = start("gaze", people=str(folder))
    start("attention")
    attention = peer.listen(msg.AttentionArray, "attention")
    scene = Scene(peer, anna(blinks=lambda t: int(t * 10) % 12 == 5))
    before = scene.gaze(wanted=lambda g: g.valid)
    assert not before.calibrated
    assert off(before) > 3
    goal = Goal(scene, face_id="face_1", person_id="anna")
    heard = len(scene.gazes)
    status, result = goal.result()
    assert (status, result.success) == (GoalStatus.STATUS_SUCCEEDED, True), result.message
    assert len(scene.gazes) - heard > 20, "the node's only thread was kept from its work"
    # The calibrated gaze meets the lens up to the small error of the estimator. With one target,
    # the gain of yaw stays 1, and that of pitch takes the cautious value.
    assert (result.gain_yaw, result.gain_pitch) == (1.0, 1.5)
    assert result.bias_yaw == pytest.approx(4 * DEG, abs=1.5 * DEG)
    assert result.bias_pitch == pytest.approx(-3 * 1.5 * DEG, abs=1.5 * DEG)
    assert (result.estimator, result.samples) == ("geometric", 30)
    # The gaze may go anywhere except to the target, from which it was 5 degrees off.
    assert result.expected_residual == pytest.approx(5.2 * DEG, abs=0.3 * DEG)
    assert result.error_before == pytest.approx(5 * DEG, abs=1.5 * DEG)
    assert result.message.startswith(
        "anna is calibrated for geometric, stored, and linked to face_1"
    )
    assert "expected to be off by 5.2° on average; with five targets" in result.message
    last = goal.feedback[-1]
    assert (last.samples_kept, last.progress) == (30, 1.0)
    counts = dict(zip(last.rejection_reasons, last.rejection_counts, strict=True))
    assert counts["eyes closed"] >= 2
    assert sum(counts.values()) == last.samples_rejected
    assert any(f.hint == "look at the camera" and 0 < f.progress < 1 for f in goal.feedback)
    after = scene.gaze(wanted=lambda g: g.calibrated and g.valid)
    assert after.person_id == "anna"
    assert off(after) < 1.5
    assert after.eye_contact > 0.9
    scene.until(lambda: any(one.person_id for message in attention for one in message.attention))
    assert attention[-1].attention[0].person_id == "anna"
    scene.until(lambda: attention[-1].attention[0].eye_contact > 0.9)

    node.popen.kill()
    node.popen.wait()
    start("gaze", people=str(folder))
    scene.gazes.clear()
    again = scene.gaze()
    assert (again.calibrated, again.person_id) == (False, "")
    linked = scene.call(LinkFace, "link_face", face_id="face_1", person_id="anna")
    assert (linked.success, linked.calibrated) == (True, True), linked.message
    scene.until(lambda: scene.gaze().calibrated and scene.gaze().valid)
    assert off(scene.gaze()) < 1.5

    (entry,) = scene.call(ListCalibrations, "list_calibrations").calibrations
    assert (entry.person_id, entry.face_id, entry.estimator) == ("anna", "face_1", "geometric")
    assert entry.bias_yaw == pytest.approx(result.bias_yaw, abs=1e-6)
    assert (entry.gain_pitch, entry.targets) == (1.5, 1)
    assert abs(entry.created.sec - time.time()) < 600
    assert scene.call(DeleteCalibration, "delete_calibration", person_id="anna").deleted == 1
    scene.until(lambda: not scene.gaze().calibrated)
    gone = scene.call(DeleteCalibration, "delete_calibration", person_id="anna")
    assert (gone.success, gone.message) == (False, "anna has no calibration")
    assert not scene.call(ListCalibrations, "list_calibrations").calibrations
    assert not list(folder.glob("*.json"))


def test_two_people_at_once_and_one_who_cancels(
    start: Start, peer: Peer, domain: int, folder: Path
) -> None:
    start("gaze", people=str(folder))
    scene = Scene(peer, anna(), bert())
    scene.until(lambda: scene.gaze().valid and scene.gaze("face_2").valid)
    canceled = Goal(scene, face_id="face_1", person_id="anna", **LONG)
    scene.until(lambda: canceled.feedback and canceled.feedback[-1].samples_kept > 5)
    twice = Goal(scene, face_id="face_1", person_id="carl")
    assert "face_1 is being calibrated already" in twice.result()[1].message
    canceled.cancel()
    status, result = canceled.result()
    assert (status, result.success) == (GoalStatus.STATUS_CANCELED, False)
    assert "nothing was stored" in result.message
    assert not folder.exists()

    point = msg.CalibrationTarget(kind=msg.CalibrationTarget.KIND_POINT)
    point.point.header.frame_id = "eye_optical_frame"  # the lens, as a point
    first = Goal(scene, face_id="face_1", person_id="anna", targets=[point])
    other = Peer(domain)  # another program
    second = Goal(scene, other, face_id="face_2", person_id="bert", seconds_per_target=4.0)
    results = [goal.result()[1] for goal in (first, second)]
    assert all(result.success for result in results), [r.message for r in results]
    assert results[0].bias_yaw > 2 * DEG > -1 * DEG > results[1].bias_yaw
    assert results[1].samples >= 30
    scene.others.clear()
    other.close()
    scene.until(lambda: scene.gaze().calibrated and scene.gaze("face_2").calibrated)
    assert off(scene.gaze()) < 1.5
    assert off(scene.gaze("face_2")) < 1.5
    assert set(CalibrationStore(folder).load_all()) == {"anna", "bert"}
    # After a face has left, a new face under the same id is not that person.
    scene.actors = [bert()]
    for _ in range(40):
        scene.step()
    scene.actors = [anna(), bert()]
    gaze = scene.gaze()
    assert (gaze.person_id, gaze.calibrated) == ("", False)
    assert scene.gaze("face_2").person_id == "bert"


def point_at(place: tuple[float, float, float]) -> msg.CalibrationTarget:
    target = msg.CalibrationTarget(kind=msg.CalibrationTarget.KIND_POINT)
    target.point.header.frame_id = "eye_optical_frame"
    target.point.point.x, target.point.point.y, target.point.point.z = place
    return target


def test_five_targets_over_the_action(start: Start, peer: Peer, folder: Path) -> None:
    """One person looks at each target as the feedback asks, the other always at the lens."""
    start("gaze", people=str(folder))
    marks = [LENS, *((x * 0.2, y * 0.13, 0.0) for x in (-1, 1) for y in (-1, 1))]
    asked: list[Any] = []

    def looks_at(t: float) -> tuple[float, float, float]:
        return marks[asked[-1].target_index] if asked else LENS

    eyes = {"gain": (1.2, 2.4), "bias": (3 * DEG, -5 * DEG), "noise": 0.3 * DEG}
    person = Actor("face_1", at=(0.0, -0.05, 0.8), looks_at=looks_at, **eyes)
    # The node sends feedback ten times a second of real time, and the person must look at a new
    # target before 0.7 s of the scene have passed.
    scene = Scene(peer, person, Actor("face_2", at=(0.3, 0.0, 0.9)), period=0.04)
    scene.until(lambda: scene.gaze().valid and scene.gaze("face_2").valid)
    targets = [point_at(mark) for mark in marks]
    goal = Goal(scene, face_id="face_1", person_id="anna", targets=targets, samples_per_target=12)
    asked = goal.feedback
    lies = Goal(scene, face_id="face_2", person_id="bert", targets=targets, samples_per_target=12)
    status, result = goal.result()
    assert (status, result.success) == (GoalStatus.STATUS_SUCCEEDED, True), result.message
    assert 1.0 < result.gain_yaw < 1.35
    assert 2.0 < result.gain_pitch < 2.8
    assert result.samples == 60
    assert "of 5 targets: bias" in result.message
    assert "with five targets" not in result.message
    hints = list(dict.fromkeys(f.hint for f in goal.feedback if f.hint.startswith("look at")))
    assert len(hints) == 5
    status, result = lies.result()
    assert (status, result.success) == (GoalStatus.STATUS_ABORTED, False)
    assert re.search(r"target \d \(the point \(|did not follow", result.message), result.message
    assert set(CalibrationStore(folder).load_all()) == {"anna"}


def test_what_is_refused(start: Start, peer: Peer, folder: Path) -> None:
    start("gaze", people=str(folder))
    leaves = anna(seen=lambda t: t < leave)
    leave = math.inf
    beside = (0.35, 0.0, 0.0)
    liar = bert(looks_at=lambda t: beside if int(t / 0.5) % 2 else LENS)
    scene = Scene(peer, leaves, liar)
    scene.until(lambda: scene.gaze().valid and scene.gaze("face_2").valid)

    unknown = Goal(scene, face_id="face_9", person_id="carl")
    _, result = unknown.result()
    assert "there is no face face_9; seen: face_1, face_2" in result.message
    lies = Goal(scene, face_id="face_2", person_id="bert")
    lost = Goal(scene, face_id="face_1", person_id="anna")
    scene.until(lambda: lost.feedback and lost.feedback[-1].samples_kept > 10)
    leave = scene.now
    for goal, why in (
        (unknown, "there is no face face_9"),
        (lies, "elsewhere|two places"),
        (lost, "face_1 was lost after"),
    ):
        status, result = goal.result()
        assert (status, result.success) == (GoalStatus.STATUS_ABORTED, False)
        assert re.search(why, result.message), result.message
    assert not list(folder.glob("*.json"))

    point = msg.CalibrationTarget(kind=msg.CalibrationTarget.KIND_POINT)
    point.point.header.frame_id = "base_link"
    for request, why in (
        ({"person_id": "anna"}, "face_id is empty"),
        ({"face_id": "face_2"}, "person_id is empty"),
        ({"face_id": "face_2", "person_id": "b", "samples_per_target": 3}, "at least 10 samples"),
        ({"face_id": "face_2", "person_id": "b", "targets": [point]}, "needs tf2_ros"),
        (
            {"face_id": "face_2", "person_id": "b", "targets": [msg.CalibrationTarget(kind=9)]},
            "kind is 9",
        ),
        (
            {"face_id": "face_2", "person_id": "b", "targets": [msg.CalibrationTarget()]},
            "kind is 0: use KIND_CAMERA",
        ),
    ):
        if "tf2_ros" in why and importlib.util.find_spec("tf2_ros"):
            continue
        status, result = Goal(scene, **request).result()
        assert (status, result.success) == (GoalStatus.STATUS_ABORTED, False)
        assert why in result.message
    refused = scene.call(LinkFace, "link_face", face_id="face_9", person_id="anna")
    assert (refused.success, refused.message) == (
        False,
        "there is no face 'face_9'; seen: face_2",
    )
    assert not scene.call(LinkFace, "link_face", face_id="face_2", person_id=" ").success


def transit(peer: Peer, *steps: int) -> None:
    for step in steps:
        request = ChangeState.Request(transition=Transition(id=step))
        assert peer.call(ChangeState, "gaze/change_state", request).success


def test_goals_end_with_the_node_and_without_images(start: Start, peer: Peer, folder: Path) -> None:
    node = start("gaze", people=str(folder))
    scene = Scene(peer, anna())
    long = {"face_id": "face_1", "person_id": "anna", **LONG}

    def change(*steps: int) -> None:
        transit(peer, *steps)

    for _ in range(2):
        scene.until(lambda: scene.gaze().valid)
        goal = Goal(scene, **long)
        scene.until(lambda goal=goal: goal.feedback)
        change(Transition.TRANSITION_DEACTIVATE)
        status, result = goal.result()
        assert (status, result.message) == (
            GoalStatus.STATUS_ABORTED,
            "the gaze node was deactivated",
        )
        change(
            Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_CONFIGURE,
            Transition.TRANSITION_ACTIVATE,
        )
    change(Transition.TRANSITION_DEACTIVATE)
    status, result = Goal(scene, **long).result()
    assert (status, result.message) == (
        GoalStatus.STATUS_ABORTED,
        "the gaze node is not active: activate it",
    )
    change(Transition.TRANSITION_CLEANUP)
    assert Goal(scene, **long).result()[1].message == "the gaze node is not active: activate it"
    change(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
    assert node.log.count("calibrating face_1") == 2, "one server, however often it is configured"
    scene.until(lambda: scene.gaze().valid)
    goal = Goal(scene, **long)
    peer.until(lambda: goal.done, 30)
    assert "no image for" in goal.result()[1].message
    goal = Goal(scene, **long)
    change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert goal.result()[0] == GoalStatus.STATUS_ABORTED
    assert node.popen.poll() is None


def test_a_goal_that_comes_at_once_after_a_reset_is_accepted_once(
    start: Start, peer: Peer, folder: Path
) -> None:
    """The client has found the server before the node was cleaned up."""
    node = start("gaze", people=str(folder))
    scene = Scene(peer, anna())
    scene.until(lambda: scene.gaze().valid)
    transit(
        peer,
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    )
    scene.until(scene.client.server_is_ready)
    goal = Goal(scene, face_id="face_1", person_id="anna")
    assert goal.result()[1].success
    assert node.log.count("calibrating face_1") == 1, node.log


def test_the_node_ends_in_the_middle_of_a_goal(start: Start, peer: Peer, folder: Path) -> None:
    node = start("gaze", people=str(folder))
    scene = Scene(peer, anna())
    goal = Goal(scene, face_id="face_1", person_id="anna", **LONG)
    scene.until(lambda: goal.feedback)
    assert node.interrupt() == 0
    assert not folder.exists()


def test_a_damaged_file_is_named_and_the_node_goes_on(
    start: Start, peer: Peer, folder: Path
) -> None:
    node = start("gaze", people=str(folder))
    scene = Scene(peer, anna())
    assert Goal(scene, face_id="face_1", person_id="anna").result()[1].success
    (path,) = folder.glob("anna*.json")
    path.write_text("{")
    node.wait_for_log(f"{path} is damaged")
    scene.until(lambda: not scene.gaze().calibrated)
    assert Goal(scene, face_id="face_1", person_id="anna").result()[1].success
    scene.until(lambda: scene.gaze().calibrated)
    # An unreadable file does not affect other people.
    store = CalibrationStore(folder)
    store.put("bert", store.get("anna")["geometric"])
    whole = path.read_bytes()
    path.write_text(re.sub(r'"version": \d+', '"version": 99', whole.decode()))
    node.wait_for_log("newer face_perception")
    gone = scene.call(DeleteCalibration, "delete_calibration", person_id="bert")
    assert (gone.success, gone.deleted) == (True, 1), gone.message
    path.write_bytes(whole)
    gone = scene.call(DeleteCalibration, "delete_calibration", person_id="anna")
    assert (gone.success, gone.deleted) == (True, 2), "hers, and what was damaged"
    assert [file.name for file in folder.iterdir()] == [".lock"]
