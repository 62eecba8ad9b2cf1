"""``face-perception import dilated-net``: the model gives the answers of the authors' code.

Also its card, its variants and engines, and gaze of photographs with it.
"""

from __future__ import annotations

import math
import platform
from argparse import Namespace
from pathlib import Path

import dilated_net_golden as golden
import goldens
import numpy as np
import pytest
from generated_weights import weights

torch = pytest.importorskip("torch")

import tensorrt_builds
from geddnet_weights import inputs, lively
from imported_gaze_networks import check_folding, check_fp16, check_int8

from face_perception import cli, geometry
from face_perception.gaze import NetworkGaze, make_gaze_crops, to_normalized_angles
from face_perception.gaze.normalized_camera import normalized_camera_rotation
from face_perception.inference import (
    ModelError,
    find_card,
    load,
    read_reference_inputs,
)
from face_perception.learning.dilated_net import checkpoint as import_dilated_net
from face_perception.learning.dilated_net.network import dilated_net, dilated_net_from_variables
from face_perception.learning.gaze_build import TOLERANCE
from face_perception.learning.geddnet import checkpoint as import_geddnet
from face_perception.learning.geddnet.export import geddnet_onnx
from face_perception.learning.geddnet.gaze_system import GazeSystem
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.reference_inputs import sample_inputs
from face_perception.learning.geddnet.tensorflow_variables import variables_of
from face_perception.pipeline import Perception
from face_perception.types import Face, Frame

EYES = ("left_eye", "right_eye")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dilated_net")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    """A checkpoint with the golden's weights in the published format."""
    path = folder / "checkpoint.npz"
    shapes = {name: value.shape for name, value in variables_of(dilated_net()).items()}
    np.savez(path, **golden.checkpoint(shapes))
    return path


@pytest.fixture(scope="module")
def models(folder: Path, checkpoint: Path) -> Path:
    """A model cache with the package's models and Dilated-Net, imported by the command."""
    from model_caches import copy_models

    with pytest.MonkeyPatch.context() as patch:
        copied = copy_models(folder / "models")
        patch.setenv("FACE_PERCEPTION_MODELS", str(copied))
        assert cli.main(["models", "import", "dilated-net", str(checkpoint)]) == 0
    return copied


@pytest.fixture
def installed(models: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the model."""
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(models))
    return "dilated_net"


def crops() -> dict[str, np.ndarray]:
    return {name: golden.eye(name) for name in EYES}


def test_answers_are_those_of_the_authors_code(installed: str, checkpoint: Path) -> None:
    network = dilated_net_from_variables(dict(np.load(checkpoint)))
    left, right = (torch.from_numpy(image) for image in crops().values())
    with torch.no_grad():
        ours = network.gaze(None, left, right).numpy()
        swapped = network.gaze(None, right, left).numpy()
    assert np.abs(ours - golden.GAZE).max() < 1e-5
    assert np.abs(swapped - golden.GAZE).max() > 5e-3, "the golden can tell the eyes apart"
    model = load(installed)
    assert np.abs(model.infer(crops())["gaze"] - golden.GAZE).max() < 1e-5
    one = model.infer({name: image[-1:] for name, image in crops().items()})["gaze"]
    assert np.abs(one - golden.GAZE[-1:]).max() < 1e-5


def test_it_is_geddnet_without_a_face() -> None:
    """With the weights of GEDDnet's golden, the eye layers give the published activations."""
    published, values = goldens.golden("geddnet"), weights("geddnet")
    kept = {n: v for n, v in values.items() if not n.startswith(("face/", "bias/"))}
    kept["combine/Variable"] = kept["combine/Variable"][64:]
    network = dilated_net_from_variables(kept)
    images = [torch.from_numpy(inputs(published)[name][:2]) for name in EYES]
    for layer, image, key in (
        (network.left_fc, images[0], "act_eye.e1_fc1"),
        (network.right_fc, images[1], "act_eye.e2_fc1"),
    ):
        with torch.no_grad():
            features = layer(network.eye(network.trunk(image))).numpy()
        assert np.abs(features - published[key]).max() < 1e-4


def test_the_exported_graph_is_the_network() -> None:
    network = lively(dilated_net(), seed=4)
    check_folding(network, {name: sample_inputs()[name][::4] for name in EYES})
    with pytest.raises(ValueError, match="dilated=True"):
        geddnet_onnx(dilated_net(dilated=False))


def test_the_card_says_what_it_is(installed: str, checkpoint: Path) -> None:
    card = find_card(installed)
    assert "publish no weights" in card.licence
    assert card.origin.startswith(f"{checkpoint.name} (sha256 ")
    shapes = {name: port.shape for name, port in card.inputs.items()}
    assert shapes == dict.fromkeys(EYES, (None, 1, 64, 96))
    assert card.outputs["gaze"].shape == (None, 2)
    assert card.outputs["gaze"].tolerance == TOLERANCE, "the gate's, as GEDDnet's"
    assert card.outputs["gaze"].meaning.startswith("pitch and yaw in radians; the vector")
    assert card.facts == {"system": "dilated-net", "order": ["pitch", "yaw"]}
    reference_inputs = read_reference_inputs(card)
    assert set(reference_inputs) == set(EYES)
    for name in EYES:
        np.testing.assert_array_equal(reference_inputs[name], sample_inputs()[name])
    assert cli.main(["models", "verify", installed]) == 0


def test_fp16_serves(installed: str) -> None:
    check_fp16(installed, crops())


@pytest.mark.slow
def test_int8_is_measured(installed: str) -> None:
    check_int8(installed, least=1e-4)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="tensorrt_rtx is for x86-64 only")
@pytest.mark.parametrize("kind", ["fp32", "fp16", pytest.param("int8-trt", marks=pytest.mark.slow)])
def test_tensorrt_builds_it(installed: str, kind: str, tmp_path: Path) -> None:
    assert len(tensorrt_builds.engine(installed, kind, tmp_path / "build")) > 1_000_000


def test_checkpoints_of_the_other_system_are_named(
    checkpoint: Path, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(models))
    other = tmp_path / "geddnet.npz"
    np.savez(other, **variables_of(GEDDnet(subjects=1)))

    def error(system: GazeSystem, path: Path) -> str:
        args = Namespace(checkpoint=path, name="x", licence="x")
        with pytest.raises(ModelError) as found:
            list(system.make(args, lambda step: None))
        return str(found.value)

    assert "is not Dilated-Net" in error(import_dilated_net.SYSTEM, other)
    assert "but GEDDnet (`face-perception import geddnet`)" in error(
        import_dilated_net.SYSTEM, other
    )
    assert "but Dilated-Net (`face-perception import dilated-net`)" in error(
        import_geddnet.SYSTEM, checkpoint
    )
    values = dict(np.load(checkpoint))
    values["eye/Variable_2"] = values["eye/Variable_2"].transpose(3, 2, 0, 1)
    del values["combine/c_fc2/beta"]
    np.savez(other, **values)
    said = error(import_dilated_net.SYSTEM, other)
    assert "these are not the 74 variables of Dilated-Net: combine/c_fc2/beta is missing" in said
    assert "eye/Variable_2 is [64, 64, 3, 3], not [3, 3, 64, 64]" in said


def test_gaze_of_a_photograph_offline(
    installed: str, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    """`run --gaze dilated_net` converts the answer for the crops to our angles."""
    model = load(installed)
    shot, face = photo_faces["astronaut"]
    (gaze,) = NetworkGaze(model).estimate(shot, [face])
    assert (gaze.source, gaze.valid) == ("dilated_net", True)
    made = make_gaze_crops(shot.image, shot.camera, face)
    eyes = {name: made.crops[name][None, None].astype(np.float32) for name in EYES}
    ((pitch, yaw),) = model.infer(eyes)["gaze"]
    rotation = normalized_camera_rotation(shot.camera, face)
    assert to_normalized_angles(rotation, gaze.direction) == pytest.approx((-yaw, pitch), abs=1e-5)
    result = Perception.load(single_image=True, gaze=installed).process(shot)
    (still,) = result.gazes
    assert (still.source, still.valid) == ("dilated_net", True)
    assert geometry.angle_between(still.direction, gaze.direction) < math.radians(20)
    assert 0 <= still.eye_contact <= 1
