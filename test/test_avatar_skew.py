"""Three real minutes of speech through the real node, on devices whose crystals are half a percent
off: no frame is out of time. Both at once, and small, so that it costs three minutes of waiting.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from face_perception.graph import merged_environment

SECONDS = 180
SKEWS = (0.005, -0.005)


def test_three_minutes_on_skewed_devices(domain: int, tmp_path: Path) -> None:
    running = []
    for number, skew in enumerate(SKEWS):
        # Both are in the test's domain, each in a namespace of its own.
        remap = ["--ros-args", "-r", f"__ns:=/face{number}"]
        script = Path(__file__).with_name("skewed_face.py")
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
        said = [process.communicate(timeout=SECONDS + 90)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    for skew, text in zip(SKEWS, said, strict=True):
        found = json.loads(text.splitlines()[-1])
        print(
            {name: found[name] for name in ("frames", "dropped", "typical", "worst", "clock_rate")}
        )
        assert abs(found["worst"]) <= 0.040, "against what the device truly played"
        assert abs(found["typical"]) <= 0.010
        assert abs(found["worst_offset"] - found["worst"]) <= 0.005, "as the node reports it"
        assert found["clock_rate"] - 1 == pytest.approx(skew, abs=1e-3), "the device was off"
        assert found["frames"] > 3 * SECONDS, "enough to tell, also on a busy computer"
        assert found["received"] > 2 * SECONDS
