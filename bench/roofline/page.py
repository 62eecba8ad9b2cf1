"""How fast networks could at best be on devices that nobody here has: a page of estimates."""

from __future__ import annotations

from collections.abc import Mapping

from bench.roofline.devices import DEVICES, Device
from bench.roofline.markdown import table
from bench.roofline.musetalk import musetalk_section
from face_perception.inference import catalogue
from face_perception.inference.cost import NetworkCost, network_cost
from face_perception.inference.models import store

_INTRODUCTION = """# Roofline: how fast the networks could be on a Jetson

**Estimate, not measured.** Nothing of this package has ever run on a GPU. The numbers are lower
bounds from arithmetic: a real run is slower, for networks as small as these mostly by the time it
takes to start each kernel (some microseconds each), which is not in here.

Written by `python -m bench.roofline docs/roofline.md`, from the ONNX graphs.
"""

_METHOD = """
*Floor*: the larger of operations / peak and bytes / bandwidth, where only the weights and the
network's own input and output are moved, once. *By layer*: the same summed over the convolutions
and matrix products, each with its input and output moved through memory; everything else is taken
to be fused into them. A number has two bytes in FP16, one in INT8. Batch 1, milliseconds. The INT8
variants of these networks are far off FP32 at present, and the gate keeps them off:
`face-perception models compare`.
"""

_FRAME = """
The detector in every tenth frame, mesh and expression for every face in every frame, one by one.
"""

# What the tracker does by default.
DETECT_EVERY = 10


def roofline_page() -> str:
    """The page of the package's networks, in Markdown. Needs onnx. Raises ModelError where a model
    is missing.
    """
    ours = [card for card in catalogue().values() if card.kind == "model" and not card.folder]
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
    lines.append("From NVIDIA's data sheets; DLAs are not counted, nor is sparsity.\n")
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
    lines.append("\nThor's 8-bit figure is quoted for FP8; INT8 is taken to be as fast.")
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
    """Milliseconds: floor and by layer in FP16, then in INT8."""
    times = []
    for bits in (16, 8):
        limits = (device.peak(bits), device.bandwidth, bits / 8)
        times += [1e3 * found.minimum_seconds(*limits), 1e3 * found.layered_seconds(*limits)]
    return times
