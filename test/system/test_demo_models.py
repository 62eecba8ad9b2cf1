"""The demo runs the imported models, or those named on the command line."""

from __future__ import annotations

from pathlib import Path

import affect_models
import pytest

from face_perception.commands import demo
from face_perception.inference import ModelError


@pytest.fixture(autouse=True)
def models(own_models: Path) -> Path:
    """A model cache with the package's models and small ones that replace the imported ones."""
    affect_models.install_multitask()
    affect_models.install_mimamo()
    return own_models


def test_the_demo_runs_what_is_imported_or_asked_for(models: Path) -> None:
    def of(*asked: str) -> dict[str, str]:
        return {node: card.name for node, card in demo._models(*asked).items()}

    assert of("", "") == {"affect": "multitask", "motion_affect": "mimamo"}
    assert of("expression", "none") == {"affect": "expression"}
    chosen = {"affect": "multitask_rnn", "motion_affect": "mimamo_released"}
    assert of(*chosen.values()) == chosen
    (models / "multitask.yaml").unlink()
    (models / "mimamo.yaml").unlink()
    assert of("", "") == {}, "the derived ones, without motion_affect"
    with pytest.raises(ModelError, match=r"no model 'mimamo'.*face-perception import"):
        of("", "mimamo")
