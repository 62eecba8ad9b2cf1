"""Face patches of a drifting face, and MIMAMO-Net on a whole clip of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_perception import motion
from face_perception.inference import load
from face_perception.motion import Mimamo
from face_perception.types import FaceCrop, ValenceArousal

Array = NDArray[Any]
Found = list[tuple[Any, list[ValenceArousal]]]


def patches(frames: int, face: str = "face_1", seed: int = 0) -> list[FaceCrop]:
    """Returns crops of a face that drifts and becomes brighter."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 200, (12, 12, 3), np.uint8)
    picture = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    found = []
    for t in range(frames):
        shifted = np.roll(picture, (t // 2, t), (0, 1))[:160, :160] + np.uint8(t % 50)
        found.append(FaceCrop(face, shifted, np.eye(2, 3)))
    return found


def run(mimamo: Mimamo[int], crops: list[FaceCrop], begin: float = 50.0) -> Found:
    """Returns the results of a clip at 30 Hz whose first stamp is ``begin`` seconds."""
    found: Found = []
    for t, crop in enumerate(crops):
        found += mimamo.estimate(t, begin + t / 30, [crop])
    return found + mimamo.finish()


def values(found: Found) -> Array:
    """Returns valence and arousal [T, 2] of the first face of each result."""
    return np.array([[v[0].valence, v[0].arousal] for _, v in found])


def offline(crops: list[FaceCrop], name: str, look_ahead: int, window: int) -> Array:
    """Returns valence and arousal [T, 2] of a whole clip, computed as one batch."""
    aligned = [crop.image[24:-24, 24:-24] for crop in crops]
    grays = np.stack([motion.gray_image(image) for image in aligned])
    images = np.stack([motion.appearance_image(image) for image in aligned])
    appearance = load("mimamo_appearance").infer({"face": images})["features"]
    ahead, count = min(look_ahead, motion.HALF_WINDOW), len(crops)
    phases = motion.image_phases(grays)
    moved = []
    for t in range(count):
        newest = min(t + ahead, count - 1)
        around = [
            min(max(i, 0), newest)
            for i in range(t - motion.HALF_WINDOW, t + motion.HALF_WINDOW + 1)
        ]
        moved.append(motion.phase_differences([phases[i] for i in around]))
    streams = [appearance, *(np.stack(level) for level in zip(*moved, strict=True))]
    network, results = load(name), []
    later = look_ahead - ahead
    for t in range(count):
        last = min(t + later, count - 1) if name == "mimamo" else t
        first = max(0, last - window + 1) if name == "mimamo" else t
        cut = [stream[None, first : last + 1] for stream in streams]
        out = network.infer(dict(zip(motion.STREAM_INPUTS, cut, strict=True)))["valence_arousal"]
        results.append(out[0, t - first])
    return np.array(results)
