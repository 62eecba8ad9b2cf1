"""The multitask recipe: reads data sets, trains, resumes, and exports a model."""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import yaml
from waits import scaled

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")
pyarrow = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from calls_in_this_process import finished_here

from face_perception.affect import MultitaskNet
from face_perception.affect.multitask import multitask_input
from face_perception.inference import install_model, load
from face_perception.learning import runs
from face_perception.learning.claims import affect_comparison as beside
from face_perception.learning.claims import multitask as multitask_claims
from face_perception.learning.claims import table as claims
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.multitask import recipe as multitask_recipe
from face_perception.learning.multitask.affect_data import AffectData, TaskBatches, read_affect
from face_perception.learning.multitask.metrics import (
    chance_scores,
    evaluate_networks,
    predict_logits,
    scores_of_logits,
)
from face_perception.learning.multitask.network import AU
from face_perception.learning.multitask.recipe import MultitaskRecipe, read_multitask_recipe, train
from face_perception.learning.synthesis.affect_set import AffectSet, write_affect_set
from face_perception.types import FaceCrop

if TYPE_CHECKING:  # needs ROS
    from node_processes import NodeProcess, Peer

SMALL = MultitaskRecipe(
    width=0.125, shrink=2, batch=6, steps=2, trunk_epochs=0, teacher_epochs=1, student_epochs=1
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Narrow layers are no faster with a second thread, which other tests need."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = AffectSet(people=2, photos=1, samples=8, seed=2, incomplete=False)
    return write_affect_set(tmp_path_factory.mktemp("sets") / "affect", settings)


@pytest.fixture(scope="module")
def data(folder: Path) -> AffectData:
    return read_affect(folder)


def test_reads_what_synthesis_writes(data: AffectData, folder: Path) -> None:
    assert len(data) == 24
    assert all(len(data.of_task(task)) == 24 for task in ("EXPR", "AU", "VA"))
    row = pq.read_table(folder / "samples.parquet").to_pylist()[3]
    patch = cv2.imread(str(folder / row["file"]))[..., ::-1]
    crop = FaceCrop("a", np.ascontiguousarray(patch), np.eye(2, 3))
    np.testing.assert_array_equal(data.faces[3], multitask_input([crop])[0])
    assert data.affect[3] == pytest.approx([row["valence"], row["arousal"]])
    kept = data.incomplete(np.random.default_rng(0))
    counts = [len(kept.of_task(task)) for task in ("EXPR", "AU", "VA")]
    assert sum(counts) == 24


def _images(folder: Path) -> list[Path]:
    return sorted((folder / "images").glob("*.png"))


def _change(folder: Path, **values: object) -> None:
    """Changes the second sample, whose split is train."""
    rows = pq.read_table(folder / "samples.parquet").to_pylist()
    rows[0]["split"] = "train"
    rows[1].update({"split": "train", **values})
    for row in rows[2:]:
        row["split"] = "train"
    pq.write_table(pyarrow.Table.from_pylist(rows), folder / "samples.parquet")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda d: (d / "dataset.yaml").unlink(), "dataset.yaml is missing"),
        (lambda d: (d / "dataset.yaml").write_text("format: 9"), "format must be 1"),
        (
            lambda d: (d / "samples.parquet").write_bytes(b"odd"),
            "cannot be read: .*Parquet",
        ),
        (
            lambda d: next((d / "images").glob("*.png")).unlink(),
            "no file .*: an image of 160x160",
        ),
        (
            lambda d: _images(d)[1].write_bytes(b"odd"),
            r"is not a picture .*\(an image of 160x160 was",
        ),
        (lambda d: cv2.imwrite(str(_images(d)[1]), np.zeros((9, 8, 3))), "is 8x9: an image of"),
        (lambda d: _change(d, au_4=3.0), "sample 000001: au_4 is 3, 0, 1 or null was expected"),
        (lambda d: _change(d, arousal=2.0), "000001: arousal is 2, a number in"),
        (lambda d: _change(d, valence=math.inf), "000001: valence is inf, a number in"),
        (lambda d: _change(d, expression="glad"), "row 1: expression is 'glad', one of neutral"),
        (lambda d: _change(d, split="test"), "subject drawn_0000 is in .* and in"),
        (lambda d: _change(d, file="../a.png"), "row 1: ../a.png must be a path inside"),
        (
            lambda d: pq.write_table(
                pq.read_table(d / "samples.parquet").slice(0, 0), d / "samples.parquet"
            ),
            "no sample",
        ),
    ],
)
def test_an_odd_set_is_named(
    folder: Path, tmp_path: Path, harm: Callable[[Path], Any], said: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    harm(copy)
    with pytest.raises(DatasetError, match=said):
        read_affect(copy)


def test_a_column_that_is_not_there_is_a_label_that_is_missing(
    data: AffectData, folder: Path, tmp_path: Path
) -> None:
    """So that networks can be evaluated on a data set of one task."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    table = pq.read_table(copy / "samples.parquet")
    pq.write_table(table.drop_columns(["au_6", "expression"]), copy / "samples.parquet")
    some = read_affect(copy)
    assert [len(some.of_task(task)) for task in ("EXPR", "AU", "VA")] == [0, 0, 24]
    logits = {"au": torch.zeros(24, 8), "expression": torch.zeros(24, 7), "va": torch.rand(24, 40)}
    whole = scores_of_logits(logits, data)
    assert scores_of_logits(logits, some) == {
        k: whole[k] for k in ("VA", "CCC valence", "CCC arousal")
    }
    with pytest.raises(DatasetError, match=r"EXPR \(expression\), AU \(au_1, .*all of them\)$"):
        TaskBatches(some, size=2, steps=1, seed=0, epoch=0, balanced=True)


def test_action_units_are_balanced_where_one_never_occurs(data: AffectData) -> None:
    units = data.units.copy()
    units[:, 0] = 0
    units[:, 1] = np.arange(24) == 5
    rare = dataclasses.replace(data, units=units)
    batches = TaskBatches(rare, size=50, steps=8, seed=1, epoch=0, balanced=True)
    drawn = torch.cat([batches[i]["AU"]["label"] for i in range(8)])
    assert drawn[:, 1].mean() > 3 / 24


def test_balanced_batches_draw_the_rare(data: AffectData) -> None:
    labels = np.array([0] * 20 + [4] * 4, np.int8)
    uneven = dataclasses.replace(data, expression=labels)
    share = {}
    for balanced in (False, True):
        batches = TaskBatches(uneven, size=50, steps=8, seed=1, epoch=0, balanced=balanced)
        drawn = torch.cat([batches[i]["EXPR"]["label"] for i in range(8)])
        share[balanced] = float((drawn == 4).float().mean())
    assert share[False] == pytest.approx(1 / 6, abs=0.07)
    assert share[True] == pytest.approx(1 / 2, abs=0.08)
    none = dataclasses.replace(data, expression=np.full(24, -1, np.int8))
    with pytest.raises(DatasetError, match="no sample has the labels of EXPR"):
        TaskBatches(none, size=2, steps=1, seed=0, epoch=0, balanced=True)


def test_overfits_a_tiny_set(data: AffectData) -> None:
    tiny = data.take(np.arange(0, 24, 4))
    # With balancing, it would draw a few of the six samples nearly always.
    recipe = dataclasses.replace(SMALL, batch=6, steps=80, rate=5e-3, balanced=False)
    before = evaluate_networks(
        [train(tiny, dataclasses.replace(recipe, steps=1), seed=3, epochs=1)], tiny
    )
    after = evaluate_networks([train(tiny, recipe, seed=3, epochs=1)], tiny)
    assert after["EXPR accuracy"] >= 0.8 > before["EXPR accuracy"]
    assert after["AU accuracy"] > 0.9
    assert after["VA"] > 1.4


@pytest.mark.parametrize("kind", ["trunk", "teacher", "student"])
def test_goes_on_bit_for_bit(data: AffectData, tmp_path: Path, kind: str) -> None:
    begin = train(data, SMALL, seed=9, epochs=1) if kind == "student" else None
    trunk = multitask_recipe.trunk_weights(begin) if begin is not None else None

    def weights(folder: Path, *epochs: int) -> list[np.ndarray]:
        for until in epochs:
            network = train(
                data,
                SMALL,
                seed=4,
                epochs=2,
                stop_after=until,
                whole=kind == "trunk",
                trunk=trunk,
                teacher=begin,
                folder=folder,
                resume=multitask_recipe.has_checkpoint(folder),
            )
        return [value.numpy() for value in network.state_dict().values()]

    whole, resumed = weights(tmp_path / "a", 2), weights(tmp_path / "b", 1, 2)
    for one, two in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((tmp_path / "a" / "log").glob("events*"))
    again = weights(tmp_path / "a", 2)  # complete, so it is only read
    np.testing.assert_array_equal(whole[0], again[0])
    with pytest.raises(ValueError, match="of an earlier run: --resume"):
        train(data, SMALL, seed=4, epochs=2, folder=tmp_path / "a")


def test_goes_on_after_a_crash(
    data: AffectData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash within an epoch, training repeats that epoch and ends with the same bits."""
    whole = train(data, SMALL, seed=4, epochs=3)
    step = multitask_recipe.MultitaskModule.training_step

    def crash(self: Any, batch: Any, number: int) -> torch.Tensor:
        if self.current_epoch == 2 and number == 1:
            raise OSError("power cut")
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(multitask_recipe.MultitaskModule, "training_step", crash)
        with pytest.raises(OSError, match="power cut"):
            train(data, SMALL, seed=4, epochs=3, folder=tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").glob("*.ckpt")] == ["last.ckpt"]
    resumed = train(data, SMALL, seed=4, epochs=3, folder=tmp_path / "run", resume=True)
    for one, two in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_begins_with_a_trunk(data: AffectData) -> None:
    """Layers that are not trained keep the weights of the trunk; another seed gives others."""
    trunk = multitask_recipe.trunk_weights(train(data, SMALL, seed=1, epochs=1, whole=True))
    still = dataclasses.replace(SMALL, rate=1e-12)
    name = "model.conv3_1_3x3.weight"
    with_it = train(data, still, seed=2, epochs=1, trunk=trunk).backbone.state_dict()[name]
    without = train(data, still, seed=2, epochs=1).backbone.state_dict()[name]
    torch.testing.assert_close(with_it, trunk[name], rtol=0, atol=1e-6)
    assert (without - trunk[name]).abs().max() > 1e-3
    lacking = data.incomplete(np.random.default_rng(0))
    with pytest.raises(DatasetError, match="no sample has the labels of all tasks"):
        train(lacking, SMALL, seed=1, epochs=1, whole=True)


def test_recipe_file(tmp_path: Path) -> None:
    assert read_multitask_recipe().width == 0.125
    file = tmp_path / "recipe.yaml"
    file.write_text("widht: 1")
    with pytest.raises(ValueError, match="widht"):
        read_multitask_recipe(file)
    file.write_text("width: 2.0")
    with pytest.raises(ValueError, match=r"recipe\.yaml: width: 2\.0"):
        read_multitask_recipe(file)


def test_a_run_in_its_folder(folder: Path, tmp_path: Path) -> None:
    """Runs ``face-perception train`` and ``evaluate_networks``, and tests on other people."""
    there = shutil.copytree(folder, tmp_path / "data")
    rows = pq.read_table(there / "samples.parquet").to_pylist()
    for row in rows:
        row["split"] = "test" if row["subject"].startswith("photo") else "train"
    pq.write_table(pyarrow.Table.from_pylist(rows), there / "samples.parquet")
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    trunk = {"trunk_epochs": 1, "trunk_people": 1, "trunk_images": 4}
    settings = {**dataclasses.asdict(SMALL), **trunk, "students": 1, "steps": 1}
    recipe.write_text(yaml.safe_dump(settings))
    model = runs.train(str(recipe), there, out, resume=False, name="taught", report=lambda _: None)
    assert model.facts["evaluation"]["on"] == "8 images of 1 other people"
    unfinished: list[str] = []
    found = runs.evaluate(out, None, None, unfinished.append)
    assert unfinished == []
    assert found["VA"] == pytest.approx(model.facts["evaluation"]["VA"], abs=1e-3)
    with pytest.raises(ValueError, match="has an earlier run"):
        runs.train(str(recipe), there, out, resume=False, name="taught", report=lambda _: None)
    shutil.rmtree(out / "teacher")  # as if the training of the trunk had been interrupted
    with pytest.raises(ValueError, match="has an earlier run"):
        runs.train(str(recipe), there, out, resume=False, name="taught", report=lambda _: None)
    # Some networks are missing: the run trains those, with the same results.
    shutil.rmtree(out / "student_0")
    with pytest.raises(ValueError, match="train --resume finishes the run"):
        runs.evaluate(out, None, None, unfinished.append)
    again = runs.train(str(recipe), None, out, resume=True, name="taught", report=lambda _: None)
    assert again.facts["evaluation"] == model.facts["evaluation"]


MEASURED = (
    *("AU", "EXPR", "VA", "AU F1", "AU accuracy", "EXPR F1", "EXPR accuracy"),
    *("CCC valence", "CCC arousal"),
)


def test_claims_are_differences_by_seed() -> None:
    def of(teacher: float, student: float) -> dict[str, dict[str, float]]:
        one = dict.fromkeys(MEASURED, teacher)
        other = dict.fromkeys(MEASURED, student)
        taught = {"student": other, "ensemble": other}
        return {"chance": one, "teacher": one, "unbalanced teacher": one, **taught}

    def verdict(*pairs: tuple[float, float]) -> str:
        return multitask_claims.outcome_of([of(*pair) for pair in pairs]).rows[0].verdict

    assert verdict((0.5, 0.6), (0.5, 0.61), (0.4, 0.5)) == "holds"
    assert verdict((0.5, 0.4), (0.5, 0.39), (0.4, 0.3)) == "does not hold"
    assert verdict((0.5, 0.6), (0.5, 0.4), (0.4, 0.41)) == "not shown"


def test_a_guess_is_of_what_was_seen() -> None:
    def row(f1: float, accuracy: float) -> str:
        plain = dict.fromkeys(MEASURED, 0.5)
        balanced = {**plain, "AU F1": 0.5 + f1, "AU accuracy": 0.5 + accuracy}
        found = {"teacher": balanced, "unbalanced teacher": plain, "student": plain}
        rows = multitask_claims.outcome_of([{**found, "ensemble": plain, "chance": plain}] * 2).rows
        return next(r.guess for r in rows if r.measure == "AU, teacher minus unbalanced teacher")

    assert row(0.1, -0.2).startswith("AU F1 +0.100, AU accuracy -0.200: rare labels")
    assert "by heart" in row(-0.2, -0.1)


def test_beside_what_the_affect_node_does_by_default(data: AffectData, folder: Path) -> None:
    index = beside.first_images(data.people, data.people)
    assert len(index) == 3 * beside.IMAGES_EACH
    some = data.take(index)
    found = beside.default_estimates(folder, data, index)
    alone, known = found[beside.ALONE], found[beside.NEUTRAL_KNOWN]
    told = np.isfinite(alone.units)
    assert told.any(1).mean() > 0.8, "the mesh finds drawn faces in their patches"
    assert not told[:, AU.index(6)].any(), "landmarks do not tell a raised cheek"
    parted = some.units[:, AU.index(25)] == 1
    lips = alone.units[:, AU.index(25)]
    assert np.nanmean(lips[parted]) > np.nanmean(lips[~parted]) + 0.2
    assert not np.array_equal(alone.units, known.units, equal_nan=True)
    # Predictions that equal the labels get perfect scores.
    right = beside.AffectEstimates(some.units.astype(float), some.expression, some.affect)
    scores = beside.scores({**found, beside.NETWORK: right}, some)
    assert scores["AU25 F1"][beside.NETWORK] == 1 > scores["AU25 F1"][beside.ALONE]
    assert scores["EXPR F1"][beside.NETWORK] == 1 > scores["EXPR F1"][beside.ALONE]
    assert scores["CCC valence"][beside.NETWORK] == pytest.approx(1)
    assert beside.ALONE not in scores.get("AU6 F1", {})
    table = beside.comparison_table({"drawn": [scores, scores]})
    assert "| drawn: default, neutral known |" in table
    assert "| EXPR accuracy | " in table
    assert "| 1 ± 0 |\n" in table


def test_claims_are_trained_for(
    data: AffectData, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trains the smallest networks for all claims, with two seeds in one process."""
    one = dataclasses.replace(SMALL, steps=1, students=2, batch=3)
    monkeypatch.setattr(multitask_claims, "finished_calls", finished_here)
    taught: dict[int, Any] = {}
    found = multitask_claims.train_and_measure(
        data, one, (0, 1), lambda _: None, tmp_path, judge=taught.__setitem__
    )
    outcome = multitask_claims.outcome_of(found)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/last.ckpt")}
    again = multitask_claims.train_and_measure(data, one, (0, 1), lambda _: None, tmp_path)
    assert len(outcome.rows) == 12
    assert all(len(row.values) == 2 for row in outcome.rows)
    assert found[0]["teacher"] != found[1]["teacher"]
    assert found[0]["teacher"] != found[0]["student"]
    # After an interruption, nothing is computed twice.
    assert found == again
    assert len(kept) == 2 * (2 + 2)
    after = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/last.ckpt")}
    assert after == kept
    table = outcome.sections[0]
    assert "| measure | chance | teacher | unbalanced teacher | student | ensemble |" in table
    assert f"| VA | {0:.3g} ± 0 |" in table
    assert "| AU F1 |  |" in table
    assert [len(students) for students in taught.values()] == [2, 2]
    section = multitask_claims.compare_with_default(folder, data, taught, lambda _: None)
    assert "| EXPR F1 | " in section


def test_chance_is_the_best_single_answer(data: AffectData) -> None:
    found = chance_scores(data)
    best = 0.0
    for k in range(7):
        logits = {
            "au": torch.zeros(24, 8),
            "expression": torch.eye(7)[k].repeat(24, 1),
            "va": torch.zeros(24, 40),
        }
        best = max(best, scores_of_logits(logits, data)["EXPR"])
    assert found["EXPR"] == pytest.approx(best)
    absent = {**logits, "au": torch.full((24, 8), -1.0)}
    assert found["AU"] >= scores_of_logits(absent, data)["AU"] - 1e-9
    assert found["VA"] == 0


def test_claims_go_on_unless_the_source_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results of an interrupted part are reused the second time, and deleted at the end."""
    made: list[int] = []
    interrupted = [False, True]

    def rows(seeds: range, report: Callable[[str], None], work: Path) -> claims.Outcome:
        work.mkdir(exist_ok=True)
        for seed in seeds:
            if seed == 2 and interrupted.pop():
                raise KeyboardInterrupt
            if not (work / str(seed)).exists():
                made.append(seed)
                (work / str(seed)).write_text(str(seed + 1.0))
        values = tuple(float((work / str(seed)).read_text()) for seed in seeds)
        return claims.Outcome([claims.Row("c", "p", "m", values, "g")], ["## More\n"])

    module = types.SimpleNamespace(NOTE="a note", rows=rows)
    monkeypatch.setitem(sys.modules, "a_part", module)
    monkeypatch.setattr(claims, "PARTS", {"one": "a_part"})
    work, out = tmp_path / "work", tmp_path / "claims.md"
    with pytest.raises(KeyboardInterrupt):
        claims.write_claims(out, [], 3, lambda _: None, work)
    assert not out.exists()
    said: list[str] = []
    page = claims.write_claims(out, ["one"], 3, said.append, work)
    assert f"continuing with the networks in {work}" in said
    assert "all: 0.0 minutes" in said
    assert made == [0, 1, 2]
    assert page == out.read_text()
    assert "| c | p | m | +2 ± 2.5 | not shown | 4 | g |" in page
    assert "In short, the verdicts of 1 comparisons: *not shown* 1." in page
    assert "* a note. 0.0 minutes." in page
    assert "* All: 0.0 minutes since it was continued on " in page
    assert page.endswith("\n\n## More\n")
    assert not work.exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    interrupted.append(False)
    assert "since it was continued" not in claims.write_claims(
        out, ["one"], 3, lambda _: None, empty
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="mine has other files"):
        claims.write_claims(out, [], 3, lambda _: None, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").exists()


def test_held_out_people_are_others(data: AffectData) -> None:
    ours, others = multitask_claims.split(data, 0)
    assert sorted({*ours.people, *others.people}) == ["drawn_0000", "drawn_0001"]
    assert not set(ours.people) & set(others.people)
    assert len(ours) + len(others) == 16, "no photograph: all of them share a face"


def test_its_model_runs_in_the_node(
    data: AffectData,
    folder: Path,
    own_models: Path,
    start: Callable[..., NodeProcess],
    peer: Peer,
) -> None:
    from std_msgs.msg import Header

    from face_perception import msg
    from face_perception.ros import messages
    from face_perception.ros.result_kinds import FACE_CROPS, Result

    recipe = dataclasses.replace(SMALL, students=2)
    _, students = multitask_recipe.train_ensemble(data, recipe)
    card = install_model(
        multitask_recipe.model_build(
            "taught", students, recipe, data, trained_on="synthetic people", licence="none"
        )
    )
    assert card.facts["evaluation"]["on"] == "24 images of 3 other people"
    assert card.facts["evaluation"]["VA"] == pytest.approx(
        evaluate_networks(students, data)["VA"], abs=1e-4
    )
    assert card.facts["recipe"]["width"] == 0.125
    row = pq.read_table(folder / "samples.parquet").to_pylist()[0]
    patch = np.ascontiguousarray(cv2.imread(str(folder / row["file"]))[..., ::-1])
    crop = FaceCrop("a", patch, np.eye(2, 3))
    offline = MultitaskNet(load("taught")).estimate([crop])[0]
    # The installed model equals the trained networks.
    said = torch.stack(
        [predict_logits(s, data.faces[:1])["expression"].softmax(1) for s in students]
    )
    np.testing.assert_allclose(offline.expression.probability, said.mean(0)[0].numpy(), atol=1e-3)

    start("affect", model="taught", expression_smoothing=0.0)
    heard = peer.listen(msg.ValenceArousalArray, "valence_arousal")
    publisher = peer.publisher(msg.FaceCrops, "face_crops")
    stamp, end = 1.0, time.monotonic() + scaled(30)
    while not any(m.values for m in heard):
        assert time.monotonic() < end, "nothing came of it"
        stamp += 0.1
        publisher.publish(FACE_CROPS.write(Result(Header(stamp=messages.time(stamp)), [crop])))
        peer.spin(0.1)
    found = next(m.values[0] for m in heard if m.values)
    assert found.source == "taught"
    assert found.valence == pytest.approx(offline.valence_arousal.valence, abs=1e-3)
