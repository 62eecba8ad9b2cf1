"""``face-perception import musetalk``: makes the models of MuseTalk from the published weights.

They are whisper's encoder, the image encoder, the image decoder and the UNet, and on request
cheaper decoders. The UNet's weights are streamed to their file, so that memory holds them only
once: the memory of an import from .npz files peaked at 4.5 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from face_perception import paths
from face_perception.inference import ModelBuild, ModelError, catalogue, read_reference_inputs
from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import unet as musetalk_unet
from face_perception.learning.musetalk import whisper_encoder
from face_perception.learning.musetalk.export import (
    DECODER,
    example_audio,
    example_images,
    example_latents,
    example_mel,
    lower_decoder_build,
    tiny_decoder_build,
    unet_build,
    vae_builds,
    whisper_build,
)
from face_perception.learning.musetalk.state_dicts import (
    check_checkpoint_file,
    empty_network,
    read_provenance,
    read_state_dict,
    rename_vae,
    rename_whisper,
    with_weights,
)

Report = Callable[[str], None]

VERSIONS = ("1.5", "1.0")
_TEMPORARY = ".import-"  # beginning of the names of temporary folders


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = ".pth, .pt, .bin, .safetensors, .npz"
    for option, text in (
        ("--unet", "MuseTalk's UNet, musetalkV15/unet.pth or musetalk/pytorch_model.bin"),
        ("--vae", "sd-vae-ft-mse, diffusion_pytorch_model"),
        ("--whisper", "whisper-tiny, pytorch_model.bin, or OpenAI's tiny.pt"),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=f"{text} {kinds}")
    parser.add_argument(
        "--lower",
        action="store_true",
        help="also make a decoder of the lower rows only, which is faster but not exact",
    )
    parser.add_argument(
        "--tiny",
        type=Path,
        metavar="FILE",
        help=f"taesd, or its decoder alone {kinds}; without the other files, it is "
        "added to the models that were imported before",
    )
    parser.add_argument(
        "--version", choices=VERSIONS, default=VERSIONS[0], help="version of MuseTalk"
    )


def make(args: argparse.Namespace, report: Report) -> Iterator[ModelBuild]:
    """Yields whisper_encoder, musetalk_vae_encoder and musetalk_vae_decoder, on request
    musetalk_vae_decoder_lower and musetalk_tiny_decoder, and at last musetalk_unet.

    The UNet comes with a file of weights in a temporary folder: install the model before you ask
    for the next one. Yields only musetalk_tiny_decoder if ``tiny`` is the only file given. Raises
    ModelError if files are missing or do not fit.
    """
    wanted = {f"--{name}": getattr(args, name) for name in ("unet", "vae", "whisper")}
    for path in (*wanted.values(), args.tiny):
        if path:
            check_checkpoint_file(path)
    alone = args.tiny and not any(wanted.values()) and not args.lower
    if alone:
        report(f"reading {args.tiny}")
        yield tiny_decoder_build(args.tiny, _imported_latents())
        return
    missing = [option for option, path in wanted.items() if not path]
    if missing:
        raise ModelError(
            f"{', '.join(missing)} FILE missing: give all of {', '.join(wanted)}; or give --tiny "
            "alone, to add that decoder to the models that were imported before"
        )
    facts: dict[str, object] = {"version": args.version, "margin": 10, "mask": "jaw"}
    if args.version == "1.0":
        facts |= {"margin": 0, "mask": "raw"}
    other = _version_of(args.unet)
    if other not in ("", args.version):
        report(
            f"{args.unet} is the UNet of version {other}, by the name of its folder: if that is "
            f"right, give --version {other}, because the versions crop and blend the face "
            "differently"
        )
    report(f"reading {args.whisper}")
    whisper, normed = read_whisper(args.whisper, args.version)
    mel = torch.from_numpy(example_mel())
    yield whisper_build(whisper, mel, args.whisper, normed)
    audio = example_audio(whisper, normed)
    del whisper
    report(f"reading {args.vae}")
    autoencoder = read_autoencoder(args.vae)
    images = example_images()
    latents = example_latents(autoencoder, images)
    encoder, decoder = vae_builds(autoencoder, images, latents, args.vae)
    yield encoder
    yield decoder
    if args.lower:
        report("writing the decoder of the lower rows")
        yield lower_decoder_build(autoencoder, latents, args.vae)
    del autoencoder
    if args.tiny:
        report(f"reading {args.tiny}")
        yield tiny_decoder_build(args.tiny, latents)
    report(f"reading {args.unet}")
    unet = read_unet(args.unet)
    with _folder() as folder:
        report("writing the UNet (3.4 GB as published)")
        made = unet_build(unet, latents, audio, args.unet, facts, folder)
        yield with_provenance(made, args.unet)


def with_provenance(build: ModelBuild, file: Path) -> ModelBuild:
    """Returns the model with licence and origin of a UNet that `train musetalk` wrote to ``file``.

    A published file leaves it as it is.
    """
    trained = read_provenance(file)
    if not trained:
        return build
    origin = f"{build.origin}, trained by face_perception on {trained['trained_on']}"
    return dataclasses.replace(build, licence=trained["licence"], origin=origin)


def _version_of(unet: Path) -> str:
    """Returns the version that the name of the file's folder says, or an empty string.

    The file itself does not say it: the networks of both versions have the same tensors.
    """
    folder = unet.absolute().parent.name.lower()
    return {"musetalkv15": "1.5", "musetalk": "1.0"}.get(folder, "")


def read_unet(path: Path) -> nn.Module:
    """Returns the UNet with the weights of a file and the time step folded in."""
    state = read_state_dict(path)
    unet = empty_network(lambda: musetalk_unet.UNet(*musetalk_unet.shape_of(state)))
    unet.positions = musetalk_unet.positions()
    with_weights(unet, state, path)
    unet.fold_time()
    return unet


def read_autoencoder(path: Path) -> nn.Module:
    """Returns the autoencoder with the weights of a file."""
    state = rename_vae(read_state_dict(path))
    widths = musetalk_vae.widths_of(state)
    return with_weights(empty_network(lambda: musetalk_vae.Autoencoder(widths)), state, path)


def read_whisper(path: Path, version: str) -> tuple[nn.Module, bool]:
    """Returns whisper's encoder, and whether its last layer norm is applied.

    MuseTalk 1.0 was published with OpenAI's file and without that norm; every other combination
    has it. The card's ``normed`` also selects the spectrogram and the windows of the speech
    features.
    """
    state, of_openai = rename_whisper(read_state_dict(path))
    normed = not (version == "1.0" and of_openai)
    network = whisper_encoder.WhisperEncoder(normed=normed)
    return with_weights(network, state, path), normed


def _imported_latents() -> torch.Tensor:
    """Returns the latents [1, 4, 32, 32] that the imported exact decoder is compared on."""
    card = catalogue().get(DECODER)
    if card is None:
        raise ModelError(
            f"--tiny alone adds a decoder to imported models, but {DECODER} was not imported: give "
            "--unet, --vae and --whisper too"
        )
    return torch.from_numpy(read_reference_inputs(card)["latents"])


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Yields a temporary folder for gigabytes of weights that are still to be installed.

    It is on the disk of the models, so that installing only renames the file.
    """
    models = paths.models_dir()
    models.mkdir(parents=True, exist_ok=True)
    # Remove what an import that was killed has left.
    for left in models.glob(f"{_TEMPORARY}*"):
        owner = left.name.removeprefix(_TEMPORARY).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY}{os.getpid()}-", dir=models) as folder:
        yield Path(folder)
