"""Weight files that the import of MuseTalk reads, and its errors for others."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from face_perception.inference import ModelError
from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import checkpoint as import_musetalk
from face_perception.learning.musetalk import unet as musetalk_unet
from face_perception.learning.musetalk import whisper_encoder
from face_perception.learning.musetalk.state_dicts import (
    check_checkpoint_file,
    read_state_dict,
    rename_vae,
    rename_whisper,
    with_weights,
)
from face_perception.learning.onnx_large_export import to_onnx_streamed


def small_state() -> dict[str, Any]:
    return {k: v.clone() for k, v in torch.nn.Linear(3, 2).state_dict().items()}


def test_every_kind_of_file(tmp_path: Path) -> None:
    state = small_state()
    torch.save(state, tmp_path / "a.pth")
    torch.save(state, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "wrapped.pt")
    np.savez(tmp_path / "a.npz", **{k: v.numpy() for k, v in state.items()})
    safetensors.save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pth", "old.bin", "wrapped.pt", "a.npz", "a.safetensors"):
        found = read_state_dict(tmp_path / name)
        assert {k: v.tolist() for k, v in found.items()} == {
            k: v.tolist() for k, v in state.items()
        }


def test_files_that_are_not_weights(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"w": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "page.bin").write_text("<html>not found</html>")
    torch.save(small_state(), tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-300])
    (tmp_path / "x.npz").write_bytes(b"PK nothing")
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    torch.save({"w": Evil()}, tmp_path / "evil.bin", _use_new_zipfile_serialization=False)
    damaged = ("page.bin", "cut.pth", "x.npz", "x.safetensors")
    for name in damaged:
        with pytest.raises(ModelError, match=rf"{name} (cannot be read|is damaged).*download it"):
            read_state_dict(tmp_path / name)
    for name in ("evil.pth", "evil.bin"):
        with pytest.raises(ModelError, match=f"{name} has more than tensors in it .*not loaded"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    # Most faults are reported at once, before other files are processed.
    for name in damaged[:-1]:
        with pytest.raises(ModelError, match=f"{name} (is incomplete|cannot be read)"):
            check_checkpoint_file(tmp_path / name)
    (tmp_path / "unet.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0")
    with pytest.raises(ModelError, match=r"unet\.pth cannot be read: it is a Git LFS pointer"):
        check_checkpoint_file(tmp_path / "unet.pth")
    with pytest.raises(ModelError, match="it is a folder, not a file: name the file"):
        check_checkpoint_file(tmp_path)
    with pytest.raises(ModelError, match="there is no file"):
        check_checkpoint_file(tmp_path / "missing.pth")
    with pytest.raises(ModelError, match="there is no file"):
        read_state_dict(tmp_path / "missing.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(ModelError, match="holds a Tensor"):
        read_state_dict(tmp_path / "tensor.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("bias"), "lacks bias"),
        (lambda s: s.update(extra=s["bias"]), "has unknown extra"),
        (lambda s: s.update(weight=s["bias"]), r"weight is \[2\], not \[2, 3\]"),
        (lambda s: s["bias"].fill_(math.nan), "not finite in bias"),
    ],
)
def test_weights_fit_exactly(change: Callable[[Any], Any], message: str) -> None:
    state = small_state()
    change(state)
    with pytest.raises(ModelError, match=rf"x\.bin .*{message}.*is it the right file"):
        with_weights(torch.nn.Linear(3, 2), state, Path("x.bin"))


def test_names() -> None:
    autoencoder = musetalk_vae.Autoencoder().state_dict()
    assert rename_vae(dict(autoencoder)).keys() == autoencoder.keys()
    encoder = whisper_encoder.WhisperEncoder().state_dict()
    for prefix in ("", "encoder.", "model.encoder."):
        found, of_openai = rename_whisper({prefix + k: v for k, v in encoder.items()})
        assert found.keys() == encoder.keys()
        assert not of_openai


@pytest.mark.parametrize(
    ("file", "version", "said"),
    [
        ("musetalkV15/unet.pth", "1.0", "is the UNet of version 1.5"),
        ("musetalk/pytorch_model.bin", "1.5", "is the UNet of version 1.0"),
        ("musetalk/pytorch_model.bin", "1.0", ""),
        ("mine/unet.pth", "1.0", ""),
    ],
)
def test_a_unet_of_another_version_is_doubted(
    file: str, version: str, said: str, tmp_path: Path
) -> None:
    """The weights do not tell the version, because the networks are alike."""
    unet = tmp_path / file
    unet.parent.mkdir()
    torch.save({}, unet)
    parser = argparse.ArgumentParser()
    import_musetalk.add_arguments(parser)
    files = [value for name in ("unet", "vae", "whisper") for value in (f"--{name}", str(unet))]
    told: list[str] = []
    made = import_musetalk.make(parser.parse_args([*files, "--version", version]), told.append)
    with pytest.raises(ModelError, match="lacks conv1"):
        next(made)
    assert told[0].startswith("reading") != bool(said)
    assert said in told[0]


class Part(torch.nn.Module):  # type: ignore[misc]
    """The parts of the UNet that an exporter may export wrongly: convolutions, linear layers, a
    buffer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.level = musetalk_unet._Level([(64, 64), (64, 128)], attends=True, time=1280)
        for block in self.level.resnets:
            del block.time_emb_proj
        self.conv = torch.nn.Conv2d(128, 64, 3)
        self.register_buffer("positions", musetalk_unet.positions(), persistent=False)

    def forward(self, x: Any, audio: Any) -> Any:
        audio = audio + self.positions
        for k in range(2):
            x = self.level.block(k, x, None, audio)
        return self.conv(x)


def test_weights_are_streamed_beside_the_graph(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    torch.manual_seed(0)
    part = Part().eval()
    data = tmp_path / "part.onnx.data"
    example = [torch.randn(2, 64, 8, 8), torch.randn(2, 50, 384)]
    graph = to_onnx_streamed(part, example, ["x", "audio"], ["y"], data)
    path = tmp_path / "part.onnx"
    path.write_bytes(graph)
    onnx.checker.check_model(str(path))
    size = sum(4 * p.numel() for p in part.parameters())
    assert len(graph) < 0.2 * size
    assert 0.9 * size < data.stat().st_size < 1.1 * size
    parsed = onnx.load_from_string(graph).graph
    names = {tensor.name for tensor in parsed.initializer}
    assert not [n for n in parsed.node if n.op_type == "Transpose" and n.input[0] in names]
    session = onnxruntime.InferenceSession(str(path))
    x, audio = torch.randn(3, 64, 8, 8), torch.randn(3, 50, 384)
    (found,) = session.run(None, {"x": x.numpy(), "audio": audio.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, part(x, audio).numpy(), atol=2e-5)
