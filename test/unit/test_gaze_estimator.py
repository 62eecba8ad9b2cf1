"""Tests selecting a gaze estimator by name, in `Perception` and in ``face-perception run``."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import cv2
import gaze_network
import numpy as np
import pytest
from faces_scene import frame, photo

from face_perception import cli, faces, geometry
from face_perception.gaze import GeometricGaze, NetworkGaze, load_gaze
from face_perception.inference import ModelError, load, sample_photo
from face_perception.people import Calibration, CalibrationStore, Correction
from face_perception.pipeline import Perception
from face_perception.types import Gaze


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    gaze_network.install_sides(folder=folder)
    return folder / "sides.yaml"


def test_by_name(card: Path) -> None:
    estimator = load_gaze()
    assert isinstance(estimator, GeometricGaze)
    assert (estimator.name, bool(estimator.revision)) == ("geometric", True)
    estimator = load_gaze(str(card))
    assert isinstance(estimator, NetworkGaze)
    assert (estimator.name, estimator.revision) == ("sides", load(card).card.sha256)
    with pytest.raises(ModelError, match=r"geddnet_nobody_has.*face-perception import"):
        load_gaze("geddnet_nobody_has")
    with pytest.raises(ModelError, match="face_mesh is not a gaze network"):
        load_gaze("face_mesh")


def test_a_still_by_a_network(card: Path) -> None:
    """The network sees the picture and its mirror image, and the result is the mean."""
    perception = Perception.load(single_image=True, gaze=str(card))
    model, tracker = load(card), faces.load_tracker()
    for name in ("astronaut", "grace_hopper"):
        shot, mirrored = frame(photo(name)), frame(np.ascontiguousarray(photo(name)[:, ::-1]))
        result = perception.process(shot)
        (gaze,), (other,) = result.gazes, perception.process(mirrored).gazes
        shot = dataclasses.replace(shot, camera=result.camera)  # a longer focal length
        (alone,) = NetworkGaze(model).estimate(shot, tracker.detect(shot))
        assert (gaze.source, gaze.valid) == ("sides", True)
        assert geometry.angle_between(gaze.direction, alone.direction) < math.radians(2)
        assert gaze.yaw == pytest.approx(-other.yaw, abs=math.radians(0.5))
        assert gaze.pitch == pytest.approx(other.pitch, abs=math.radians(0.5))


def test_a_film_by_a_network_with_two_faces(card: Path) -> None:
    both = np.concatenate(
        [cv2.resize(photo(n), (512, 512)) for n in ("astronaut", "grace_hopper")], 1
    )
    perception = Perception.load(gaze=str(card))
    gazes: tuple[Gaze, ...] = ()
    for i in range(5):
        gazes = perception.process(frame(both, i / 30)).gazes
    assert len(gazes) == 2
    assert all(gaze.valid and gaze.source == "sides" for gaze in gazes)
    assert perception.process(frame(np.zeros_like(both), 1.0)).gazes == ()


def test_run(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["run", str(sample_photo("astronaut"))]

    def direction(*more: str) -> list[float]:
        assert cli.main([*line, *more]) == 0
        (face,) = json.loads(capsys.readouterr().out)["faces"]
        assert face["gaze"]["valid"]
        found: list[float] = face["gaze"]["direction"]
        return found

    assert math.dist(direction("--gaze", str(card)), direction()) > 0.02
    assert direction("--gaze", "geometric") == direction()
    assert cli.main([*line, "--gaze", "nobody_has_this"]) == 1
    assert "'nobody_has_this'" in capsys.readouterr().err


def test_every_image_on_its_own_has_its_own_largest_face(tmp_path: Path) -> None:
    revision = load_gaze().revision
    calibration = Calibration("geometric", revision, Correction(0.2, 0.0), 0.01, 0.02, 30, 1, 1.8e9)
    (store := CalibrationStore(tmp_path)).put("anna", calibration)
    perception = Perception.load(single_image=True, people=store, person="anna")
    alone, other = photo("grace_hopper"), photo("astronaut")
    both = np.zeros((512, 512 + 179, 3), np.uint8)
    both[:, :512] = other
    both[:210, 512:] = cv2.resize(alone, (179, 210), interpolation=cv2.INTER_AREA)
    (gaze,) = perception.process(frame(alone)).gazes
    assert (gaze.face_id, gaze.person_id) == ("face_1", "anna")
    found = perception.process(frame(both, 0.1))
    assert [face.roi.width > 80 for face in found.faces] == [False, True], "the surer one is small"
    assert [gaze.person_id for gaze in found.gazes] == ["", "anna"]


def test_run_applies_a_persons_calibration(
    card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Applies a calibration only to the estimator and revision that it belongs to."""
    revision = load_gaze().revision
    calibration = Calibration("geometric", revision, Correction(0.2, 0.0), 0.01, 0.02, 30, 1, 1.8e9)
    CalibrationStore(tmp_path).put("anna", calibration)
    CalibrationStore(tmp_path).put("carl", dataclasses.replace(calibration, revision="older"))
    line = ["run", str(sample_photo("astronaut")), "--people", str(tmp_path)]

    def gaze(*more: str) -> dict[str, Any]:
        assert cli.main([*line, *more]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["faces"][0]["gaze"]
        return found

    anna, nobody = gaze("--person", "anna"), gaze()
    assert anna["yaw"] - nobody["yaw"] == pytest.approx(0.2, abs=0.03)
    assert (anna["person_id"], anna["calibrated"]) == ("anna", True)
    assert (nobody["person_id"], nobody["calibrated"]) == ("", False)
    # He looks into the camera. The calibration turns his gaze by 0.2 rad.
    assert 0 <= anna["eye_contact"] < 0.1 < nobody["eye_contact"] <= 1
    for who, *more in (["anna", "--gaze", str(card)], ["bob"], ["carl"]):
        assert cli.main([*line, "--person", who, *more]) == 1
        said = capsys.readouterr().err
        assert f"{who} is not calibrated for" in said
        assert f"face-perception calibrate --person {who}" in said
        assert f" --people {tmp_path}`" in said
        assert ("made with revision older" in said) == (who == "carl")
