"""Audio devices whose clocks are 2 % off: every frame is shown in time.

Speech goes through the real node in real time. In 15 s such a device drifts by 0.3 s, seven times
the allowed error. test_avatar_clock.py simulates realistic devices (0.5 % off) over three and ten
minutes. Both devices are tested at once, with small images, to wait only once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from waits import scaled

from face_perception.bringup.graph import merged_environment

SECONDS = 15
SKEWS = (0.02, -0.02)


@pytest.mark.realtime
def test_frames_are_in_time_on_skewed_devices(domain: int, tmp_path: Path) -> None:
    running = []
    for number, skew in enumerate(SKEWS):
        # Both run in the test's ROS domain, each in its own namespace.
        remap = ["--ros-args", "-r", f"__ns:=/face{number}"]
        script = Path(__file__).parents[1] / "helpers" / "skewed_face.py"
        running.append(
            subprocess.Popen(
                [sys.executable, str(script), str(skew), str(SECONDS), *remap],
                stdout=subprocess.PIPE,
                text=True,
                env=merged_environment(os.environ),
                cwd=tmp_path,
            )
        )
    try:
        said = [process.communicate(timeout=scaled(4 * SECONDS + 90))[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    for skew, text in zip(SKEWS, said, strict=True):
        found = json.loads(text.splitlines()[-1])
        print(
            {name: found[name] for name in ("frames", "dropped", "typical", "worst", "clock_rate")}
        )
        assert found["frames"] > 50, "too few to tell: a computer that is too busy"
        assert found["off"] <= 0.005, "the node measures the same offset of each frame"
        # The node shows no frame that is off by more than 40 ms, as far as it can measure.
        assert abs(found["worst"]) <= 0.040 + 0.005, "against what the device truly played"
        assert abs(found["typical"]) <= 0.010
        # Of all frames, also those before the clock has settled.
        assert found["worst_offset"] in found["worst_measured"]
        assert found["clock_rate"] - 1 == pytest.approx(skew, abs=1e-3), "the device was off"
        assert found["received"] > 30
