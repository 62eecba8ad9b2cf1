"""What REP-155 publishes about faces and people, against the definitions in its text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from face_perception import geometry, hri
from face_perception.faces import crop_face
from face_perception.types import (
    ActionUnit,
    ActionUnits,
    Attention,
    Camera,
    Engagement,
    Expression,
    Eyes,
    Face,
    FaceCrop,
    FloatArray,
    Frame,
    Gaze,
    HeadPose,
    Roi,
    Target,
    ValenceArousal,
)

CAMERA = Camera.assume(640, 480)
# The head faces the camera: x out of the face is -z of the camera, y is the person's left.
FACING = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
AT = np.array([0.1, -0.2, 1.5])


def rotation(yaw: float, pitch: float, roll: float) -> FloatArray:
    half = np.array([math.sin(pitch / 2), math.sin(yaw / 2), math.sin(roll / 2)])
    return geometry.rotation_matrix(*half, 1.0)


def face(pose: HeadPose | None = None, **changes: Any) -> Face:
    values: dict[str, Any] = {
        "confidence": 0.8,
        "roi": Roi(64, 48, 128, 96),
        "landmarks": np.zeros((478, 3), np.float32),
    }
    return Face("face_1", pose=pose, **{**values, **changes})


def gaze(direction: FloatArray, valid: bool = True, eyes: Eyes = Eyes.OPEN) -> Gaze:
    return Gaze("face_1", AT, direction, 0.9, valid, "geometric", eyes=eyes)


# Frames


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.5, -0.3, 0.2), (-1.2, 0.8, -2.0)])
@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.4, -0.2), (-1.0, 0.6)])
def test_z_of_the_gaze_frame_is_the_gaze(
    angles: tuple[float, float, float], yaw: float, pitch: float
) -> None:
    pose = HeadPose(AT, rotation(*angles) @ FACING)
    direction = geometry.from_yaw_pitch(yaw, pitch)
    head, eyes = hri.face_frames(face(pose), gaze(direction))
    assert (head.name, eyes.name) == ("face_face_1", "gaze_face_1")
    assert eyes.position is head.position, "the origins are the same"
    assert geometry.angle_between(eyes.rotation[:, 2], direction) < 1e-9
    assert np.allclose(eyes.rotation.T @ eyes.rotation, np.eye(3))
    assert np.linalg.det(eyes.rotation) == pytest.approx(1)
    assert eyes.rotation[:, 1] @ head.rotation[:, 2] <= 0, "y points down in the head"


def test_the_frames_of_a_head_that_looks_straight_ahead() -> None:
    head, eyes, person = hri.face_frames(face(HeadPose(AT, FACING)), None, "left_", "anna")
    assert (head.name, person.name) == ("left_face_face_1", "left_person_anna")
    x, y, z = head.rotation.T
    # The optical convention seen from the person: x right, y down, z forward.
    assert np.allclose(eyes.rotation.T, [-y, -z, x])
    assert np.array_equal(person.rotation, head.rotation)


@pytest.mark.parametrize(
    ("seen", "follows"),
    [
        (gaze(np.array([0, -0.6, -0.8])), True),
        (gaze(np.array([0, -0.6, -0.8]), False, Eyes.BLINK), True),
        (gaze(np.array([0, -0.6, -0.8]), False, Eyes.CLOSED), False),
        (gaze(np.array([0, -0.6, -0.8]), False, Eyes.UNKNOWN), False),
        (gaze(np.full(3, np.nan)), False),
        (gaze(np.zeros(3)), False),
        (None, False),
    ],
)
def test_an_unknown_gaze_is_the_direction_of_the_head(seen: Gaze | None, follows: bool) -> None:
    _, eyes = hri.face_frames(face(HeadPose(AT, FACING)), seen)
    assert np.allclose(eyes.rotation[:, 2], [0, -0.6, -0.8] if follows else [0, 0, -1])


def test_a_gaze_along_the_axis_of_the_head_has_a_frame() -> None:
    up = hri.gaze_rotation(FACING[:, 2], FACING)
    assert np.isfinite(up).all()
    assert np.allclose(up.T @ up, np.eye(3))


@pytest.mark.parametrize(
    "pose", [None, HeadPose(np.full(3, np.nan), FACING), HeadPose(AT, np.full((3, 3), np.nan))]
)
def test_no_frame_without_a_head_pose(pose: HeadPose | None) -> None:
    assert hri.face_frames(face(pose), gaze(np.array([0, 0, -1.0]))) == []


# Values


def test_the_box_and_the_landmarks_are_normalized() -> None:
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[hri.LANDMARKS_70[30]] = 319.5, 239.5, 5  # the tip of the nose, in the middle
    landmarks[hri.LANDMARKS_70[0]] = -40, 100, 0  # the right ear, outside the image
    seen = face(landmarks=landmarks)
    assert hri.normalized_roi(seen, CAMERA) == (0.1, 0.1, 0.3, 0.3)
    points = hri.landmarks_70(seen, CAMERA)
    assert points is not None
    assert points.shape == (70, 3)
    assert points[30] == pytest.approx([0.5, 0.5, 0.8])
    assert points[0] == pytest.approx([0, 100.5 / 480, 0.0])
    assert hri.landmarks_70(face(landmarks=np.full((478, 3), np.nan)), CAMERA) is None


# Codes of hri_msgs/FacialLandmarks, and where the point is on an upright face: the first of each
# pair is to the right of the person, and above.
SIDEWAYS = [(0, 16), (17, 26), (36, 45), (39, 42), (31, 35), (48, 54), (60, 64), (68, 69), (20, 23)]
UPWARDS = [(19, 37), (37, 41), (38, 40), (43, 47), (44, 46), (27, 30), (27, 33), (33, 51)]
UPWARDS += [(51, 62), (66, 57), (57, 8)]


def test_the_landmarks_are_those_of_the_standard(
    photo_faces: dict[str, tuple[Frame, Face]],
) -> None:
    for frame, found in photo_faces.values():
        points = hri.landmarks_70(found, frame.camera)
        assert points is not None
        for right, left in SIDEWAYS:
            assert points[right, 0] < points[left, 0], "the person's right is left in the image"
        for upper, lower in UPWARDS:
            assert points[upper, 1] < points[lower, 1]
        for pupil, corners in ((68, (36, 39)), (69, (42, 45))):
            low, high = sorted(points[list(corners), 0])
            assert low < points[pupil, 0] < high


def test_action_units_are_by_code() -> None:
    landmarks = {12: ActionUnit(0.7, confidence=0.6), 4: ActionUnit(0.9, confidence=0.0)}
    network = {12: ActionUnit(probability=0.2, confidence=0.3), 15: ActionUnit(math.nan, 0.4, 0.5)}
    intensity, confidence = hri.facs(
        [ActionUnits("face_1", "landmarks", landmarks), ActionUnits("face_1", "net", network)]
    )
    assert intensity.shape == confidence.shape == (99,)
    assert (intensity[12], confidence[12]) == (0.7, 0.6), "the more confident one"
    assert (intensity[15], confidence[15]) == (0.4, 0.5), "the probability, without an intensity"
    assert (intensity[4], confidence[4]) == (0, 0)
    assert np.count_nonzero(confidence) == 2


def test_expressions() -> None:
    happy = Expression("face_1", "net", np.eye(7)[4], 0.9)
    unknown = Expression("face_1", "net", np.full(7, np.nan))
    affect = ValenceArousal("face_1", "derived", 0.6, -0.2, 0.4)
    assert hri.seen_expression(happy, affect) == hri.SeenExpression("happy", 0.6, -0.2, 0.9)
    alone = hri.seen_expression(happy)
    assert (alone.category, math.isnan(alone.valence)) == ("happy", True)
    assert hri.seen_expression(unknown, affect) == hri.SeenExpression("", 0.6, -0.2, 0.4)
    assert hri.seen_expression(unknown).confidence == 0, "a message needs a number"


# Pictures


def test_the_cropped_picture_is_the_box_of_the_image(
    photo_faces: dict[str, tuple[Frame, Face]],
) -> None:
    _, found = photo_faces["astronaut"]
    roi = found.roi
    # Each pixel tells its place: red is 1 + x / 4, green is 1 + y / 4.
    place = np.zeros((512, 512, 3), np.float32)
    place[..., 0], place[..., 1] = np.arange(512) / 4 + 1, (np.arange(512) / 4 + 1)[:, None]
    picture = hri.cropped_picture(crop_face(place.round().astype(np.uint8), found), roi, 128, 128)
    assert picture.shape == (128, 128, 3)
    scale = 128 / max(roi.width, roi.height)
    for x, y in ((0.5, 0.5), (0.2, 0.4), (0.7, 0.8)):
        row = round(64 + (y - 0.5) * roi.height * scale)
        column = round(64 + (x - 0.5) * roi.width * scale)
        red, green, _ = picture[row, column].tolist()
        assert (red - 1) * 4 == pytest.approx(roi.x + x * roi.width, abs=4)
        assert (green - 1) * 4 == pytest.approx(roi.y + y * roi.height, abs=4)
    # The box is not square: the rest is black, as much on both sides.
    columns = np.flatnonzero(picture.any(axis=(0, 2)))
    assert abs(columns[0] - (127 - columns[-1])) <= 1
    assert columns.size == pytest.approx(roi.width * scale, abs=2)


def test_a_crop_covers_the_box_of_its_face(photo_faces: dict[str, tuple[Frame, Face]]) -> None:
    for frame, found in photo_faces.values():
        white = FaceCrop(
            "", np.full((160, 160, 3), 255, np.uint8), crop_face(frame.image, found).transform
        )
        picture = hri.cropped_picture(white, found.roi, 128, 128)
        box = picture[:, picture.any(axis=(0, 2))]
        assert (box == 255).mean() > 0.97


def test_the_aligned_picture_is_the_whole_crop() -> None:
    pixels = np.zeros((160, 160, 3), np.uint8)
    pixels[:80] = 200
    picture = hri.aligned_picture(FaceCrop("face_1", pixels, np.eye(2, 3)), 128, 64)
    assert picture.shape == (64, 128, 3)
    assert not picture[:, :32].any()
    assert not picture[:, 96:].any()
    assert (picture[:31, 33:95] == 200).all()
    assert not picture[33:].any()


# People


def attending(face_id: str, target: Target, target_id: str = "", **changes: Any) -> Attention:
    values: dict[str, Any] = {
        "source": "geometric",
        "looking_at_robot": target == Target.ROBOT,
        "angle": 0.0,
        "distance": 1.0,
        "target_since": 0.0,
        "engagement": Engagement.ENGAGED,
        "engagement_since": 0.0,
    }
    return Attention(face_id, target=target, target_id=target_id, **{**values, **changes})


def test_gazing_is_between_persons_and_the_robot() -> None:
    seen = [
        attending("face_1", Target.FACE, "face_2", person_id="anna"),
        attending("face_2", Target.FACE, "face_1"),
        attending("face_3", Target.ROBOT),
        attending("face_4", Target.NONE),
        attending("face_5", Target.ROBOT, source="head_pose", looking_at_robot=False),
        attending("face_6", Target.FACE, "face_1", source="head_pose"),
        attending("face_7", Target.FACE, "face_9"),  # who has left
    ]
    assert hri.gazing(seen) == [
        ("anna", "anonymous_face_2"),
        ("anonymous_face_2", "anna"),
        ("anonymous_face_3", hri.ROBOT),
    ]


def test_persons() -> None:
    seen = [
        attending("face_1", Target.ROBOT, person_id="anna"),
        attending("face_2", Target.ROBOT, engagement=Engagement.ENGAGING),
        attending("face_3", Target.ROBOT, person_id="anna"),
    ]
    assert hri.persons_of(seen) == [
        hri.Person("anna", "face_1", False, Engagement.ENGAGED),
        hri.Person("anonymous_face_2", "face_2", True, Engagement.ENGAGING),
    ]


def test_a_link_outlives_an_image_without_the_face() -> None:
    links = hri.PersonLinks()

    def see(stamp: float, **persons: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
        """Returns the ended and the present links after an image of these faces."""
        seen = [
            attending(face_id, Target.ROBOT, person_id=person)
            for face_id, person in persons.items()
        ]
        return links.update(stamp, seen), links.persons

    anna, bert = {"face_1": "anna"}, {"face_1": "bert"}
    assert see(10.0, face_1="anna", face_2="") == ([], anna)
    assert see(10.4) == ([], anna)
    assert see(10.8, face_2="") == ([("face_1", "anna")], {}), "its id has left"
    assert see(10.9, face_1="anna") == ([], anna)
    assert see(11.0, face_1="") == ([("face_1", "anna")], {}), "it is seen without a link"
    assert see(11.1, face_1="anna") == ([], anna)
    assert see(11.2, face_1="bert") == ([("face_1", "anna")], bert)
    assert see(3.0) == ([("face_1", "bert")], {}), "a bag that loops"


def test_a_missing_face_keeps_the_confidence_of_its_link() -> None:
    """A face that is missing in one image is not suddenly certain."""
    links = hri.PersonLinks()
    unknown = face()
    known = face(person_id="anna", person_confidence=0.75)
    linked = [attending("face_1", Target.ROBOT, person_id="anna")]

    def image(stamp: float, faces: list[Face], looks: list[Attention]) -> float:
        links.note_recognised(faces)
        links.update(stamp, looks)
        return links.confidence("face_1", "anna")

    assert image(1.0, [known], linked) == 0.75
    links.note_recognised([])  # of an image whose attention has not come
    assert image(1.4, [], []) == 0.75
    assert image(1.45, [unknown], linked) == 0.75
    image(1.5, [unknown], [attending("face_1", Target.ROBOT)])  # the link ends
    assert image(1.6, [], linked) == 1.0  # somebody has made it again
