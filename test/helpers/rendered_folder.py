"""Some of the committed pictures of rendered people, in the layout that the renderer writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

_COMMITTED = Path(__file__).parents[1] / "data" / "rendered_people"


def write_rendered_folder(out: Path, *names: str) -> Path:
    """Writes the pictures ``names`` of one person, with their truth, to ``out`` and returns it."""
    truths = json.loads((_COMMITTED / "truth.json").read_text())
    (out / "people").mkdir(parents=True)
    lines = [json.dumps({"file": f"{name}.jpg", **truths[f"{name}.jpg"]}) for name in names]
    (out / "people" / "000000.jsonl").write_text("\n".join(lines) + "\n")
    (out / "settings.json").write_text(json.dumps({"seed": 7}))
    for name in names:
        shutil.copy(_COMMITTED / f"{name}.jpg", out)
    return out
