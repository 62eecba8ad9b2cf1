"""Tests ``face-perception models`` and the JSON line of a result, in this process."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_perception import cli
from face_perception.inference import sample_photo
from face_perception.media import PHOTOS
from face_perception.results import FrameResult
from face_perception.types import (
    BLENDSHAPES,
    EXPRESSIONS,
    ActionUnit,
    ActionUnits,
    Blendshapes,
    Camera,
    Expression,
    Face,
    Gaze,
    Neutral,
    Roi,
    ValenceArousal,
)


def lines(text: str) -> list[dict[str, Any]]:
    """Parses JSON lines strictly: NaN and Infinity are not JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    assert text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "fetch", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert cli.main(["models", "verify", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert cli.main(["models", "verify", "face_mesh"]) == 0
    assert capsys.readouterr().out.startswith("face_mesh: ok (")
    assert cli.main(["models", "list"]) == 0
    listed = capsys.readouterr().out
    for name in ("face_detector", "face_mesh", "expression", *PHOTOS):
        assert name in listed
    assert cli.main(["models", "fetch", "no_such"]) == 1
    assert "no model 'no_such': use one of" in capsys.readouterr().err
    assert cli.main(["models", "verify", "no_such"]) == 1
    assert "no model 'no_such': use one of" in capsys.readouterr().err


def test_a_damaged_model_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in sample_photo("astronaut").parent.glob("[a-z]*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "face_mesh.onnx").open("r+b") as damaged:
        damaged.truncate(1000)
    (tmp_path / "expression.onnx").unlink()
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["models", "verify"]) == 1
    output, errors = capsys.readouterr()
    assert "face_detector: ok" in output
    assert "face_mesh.onnx is damaged" in errors
    assert errors.count("models fetch") == 2
    assert cli.main(["models", "list"]) == 0
    states = {row.split()[0]: row.split()[-1] for row in capsys.readouterr().out.splitlines()[1:]}
    assert states["face_mesh"] == "damaged"
    assert states["expression"] == "missing"
    assert states["face_detector"] == "ready"


def test_what_is_not_known_is_null() -> None:
    nan = math.nan
    face = Face("a", 0.9, Roi(1, 2, 3, 4), np.full((478, 3), nan, np.float32), None)
    result = FrameResult(
        stamp=1.25,
        camera=Camera.assume(640, 480),
        faces=(face, dataclasses.replace(face, face_id="b")),
        gazes=(Gaze("a", np.full(3, nan), np.full(3, nan), 0.0, False, "x"),),
        action_units=(
            ActionUnits(
                "a",
                "x",
                {12: ActionUnit(0.123456, confidence=0.7), 4: ActionUnit()},
                neutral=Neutral.LEARNED,
            ),
        ),
        expressions=(Expression("a", "x", np.full(7, nan)),),
        valence_arousal=(ValenceArousal("a", "x", nan, -0.5),),
    )
    line = result.to_json(7, landmarks=True)
    assert lines(json.dumps(line) + "\n") == [line]
    first, second = line["faces"]
    assert (line["frame"], line["stamp"], line["camera"]["assumed"]) == (7, 1.25, True)
    assert first["roi"] == [1, 2, 3, 4]
    assert first["confidence"] == 0.9
    assert first["head_pose"] is None
    gaze = first["gaze"]
    assert gaze["origin"] == gaze["direction"] == [None] * 3
    assert [key for key, value in gaze.items() if value is not None] == [
        *("origin", "direction", "yaw_gain", "pitch_gain", "yaw_gain_sigma", "pitch_gain_sigma"),
        *("yaw_centre", "pitch_centre", "valid", "eyes", "confidence"),
        *("source", "person_id", "calibrated"),
    ]
    assert gaze["eyes"] == "unknown"
    assert (gaze["valid"], gaze["confidence"], gaze["source"]) == (False, 0.0, "x")
    assert first["action_units"] == {"4": None, "12": 0.1235}
    assert first["action_unit_confidence"] == {"4": None, "12": 0.7}
    assert first["action_unit_probability"] == {"4": None, "12": None}
    assert first["expression"] == dict.fromkeys(EXPRESSIONS)
    assert first["expression_label"] is None
    assert first["expression_source"] == "x"
    assert (first["valence"], first["arousal"]) == (None, -0.5)
    assert first["landmarks"] == [[None] * 3] * 478
    assert first["action_unit_neutral"] == "learned"
    assert set(second) == set(first)
    not_made = {key: value for key, value in second.items() if key not in ("face_id", "confidence")}
    assert not_made.pop("roi")
    assert not_made.pop("landmarks")
    empty = ("action_units", "action_unit_probability", "action_unit_confidence", "expression")
    assert not_made == {key: {} if key in empty else None for key in not_made}
    assert "landmarks" not in result.to_json(7)["faces"][0]
    shapes = Blendshapes("a", "x", np.full(52, 0.5))
    first, second = dataclasses.replace(result, blendshapes=(shapes,)).to_json(7)["faces"]
    assert first["blendshapes"] == dict.fromkeys(BLENDSHAPES, 0.5)
    assert "blendshapes" not in second


def test_a_line_says_which_camera_was_used() -> None:
    size = {"width": 640, "height": 480}
    given = FrameResult(0.0, Camera(640, 480, 501.234, 502, 320, 240), ()).to_json(0)
    assert given["camera"] == {"assumed": False, "fx": 501.23, "fy": 502.0, **size}
    guessed = FrameResult(0.0, Camera.assume(640, 480), ()).to_json(0)
    assert guessed["camera"] == {"assumed": True, "fx": 640.0, "fy": 640.0, **size}
