"""The small gaze network: its data, a tiny training, its graph, and the estimator that runs it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_folder import write_rendered_folder

from face_perception.errors import InputError
from face_perception.faces import load_tracker
from face_perception.gaze import (
    GAZE_MEASURES,
    NETWORK_PRIOR,
    NetworkGaze,
    make_gaze_crops,
    measure_gaze,
    to_normalized_angles,
)
from face_perception.inference import install_model, load
from face_perception.learning import runs
from face_perception.learning.data import rendered_people
from face_perception.learning.data.dataset import read
from face_perception.learning.small_gaze import recipe as recipes
from face_perception.learning.small_gaze.augmentation import (
    changed_eyes,
    changed_measures,
)
from face_perception.learning.small_gaze.network import SMALL_SIZE, SmallGaze
from face_perception.learning.small_gaze.recipe import GazeSamples, SmallGazeRecipe
from face_perception.types import Face, Frame

RECIPE = SmallGazeRecipe(seed=0, epochs=12, batch=16, rate=3e-3, decay=0.0)


def drawn_samples(people: int, images: int = 24, seed: int = 0) -> GazeSamples:
    """Discs for irises, whose place in white eyes shows the gaze; the measures tell nothing."""
    random = np.random.default_rng(seed)
    count = people * images
    gaze = random.uniform(-0.4, 0.4, (count, 2)).astype(np.float32)
    rows, columns = np.mgrid[:64, :96]
    far = np.hypot(
        columns - 48 - 60 * gaze[:, 1, None, None], rows - 32 + 40 * gaze[:, 0, None, None]
    )
    eye = np.where(far < 12, 20, 220).astype(np.uint8)
    measures = np.zeros((count, len(GAZE_MEASURES)), np.float32)
    person = np.repeat(np.arange(people), images)
    return GazeSamples(eye, eye, measures, gaze, person)


def test_a_tiny_training_learns_to_see_where_discs_are() -> None:
    network = recipes.train(RECIPE, drawn_samples(8), quiet=True)
    found = recipes.evaluate(network, drawn_samples(3, seed=1))
    assert found["error_deg"] < 0.5 * found["error_of_mean_deg"]
    assert found["gain_pitch"] > 0.5
    assert found["gain_yaw"] > 0.5


def test_the_mirror_image_of_a_face_has_the_mirror_image_of_its_gaze() -> None:
    torch.manual_seed(0)
    network = SmallGaze().eval()
    left, right = torch.rand(5, 1, *SMALL_SIZE), torch.rand(5, 1, *SMALL_SIZE)
    measures = torch.rand(5, len(GAZE_MEASURES))
    sides = torch.tensor([-1.0 if name.endswith("_yaw") else 1.0 for name in GAZE_MEASURES])
    with torch.inference_mode():
        gaze, log_sigma = network(left, right, measures)
        other, other_log_sigma = network(right.flip(-1), left.flip(-1), measures * sides)
    assert torch.allclose(other, gaze * torch.tensor([1.0, -1.0]), atol=1e-6)
    assert torch.allclose(other_log_sigma, log_sigma, atol=1e-6)
    assert gaze.std(0).min() > 1e-4


def test_changes_keep_the_range_and_about_the_picture() -> None:
    torch.manual_seed(0)
    x, y = torch.linspace(-1, 1, SMALL_SIZE[1]), torch.linspace(-1, 1, SMALL_SIZE[0])
    eyes = (0.5 * (x[None] + y[:, None])).expand(64, 1, *SMALL_SIZE)
    left, right = changed_eyes(eyes, eyes)
    for changed in (left, right):
        assert float(changed.abs().max()) <= 1
        assert (
            torch.corrcoef(torch.stack([changed.mean(0).flatten(), eyes[0].flatten()]))[0, 1] > 0.9
        )
    assert not torch.equal(left, right)
    errors = changed_measures(torch.zeros(500, len(GAZE_MEASURES)))
    assert errors.mean(0).abs().max() < 0.03


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network whose outputs differ from sample to sample."""
    torch.manual_seed(3)
    network = SmallGaze().eval()
    made = recipes.model_build(
        "small_gaze_test", network, RECIPE, drawn_samples(1), trained_on="nothing", licence="none"
    )
    folder = tmp_path_factory.mktemp("small_gaze")
    install_model(made, folder)
    assert len(made.onnx) < 2e6
    return folder / "small_gaze_test.yaml"


def test_the_estimator_gives_the_networks_answer(
    card: Path, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    frame, face = photo_faces["astronaut"]
    (gaze,) = NetworkGaze(load(card)).estimate(frame, [face])
    torch.manual_seed(3)
    network = SmallGaze().eval()
    made = make_gaze_crops(frame.image, frame.camera, face, ["left_eye", "right_eye"])
    measures = measure_gaze(frame.camera, face, made.rotation)
    sample = GazeSamples(
        made.left_eye[None], made.right_eye[None], measures[None], np.zeros((1, 2)), np.zeros(1)
    )
    wanted, sigma = recipes.predict(network, sample)
    yaw, pitch = to_normalized_angles(made.rotation, gaze.direction)
    assert gaze.valid
    assert (pitch, yaw) == pytest.approx(tuple(wanted[0]), abs=1e-4)
    assert (gaze.pitch_sigma, gaze.yaw_sigma) == pytest.approx(tuple(sigma[0]), abs=1e-4)


def test_the_model_averages_with_the_geometric_estimate_and_corrects_for_real_people(
    tmp_path: Path,
) -> None:
    recipe = replace(
        RECIPE,
        share_pitch=0.25,
        share_yaw=0.5,
        add_pitch_deg=-2.0,
        sigma_factor_pitch=0.9,
        sigma_factor_yaw=0.7,
    )
    torch.manual_seed(3)
    network = SmallGaze().eval()
    samples = drawn_samples(1)
    samples.measures[:, :2] = np.random.default_rng(1).uniform(-0.3, 0.3, (len(samples), 2))
    made = recipes.model_build(
        "averaging", network, recipe, samples, trained_on="nothing", licence="none"
    )
    install_model(made, tmp_path)
    found = load(tmp_path / "averaging.yaml").infer(
        {
            "left_eye": samples.left_eye[:, None].astype(np.float32),
            "right_eye": samples.right_eye[:, None].astype(np.float32),
            "measures": samples.measures,
        }
    )
    alone, sigma = recipes.predict(network, samples)
    pitch = 0.25 * alone[:, 0] + 0.75 * samples.measures[:, 0] - math.radians(2)
    yaw = 0.5 * (alone[:, 1] + samples.measures[:, 1])
    # The graph's yaw is positive to the image's left.
    assert found["gaze"] == pytest.approx(np.column_stack([pitch, -yaw]), abs=1e-4)
    assert found["sigma"] == pytest.approx(sigma * [0.9, 0.7], abs=1e-4)


def test_without_measures_the_gaze_is_not_valid_and_says_why(
    card: Path, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    frame, face = photo_faces["astronaut"]
    landmarks = face.landmarks.copy()
    landmarks[10] = math.nan
    estimator = NetworkGaze(load(card))
    (gaze,) = estimator.estimate(frame, [replace(face, landmarks=landmarks)])
    assert not gaze.valid
    assert estimator.refused == {face.face_id: "the landmarks of its eyes are not known"}


def test_it_needs_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="render people and convert them"):
        runs.train("small_gaze", None, tmp_path, resume=False, name="x", report=lambda line: None)


def test_the_prior_that_a_recipe_names_goes_into_the_card(card: Path, tmp_path: Path) -> None:
    assert RECIPE.read_prior() is None
    assert NetworkGaze(load(card)).prior == NETWORK_PRIOR
    file = tmp_path / "prior.yaml"
    file.write_text("pitch: {gain: 1.6}")
    prior = replace(RECIPE, prior=str(file)).read_prior()
    made = recipes.model_build(
        "with_prior",
        SmallGaze().eval(),
        RECIPE,
        drawn_samples(1),
        trained_on="nothing",
        licence="none",
        prior=prior,
    )
    install_model(made, tmp_path)
    assert NetworkGaze(load(tmp_path / "with_prior.yaml")).prior.pitch.gain == 1.6
    file.write_text("noise: much")
    with pytest.raises(InputError, match=r"prior\.yaml: noise must be a finite number"):
        replace(RECIPE, prior=str(file)).read_prior()
    file.unlink()
    with pytest.raises(InputError, match=r"prior\.yaml"):
        replace(RECIPE, prior=str(file)).read_prior()


def test_rendered_people_become_samples_with_true_gaze(tmp_path: Path) -> None:
    """Committed pictures of one person: the truth of each, crops and measures of landmarks."""
    people = write_rendered_folder(tmp_path / "rendered", "a_lens", "a_look_right", "a_look_up")
    counts = rendered_people.convert([people], tmp_path / "set", tracker=load_tracker())
    assert counts == {"written": 3}
    found = read(tmp_path / "set", recipes.NEEDS)
    assert found.licence == "CC0 1.0"
    pitch, yaw = np.degrees(found.labels("gaze_pitch", "gaze_yaw")).T
    assert yaw == pytest.approx([0, 15, 0], abs=1.5)
    assert pitch == pytest.approx([0, 0, 12], abs=1.5)
    samples = recipes.samples_of(found)
    assert samples.left_eye.shape == (3, 64, 96)
    # The geometric estimate follows the look to the side, and the upper lid the look up.
    assert math.degrees(samples.measures[1, 1] - samples.measures[0, 1]) > 10
    assert samples.measures[2, 4] > samples.measures[0, 4] + 0.01
