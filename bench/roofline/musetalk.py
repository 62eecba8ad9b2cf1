"""What MuseTalk would take of a video frame on devices that nobody here has: a page's section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.roofline.devices import DEVICES, Device
from bench.roofline.markdown import table
from face_perception.inference import choose_batch_size

FPS = 25
BATCHES = range(1, 9)
# Seconds until the first image of a batch that are taken to be acceptable in a conversation.
BUDGET = 0.2
# Share of the floor's speed that a real run is taken to reach.
REACHED = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """A network for one image: operations, weights, and the numbers that its layers read and write
    where each moves them through memory, as ``cost.cost`` counts them of the imported graph.
    """

    flops: float
    weights: float
    moved: float

    def seconds(self, device: Device, bits: int, batch: int = 1) -> float:
        """Of a call: the larger of arithmetic and memory, the weights moved once for the batch."""
        moved = (self.weights + batch * self.moved) * bits / 8
        return max(batch * self.flops / device.peak(bits), moved / device.bandwidth)


# The networks cannot be asked: their weights are not in the package. Counted of imported ones.
UNET = Part(177.8e9, 849.7e6, 225.6e6)
DECODERS = {
    "exact": Part(622.2e9, 49.5e6, 309.0e6),
    "lower": Part(436.9e9, 49.5e6, 210.0e6),
    "tiny": Part(35.3e9, 1.2e6, 65.4e6),
}
WHISPER = Part(36.9e9, 7.6e6, 161.8e6)
WHISPER_EVERY = 5  # images; 0.2 s, WhisperStream's default

_TEXT = f"""
The same estimate for MuseTalk at {FPS} images a second, 40 ms each, in FP16: for each network the
larger of operations / peak and bytes / bandwidth, where every layer's input and output go through
memory and the weights once for a batch. *Rest* is whisper, a whole 30 s block in every
{WHISPER_EVERY}th frame; blending takes below 3 ms of a processor beside the GPU. Shares are of the
40 ms, batch 1. *Batch* is the one of 1 to 8 with the least time an image whose first image comes
within {1000 * BUDGET:.0f} ms, the speech of the others waited for
(`inference.choose_batch_size`), at half of the estimated speed, which is what a real run is taken
to reach; *fits* says whether UNet, decoder and rest then stay within the frame. INT8 is not in
here: the UNet's INT8 variant is one for processors.
"""


def musetalk_section() -> list[str]:
    """Lines of Markdown."""
    rows = [_row(device, name, decoder) for device in DEVICES for name, decoder in DECODERS.items()]
    header = ("device", "decoder", "UNet", "decoder's share", "rest", "all", "batch", "fits")
    lines = ["", "## MuseTalk, estimated", _TEXT, *table(header, rows), ""]
    for device in DEVICES:
        fitting = [row[1] for row in rows if row[0] == device.name and row[-1].startswith("yes")]
        if fitting:
            text = f"holds {FPS} images a second with the decoder {' or '.join(fitting)}"
        else:
            text = f"does not hold {FPS} images a second; the portrait is for it"
        lines.append(f"* {device.name}: {text}.")
    return lines


def image_seconds(device: Device, decoder: str, batch: int, bits: int = 16) -> float:
    """Estimated seconds an image at a batch size, at the floor: UNet, decoder and whisper."""
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
