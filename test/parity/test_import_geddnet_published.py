"""``face-perception import geddnet``: the installed model gives the published answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from geddnet_weights import inputs
from generated_weights import weights
from goldens import golden

from face_perception import cli
from face_perception.inference import load


def test_an_imported_checkpoint_answers_as_published(own_models: Path, tmp_path: Path) -> None:
    published, values = golden("geddnet"), weights("geddnet")
    path = tmp_path / "seed1.npz"
    np.savez(path, **values)
    assert cli.main(["import", "geddnet", str(path), "--name", "seed1"]) == 0
    model = load("seed1")
    assert model.card.facts["order"] == ["pitch", "yaw"]
    images = inputs(published)
    gaze = model.infer(images)["gaze"]
    assert gaze.dtype == np.float32
    assert np.abs(gaze - published["infer_gaze"]).max() < 1e-5
    bias = values["bias/Variable"][published["subject_ids"]] / 10
    assert np.abs(gaze + bias - published["gaze_with_bias"]).max() < 1e-5
    one = model.infer({name: image[-1:] for name, image in images.items()})["gaze"]
    assert np.abs(one - published["infer_gaze"][-1:]).max() < 1e-5
