"""Tests that only the named person's face gets the person's calibration and neutral face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from gaze_scene import CAMERA, Actor

from face_perception.affect import CropAffect, LandmarkActionUnits, derive_valence_arousal
from face_perception.affect.neutral import POPULATION
from face_perception.attention import AttentionTracker
from face_perception.gaze import GeometricGaze
from face_perception.people import CalibrationStore, PersonRegistry
from face_perception.pipeline import Perception
from face_perception.results import FrameResult
from face_perception.types import Expression, Face, FaceCrop, Frame, Neutral


class _Script:
    """Replaces tracker and expression network; the test gives the faces of each image."""

    faces: Sequence[Face] = ()

    def track(self, frame: Frame) -> list[Face]:
        return list(self.faces)

    def estimate(
        self, stamp: float, crops: Sequence[FaceCrop], mouths: Sequence[float]
    ) -> list[CropAffect]:
        found = [Expression(crop.face_id, "none", np.full(7, 1 / 7)) for crop in crops]
        return [CropAffect(one, derive_valence_arousal(one), None) for one in found]


class _Stream:
    def __init__(self, people: CalibrationStore) -> None:
        self._script = cast(Any, _Script())
        estimator = GeometricGaze()
        self._perception = Perception(
            self._script,
            estimator,
            LandmarkActionUnits(),
            self._script,
            AttentionTracker(),
            people=PersonRegistry(people, {estimator.name: estimator.revision}),
            person="ada",
            neutral=POPULATION,
        )
        self._stamp = 0.0

    def show(self, seconds: float, *ids: str) -> FrameResult:
        """Returns the result of the last image of some seconds that show these faces."""
        image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        for _ in range(round(seconds * 10)):
            self._stamp += 0.1
            self._script.faces = [Actor(name).face(self._stamp) for name in ids]
            result = self._perception.process(Frame(image, self._stamp, CAMERA))
        return result

    def named(self, seconds: float, *ids: str) -> dict[str, tuple[str, bool]]:
        """Returns the person, and whether the neutral face was set, by face id."""
        result = self.show(seconds, *ids)
        found = {gaze.face_id: gaze.person_id for gaze in result.gazes}
        return {
            units.face_id: (found[units.face_id], units.neutral == Neutral.SET)
            for units in result.action_units
        }


@pytest.fixture
def stream(tmp_path: Any) -> _Stream:
    return _Stream(CalibrationStore(tmp_path))


ADA, NOBODY = ("ada", True), ("", False)


def test_a_face_in_the_place_of_the_person_is_not_linked(stream: _Stream) -> None:
    """At a cut the tracker ends one track and begins another."""
    assert stream.named(1.0, "face_1") == {"face_1": ADA}
    assert stream.named(0.5, "face_2") == {"face_2": NOBODY}
    assert stream.named(5.0, "face_2") == {"face_2": NOBODY}


def test_a_face_that_stays_when_the_person_leaves_is_not_linked(stream: _Stream) -> None:
    assert stream.named(1.0, "face_1", "face_2") == {"face_1": ADA, "face_2": NOBODY}
    assert stream.named(0.1, "face_2") == {"face_2": NOBODY}
    assert stream.named(5.0, "face_2") == {"face_2": NOBODY}


def test_a_person_whose_track_continues_stays_linked(stream: _Stream) -> None:
    """The tracker keeps the id of a face that was hidden for a second."""
    assert stream.named(1.0, "face_1", "face_2") == {"face_1": ADA, "face_2": NOBODY}
    stream.show(1.2, "face_2")
    assert stream.named(1.0, "face_1", "face_2") == {"face_1": ADA, "face_2": NOBODY}
    stream.show(1.2)
    assert stream.named(1.0, "face_1") == {"face_1": ADA}
