"""Tests AU 45 and gaze on a clip with four blinks (synthetic face, test/data/yongen.mp4)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from face_perception.affect import LandmarkActionUnits
from face_perception.faces import load_tracker
from face_perception.gaze import GeometricGaze
from face_perception.types import Camera, Frame

CLIP = Path(__file__).parents[1] / "data" / "yongen.mp4"
RATE = 25.0


@pytest.fixture(scope="module")
def perceived() -> dict[str, np.ndarray]:
    """Returns for each image: number, AU 45, AU 12, and yaw, pitch and validity of the gaze."""
    clip = cv2.VideoCapture(str(CLIP))
    tracker, units, gaze = load_tracker(), LandmarkActionUnits(), GeometricGaze()
    rows = []
    number = 0
    while (read := clip.read())[0]:
        image = cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        camera = Camera.assume(image.shape[1], image.shape[0])
        stamp = number / RATE
        for face in tracker.track(Frame(image, stamp, camera)):
            moves = units.estimate(face, stamp).units
            looks = gaze.estimate(camera, face, stamp)
            rows.append(
                (
                    number,
                    moves[45].intensity,
                    moves[12].intensity,
                    looks.yaw,
                    looks.pitch,
                    looks.valid,
                )
            )
        number += 1
    names = ("image", "blink", "smile", "yaw", "pitch", "valid")
    return dict(zip(names, np.array(rows).T, strict=True))


def test_four_blinks(perceived: dict[str, np.ndarray]) -> None:
    """A person labelled the clip: half closed from image 50, shut at 110, from 130 on and at the
    end.
    """
    closed = perceived["blink"] >= 0.5
    begins = perceived["image"][1:][closed[1:] & ~closed[:-1]]
    assert begins == pytest.approx([52, 109, 130, 256], abs=4)
    assert perceived["blink"][20:40].max() < 0.1


def test_nobody_smiles(perceived: dict[str, np.ndarray]) -> None:
    assert perceived["smile"].max() < 0.1


def test_gaze_is_held_while_the_eyes_are_shut(perceived: dict[str, np.ndarray]) -> None:
    shut = perceived["blink"] > 0.7
    assert not perceived["valid"][shut].any()
    wide_open = perceived["blink"] == 0
    assert perceived["valid"][wide_open].mean() > 0.95
    # During a long blink the held direction does not change.
    asleep = (perceived["image"] > 140) & (perceived["image"] < 152)
    assert np.ptp(perceived["yaw"][asleep]) == 0
    assert np.ptp(perceived["pitch"][asleep]) == 0
