"""Runs the worked examples of docs/studies.md on sessions whose truth is known."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from synthetic_session import Script, lines, write

from face_perception import cli

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"
LEFT, RIGHT = (-0.5, 0.0, 1.5), (0.5, 0.05, 1.5)

pytest.importorskip("pandas")


def example(title: str) -> dict[str, Any]:
    """Runs the Python code of a section in the current folder, and returns its variables."""
    section = PAGE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def study(folder: Path, **clips: list[dict[str, Any]]) -> None:
    paths = [str(write(folder / f"{name}.jsonl", found)) for name, found in clips.items()]
    assert cli.main(["table", *paths, "--output", str(folder / "study")]) == 0


def test_share_of_attention_by_condition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    passer_by = Script("face_2", RIGHT, looks=[(0, 4, "robot")], hidden=[(4, 20)])
    truth = {
        ("p1", "talks"): 0.8,
        ("p1", "silent"): 0.4,
        ("p2", "talks"): 0.6,
        ("p2", "silent"): 0.3,
    }
    clips, rows = {}, ["clip,participant,condition"]
    for (participant, condition), share in truth.items():
        one = Script("face_1", LEFT, looks=[(0, 20 * share, "robot")], shut=[(3, 3.2)])
        clips[f"{participant}_{condition}"] = lines([one, passer_by], 20.0, 10.0)
        rows.append(f"{participant}_{condition},{participant},{condition}")
    # A clip that shows no eyes is left out.
    clips["p3_talks"] = lines([Script("face_1", unseen_eyes=[(0, 18)])], 20.0, 10.0)
    rows.append("p3_talks,p3,talks")
    study(tmp_path, **clips)
    (tmp_path / "conditions.csv").write_text("\n".join(rows) + "\n")
    model = example("Share of attention by condition")["model"]
    found = {(row.participant, row.condition): row.share_robot for row in model.itertuples()}
    assert found == {key: pytest.approx(share, abs=0.01) for key, share in truth.items()}
    assert (tmp_path / "model.csv").read_text().count("\n") == 5


def test_gaze_at_one_known_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = (0.2, 0.15, 0.1)
    bias = (math.radians(2.0), math.radians(-1.0))
    ada = Script(
        "face_1",
        looks=[(1, 9, target)],
        shut=[(4, 5.5)],
        person_id="ada",
        calibrated=True,
        bias=bias,
    )
    study(tmp_path, ada=lines([ada], 10.0))
    names = example("Gaze at one known target")
    assert names["accuracy"] == pytest.approx(math.hypot(2, 1), abs=0.01)
    assert names["precision"] < 0.01
    assert len(names["used"]) / len(names["asked"]) == pytest.approx(4.5 / 6, abs=0.02)


def test_gaze_without_calibration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study(tmp_path, ada=lines([Script("face_1")], 9.0, 10.0))
    with pytest.raises(SystemExit, match="not calibrated"):
        example("Gaze at one known target")


@pytest.mark.parametrize("delay", [0.4, -0.8])
def test_synchrony_of_smiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay: float) -> None:
    monkeypatch.chdir(tmp_path)
    smiles = [(5, 8), (13, 14.5), (24, 26), (29, 34), (47, 48)]
    ada = Script("face_1", LEFT, smiles=smiles, person_id="ada", hidden=[(40, 43)])
    later = [(a + delay, b + delay) for a, b in smiles]
    bob = Script("face_2", RIGHT, smiles=later, person_id="bob")
    study(tmp_path, talk=lines([ada, bob], 60.0, 25.0))
    names = example("Synchrony of smiles")
    assert names["delay"] == pytest.approx(delay, abs=0.041)
    assert names["found"][names["delay"]] > 0.95
    assert names["limit"] < 0.6
