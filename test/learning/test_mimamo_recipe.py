"""Tests the recipe of MIMAMO-Net: losses, clips, cache, training, resuming, and the models."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from goldens import golden

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")

from face_perception import motion
from face_perception.errors import InputError
from face_perception.inference import install_model, load
from face_perception.learning import runs
from face_perception.learning.data import dataset
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.mimamo import clip_data
from face_perception.learning.mimamo import recipe as recipes
from face_perception.learning.mimamo import runs as mimamo_runs
from face_perception.learning.mimamo.appearance_features import load_appearance_features
from face_perception.learning.mimamo.clip_data import Clips, Video, Videos, fold_of, read_videos
from face_perception.learning.mimamo.losses import per_label_loss, released_loss
from face_perception.learning.mimamo.recipe import MimamoRecipe
from face_perception.learning.recipe import read_settings, recipe_file
from face_perception.learning.synthesis import motion_clips
from face_perception.learning.synthesis.motion_clips import (
    MACRO_SHARE,
    MotionClips,
    draw_course,
    write_motion_clips,
)
from face_perception.learning.training_loop import LAST
from face_perception.types import FaceCrop

FRAMES = 12
RECIPE = MimamoRecipe(
    seed=1,
    epochs=25,
    batch=4,
    rate=0.03,
    decay=0.0,
    drop_at=(20.0,),
    patience=25,
    length=8,
    stride=4,
    width=32,
    dropout=0.0,
    rescale=False,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads slow down networks as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "data"
    return write_motion_clips(folder, MotionClips(clips=4, frames=FRAMES, rate=6.0, seed=2))


@pytest.fixture(scope="module")
def videos(data: Path) -> Videos:
    return read_videos(data, data / "cache", load_appearance_features("pixels"), one_sided=True)


def test_losses_equal_the_published_ones() -> None:
    published = golden("mimamo_loss")
    x, y = (torch.tensor(published[f"loss_{name}"]) for name in "xy")
    assert float(released_loss(x, y)) == pytest.approx(float(published["loss_value"]), abs=1e-6)
    assert float(per_label_loss(x, y)) == pytest.approx(
        float(published["loss_value_flat"]), abs=1e-6
    )
    # The released loss does not depend on what is said after the second frame.
    later = x.clone()
    later[:, 2:] = 0
    assert float(released_loss(later, y)) == float(released_loss(x, y))
    assert float(per_label_loss(later, y)) != float(per_label_loss(x, y))


def test_settings_of_the_package_are_the_published_ones() -> None:
    recipe = read_settings(MimamoRecipe, recipe_file("mimamo"))
    assert (recipe.rate, recipe.momentum, recipe.decay) == (1e-3, 0.9, 5e-4)
    assert (recipe.epochs, recipe.drop_at, recipe.patience) == (25, (10.0, 20.0), 5)
    assert (recipe.batch, recipe.length, recipe.stride, recipe.folds) == (16, 64, 32, 5)
    assert (recipe.loss, recipe.recurrence, recipe.width) == ("per_label", "time", 256)
    with pytest.raises(InputError, match="fold is 5: give 0 to 4, or -1"):
        dataclasses.replace(recipe, fold=5)


def test_valence_and_arousal_follow_from_slow_and_fast_motion() -> None:
    course = draw_course(np.random.default_rng(5), 400, 30.0)
    macro, micro = MACRO_SHARE * course.smile, (1 - MACRO_SHARE) * (2 * course.mouth - 1)
    assert course.affect[:, 0] == pytest.approx(macro + micro)
    turns = [int((np.diff(np.sign(x)) != 0).sum()) for x in (course.smile, course.mouth_phase)]
    assert turns[0] < 15 < 60 < turns[1], "in 13 s, slow motion turns seldom and fast motion often"


def test_each_clip_shows_another_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is in two splits."""
    shown: list[int] = []
    monkeypatch.setattr(motion_clips, "synthetic_person", shown.append)
    monkeypatch.setattr(motion_clips, "Actor", lambda image, tracker: object())
    crop = np.zeros((160, 160, 3), np.uint8)
    monkeypatch.setattr(motion_clips, "_film", lambda *_: [crop, crop])
    monkeypatch.setattr(motion_clips, "_NUMBERS", 5)
    write_motion_clips(tmp_path / "five", MotionClips(clips=5, frames=2))
    assert sorted(shown) == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match=r"there are 5 synthetic people .* and 6 clips"):
        write_motion_clips(tmp_path / "six", MotionClips(clips=6, frames=2))


def test_features_are_those_of_the_node_and_are_kept(
    data: Path, videos: Videos, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = dataset.read(data)
    rows = np.flatnonzero(table.columns["video"] == "clip_0001")
    crops = [FaceCrop("x", table.rgb(int(i), "file", (160, 160)), np.eye(2, 3)) for i in rows]
    images = motion.gray_images(crops)
    kept = next(video for video in videos.videos if video.name == "clip_0001").rows
    phases = motion.clip_phase_differences(images)
    np.testing.assert_allclose(videos.phase0[kept], phases[0], atol=2e-3)
    np.testing.assert_allclose(videos.phase1[kept], phases[1], atol=2e-3)
    assert np.abs(phases[0]).max() > 0.05
    said: list[str] = []
    appearance = load_appearance_features("pixels")
    again = read_videos(data, data / "cache", appearance, one_sided=True, report=said.append)
    assert not said, "the second time, nothing is computed"
    assert np.array_equal(again.appearance, videos.appearance)
    # Another unwrapping is kept in another folder; a long video is computed in pieces.
    (data / "cache" / "notes.txt").write_text("mine")
    monkeypatch.setattr(clip_data, "_PHASES_AT_ONCE", 5)
    other = read_videos(data, data / "cache", appearance, one_sided=False, report=said.append)
    assert len(said) == 4
    phases = motion.clip_phase_differences(images, one_sided=False)
    np.testing.assert_allclose(other.phase0[kept], phases[0], atol=2e-3)
    names = sorted(path.name for path in (data / "cache").iterdir())
    assert len(names) == 3
    assert names[-1] == "notes.txt", "what else is in the folder stays there"
    for path in (data / "cache").glob("*/phase0.npy"):
        path.unlink()  # the other tests have the file open
        path.write_text("{")
    with pytest.raises(InputError, match="remove this folder"):
        read_videos(data, data / "cache", appearance, one_sided=True)


def test_clips_cover_each_video_to_its_end() -> None:
    affect = np.zeros((30, 2))
    affect[3] = np.nan
    arrays = [np.arange(30.0)[:, None]] * 3
    parts = (Video("a", slice(0, 11), "train", "x"), Video("b", slice(11, 14), "train", "x"))
    made = Clips(Videos(parts, *arrays, affect), 4, 3, labelled=False)
    assert [rows.tolist() for rows in made.rows] == [
        [0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [7, 8, 9, 10], [11, 12, 13, 13],
    ]  # fmt: skip
    assert len(Clips(Videos(parts, *arrays, affect), 4, 3, labelled=True)) == 3


def test_folds_are_by_person(videos: Videos) -> None:
    several = [Video(f"{who}{k}", slice(0, 1), "train", who) for who in "cabd" for k in range(2)]
    assert fold_of(several, 3) == {"a": 0, "b": 1, "c": 2, "d": 0}
    seen = []
    for fold in range(2):
        recipe = dataclasses.replace(RECIPE, folds=2, fold=fold)
        training, validation = recipes.training_part(videos, recipe)
        names = [{video.name for video in part.videos} for part in (training, validation)]
        assert not names[0] & names[1]
        assert len(names[0] | names[1]) == 3, "the split test is in no fold"
        seen += sorted(names[1])
    assert sorted(seen) == sorted(set(seen))
    own = recipes.training_part(videos, RECIPE)
    assert [len(part.videos) for part in own] == [2, 1]


def test_it_overfits_a_few_clips(videos: Videos) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=45, drop_at=(38.0,), patience=45)
    training, _ = recipes.training_part(videos, recipe)
    network = recipes.train(recipe, training, training, quiet=True)
    found = recipes.evaluate(network, training, recipe)
    assert found["ccc_valence"] > 0.8
    assert found["ccc_arousal"] > 0.8
    # As released: each frame of a clip is estimated from the other clips of the batch.
    released = dataclasses.replace(recipe, recurrence="clips", loss="released", epochs=1)
    other = recipes.train(released, training, training, quiet=True)
    assert np.isfinite(recipes.evaluate(other, training, released)["ccc"])
    assert other.recurrence == "clips"


def test_rescaling_gives_the_spread_of_the_labels(videos: Videos) -> None:
    said = np.random.default_rng(0).normal((0.2, -0.1), (0.1, 3.0), (50, 2))
    wide = recipes.rescaled(said, np.array([0.4, 0.3]))
    assert wide.std(0) == pytest.approx((0.4, 0.3))
    assert wide.mean(0) == pytest.approx(said.mean(0))
    assert np.corrcoef(wide[:, 0], said[:, 0])[0, 1] == pytest.approx(1)


def test_without_a_finite_result_there_is_no_network(videos: Videos) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=2, rate=1e30)
    training, validation = recipes.training_part(videos, recipe)
    with pytest.raises(InputError, match="train again with a lower rate"):
        recipes.train(recipe, training, validation, quiet=True)


def test_the_unused_stream_does_not_count(videos: Videos) -> None:
    network = RECIPE.network(videos.appearance.shape[1]).eval()
    changed = dataclasses.replace(videos, appearance=videos.appearance + 1)
    for streams, same in (("motion", True), ("both", False)):
        recipe = dataclasses.replace(RECIPE, streams=streams)
        a, b = (recipes.predict(network, v, recipe)[0] for v in (videos, changed))
        assert np.array_equal(a, b) == same


def test_an_interrupted_run_ends_with_the_same_bits(videos: Videos, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=4, dropout=1.0, drop_at=(2.0,))
    training, validation = recipes.training_part(videos, recipe)
    whole = recipes.train(recipe, training, validation, out=tmp_path / "a", quiet=True)
    first = dataclasses.replace(recipe, epochs=2)
    recipes.train(first, training, validation, out=tmp_path / "b", quiet=True)
    rest = recipes.train(recipe, training, validation, out=tmp_path / "b", resume=True, quiet=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name]), name
    kept = recipes.trained_network(recipe, tmp_path / "b" / LAST, videos.appearance.shape[1])
    assert torch.equal(kept.transform[0].weight, whole.transform[0].weight)


def test_training_ends_early_and_keeps_the_best_epoch(videos: Videos, tmp_path: Path) -> None:
    """With a rate at which nothing is learned after the first epochs, they are not all run."""
    recipe = dataclasses.replace(RECIPE, epochs=30, patience=2, rate=1e-12)
    training, validation = recipes.training_part(videos, recipe)
    module = recipes.MimamoModule(recipe, training, validation)
    from face_perception.learning.training_loop import fit_module

    fit_module(module, epochs=30, seed=1, out=tmp_path, quiet=True)
    assert module.current_epoch < 30
    assert int(module.epochs_since) == 2
    best = recipes.evaluate(module.best, validation, recipe)
    assert best["ccc"] == pytest.approx(float(module.best_ccc), abs=1e-5)
    epochs = module.current_epoch
    again = recipes.MimamoModule(recipe, training, validation)
    fit_module(again, epochs=30, seed=1, out=tmp_path, resume=True, quiet=True)
    assert again.current_epoch <= epochs + 1, "a run that ended early does not go on"


def test_a_trained_network_runs_in_the_estimator(
    data: Path, own_models: Path, tmp_path: Path
) -> None:
    """From the recipe's file to the estimator of the node motion_affect, by name."""
    file = tmp_path / "tiny.yaml"
    file.write_text(
        "task: mimamo\nseed: 0\nepochs: 1\nbatch: 4\nrate: 0.01\nlength: 8\nstride: 8\nwidth: 16\n"
    )
    out = tmp_path / "run"
    made = runs.train(str(file), data, out, resume=False, name="tiny", report=lambda line: None)
    install_model(made)
    networks = motion.load_mimamo("tiny")
    assert [model.name for model in networks.models] == [
        "tiny_appearance", "tiny_frame", "tiny_over_time",
    ]  # fmt: skip
    assert (
        load("tiny").card.licence == f"that of the data set {dataset.read(data).name}: Apache-2.0"
    )
    table = dataset.read(data)
    rows = np.flatnonzero(table.columns["video"] == "clip_0003")
    estimator: motion.Mimamo[int] = motion.Mimamo(networks)
    said = []
    for k, row in enumerate(rows):
        crop = FaceCrop("face_1", table.rgb(int(row), "file", (160, 160)), np.eye(2, 3))
        said += estimator.estimate(k, k / motion.TICK_RATE, [crop])
    said += estimator.finish()
    assert len(said) >= FRAMES - 1
    assert all(np.isfinite((v.valence, v.arousal)).all() for _, (v,) in said)
    figures = runs.evaluate(out, None, "validation", lambda line: None)
    assert set(figures) == {"ccc", "ccc_valence", "ccc_arousal", "ccc_rescaled"}
    assert made.facts["evaluation"]["on"] == f"{FRAMES} frames of 1 other videos"


def test_a_run_that_is_stopped_while_features_are_computed_is_resumed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mimamo_runs, "read_videos", stop)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            runs.train(
                "mimamo",
                None if resume else data,
                tmp_path / "run",
                resume=resume,
                name="x",
                report=lambda line: None,
            )


def test_data_that_is_no_video_is_refused(data: Path, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(data / dataset.TABLE).to_pydict()
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / dataset.ABOUT).write_text((data / dataset.ABOUT).read_text())

    def refused(columns: dict[str, list[object]]) -> str:
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / dataset.TABLE)
        with pytest.raises(DatasetError) as caught:
            read_videos(folder, tmp_path / "c", load_appearance_features("pixels"), one_sided=True)
        return str(caught.value)

    assert "lacks the column video" in refused({k: v for k, v in table.items() if k != "video"})
    twice = {**table, "frame": [0] * len(table["frame"])}
    assert "video clip_0000 has two rows of the same frame" in refused(twice)
    mixed = {**table, "video": ["one"] * len(table["frame"]), "frame": list(range(4 * FRAMES))}
    assert "video one is in several splits" in refused(mixed)
    mixed["split"] = ["train"] * len(table["split"])
    assert "video one shows several subjects" in refused(mixed)
