"""The appearance of faces waits for the faces of a stamp near it."""

from __future__ import annotations

import numpy as np
import pytest

from face_perception.affect import load_appearance
from face_perception.nodes.affect.latest_appearance import LatestAppearance
from face_perception.types import FaceCrop


@pytest.fixture
def crop() -> FaceCrop:
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3)).astype(np.uint8)
    return FaceCrop("ada", image, np.eye(2, 3))


def test_it_is_given_for_stamps_near_its_own(crop: FaceCrop) -> None:
    network = load_appearance()
    latest = LatestAppearance(network)
    assert latest.at(0.1) == {}
    latest.see(10.0, [crop])
    (wanted,) = network.estimate([crop])
    for stamp in (9.8, 10.0, 10.4):
        assert {name: look.appearance for name, look in latest.at(stamp).items()} == {"ada": wanted}
    for stamp in (9.0, 10.6, 1000.0):
        assert latest.at(stamp) == {}, "another time, as of a bag that starts again"


def test_a_face_that_has_left_is_forgotten(crop: FaceCrop) -> None:
    latest = LatestAppearance(load_appearance())
    latest.see(10.0, [crop])
    latest.see(10.1, [])
    assert latest.at(10.1) == {}
