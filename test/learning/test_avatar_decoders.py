"""``face-perception avatar decoders`` on narrow networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from face_perception import cli
from face_perception.avatar import compare_decoders, load_avatar
from face_perception.inference import load


def test_each_decoder_beside_the_exact_one(
    narrow_models: Path, narrow_avatar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(narrow_models))
    decoders = {
        "exact": load("musetalk_vae_decoder", backend="onnxruntime"),
        "same": load("musetalk_vae_decoder", backend="onnxruntime"),
        "lower": load("musetalk_vae_decoder_lower", backend="onnxruntime"),
        "tiny": load("musetalk_tiny_decoder", backend="onnxruntime"),
    }
    audio = np.random.default_rng(0).normal(size=(3, 50, 384)).astype(np.float32)
    avatar = load_avatar(narrow_avatar)
    unet = load("musetalk_unet", backend="onnxruntime")
    found = {one.decoder: one for one in compare_decoders(avatar, unet, decoders, audio)}
    assert found["exact"].psnr == found["same"].psnr == np.inf
    assert found["exact"].speed == found["exact"].speed_of_all == 1
    assert 5 < found["tiny"].psnr < found["lower"].psnr < 100
    for one in found.values():
        assert one.seconds > 0
        # Both include the time of the UNet, so their ratio is nearer to 1.
        assert abs(np.log(one.speed_of_all)) <= abs(np.log(one.speed))


@pytest.mark.parametrize(
    "name",
    [
        *("whisper_encoder", "musetalk_vae_encoder", "musetalk_vae_decoder"),
        *("musetalk_vae_decoder_lower", "musetalk_tiny_decoder"),
    ],
)
def test_a_batch_gives_what_single_inputs_give(
    narrow_models: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The graphs were traced with a batch of one."""
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(narrow_models))
    model = load(name, backend="onnxruntime")
    ((port, given),) = model.inputs.items()
    random = np.random.default_rng(0)
    batch = random.normal(0, 30, (2, *given.shape[1:])).astype(np.float32)
    together = model.infer({port: batch})
    for k in range(2):
        for output, value in model.infer({port: batch[k : k + 1]}).items():
            assert value.std() > 0
            np.testing.assert_allclose(together[output][k : k + 1], value, rtol=1e-4, atol=1e-3)


@pytest.fixture
def models(narrow_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model cache with the narrow networks except the tiny decoder."""
    folder = tmp_path / "models"
    shutil.copytree(narrow_models, folder, ignore=shutil.ignore_patterns("musetalk_tiny*"))
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    return folder


def test_the_command_lists_what_is_imported(
    models: Path,
    narrow_avatar: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["avatar", "decoders", str(narrow_avatar), "--images", "2"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["decoder", "exact", "lower", "tiny"]
    assert lines[1][-1] == "exact"
    assert float(lines[2][-1]) > 5
    assert lines[3][-2:] == ["--tiny", "FILE"]
    (models / "musetalk_vae_decoder.yaml").unlink()
    assert cli.main(["avatar", "decoders", str(narrow_avatar)]) == 1
    assert "musetalk_vae_decoder is not imported" in capsys.readouterr().err


def test_the_tiny_decoder_is_added_to_what_was_imported(
    models: Path,
    narrow_models: Path,
    narrow_avatar: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from face_perception.learning.musetalk.decoders import TinyDecoder

    monkeypatch.setattr(TinyDecoder, "CHANNELS", 8)
    file = narrow_models.parent / "files" / "tiny.pth"
    kept = {path: path.read_bytes() for path in models.iterdir()}
    assert cli.main(["import", "musetalk", "--tiny", str(file)]) == 0
    said = capsys.readouterr()
    assert said.out == f"musetalk_tiny_decoder: {models / 'musetalk_tiny_decoder.onnx'}\n"
    assert all(path.read_bytes() == data for path, data in kept.items()), "the others stay"
    # The network equals the one imported with the others, and has the same reference latents.
    for name in ("onnx", "npz"):
        made = [f / f"musetalk_tiny_decoder.{name}" for f in (models, narrow_models)]
        assert made[0].read_bytes() == made[1].read_bytes()
    assert cli.main(["avatar", "decoders", str(narrow_avatar), "--images", "2"]) == 0
    assert "not imported" not in capsys.readouterr().out

    for arguments, message in (
        (["--tiny", str(tmp_path / "none.pth")], "there is no file"),
        (["--tiny", str(file), "--vae", str(file)], "--unet, --whisper FILE missing: give all of"),
        (["--lower", "--tiny", str(file)], "--unet, --vae, --whisper FILE missing"),
        ([], "--unet, --vae, --whisper FILE missing"),
    ):
        assert cli.main(["import", "musetalk", *arguments]) == 1
        assert message in capsys.readouterr().err
    (models / "musetalk_vae_decoder.yaml").unlink()
    assert cli.main(["import", "musetalk", "--tiny", str(file)]) == 1
    assert "musetalk_vae_decoder was not imported: give --unet" in capsys.readouterr().err
