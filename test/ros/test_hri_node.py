"""The hri node, heard by a program that is written only from the text of REP-155."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from interface_packages import MISSING, add_to_python_path, interface_packages
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_processes import NodeProcess, Peer
from rep155_listener import Heard
from std_msgs.msg import Header
from waits import scaled

from face_perception import geometry, msg, types
from face_perception.faces import crop_face
from face_perception.ros import messages, result_kinds
from face_perception.ros.result_kinds import FACES, Result

Start = Callable[..., NodeProcess]
BOTH = {"hri_msgs", "tf2_msgs"}
NOT_INSTALLED = ("hri_msgs is not installed, so nothing is published under /humans", "tf2_msgs is")
KINDS = {
    "faces": FACES,
    "face_crops": result_kinds.FACE_CROPS,
    "gaze": result_kinds.GAZES,
    "action_units": result_kinds.ACTION_UNITS,
    "expressions": result_kinds.EXPRESSIONS,
    "valence_arousal": result_kinds.VALENCE_AROUSAL,
    "attention": result_kinds.ATTENTION,
}
SOUND = {"voice_activity": msg.VoiceActivity, "audio": msg.Audio}
SAMPLES = np.array([1000, -2000, 32767, -32768], np.int16)
LOOKS = {"face_1": (0.3, -0.2), "face_2": (-0.1, 0.25)}  # yaw and pitch


@pytest.fixture
def heard(rep155: None, domain: int, tmp_path: Path) -> Iterator[Heard]:
    with Heard(tmp_path / "heard.jsonl") as consumer:
        yield consumer


class Stage:
    """Publishes the results of two people who look at each other; anna is one of them."""

    def __init__(self, peer: Peer, photo_faces: Any) -> None:
        self._peer = peer
        self.now = 100.0
        self.persons = {"face_1": "anna"}
        self.faces, self.crops = [], []
        for name, (frame, face) in zip(LOOKS, photo_faces.values(), strict=True):
            face = dataclasses.replace(face, face_id=name)
            self.camera = frame.camera
            self.faces.append(face)
            self.crops.append(crop_face(frame.image, face))
        types_ = {topic: kind.message_type for topic, kind in KINDS.items()}
        self._publishers = {
            topic: peer.publisher(kind, topic) for topic, kind in {**types_, **SOUND}.items()
        }

    @property
    def subscribed(self) -> set[str]:
        """The topics that somebody reads."""
        return {t for t, found in self._publishers.items() if found.get_subscription_count()}

    def play(self, condition: Callable[[], Any]) -> None:
        """Publishes 20 images a second until ``condition()``."""
        end = time.monotonic() + scaled(30)
        while not condition():
            assert time.monotonic() < end, "nothing came of it"
            self.now += 0.05
            for topic, message in self._image().items():
                self._publishers[topic].publish(message)
            self._peer.spin(0.05)

    def _image(self) -> dict[str, Any]:
        header = Header(stamp=messages.time(self.now), frame_id="eye_optical_frame")
        faces, ids = self.faces, [face.face_id for face in self.faces]
        person = self.persons
        smile = {12: types.ActionUnit(0.7, confidence=0.6)}
        happy = np.eye(7)[types.EXPRESSIONS.index("happy")]
        gazes = [
            types.Gaze(
                *(i, np.array([0, 0, 1.0]), geometry.from_yaw_pitch(*LOOKS.get(i, (0, 0)))),
                *(0.9, True, "geometric", person.get(i, "")),
                eyes=types.Eyes.OPEN,
            )
            for i in ids
        ]
        looks = [
            types.Attention(
                *(i, "geometric", False, 0.1, 1.0, types.Target.FACE, other, self.now),
                *(types.Engagement.ENGAGED, self.now),
                person_id=person.get(i, ""),
            )
            for i, other in zip(ids, reversed(ids), strict=True)
        ]
        lists: dict[str, list[Any]] = {
            "action_units": [types.ActionUnits(i, "landmarks", smile) for i in ids],
            "expressions": [types.Expression(i, "net", happy, 0.8) for i in ids],
            "valence_arousal": [types.ValenceArousal(i, "derived", 0.6, 0.2, 0.8) for i in ids],
            "gaze": gazes,
            "attention": looks,
            "face_crops": [crop for crop in self.crops if crop.face_id in ids],
        }
        image: dict[str, Any] = {
            topic: KINDS[topic].write(Result(header, values)) for topic, values in lists.items()
        }
        image["faces"] = FACES.write(Result(header, faces, self.camera))
        image["voice_activity"] = msg.VoiceActivity(header=header, valid=True, speaking=True)
        sound = image["audio"] = msg.Audio(header=header, sample_rate=16_000, channels=1)
        sound.samples.frombytes(SAMPLES.tobytes())
        return image


def test_a_consumer_of_rep_155_sees_two_people(
    start: Callable[..., NodeProcess], peer: Peer, heard: Heard, photo_faces: Any
) -> None:
    node = start("hri")
    stage = Stage(peer, photo_faces)
    wanted = {f"faces/{i}/{name}" for i in LOOKS for name in ("roi", "landmarks", "facs")}
    wanted |= {f"faces/{i}/{n}" for i in LOOKS for n in ("cropped", "aligned", "expression")}
    persons = {"face_1": "anna", "face_2": "anonymous_face_2"}
    for person in persons.values():
        wanted |= {f"persons/{person}/{n}" for n in ("face_id", "anonymous", "engagement_status")}
        wanted |= {f"person_{person}", f"persons/{person}/location_confidence"}
    wanted |= {f"{kind}_{i}" for i in LOOKS for kind in ("face", "gaze")}
    wanted |= {"gazing", "candidate_matches", "voices/tracked", "voices/voice_1/is_speaking"}
    wanted |= {"voices/voice_1/audio"}
    seen = {("anna", "anonymous_face_2"), ("anonymous_face_2", "anna")}
    stage.play(lambda: wanted <= heard.last().keys() and seen <= looks_heard(heard))
    last = heard.last()

    assert sorted(last["faces/tracked"]["ids"]) == ["face_1", "face_2"]
    for face, crop in zip(stage.faces, stage.crops, strict=True):
        name = face.face_id
        roi, camera = last[f"faces/{name}/roi"], stage.camera
        assert roi["header"]["frame_id"] == "eye_optical_frame"
        assert roi["xmin"] * camera.width == pytest.approx(face.roi.x, abs=1e-3)
        assert roi["ymax"] * camera.height == pytest.approx(face.roi.y + face.roi.height, abs=1e-3)
        landmarks = last[f"faces/{name}/landmarks"]
        assert len(landmarks["landmarks"]) == 70
        assert (landmarks["width"], landmarks["height"]) == (camera.width, camera.height)
        for picture in ("cropped", "aligned"):
            assert last[f"faces/{name}/{picture}"]["bytes"] == 128 * 128 * 3
        facs = last[f"faces/{name}/facs"]
        assert len(facs["intensity"]) == len(facs["confidence"]) == 99
        assert (facs["intensity"][12], facs["confidence"][12]) == pytest.approx((0.7, 0.6))
        assert sum(facs["confidence"]) == facs["confidence"][12]
        expression = last[f"faces/{name}/expression"]
        assert expression["expression"] == "happy"
        assert expression["valence"] == pytest.approx(0.6)
        assert crop.face_id == name

        # A later image may have the frame of the face alone: its gaze was too late for a busy node.
        gaze = last[f"gaze_{name}"]
        peer.until(lambda name=name, gaze=gaze: heard.frames(f"face_{name}", gaze["header"]))
        (head,) = heard.frames(f"face_{name}", gaze["header"])
        assert gaze["header"]["frame_id"] == "eye_optical_frame"
        assert gaze["transform"]["translation"] == head["transform"]["translation"]
        looks = geometry.rotation_matrix(**gaze["transform"]["rotation"])[:, 2]
        true = geometry.from_yaw_pitch(*LOOKS[name])
        assert np.degrees(geometry.angle_between(looks, true)) < 0.1
        assert face.pose is not None
        axes = geometry.rotation_matrix(**head["transform"]["rotation"])
        assert axes == pytest.approx(face.pose.rotation, abs=1e-6)

    assert sorted(last["persons/tracked"]["ids"]) == sorted(persons.values())
    assert last["persons/anna/face_id"]["data"] == "face_1"
    assert last["persons/anna/anonymous"]["data"] is False
    assert last["persons/anonymous_face_2/anonymous"]["data"] is True
    assert last["persons/anna/engagement_status"]["level"] == 3  # ENGAGED
    assert last["voices/tracked"]["ids"] == ["voice_1"]
    assert last["voices/voice_1/is_speaking"]["data"] is True
    assert last["voices/voice_1/audio"]["data"] == list(SAMPLES.tobytes())
    assert looks_heard(heard) == seen

    # A face is linked to a person, and then no longer.
    match = {"id1": "face_1", "id1_type": 2, "id2": "anna", "id2_type": 1, "confidence": 1.0}
    assert last["candidate_matches"] == {"topic": "candidate_matches", **match}
    stage.persons = {}
    stage.play(lambda: heard.last()["candidate_matches"]["confidence"] == 0.0)
    stage.persons = {"face_1": "anna"}
    stage.play(lambda: sorted(heard.last()["persons/tracked"]["ids"]) == sorted(persons.values()))

    # What seldom changes, and pictures, are published less often than the images come.
    for topic, period in (
        ("faces/tracked", 0.2),
        ("persons/anna/engagement_status", 0.2),
        ("faces/face_1/cropped", 0.1),
    ):
        # On a busy computer, the consumer still prints what was sent before: count by the stamps.
        begin = stage.now
        stage.play(lambda topic=topic, at=begin: len(stamps(heard, topic, after=at)) > 2)
        assert min(np.diff(stamps(heard, topic, after=begin))) > 0.9 * period, topic

    # A face leaves.
    left, last_seen = stage.faces.pop(), stage.now
    for kind, stays in (("faces", "face_1"), ("persons", "anna")):
        topic = f"{kind}/tracked"
        stage.play(lambda topic=topic, stays=stays: heard.last()[topic]["ids"] == [stays])
        # No later message has it, even if a busy computer drops some.
        both = [m for m in heard.lines() if m["topic"] == topic and len(m["ids"]) == 2]
        assert stamp(both[-1]) - last_seen < 1.0
    topics = (f"/humans/faces/{left.face_id}/roi", "/humans/persons/anonymous_face_2/face_id")
    peer.until(lambda: not any(peer.node.count_publishers(topic) for topic in topics))

    # An id that no topic can have in its name is left out.
    stage.faces.append(dataclasses.replace(left, face_id="face 2"))
    stage.play(lambda: "'face 2' is not a ROS name" in node.log)
    assert heard.last()["faces/tracked"]["ids"] == ["face_1"]
    stage.faces.pop()

    # Nobody is tracked while the node is not active.
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    assert peer.call(ChangeState, "hri/change_state", request).success
    kinds = [f"{kind}/tracked" for kind in ("faces", "persons", "voices")]
    peer.until(lambda: [heard.last()[kind]["ids"] for kind in kinds] == [[], [], []])
    request.transition.id = Transition.TRANSITION_ACTIVATE
    assert peer.call(ChangeState, "hri/change_state", request).success
    stage.play(lambda: heard.last()["faces/tracked"]["ids"] == ["face_1"])

    # All leave when the process ends.
    assert node.interrupt() == 0
    peer.until(lambda: [heard.last()[kind]["ids"] for kind in kinds] == [[], [], []])


def looks_heard(heard: Heard) -> set[tuple[str, str]]:
    return {(m["sender"], m["receiver"]) for m in heard.lines() if m["topic"] == "gazing"}


def stamps(heard: Heard, topic: str, after: float) -> list[float]:
    """Returns the stamps of a topic's messages that are later than ``after``, seconds."""
    return [at for m in heard.lines() if m["topic"] == topic and (at := stamp(m)) > after]


def stamp(message: dict[str, Any]) -> float:
    at = message["header"]["stamp"]
    return float(at["sec"] + at["nanosec"] * 1e-9)


def test_a_second_camera_needs_other_names(start: Start, peer: Peer, rep155: None) -> None:
    said = peer.listen(DiagnosticArray, "/diagnostics")

    def problem(name: str) -> str:
        return next((s.message for m in reversed(said) for s in m.status if s.name == name), "")

    start("hri", options={"namespace": "left"}, topic_root="humans")
    peer.until(lambda: peer.node.count_publishers("/left/humans/faces/tracked"))
    assert not peer.node.count_publishers("/humans/faces/tracked")
    start("hri")
    peer.until(lambda: problem("hri") and problem("left/hri"))
    start("hri", options={"namespace": "right"})
    for name in ("hri", "right/hri"):
        why = "another node publishes /humans/faces/tracked, too: .* topic_root"
        peer.until(lambda name=name, why=why: re.search(why, problem(name)))
    assert not [
        s for m in said for s in m.status if s.name == "left/hri" and "another" in s.message
    ]


def test_frames_alone_where_there_is_no_hri_msgs(
    start: Callable[..., NodeProcess],
    peer: Peer,
    photo_faces: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not BOTH.issubset(MISSING):
        pytest.skip("hri_msgs or tf2_msgs is installed")
    folders = interface_packages()
    add_to_python_path(folders[1:], monkeypatch)
    node = start("hri", frame_prefix="left_", publish_persons=False)
    assert NOT_INSTALLED[0] in node.wait_for_log("is not installed")
    stage = Stage(peer, photo_faces)
    node.wait_for_log("active")
    peer.spin(1.0)
    assert not stage.subscribed, "nobody listens"
    add_to_python_path(folders[:1], monkeypatch)
    names = {f"left_{kind}_{face}" for kind in ("face", "gaze") for face in LOOKS}
    with Heard(tmp_path / "heard.jsonl") as heard:
        stage.play(lambda: heard.last().keys() >= names)
        assert heard.last().keys() == names
        assert stage.subscribed == {"faces", "gaze"}


def test_without_either_package_the_node_says_what_to_install(
    start: Callable[..., NodeProcess],
) -> None:
    if not BOTH.issubset(MISSING):
        pytest.skip("hri_msgs or tf2_msgs is installed")
    node = start("hri")
    log = node.wait_for_log("cannot be configured")
    for sentence in NOT_INSTALLED:
        assert sentence in log
    assert "sudo apt install ros-$ROS_DISTRO-hri-msgs" in log
