"""MuseTalk's networks with narrow layers: real architectures and cards, random weights.

The networks of the true size take minutes and gigabytes; these take seconds.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from model_caches import copy_models

from face_perception.inference import install_model

torch = pytest.importorskip("torch")

from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import decoders as musetalk_decoders
from face_perception.learning.musetalk import export as musetalk_export
from face_perception.learning.musetalk import unet as musetalk_unet
from face_perception.learning.musetalk import whisper_encoder


def narrow_whisper() -> torch.nn.Module:
    """Returns whisper's encoder with narrow layers: its states have the true size.

    Export it while ``whisper_encoder.HEADS`` is 1.
    """
    network = whisper_encoder.WhisperEncoder()
    width, narrow = whisper_encoder.WIDTH, 8
    for layer in network.layers:
        for name in ("k_proj", "v_proj", "q_proj"):
            setattr(layer.self_attn, name, torch.nn.Linear(width, narrow, bias=name != "k_proj"))
        layer.self_attn.out_proj = torch.nn.Linear(narrow, width)
        layer.fc1, layer.fc2 = torch.nn.Linear(width, narrow), torch.nn.Linear(narrow, width)
    return network


def install_narrow(folder: Path, *, seed: int = 0) -> Path:
    """Installs whisper's encoder, MuseTalk's networks and the cheaper decoders in a new model
    cache.
    """
    models, files = folder / "models", folder / "files"
    copy_models(models)
    files.mkdir()
    torch.manual_seed(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musetalk_decoders.TinyDecoder, "CHANNELS", 8)
        patch.setattr(whisper_encoder, "HEADS", 1)
        whisper = narrow_whisper()
        torch.manual_seed(seed)  # the other weights do not depend on whisper's size
        autoencoder = musetalk_vae.Autoencoder((8, 8, 16, 16))
        unet = musetalk_unet.UNet((16, 16, 32, 32))
        files_of = {name: files / f"{name}.bin" for name in ("whisper", "vae", "unet")}
        for name, network in (("whisper", whisper), ("vae", autoencoder), ("unet", unet)):
            network.eval().requires_grad_(False)
            torch.save(network.state_dict(), files_of[name])
        mel = torch.from_numpy(musetalk_export.example_mel())
        images = musetalk_export.example_images()
        latents = musetalk_export.example_latents(autoencoder, images)
        unet.fold_time()
        audio = torch.zeros(1, 50, 384)
        facts: dict[str, object] = {"version": "1.5", "margin": 10, "mask": "jaw"}
        tiny = files / "tiny.pth"
        torch.save(musetalk_decoders.TinyDecoder().state_dict(), tiny)
        made = [
            musetalk_export.lower_decoder_build(autoencoder, latents, files_of["vae"]),
            musetalk_export.tiny_decoder_build(tiny, latents),
            musetalk_export.whisper_build(whisper, mel, files_of["whisper"], True),
            *musetalk_export.vae_builds(autoencoder, images, latents, files_of["vae"]),
            musetalk_export.unet_build(unet, latents, audio, files_of["unet"], facts, files),
        ]
    for one in made:
        install_model(one, models)
    return models
