"""What all tests of the training have in common."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _figures_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks in every test that evaluates a run: a sweep knows the names of these figures."""
    runs = sys.modules.get("face_perception.learning.runs")
    if runs is None:  # it needs PyTorch
        return
    evaluate = runs.evaluate

    def checked(out: Path, *arguments: Any) -> dict[str, float]:
        found: dict[str, float] = evaluate(out, *arguments)
        known = runs.figures_of(runs.task_of(out / "recipe.yaml"))
        for name in found:
            assert any(fnmatchcase(name, one) for one in known), f"FIGURES lacks {name}"
        return found

    monkeypatch.setattr(runs, "evaluate", checked)
