"""GPUs of Jetson modules as their data sheets describe them. No measurements."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU: dense tensor-core operations a clock in FP16 of all multiprocessors, clock in Hz, and
    memory bandwidth in bytes/s. ``quoted`` is the vendor's headline that these must add up to.
    """

    name: str
    multiprocessors: int
    clock: float
    fp16_per_clock: int
    bandwidth: float
    quoted: str

    def peak(self, bits: int) -> float:
        """Dense operations a second; 8 bits are twice as fast as 16."""
        return self.multiprocessors * self.clock * self.fp16_per_clock * (16 // bits)


# NVIDIA's data sheets of the modules: multiprocessors, maximum GPU clock, bandwidth. An Orin's
# multiprocessor does 2048 dense FP16 operations a clock, a Thor one 8192.
DEVICES = (
    Device("Orin Nano 8 GB (15 W)", 8, 625e6, 2048, 68e9, "40 sparse INT8 TOPS"),
    Device("Orin Nano Super (25 W)", 8, 1020e6, 2048, 102e9, "67 sparse INT8 TOPS"),
    Device("Orin NX 16 GB (25 W)", 8, 918e6, 2048, 102.4e9, "60 of 100 sparse INT8 TOPS"),
    Device("AGX Orin 64 GB", 16, 1300e6, 2048, 204.8e9, "170 of 275 sparse INT8 TOPS"),
    Device("Thor T5000", 20, 1570e6, 8192, 273e9, "2070 sparse FP4 TFLOPS"),
)
