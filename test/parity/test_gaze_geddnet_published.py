"""GEDDnet gives the published answers in ONNX Runtime and in the gaze estimator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from goldens import golden

from face_perception.gaze import NetworkGaze, make_gaze_crops, to_normalized_angles
from face_perception.inference import load
from face_perception.pipeline import Perception
from face_perception.types import Face, Frame


def test_the_published_network(
    geddnet_card: Path, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    """With the golden's weights: its own crops, then a photograph through the estimator."""
    model = load(geddnet_card)
    published = golden("geddnet")
    inputs = {
        port: published[f"{name}_u8"][:, None].astype(np.float32)
        for port, name in (("face", "face"), ("left_eye", "left"), ("right_eye", "right"))
    }
    np.testing.assert_allclose(model.infer(inputs)["gaze"], published["infer_gaze"], atol=1e-5)
    shot, face = photo_faces["astronaut"]
    made = make_gaze_crops(shot.image, shot.camera, face)
    crops = {"face": made.face, "left_eye": made.left_eye, "right_eye": made.right_eye}
    ((pitch, yaw),) = model.infer(
        {name: crop[None, None].astype(np.float32) for name, crop in crops.items()}
    )["gaze"]
    (gaze,) = NetworkGaze(model).estimate(shot, [face])
    assert gaze.source == "geddnet"
    assert to_normalized_angles(made.rotation, gaze.direction) == pytest.approx(
        (-yaw, pitch), abs=1e-5
    )
    done = Perception.load(single_image=True, gaze=str(geddnet_card)).process(shot)
    assert (done.gazes[0].source, done.gazes[0].valid) == ("geddnet", True)
