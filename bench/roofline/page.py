"""Writes the page that estimates the times of the networks on Jetson modules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.roofline.devices import DEVICES, Device
from bench.roofline.markdown import table
from bench.roofline.musetalk import musetalk_section
from face_perception.inference import catalogue
from face_perception.inference.graph_cost import NetworkCost, network_cost
from face_perception.inference.models import store

# Assumed time to start a kernel, in seconds: one by one from the CPU, and within a CUDA graph.
START, START_IN_GRAPH = 5e-6, 1.5e-6

_INTRODUCTION = """# Roofline: how fast the networks could be on a Jetson

**Estimated, not measured.** This package has never run on a GPU. The page has three estimates: a
lower bound, a guess of the time that the networks compute, and the time to start their kernels. For
one face, starting the kernels takes longest. What the CPU does for a frame takes longer than all of
this (last section).

Written by `python -m bench.roofline docs/roofline.md`, from the ONNX graphs.
"""

_NETWORKS = """
*Layers* are convolutions and matrix products. *Kernels* are what remains if all operators that
compute each element separately are fused with their neighbours; TensorRT may fuse more.
"""

_METHOD = """
*Floor* is the larger of operations / peak and bytes / bandwidth, where the weights and the input
and output of the network go through memory once. It is a lower bound. *By layer* is no bound: it is
the sum of the same over all layers, where the input and output of each layer, and of each PReLU and
other group of operators between layers, go through memory. Much of that stays in the GPU's cache
(4 MB on Orin; the largest value between two layers of the mesh has 0.3 MB). A value has two bytes
in FP16 and one in INT8. Times are in milliseconds, for batch 1, without starting kernels. The INT8
variants of these networks differ much from FP32, and the gate refuses them: see `face-perception
models compare`.
"""

_FRAME = f"""
The detector runs in every tenth frame. Mesh and expression run in every frame, each once for all
faces. *Starts* is the time to start their kernels, assumed to be {1e6 * START:g} µs for each one by
one, and {1e6 * START_IN_GRAPH:g} µs in a CUDA graph, which is what the TensorRT backend uses. Times
are in milliseconds. The larger of *by layer* and *starts* is the best guess of a frame on the GPU.
"""

_IMPORTED_TEXT = """
Their weights are not in the package: counted in networks with random weights
(`bench/geddnet.py` and `bench/affect_networks.py` make them), for one face. *Starts* is that of a
CUDA graph.
"""

_LIMITS = """
## What limits a frame on a Jetson

* **The CPU.** With two faces, all nodes take 31 to 36 ms of CPU time a frame on an x86 core
  ([Measured](measured.md)), of which the networks are a quarter (24 %; `perf` at 499 Hz for 14 s,
  separate processes, 2026-11-29). If a GPU runs the networks, about 25 ms remain for Python,
  messages and images. A core of a Jetson Orin (Cortex-A78AE) is assumed to be two to three times
  slower: 50 to 75 ms a frame, so 1.5 to 2.3 of its 6 to 12 cores at 30 Hz.
* **Starting kernels.** See *starts* above. One face or eight take the same time to start.
* **Contexts.** Each process that uses the GPU has a CUDA context, of some 100 to 300 MB of the
  memory that CPU and GPU share (typical for CUDA; not measured here). Separate processes have up to
  five (`face_tracker`, `gaze` with a network, `affect`, `motion_affect`, `talking_face`), and take
  turns on the GPU. One process (`composed`) has one.
* **Clocks.** The figures above are for the highest clock of the power mode. Under a light load the
  GPU stays far below it: choose the mode with `sudo nvpmodel`, and keep the clocks up with `sudo
  jetson_clocks`.
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """Counts of an imported network, as ``graph_cost.network_cost`` gives them, for one face."""

    name: str
    flops: float
    weights: float
    values: float
    kernels: int

    def floor(self, device: Device) -> float:
        """Returns the shortest possible time of a call in FP16, in seconds."""
        moved = 2 * (self.weights + self.values)
        return max(self.flops / device.peak(16), moved / device.bandwidth)


IMPORTED = (
    Imported("GEDDnet", 4917.2e6, 4043.8e3, 21.5e3, 31),
    Imported("Dilated-Net", 2781.7e6, 2268.2e3, 12.3e3, 18),
    Imported("multitask", 2041.6e6, 24250.7e3, 38.1e3, 74),
    Imported("MIMAMO-Net, trunk", 7711.9e6, 23458.9e3, 152.6e3, 60),
    Imported("MIMAMO-Net, both streams", 394.5e6, 2039e3, 71e3, 29),
)

# Default of the tracker.
DETECT_EVERY = 10
FACES = (1, 5)


def roofline_page() -> str:
    """Returns the page about the package's networks, as Markdown.

    Needs onnx. Raises ModelError if a model is missing.
    """
    ours = [
        card
        for card in catalogue().values()
        if card.kind == "model" and not card.folder and not card.optional
    ]
    graphs = {card.name: store.read(card) for card in ours}
    costs = {name: network_cost(graph) for name, graph in graphs.items()}
    lines = [_INTRODUCTION, "## The networks", _NETWORKS]
    lines += table(
        (
            "network",
            "MFLOP",
            "weights, thousand",
            "input and output, thousand",
            "layers",
            "kernels",
        ),
        [
            (
                name,
                f"{found.flops / 1e6:.1f}",
                f"{found.weights / 1e3:.0f}",
                f"{found.values / 1e3:.0f}",
                str(len(found.layers)),
                str(found.kernels),
            )
            for name, found in costs.items()
        ],
    )
    lines += ["", "## The devices", ""]
    lines.append("From NVIDIA's data sheets, without DLAs and without sparsity.\n")
    lines += table(
        (
            "device",
            "multiprocessors",
            "clock, GHz",
            "GB/s",
            "FP16 TFLOPS",
            "INT8 TOPS",
            "quoted as",
        ),
        [
            (
                device.name,
                str(device.multiprocessors),
                f"{device.clock / 1e9:g}",
                f"{device.bandwidth / 1e9:g}",
                f"{device.peak(16) / 1e12:.1f}",
                f"{device.peak(8) / 1e12:.1f}",
                device.quoted,
            )
            for device in DEVICES
        ],
    )
    lines.append("\nNVIDIA states Thor's 8-bit figure for FP8; INT8 is assumed to be as fast.")
    lines += ["", "## Milliseconds a run, estimated", _METHOD]
    lines += table(
        ("network", "device", "FP16 floor", "FP16 by layer", "INT8 floor", "INT8 by layer"),
        [
            (name, device.name, *(f"{t:.4f}" for t in _times(found, device)))
            for name, found in costs.items()
            for device in DEVICES
        ],
    )
    lines += ["", "## Milliseconds a camera frame, estimated", _FRAME]
    frames = {
        faces: {name: network_cost(graphs[name], faces) for name in ("face_mesh", "expression")}
        for faces in FACES
    }
    lines += table(
        ("faces", "device", "FP16 floor", "FP16 by layer", "starts one by one", "starts in graphs"),
        [
            (
                str(faces),
                device.name,
                *(f"{t:.3f}" for t in _frame(costs["face_detector"], found.values(), device)),
            )
            for faces, found in frames.items()
            for device in DEVICES
        ],
    )
    lines += ["", "## Imported networks, estimated", _IMPORTED_TEXT]
    lines += table(
        (
            "network",
            "MFLOP",
            "weights, thousand",
            "kernels",
            "starts, ms",
            *(f"FP16 floor, ms: {device.name}" for device in DEVICES),
        ),
        [
            (
                one.name,
                f"{one.flops / 1e6:.0f}",
                f"{one.weights / 1e3:.0f}",
                str(one.kernels),
                f"{1e3 * START_IN_GRAPH * one.kernels:.2f}",
                *(f"{1e3 * one.floor(device):.3f}" for device in DEVICES),
            )
            for one in IMPORTED
        ],
    )
    lines += musetalk_section()
    lines.append(_LIMITS.rstrip())
    return "\n".join(lines) + "\n"


def _frame(
    detector: NetworkCost, for_all_faces: Iterable[NetworkCost], device: Device
) -> list[float]:
    """Returns milliseconds in FP16: floor, by layer, starts one by one, starts in graphs."""

    def of_network(found: NetworkCost) -> npt.NDArray[np.float64]:
        starts = found.kernels * np.array([START, START_IN_GRAPH])
        return np.array([*_times(found, device)[:2], *(1e3 * starts)])

    total = of_network(detector) / DETECT_EVERY + sum(map(of_network, for_all_faces))
    return [float(value) for value in total]


def _times(found: NetworkCost, device: Device) -> list[float]:
    """Returns milliseconds: floor and by layer in FP16, then in INT8."""
    times = []
    for bits in (16, 8):
        limits = (device.peak(bits), device.bandwidth, bits / 8)
        times += [1e3 * found.minimum_seconds(*limits), 1e3 * found.layered_seconds(*limits)]
    return times
