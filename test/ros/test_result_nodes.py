"""The nodes gaze, affect and attention, with good and bad faces published by the test."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import cv2
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from node_processes import NodeProcess, Peer
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from std_msgs.msg import Header, String
from waits import scaled

from face_perception import faces as rooms_faces
from face_perception import msg, types
from face_perception.affect import LandmarkActionUnits, load_appearance
from face_perception.inference import sample_photo
from face_perception.ros import messages
from face_perception.ros.result_kinds import FACE_CROPS, FACES, Result
from face_perception.srv import SetNeutral
from face_perception.types import BLENDSHAPES

Start = Callable[..., NodeProcess]


@pytest.fixture(scope="module")
def seen() -> tuple[list[types.Face], types.Camera, list[types.FaceCrop]]:
    """The face of the astronaut, found by the real networks."""
    image = cv2.cvtColor(cv2.imread(str(sample_photo("astronaut"))), cv2.COLOR_BGR2RGB)
    camera = types.Camera.assume(image.shape[1], image.shape[0])
    found = rooms_faces.load_tracker().detect(types.Frame(image, 0.0, camera))
    assert len(found) == 1
    return found, camera, [rooms_faces.crop_face(image, face) for face in found]


class Tracker:
    """Replaces face_tracker: publishes faces and crops with increasing stamps."""

    def __init__(self, peer: Peer, seen: Any) -> None:
        self.peer = peer
        self.found, self.camera, self.crops = seen
        self.faces = peer.publisher(msg.FaceArray, "faces")
        self.face_crops = peer.publisher(msg.FaceCrops, "face_crops")
        self.now = 100.0

    def header(self) -> Header:
        self.now += 0.05
        return Header(stamp=messages.time(self.now), frame_id="eye_optical_frame")

    def message(self) -> msg.FaceArray:
        return FACES.write(Result(self.header(), self.found, self.camera))

    def publish_until(
        self, condition: Callable[[], Any], make: Callable[[], Any] | None = None
    ) -> None:
        end = time.monotonic() + scaled(30)
        while not condition():
            assert time.monotonic() < end, "nothing came of it"
            message = (make or self.message)()
            self.faces.publish(message)
            self.face_crops.publish(FACE_CROPS.write(Result(message.header, self.crops)))
            self.peer.spin(0.05)


def cut_landmarks(message: Any) -> None:
    message.faces[0].landmarks = message.faces[0].landmarks[:100]


def no_camera(message: Any) -> None:
    message.camera_info.k = [math.nan] * 9


def no_rotation(message: Any) -> None:
    q = message.faces[0].head_pose.orientation
    q.x = q.y = q.z = q.w = 0.0


@pytest.mark.parametrize("name", ["gaze", "affect", "attention"])
def test_bad_faces_are_refused_and_good_ones_taken_again(
    start: Start, peer: Peer, seen: Any, name: str
) -> None:
    topic, kind = {
        "gaze": ("gaze", msg.GazeArray),
        "affect": ("action_units", msg.ActionUnitsArray),
        "attention": ("attention", msg.AttentionArray),
    }[name]
    node = start(name)
    tracker, heard = Tracker(peer, seen), peer.listen(kind, topic)
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    tracker.publish_until(lambda: heard)

    def stamp() -> float:
        return messages.seconds(heard[-1].header.stamp)

    def refused() -> int:
        return max(
            (int(v.value) for m in diagnostics for v in m.status[0].values if v.key == "refused"),
            default=0,
        )

    for spoil, said in (
        (cut_landmarks, "landmarks"),
        (no_camera, "camera"),
        (no_rotation, "quaternion"),
    ):

        def bad(spoil: Callable[[Any], None] = spoil) -> Any:
            message = tracker.message()
            spoil(message)
            return message

        begin, known, lines = tracker.now, refused(), len(node.log.splitlines())
        for _ in range(5):
            tracker.publish_until(lambda n=tracker.now: tracker.now > n, bad)
        end = tracker.now
        tracker.publish_until(lambda end=end, n=known: stamp() > end + 0.2 and refused() > n)
        tracker.publish_until(lambda n=lines: len(node.log.splitlines()) > n)
        log = node.log.splitlines()[lines:]
        assert any(said in line for line in log), node.log
        got = [messages.seconds(m.header.stamp) for m in heard]
        assert not [at for at in got if begin + 0.01 < at < end + 0.01]
        assert node.popen.poll() is None
        assert heard[-1].header.frame_id == "eye_optical_frame"
        assert stamp() == pytest.approx(tracker.now, abs=0.5)


@pytest.mark.parametrize("composed", [False, True])
def test_a_face_that_ends_midway(start: Start, peer: Peer, seen: Any, composed: bool) -> None:
    names = ("gaze", "affect", "attention")
    for nodes in (names,) if composed else ((name,) for name in names):
        start(*nodes)
    tracker = Tracker(peer, seen)
    heard = {
        "gaze": peer.listen(msg.GazeArray, "gaze"),
        "action_units": peer.listen(msg.ActionUnitsArray, "action_units"),
        "expressions": peer.listen(msg.ExpressionArray, "expressions"),
        "attention": peer.listen(msg.AttentionArray, "attention"),
    }

    def count(n: int) -> bool:
        return all(found and len(messages.listed(found[-1])) == n for found in heard.values())

    tracker.publish_until(lambda: count(1))
    found, crops = tracker.found, tracker.crops
    tracker.found, tracker.crops = [], []
    tracker.publish_until(lambda: count(0))
    tracker.found, tracker.crops = found, crops
    tracker.publish_until(lambda: count(1))
    assert heard["gaze"][-1].gazes[0].valid


def test_a_tracker_without_landmarks(start: Start, peer: Peer, seen: Any) -> None:
    """Without landmarks there are no action units; attention then uses the head pose."""
    nodes = [start(name) for name in ("gaze", "affect", "attention")]
    tracker = Tracker(peer, seen)
    gaze = peer.listen(msg.GazeArray, "gaze")
    units = peer.listen(msg.ActionUnitsArray, "action_units")
    attention = peer.listen(msg.AttentionArray, "attention")

    def bare() -> Any:
        message = tracker.message()
        del message.faces[0].landmarks[:]
        return message

    tracker.publish_until(lambda: gaze and units and attention, bare)
    assert not gaze[-1].gazes[0].valid
    found = units[-1].action_units[0]
    known = {c for c, p in zip(found.code, found.intensity, strict=True) if math.isfinite(p)}
    assert known <= {45}
    assert attention[-1].attention[0].source == "head_pose"
    assert not any("Traceback" in node.log for node in nodes)


def test_closed_eyes_hold_the_gaze(start: Start, peer: Peer, seen: Any) -> None:
    start("gaze")
    tracker, heard = Tracker(peer, seen), peer.listen(msg.GazeArray, "gaze")
    tracker.publish_until(lambda: len(heard) > 30)
    last = heard[-1].gazes[0]
    assert last.valid

    def blink() -> Any:
        message = tracker.message()
        face = message.faces[0]
        face.eye_openness_valid = True
        face.left_eye_openness = face.right_eye_openness = 0.2
        return message

    tracker.publish_until(lambda: not heard[-1].gazes[0].valid, blink)
    held = heard[-1].gazes[0]
    assert held.direction.x == pytest.approx(last.direction.x, abs=0.01)
    assert held.direction.y == pytest.approx(last.direction.y, abs=0.01)


def test_results_name_their_source_and_model(start: Start, peer: Peer, seen: Any) -> None:
    start("affect")
    tracker = Tracker(peer, seen)
    expressions = peer.listen(msg.ExpressionArray, "expressions")
    affects = peer.listen(msg.ValenceArousalArray, "valence_arousal")
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    tracker.publish_until(
        lambda: (
            expressions and affects and any("active" in m.status[0].message for m in diagnostics)
        )
    )
    assert expressions[-1].expressions[0].source == "expression"
    assert affects[-1].values[0].source == "derived"
    values = {v.key: v.value for v in diagnostics[-1].status[0].values}
    assert values["models"] == "expression on onnxruntime in fp32"
    assert values["backend"]


def test_attention_waits_for_gaze_only_while_there_is_one(
    start: Start, peer: Peer, seen: Any
) -> None:
    start("attention")
    tracker, heard = Tracker(peer, seen), peer.listen(msg.AttentionArray, "attention")
    tracker.publish_until(lambda: heard)
    assert heard[-1].attention[0].source == "head_pose"
    gaze = start("gaze")
    tracker.publish_until(lambda: heard[-1].attention[0].source == "geometric")
    gaze.popen.kill()
    gaze.popen.wait()
    tracker.publish_until(lambda: heard[-1].attention[0].source == "head_pose")


def test_the_robots_eyes_may_be_elsewhere(start: Start, peer: Peer, seen: Any) -> None:
    start("attention", robot_point=[5.0, 0.0, 0.0])
    tracker, heard = Tracker(peer, seen), peer.listen(msg.AttentionArray, "attention")
    tracker.publish_until(lambda: heard)
    attention = heard[-1].attention[0]
    assert not attention.looking_at_robot, "looks at the lens, five metres beside the robot's eyes"
    assert attention.distance == pytest.approx(5, abs=0.5)
    # What one tunes standing before the robot is changed while it runs.

    def set_parameter(name: str, **value: Any) -> tuple[bool, str]:
        request = SetParametersAtomically.Request(
            parameters=[Parameter(name=name, value=ParameterValue(**value))]
        )
        service = "/attention/set_parameters_atomically"
        result = peer.call(SetParametersAtomically, service, request).result
        return result.successful, result.reason

    whole = {"type": ParameterType.PARAMETER_INTEGER_ARRAY, "integer_array_value": [0, 0, 0]}
    assert set_parameter("robot_point", **whole) == (True, "")
    tracker.publish_until(lambda: heard[-1].attention[0].distance < 2)
    number = {"type": ParameterType.PARAMETER_DOUBLE, "double_value": 0.9}
    done, reason = set_parameter("leave_probability", **number)
    assert not done
    assert reason == "leave_probability (0.9) must not be above enter_probability (0.5)"
    assert attention.angle > math.radians(45)


def test_bags_that_loop(start: Start, peer: Peer, seen: Any) -> None:
    start("gaze")
    start("attention")
    tracker = Tracker(peer, seen)
    heard = peer.listen(msg.AttentionArray, "attention")
    tracker.publish_until(lambda: heard and heard[-1].attention[0].source == "geometric")
    tracker.now = 10.0
    tracker.publish_until(lambda: messages.seconds(heard[-1].header.stamp) < 50)
    since = messages.seconds(heard[-1].attention[0].engagement_since)
    assert since < 50, "no state from a future that has not been yet"


def test_a_neutral_is_set_by_service_and_blendshapes_are_published(
    start: Start, peer: Peer, seen: Any
) -> None:
    start("affect", blendshapes=True)
    tracker = Tracker(peer, seen)
    client = peer.node.create_client(SetNeutral, "affect/set_neutral")

    def ask(**request: Any) -> Any:
        answer = client.call_async(SetNeutral.Request(**request))
        tracker.publish_until(answer.done)
        return answer.result()

    # Without subscribers the node reads no faces.
    assert client.wait_for_service(timeout_sec=30)
    nobody = ask()
    assert not nobody.success
    assert "no face is tracked" in nobody.message

    units = peer.listen(msg.ActionUnitsArray, "action_units")
    shapes = peer.listen(msg.BlendshapesArray, "blendshapes")
    tracker.publish_until(lambda: units and shapes)
    face_id = tracker.found[0].face_id
    (found,) = shapes[-1].blendshapes
    assert found.face_id == face_id
    assert found.source == "blendshapes"
    assert found.strength[BLENDSHAPES.index("mouthSmileLeft")] > 0.5
    assert 0 < found.confidence <= 1

    def state() -> tuple[int, float]:
        (face,) = units[-1].action_units
        return face.neutral, face.intensity[list(face.code).index(12)]

    assert state()[0] == msg.ActionUnits.NEUTRAL_POPULATION
    assert state()[1] > 0.5
    done = ask(face_id=face_id)
    assert done.success
    assert list(done.face_ids) == [face_id]
    tracker.publish_until(lambda: state()[0] == msg.ActionUnits.NEUTRAL_SET)
    assert state()[1] < 0.1
    wrong = ask(face_id="face_99")
    assert not wrong.success
    assert "face_99: no face is tracked" in wrong.message
    assert ask(forget=True).face_ids == [face_id]
    tracker.publish_until(lambda: state()[0] == msg.ActionUnits.NEUTRAL_POPULATION)


@pytest.mark.parametrize("appearance", [True, False])
def test_the_appearance_of_faces_counts_for_action_units(
    start: Start, peer: Peer, seen: Any, appearance: bool
) -> None:
    start("affect", appearance=appearance)
    tracker = Tracker(peer, seen)
    heard = peer.listen(msg.ActionUnitsArray, "action_units")
    tracker.publish_until(lambda: len(heard) > 5)
    (found,) = heard[-1].action_units
    assert found.source == ("landmarks+appearance" if appearance else "landmarks")
    (look,) = load_appearance().estimate(tracker.crops)
    units = LandmarkActionUnits(appearance=appearance)
    wanted = units.estimate(tracker.found[0], 0.0, appearance=look if appearance else None)
    assert list(found.code) == list(wanted.units)
    assert (6 in found.code) == appearance
    intensity = [unit.intensity for unit in wanted.units.values()]
    assert list(found.intensity) == pytest.approx(intensity, abs=1e-4, nan_ok=True)


def test_whom_the_robot_should_look_at(start: Start, peer: Peer, seen: Any) -> None:
    start("gaze")
    node = start("attention", look_at_time=0.2)
    tracker = Tracker(peer, seen)
    points, ids = peer.listen(PointStamped, "look_at"), peer.listen(String, "look_at_id")
    tracker.publish_until(lambda: points and ids)
    (face,) = tracker.found
    assert ids[-1].data == face.face_id
    point = points[-1]
    assert (point.header.frame_id, face.pose is None) == ("eye_optical_frame", False)
    # The midpoint of the eyes is near the sellion.
    assert math.dist((point.point.x, point.point.y, point.point.z), face.pose.position) < 0.03
    tracker.found, tracker.crops = [], []
    tracker.publish_until(lambda: not ids[-1].data)
    after = len(points)
    tracker.publish_until(lambda: tracker.now > messages.seconds(points[-1].header.stamp) + 1)
    assert len(points) == after, "there is nobody to look at"

    def set_policy(policy: str) -> Any:
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=policy)
        request = SetParametersAtomically.Request(
            parameters=[Parameter(name="look_at_policy", value=value)]
        )
        service = "attention/set_parameters_atomically"
        return peer.call(SetParametersAtomically, service, request).result

    assert "use engaged_first, nearest" in set_policy("tallest").reason
    assert set_policy("speaker").successful
    tracker.found, tracker.crops = [face], seen[2]
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    tracker.publish_until(
        lambda: any("nothing tells who speaks" in s.message for m in diagnostics for s in m.status)
    )
    assert "Traceback" not in node.log
