"""Writes the page with the shortest possible times of the networks on Jetson modules."""

from __future__ import annotations

from collections.abc import Mapping

from bench.roofline.devices import DEVICES, Device
from bench.roofline.markdown import table
from bench.roofline.musetalk import musetalk_section
from face_perception.inference import catalogue
from face_perception.inference.graph_cost import NetworkCost, network_cost
from face_perception.inference.models import store

_INTRODUCTION = """# Roofline: how fast the networks could be on a Jetson

**Estimated, not measured.** This package has never run on a GPU. The numbers are lower bounds that
are computed from the sizes of the networks. A real run is slower: networks as small as these mostly
lose time at the start of each kernel (some microseconds each), which is not included.

Written by `python -m bench.roofline docs/roofline.md`, from the ONNX graphs.
"""

_METHOD = """
*Floor* is the larger of operations / peak and bytes / bandwidth, where the weights
and the input and output of the network go through memory once. *By layer* is the sum of the same
over convolutions and matrix products, where the input and output of each go through memory; all
other operations are assumed to be fused into them. A value has two bytes in FP16 and one in INT8.
Times are in milliseconds, for batch 1. The INT8 variants of these networks differ much from FP32,
and the gate refuses them: see `face-perception models compare`.
"""

_FRAME = """
The detector runs in every tenth frame. Mesh and expression run for every face in every frame, one
after the other.
"""

# Default of the tracker.
DETECT_EVERY = 10


def roofline_page() -> str:
    """Returns the page about the package's networks, as Markdown.

    Needs onnx. Raises ModelError if a model is missing.
    """
    ours = [
        card
        for card in catalogue().values()
        if card.kind == "model" and not card.folder and not card.optional
    ]
    costs = {card.name: network_cost(store.read(card)) for card in ours}
    lines = [_INTRODUCTION, "## The networks", ""]
    lines += table(
        ("network", "MFLOP", "weights, thousand", "input and output, thousand", "layers"),
        [
            (
                name,
                f"{found.flops / 1e6:.1f}",
                f"{found.weights / 1e3:.0f}",
                f"{found.values / 1e3:.0f}",
                str(len(found.layers)),
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
    lines += table(
        ("faces", "device", "FP16 floor", "FP16 by layer", "INT8 floor", "INT8 by layer"),
        [
            (str(faces), device.name, *(f"{t:.4f}" for t in _frame(costs, device, faces)))
            for faces in (1, 5)
            for device in DEVICES
        ],
    )
    lines += musetalk_section()
    return "\n".join(lines) + "\n"


def _frame(costs: Mapping[str, NetworkCost], device: Device, faces: int) -> list[float]:
    detector, mesh, expression = (
        _times(costs[name], device) for name in ("face_detector", "face_mesh", "expression")
    )
    return [
        found / DETECT_EVERY + faces * (points + classes)
        for found, points, classes in zip(detector, mesh, expression, strict=True)
    ]


def _times(found: NetworkCost, device: Device) -> list[float]:
    """Returns milliseconds: floor and by layer in FP16, then in INT8."""
    times = []
    for bits in (16, 8):
        limits = (device.peak(bits), device.bandwidth, bits / 8)
        times += [1e3 * found.minimum_seconds(*limits), 1e3 * found.layered_seconds(*limits)]
    return times
