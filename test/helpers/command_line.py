"""Runs ``face-perception`` in a separate process, and makes films for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from waits import scaled

from face_perception.inference import sample_photo
from face_perception.media import PHOTOS, SampleScene

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from face_perception.cli import main; sys.exit(main())",
]


def call(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=scaled(120),
        **more,
    )


def film(path: Path, times: Iterable[float]) -> Path:
    """Writes an AVI file of the sample scene at ``times``, at 30 frames per second."""
    photos = {n: cv2.imread(str(sample_photo(n)))[..., ::-1] for n in PHOTOS}
    scene = SampleScene(photos, 320, 240)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    assert writer.isOpened()
    for t in times:
        writer.write(np.ascontiguousarray(scene.render(t)[..., ::-1]))
    writer.release()
    return path
