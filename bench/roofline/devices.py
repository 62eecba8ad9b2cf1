"""GPUs of Jetson modules, with figures from their data sheets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, by its data sheet.

    ``fp16_per_clock`` is the number of dense FP16 tensor-core operations of a multiprocessor in a
    clock cycle, ``clock`` is in Hz, ``bandwidth`` of the memory in bytes/s. ``quoted`` is the
    vendor's figure for the whole GPU, which a test compares with the others.
    """

    name: str
    multiprocessors: int
    clock: float
    fp16_per_clock: int
    bandwidth: float
    quoted: str

    def peak(self, bits: int) -> float:
        """Returns the number of dense operations a second; 8 bits are twice as fast as 16."""
        return self.multiprocessors * self.clock * self.fp16_per_clock * (16 // bits)


# From NVIDIA's data sheets: multiprocessors, maximum GPU clock, bandwidth. A multiprocessor of Orin
# does 2048 dense FP16 operations in a clock cycle, one of Thor 8192.
DEVICES = (
    Device("Orin Nano 8 GB (15 W)", 8, 625e6, 2048, 68e9, "40 sparse INT8 TOPS"),
    Device("Orin Nano Super (25 W)", 8, 1020e6, 2048, 102e9, "67 sparse INT8 TOPS"),
    Device("Orin NX 16 GB (25 W)", 8, 918e6, 2048, 102.4e9, "60 of 100 sparse INT8 TOPS"),
    Device("Orin NX 16 GB Super (40 W)", 8, 1173e6, 2048, 102.4e9, "77 of 157 sparse INT8 TOPS"),
    Device("AGX Orin 64 GB", 16, 1300e6, 2048, 204.8e9, "170 of 275 sparse INT8 TOPS"),
    Device("Thor T5000", 20, 1570e6, 8192, 273e9, "2070 sparse FP4 TFLOPS"),
)
