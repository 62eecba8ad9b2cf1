"""Builds the ONNX models of MuseTalk's networks, with their cards and reference inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from face_perception.files import sha256_of
from face_perception.inference import ModelBuild, Port
from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import decoders as musetalk_decoders
from face_perception.learning.musetalk import whisper_encoder
from face_perception.learning.musetalk.state_dicts import (
    empty_network,
    read_state_dict,
    with_weights,
)
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.onnx_large_export import to_onnx_streamed
from face_perception.speech import image_windows, log_mel, whisper_states

LICENCE = "MIT (code), CreativeML Open RAIL-M (weights)"
DECODER = "musetalk_vae_decoder"

_LATENTS = "scaled by 0.18215"
_IMAGE = "RGB, 0 to 255"

# Whisper, the encoder and the decoders are traced with a batch of 1: half the time of a batch of 2.
# They broadcast nothing over the batch; test/learning/test_avatar_decoders.py tests larger ones.

# Largest deviation that a backend may have, in the unit of the output. With pseudo-random weights
# FP16 had a tenth to two tenths of it (docs/avatar.md).
_TOLERANCE = {"states": 0.05, "mean": 0.05, "logvar": 0.1, "predicted": 0.05, "image": 4.0}


def whisper_build(network: nn.Module, mel: torch.Tensor, path: Path, normed: bool) -> ModelBuild:
    """Returns the model ``whisper_encoder``, compared on ``mel`` [1, 80, 3000]."""
    return ModelBuild(
        name="whisper_encoder",
        onnx=to_onnx(network, [mel], ["mel"], ["states"]),
        task="speech features for MuseTalk",
        licence="MIT",
        origin=_origin(path),
        inputs={"mel": Port((None, 80, 3000), "float32", "log-mel of 30 s at 16 kHz")},
        outputs={
            "states": _port(
                "states", (1500, 5, 384), "the embedding and the output of each layer, 50 a second"
            )
        },
        reference_inputs={"mel": mel.numpy()},
        facts={"normed": normed},
    )


def vae_builds(
    autoencoder: nn.Module, images: torch.Tensor, latents: torch.Tensor, path: Path
) -> tuple[ModelBuild, ModelBuild]:
    """Returns the models of the image encoder and of the exact image decoder.

    They are compared on ``images`` [2, 3, 256, 256] and ``latents`` [1, 8, 32, 32].
    """
    shared: dict[str, Any] = {"licence": "MIT", "origin": _origin(path)}
    moments = {
        "mean": _port("mean", (4, 32, 32), "of the latents, not scaled"),
        "logvar": _port("logvar", (4, 32, 32), "logarithm of the latents' variance"),
    }
    encoder = ModelBuild(
        name="musetalk_vae_encoder",
        onnx=_declared(
            to_onnx(musetalk_vae.ImageEncoder(autoencoder), [images[:1]], ["image"], [*moments]),
            moments,
        ),
        task="face image to latents",
        inputs={"image": Port((None, 3, 256, 256), "float32", _IMAGE)},
        outputs=moments,
        reference_inputs={"image": images.numpy()},
        **shared,
    )
    decoder = _decoder_build(
        DECODER,
        musetalk_vae.ImageDecoder(autoencoder),
        "latents to face image",
        "MIT",
        path,
        latents,
    )
    return encoder, decoder


def lower_decoder_build(autoencoder: nn.Module, latents: torch.Tensor, path: Path) -> ModelBuild:
    """Returns the model of the decoder of the lower rows (see ``LowerImageDecoder``)."""
    rows = musetalk_decoders.SIDE - musetalk_decoders.FIRST_ROW
    network = musetalk_decoders.LowerImageDecoder(autoencoder)
    task = "latents to the lower rows of a face image, approximately"
    return _decoder_build("musetalk_vae_decoder_lower", network, task, "MIT", path, latents, rows)


def tiny_decoder_build(path: Path, latents: torch.Tensor) -> ModelBuild:
    """Returns the model of the tiny decoder, with the weights of the file ``path``."""
    state = musetalk_decoders.rename_tiny_decoder(read_state_dict(path))
    network = with_weights(empty_network(musetalk_decoders.TinyDecoder), state, path)
    task = "latents to face image, approximately"
    return _decoder_build("musetalk_tiny_decoder", network, task, "MIT", path, latents)


def _decoder_build(
    name: str,
    network: nn.Module,
    task: str,
    licence: str,
    path: Path,
    latents: torch.Tensor,
    rows: int = musetalk_decoders.SIDE,
) -> ModelBuild:
    latents = latents[:, -4:]  # those of the whole face; those of the masked face come first
    outputs = {"image": _port("image", (3, rows, 256), _IMAGE)}
    graph = to_onnx(network, [latents], ["latents"], ["image"])
    return ModelBuild(
        name=name,
        onnx=_declared(graph, outputs),
        task=task,
        licence=licence,
        origin=_origin(path),
        inputs={"latents": Port((None, 4, 32, 32), "float32", _LATENTS)},
        outputs=outputs,
        reference_inputs={"latents": latents.numpy()},
        facts={"first_row": musetalk_decoders.SIDE - rows},
    )


def unet_build(
    unet: nn.Module,
    latents: torch.Tensor,
    audio: torch.Tensor,
    path: Path,
    facts: dict[str, object],
    folder: Path,
    name: str = "musetalk_unet",
) -> ModelBuild:
    """Returns the model of the UNet; writes its weights to a file in ``folder``.

    It is compared on ``latents`` [1, 8, 32, 32] and ``audio`` [1, 50, 384].
    """
    data = folder / f"{name}.onnx.data"
    # In an ONNX graph an input and an output cannot share a name; in our Model they can.
    predicted = _port("predicted", (4, 32, 32), _LATENTS)
    outputs = {"predicted": dataclasses.replace(predicted, public="latents")}
    graph = to_onnx_streamed(
        unet,
        [latents.repeat(2, 1, 1, 1), audio.repeat(2, 1, 1)],
        ["latents", "audio"],
        ["predicted"],
        data,
    )
    return ModelBuild(
        name=name,
        onnx=_declared(graph, outputs),
        task="latents of a masked and a reference face, and speech, to latents of the face",
        licence=LICENCE,
        origin=_origin(path),
        inputs={
            "latents": Port((None, 8, 32, 32), "float32", f"masked, then reference, {_LATENTS}"),
            "audio": Port((None, 50, 384), "float32", "ten whisper states, five layers each"),
        },
        outputs=outputs,
        reference_inputs={"latents": latents.numpy(), "audio": audio.numpy()},
        facts=facts,
        extra={data.name: data},
    )


def _declared(graph: bytes, outputs: Mapping[str, Port]) -> bytes:
    """Returns the graph with the sizes of its outputs declared.

    The exporter loses them in a reshape to the sizes of another tensor.
    """
    model = onnx.load_from_string(graph)
    for value in model.graph.output:
        shape = value.type.tensor_type.shape.dim
        for dim, size in zip(shape, outputs[value.name].shape, strict=True):
            if size is not None:
                dim.dim_value = size
    return bytes(model.SerializeToString())


def _port(name: str, shape: tuple[int, ...], meaning: str) -> Port:
    return Port((None, *shape), "float32", meaning, tolerance=_TOLERANCE[name])


def _origin(path: Path) -> str:
    return f"{path.name} (sha256 {sha256_of(path)})"


def _example_speech() -> np.ndarray:
    """Returns two seconds of sound with the rhythm of speech: a buzzing voice, and noise."""
    time = np.arange(2 * 16000) / 16000
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, None)
    noise = np.random.default_rng(0).normal(size=len(time))
    return (0.1 * syllables * voice + 0.003 * noise).astype(np.float32)


def example_mel() -> np.ndarray:
    """Returns the log-mel spectrogram [1, 80, 3000] of two seconds of artificial speech."""
    return log_mel(_example_speech(), whisper_encoder.FRAMES)[None]


@torch.inference_mode()
def example_audio(whisper: nn.Module, normed: bool) -> torch.Tensor:
    """Returns the features [1, 50, 384] of a window in the middle of a syllable."""

    class Encoder:
        def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"states": whisper(torch.from_numpy(inputs["mel"])).numpy()}

    states = whisper_states(_example_speech(), Encoder(), original=not normed)
    return torch.from_numpy(image_windows(states, 1, 25, first=27))


def example_images() -> torch.Tensor:
    """Returns a painted face [2, 3, 256, 256], RGB, 0 to 255: masked, and whole."""
    rows, columns = np.mgrid[:256, :256] - 128.0
    skin = np.exp(-(((columns / 110) ** 2 + (rows / 130) ** 2) ** 3))
    face = np.stack([190 * skin + 30, 140 * skin + 40, 110 * skin + 60])
    for x, y, width, height in ((-45, -25, 20, 8), (45, -25, 20, 8), (0, 70, 35, 10)):
        spot = np.exp(-(((columns - x) / width) ** 2 + ((rows - y) / height) ** 2))
        face -= face * 0.6 * spot
    face += np.random.default_rng(0).normal(0, 2, face.shape)
    whole = np.rint(face.clip(0, 255)).astype(np.float32)
    masked = whole.copy()
    masked[:, 128:] = 0
    return torch.from_numpy(np.stack([masked, whole]))


@torch.inference_mode()
def example_latents(autoencoder: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Returns the most likely latents [1, 8, 32, 32] of ``example_images``."""
    mean, _ = musetalk_vae.ImageEncoder(autoencoder)(images)
    return (musetalk_vae.SCALING * mean).reshape(1, 8, 32, 32).clone()
