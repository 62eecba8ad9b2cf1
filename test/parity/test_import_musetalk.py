"""MuseTalk, imported from files in the published formats, in ONNX Runtime."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_weights import older_names, openai_name, weights
from goldens import KEPT_STATES, Golden, golden

from face_perception.avatar import FaceEncoder, make_whisper_stream
from face_perception.inference import (
    Card,
    Model,
    build_tensorrt_engine,
    install_model,
    load,
)
from face_perception.inference.onnxruntime_backend import OnnxRuntime
from face_perception.speech import log_mel, whisper_states

torch = pytest.importorskip("torch")

from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import checkpoint as import_musetalk
from face_perception.learning.musetalk import export as musetalk_export
from face_perception.learning.musetalk import whisper_encoder
from face_perception.learning.musetalk.state_dicts import with_weights


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("musetalk")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes vae.bin with older names, whisper.bin with its prefix and a decoder, and no UNet."""
    folder = tmp_path_factory.mktemp("published")
    older = older_names()
    vae = {older.get(k, k): torch.from_numpy(v) for k, v in weights("musetalk_vae").items()}
    assert any(".proj_attn." in name for name in vae)
    torch.save(vae, folder / "vae.bin")
    states = weights("musetalk_whisper_encoder")
    whisper = {f"model.encoder.{k}": torch.from_numpy(v) for k, v in states.items()}
    whisper["model.decoder.embed_tokens.weight"] = torch.zeros(4, 384)
    torch.save(whisper, folder / "whisper.bin")
    torch.save({}, folder / "unet.pth")  # a file that is not read
    return folder


@pytest.fixture(scope="module")
def cards(files: Path, published: Golden, empty_models: Path) -> dict[str, Card]:
    """Imports whisper's encoder, the image encoder and the exact decoder; returns their cards."""
    parser = argparse.ArgumentParser()
    import_musetalk.add_arguments(parser)
    given = ("--unet", "unet.pth", "--vae", "vae.bin", "--whisper", "whisper.bin")
    args = [v if v.startswith("--") else str(files / v) for v in given]
    with pytest.MonkeyPatch.context() as patch:
        # Encoding the example images takes seconds; the narrow networks of other tests do it.
        latents = torch.from_numpy(published["latents_for_unet_mode"])
        patch.setattr(import_musetalk, "example_latents", lambda *_: latents)
        made = import_musetalk.make(parser.parse_args(args), lambda step: None)
        with contextlib.closing(made):
            return {card.name: card for card in (install_model(next(made)) for _ in range(3))}


@pytest.fixture(autouse=True)
def _no_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the run on zeros that follows loading: networks of this size take seconds for it."""
    monkeypatch.setattr(OnnxRuntime, "warm_up", lambda self: None)


def loaded(name: str | Path) -> Model:
    return load(name, threads=2, backend="onnxruntime")


def test_whisper(cards: dict[str, Card], published: Golden) -> None:
    """Directly, and through the stream of windows."""
    assert cards["whisper_encoder"].facts["normed"] is True
    found = whisper_states(published["wav"], loaded("whisper_encoder"))
    wanted = published["hidden_hf"][0][:100]
    np.testing.assert_allclose(found[KEPT_STATES], wanted, atol=1e-4)
    stream = make_whisper_stream(loaded("whisper_encoder"))
    stream.append_speech(published["wav"], last=True)
    heard = np.stack([stream.image_window(k, 25) for k in range(50)])
    np.testing.assert_allclose(heard[KEPT_STATES], published["chunks_fps25"], atol=1e-4)


def test_image_encoder(cards: dict[str, Card], published: Golden) -> None:
    """The masked image. `test_faces_to_latents` encodes the whole one."""
    masked = published["crop_bgr_u8"][:, :, ::-1].transpose(2, 0, 1).astype(np.float32)
    masked[:, 128:] = 0
    found = loaded("musetalk_vae_encoder").infer({"image": masked[None]})
    for name in ("mean", "logvar"):
        np.testing.assert_allclose(found[name], published[f"vae_{name}_masked"], atol=1e-4)


def test_faces_to_latents(cards: dict[str, Card], published: Golden) -> None:
    """From bytes to scaled latents, as when an avatar is prepared."""
    whole = np.ascontiguousarray(published["crop_bgr_u8"][None, :, :, ::-1])
    encoder = FaceEncoder.load(backend="onnxruntime", threads=2)
    wanted = published["latents_for_unet_mode"][:, 4:]
    np.testing.assert_allclose(encoder.encode(whole), wanted, atol=2e-5)
    with pytest.raises(ValueError, match="images must be uint8"):
        encoder.encode(whole[:, :128])


def test_image_decoder(cards: dict[str, Card], published: Golden) -> None:
    found = loaded("musetalk_vae_decoder").infer({"latents": published["decode2_latents"]})["image"]
    wanted = np.clip(published["decode2_float_rgb"] / 2 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(found[..., ::8], wanted, atol=1e-3 * 127.5)
    levels = np.rint(found[0]).astype(int).transpose(1, 2, 0)[:, :, ::-1]
    off = np.abs(levels[::4, ::4] - published["decode2_u8_bgr"][0])
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("empty_models")
def test_lower_decoder_near_the_exact(files: Path, published: Golden) -> None:
    """Compares the blended rows, 128 and below.

    The deviation depends on latents and weights. So it is compared with a mistake: it must be less
    than a fifth of what a shift by one row does to this picture, which has strong edges.
    """
    autoencoder = import_musetalk.read_autoencoder(files / "vae.bin")
    latents = torch.from_numpy(published["latents_for_unet_mode"])
    made = musetalk_export.lower_decoder_build(autoencoder, latents, files / "vae.bin")
    assert install_model(made).facts["first_row"] == 96
    exact = (np.clip(published["decode2_float_rgb"] / 2 + 0.5, 0, 1) * 255)[:, :, 128:]
    given = {"latents": published["decode2_latents"]}
    found = loaded("musetalk_vae_decoder_lower").infer(given)["image"]
    assert found.shape == (1, 3, 160, 256)
    found = found[:, :, 32:, ::8]
    error = np.sqrt(np.mean((found - exact) ** 2))
    off_by_a_row = np.sqrt(np.mean(np.diff(exact, axis=2) ** 2))
    assert 0.1 < error < off_by_a_row / 5, "an approximation, and a near one"
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    "name",
    [
        "whisper_encoder",
        # test_musetalk.py builds engines of the same layers, narrow.
        pytest.param("musetalk_vae_encoder", marks=pytest.mark.slow),
        pytest.param("musetalk_vae_decoder", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("cards")
def test_tensorrt_builds_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build_tensorrt_engine(name).stat().st_size > 1e6


def test_original_whisper_file(published: Golden, tmp_path: Path) -> None:
    """OpenAI's tiny.pt has other names and the dimensions of the network, and may be in FP16."""
    state = {
        f"encoder.{openai_name(name)}": torch.from_numpy(value)
        for name, value in weights("musetalk_whisper_encoder").items()
    }
    state["decoder.ln.weight"] = torch.ones(384)
    path = tmp_path / "tiny.pt"
    torch.save({"dims": {"n_mels": 80}, "model_state_dict": state}, path)
    network, normed = import_musetalk.read_whisper(path, "1.0")
    assert not normed
    mel = np.zeros((1, 80, 3000), np.float32)
    mel[0, :, :200] = log_mel(published["wav"])
    with torch.inference_mode():
        found = network(torch.from_numpy(mel))[0, :100].numpy()
    np.testing.assert_allclose(found[KEPT_STATES], published["v10_features"], atol=1e-4)
    # The card selects the spectrogram and the windows, as in a node.
    mel = torch.from_numpy(musetalk_export.example_mel())
    install_model(musetalk_export.whisper_build(network, mel, path, normed), tmp_path / "models")
    stream = make_whisper_stream(loaded(tmp_path / "models" / "whisper_encoder.yaml"))
    stream.append_speech(published["wav"], last=True)
    windows = np.stack(
        [stream.image_window(k, 25) for k in range(len(published["v10_chunks_fps25"]))]
    )
    np.testing.assert_allclose(windows[KEPT_STATES], published["v10_chunks_fps25"], atol=2e-4)
    assert import_musetalk.read_whisper(path, "1.5")[1]
    half = {name: value.half() for name, value in state.items()}
    torch.save({"model_state_dict": half}, path)
    network, _ = import_musetalk.read_whisper(path, "1.0")
    assert {p.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_other_seeds_through_onnx(published: Golden, empty_models: Path, seed: int) -> None:
    """ONNX Runtime gives the answers of PyTorch for weights that the tests were not adjusted to."""
    origin = empty_models / "weights.bin"
    origin.write_bytes(b"seed")

    def tensors(which: str) -> dict[str, Any]:
        return {k: torch.from_numpy(v) for k, v in weights(f"musetalk_{which}", seed).items()}

    whisper = with_weights(whisper_encoder.WhisperEncoder(), tensors("whisper_encoder"), origin)
    autoencoder = with_weights(musetalk_vae.Autoencoder(), tensors("vae"), origin)
    mel = torch.from_numpy(log_mel(published["wav"], 3000)[None])
    images = musetalk_export.example_images()
    latents = torch.from_numpy(published["latents_for_unet_mode"])
    predicted = torch.from_numpy(published["unet_out"][:1])
    # Before the export, which replaces the normalization layers of the encoder.
    with torch.inference_mode():
        wanted = {
            "whisper_encoder": {"states": whisper(mel)},
            "musetalk_vae_encoder": dict(
                zip(("mean", "logvar"), musetalk_vae.ImageEncoder(autoencoder)(images), strict=True)
            ),
            "musetalk_vae_decoder": {"image": musetalk_vae.ImageDecoder(autoencoder)(predicted)},
        }
    install_model(musetalk_export.whisper_build(whisper, mel, origin, True))
    for made in musetalk_export.vae_builds(autoencoder, images, latents, origin):
        install_model(made)
    given = {
        "whisper_encoder": {"mel": mel.numpy()},
        "musetalk_vae_encoder": {"image": images.numpy()},
        "musetalk_vae_decoder": {"latents": predicted.numpy()},
    }
    for name, inputs in given.items():
        found = loaded(name).infer(inputs)
        for output, value in wanted[name].items():
            limit = 0.1 if output == "image" else 2e-4
            np.testing.assert_allclose(found[output], value.numpy(), atol=limit, err_msg=name)


@pytest.mark.slow
def test_unet_end_to_end(
    published: Golden,
    cards: dict[str, Card],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Imports 850 million parameters from a file, and computes the bytes of an image.

    Where TensorRT-RTX is installed, also builds an engine.
    """
    path = tmp_path / "unet.npz"
    np.savez(path, **weights("musetalk_unet"))
    unet = import_musetalk.read_unet(path)
    latents = torch.from_numpy(published["unet_latents"][:1])
    audio = torch.from_numpy(published["unet_audio"][:1])
    install_model(musetalk_export.unet_build(unet, latents, audio, path, {}, tmp_path))
    del unet
    found = loaded("musetalk_unet").infer(
        {"latents": published["unet_latents"], "audio": published["unet_audio"]}
    )["latents"]
    np.testing.assert_allclose(found, published["unet_out"], atol=1e-4)
    image = loaded("musetalk_vae_decoder").infer({"latents": found})["image"]
    levels = np.rint(image).astype(int).transpose(0, 2, 3, 1)[..., ::-1]
    off = np.abs(levels[:, ::4, ::4] - published["decode_u8_bgr"])
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3
    if importlib.util.find_spec("tensorrt_rtx"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        engine = build_tensorrt_engine("musetalk_unet")
        assert engine.stat().st_size > 3e9
