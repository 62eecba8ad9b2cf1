"""Tests that the face recognition network gives the numbers of dlib 20.0.1."""

from __future__ import annotations

import numpy as np
import pytest
from goldens import golden
from optional_models import needs_model

from face_perception.inference import find_card, load, read_reference_inputs


def made_pictures() -> np.ndarray:
    """Returns two pictures without a face: ramps of three colours, and squares of two colours."""
    y, x = np.mgrid[:150, :150]
    ramps = np.stack([x + 40, y + 20, (x * y) // 100], -1).astype(np.uint8)
    squares = np.full((150, 150, 3), (90, 140, 200), np.uint8)
    squares[(x // 25 + y // 25) % 2 == 0] = (230, 60, 20)
    return np.stack([ramps, squares]).astype(np.float32)


@needs_model("dlib_face_recognition")
@pytest.mark.parametrize("batch", [1, 6])
def test_templates_are_those_of_dlib(batch: int) -> None:
    faces = read_reference_inputs(find_card("dlib_face_recognition"))["face"]
    faces = np.concatenate([faces, made_pictures()])
    model = load("dlib_face_recognition", backend="onnxruntime")
    found = [
        model.infer({"face": faces[k : k + batch]})["template"] for k in range(0, len(faces), batch)
    ]
    wanted = golden("dlib_face_recognition")["templates"]
    assert np.concatenate(found) == pytest.approx(wanted, abs=1e-5)
