"""The people node in a real process beside face_tracker and gaze: enrol, restart, know, forget."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from action_msgs.msg import GoalStatus
from faces_scene import photo
from node_processes import NodeProcess, Peer
from optional_models import needs_model
from rclpy.action import ActionClient
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from waits import scaled

from face_perception import msg
from face_perception.action import EnrolPerson
from face_perception.gaze import GeometricGaze
from face_perception.people import Calibration, CalibrationStore, Correction
from face_perception.ros import images, messages
from face_perception.srv import ForgetPerson, ListPersons

Start = Callable[..., NodeProcess]
MODEL = "dlib_face_recognition"


def two_people() -> np.ndarray:
    """Returns the two sample photographs side by side, 640x320."""
    pictures = [photo("astronaut")[:340, 54:394], photo("grace_hopper")[:480, 16:496]]
    whole = np.concatenate([cv2.resize(picture, (320, 320)) for picture in pictures], axis=1)
    return np.ascontiguousarray(whole)


class Camera:
    """Publishes the picture of two people, and hears what the nodes say about them."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.now = 100.0
        self._image = two_people()
        self._images = peer.publisher(Image, "image")
        self.recognitions = peer.listen(msg.RecognitionArray, "recognitions")
        self.gazes = peer.listen(msg.GazeArray, "gaze")
        self.faces = peer.listen(msg.FaceArray, "faces")

    def show(self) -> None:
        self.now += 0.1
        image = images.from_array(self._image)
        image.header = Header(stamp=messages.time(self.now), frame_id="camera")
        self._images.publish(image)
        self.peer.spin(0.05)

    def until(self, condition: Callable[[], Any], why: str, timeout: float = 40.0) -> None:
        end = time.monotonic() + scaled(timeout)
        while not condition():
            assert time.monotonic() < end, f"{why}: {self.persons()}, {self.recognitions[-1:]}"
            self.show()

    def persons(self) -> dict[str, str]:
        """Returns the person of each face, from the left, in the last message of gazes."""
        found = self.gazes[-1].gazes if self.gazes else []
        return {gaze.face_id: gaze.person_id for gaze in found}

    def face_ids(self) -> list[str]:
        """Returns the ids of the two faces, from the left."""
        faces = self.faces[-1].faces if self.faces else []
        return [face.face_id for face in sorted(faces, key=lambda face: face.roi.x_offset)]

    def enrol(self, face_id: str, person_id: str, **more: Any) -> tuple[int, Any, list[Any]]:
        """Returns the status, the result and the feedback of a goal."""
        client = ActionClient(self.peer.node, EnrolPerson, "people/enrol")
        self.until(client.server_is_ready, "no action server")
        feedback: list[Any] = []
        goal = EnrolPerson.Goal(face_id=face_id, person_id=person_id, looks=3, **more)
        sent = client.send_goal_async(goal, lambda message: feedback.append(message.feedback))
        self.until(sent.done, "the goal was not taken")
        result = sent.result().get_result_async()
        self.until(result.done, "the goal has no result")
        client.destroy()
        return result.result().status, result.result().result, feedback

    def call(self, kind: Any, name: str, **request: Any) -> Any:
        return self.peer.call(kind, f"people/{name}", kind.Request(**request))


@needs_model(MODEL)
def test_a_person_is_known_after_a_restart_until_forgotten(
    start: Start, peer: Peer, tmp_path: Path
) -> None:
    enrolled = tmp_path / "enrolled"
    gaze = GeometricGaze()
    CalibrationStore(tmp_path / "people").put(
        "anna",
        Calibration(gaze.name, gaze.revision, Correction(0.1, 0.0), 0.01, 0.05, 30, 1, made=0.0),
    )

    def start_nodes() -> NodeProcess:
        return start(
            *("face_tracker", "gaze", "people"),
            people={"folder": str(enrolled)},
            gaze={"people": str(tmp_path / "people")},
        )

    node = start_nodes()
    camera = Camera(peer)
    camera.until(lambda: len(camera.face_ids()) == 2, "no two faces")
    left, right = camera.face_ids()
    assert not enrolled.exists()
    status, result, feedback = camera.enrol(left, "anna")
    assert (status, result.success) == (GoalStatus.STATUS_SUCCEEDED, True), result.message
    assert feedback[-1].looks_kept == result.looks == 3
    assert "head has not moved" in feedback[-1].rejection_reasons
    assert feedback[0].hint
    camera.until(lambda: camera.persons() == {left: "anna", right: ""}, "anna is not named")
    for face_id, person_id, said in (
        (right, "anna", "anna is enrolled with another face"),
        (left, "ben", "this face is enrolled as anna"),
        ("face_99", "ben", "there is no face 'face_99'; seen: face_"),
        (left, "", "person_id is empty"),
    ):
        status, result, _ = camera.enrol(face_id, person_id)
        assert (status, result.success) == (GoalStatus.STATUS_ABORTED, False)
        assert said in result.message
    assert node.interrupt() == 0

    camera.gazes.clear()
    camera.recognitions.clear()
    node = start_nodes()
    camera.until(lambda: "anna" in camera.persons().values(), "anna is not known any more")
    first = next(m for m in camera.recognitions if any(r.person_id for r in m.recognitions))
    seen = messages.seconds(first.header.stamp) - messages.seconds(
        camera.recognitions[0].header.stamp
    )
    assert seen <= 2.0  # of the time of the images
    (one,) = [r for r in first.recognitions if r.person_id]
    assert (one.person_id, one.confidence > 0.8, one.reason) == ("anna", True, "")
    (calibrated,) = [g for g in camera.gazes[-1].gazes if g.person_id]
    assert calibrated.calibrated
    camera.until(
        lambda: sorted(f.person_id for f in camera.faces[-1].faces) == ["", "anna"],
        "the faces have no person",
    )
    node.wait_for_log("unknown -> anna (3 of 3 looks, distance 0.")

    listed = camera.call(ListPersons, "list_persons")
    assert (listed.person_ids, list(listed.looks), list(listed.recognised)) == (
        ["anna"],
        [3],
        [True],
    )
    refused = camera.call(ForgetPerson, "forget_person")
    assert (refused.success, "one of them" in refused.message) == (False, True)
    assert not camera.call(ForgetPerson, "forget_person", person_id="ben").success
    file = next(enrolled.glob("anna-*.json"))
    numbers = file.read_text().partition("[[")[2][:40].encode()
    forgotten = camera.call(ForgetPerson, "forget_person", person_id="anna")
    assert (forgotten.success, forgotten.forgotten) == (True, 1)
    left_bytes = b"".join(p.read_bytes() for p in enrolled.rglob("*") if p.is_file())
    assert numbers not in left_bytes
    assert not list(enrolled.glob("*.json*"))
    camera.until(lambda: set(camera.persons().values()) == {""}, "anna is still named")
    assert camera.call(ListPersons, "list_persons").person_ids == []


def test_names_expire_when_the_node_that_gave_them_ends(start: Start, peer: Peer) -> None:
    start("face_tracker")
    camera = Camera(peer)
    recognitions = peer.publisher(msg.RecognitionArray, "recognitions")
    camera.until(lambda: len(camera.face_ids()) == 2, "no two faces")
    left, _ = camera.face_ids()

    def persons() -> dict[str, str]:
        return {face.face_id: face.person_id for face in camera.faces[-1].faces}

    def recognised() -> bool:
        header = Header(stamp=messages.time(camera.now))
        named = msg.Recognition(face_id=left, person_id="anna", confidence=0.9)
        recognitions.publish(msg.RecognitionArray(header=header, recognitions=[named]))
        return persons().get(left) == "anna"

    camera.until(recognised, "the face has no person")
    begin = camera.now
    camera.until(lambda: persons().get(left) == "", "the person stays for ever")
    assert camera.now - begin > 1.0


def test_without_the_model_the_node_says_how_to_fetch_it(start: Start, empty_models: Path) -> None:
    start("people").wait_for_log("face-perception models fetch dlib_face_recognition")
