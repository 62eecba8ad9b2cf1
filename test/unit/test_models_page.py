"""Tests that docs/models.md lists every default model with its licence and source."""

from __future__ import annotations

import re
from pathlib import Path

from face_perception.inference import catalogue

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_models_and_licences_are_listed() -> None:
    for card in catalogue().values():
        if card.kind != "model":
            continue
        row = re.search(rf"^\| `{card.name}` \|.*$", (DOCS / "models.md").read_text(), re.M)
        assert row, f"{card.name} is not in docs/models.md"
        assert card.licence in row[0]
        assert card.source is not None
        named = f"{card.source.package}=={card.source.version}"
        assert (named if card.source.package else f"`{card.source.member}`") in row[0]
