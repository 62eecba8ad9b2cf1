"""Measures the multitask networks and MIMAMO-Net in ONNX Runtime (FP32, int8-cpu) and PyTorch.

    python3 bench/affect_networks.py [--seconds 30] [--threads 2] [--multitask CNN.pth]
        [--appearance resnet50_ferplus_dag.pth] [--two-stream model_weights.pth.tar]

All variants take turns in one process, on the same real faces. Figures and ratios are those of the
fastest turn of each, because other load on the machine slows down PyTorch most. Without checkpoints
the weights are random, with normalisation statistics of these faces. That is enough for speed, but
not for the error of INT8: a random network amplifies small differences (the error of FP16 shows how
much). A deviation is the rms error divided by the standard deviation of the output between faces.
INT8 is fastest on processors with VNNI; the first line says whether this one has it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from face_perception.inference import ModelBuild
from face_perception.inference.conversion.precision import to_fp16, to_int8
from face_perception.inference.onnxruntime_backend import session_options
from face_perception.inference.speed_measurement import time_in_turns
from face_perception.learning.mimamo.export import appearance_build, features_by, two_stream_build
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.multitask.export import cnn_build, over_time_build
from face_perception.learning.multitask.network import HEADS, Multitask, RecurrentMultitask
from face_perception.learning.resnet50_ferplus import CLASSES, ResNet50FERPlus, SubtractMean
from face_perception.learning.sample_faces import sample_faces
from face_perception.learning.torch_checkpoint import load_weights, read_checkpoint

Inputs = dict[str, np.ndarray]

FACES = 32


def faces(size: int) -> np.ndarray:
    """Returns views [32, 3, size, size] of the sample faces: shifted, scaled, darkened."""
    random = np.random.default_rng(0)
    whole = torch.from_numpy(sample_faces(size, FACES))
    views = []
    for face in whole:
        scale, angle = random.uniform(0.8, 1.2), random.uniform(-0.3, 0.3)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        theta = np.hstack([scale * turn, random.uniform(-0.15, 0.15, (2, 1))])
        grid = nn.functional.affine_grid(
            torch.from_numpy(theta[None]).float(), [1, 3, size, size], align_corners=False
        )
        view = nn.functional.grid_sample(
            face[None], grid, padding_mode="border", align_corners=False
        )
        views.append((view * random.uniform(0.5, 1.1)).round().clamp(0, 255))
    return torch.cat(views).numpy()


def prepared(
    network: nn.Module, checkpoint: Path | None, example: Callable[[], object]
) -> nn.Module:
    """Returns the network with the checkpoint's weights, or with the statistics of ``example``."""
    if checkpoint:
        load_weights(network, read_checkpoint(checkpoint))
        return network
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the mean over all its inputs
    network.train()
    for _ in range(2):
        example()
    return network.eval()


def session(onnx: bytes, threads: int) -> Callable[[Inputs], list[np.ndarray]]:
    import onnxruntime

    made = onnxruntime.InferenceSession(
        onnx, session_options(threads), providers=["CPUExecutionProvider"]
    )
    return lambda inputs: made.run(None, inputs)


def compare(
    title: str, made: ModelBuild, plain: Callable[..., Any], samples: Inputs,
    batches: dict[str, Inputs], options: argparse.Namespace, int8: bool = True,
) -> None:  # fmt: skip
    """Measures one network at some batch sizes, with all variants in turn."""
    ways = {"fp32": session(made.onnx, options.threads)}
    if int8:
        ways["int8-cpu"] = session(to_int8(made.onnx, "int8-cpu", samples), options.threads)
    print(f"\n{title}")
    calls: dict[str, Callable[[], object]] = {}
    for batch, inputs in batches.items():
        tensors = [torch.from_numpy(value) for value in inputs.values()]
        calls[f"{batch} torch"] = partial(plain, *tensors)
        for way, run in ways.items():
            calls[f"{batch} {way}"] = partial(run, inputs)
    times = time_in_turns(calls, seconds=options.seconds)
    for batch, inputs in batches.items():
        count = int(np.prod(next(iter(inputs.values())).shape[: 1 + ("T" in batch)]))
        reference = times[f"{batch} torch"]
        for way in ("torch", *ways):
            taken = times[f"{batch} {way}"]
            print(
                f"  {batch:8} {way:9} {1e3 * taken.least / count:8.2f} ms each  "
                f"median {1e3 * taken.p50 / count:8.2f}  "
                f"torch / it {reference.least / taken.least:5.2f}"
            )
    if int8:
        ways["fp16"] = session(to_fp16(made.onnx), options.threads)
        found = {way: run(samples) for way, run in ways.items()}
        for k, name in enumerate(made.outputs):
            wanted = found["fp32"][k]
            spread = float(np.sqrt(wanted.reshape(-1, wanted.shape[-1]).var(axis=0).mean()))
            off = {way: float(np.sqrt(np.mean((v[k] - wanted) ** 2))) for way, v in found.items()}
            print(
                f"  {name}: spread {spread:.3f}; off by {off['int8-cpu'] / spread:.3f} of it as "
                f"int8-cpu, {off['fp16'] / spread:.3f} as fp16"
            )


@torch.no_grad()
def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="for each network")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--multitask", type=Path)
    parser.add_argument("--appearance", type=Path)
    parser.add_argument("--two-stream", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    flags = set(Path("/proc/cpuinfo").read_text().split())
    vnni = sorted(flags & {"avx512_vnni", "avx_vnni"}) or "no VNNI"
    print(f"{options.threads} threads, torch {torch.__version__}, this processor has {vnni}")

    small = faces(112)
    multitask = Multitask()
    plain = SubtractMean(multitask)
    prepared(multitask, options.multitask, lambda: plain(torch.from_numpy(small)))
    batches = {f"{n} faces": {"face": small[:n]} for n in (1, 4, 8)}
    made = cnn_build("multitask", [multitask], "bench")
    compare("multitask CNN, 112 pixels", made, plain, {"face": small}, batches, options)

    recurrent = RecurrentMultitask().eval()
    recurrent.backbone.load_state_dict(multitask.state_dict())
    features = torch.cat([multitask.features(torch.from_numpy(small) - plain.mean)])[None].numpy()
    assert features.shape[-1] == 128 * len(HEADS)
    made = over_time_build("multitask_rnn", recurrent, "bench", trunk="")
    compare(
        "multitask CNN-RNN's heads, without the trunk", made, recurrent.over_time, {},
        {"T = 32": {"features": features}}, options, int8=False,
    )  # fmt: skip

    large = faces(224)
    trunk = ResNet50FERPlus(CLASSES)
    plain = SubtractMean(trunk)
    prepared(trunk, options.appearance, lambda: plain(torch.from_numpy(large[:16])))
    made = appearance_build("mimamo_appearance", trunk, "bench")
    batches = {f"{n} faces": {"face": large[:n]} for n in (1, 4)}
    compare("MIMAMO's ResNet-50, 224 pixels", made, plain, {"face": large}, batches, options)

    random = np.random.default_rng(1)
    clip = {
        "appearance": plain(torch.from_numpy(large))[None].numpy(),
        "phase0": random.normal(0, 0.3, (1, FACES, 24, 48, 48)).astype(np.float32),
        "phase1": random.normal(0, 0.3, (1, FACES, 24, 24, 24)).astype(np.float32),
    }
    network = TwoStream("time")
    prepared(
        network, options.two_stream, lambda: network(*(torch.from_numpy(v) for v in clip.values()))
    )
    made = two_stream_build("mimamo", network, "bench", appearance="", trunk=features_by(trunk))
    batches = {
        f"T = {n}": {name: np.ascontiguousarray(v[:, :n]) for name, v in clip.items()}
        for n in (1, FACES)
    }
    compare("MIMAMO's two streams and recurrence", made, network, clip, batches, options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
