"""What the command says of the decoders that a user has imported, on narrow networks."""

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
        # The UNet's time is in both: it is nearer to 1.
        assert abs(np.log(one.speed_of_all)) <= abs(np.log(one.speed))


def test_the_command_lists_what_is_imported(
    narrow_models: Path,
    narrow_avatar: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = tmp_path / "models"
    shutil.copytree(narrow_models, models, ignore=shutil.ignore_patterns("musetalk_tiny*"))
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(models))
    assert cli.main(["avatar", "decoders", str(narrow_avatar), "--images", "2"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["decoder", "exact", "lower", "tiny"]
    assert lines[1][-1] == "exact"
    assert float(lines[2][-1]) > 5
    assert lines[3][-2:] == ["--tiny", "FILE"]
    (models / "musetalk_vae_decoder.yaml").unlink()
    assert cli.main(["avatar", "decoders", str(narrow_avatar)]) == 1
    assert "musetalk_vae_decoder was not imported" in capsys.readouterr().err
