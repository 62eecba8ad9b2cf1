"""Published weights of MuseTalk -> its four networks: whisper's encoder, the image encoder and
decoder, the UNet, whose weights are streamed to their file rather than held twice; cheaper decoders
where they are asked for. The whole import peaked at 4.5 GB, read from .npz files.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from face_perception import paths
from face_perception.files import sha256_of
from face_perception.inference import ModelBuild, ModelError, Port, catalogue, read_reference_inputs
from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import decoders as musetalk_decoders
from face_perception.learning.musetalk import unet as musetalk_unet
from face_perception.learning.musetalk import whisper_encoder
from face_perception.learning.musetalk.checkpoint_files import (
    check_file,
    filled,
    read_state,
    vae_names,
    whisper_names,
)
from face_perception.learning.onnx_export import to_onnx
from face_perception.learning.onnx_large_export import to_onnx_streamed
from face_perception.speech import image_windows, log_mel, whisper_states

Report = Callable[[str], None]

VERSIONS = ("1.5", "1.0")
LICENCE = "MIT (code), CreativeML Open RAIL-M (weights)"
_TEMPORARY = ".import-"
_DECODER = "musetalk_vae_decoder"

_LATENTS = "scaled by 0.18215"
_IMAGE = "RGB, 0 to 255"

# What backends may differ by, in each output's own unit. FP16 took a tenth of it or two with
# pseudo-random weights (docs/avatar.md).
_TOLERANCE = {"states": 0.05, "mean": 0.05, "logvar": 0.1, "predicted": 0.05, "image": 4.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = ".pth, .pt, .bin, .safetensors, .npz"
    for option, text in (
        ("--unet", "MuseTalk's UNet, musetalkV15/unet.pth or musetalk/pytorch_model.bin"),
        ("--vae", "sd-vae-ft-mse, diffusion_pytorch_model"),
        ("--whisper", "whisper-tiny, pytorch_model.bin, or OpenAI's tiny.pt"),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=f"{text} {kinds}")
    parser.add_argument(
        "--lower", action="store_true", help="make the decoder of the lower rows too: not exact"
    )
    parser.add_argument(
        "--tiny",
        type=Path,
        metavar="FILE",
        help=f"taesd, or its decoder alone {kinds}; without the others it is added to what was "
        "imported before",
    )
    parser.add_argument("--version", choices=VERSIONS, default=VERSIONS[0], help="of MuseTalk")


def make(args: argparse.Namespace, report: Report) -> Iterator[ModelBuild]:
    """Yields whisper_encoder, musetalk_vae_encoder, musetalk_vae_decoder, where asked for
    musetalk_vae_decoder_lower and musetalk_tiny_decoder, and musetalk_unet.

    The UNet comes with a file of weights, in a folder that is gone afterwards. With no file but
    ``tiny``, that alone. Raises ModelError where files are missing, or do not fit.
    """
    wanted = {f"--{name}": getattr(args, name) for name in ("unet", "vae", "whisper")}
    for path in (*wanted.values(), args.tiny):
        if path:
            check_file(path)
    alone = args.tiny and not any(wanted.values()) and not args.lower
    if alone:
        report(f"reading {args.tiny}")
        yield tiny_made(args.tiny, _imported_latents())
        return
    missing = [option for option, path in wanted.items() if not path]
    if missing:
        raise ModelError(
            f"{', '.join(missing)} FILE missing: give all of {', '.join(wanted)}, or --tiny alone, "
            "to add that decoder to what was imported before"
        )
    facts = {"version": args.version, "margin": 10, "mask": "jaw"}
    if args.version == "1.0":
        facts |= {"margin": 0, "mask": "raw"}
    other = _version_of(args.unet)
    if other not in ("", args.version):
        report(
            f"{args.unet} is by its name the UNet of {other}, which nothing in it says: if it is, "
            f"give --version {other}, for the face is cut and laid over otherwise"
        )
    report(f"reading {args.whisper}")
    whisper, normed = _whisper(args.whisper, args.version)
    mel = torch.from_numpy(_example_mel())
    yield whisper_made(whisper, mel, args.whisper, normed)
    audio = _example_audio(whisper, normed)
    del whisper
    report(f"reading {args.vae}")
    autoencoder = filled(
        _empty(musetalk_vae.Autoencoder), vae_names(read_state(args.vae)), args.vae
    )
    images = _example_images()
    latents = _example_latents(autoencoder, images)
    encoder, decoder = vae_made(autoencoder, images, latents, args.vae)
    yield encoder
    yield decoder
    if args.lower:
        report("writing the decoder of the lower rows")
        yield lower_made(autoencoder, latents, args.vae)
    del autoencoder
    if args.tiny:
        report(f"reading {args.tiny}")
        yield tiny_made(args.tiny, latents)
    report(f"reading {args.unet}")
    unet = read_unet(args.unet)
    with _folder() as folder:
        report("writing the UNet's 3.4 GB")
        yield unet_made(unet, latents, audio, args.unet, facts, folder)


def _version_of(unet: Path) -> str:
    """By where it is published; "" where that does not say. The networks of both are alike."""
    folder = unet.absolute().parent.name.lower()
    return {"musetalkv15": "1.5", "musetalk": "1.0"}.get(folder, "")


def read_unet(path: Path) -> nn.Module:
    """The UNet with the weights of a file, time folded in."""
    unet = _empty(musetalk_unet.UNet)
    unet.positions = musetalk_unet.positions()
    filled(unet, read_state(path), path)
    unet.fold_time()
    return unet


def whisper_made(network: nn.Module, mel: torch.Tensor, path: Path, normed: bool) -> ModelBuild:
    return ModelBuild(
        name="whisper_encoder",
        onnx=to_onnx(network, [mel.repeat(2, 1, 1)], ["mel"], ["states"]),
        task="speech, as MuseTalk hears it",
        licence="MIT",
        origin=_origin(path),
        inputs={"mel": Port((None, 80, 3000), "float32", "log-mel of 30 s at 16 kHz")},
        outputs={
            "states": _port(
                "states", (1500, 5, 384), "embedding and what follows each layer, 50 a second"
            )
        },
        reference_inputs={"mel": mel.numpy()},
        facts={"normed": normed},
    )


def vae_made(
    autoencoder: nn.Module, images: torch.Tensor, latents: torch.Tensor, path: Path
) -> tuple[ModelBuild, ModelBuild]:
    shared = {"licence": "MIT", "origin": _origin(path)}
    moments = {
        "mean": _port("mean", (4, 32, 32), "of the latents, not scaled"),
        "logvar": _port("logvar", (4, 32, 32), "logarithm of their variance"),
    }
    encoder = ModelBuild(
        name="musetalk_vae_encoder",
        onnx=_declared(
            to_onnx(musetalk_vae.ImageEncoder(autoencoder), [images], ["image"], [*moments]),
            moments,
        ),
        task="face image to latents",
        inputs={"image": Port((None, 3, 256, 256), "float32", _IMAGE)},
        outputs=moments,
        reference_inputs={"image": images.numpy()},
        **shared,
    )
    decoder = _decoder_made(
        _DECODER,
        musetalk_vae.ImageDecoder(autoencoder),
        "latents to face image",
        "MIT",
        path,
        latents,
    )
    return encoder, decoder


def lower_made(autoencoder: nn.Module, latents: torch.Tensor, path: Path) -> ModelBuild:
    """What is stated of its error holds for this network beside the exact one, see bench/."""
    rows = musetalk_decoders.SIDE - musetalk_decoders.FIRST_ROW
    network = musetalk_decoders.LowerImageDecoder(autoencoder)
    task = "latents to the lower rows of a face image, approximately"
    return _decoder_made("musetalk_vae_decoder_lower", network, task, "MIT", path, latents, rows)


def tiny_made(path: Path, latents: torch.Tensor) -> ModelBuild:
    state = musetalk_decoders.tiny_names(read_state(path))
    network = filled(_empty(musetalk_decoders.TinyDecoder), state, path)
    task = "latents to face image, approximately"
    return _decoder_made("musetalk_tiny_decoder", network, task, "MIT", path, latents)


def _decoder_made(
    name: str,
    network: nn.Module,
    task: str,
    licence: str,
    path: Path,
    latents: torch.Tensor,
    rows: int = musetalk_decoders.SIDE,
) -> ModelBuild:
    latents = latents[:, -4:]  # of the whole face, where those of the masked one come before
    outputs = {"image": _port("image", (3, rows, 256), _IMAGE)}
    graph = to_onnx(network, [latents.repeat(2, 1, 1, 1)], ["latents"], ["image"])
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


def unet_made(
    unet: nn.Module,
    latents: torch.Tensor,
    audio: torch.Tensor,
    path: Path,
    facts: dict[str, object],
    folder: Path,
) -> ModelBuild:
    data = folder / "musetalk_unet.onnx.data"
    # An ONNX graph cannot call an output as it calls an input; the model's users can.
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
        name="musetalk_unet",
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


def _whisper(path: Path, version: str) -> tuple[nn.Module, bool]:
    """MuseTalk 1.0 first heard OpenAI's own network, without its last norm; all else with it. The
    card's ``normed`` chooses spectrogram and windows too (``speech_stream``).
    """
    state, of_openai = whisper_names(read_state(path))
    normed = not (version == "1.0" and of_openai)
    network = whisper_encoder.WhisperEncoder(normed=normed)
    return filled(network, state, path), normed


def _declared(graph: bytes, outputs: Mapping[str, Port]) -> bytes:
    """The graph with all sizes of its outputs, which the exporter loses on the way through a
    reshape to the sizes of another tensor.
    """
    model = onnx.load_from_string(graph)
    for value in model.graph.output:
        shape = value.type.tensor_type.shape.dim
        for dim, size in zip(shape, outputs[value.name].shape, strict=True):
            if size is not None:
                dim.dim_value = size
    return bytes(model.SerializeToString())


def _empty(network: Callable[[], nn.Module]) -> nn.Module:
    """Without memory for its weights: they are assigned."""
    with torch.device("meta"):
        return network()


def _port(name: str, shape: tuple[int, ...], meaning: str) -> Port:
    return Port((None, *shape), "float32", meaning, tolerance=_TOLERANCE[name])


def _origin(path: Path) -> str:
    return f"{path.name} (sha256 {sha256_of(path)})"


def _example_speech() -> np.ndarray:
    """Two seconds of what has the rhythm of speech: a buzzing voice in syllables, and noise."""
    time = np.arange(2 * 16000) / 16000
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, None)
    noise = np.random.default_rng(0).normal(size=len(time))
    return (0.1 * syllables * voice + 0.003 * noise).astype(np.float32)


def _example_mel() -> np.ndarray:
    return log_mel(_example_speech(), whisper_encoder.FRAMES)[None]


@torch.inference_mode()
def _example_audio(whisper: nn.Module, normed: bool) -> torch.Tensor:
    """[1, 50, 384]: the window in the middle of a syllable."""

    class Encoder:
        def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"states": whisper(torch.from_numpy(inputs["mel"])).numpy()}

    states = whisper_states(_example_speech(), Encoder(), original=not normed)
    return torch.from_numpy(image_windows(states, 1, 25, first=27))


def _example_images() -> torch.Tensor:
    """[2, 3, 256, 256]: a drawn face, masked and whole."""
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


def _imported_latents() -> torch.Tensor:
    """[1, 4, 32, 32]: what the exact decoder, imported before, is compared on."""
    card = catalogue().get(_DECODER)
    if card is None:
        raise ModelError(
            f"--tiny alone adds a decoder to what was imported, and {_DECODER} was not: give "
            "--unet, --vae and --whisper too"
        )
    return torch.from_numpy(read_reference_inputs(card)["latents"])


@torch.inference_mode()
def _example_latents(autoencoder: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """[1, 8, 32, 32]: the most likely ones."""
    mean, _ = musetalk_vae.ImageEncoder(autoencoder)(images)
    return (musetalk_vae.SCALING * mean).reshape(1, 8, 32, 32).clone()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Where gigabytes lie until they are installed: beside the models, to be moved at no cost."""
    models = paths.models_dir()
    models.mkdir(parents=True, exist_ok=True)
    # Left by an import that was killed.
    for left in models.glob(f"{_TEMPORARY}*"):
        owner = left.name.removeprefix(_TEMPORARY).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY}{os.getpid()}-", dir=models) as folder:
        yield Path(folder)
