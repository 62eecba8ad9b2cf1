"""Tests what the overlay draws, what it leaves out, and that no input makes it fail."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from overlay_scene import CAMERA, FRONTAL, attention, everything, face, gaze

from face_perception import overlay
from face_perception.geometry import from_yaw_pitch
from face_perception.types import (
    ActionUnit,
    ActionUnits,
    Camera,
    Engagement,
    Expression,
    HeadPose,
    Roi,
    Target,
    ValenceArousal,
)

NAN3 = np.full(3, math.nan)


def blank(width: int = 640, height: int = 480) -> np.ndarray:
    return np.full((height, width, 3), 60, np.uint8)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour, np.uint8)).all(axis=2).sum())


GREEN, YELLOW, RED, PINK = (70, 220, 110), (255, 196, 40), (255, 70, 60), (255, 90, 200)
DOT, NEGATIVE = GREEN, (255, 110, 90)  # of valence


def test_the_given_image_is_not_changed() -> None:
    image = blank()
    image.setflags(write=False)
    picture = overlay.draw(image, CAMERA, [face()], **everything())
    assert picture.shape == image.shape
    assert (image == 60).all()
    assert (picture != image).any()


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (8, 6)])
def test_a_note_is_along_the_bottom(size: tuple[int, int]) -> None:
    picture = overlay.draw(blank(*size), CAMERA, [], note="random weights: for plumbing only")
    rows = (picture != 60).any(axis=(1, 2))
    assert rows[-1]
    assert (picture[-1] < 60).all(), "under the text"
    assert size[1] < 100 or (rows.sum() < 0.05 * size[1] and (picture > 200).any())


def test_without_faces_nothing_is_drawn() -> None:
    assert (overlay.draw(blank(), CAMERA, [], **everything("gone")) == 60).all()


def test_green_means_looking_at_the_robot() -> None:
    looking = overlay.draw(blank(), CAMERA, [face()], attention=[attention()])
    away = attention(looking_at_robot=False, engagement=Engagement.DISENGAGED)
    assert count(looking, GREEN) > 100
    assert count(overlay.draw(blank(), CAMERA, [face()], attention=[away]), GREEN) == 0


@pytest.mark.parametrize(("yaw", "side"), [(0.6, 1), (-0.6, -1)])
def test_gaze_points_to_its_side(yaw: float, side: int) -> None:
    plain = overlay.draw(blank(), CAMERA, [face()])
    looks = gaze(direction=from_yaw_pitch(yaw, 0.0))
    picture = overlay.draw(blank(), CAMERA, [face()], gazes=[looks])
    changed = np.nonzero((picture != plain).any(axis=2))[1]
    eyes = 320  # the column in the middle between the irises
    reach = (changed.max() - eyes) + (changed.min() - eyes)
    assert reach * side > 50


def test_a_held_gaze_is_gray() -> None:
    assert count(overlay.draw(blank(), CAMERA, [face()], gazes=[gaze()]), YELLOW) > 50
    assert count(overlay.draw(blank(), CAMERA, [face()], gazes=[gaze(valid=False)]), YELLOW) == 0


def test_a_line_leads_to_the_face_that_is_looked_at() -> None:
    faces = [face("a", 150), face("b", 480)]
    at = attention("a", target=Target.FACE, target_id="b", looking_at_robot=False)
    picture = overlay.draw(blank(), CAMERA, faces, attention=[at])
    assert count(picture[:, 250:400], PINK) > 30, "the line between them"
    gone = dataclasses.replace(at, target_id="c")
    assert count(overlay.draw(blank(), CAMERA, faces, attention=[gone]), PINK) == 0


def test_the_dial_shows_valence() -> None:
    def dot(valence: float) -> float:
        affect = ValenceArousal("face_1", "x", valence, 0.0)
        picture = overlay.draw(blank(), CAMERA, [face()], valence_arousal=[affect])
        without = overlay.draw(blank(), CAMERA, [face()], valence_arousal=[
            ValenceArousal("face_1", "x", 0.0, 0.0)])  # fmt: skip
        return float(np.nonzero((picture != without).any(axis=2))[1].mean())

    assert dot(0.9) > dot(-0.9) + 5


def test_each_source_has_a_dial_with_its_name() -> None:
    """The affect and motion_affect nodes may both estimate valence and arousal."""

    def panel(*affects: ValenceArousal) -> np.ndarray:
        return overlay.draw(blank(), CAMERA, [face()], valence_arousal=affects)

    derived = ValenceArousal("face_1", "derived", 0.7, 0.3)
    moving = ValenceArousal("face_1", "mimamo", -0.7, 0.3)
    one, two = panel(derived), panel(derived, moving)
    assert count(one, DOT) > 10
    assert count(one, NEGATIVE) == 0
    assert count(two, DOT) == count(one, DOT)
    assert count(two, NEGATIVE) > 10
    width = [np.ptp(np.nonzero((picture != 60).any((0, 2)))) for picture in (one, two)]
    assert width[1] > width[0] + 20
    named = panel(dataclasses.replace(derived, source="multitask"))
    assert (named != one).any(), "the source is written"
    without = panel(derived, dataclasses.replace(moving, valence=math.nan))
    np.testing.assert_array_equal(without, one)


def test_units_of_two_sources_have_two_lines() -> None:
    def panel(*sources: str) -> np.ndarray:
        units = [ActionUnits("face_1", s, {12: ActionUnit(0.8)}) for s in sources]
        return overlay.draw(blank(), CAMERA, [face()], action_units=units)

    one, two = panel("landmarks"), panel("landmarks", "multitask")
    rows = [np.nonzero((picture != 60).any((1, 2)))[0].max() for picture in (one, two)]
    assert rows[1] > rows[0] + 10


def test_units_with_a_probability_only() -> None:
    def panel(probability: float) -> np.ndarray:
        unit = ActionUnit(probability=probability, threshold=0.1)
        return overlay.draw(
            blank(), CAMERA, [face()], action_units=[ActionUnits("face_1", "multitask", {12: unit})]
        )

    assert (panel(0.3) != panel(0.09)).any(), "active above the unit's own threshold"
    np.testing.assert_array_equal(panel(0.09), panel(0.02))


def test_nan_results_are_left_out() -> None:
    nothing = dataclasses.replace(
        face(),
        landmarks=np.full((478, 3), np.nan, np.float32),
        pose=HeadPose(NAN3, FRONTAL * np.nan),
    )
    results = {
        "gazes": [gaze(origin=NAN3, direction=NAN3)],
        "action_units": [ActionUnits("face_1", "x", {12: ActionUnit()})],
        "expressions": [Expression("face_1", "x", np.full(7, np.nan))],
        "valence_arousal": [ValenceArousal("face_1", "x", math.nan, 0.1)],
        "attention": [
            attention(angle=math.nan, target=Target.UNKNOWN, engagement=Engagement.UNKNOWN)
        ],
    }
    picture = overlay.draw(blank(), CAMERA, [nothing], **results)
    assert (picture != 60).any(), "its name and corners are known"
    whole = overlay.draw(blank(), CAMERA, [face()], **results)
    assert count(whole, YELLOW) == 0


@pytest.mark.parametrize(
    "landmarks", [np.zeros((0, 3)), np.full((478, 3), 1e9), np.full((478, 3), -1e9)]
)
@pytest.mark.parametrize("roi", [Roi(0, 0, 0, 0), Roi(-500, -500, 5000, 5000), Roi(639, 479, 1, 1)])
def test_extreme_landmarks_do_not_fail(landmarks: np.ndarray, roi: Roi) -> None:
    extreme = dataclasses.replace(face(), landmarks=landmarks.astype(np.float32), roi=roi)
    assert overlay.draw(blank(), CAMERA, [extreme], **everything()).shape == (480, 640, 3)


@pytest.mark.parametrize("position", [[0, 0, 0], [0, 0, -1], [0, 0, 1e-9], [1e6, 0, 1e-3]])
def test_extreme_depths_do_not_fail(position: list[float]) -> None:
    at = np.array(position, np.float64)
    extreme = dataclasses.replace(face(), pose=HeadPose(at, FRONTAL))
    picture = overlay.draw(blank(), CAMERA, [extreme], gazes=[gaze(origin=at)])
    assert picture.shape == (480, 640, 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 200), (200, 3), (7680, 4320)])
def test_any_image_size(width: int, height: int) -> None:
    camera = Camera.assume(width, height)
    where = face(x=width / 2, y=height / 2, size=max(min(width, height) / 2, 1))
    picture = overlay.draw(blank(width, height), camera, [where], **everything())
    assert picture.shape == (height, width, 3)


def test_larger_images_get_thicker_lines() -> None:
    def red(scale: int) -> int:
        camera = Camera.assume(640 * scale, 480 * scale)
        turned = HeadPose(np.array([0.0, 0.0, 0.6]), np.roll(FRONTAL, 1, axis=1))
        someone = dataclasses.replace(
            face(x=320 * scale, y=240 * scale, size=100 * scale), pose=turned
        )
        return count(overlay.draw(blank(640 * scale, 480 * scale), camera, [someone]), RED)

    assert red(3) > 5 * red(1) > 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((48, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
    ],
)
def test_other_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="RGB uint8"):
        overlay.draw(image, CAMERA, [])
