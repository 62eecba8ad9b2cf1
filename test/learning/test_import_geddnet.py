"""``face-perception import geddnet``: the card, the variants, and invalid checkpoints."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tensorrt_builds
from geddnet_weights import lively
from imported_gaze_networks import check_folding, check_fp16, check_int8

from face_perception import cli, paths
from face_perception.inference import (
    ModelBuild,
    ModelError,
    find_card,
    load,
    read_reference_inputs,
)
from face_perception.inference.models import store
from face_perception.learning.geddnet import checkpoint as import_geddnet
from face_perception.learning.geddnet.export import geddnet_onnx
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.reference_inputs import sample_inputs
from face_perception.learning.geddnet.tensorflow_variables import variables_of

PHOTOGRAPHS = ("astronaut.png", "grace_hopper.jpg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache that contains only the photographs."""
    folder = tmp_path_factory.mktemp("models")
    for name in PHOTOGRAPHS:
        (folder / name).symlink_to(paths.models_dir() / name)
    return folder


@pytest.fixture(autouse=True)
def own_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    return folder


@pytest.fixture(scope="module")
def network() -> GEDDnet:
    return lively(GEDDnet(subjects=15), seed=4)


@pytest.fixture(scope="module")
def checkpoint(network: GEDDnet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "mine.npz"
    np.savez(path, **variables_of(network))
    return path


@pytest.fixture
def installed(checkpoint: Path, own_models: Path) -> str:
    """The name of the model that the command has made of ``checkpoint``."""
    if not (own_models / "geddnet.yaml").exists():
        assert cli.main(["import", "geddnet", str(checkpoint)]) == 0
    return "geddnet"


def made(path: Path, **arguments: str) -> ModelBuild:
    args = Namespace(checkpoint=path, name="geddnet", licence="test", **arguments)
    (only,) = import_geddnet.make(args, lambda step: None)
    return only


def test_the_folded_graph_is_the_network(network: GEDDnet, installed: str) -> None:
    samples = {name: image[::3] for name, image in sample_inputs().items()}
    wanted = check_folding(network, samples)
    model = load(installed, threads=2)
    assert np.abs(model.infer(samples)["gaze"] - wanted).max() < 1e-5
    # Extreme inputs, for which the borders of the first layer matter most.
    for level in (0.0, 255.0):
        flat = {name: np.full_like(image[:1], level) for name, image in samples.items()}
        with torch.no_grad():
            wanted = network.gaze(*(torch.from_numpy(image) for image in flat.values())).numpy()
        assert np.abs(model.infer(flat)["gaze"] - wanted).max() < 1e-5


def test_the_card_says_what_it_is(installed: str, network: GEDDnet, checkpoint: Path) -> None:
    card = find_card(installed)
    assert "without a licence file" in card.licence
    assert card.origin.startswith(f"{checkpoint.name} (sha256 ")
    assert {name: port.shape for name, port in card.inputs.items()} == {
        "face": (None, 1, 96, 96),
        "left_eye": (None, 1, 64, 96),
        "right_eye": (None, 1, 64, 96),
    }
    assert card.outputs["gaze"].shape == (None, 2)
    assert "pitch and yaw in radians, without the person's bias" in card.outputs["gaze"].meaning
    deviation = network.bias.detach().numpy().std(0) / 10
    np.testing.assert_allclose(card.facts["bias_deviation"], deviation, atol=1e-6)
    assert card.facts["subjects"] == 15
    reference_inputs = read_reference_inputs(card)
    for name, image in sample_inputs().items():
        np.testing.assert_array_equal(reference_inputs[name], image)


def test_samples_are_equalised_faces_and_the_eyes_of_the_right_side() -> None:
    samples = sample_inputs()
    for images in samples.values():
        assert len(images) == 12
        assert len({image.tobytes() for image in images}) == 12
        for image in images:
            assert 100 < image.mean() < 155
            assert image.std() > 60
    # In the mirrored image the left eye is where the right one was.
    mirrored = samples["left_eye"][3, :, :, ::-1]
    assert np.abs(mirrored - samples["right_eye"][0]).mean() < 8
    assert np.abs(mirrored - samples["left_eye"][0]).mean() > 30


def test_commands_know_it(
    installed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["models", "verify", installed]) == 0
    assert f"{installed}: ok" in capsys.readouterr().out
    assert cli.main(["models", "list", installed]) == 0
    listed = capsys.readouterr().out
    assert installed in listed
    assert "ready" in listed
    # It runs the network a hundred times. test_bench measures it on a small one.
    monkeypatch.setattr("face_perception.inference.infer_overhead", lambda model, seconds: 1.0)
    args = ["bench", installed, "--backend", "onnxruntime", "--batch", "1", "--seconds", "0"]
    assert cli.main([*args, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["batches"][0]["gflops"] > 0


def test_the_doctor_runs_it(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from face_perception.commands import doctor
    from face_perception.commands import network_choice as networks

    monkeypatch.setattr(
        networks, "chosen_networks", lambda names=(): {installed: find_card(installed)}
    )
    monkeypatch.setattr(doctor, "_not_run", lambda *a: {"state": "absent", "why": "not built here"})
    ran = [row for row in doctor._networks(0) if row["backend"] == "onnxruntime"]
    assert {row["state"] for row in ran if row["precision"] == "fp32"} == {"ran"}


def test_fp16_serves_and_int8_is_measured(installed: str) -> None:
    fp16 = check_fp16(installed, sample_inputs())
    check_int8(installed, least=fp16.largest)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="tensorrt_rtx is for x86-64 only")
@pytest.mark.parametrize("kind", tensorrt_builds.KINDS)
def test_tensorrt_builds_it(installed: str, kind: str, tmp_path: Path) -> None:
    assert len(tensorrt_builds.engine(installed, kind, tmp_path / "build")) > 1_000_000


def test_a_network_with_poolings_is_not_exported() -> None:
    with pytest.raises(ValueError, match="dilated=True"):
        geddnet_onnx(GEDDnet(dilated=False))


def test_every_wrong_variable_is_named(checkpoint: Path, tmp_path: Path) -> None:
    values = dict(np.load(checkpoint))
    path = tmp_path / "wrong.npz"
    values["eye/e1_fc1/Beta"] = values.pop("eye/e1_fc1/beta")
    values["face/Variable_2"] = values["face/Variable_2"].transpose(3, 2, 0, 1)
    values["combine/Variable_2"] = values["combine/Variable_2"].astype(np.int32)
    values["face/f_fc1/moving_mean"][3] = np.nan
    values["bias/Variable"] = values["bias/Variable"][:-1]
    np.savez(path, **values)
    with pytest.raises(ModelError) as error:
        made(path)
    message = str(error.value)
    assert message.startswith(f"{path}: these are not the 131 variables of GEDDnet: ")
    for part in (
        "eye/e1_fc1/beta is missing",
        "eye/e1_fc1/Beta is unknown",
        "face/Variable_2 is [64, 64, 3, 3], not [3, 3, 64, 64]",
        "combine/Variable_2 is int32, not float32",
        "face/f_fc1/moving_mean has values that are not finite",
        "bias/Variable is [29, 2], not [100, 2]",
    ):
        assert part in message


def test_what_is_no_checkpoint_of_it_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "other.npz", weight=np.zeros(3, np.float32))
    assert cli.main(["import", "geddnet", str(tmp_path / "other.npz")]) == 1
    said = capsys.readouterr().err
    assert "bias/Variable is missing" in said
    assert "and 112 more" in said

    (tmp_path / "text.npz").write_text("not a zip")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:100])
    (tmp_path / "one.ckpt.index").write_bytes(b"x")
    (tmp_path / "lfs.ckpt.index").write_bytes(b"x")
    (tmp_path / "lfs.ckpt.data-00000-of-00001").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    )
    for name, said in {
        ".": "is a folder: name the checkpoint in it",
        "none.npz": "none.npz cannot be read: No such file",
        "text.npz": "text.npz cannot be read: it is not an .npz",
        "objects.npz": "objects.npz cannot be read: it has an array of objects",
        "cut.npz": "cut.npz cannot be read: it is damaged or truncated",
        "none.ckpt": r"lacks none.ckpt.index in .*: give the whole checkpoint",
        "one.ckpt.index": r"lacks one.ckpt.data-\* in",
        "lfs.ckpt": r"lfs.ckpt.data-0.* cannot be read: it is a Git LFS pointer .*`git lfs",
    }.items():
        with pytest.raises(ModelError, match=said):
            made(tmp_path / name)
    assert not (paths.models_dir() / "other.onnx").exists()


def test_a_network_that_was_never_trained_is_refused(network: GEDDnet, tmp_path: Path) -> None:
    values = variables_of(network)
    values["face/f_conv3_1/moving_variance"][:] = -0.9999e-3  # with epsilon, next to nothing
    np.savez(tmp_path / "odd.npz", **values)
    with pytest.raises(ModelError, match=r"changes by .* rad when its normalisation"):
        made(tmp_path / "odd.npz")


def test_a_checkpoint_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for suffix in ("index", "data-00000-of-00001"):
        (tmp_path / f"model19.ckpt.{suffix}").write_bytes(b"x")
    for given in ("model19.ckpt", "model19.ckpt.index", "model19.ckpt.data-00000-of-00001"):
        with pytest.raises(ModelError, match=r"model19\.ckpt needs TensorFlow .*pip install"):
            made(tmp_path / given)


def test_a_tensorflow_checkpoint(network: GEDDnet, checkpoint: Path, tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow").compat.v1
    values = variables_of(network) | {"face/Variable/Adam": np.zeros(3, np.float32)}
    with tensorflow.Graph().as_default(), tensorflow.Session() as session:
        saved = [tensorflow.Variable(value, name=name) for name, value in values.items()]
        session.run(tensorflow.global_variables_initializer())
        tensorflow.train.Saver(saved).save(session, str(tmp_path / "model.ckpt"))
    found = made(tmp_path / "model.ckpt")
    assert dataclasses.replace(found, origin="", reference_inputs={}) == dataclasses.replace(
        made(checkpoint), origin="", reference_inputs={}
    )
    (data,) = tmp_path.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(ModelError, match="TensorFlow cannot read the checkpoint"):
        made(tmp_path / "model.ckpt")


def test_without_the_photographs(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "empty"))
    with pytest.raises(
        ModelError, match=r"astronaut is not in .*run `face-perception models fetch`"
    ):
        made(checkpoint)


def test_another_name_is_another_model(checkpoint: Path, installed: str) -> None:
    args = ["import", "geddnet", str(checkpoint), "--name", "gaze_of_ours", "--licence", "ours"]
    assert cli.main(args) == 0
    assert find_card("gaze_of_ours").licence == "ours"
    assert store.read(find_card("gaze_of_ours")) == store.read(find_card(installed))
