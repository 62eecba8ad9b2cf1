"""The accuracy bench: its statistics, and a whole run on stand-ins for the public data sets."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

import people_data

from bench.accuracy import (
    blinks,
    command,
    gaze_bands,
    gaze_tablet,
    head_pose,
    lens,
    page,
    press_looks,
    product,
    provenance,
    report,
    voice,
)
from bench.accuracy.context import Context
from bench.accuracy.data_sets import AFLW, COLUMBIA, JAFFE, SETS, SPEECH, Missing
from bench.accuracy.diagram import reliability_svg, series_of
from bench.accuracy.labelled import ck_plus, press
from bench.accuracy.looking import Look, calibrate
from face_perception import statistics as stats
from face_perception.errors import InputError
from face_perception.gaze import GeometricGaze
from face_perception.learning.claims import donor_face
from face_perception.types import Camera, Frame, HeadPose

ROOT = Path(__file__).resolve().parents[2]

# Statistics, against values computed by hand.


def test_auc_counts_pairs() -> None:
    # Pairs (positive, negative): 3 above 1, 3 above 2, 2 above 1, 2 equal to 2.
    assert stats.auc([3, 2, 1, 2], [True, True, False, False]) == pytest.approx(3.5 / 4)
    assert stats.auc([1, 2], [True, False]) == 0
    assert stats.auc([math.nan, 3, 1], [False, True, False]) == 1, "NaN is left out"
    assert math.isnan(stats.auc([1, 2], [True, True]))


def test_macro_f1_and_balanced_accuracy() -> None:
    truth, said = ["a", "a", "a", "b"], ["a", "b", "a", "b"]
    # a: 2 correct, 3 true, 2 predicted: 4/5. b: 1 correct, 1 true, 2 predicted: 2/3. c: none.
    assert stats.macro_f1(truth, said, ["a", "b", "c"]) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert stats.balanced_accuracy(truth, said, ["a", "b", "c"]) == pytest.approx((2 / 3 + 1) / 2)
    assert stats.confusion(truth, said, ["a", "b"]) == [[2, 1], [0, 1]]


def test_calibration_error_weighs_bins() -> None:
    # Predicted 0.8 twice, true once: gap 0.3. Predicted 0.1 twice, never true: gap 0.1.
    said, seen = [0.8, 0.8, 0.1, 0.1], [True, False, False, False]
    assert stats.calibration_error(said, seen) == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)
    assert stats.calibration_error([1.0, 0.0], [True, False]) == 0
    assert [row["n"] for row in stats.reliability([0.05, 0.95, math.nan], [0, 1, 1])] == [1, 1]


def test_ccc_is_lins() -> None:
    # Means 2 and 3, variances 2/3, covariance 2/3: 2 * 2/3 / (4/3 + 1).
    assert stats.ccc([1, 2, 3], [2, 3, 4]) == pytest.approx(4 / 7)
    assert stats.ccc([1, 2, 3], [1, 2, 3]) == 1
    assert stats.ccc([1, 2, 3], [3, 2, 1]) == -1


def test_slope_is_of_the_estimate_on_the_truth() -> None:
    assert stats.slope([-10, 0, 10], [-5, 1, 7]) == pytest.approx(0.6)
    assert math.isnan(stats.slope([3, 3], [1, 2]))


def test_bootstrap_draws_whole_people() -> None:
    # The samples of a person are equal: the interval is that of two people, however many samples.
    values = np.repeat([0.0, 1.0], 500)
    alone = stats.mean(values)
    people = stats.mean(values, ["a"] * 500 + ["b"] * 500)
    assert alone.value == people.value == 0.5
    assert (people.low, people.high) == (0.0, 1.0)
    assert 0.46 < alone.low < 0.48
    assert 0.52 < alone.high < 0.54
    assert (alone.n, alone.groups, people.groups) == (1000, 0, 2)
    assert stats.mean(values) == alone, "the same in every run"


def test_mean_of_people_does_not_count_the_busy_twice() -> None:
    found = stats.mean_of_people([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert found.value == 0.5
    assert (found.n, found.groups) == (4, 2)


def test_a_single_group_has_no_interval() -> None:
    found = stats.mean([0.2, 0.4], ["a", "a"])
    assert found.value == pytest.approx(0.3)
    assert math.isnan(found.low)
    with pytest.raises(ValueError, match="at least one sample"):
        stats.mean([])


# Parts of the bench.


def test_blinks_are_matched_once() -> None:
    true, half = [(10, 12), (30, 33)], [(50, 52)]
    assert blinks.count([(11, 12), (31, 31)], true, half) == (2, 0, 0)
    assert blinks.count([(14, 15), (51, 51), (70, 71)], true, half) == (1, 1, 1)
    assert blinks.count([(11, 11), (12, 12)], true, half) == (1, 1, 1), "one blink told as two"


def test_speech_labels_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.scv"
    file.write_text("a,0.000,0.020,0,0.020,0.040,1,0.040,0.060,0")
    assert voice.read_labels(file, 6).tolist() == [False, False, True, True, False, False]


def test_the_tablets_left_is_the_images_right() -> None:
    screen = gaze_tablet._Geometry(Camera.assume(480, 640), width=0.2, height=0.3, gap=0.005)
    assert screen.target(0, 0) == pytest.approx([0.1, 0.005, 0])
    assert screen.target(1, 1) == pytest.approx([-0.1, 0.305, 0])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    people_data.make_all(folder)
    return folder


def test_a_band_is_set_where_the_eyes_are(data: Path) -> None:
    """On composites, the mesh finds the canthi where the band has them."""
    tracker = product.tracker()
    grace = donor_face.Donor(people_data.photo("grace_hopper"), tracker)
    folder = data / "deepgaze" / "data" / "dataset" / "center"
    band = cv2.imread(str(folder / "0001_2m_0P_0V_0H.jpg"), cv2.IMREAD_GRAYSCALE)
    band = band.astype(np.float32)
    apart = 300 / people_data.BAND[0]
    wide, high = people_data.BAND_MIDDLE
    true = apart * np.array([[wide - 0.5, high], [wide + 0.5, high]])
    found = gaze_bands.find_canthi(band, grace, tracker, tuple(true + (15, 10)))
    assert np.abs(np.array(found) - true).max() < 12
    image, origin = grace.with_band(band, *found)
    x, y = origin.astype(int) + (150, 60)
    assert abs(int(image[y, x, 0]) - int(band[60, 150])) <= 1, "the band keeps its pixels"
    with pytest.raises(InputError, match="no face"):
        donor_face.Donor(people_data.noise(300, 300), tracker)


def test_a_donor_has_no_side() -> None:
    """With the mirror image of a band the composite is the mirror image, so its gaze is too."""
    grace = donor_face.Donor(people_data.photo("grace_hopper"), product.tracker())
    band = np.random.default_rng(0).uniform(0, 255, (100, 300)).astype(np.float32)
    right, left = np.array([40.0, 50.0]), np.array([259.0, 50.0])
    composites = []
    for one in (band, np.ascontiguousarray(band[:, ::-1])):
        image, origin = grace.with_band(one, right, left)
        # The columns whose mirror images about the band's middle are in the picture.
        first = int(2 * origin[0]) + band.shape[1] - image.shape[1]
        composites.append(image[:, first:].astype(int))
    apart = np.abs(composites[0] - composites[1][:, ::-1])
    assert apart.mean() < 0.5, "gray levels; interpolation leaves a little"


# A whole run, on stand-ins.


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns the JSON file of a whole run."""
    results = tmp_path_factory.mktemp("results")
    cache = tmp_path_factory.mktemp("cache")
    looks = results / "looks.csv"
    people_data.write_looks(looks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(press_looks, "LABELS", looks)
        assert command.main([str(data), "--results", str(results), "--cache", str(cache)]) == 0
    (file,) = results.glob("people-*.json")
    return {"file": file, "cache": cache, **json.loads(file.read_text())}


def value(run: dict[str, Any], measure: str, figure: str, condition: str = "") -> float:
    found = [
        row["estimate"]["value"]
        for row in run["rows"]
        if (row["measure"], row["figure"], row["condition"]) == (measure, figure, condition)
    ]
    assert len(found) == 1, f"{measure}, {figure}, {condition}: {found}"
    return float(found[0])


def test_every_measure_is_made(run: dict[str, Any]) -> None:
    made = {row["measure"] for row in run["rows"]}
    assert made == set(command.MEASURES) - {"lips"}
    assert "sound" in run["not_measured"]["lips"]
    assert set(run["data"]) == {one.name for one in SETS}
    assert run["models"].keys() >= {"face_detector", "face_mesh", "expression", "voice_activity"}
    for row in run["rows"]:
        by_group = row["estimate"]["groups"] > 0
        assert by_group == bool(row["per"]), f"{row['figure']}: its interval is not by {row['per']}"
        low, high = row["estimate"]["low"], row["estimate"]["high"]
        assert low is None or low <= row["estimate"]["value"] <= high


def test_gaze_of_turned_eyes(run: dict[str, Any]) -> None:
    """How far the talking face turns the eyes is known only roughly."""
    assert value(run, "gaze_bands", "face found and gaze valid") == 1
    assert 0.3 < value(run, "gaze_bands", "gain, yaw", "not calibrated") < 3
    assert value(run, "gaze_bands", "error", "not calibrated") < 15
    assert value(run, "gaze_bands", "eye contact, AUC", "not calibrated") > 0.5
    assert value(run, "gaze_bands", "error", "one target") < 15
    # A refused calibration gives the reason, and the gaze without calibration is measured.
    for condition in ("one target", "five targets"):
        refused = value(run, "gaze_bands", "calibration refused", condition)
        assert bool(refused) == bool(run["details"]["gaze_bands"][f"refused, {condition}"])


def test_the_rotation_of_fitted_faces() -> None:
    """Angles of 3DDFA: positive pitch is up, positive yaw to the image's left, and so is roll."""
    for angles, expected in (
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.3, 0.0, 0.0), (0.0, 0.3, 0.0)),
        ((0.0, 0.3, 0.0), (-0.3, 0.0, 0.0)),
        ((0.0, 0.0, 0.3), (0.0, 0.0, 0.3)),
    ):
        pose = HeadPose(np.zeros(3), head_pose.rotation_of(*angles))
        assert np.linalg.det(pose.rotation) == pytest.approx(1)
        assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx(expected)


def test_looks_at_the_lens_and_head_poses_are_measured(run: dict[str, Any]) -> None:
    condition = "not calibrated, looks at the lens"
    assert value(run, "press_looks", "looking_at_robot", condition) == 1
    elsewhere = "not calibrated, looks elsewhere"
    assert value(run, "press_looks", "eye contact > 0.5", elsewhere) in (0, 1)
    assert value(run, "lens", "face found and gaze valid") == 1
    assert value(run, "lens", "error", "one target, calm") < 6
    assert value(run, "head_pose", "mean error, yaw") < 20
    assert value(run, "head_pose", "median pitch", "faces the camera") < 30


def test_every_labelled_look_is_of_a_photograph_that_is_read() -> None:
    labelled = press_looks.labels()
    assert sum(labelled.values()) == 33
    assert len(labelled) == 143
    assert all(name[0] in "ABCDEFGH" for name in labelled)


def test_a_smile_is_counted(run: dict[str, Any]) -> None:
    rows = [r for r in run["rows"] if r["measure"] == "expression" and r["condition"] == "happy"]
    assert {r["data"]: r["estimate"]["value"] for r in rows}["press photographs A-H"] == 1
    smile = [r for r in run["rows"] if r["figure"] == "AU12, AUC"]
    assert [r["estimate"]["value"] for r in smile] == [1]
    assert smile[0]["condition"] == "happy against neutral"


def test_faces_are_counted(run: dict[str, Any]) -> None:
    assert value(run, "faces", "found", "face fills a quarter of the picture") == 1
    false = "photographs without people in which a face is found"
    assert value(run, "faces", false, "a picture") == 0
    assert value(run, "faces", false, "a stream of 8 images") == 0
    assert value(run, "blinks", "clips with one id from first to last face") == 1
    assert run["details"]["blinks"]["counts (found, missed, false)"] == {
        people_data.BLINKING_CLIP: [0, 0, 0]
    }


def test_speech_is_heard(run: dict[str, Any]) -> None:
    condition = next(r["condition"] for r in run["rows"] if r["figure"].startswith("probability, "))
    assert value(run, "voice", "probability, AUC", condition) > 0.9
    assert value(run, "voice", "state, speech that is detected") > 0.8


def test_a_second_run_reads_the_cache_and_says_the_same(
    run: dict[str, Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "still", None)
    only = ["--only", "gaze_tablet", "--only", "action_units"]
    assert command.main(
        [str(data), *only, "--cache", str(run["cache"]), "--results", str(tmp_path)]
    ) == 0  # fmt: skip
    (file,) = tmp_path.glob("*.json")
    again = json.loads(file.read_text())["rows"]
    wanted = [r for r in run["rows"] if r["measure"] in ("gaze_tablet", "action_units")]
    assert again == wanted


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(tmp_path), "--results", str(tmp_path)]) == 1
    said = capsys.readouterr()
    for one in SETS:
        assert f"put {one.url} at {tmp_path / one.name}" in said.out + said.err
    assert list(tmp_path.iterdir()) == [], "nothing is written where nothing was measured"
    assert command.main([str(tmp_path / "absent")]) == 2


def test_another_gaze_needs_a_folder_of_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page is made from bench/results, whose figures are those of the default gaze."""
    assert command.main([str(tmp_path), "--gaze", "geddnet"]) == 2
    assert "--results" in capsys.readouterr().err


def test_the_sets_are_read_as_they_are_labelled(data: Path, tmp_path: Path) -> None:
    for one, name in (
        (JAFFE, "README.md"),
        (COLUMBIA, "1_0P_x.jpg"),
        (AFLW, "image.jpg"),
        (SPEECH, "a.wav"),
    ):
        file = tmp_path / one.name / one.inside / name
        file.parent.mkdir(parents=True)
        file.touch()
    context = Context(data)
    assert [(one.label, one.person) for one in press(context)] == [
        ("happy", "Astro_Naut"),
        ("neutral", "Grace_Hopper"),
    ]
    (peak,) = ck_plus(context)
    assert (peak.label, peak.person, peak.file.name) == ("happy", "S001", "S001_001_00000003.png")
    for empty in (lens, gaze_bands, head_pose, voice):
        with pytest.raises(Missing, match=r"has no file like .* with "):
            empty.run(Context(tmp_path))
    with pytest.raises(Missing, match=r"put https://github.com/adrianbublea/deepgaze at"):
        Context(data / "nowhere").files(SETS[0], "*")


def test_calibration_goes_through_the_products_own_interface() -> None:
    """The labels of a person are 3 degrees off; calibration removes this error."""
    image = people_data.photo("astronaut")
    camera = Camera.assume(512, 512)
    (face,) = product.tracker().detect(Frame(image, 0.0, camera))
    gaze = GeometricGaze().estimate(camera, face, 0.0)
    to_lens = -gaze.origin / np.linalg.norm(gaze.origin)

    def looking(up: float, side: float) -> Look:
        turned = people_data.direction(up, side) - people_data.direction(0, 0) + to_lens
        told = people_data.direction(up, side + 3) - people_data.direction(0, 0) + to_lens
        unit = [v / np.linalg.norm(v) for v in (turned, told)]
        seen = dataclasses.replace(gaze, direction=unit[1], valid=True, confidence=0.9)
        return Look("a", "a", camera, face, seen, False, unit[0])

    test = [looking(0, 4), looking(0, -4)]
    found = calibrate([[looking(0, 0)]], test)
    assert not found.refused
    assert 0 < found.promised < math.radians(6)
    for look, after in zip(test, found.gazes, strict=True):
        assert after.calibrated
        off = math.acos(min(1.0, float(after.direction @ look.truth)))
        assert off < math.radians(1.5)


def test_a_refused_calibration_leaves_the_gaze_as_it_was() -> None:
    image = people_data.photo("astronaut")
    camera = Camera.assume(512, 512)
    (face,) = product.tracker().detect(Frame(image, 0.0, camera))
    gaze = GeometricGaze().estimate(camera, face, 0.0)
    away = people_data.direction(0, 60)
    look = Look("a", "a", camera, face, gaze, False, away)
    found = calibrate([[look]], [look])
    assert found.refused
    assert found.gazes == [gaze]


def test_code_that_changes_during_a_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {**report.origin(), "changed": False}
    made = report.document(Context(ROOT), {}, {}, origin)
    assert (made["changed"], made["commit"]) == (False, origin["commit"])
    monkeypatch.setattr(provenance, "product_now", lambda: "another")
    assert report.document(Context(ROOT), {}, {}, origin)["changed"]


# The page with the results.


def rows_of(run: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**{k: v for k, v in run.items() if k not in ("file", "cache")}, **changes}


def test_the_page_has_the_figures_of_the_newest_run(run: dict[str, Any]) -> None:
    old = rows_of(run, finished="2026-01-01T00:00:00+00:00", date="2026-01-01", commit="old")
    voice_only = [dict(r) for r in run["rows"] if r["measure"] == "voice"]
    voice_only[0] = {**voice_only[0], "estimate": {
        "value": 0.123, "low": 0.1, "high": 0.2, "n": 7, "groups": 3}}  # fmt: skip
    new = rows_of(run, rows=voice_only, date="2026-02-02", commit="new")
    made = page.blocks([old, new])
    assert "| 0.123 [0.100, 0.200] | 7, 3 files | TEN-VAD test set |" in made["sound"]
    assert "* voice: 2026-02-02, commit new" in made["runs"]
    assert "gaze_bands" in next(line for line in made["runs"].splitlines() if "old" in line)
    assert "| error | not calibrated |" in made["gaze"].replace("gaze: error", "error")
    assert all(one.url in made["sets"] for one in SETS)


def test_a_page_without_runs_claims_nothing(tmp_path: Path, run: dict[str, Any]) -> None:
    changed = rows_of(run, changed=True)
    (tmp_path / "people-a.json").write_text(json.dumps(changed))
    made = page.blocks(page.read_runs(tmp_path))
    assert {made[name] for name in page.BLOCKS} == {page.NOT_YET}


def test_every_output_of_a_run_is_on_the_page(run: dict[str, Any]) -> None:
    shown = {output for outputs in page.BLOCKS.values() for output in outputs}
    assert {row["output"] for row in run["rows"]} <= shown


def test_help_names_every_set() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "people.py", "--help"],
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    for one in SETS:
        assert f"DATA/{one.name}" in done.stdout
        assert one.licence in done.stdout


def test_the_reliability_diagram_shows_every_series_of_a_run() -> None:
    bins = [{"said": 0.1, "seen": 0.2, "n": 40}, {"said": 0.9, "seen": 0.6, "n": 10}]
    details = {"eye contact <raw>": bins, "donor": "a.jpg", "CK+": {"top": bins[:1], "no": [1, 2]}}
    series = dict(series_of(details))
    assert series == {"eye contact <raw>": bins, "CK+: top": bins[:1]}
    root = ElementTree.fromstring(reliability_svg(series))
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[-2:] == ["eye contact <raw>", "CK+: top"]
    lines = [e.get("points") for e in root.iter("{http://www.w3.org/2000/svg}polyline")]
    (x, y), (_, lower) = (map(float, point.split(",")) for point in lines[0].split())
    assert (x, y) == pytest.approx((52 + 32, 26 + 256))
    assert lower < y, "up is more often seen"
    assert page.diagram([{"details": {"gaze_bands": {"donor": "a.jpg"}}}]) == ""
