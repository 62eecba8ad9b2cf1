"""Estimates the time of MuseTalk for a video frame on Jetson modules: a section of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.roofline.devices import DEVICES, Device
from bench.roofline.markdown import table
from face_perception.inference import choose_batch_size

FPS = 25
BATCHES = range(1, 9)
# Longest delay of the first image of a batch that is acceptable in a conversation, seconds.
BUDGET = 0.2
# Assumed share of the estimated speed that a real run reaches.
REACHED = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """Cost of a network for one image, as ``cost.cost`` counts it in the imported graph.

    ``flops`` are operations, ``weights`` is the number of weights, ``moved`` the number of values
    that all layers read and write in memory.
    """

    flops: float
    weights: float
    moved: float

    def seconds(self, device: Device, bits: int, batch: int = 1) -> float:
        """Returns the time of a call: the larger of arithmetic and memory time, seconds.

        The weights are read once for the batch.
        """
        moved = (self.weights + batch * self.moved) * bits / 8
        return max(batch * self.flops / device.peak(bits), moved / device.bandwidth)


# Counted in imported networks, because their weights are not in the package.
UNET = Part(177.8e9, 849.7e6, 225.6e6)
DECODERS = {
    "exact": Part(622.2e9, 49.5e6, 309.0e6),
    "lower": Part(436.9e9, 49.5e6, 210.0e6),
    "tiny": Part(35.3e9, 1.2e6, 65.4e6),
}
WHISPER = Part(36.9e9, 7.6e6, 161.8e6)
WHISPER_EVERY = 5  # images between two runs of whisper: 0.2 s, the default of WhisperStream

_TEXT = f"""
This is the same estimate for MuseTalk at {FPS} images a second (40 ms each) in FP16. The time of a
network is the larger of operations / peak and bytes / bandwidth, where the inputs and outputs of
all layers go through memory, and the weights once for a batch. *Rest* is whisper, which runs on a
whole block of 30 s in every {WHISPER_EVERY}th frame. Blending takes less than 3 ms on the CPU, in
parallel. The shares are those of 40 ms, with batch 1. *Batch* is the size from 1 to 8 with the
least time per image, if its first image is ready within {1000 * BUDGET:.0f} ms, including the wait
for the speech of the other images (`inference.choose_batch_size`). A real run is assumed to reach
half of the estimated speed. *Fits* says whether UNet, decoder and rest then take no longer than a
frame. INT8 is not included, because the INT8 variant of the UNet is for CPUs.
"""


def musetalk_section() -> list[str]:
    """Returns the lines of the section, as Markdown."""
    rows = [_row(device, name, decoder) for device in DEVICES for name, decoder in DECODERS.items()]
    header = ("device", "decoder", "UNet", "decoder's share", "rest", "all", "batch", "fits")
    lines = ["", "## MuseTalk, estimated", _TEXT, *table(header, rows), ""]
    for device in DEVICES:
        fitting = [row[1] for row in rows if row[0] == device.name and row[-1].startswith("yes")]
        if fitting:
            text = f"reaches {FPS} images a second with the decoder {' or '.join(fitting)}"
        else:
            text = f"does not reach {FPS} images a second: use the portrait on it"
        lines.append(f"* {device.name}: {text}.")
    return lines


def image_seconds(device: Device, decoder: str, batch: int, bits: int = 16) -> float:
    """Returns the estimated time of UNet, decoder and whisper for an image of a batch, seconds."""
    made = UNET.seconds(device, bits, batch) + DECODERS[decoder].seconds(device, bits, batch)
    return made / batch + WHISPER.seconds(device, bits) / WHISPER_EVERY


def _row(device: Device, name: str, decoder: Part) -> Sequence[str]:
    parts = (
        UNET.seconds(device, 16),
        decoder.seconds(device, 16),
        WHISPER.seconds(device, 16) / WHISPER_EVERY,
    )
    calls = {
        batch: (UNET.seconds(device, 16, batch) + decoder.seconds(device, 16, batch)) / REACHED
        for batch in BATCHES
    }
    batch = choose_batch_size(BUDGET, calls, period=1 / FPS)
    real = image_seconds(device, name, batch) / REACHED
    late = (batch - 1) / FPS + calls[batch] > BUDGET
    fits = real <= 1 / FPS and not late
    return (
        device.name,
        name,
        *(f"{FPS * seconds:.0%}" for seconds in (*parts, sum(parts))),
        str(batch),
        f"{'yes' if fits else 'no'}: {1000 * real:.0f} ms an image",
    )
