"""Tests the recipe of Dilated-Net: gaze and eye contact, dilated and pooled, resuming, models."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_lightning")

from face_perception.errors import InputError
from face_perception.gaze import NetworkGaze
from face_perception.inference import ModelError, install_model, load
from face_perception.learning import runs
from face_perception.learning.data import dataset
from face_perception.learning.dilated_net import recipe as recipes
from face_perception.learning.dilated_net.recipe import DilatedNetRecipe, EyeSamples
from face_perception.learning.geddnet.recipe import predict
from face_perception.learning.recipe import read_settings, recipe_file
from face_perception.types import Face, Frame

TINY = DilatedNetRecipe(seed=5, width=0.0625, epochs=2, batch=6, people=4, images=4)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads slow down networks as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Painted people, half of whose looks are into the lens."""
    folder = tmp_path_factory.mktemp("looks") / "set"
    recipes.write_synthetic_people(folder, dataclasses.replace(TINY, target="eye_contact"))
    return folder


def samples(folder: Path, target: str) -> EyeSamples:
    return recipes.samples_of(dataset.read(folder), target)


def test_painted_eye_contact_is_a_look_into_the_lens(looks: Path) -> None:
    found = samples(looks, "eye_contact")
    away = np.degrees(np.hypot(*found.faces.gaze.T))
    assert found.contact.sum() == 8
    assert away[found.contact == 1].max() < 0.01
    assert away[found.contact == 0].min() >= 5


@pytest.mark.parametrize("dilated", [True, False])
def test_both_forms_have_the_same_weights(dilated: bool, looks: Path) -> None:
    recipe = dataclasses.replace(TINY, dilated=dilated)
    module = recipes.DilatedNetModule(samples(looks, "gaze"), recipe)
    shapes = {name: tuple(value.shape) for name, value in module.network.state_dict().items()}
    other = recipes.DilatedNetModule(samples(looks, "gaze"), TINY)
    assert shapes == {name: tuple(v.shape) for name, v in other.network.state_dict().items()}
    assert not any(name.startswith(("face", "bias")) for name in shapes)


@pytest.mark.parametrize(("target", "dilated"), [("gaze", True), ("eye_contact", False)])
def test_it_overfits_a_tiny_set(target: str, dilated: bool, looks: Path) -> None:
    recipe = dataclasses.replace(
        TINY, target=target, dilated=dilated, epochs=60, batch=12, rate=1e-2, momentum=0.9
    )
    data = samples(looks, target)
    network = recipes.train(data, recipe, quiet=True)
    found = recipes.evaluate(network, data, recipe)
    if target == "gaze":
        assert found["error_deg"] < 0.5 * found["error_of_mean_deg"]
    else:
        assert found["balanced_accuracy"] > 0.9


def test_an_interrupted_run_ends_with_the_same_bits(looks: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(TINY, target="eye_contact", dropout=0.3, schedule="staircase")
    data = samples(looks, "eye_contact")
    whole = recipes.train(data, recipe, out=tmp_path / "a", quiet=True)
    first = dataclasses.replace(recipe, epochs=1)
    recipes.train(data, first, out=tmp_path / "b", quiet=True)
    rest = recipes.train(data, recipe, out=tmp_path / "b", resume=True, quiet=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name]), name


@pytest.mark.parametrize("dilated", ["true", "false"])
def test_the_gaze_node_takes_what_was_trained(
    dilated: str,
    looks: Path,
    own_models: Path,
    tmp_path: Path,
    photo_faces: dict[str, tuple[Frame, Face]],
) -> None:
    """With one person held out; the model says what the network says."""
    file = tmp_path / "tiny.yaml"
    file.write_text(
        f"task: dilated_net\nepochs: 1\nbatch: 6\nwidth: 0.0625\ndilated: {dilated}\n"
        "hold_out: person_0001\n"
    )
    out = tmp_path / "run"
    install_model(
        runs.train(str(file), looks, out, resume=False, name="eyes", report=lambda line: None)
    )
    model = load("eyes")
    assert model.card.facts["evaluation"]["people"] == 1
    frame, face = photo_faces["astronaut"]
    (gaze,) = NetworkGaze(model).estimate(frame, [face])
    assert (gaze.valid, gaze.source) == (True, "eyes")
    figures = runs.evaluate(out, None, None, lambda line: None)
    assert figures["people"] == 1
    assert figures["error_deg"] == model.card.facts["evaluation"]["error_deg"]
    recipe = read_settings(DilatedNetRecipe, file)
    _, held_out = recipes.parts_of(dataset.read(looks), recipe)
    network = recipes.DilatedNetModule(held_out, recipe).network.eval()
    build = recipes.model_build(
        "same", network, recipe, held_out, trained_on="x", licence="Apache-2.0"
    )
    install_model(build)
    eyes = {
        name: getattr(held_out.faces, name)[:, None].astype(np.float32)
        for name in ("left_eye", "right_eye")
    }
    said = load("same").infer(eyes)["gaze"] * (1, -1)
    assert said == pytest.approx(predict(network, held_out.faces), abs=1e-4)


def test_a_model_of_eye_contact_is_not_for_the_gaze_node(looks: Path, own_models: Path) -> None:
    recipe = dataclasses.replace(TINY, target="eye_contact")
    data = samples(looks, "eye_contact")
    network = recipes.DilatedNetModule(data, recipe).network.eval()
    install_model(
        recipes.model_build("contact", network, recipe, data, trained_on="x", licence="MIT")
    )
    model = load("contact")
    eyes = {
        name: getattr(data.faces, name)[:, None].astype(np.float32)
        for name in ("left_eye", "right_eye")
    }
    said = model.infer(eyes)["eye_contact"][:, 0]
    assert said == pytest.approx(recipes.contact_probability(network, data), abs=1e-4)
    with pytest.raises(ModelError, match="contact is not a gaze network"):
        NetworkGaze(model)


def test_wrong_settings_and_labels_are_named(looks: Path, tmp_path: Path) -> None:
    assert read_settings(DilatedNetRecipe, recipe_file("dilated_net")).dilated
    with pytest.raises(InputError, match="has no person 'p99' to hold out: person_0000"):
        recipes.parts_of(dataset.read(looks), dataclasses.replace(TINY, hold_out="p99"))
    with pytest.raises(InputError, match="decomposed"):
        dataclasses.replace(TINY, decomposed=True)
    with dataset.Writer(tmp_path / "set", name="a", licence="b", made_by="c") as writer:
        eye = np.zeros((64, 96), np.uint8)
        images = {"file": eye, "left_eye": eye, "right_eye": eye}
        writer.add(images, "p", "train", eye_contact=0.5)
    with pytest.raises(InputError, match="eye_contact must be 0, 1 or null"):
        samples(tmp_path / "set", "eye_contact")
    with pytest.raises(InputError, match="no sample has gaze_pitch and gaze_yaw"):
        samples(tmp_path / "set", "gaze")
