"""Tests ``face-perception evaluate MODEL``: the papers' protocols on answers known exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")
pytest.importorskip("pyarrow")

from face_perception.cli import main
from face_perception.faces import load_tracker
from face_perception.gaze import GAZE_NETWORKS
from face_perception.learning.data import dataset, rendered_people
from face_perception.learning.data.dataset import Dataset, DatasetError
from face_perception.learning.protocols import affect_answers, measurement
from face_perception.learning.protocols.affect import AffectAnswers, UnitAnswers, affect_figures
from face_perception.learning.protocols.gaze import GazeAnswers, contact_figures, gaze_figures
from face_perception.learning.synthesis.affect_set import AffectSet, write_affect_set
from face_perception.statistics import ccc, consistency
from face_perception.types import (
    EXPRESSIONS,
    ActionUnit,
    ActionUnits,
    FaceCrop,
    ValenceArousal,
)

RENDERED = Path(__file__).parents[1] / "data" / "rendered_people"
LOOKS = ("lens", "look_left", "look_right", "look_up", "look_down")


def gaze_answers(
    gain: float = 1.0, offset_deg: float = 0.0, noise_deg: float = 0.0, images: int = 60
) -> GazeAnswers:
    """Five people, each with an offset to another side, look around; the first image: the lens."""
    random = np.random.default_rng(1)
    people = np.repeat([f"p{k}" for k in range(5)], images).astype(object)
    truth = random.uniform(-0.25, 0.25, (5 * images, 2))
    truth[::images] = 0
    around = 2 * np.pi * np.arange(5) / 5
    sides = np.stack([np.cos(around), np.sin(around)], 1)
    estimate = gain * truth + np.radians(offset_deg) * np.repeat(sides, images, axis=0)
    estimate += np.radians(random.normal(0, 1, truth.shape) * noise_deg)
    return GazeAnswers(
        estimate=estimate,
        truth=truth,
        people=people,
        head=np.tile(np.radians([5.0, 25.0]), 5 * images // 2),
        contact=(np.abs(truth).sum(1) == 0).astype(float),
    )


def test_an_offset_of_each_person_is_the_error_and_one_image_removes_it() -> None:
    found = gaze_figures(gaze_answers(offset_deg=6))
    assert found.figures["error_deg"].value == pytest.approx(6, abs=0.1)
    assert found.figures["error_deg"].groups == 5
    assert found.figures["yaw_gain"].value == pytest.approx(1)
    assert found.figures["yaw_offset_spread_deg"].value == pytest.approx(6 * 0.79, abs=0.05)
    curve = found.curves["error against calibration images"].points
    assert [point.x for point in curve] == [1, 2, 4, 8, 16, 32, 50]
    assert max(point.y.value for point in curve) < 0.1


def test_more_calibration_images_average_the_noise_out() -> None:
    found = gaze_figures(gaze_answers(offset_deg=6, noise_deg=3))
    curve = [p.y.value for p in found.curves["error against calibration images"].points]
    # The offset of one noisy image doubles the variance; that of many adds nothing.
    assert curve[0] / curve[-1] == pytest.approx(np.sqrt(2), rel=0.1)
    assert curve == sorted(curve, reverse=True)


def test_a_calibration_curve_ends_where_a_person_has_no_more_images() -> None:
    found = gaze_figures(gaze_answers(images=10))
    curve = found.curves["error against calibration images"].points
    assert [point.x for point in curve] == [1, 2, 4, 8]


def test_gain_is_measured_within_people() -> None:
    found = gaze_figures(gaze_answers(gain=0.5, offset_deg=10)).figures
    assert found["pitch_gain"].value == pytest.approx(0.5)
    assert found["pitch_correlation"].value == pytest.approx(1)


def test_the_error_is_told_by_the_angle_of_the_head() -> None:
    answers = gaze_answers()
    answers.estimate[1::2, 0] += np.radians(4)  # the turned heads
    points = gaze_figures(answers).curves["error against head angle"].points
    assert [round(point.x) for point in points] == [5, 25]
    assert [point.y.value for point in points] == pytest.approx([0, 4], abs=0.05)


def test_eye_contact_is_decided_with_the_threshold_of_the_other_people() -> None:
    found = gaze_figures(gaze_answers()).figures
    assert found["eye_contact_auc"].value == 1
    assert found["eye_contact_balanced_accuracy"].value == pytest.approx(1, abs=0.02)
    score = np.array([0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.1, 0.9])
    contact = np.array([1, 0, 1, 0, 1, 0, 1, 0], float)
    people = np.repeat(["a", "b", "c", "d"], 2).astype(object)
    told = dict(contact_figures(score, contact, people))
    # The last person is the other way round: wrong with a threshold from the others.
    assert told["eye_contact_balanced_accuracy"].value == pytest.approx(3 / 4)


def test_equal_scores_have_one_threshold() -> None:
    # Of the others, one threshold separates all looks: 0.9. Looks with 0.5 cannot be divided, so
    # that a threshold between them would only seem to be better.
    score = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    contact = np.array([1, 1, 1, 0, 0, 0, 0, 0], float)
    people = np.array(["a"] * 8 + ["b"] * 2, object)
    told = dict(contact_figures(np.r_[score, 0.5, 0.9], np.r_[contact, 0, 1], people))[
        "eye_contact_balanced_accuracy"
    ]
    assert told.value == pytest.approx((2 / 4 + 6 / 6) / 2)


def test_a_person_is_not_judged_by_people_with_looks_of_one_kind() -> None:
    score = np.array([0.9, 0.1, 0.2, 0.3])
    contact = np.array([1, 0, 1, 1], float)
    people = np.array(["a", "a", "b", "b"], object)
    told = dict(contact_figures(score, contact, people))
    # The others of person a never look elsewhere: any threshold would be made up.
    assert told["eye_contact_balanced_accuracy"].n == 2
    assert "eye_contact_balanced_accuracy" not in dict(
        contact_figures(score[:2], contact[:2], people[:2])
    )


def test_without_labels_of_eye_contact_nothing_is_said_about_it() -> None:
    answers = gaze_answers()
    answers.contact[:] = np.nan
    assert not any(name.startswith("eye_contact") for name in gaze_figures(answers).figures)


def test_affect_figures_are_those_of_the_published_measures() -> None:
    random = np.random.default_rng(2)
    truth = random.uniform(-1, 1, (200, 2))
    said = 0.5 * truth + random.normal(0, 0.1, truth.shape)
    truth[:50] = np.nan
    names = np.array(EXPRESSIONS, object)[np.arange(200) % 7]
    names[7:14] = None
    probabilities = np.eye(7)[np.arange(200) % 7] * 0.8 + 0.2 / 7
    probabilities[::2] = np.roll(probabilities[::2], 1, axis=1)  # every second one is wrong
    present = (np.arange(200) % 4 == 0).astype(float)
    unit = UnitAnswers(np.where(present == 1, 0.9, 0.2), 0.5, present, 5 * present)
    found = affect_figures(
        AffectAnswers(
            people=np.repeat(["a", "b"], 100).astype(object),
            affect=said,
            true_affect=truth,
            expressions=probabilities,
            true_expressions=names,
            units={12: unit},
        )
    )
    figures = found.figures
    assert figures["ccc_valence"].value == pytest.approx(ccc(said[50:, 0], truth[50:, 0]))
    assert figures["ccc_valence"].n == 150
    assert figures["expression_accuracy"].n == 193
    assert figures["expression_accuracy"].value == pytest.approx(0.5, abs=0.03)
    assert figures["au_12_f1"].value == figures["au_12_auc"].value == 1
    assert figures["au_12_icc"].value == pytest.approx(
        consistency(5 * unit.probability, unit.intensity)
    )
    (point,) = found.curves["reliability of expressions"].points
    assert point.x == pytest.approx(0.8 + 0.2 / 7)


class SeenOverTime:
    """Stands for a network that looks at time: its valence is the stamp."""

    def estimate(
        self, tag: int, stamp: float, crops: Sequence[FaceCrop]
    ) -> list[tuple[int, list[ValenceArousal]]]:
        return [(tag, [ValenceArousal(crop.face_id, "net", stamp, 0.0) for crop in crops])]

    def finish(self) -> list[tuple[int, list[ValenceArousal]]]:
        return []


@pytest.fixture
def over_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[int]], list[float]]:
    """Returns the valence of each sample of two videos with these frames."""

    def crop(data: Dataset, row: int, face_id: str) -> FaceCrop:
        return FaceCrop(face_id, np.zeros((160, 160, 3), np.uint8), np.eye(2, 3))

    def valences(frames: list[int]) -> list[float]:
        columns = {
            "video": np.array(["a"] * len(frames) + ["b"], object),
            "frame": np.array([*frames, 60], np.float64),
        }
        columns["sample"] = columns["video"]
        data = Dataset(Path("set"), "set", "mine", "a test", columns)
        return [one.affect[0] for one in affect_answers._over_videos(SeenOverTime(), data)]

    monkeypatch.setattr(affect_answers, "_crop", crop)
    return valences


def test_a_network_that_looks_at_time_sees_each_video_in_order(
    over_time: Callable[[list[int]], list[float]],
) -> None:
    # Of frame 4 the face was not found.
    assert over_time([3, 1, 2, 5]) == pytest.approx([3 / 30, 1 / 30, 2 / 30, 5 / 30, 2])
    with pytest.raises(DatasetError, match="frames of video a do not follow each other"):
        over_time([1, 3, 5, 7])


def test_intensities_are_not_taken_for_presence() -> None:
    units = ActionUnits("0", "net", {12: ActionUnit(probability=0.9, threshold=0.5)})
    answer = affect_answers._Answer((np.nan, np.nan), units=units)
    columns = {
        "sample": np.array(["a", "b"], object),
        "au_12": np.array([1.0, np.nan]),
        "intensity_12": np.array([4.0, np.nan]),
    }
    data = Dataset(Path("set"), "set", "mine", "a test", columns)
    found = affect_answers._unit(12, [answer, answer], data)
    assert found.present[0] == 1
    assert found.intensity[0] == 4
    columns["au_12"][1] = 0.3
    with pytest.raises(DatasetError, match=r"au_12 is 0\.3, 0, 1 or null was expected"):
        affect_answers._unit(12, [answer, answer], data)
    with pytest.raises(DatasetError, match="intensity_12 must hold numbers"):
        dataset._column(Path("t"), "intensity_12", ["strong"])


def test_consistency_is_icc_3_1_of_a_two_way_analysis_of_variance() -> None:
    random = np.random.default_rng(3)
    x = random.normal(0, 1, 50)
    y = 0.7 * x + random.normal(0, 0.5, 50) + 3  # a constant difference does not count
    table = np.stack([x, y], 1)
    rows, columns = table.mean(1), table.mean(0)
    between = 2 * ((rows - table.mean()) ** 2).sum() / 49
    residual = ((table - rows[:, None] - columns + table.mean()) ** 2).sum() / 49
    assert consistency(x, y) == pytest.approx((between - residual) / (between + residual))
    assert np.isnan(consistency(np.ones(4), np.ones(4)))


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The looks of two rendered people as a data set."""
    folder = tmp_path_factory.mktemp("looks")
    (folder / "rendered" / "people").mkdir(parents=True)
    (folder / "rendered" / "settings.json").write_text(json.dumps({"seed": 7}))
    truths = json.loads((RENDERED / "truth.json").read_text())
    for number, person in enumerate("ab"):
        files = [f"{person}_{look}.jpg" for look in LOOKS]
        lines = [json.dumps({"file": file, **truths[file]}) for file in files]
        table = folder / "rendered" / "people" / f"{number:06d}.jsonl"
        table.write_text("\n".join(lines) + "\n")
        for file in files:
            shutil.copy(RENDERED / file, folder / "rendered")
    counts = rendered_people.convert([folder / "rendered"], folder / "set", tracker=load_tracker())
    assert counts == {"written": 2 * len(LOOKS)}
    return folder / "set"


def test_the_shipped_gaze_network_is_measured_on_rendered_people(
    looks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, plots = tmp_path / "deep" / "small_gaze.json", tmp_path / "plots"
    arguments = ["evaluate", "small_gaze", "--data", str(looks), "--results", str(results)]
    assert main([*arguments, "--plots", str(plots)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("yaw_gain: ") and "people)" not in line for line in lines)
    found = json.loads(results.read_text())
    assert found["figures"]["error_deg"]["n"] == 2 * len(LOOKS)
    # The signs are right. The offset is not tested: the network corrects for real people.
    assert found["figures"]["yaw_correlation"]["value"] > 0.8
    assert found["figures"]["pitch_correlation"]["value"] > 0.5
    assert len(found["sha256"]["model"]) == len(found["sha256"]["samples"]) == 64
    assert found["model"] == "small_gaze"
    assert found["split"] == "all"
    (plot,) = plots.glob("error_against_head*.svg")
    assert "small_gaze on" in plot.read_text()


def test_a_model_is_not_measured_on_what_it_was_trained_on(looks: Path, tmp_path: Path) -> None:
    bundled = GAZE_NETWORKS.bundled_card("small_gaze")
    assert bundled is not None
    data = dataset.read(looks)
    shutil.copytree(bundled.parent, tmp_path / "models")
    card = tmp_path / "models" / bundled.name
    content = yaml.safe_load(card.read_text())
    del content["seal"]
    card.write_text(yaml.safe_dump(content))
    assert measurement.measure(str(card), looks, None).lines()[0] == "part: all"
    card.write_text(yaml.safe_dump({**content, "origin": f"trained on {data.described}"}))
    # Both people are in the part "train".
    with pytest.raises(DatasetError, match=r"no sample in the part test: .* --split"):
        measurement.measure(str(card), looks, None)
    assert measurement.measure(str(card), looks, "train").lines()[0] == "part: train"


def test_the_default_expression_network_is_measured_on_painted_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_affect_set(
        tmp_path / "set", AffectSet(people=0, photos=2, samples=3, incomplete=False)
    )
    assert main(["evaluate", "expression", "--data", str(folder)]) == 0
    found = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert {"expression_accuracy", "ccc_valence", "ccc_arousal"} <= set(found)
    assert 0 <= float(found["expression_accuracy"].split()[0]) <= 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["small_gaze"], "--data"),
        (["small_gaze", "expression", "--results", "x.json"], "one model"),
        ([".", "expression"], "one kind"),
        ([".", "--plots", "x"], "installed model"),
        (["voice_activity", "--data", "{looks}"], "voice_activity"),
        (["expression", "--data", "/nowhere"], "/nowhere"),
        (["no_such_model", "--data", "{looks}"], "no_such_model"),
    ],
)
def test_what_cannot_be_measured_is_named(
    arguments: list[str], named: str, looks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *(text.format(looks=looks) for text in arguments)]) == 1
    error = capsys.readouterr().err
    assert named in error
    assert "Traceback" not in error
