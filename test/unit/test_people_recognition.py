"""Tests of looks at faces: what is good enough, and recognition of the two sample photographs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from faces_scene import frame, photo
from optional_models import needs_model

from face_perception.errors import InputError
from face_perception.faces import FaceTracker, crop_face
from face_perception.inference import load
from face_perception.people import (
    EnrolledPerson,
    EnrolledStore,
    EnrolmentRefused,
    FaceTemplates,
    PeopleRecognition,
    RecognitionSettings,
    align_for_recognition,
)
from face_perception.people.look_quality import LookLimits, look_problem
from face_perception.people.people_recognition import _TO_ENROL, _TO_RECOGNISE
from face_perception.types import Camera, Face, FaceCrop, Frame, Roi

Photos = Mapping[str, tuple[Frame, Face]]
SIZE = 320
CAMERA = Camera.assume(SIZE, SIZE)
COLOURS = {"anna": (200, 60, 60), "ben": (60, 200, 60)}


def astronaut(tracker: FaceTracker, scale: float = 1.0, blur: float = 0.0) -> tuple[Face, FaceCrop]:
    """Returns the astronaut's face, 90 pixels wide times ``scale``; ``blur`` is in pixels."""
    part = cv2.resize(photo("astronaut")[:340, 54:394], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    side = round(SIZE * scale)
    image = np.full((SIZE, SIZE, 3), 128, np.uint8)
    image[:side, :side] = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    (face,) = tracker.detect(frame(image))
    return face, crop_face(image, face)


def problems(face: Face, crop: FaceCrop | None) -> tuple[str, str]:
    """Returns what is wrong with a look, to recognise somebody and to enrol somebody."""
    return (
        look_problem(_TO_RECOGNISE, CAMERA, face, crop),
        look_problem(_TO_ENROL, CAMERA, face, crop),
    )


def test_good_and_bad_looks(tracker: FaceTracker) -> None:
    face, crop = astronaut(tracker)
    assert problems(face, crop) == ("", "")
    assert problems(face, None)[0] == "no picture of the face"
    assert problems(*astronaut(tracker, scale=0.6)) == ("", "too small")
    assert problems(*astronaut(tracker, scale=0.4)) == ("too small", "too small")
    assert problems(*astronaut(tracker, blur=1.4)) == ("", "blurred")
    assert problems(*astronaut(tracker, blur=3)) == ("blurred", "blurred")
    dark = dataclasses.replace(crop, image=crop.image // 16)
    assert problems(face, dark)[0] == "too dark or too bright"
    unsure = dataclasses.replace(face, confidence=0.4)
    assert problems(unsure, crop)[0] == "not clearly a face"
    unsure = dataclasses.replace(face, confidence=math.nan)
    assert problems(unsure, crop)[0] == "not clearly a face"
    blind = dataclasses.replace(face, landmarks=np.full_like(face.landmarks, np.nan))
    assert problems(blind, crop)[0] == "no landmarks"
    small = dataclasses.replace(crop, image=crop.image[:2, :2])
    with pytest.raises(InputError, match=r"a face crop must be RGB uint8 \[160, 160, 3\]"):
        problems(face, small)
    moved = dataclasses.replace(face, landmarks=face.landmarks - np.float32([150, 0, 0]))
    assert problems(moved, crop)[0] == "partly outside the image"
    for degrees, wanted in ((20, ("", "")), (35, ("", "turned away")), (45, ("turned away",) * 2)):
        assert face.pose is not None
        turn = cv2.Rodrigues(np.array([0, math.radians(degrees), 0.0]))[0]
        pose = dataclasses.replace(face.pose, rotation=turn @ face.pose.rotation)
        assert problems(dataclasses.replace(face, pose=pose), crop) == wanted
    assert problems(dataclasses.replace(face, pose=None), crop)[0] == "turned away"


def test_alignment_does_not_depend_on_size_and_roll(photo_faces: Photos) -> None:
    shot, face = photo_faces["astronaut"]
    aligned = align_for_recognition(crop_face(shot.image, face), face)
    assert aligned.shape == (150, 150, 3)
    height, width = shot.image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 30, 0.9)
    image = cv2.warpAffine(shot.image, turn, (width, height))
    points = face.landmarks.copy()
    points[:, :2] = points[:, :2] @ turn[:, :2].T + turn[:, 2]
    turned = dataclasses.replace(face, landmarks=points)
    again = align_for_recognition(crop_face(image, turned), turned)
    inside = np.s_[10:-10, 10:-10]
    assert np.abs(again[inside].astype(float) - aligned[inside]).mean() < 3
    blind = dataclasses.replace(face, landmarks=np.full_like(face.landmarks, np.nan))
    with pytest.raises(InputError, match="has no landmarks: recognition needs a face tracker"):
        align_for_recognition(crop_face(shot.image, face), blind)


@needs_model("dlib_face_recognition")
def test_templates_tell_the_two_people_apart(photo_faces: Photos) -> None:
    estimator = FaceTemplates(load("dlib_face_recognition", backend="onnxruntime"))
    assert estimator.revision == "dlib_face_recognition-1-55533b28a95800a5"
    crops, faces = [], []
    for shot, face in photo_faces.values():
        for gain in (1.0, 0.6):
            image = (shot.image * gain).astype(np.uint8)
            crops.append(crop_face(image, face))
            faces.append(face)
    found = estimator.estimate(crops, faces)
    distances = np.linalg.norm(found[:, None] - found[None], axis=2)
    same = distances[[0, 2], [1, 3]]
    other = distances[:2, 2:]
    assert same.max() < 0.3
    assert other.min() > 0.6
    assert estimator.estimate(crops[1:2], faces[1:2])[0] == pytest.approx(found[1], abs=1e-5)


class PaintedTemplates:
    """Stands for the network: the template of a face is the colour of one pixel of its crop."""

    revision = "painted-1"
    calls = 0

    def estimate(self, crops: Sequence[FaceCrop], faces: Sequence[Face]) -> np.ndarray:
        self.calls += 1
        found = np.zeros((len(crops), 128), np.float32)
        found[:, :3] = [crop.image[80, 80] / 200 for crop in crops]
        return found


class Room:
    """Faces of people in front of a PeopleRecognition. All are the astronaut; one pixel differs."""

    def __init__(self, face: Face, crop: FaceCrop, folder: Path, warnings: list[str]) -> None:
        self.face, self.crop = face, crop
        self.estimator = PaintedTemplates()
        self.folder = folder
        self.warnings = warnings
        self.stamp = 0.0
        self.start()

    def start(self) -> None:
        store = EnrolledStore(self.folder, self.warnings.append)
        estimator: FaceTemplates = self.estimator  # type: ignore[assignment]
        self.people = PeopleRecognition(estimator, store, RecognitionSettings())

    def show(self, seconds: float, **persons: str) -> dict[str, str]:
        found = {}
        for _ in range(round(seconds * 10)):
            self.stamp += 0.1
            crops = {}
            for face_id, person in persons.items():
                image = self.crop.image.copy()
                image[80, 80] = COLOURS[person]
                crops[face_id] = FaceCrop(face_id, image, self.crop.transform)
            faces = [dataclasses.replace(self.face, face_id=face_id) for face_id in persons]
            seen = self.people.update(self.stamp, CAMERA, faces, crops)
            found = {one.face_id: one.person_id for one in seen.recognitions}
        return found

    def enrol(self, face_id: str, person_id: str, **persons: str) -> EnrolledPerson:
        session = self.people.begin_session(face_id, person_id, 3, 20.0)
        for _ in range(60):
            if session.finished:
                break
            self.show(0.1, **persons)
        return self.people.finish_session(session)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def room(tracker: FaceTracker, tmp_path: Path, warnings: list[str]) -> Room:
    return Room(*astronaut(tracker), tmp_path / "enrolled", warnings)


def test_nothing_is_learned_of_people_who_were_not_enrolled(room: Room) -> None:
    assert not room.people.busy
    assert room.show(3.0, face_1="anna", face_2="ben") == {"face_1": "", "face_2": ""}
    assert room.estimator.calls == 0
    assert not room.folder.exists()


def test_an_enrolled_person_is_known_after_a_restart_and_unknown_after_forgetting(
    room: Room,
) -> None:
    assert len(room.enrol("face_1", "anna", face_1="anna", face_2="ben").templates) == 3
    assert room.show(1.0, face_1="anna", face_2="ben") == {"face_1": "anna", "face_2": ""}
    room.start()
    assert room.people.busy
    assert room.show(1.0, face_8="ben", face_9="anna") == {"face_8": "", "face_9": "anna"}
    assert len(room.enrol("face_9", "anna", face_9="anna").templates) == 6
    assert room.people.forget("anna") == 1
    assert room.show(0.1, face_8="ben", face_9="anna") == {"face_8": "", "face_9": ""}
    assert not room.people.busy


def test_another_process_forgets(room: Room) -> None:
    room.enrol("face_1", "anna", face_1="anna")
    EnrolledStore(room.folder).forget_everybody()
    room.people.refresh()
    assert room.people.persons == ()


def test_a_forgotten_person_is_not_enrolled_by_a_session_that_runs(room: Room) -> None:
    session = room.people.begin_session("face_1", "anna", 3, 20.0)
    room.show(1.0, face_1="anna")
    room.people.forget("")
    room.show(6.0, face_1="anna")
    with pytest.raises(Exception, match="anna was forgotten meanwhile"):
        room.people.finish_session(session)
    assert [path.name for path in room.folder.iterdir()] == [".lock"]


def test_whom_another_process_forgets_is_not_enrolled_by_a_session_that_runs(room: Room) -> None:
    room.enrol("face_1", "anna", face_1="anna")
    session = room.people.begin_session("face_1", "anna", 3, 20.0)
    room.show(1.0, face_1="anna")
    EnrolledStore(room.folder).forget("anna")
    room.people.refresh()
    room.show(6.0, face_1="anna")
    with pytest.raises(EnrolmentRefused, match="anna was forgotten meanwhile"):
        room.people.finish_session(session)
    assert not room.people.store.files()


@pytest.mark.parametrize("everybody", [False, True])
@pytest.mark.parametrize("noticed", [False, True])
def test_forgetting_ends_a_first_enrolment_of_another_process(
    room: Room, everybody: bool, noticed: bool
) -> None:
    """The person has no file yet."""
    session = room.people.begin_session("face_1", "anna", 3, 20.0)
    other = room.people.begin_session("face_2", "ben", 3, 20.0)
    room.show(1.0, face_1="anna", face_2="ben")
    store = EnrolledStore(room.folder)
    assert (store.forget_everybody() if everybody else store.forget("anna")) == 1 + everybody
    if noticed:  # the node looks once a second
        room.people.refresh()
        assert session.finished
    room.show(6.0, face_1="anna", face_2="ben")
    with pytest.raises((EnrolmentRefused, InputError), match="anna was forgotten meanwhile"):
        room.people.finish_session(session)
    if everybody:
        with pytest.raises((EnrolmentRefused, InputError), match="ben was forgotten meanwhile"):
            room.people.finish_session(other)
    else:
        assert room.people.finish_session(other).person_id == "ben"
    assert len(store.files()) == 1 - everybody
    assert not list(room.folder.glob(".*.enrolling"))


def test_an_enrolment_that_ends_leaves_no_file(room: Room) -> None:
    room.people.end_session(room.people.begin_session("face_1", "anna", 3, 20.0))
    assert [path.name for path in room.folder.iterdir()] == [".lock"]
    room.people.begin_session("face_1", "anna", 3, 20.0)
    (mark,) = room.folder.glob(".*.enrolling")
    assert "anna" not in mark.name
    assert (mark.stat().st_size, mark.stat().st_mode & 0o077) == (0, 0)


def test_two_enrolments_of_one_face_or_name(room: Room) -> None:
    room.people.begin_session("face_1", "anna", 0, 0.0)
    for face_id, person_id in (("face_1", "ben"), ("face_2", "anna")):
        with pytest.raises(InputError, match="face_1 is being enrolled as anna: cancel that"):
            room.people.begin_session(face_id, person_id, 0, 0.0)


def test_templates_of_another_network_are_refused_by_name(room: Room, warnings: list[str]) -> None:
    looks = np.zeros((3, 128), np.float32)
    EnrolledStore(room.folder).put(EnrolledPerson("anna", "older-1", looks, 0.0))
    room.people.refresh()
    (warning,) = warnings
    assert "anna is not recognised: enrolled with older-1, but painted-1 is in use" in warning
    assert "enrol the person again" in warning
    assert room.people.persons == ()


def test_stamps_that_go_back_begin_again(room: Room) -> None:
    room.enrol("face_1", "anna", face_1="anna")
    room.show(1.0, face_1="anna")
    room.stamp = 0.0
    assert room.show(0.1, face_1="ben") == {"face_1": ""}
    assert room.show(1.0, face_1="anna") == {"face_1": "anna"}


def test_limits_are_stated_for_a_face_without_a_box() -> None:
    limits = LookLimits(size=40, turn=1, confidence=0, sharpness=0)
    face = Face("face_1", 1.0, Roi(0, 0, 0, 0), np.zeros((478, 3), np.float32), None)
    crop = FaceCrop("face_1", np.zeros((160, 160, 3), np.uint8), np.eye(2, 3))
    assert look_problem(limits, CAMERA, face, crop) == "too small"
