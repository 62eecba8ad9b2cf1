"""The light of quick pictures: a whole surrounding, its sides, what is hidden, and lids."""

from __future__ import annotations

import numpy as np
import pytest

from face_perception.learning.synthesis.rendered.soft_light import (
    SoftLight,
    harmonics,
    seen_harmonics,
    shade_of_lids,
)
from face_perception.learning.synthesis.rendered.surroundings import directions

UPRIGHT = np.eye(3)
UP, DOWN, AHEAD = np.eye(3)[1], -np.eye(3)[1], np.eye(3)[2]


def evenly(count: int) -> np.ndarray:
    """Returns the unit vectors [count, 3] all around."""
    k = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * k / count), 2.4 * k
    return np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1
    )


def bright_above() -> np.ndarray:
    return np.where(directions(64, 128)[..., 1:2] > 0, 2.0, 0.0).repeat(3, 2).astype(np.float32)


def test_the_harmonics_are_orthonormal() -> None:
    values = harmonics(evenly(4000))
    assert values.T @ values * 4 * np.pi / 4000 == pytest.approx(np.eye(9), abs=0.01)


def test_a_white_surface_in_even_light_is_as_bright_as_the_light() -> None:
    light = SoftLight.of(np.ones((64, 128, 3), np.float32), UPRIGHT, None)
    assert light.reflected(evenly(50)) == pytest.approx(1.0, abs=0.01)


def test_light_comes_from_where_it_is_and_turns_with_the_head() -> None:
    """Half of the surroundings shine: a surface that faces them gets all of it, one aside half."""
    light = SoftLight.of(bright_above(), UPRIGHT, None)
    up, down, ahead = light.reflected(np.array([UP, DOWN, AHEAD]))[:, 0]
    assert up == pytest.approx(2.0, abs=0.15)
    assert down == pytest.approx(0.0, abs=0.15)
    assert ahead == pytest.approx(1.0, abs=0.05)
    # The crown of a head that lies on its side points to the side: what is up is its left ear.
    on_its_side = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = SoftLight.of(bright_above(), on_its_side, None)
    crown, above = turned.reflected(np.array([UP, on_its_side.T @ UP]))[:, 0]
    assert crown == pytest.approx(1.0, abs=0.05)
    assert above == pytest.approx(2.0, abs=0.15)


def test_a_key_light_brightens_the_side_that_faces_it() -> None:
    even = np.ones((64, 128, 3), np.float32)
    light = SoftLight.of(even, UPRIGHT, (AHEAD, 1.0))
    ahead, behind = light.reflected(np.array([AHEAD, -AHEAD]))[:, 0]
    assert ahead == pytest.approx(2.0, abs=0.2)
    assert behind == pytest.approx(1.0, abs=0.2)


def test_a_plate_hides_the_light_above_it() -> None:
    side = np.arange(-0.05, 0.05, 0.002)
    x, z = (part.ravel() for part in np.meshgrid(side, side))
    floor = np.stack([x, np.zeros(len(x)), z], axis=1)
    plate = floor + [0.0, 0.02, 0.0]
    normals = np.tile(UP, (2 * len(x), 1))
    seen = seen_harmonics(np.concatenate([floor, plate]), normals)
    light = SoftLight.of(np.ones((64, 128, 3), np.float32), UPRIGHT, None)
    shown = light.reflected(normals, seen)[:, 0]
    middle = np.argmin(np.hypot(x, z))
    assert shown[middle] < 0.3
    assert shown[len(x) + middle] == pytest.approx(1.0, abs=0.05)


def test_a_wet_eye_shows_the_lamp_in_the_mirror_direction_only() -> None:
    dark = np.full((64, 128, 3), 0.01, np.float32)
    light = SoftLight.of(dark, UPRIGHT, (AHEAD, 1.0))
    camera = np.array([0.0, 0.0, 0.5])
    points = np.zeros((2, 3))
    normals = np.array([AHEAD, [np.sin(0.3), 0.0, np.cos(0.3)]])
    towards, aside = light.mirrored(points, normals, camera)[:, 0]
    assert towards > 20 * aside


def test_lids_shade_what_is_next_to_them_the_upper_one_more() -> None:
    x = np.linspace(-0.012, 0.012, 20)
    upper = np.stack([x, np.full(20, 0.005), np.zeros(20)], axis=1)
    lower = np.stack([x, np.full(20, -0.005), np.zeros(20)], axis=1)
    points = np.array([[0.0, y, 0.0] for y in (0.0048, 0.0, -0.0048)])
    top, middle, bottom = shade_of_lids(points, upper, lower)
    assert top < bottom < middle < 1
