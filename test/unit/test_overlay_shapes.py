"""What viewers draw: lines and labels in the image, rays and points in the optical frame."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from face_perception import overlay
from face_perception.faces import SELLION, project_points
from face_perception.overlay.primitives import AT_ROBOT, GRAY
from face_perception.types import Attention, Engagement, Eyes, Gaze, Target


@pytest.fixture
def seen(photo_faces: dict[str, Any]) -> tuple[Any, Any]:
    """The camera and the face of a photograph."""
    frame, face = photo_faces["astronaut"]
    return frame.camera, face


def gaze(face: Any, direction: Any, **more: Any) -> Gaze:
    known = {"confidence": 0.9, "valid": True, "source": "geometric", "eyes": Eyes.OPEN, **more}
    origin = face.pose.position + np.array([0.0, 0.01, 0.0])
    return Gaze(face_id=face.face_id, origin=origin, direction=np.array(direction), **known)


def look(face_id: str, target: Target, target_id: str = "", at_robot: bool = False) -> Attention:
    found = Attention(
        *(face_id, "geometric", at_robot, 0.1, 1.0, target, target_id, 0.0, Engagement.ENGAGED, 0.0)
    )
    return dataclasses.replace(found, person_id="anna")


def test_annotations_outline_the_face(seen: tuple[Any, Any]) -> None:
    camera, face = seen
    lines, labels = overlay.annotation_shapes(
        camera,
        [face],
        [gaze(face, [0.6, 0.0, -0.8])],
        [look(face.face_id, Target.ROBOT, at_robot=True)],
    )
    box = lines[0]
    assert box.closed
    assert box.colour == AT_ROBOT
    left, top = box.points[0] + 0.5
    assert (left, top) == (face.roi.x, face.roi.y)
    assert np.ptp(box.points, axis=0).tolist() == [face.roi.width, face.roi.height]
    assert [label.text for label in labels] == ["anna, engaged"]
    # All of the mesh is near the box, and both gazes go to the right of the image.
    for line in lines[1:-2]:
        assert (line.points > box.points[0] - 60).all()
        assert (line.points < box.points[2] + 60).all()
    for line in lines[-2:]:
        assert line.points[1, 0] > line.points[0, 0] + 5
        assert abs(line.points[1, 1] - line.points[0, 1]) < 0.5 * np.ptp(line.points[:, 0])


def test_what_is_not_known_is_not_drawn(seen: tuple[Any, Any]) -> None:
    camera, face = seen
    closed = gaze(face, [0.0, 0.0, -1.0], valid=False, eyes=Eyes.CLOSED)
    with_gaze, _ = overlay.annotation_shapes(camera, [face], [closed])
    without, _ = overlay.annotation_shapes(camera, [face])
    assert len(with_gaze) == len(without)
    bare = dataclasses.replace(face, landmarks=np.zeros((0, 3), np.float32), pose=None)
    lines, labels = overlay.annotation_shapes(camera, [bare])
    assert (len(lines), [label.text for label in labels]) == (1, [face.face_id])
    assert lines[0].colour == GRAY
    assert overlay.rays([face], [closed]) == []
    assert overlay.rays([bare], [gaze(face, [0.0, 0.0, -1.0])]) == []
    assert overlay.landmark_points(camera, [bare]).shape == (0, 4)
    # The eyes blink before any gaze was seen.
    blink = gaze(face, [np.nan] * 3, valid=False, eyes=Eyes.BLINK)
    assert overlay.rays([face], [blink]) == []
    nowhere = dataclasses.replace(face.pose, position=np.array([0.0, 0.0, np.nan]))
    lost = dataclasses.replace(face, pose=nowhere)
    assert overlay.landmark_points(camera, [lost]).shape == (0, 4)


def test_a_ray_ends_at_the_face_that_is_looked_at(seen: tuple[Any, Any]) -> None:
    _, face = seen
    assert face.pose is not None
    place = face.pose.position + np.array([0.5, 0.0, 0.0])
    other = dataclasses.replace(
        face, face_id="face_2", pose=dataclasses.replace(face.pose, position=place)
    )
    looks = [gaze(face, [0.0, 0.0, -1.0]), gaze(other, [0.0, 0.0, -1.0])]
    rays = overlay.rays([face, other], looks, [look(face.face_id, Target.FACE, "face_2")])
    assert rays[0].end == pytest.approx(place)
    assert rays[1].end == pytest.approx(rays[1].start - np.array([0.0, 0.0, 1.0]))
    assert rays[1].colour == GRAY


def test_points_lie_on_the_rays_of_their_pixels(seen: tuple[Any, Any]) -> None:
    camera, face = seen
    assert face.pose is not None
    points = overlay.landmark_points(camera, [face, face])
    assert points.shape == (2 * 478, 4)
    assert points[:478, 3].tolist() == [0.0] * 478
    assert points[478:, 3].tolist() == [1.0] * 478
    pixels = project_points(camera, points[:478, :3])
    assert pixels == pytest.approx(face.landmarks[:, :2], abs=0.01)
    assert points[SELLION, 2] == pytest.approx(face.pose.position[2])
    assert np.ptp(points[:478, 2]) < 0.3, "a head is not deeper"
