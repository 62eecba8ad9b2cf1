"""Synthetic people, the layout of data sets, and the GEDDnet recipe: overfits, resumes, becomes a
model.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import signal
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")
import torch
from calls_in_this_process import finished_here

from face_perception.cli import main
from face_perception.inference import find_card, load
from face_perception.learning.claims import gaze as gaze_claims
from face_perception.learning.claims import table as claims
from face_perception.learning.data import dataset
from face_perception.learning.geddnet import recipe as recipes
from face_perception.learning.geddnet.recipe import GazeRecipe
from face_perception.learning.recipe import read_settings, recipe_file
from face_perception.learning.synthesis import worker_count
from face_perception.learning.synthesis.gaze_crops import GazeFaces, gaze_faces
from face_perception.learning.training_loop import EpochOrder

TINY = GazeRecipe(width=0.03125, epochs=2, batch=6, people=4, images=3, dropout=0.2)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def drawn() -> GazeFaces:
    return gaze_faces(4, 3, seed=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    recipes.write_synthetic_people(tmp_path / "set", dataclasses.replace(TINY, seed=5))
    return tmp_path / "set"


def test_drawn_people_are_the_same_again_in_parallel(
    drawn: GazeFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_count, "IMAGES_PER_WORKER", 1)
    forks: list[int] = []
    os.register_at_fork(before=lambda: forks.append(1))
    again = gaze_faces(4, 3, seed=5, workers=2)
    assert not forks, "networks that run in this process do not survive one"
    for field in dataclasses.fields(GazeFaces):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(drawn, field.name))
    assert drawn.face.shape == (12, 96, 96)
    assert drawn.left_eye.shape == (12, 64, 96)
    other = gaze_faces(4, 3, seed=6)
    assert not np.array_equal(other.face, drawn.face)


def test_people_differ_by_a_bias_of_the_size_that_was_asked_for() -> None:
    kappa = np.concatenate([gaze_faces(10, 1, seed=s, kappa=0.05).kappa for s in range(4)])
    assert kappa.std() == pytest.approx(0.05, rel=0.35)


def test_people_asked_to_look_at_a_target_do_with_their_heads_turned(drawn: GazeFaces) -> None:
    there = gaze_faces(4, 30, seed=5, target=(0.1, -0.2))
    np.testing.assert_allclose(there.gaze, np.tile((0.1, -0.2), (120, 1)))
    np.testing.assert_array_equal(there.kappa[::30], drawn.kappa[::3])
    assert not np.array_equal(there.head[:3], drawn.head[:3])
    # The eyes turn a part of the way: standard deviations are 18/14 and 10/9 degrees of head and
    # eye.
    np.testing.assert_allclose(there.head.mean(0), (0.055, -0.125), atol=0.05)
    np.testing.assert_allclose(np.degrees(there.head.std(0)), (6.7, 11.1), rtol=0.25)


def test_the_layout_holds_what_was_written(folder: Path, drawn: GazeFaces) -> None:
    found = dataset.read(folder, recipes.NEEDS)
    back = recipes.gaze_faces_of(found)
    np.testing.assert_array_equal(back.face, drawn.face)
    np.testing.assert_array_equal(back.right_eye, drawn.right_eye)
    np.testing.assert_allclose(back.gaze, drawn.gaze)
    people = [set(found.part(split).columns["subject"]) for split in dataset.SPLITS]
    assert not people[0] & people[2]
    assert np.isnan(found.labels("valence")).all()


def test_missing_labels_are_nan_and_such_samples_left_out(tmp_path: Path) -> None:
    image = np.zeros((96, 96), np.uint8)
    about = {"name": "n", "licence": "l", "made_by": "m"}
    with dataset.Writer(tmp_path / "set", **about) as writer:
        writer.add({"file": image}, "a", "train", gaze_pitch=0.1, gaze_yaw=None)
        writer.add({"file": image}, "b", "train", expression="happy", au_12=1.0)
    found = dataset.read(tmp_path / "set")
    np.testing.assert_array_equal(np.isnan(found.labels("gaze_pitch", "au_12")), [[0, 1], [1, 0]])
    with pytest.raises(dataset.DatasetError, match="no sample has gaze_pitch and gaze_yaw"):
        recipes.gaze_faces_of(found)
    with pytest.raises(dataset.DatasetError, match="lacks the columns left_eye, right_eye"):
        dataset.read(tmp_path / "set", recipes.NEEDS)


def test_images_have_the_values_that_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (96, 64), np.uint8)
    rgb = rng.integers(0, 256, (96, 64, 3), np.uint8)
    about = {"name": "n", "licence": "l", "made_by": "m"}
    monkeypatch.chdir(tmp_path)
    with dataset.Writer(Path("day:2"), **about) as writer:  # which pyarrow takes for an address
        writer.add({"file": rgb, "left_eye": gray}, "a", "train", gaze_pitch=0.1, gaze_yaw=None)
    found = dataset.read(Path("day:2"))
    np.testing.assert_array_equal(found.rgb(0, "file", (96, 64)), rgb)
    np.testing.assert_array_equal(found.gray(0, "left_eye", (96, 64)), gray)
    np.testing.assert_array_equal(found.rgb(0, "left_eye", (96, 64)), np.dstack([gray] * 3))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n cut off", "damaged or cut off"),
        (b"", "is empty"),
    ],
)
def test_a_file_that_is_not_an_image_is_named_with_the_reason(
    folder: Path, content: bytes, said: str
) -> None:
    found = dataset.read(folder)
    eye = folder / found.columns["left_eye"][2]
    eye.write_bytes(content)
    with pytest.raises(
        dataset.DatasetError, match=rf"{eye.name}.* {said}.*\(a gray image of 96x64"
    ):
        recipes.gaze_faces_of(found)


def test_an_odd_file_is_named_with_what_was_expected(folder: Path) -> None:
    found = dataset.read(folder)
    eye = folder / found.columns["left_eye"][2]
    cv2.imwrite(str(eye), np.zeros((10, 20), np.uint8))
    with pytest.raises(dataset.DatasetError, match=f"{eye.name} is 20x10: .* 96x64 was expected"):
        recipes.gaze_faces_of(found)
    eye.unlink()
    with pytest.raises(dataset.DatasetError, match=r"there is no file .*: a gray image of 96x64"):
        recipes.gaze_faces_of(found)
    (folder / "dataset.yaml").write_text("format: 2\n")
    with pytest.raises(dataset.DatasetError, match="format must be 1, not 2"):
        dataset.read(folder)
    (folder / "dataset.yaml").unlink()
    with pytest.raises(dataset.DatasetError, match=r"dataset\.yaml is missing"):
        dataset.read(folder)


def test_nothing_is_left_of_a_set_that_was_not_finished(tmp_path: Path) -> None:
    about = {"name": "n", "licence": "l", "made_by": "m"}
    with (
        pytest.raises(dataset.DatasetError, match="expression is 'glad'"),
        dataset.Writer(tmp_path / "set", **about) as writer,
    ):
        writer.add({"file": np.zeros((9, 9), np.uint8)}, "a", "train", expression="glad")
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("task: geddnet\nwidht: 0.5\n")
    with pytest.raises(ValueError, match=r"r\.yaml: .*widht: did you mean width"):
        read_settings(GazeRecipe, file)
    file.write_text("task: geddnet\nepochs: many\n")
    with pytest.raises(ValueError, match="epochs: 'many'"):
        read_settings(GazeRecipe, file)
    file.write_text("task: geddnet\nbeta2: 1.0\n")
    with pytest.raises(ValueError, match=r"beta2: 1\.0"):
        read_settings(GazeRecipe, file)
    assert read_settings(GazeRecipe, recipe_file("geddnet")).width == 0.125
    with pytest.raises(ValueError, match="no recipe 'gedd': use one of dilated_net, geddnet"):
        recipe_file("gedd")
    with pytest.raises(ValueError, match=r"recipe none\.yaml cannot be read: No such file"):
        read_settings(GazeRecipe, recipe_file("none.yaml"))


def test_a_run_that_cannot_be_is_refused_before_the_work(
    drawn: GazeFaces, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    for out in (file, file / "run"):
        assert main(["train", "geddnet", "--out", str(out)]) == 1
        (message,) = capsys.readouterr().err.splitlines()
        assert f"{out} cannot be a run's folder (Not a directory): choose another" in message
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or not .*: train again into"):
        recipes.train(drawn, TINY, out=tmp_path, resume=True, quiet=True)


def test_the_recipe_overfits_a_tiny_set(drawn: GazeFaces) -> None:
    recipe = dataclasses.replace(TINY, width=0.0625, epochs=60, dropout=0.0, rate=1e-2)
    recipe = dataclasses.replace(recipe, batch=12, momentum=0.9)
    network = recipes.train(drawn, recipe, quiet=True)
    bias = network.bias.detach().numpy()[drawn.person] / 10 * (1, -1)
    error = recipes.angular_errors(recipes.predict(network, drawn) + bias, drawn.gaze).mean()
    untrained = recipes.angular_errors(np.zeros_like(drawn.gaze), drawn.gaze).mean()
    assert error < 0.35 * untrained


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [("one_cycle", (0.04, 1.0, 0.0)), ("staircase", (1.0, 1.0, 1.0))],
)
def test_the_rate_follows_the_schedule(
    schedule: str, shares: tuple[float, ...], drawn: GazeFaces
) -> None:
    class Rates(recipes.GEDDnetModule):
        def on_train_batch_start(self, batch: object, number: int) -> None:
            super().on_train_batch_start(batch, number)
            rates.append([group["lr"] for group in self.optimizers().param_groups])

    rates: list[list[float]] = []
    recipe = dataclasses.replace(TINY, schedule=schedule, epochs=10)
    recipes.fit_module(Rates(drawn, recipe), epochs=10, seed=0, quiet=True)
    others, trunk = np.array(rates).T / recipe.rate
    assert len(others) == 20
    assert (others[0], others.max(), others[-1]) == pytest.approx(shares, abs=0.03)
    # In the published schedule the pretrained trunk is fixed at first.
    assert (trunk == (others if schedule == "one_cycle" else 0)).all()


def test_the_published_staircase() -> None:
    steps = (0, 499, 500, 7999, 8000, 16000)
    found = [(recipes._staircase(s), recipes._trunk_staircase(s)) for s in steps]
    wanted = [(1, 0), (1, 0), (1, 0.1), (1, 0.1), (0.1, 0.01), (0.01, 0.001)]
    np.testing.assert_allclose(found, wanted)


def test_a_run_that_was_interrupted_ends_in_the_same_bits(drawn: GazeFaces, tmp_path: Path) -> None:
    recipe = dataclasses.replace(TINY, epochs=3)
    whole = recipes.train(drawn, recipe, out=tmp_path / "whole", quiet=True)
    module = recipes.GEDDnetModule(drawn, recipe)
    recipes.fit_module(module, epochs=1, seed=recipe.seed, out=tmp_path / "parts", quiet=True)
    resumed = recipes.train(drawn, recipe, out=tmp_path / "parts", resume=True, quiet=True)
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    with pytest.raises(ValueError, match="of an earlier run: --resume"):
        recipes.train(drawn, recipe, out=tmp_path / "parts", quiet=True)


def test_trained_by_the_command_it_is_a_model_that_the_gaze_node_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from face_perception.gaze import NetworkGaze

    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "models"))
    recipe = tmp_path / "small.yaml"
    recipe.write_text("task: geddnet\nwidth: 0.03125\nepochs: 1\nbatch: 4\npeople: 5\nimages: 2\n")
    out = tmp_path / "out"
    assert main(["train", str(recipe), "--out", str(out)]) == 0
    assert "error_deg" in capsys.readouterr().out
    assert list((out / "log").glob("events.out.tfevents*")), "no log for TensorBoard"
    assert main(["train", str(recipe), "--out", str(out)]) == 1
    assert "--resume" in capsys.readouterr().err
    model = load("small_trained")
    NetworkGaze(model)  # raises ModelError for any other model
    held = recipes.gaze_faces_of(dataset.read(out / "data").part("test"))
    crops = {"face": held.face, "left_eye": held.left_eye, "right_eye": held.right_eye}
    answer = model.infer({k: v[:, None].astype(np.float32) for k, v in crops.items()})["gaze"]
    error = recipes.angular_errors(np.asarray(answer, np.float64) * (1, -1), held.gaze).mean()
    assert main(["evaluate", str(out)]) == 0
    told = capsys.readouterr()
    assert "epochs" not in told.err
    said = dict(line.split(": ") for line in told.out.splitlines())
    assert float(said["error_deg"]) == pytest.approx(math.degrees(error), abs=0.05)
    assert model.card.licence == "Apache-2.0"
    (out / "recipe.yaml").write_text((out / "recipe.yaml").read_text() + "epochs: 3\n")
    assert main(["evaluate", str(out), "--split", "train"]) == 0
    assert "last.ckpt has 1 of 3 epochs: `train --resume`" in capsys.readouterr().err
    # Trained on another data set, the network has that data set's licence.
    again = ["--data", str(out / "data"), "--out", str(tmp_path / "again"), "--name", "again"]
    assert main(["train", str(recipe), *again]) == 0
    about = dataset.read(out / "data")
    assert find_card("again").licence == f"that of the data set {about.name}: {about.licence}"


def test_a_training_that_is_stopped_says_how_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "models"))
    recipe, out = tmp_path / "small.yaml", tmp_path / "out"
    recipe.write_text("task: geddnet\nwidth: 0.03125\nepochs: 2\nbatch: 4\npeople: 5\nimages: 2\n")
    step = recipes.GEDDnetModule.training_step

    def interrupted(module: recipes.GEDDnetModule, *batch: Any) -> Any:
        if module.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(module, *batch)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(recipes.GEDDnetModule, "training_step", interrupted)
        assert main(["train", str(recipe), "--out", str(out)]) == 130
    assert signal.getsignal(signal.SIGINT) is handler
    assert "stopped: `train --resume` with the same --out" in capsys.readouterr().err
    assert not (tmp_path / "models").exists(), "a network that is half trained is not installed"
    assert main(["train", str(recipe), "--out", str(out), "--resume"]) == 0


def test_bias_and_variance_are_told_apart() -> None:
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(400), 10)
    bias = random.normal(0, 0.05, (400, 2))[person]
    noise = random.normal(0, 0.03, (4000, 2))
    between, within = recipes.bias_and_variance(np.zeros((4000, 2)), bias + noise, person)
    assert between == pytest.approx(2 * 0.05**2, rel=0.1)
    assert within == pytest.approx(2 * 0.03**2, rel=0.1)


def test_calibration_takes_a_constant_bias_away() -> None:
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(5), 20)
    estimate = random.normal(0, 0.2, (100, 2))
    gaze = estimate + random.normal(0, 0.05, (5, 2))[person]
    before, after = recipes.calibration_errors(estimate, gaze, person, random)
    assert before > 0.02
    assert after < 1e-3


def test_a_verdict_needs_the_whole_interval() -> None:
    def verdict(*values: float) -> str:
        return claims.Row("c", "p", "m", values, "g").verdict

    assert verdict(10, 11, 12) == "holds"
    assert verdict(-10, -11, -12) == "does not hold"
    assert verdict(-1, 5, 9) == "not shown"
    # t of two degrees of freedom: 4.303 * 1 / sqrt 3
    assert claims.interval((1, 2, 3))[1] == pytest.approx(2.4842, abs=1e-3)


def test_claims_are_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaze_claims, "finished_calls", finished_here)
    recipe = dataclasses.replace(TINY, epochs=1)
    said: list[str] = []
    outcome = gaze_claims.rows((0, 1), said.append, tmp_path, recipe, (2, 11))
    assert all(len(row.values) == 2 and np.isfinite(row.values).all() for row in outcome.rows)
    assert "6 of 6 networks" in " ".join(said)
    page = claims.document(outcome.rows, ["a note"], 2)
    assert page.count("\n| ") == 1 + len(outcome.rows)
    _, beside = outcome.sections
    assert len(re.findall(r"^\| .* \| \d+ % \| [\d.]+ .*\| [\d.]+ .*\| [\d.]+", beside, re.M)) == 3
    with pytest.raises(ValueError, match="at least 3"):
        claims.write_claims(tmp_path / "c.md", [], 1, lambda line: None)


@pytest.mark.slow
def test_on_two_devices_each_has_its_half(drawn: GazeFaces, tmp_path: Path) -> None:
    """Trains on two CPU processes, as on two GPUs.

    They end with the call, and the network has learned from both halves.
    """
    recipe = dataclasses.replace(TINY, epochs=2, batch=2)
    module = recipes.GEDDnetModule(drawn, recipe)
    before = module.network.output.weight.detach().clone()
    recipes.fit_module(module, epochs=2, seed=0, out=tmp_path, devices=2, accelerator="cpu")
    assert not torch.equal(module.network.output.weight, before)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 2 * (len(drawn) // 2 // recipe.batch)
    assert torch.equal(kept["state_dict"]["network.output.weight"], module.network.output.weight)


def test_devices_share_an_epoch() -> None:
    def order(rank: int, devices: int) -> list[int]:
        trainer: Any = types.SimpleNamespace(global_rank=rank, world_size=devices)
        return list(EpochOrder(9, 1, 3, trainer))

    halves = order(0, 2), order(1, 2)
    assert [len(half) for half in halves] == [4, 4]
    assert not set(halves[0]) & set(halves[1])
    assert sorted(order(0, 1)) == list(range(9))
    with pytest.raises(ValueError, match="9 samples or steps are too few for 10 devices"):
        order(0, 10)
