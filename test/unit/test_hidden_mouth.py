"""Tests that a hidden mouth is noticed, and that nothing is then read from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from face_perception.affect import (
    ExpressionNet,
    ExpressionSmoother,
    LandmarkActionUnits,
    load_appearance,
)
from face_perception.errors import InputError
from face_perception.faces import crop_face, load_tracker, mouth_visibility
from face_perception.inference import load, sample_photo
from face_perception.media import read_picture
from face_perception.nodes.affect.latest_appearance import LatestAppearance
from face_perception.pipeline import Perception
from face_perception.types import Camera, Face, FaceCrop, Frame, Neutral

OF_MOUTH = {12, 15, 20, 25, 26}


@pytest.fixture(scope="module")
def photo() -> tuple[Any, Face]:
    image = read_picture(sample_photo("astronaut"))
    (face,) = load_tracker().detect(Frame(image, 0.0, Camera.assume(512, 512)))
    return image, face


def masked(crop: np.ndarray) -> None:
    shape = [(40, 72), (80, 66), (120, 72), (112, 118), (80, 136), (48, 118)]
    cv2.fillConvexPoly(crop, np.array(shape), (120, 165, 200))


def scarf(crop: np.ndarray) -> None:
    crop[80:] = (90 + 50 * (np.arange(80) // 6 % 2))[:, None, None]


def fingers(crop: np.ndarray) -> None:
    crop[84:, 40:120] = (150 + 40 * np.sin(np.arange(80) / 3))[None, :, None]


def outside(crop: np.ndarray) -> None:
    crop[100:] = 0


def half_outside(crop: np.ndarray) -> None:
    crop[:, 80:] = 0


def sunglasses(crop: np.ndarray) -> None:
    for column in (57, 102):
        cv2.ellipse(crop, (column, 53), (15, 10), 0, 0, 360, (20, 20, 22), -1)


def dark(crop: np.ndarray) -> None:
    crop[:] = crop // 4 + 1


def blurred(crop: np.ndarray) -> None:
    crop[:] = cv2.GaussianBlur(crop, (0, 0), 3)


@pytest.mark.parametrize("cover", [masked, scarf, fingers, outside, half_outside])
def test_what_hides_the_mouth_is_noticed(
    cover: Callable[[np.ndarray], None], photo: tuple[Any, Face]
) -> None:
    crop = crop_face(*photo)
    cover(crop.image)
    assert mouth_visibility(crop) < 0.2


@pytest.mark.parametrize("change", [sunglasses, dark, blurred])
def test_what_does_not_hide_the_mouth(
    change: Callable[[np.ndarray], None], photo: tuple[Any, Face]
) -> None:
    crop = crop_face(*photo)
    change(crop.image)
    assert mouth_visibility(crop) > 0.7


def test_expressions_of_a_masked_face_have_no_confidence(photo: tuple[Any, Face]) -> None:
    network, smooth = ExpressionNet(load("expression")), ExpressionSmoother(0.5)
    open_crop, hidden = crop_face(*photo), crop_face(*photo)
    masked(hidden.image)
    seen = []
    for number, crop in enumerate([open_crop, open_crop, hidden, open_crop]):
        ((expression, affect),) = network.estimate_affect([crop])
        seen.append([expression.confidence, affect.confidence])
        smoothed = smooth.update_affect(expression, affect, number / 30)
        seen[-1] += [one.confidence for one in smoothed]
    assert np.min([seen[0], seen[1], seen[3]]) > 0.4
    assert np.max(seen[2]) == 0


def test_units_of_a_hidden_mouth_are_left_out(photo: tuple[Any, Face]) -> None:
    """They are not learned as neutral either; those of brows and lids are."""
    _, face = photo
    units = LandmarkActionUnits(learn_time=1.0)
    for number in range(60):
        found = units.estimate(face, number / 20, mouth_seen=False)
        assert not OF_MOUTH & set(found.units)
    assert found.neutral == Neutral.LEARNED
    assert {1, 2, 4} <= set(found.units)
    assert math.isfinite(found.units[1].intensity)
    with pytest.raises(InputError, match="the mouth is hidden"):
        units.set_neutral(face.face_id)
    found = units.estimate(face, 3.0)
    assert found.units[12].intensity > 0.8, "relative to the neutral face of the population"
    assert {12, 25} <= set(found.units)


def test_pipeline_and_node_leave_them_out(photo: tuple[Any, Face]) -> None:
    image, face = photo
    crop = crop_face(image, face)
    masked(crop.image)
    covered = cv2.warpAffine(
        crop.image,
        crop.transform,
        (512, 512),
        image.copy(),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    perception = Perception.load()
    for number, hidden in enumerate([False, False, True, False]):
        picture = covered if hidden else image
        result = perception.process(Frame(picture, number / 30, Camera.assume(512, 512)))
        assert (not OF_MOUTH & set(result.action_units[0].units)) == hidden
        assert (result.expressions[0].confidence < 0.05) == hidden
        assert (result.valence_arousal[0].confidence < 0.05) == hidden
    latest = LatestAppearance(load_appearance())
    latest.see(1.0, [crop, FaceCrop("open", crop_face(image, face).image, crop.transform)])
    assert [latest.at(1.0)[name].mouth_seen for name in (face.face_id, "open")] == [False, True]
