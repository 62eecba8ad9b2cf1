"""``face-perception import geddnet``: the installed model gives the published numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from geddnet_weights import goldens, inputs, variables

from face_perception import cli
from face_perception.inference import load


def test_an_imported_checkpoint_answers_as_published(
    shared: Path, own_models: Path, tmp_path: Path
) -> None:
    for seed, golden in goldens(shared):
        values = variables(shared, seed)
        path = tmp_path / f"seed{seed}.npz"
        np.savez(path, **values)
        assert cli.main(["import", "geddnet", str(path), "--name", f"seed{seed}"]) == 0
        model = load(f"seed{seed}")
        assert model.card.facts["order"] == ["pitch", "yaw"]
        images = inputs(golden)
        gaze = model.infer(images)["gaze"]
        assert gaze.dtype == np.float32
        assert np.abs(gaze - golden["infer_gaze"]).max() < 1e-5
        bias = values["bias/Variable"][golden["subject_ids"]] / 10
        assert np.abs(gaze + bias - golden["gaze_with_bias"]).max() < 1e-5
        one = model.infer({name: image[-1:] for name, image in images.items()})["gaze"]
        assert np.abs(one - golden["infer_gaze"][-1:]).max() < 1e-5
