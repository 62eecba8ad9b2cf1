"""Measures MuseTalk's UNet and decoders on the CPU, in ONNX Runtime and in PyTorch.

`python bench/musetalk.py`, with the generated weights of the tests. Takes minutes, 12 GB of memory
and 8 GB of disk. The baseline are our own PyTorch modules with PyTorch's attention, or with
`--diffusers` the UNet2DConditionModel and AutoencoderKL of diffusers (pip install diffusers, best
into a separate folder on PYTHONPATH).

Times hold for trained weights as well, deviations in dB do not. `face-perception avatar decoders
FILE` prints both for your weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
# Rows that are blended: the lower half.
FIRST = 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="keep the networks in this folder")
    parser.add_argument(
        "--diffusers",
        nargs=2,
        type=Path,
        metavar=("UNET", "VAE"),
        help="use diffusers as the baseline, with MuseTalk's musetalk.json and the config.json of "
        "its autoencoder",
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the figures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-musetalk-") as folder:
        os.environ["FACE_PERCEPTION_MODELS"] = str(args.models or folder)
        report = measure(args.turns, args.diffusers)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def measure(turns: int, configurations: list[Path] | None) -> dict[str, Any]:
    import torch

    from face_perception.inference import ModelError, find_card, load, make_variant
    from face_perception.inference.models.variants import find_variant
    from face_perception.inference.onnxruntime_backend import OnnxRuntime
    from face_perception.learning.musetalk import autoencoder as musetalk_vae
    from face_perception.learning.musetalk import unet as musetalk_unet

    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "helpers"))
    from goldens import golden

    example = golden("musetalk")
    latents, audio = example["unet_latents"][:1], example["unet_audio"][:1]
    unet, autoencoder = networks(latents, audio)
    # Replaced only now, because the exported graphs need the written-out form.
    musetalk_unet.attend = musetalk_vae.attend = attend
    decoder = musetalk_vae.ImageDecoder(autoencoder)
    if configurations:
        unet, decoder = diffusers_networks(*configurations, unet, autoencoder)
    given = [torch.from_numpy(v) for v in (latents, audio)]
    models = {
        name: load(name, backend="onnxruntime", threads=THREADS)
        for name in (
            "musetalk_unet",
            "musetalk_vae_decoder",
            "musetalk_vae_decoder_lower",
            "musetalk_tiny_decoder",
        )
    }
    card = find_card("musetalk_unet")
    base = card.path.read_bytes()
    try:
        quantised, _ = find_variant(card, "int8-cpu", base)
    except ModelError:
        make_variant("musetalk_unet", "int8-cpu")
        quantised, _ = find_variant(card, "int8-cpu", base)
    int8 = OnnxRuntime(quantised, quantised.path.read_bytes(), THREADS)
    predicted = models["musetalk_unet"].infer({"latents": latents, "audio": audio})["latents"]
    tensor = torch.from_numpy(predicted)
    ways: dict[str, Callable[[], Any]] = {
        "torch UNet": lambda: unet(*given),
        "torch decoder": lambda: decoder(tensor),
        "UNet": lambda: models["musetalk_unet"].infer({"latents": latents, "audio": audio}),
        "UNet int8": lambda: int8.run({"latents": latents, "audio": audio}),
    }
    for name in models:
        if name != "musetalk_unet":
            ways[name] = lambda m=models[name]: m.infer({"latents": predicted})
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, turns):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn >= 0:
                times[name].append(time.perf_counter() - start)
    took = {name: statistics.median(values) for name, values in times.items()}
    baseline = took["torch UNet"] + took["torch decoder"]
    exact = models["musetalk_vae_decoder"].infer({"latents": predicted})["image"]
    wanted = unet(*given).numpy()
    report: dict[str, Any] = {
        "baseline": "diffusers" if configurations else "our modules",
        "seconds": took,
        "speed": {
            "exact": baseline / (took["UNet"] + took["musetalk_vae_decoder"]),
            "lower": baseline / (took["UNet"] + took["musetalk_vae_decoder_lower"]),
            "tiny": baseline / (took["UNet"] + took["musetalk_tiny_decoder"]),
            "int8 UNet with exact": baseline / (took["UNet int8"] + took["musetalk_vae_decoder"]),
            "int8 UNet with tiny": baseline / (took["UNet int8"] + took["musetalk_tiny_decoder"]),
            "UNet alone": took["torch UNet"] / took["UNet"],
            "UNet int8 alone": took["torch UNet"] / took["UNet int8"],
        },
    }
    lower = models["musetalk_vae_decoder_lower"].infer({"latents": predicted})["image"]
    off = int8.run({"latents": latents, "audio": audio})["predicted"]
    through = models["musetalk_vae_decoder"].infer({"latents": off})["image"]
    report["psnr_of_blended_rows"] = {
        "lower": psnr(lower, exact),
        "int8 UNet, exact decoder": psnr(through, exact),
    }
    report["PSNR of the tiny decoder"] = (
        "not measured: its weights are random, so the two pictures are unrelated; with your "
        "weights, use face-perception avatar decoders FILE"
    )
    report["UNet off by"] = float(np.abs(predicted - wanted).max())
    report["int8 off by"] = {
        "largest": float(np.abs(off - wanted).max()),
        "rms": float(np.sqrt(np.mean((off - wanted) ** 2))),
        "rms of the output": float(np.sqrt(np.mean(wanted**2))),
    }
    report["decoder off by"] = float(np.abs(exact - decoder(tensor).numpy()).max())
    for title, rows in report.items():
        print(f"{title}: {json.dumps(rows, indent=1) if isinstance(rows, dict) else rows}")
    return report


def networks(latents: np.ndarray, audio: np.ndarray) -> tuple[Any, Any]:
    """Returns the PyTorch modules; installs their ONNX models if they are missing."""
    import torch
    from generated_weights import weights

    from face_perception import paths
    from face_perception.inference import install_model
    from face_perception.learning.musetalk import decoders as musetalk_decoders
    from face_perception.learning.musetalk import export as musetalk_export
    from face_perception.learning.musetalk import unet as musetalk_unet
    from face_perception.learning.musetalk.autoencoder import Autoencoder
    from face_perception.learning.musetalk.state_dicts import empty_network, with_weights

    folder = paths.models_dir()
    folder.mkdir(parents=True, exist_ok=True)
    origin = folder / "regenerated"
    origin.write_text("weights of the generator, seed 1\n")
    there = (folder / "musetalk_unet.yaml").exists()
    autoencoder = with_weights(empty_network(Autoencoder), tensors(weights("musetalk_vae")), origin)
    example = torch.from_numpy(latents)
    if not there:
        images = musetalk_export.example_images()
        _, decoder = musetalk_export.vae_builds(autoencoder, images, example, origin)
        install_model(decoder)
        install_model(musetalk_export.lower_decoder_build(autoencoder, example, origin))
        torch.manual_seed(0)
        tiny = folder / "tiny.pth"
        torch.save(musetalk_decoders.TinyDecoder().state_dict(), tiny)
        install_model(musetalk_export.tiny_decoder_build(tiny, example))
    unet = empty_network(musetalk_unet.UNet)
    unet.positions = musetalk_unet.positions()
    with_weights(unet, tensors(weights("musetalk_unet")), origin)
    if not there:
        # As in the import. In PyTorch the time step costs next to nothing.
        unet.fold_time()
        window = torch.from_numpy(audio)
        made = musetalk_export.unet_build(unet, example, window, origin, {}, folder)
        install_model(made)
    return unet, autoencoder


def diffusers_networks(
    unet_config: Path, vae_config: Path, unet: Any, autoencoder: Any
) -> tuple[Any, Any]:
    """Returns the networks of diffusers with the same weights, called as MuseTalk does."""
    import diffusers
    import torch

    from face_perception.learning.musetalk import autoencoder as musetalk_vae
    from face_perception.learning.musetalk import unet as musetalk_unet

    def made(kind: Any, path: Path, state: dict[str, Any]) -> Any:
        config = json.loads(path.read_text())
        with torch.device("meta"):
            network = kind.from_config(config)
        network.load_state_dict(state, assign=True)
        return network.eval()

    theirs = made(diffusers.UNet2DConditionModel, unet_config, unet.state_dict())
    vae = made(diffusers.AutoencoderKL, vae_config, autoencoder.state_dict())
    positions = musetalk_unet.positions()
    step = torch.tensor([0])

    def predicted(latents: Any, audio: Any) -> Any:
        return theirs(latents, step, encoder_hidden_states=audio + positions).sample

    def decoded(latents: Any) -> Any:
        image = vae.decode(latents / musetalk_vae.SCALING).sample
        return (image / 2 + 0.5).clamp(0, 1) * 255

    return predicted, decoded


def attend(query: Any, key: Any, value: Any, heads: int) -> Any:
    """Does the same as ``diffusion_blocks.attend``, with PyTorch's own operator."""
    import torch

    parts = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    made = torch.nn.functional.scaled_dot_product_attention(*parts)
    return made.transpose(1, 2).reshape(query.shape)


def tensors(state: dict[str, np.ndarray]) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(value) for name, value in state.items()}


def psnr(image: np.ndarray, exact: np.ndarray) -> float:
    """Returns the PSNR in the blended rows, dB; ``image`` may have the lower rows only."""
    off = image[:, :, FIRST - 256 :] - exact[:, :, FIRST:]
    return float(10 * np.log10(255**2 / np.mean(off**2)))


if __name__ == "__main__":
    sys.exit(main())
