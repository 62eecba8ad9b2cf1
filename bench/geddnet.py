"""Measures the time per face of gaze networks: exported graph, INT8 variant and PyTorch.

    python3 bench/geddnet.py [--system geddnet|dilated-net] [--checkpoint geddnet.npz]
                             [--threads 2] [--rounds 30] [--faces 1 6]

All have the same weights and number of threads, and take turns in one process. A ratio is the
median over the rounds of PyTorch's time divided by the other time. Without --system, all networks
are measured. Without a checkpoint the weights are random: speed does not depend on them, but the
deviation does.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figures, add_option
from face_perception.inference import install_model, load, make_variant
from face_perception.inference.models import store
from face_perception.inference.models.variants import find_variant
from face_perception.inference.onnxruntime_backend import OnnxRuntime
from face_perception.learning.dilated_net import checkpoint as import_dilated_net
from face_perception.learning.dilated_net.network import dilated_net
from face_perception.learning.geddnet import checkpoint as import_geddnet
from face_perception.learning.geddnet.batch_renorm import BatchRenorm
from face_perception.learning.geddnet.export import input_sizes
from face_perception.learning.geddnet.gaze_system import GazeSystem
from face_perception.learning.geddnet.network import GEDDnet, initialise
from face_perception.learning.geddnet.reference_inputs import sample_inputs
from face_perception.learning.geddnet.tensorflow_variables import variables_of
from face_perception.learning.tensorflow_checkpoint import read_variables_file

# System -> its import, and the function that makes its network without weights.
SYSTEMS: dict[str, tuple[GazeSystem, Callable[[], GEDDnet]]] = {
    "geddnet": (import_geddnet.SYSTEM, lambda: GEDDnet(dropout=0.0)),
    "dilated-net": (import_dilated_net.SYSTEM, lambda: dilated_net(dropout=0.0)),
}

TRUNK = {"conv1_1": (3, 64), "conv1_2": (64, 64), "conv2_1": (64, 128), "conv2_2": (128, 128)}


def randomise(network: GEDDnet, samples: list[torch.Tensor]) -> GEDDnet:
    """Sets random weights, and statistics that fit them and the inputs ``samples``."""
    random = np.random.default_rng(1)
    vgg = {}
    for name, (before, after) in TRUNK.items():
        sigma = (2 / (9 * before)) ** 0.5
        vgg[f"{name}_W"] = random.normal(0, sigma, (3, 3, before, after)).astype(np.float32)
        vgg[f"{name}_b"] = np.zeros(after, np.float32)
    initialise(network, vgg, torch.Generator().manual_seed(1))
    norms = [module for module in network.modules() if isinstance(module, BatchRenorm)]
    for norm in norms:
        norm.momentum = 0.0
    with torch.no_grad():
        for _ in norms:  # each pass fits the statistics of one more layer
            network.train()(*with_face(network, samples))
    return network.eval()


def with_face(network: GEDDnet, crops: list[torch.Tensor]) -> list[torch.Tensor | None]:
    """Returns the arguments of a network's forward pass: None for the face if it takes none."""
    return [*crops] if network.has_face else [None, *crops]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--system", choices=SYSTEMS, help="default: all, one after the other")
    parser.add_argument("--checkpoint", type=Path, help="of the --system")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 6])
    add_option(parser)
    options = parser.parse_args()
    figures = Figures("geddnet")
    if options.checkpoint and not options.system:
        parser.error("--checkpoint needs --system, the network that the checkpoint is of")

    torch.set_num_threads(options.threads)
    for name in [options.system] if options.system else SYSTEMS:
        print(f"== {name}")
        measure(name, options, figures)
    flags = Path("/proc/cpuinfo").read_text(errors="replace")
    print(f"VNNI: {'yes' if 'vnni' in flags else 'no'}; {options.threads} threads")
    if options.figures:
        figures.save(options.figures)


def measure(name: str, options: argparse.Namespace, figures: Figures) -> None:
    """Prints the deviations of export and variants, and the time per face of each."""
    system, new = SYSTEMS[name]
    network = new()
    samples = {key: crops for key, crops in sample_inputs().items() if key in input_sizes(network)}
    tensors = [torch.from_numpy(samples[key]) for key in input_sizes(network)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = options.checkpoint
        if path is None:
            path = folder / "random.npz"
            np.savez(path, **variables_of(randomise(network, tensors)))
        network = system.read(read_variables_file(path)[0])
        args = Namespace(checkpoint=path, name=system.model, licence="unknown")
        with contextlib.redirect_stderr(io.StringIO()):
            (made,) = system.make(args, lambda step: None)
        card = install_model(made, folder / "models")
        named = card.path.with_suffix(".yaml")
        fp32 = load(named, threads=options.threads, backend="onnxruntime")
        deviations = {
            kind: make_variant(named, kind, samples).deviations[0] for kind in ("fp16", "int8-cpu")
        }
        int8_card, _ = find_variant(card, "int8-cpu", store.read(card))
        int8 = OnnxRuntime(int8_card, store.read(int8_card), options.threads)

        wanted = torch_forward(network, tensors)()
        off = np.abs(fp32.infer(samples)["gaze"] - wanted.numpy()).max()
        print(f"the exported graph is off from PyTorch by {off:.1e} rad")
        for kind, found in deviations.items():
            state = "serves" if found.within else "refused by the gate"
            print(
                f"{kind}: off from FP32 by at most {found.largest:.2g} rad (rms {found.rms:.2g}, "
                f"{found.relative:.1%} of the gaze's own spread): {state}"
            )
        for faces in options.faces:
            report(
                faces,
                options.rounds,
                {
                    "PyTorch": torch_forward(network, [x[:faces] for x in tensors]),
                    "FP32": lambda n=faces: fp32.infer({k: v[:n] for k, v in samples.items()}),
                    "int8-cpu": lambda n=faces: int8.run({k: v[:n] for k, v in samples.items()}),
                },
                figures,
                name,
            )


def torch_forward(network: GEDDnet, crops: list[torch.Tensor]) -> Callable[[], torch.Tensor]:
    def forward() -> torch.Tensor:
        with torch.inference_mode():
            face, left_eye, right_eye = with_face(network, crops)
            return network.gaze(face, left_eye, right_eye)

    return forward


def report(
    faces: int, rounds: int, runs: dict[str, Callable[[], object]], figures: Figures, system: str
) -> None:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 3):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number >= 3:
                times[name].append(time.perf_counter() - start)
    reference = times["PyTorch"]
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(reference, values, strict=True))
        per_face = 1e3 * statistics.median(values) / faces
        figure = f"{system}, {faces} face(s), {name}: speed / PyTorch"
        figures.add(figure, ratio, higher_is_better=True)
        print(f"{faces} face(s), {name}: {per_face:.1f} ms a face, {ratio:.2f} x PyTorch")


if __name__ == "__main__":
    main()
