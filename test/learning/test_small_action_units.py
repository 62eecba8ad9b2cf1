"""The small network for action units: its data, a tiny training, and its graph."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_folder import write_rendered_folder

from face_perception.errors import InputError
from face_perception.faces import ALIGNED_SIDE, CROP_SIDE, FaceTracker, crop_face
from face_perception.inference import ModelBuild, install_model, load
from face_perception.learning import runs
from face_perception.learning.data import rendered_people
from face_perception.learning.data.dataset import DatasetError, Writer, read
from face_perception.learning.small_action_units import recipe as recipes
from face_perception.learning.small_action_units.augmentation import changed_faces
from face_perception.learning.small_action_units.export import REAL_PEOPLE
from face_perception.learning.small_action_units.network import (
    CODES,
    SIDE,
    SmallActionUnits,
    small_faces,
)
from face_perception.learning.small_action_units.recipe import (
    FaceSamples,
    SmallActionUnitsRecipe,
)
from face_perception.media import read_picture
from face_perception.types import Camera, Frame

RECIPE = SmallActionUnitsRecipe(seed=0, copies=1, penalty=0.1)
_MOUTH, _BROW = CODES.index(25), CODES.index(1)


def drawn_samples(people: int, images: int = 24, seed: int = 0) -> FaceSamples:
    """Gray faces with a dark bar: its height is AU 25, that of another one AU 1; 9 is unknown."""
    random = np.random.default_rng(seed)
    count = people * images
    units = np.zeros((count, len(CODES)), np.float32)
    units[:, [_MOUTH, _BROW]] = random.uniform(0, 1, (count, 2))
    units[:, CODES.index(9)] = math.nan
    faces = np.full((count, 1, SIDE, SIDE), 0.4, np.float32)
    for face, unit in zip(faces, units, strict=True):
        face[0, 38 : 40 + round(12 * unit[_MOUTH]), 16:40] = -0.8
        face[0, 6 : 8 + round(10 * unit[_BROW]), 12:44] = -0.5
    return FaceSamples(faces, units, np.repeat(np.arange(people), images))


def test_a_tiny_training_learns_the_units_that_its_faces_show() -> None:
    network = recipes.train(RECIPE, drawn_samples(8))
    found = recipes.evaluate(network, drawn_samples(3, seed=1))
    assert found["people"] == 3
    assert found["au_25_correlation"] > 0.8
    assert found["au_1_correlation"] > 0.8
    assert math.isnan(found["au_9_auc"])


def test_missing_labels_do_not_count() -> None:
    """A unit that half of the samples do not know is learned from the other half."""
    samples = drawn_samples(4)
    samples.units[::2, _MOUTH] = math.nan
    network = recipes.train(RECIPE, samples)
    found = recipes.evaluate(network, drawn_samples(2, seed=1))
    assert found["au_25_correlation"] > 0.6


def test_changes_keep_the_range_and_about_the_face() -> None:
    torch.manual_seed(0)
    y = torch.linspace(-0.8, 0.8, SIDE)
    faces = y[:, None].expand(64, 1, SIDE, SIDE)
    changed = changed_faces(faces)
    assert float(changed.abs().max()) <= 1
    mean = torch.stack([changed.mean(0).flatten(), faces[0].flatten()])
    assert float(torch.corrcoef(mean)[0, 1]) > 0.9


def _random_network() -> SmallActionUnits:
    torch.manual_seed(3)
    network = SmallActionUnits().eval()
    network.mean.uniform_(-1, 1)
    network.spread.uniform_(0.5, 2)
    return network


def test_the_graph_gives_what_the_network_gives_and_is_symmetric(tmp_path: Path) -> None:
    network = _random_network()
    made = recipes.model_build(
        "units_test", network, RECIPE, drawn_samples(1), trained_on="nothing", licence="none"
    )
    assert len(made.onnx) < 6e4  # one linear layer for both the face and its mirror image
    install_model(made, tmp_path)
    faces = np.random.default_rng(0).uniform(0, 255, (3, 3, ALIGNED_SIDE, ALIGNED_SIDE))
    faces = faces.astype(np.float32)
    model = load(tmp_path / "units_test.yaml")
    found = model.infer({"face": faces})["intensity"]
    small = small_faces(torch.from_numpy(faces)).numpy()
    wanted = recipes.predict(network, FaceSamples(small, np.zeros((3, len(CODES))), np.zeros(3)))
    zero, one = np.array(list(REAL_PEOPLE.values())).T
    wanted = (wanted[:, [CODES.index(code) for code in REAL_PEOPLE]] - zero) / (one - zero)
    assert found == pytest.approx(wanted, abs=1e-5)
    mirrored = model.infer({"face": np.ascontiguousarray(faces[..., ::-1])})["intensity"]
    assert mirrored == pytest.approx(found, abs=1e-3)
    assert np.ptp(found, axis=0).max() > 1e-5


def test_it_needs_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="render people and convert them"):
        runs.train(
            "small_action_units", None, tmp_path, resume=False, name="x", report=lambda line: None
        )


def test_a_run_can_be_evaluated_and_is_not_overwritten(tmp_path: Path) -> None:
    data, out = tmp_path / "set", tmp_path / "run"
    random = np.random.default_rng(0)
    with Writer(data, name="a", licence="b", made_by="c") as writer:
        for number, split in enumerate(("train", "train", "test", "test")):
            patch = random.integers(0, 255, (160, 160, 3)).astype(np.uint8)
            writer.add({"file": patch}, f"{number}", split, au_12=number % 2, au_9=math.nan)

    def train() -> ModelBuild:
        return runs.train(
            "small_action_units", data, out, resume=False, name="x", report=lambda line: None
        )

    made = train()
    assert made.facts["au"] == list(REAL_PEOPLE)
    found = runs.evaluate(out, None, None, lambda line: None)
    assert found["images"] == 2
    assert found["au_12_correlation"] == made.facts["evaluation"]["au_12_correlation"]
    with pytest.raises(InputError, match="earlier run"):
        train()


def test_an_intensity_out_of_range_is_refused(tmp_path: Path) -> None:
    with Writer(tmp_path / "set", name="a", licence="b", made_by="c") as writer:
        writer.add({"file": np.zeros((160, 160, 3), np.uint8)}, "one", "train", au_12=3.0)
    with pytest.raises(DatasetError, match="000000: au_12 is 3, an intensity from 0 to 1"):
        recipes.samples_of(read(tmp_path / "set"))


def test_rendered_people_become_samples_with_true_action_units(
    tmp_path: Path, tracker: FaceTracker
) -> None:
    people = write_rendered_folder(tmp_path / "rendered", "a_lens", "a_smile", "a_jaw")
    counts = rendered_people.convert(
        [people], tmp_path / "set", tracker=tracker, recipe="small_action_units"
    )
    assert counts == {"written": 3}
    found = read(tmp_path / "set", recipes.NEEDS)
    shown = found.labels("au_12", "au_6", "au_26")
    assert shown == pytest.approx(np.array([[0, 0, 0], [0.9, 0.6, 0], [0, 0, 0.9]]))
    assert found.labels("au_25")[2, 0] > 0.9
    samples = recipes.samples_of(found)
    assert samples.faces.shape == (3, 1, SIDE, SIDE)
    assert np.abs(samples.faces).max() <= 1
    # The crops are placed as the tracker's.
    picture = read_picture(people / "a_lens.jpg")
    height, width = picture.shape[:2]
    (face,) = tracker.detect(Frame(picture, 0.0, Camera.assume(width, height)))
    wanted = crop_face(picture, face).image[40:120, 40:120].astype(float)
    placed = found.rgb(0, "file", (CROP_SIDE, CROP_SIDE))[40:120, 40:120].astype(float)
    assert np.corrcoef(placed.ravel(), wanted.ravel())[0, 1] > 0.85
    with pytest.raises(InputError, match="have the same people: render with another --seed"):
        rendered_people.convert([people, people], tmp_path / "twice", tracker=tracker)
