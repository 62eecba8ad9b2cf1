"""Tests how a direction of the sound is judged, also if it is odd."""

import math

import pytest
from lips_scene import face_with_lips

from face_perception.attention.sound_direction import SoundDirection
from face_perception.errors import InputError

SIGMA = 0.2
FACE = face_with_lips("a", 0.1, x=-0.3)  # 0.29 rad to the left


@pytest.mark.parametrize(
    ("angle", "age", "wanted"),
    [
        (0.29, 0.1, "for"),
        (0.29 - 2 * math.pi, 0.1, "for"),
        (0.29, 0.6, "none"),  # stale
        (0.29, -0.6, "none"),  # of a clock in the future
        (-0.9, 0.1, "against"),
        (0.29 + math.pi, 0.1, "against"),  # behind the camera
        (math.nan, 0.1, "none"),
        (math.inf, 0.1, "none"),
    ],
)
def test_the_evidence_of_a_direction(angle: float, age: float, wanted: str) -> None:
    direction = SoundDirection()
    direction.hear(10 - 0.01, 0.29)
    direction.hear(10, angle)
    found = direction.evidence(10 + age, FACE, SIGMA)
    assert {"for": 2 < found < 3, "against": found < -2, "none": found == 0}[wanted]


def test_degrees_are_refused_and_those_that_look_like_radians_too() -> None:
    direction = SoundDirection()
    with pytest.raises(InputError, match=r"17 *, which is not in radians"):
        direction.hear(10.0, 17.0)
    direction.hear(10.1, 0.29)
    assert direction.evidence(10.1, FACE, SIGMA) == 0
    direction.hear(75.0, 0.29)
    assert direction.evidence(75.0, FACE, SIGMA) > 2


@pytest.mark.parametrize(
    ("turned", "off"), [(0.0, False), (0.2, False), (math.pi, True), (-1.57, True)]
)
def test_an_array_that_is_turned_against_the_camera(turned: float, off: bool) -> None:
    direction = SoundDirection()
    for k in range(150):
        stamp = k / 25
        direction.hear(stamp, 0.29 + turned + 0.1 * math.sin(k))
        assert k > 90 or math.isnan(direction.offset)
        direction.compare(stamp, FACE)
    assert math.isnan(direction.offset) != off
    found = direction.evidence(stamp, FACE, SIGMA)
    if off:
        assert math.remainder(direction.offset - turned, 2 * math.pi) == pytest.approx(0, abs=0.05)
        assert found == 0
    else:
        assert found > 0
