"""Answers of the published code of each system, from test/data/golden (see its README.md)."""

from __future__ import annotations

import functools
import io
import lzma
from pathlib import Path

import numpy as np
from generated_weights import scaled_sums

Golden = dict[str, np.ndarray]

FOLDER = Path(__file__).parents[1] / "data" / "golden"
CANONICAL_FACE = FOLDER / "canonical_face.npy"
# The golden has every 16th of the 384 numbers of a state of Whisper.
KEPT_STATES = np.s_[..., ::16]
# Stored as differences to the image before and to the pixel on the left.
_DIFFERENCES = {"multitask": ("faces_u8",), "mimamo": ("e2e_frames_u8",)}


def golden(name: str) -> Golden:
    """Returns the arrays of ``geddnet``, ``multitask``, ``mimamo``, ``mimamo_loss``, ``musetalk``,
    ``musetalk_training``, ``musetalk_blend`` or ``dlib_face_recognition``.
    """
    return dict(_read(name))


@functools.cache
def _read(name: str) -> Golden:
    with lzma.open(FOLDER / f"{name}.npz.xz") as file, np.load(io.BytesIO(file.read())) as arrays:
        found = dict(arrays)
    for key in _DIFFERENCES.get(name, ()):
        along = np.cumsum(found[key], axis=2, dtype=np.uint8)
        found[key] = np.cumsum(along, axis=0, dtype=np.uint8)
    for key in [k for k in found if k.endswith("_sum_low")]:
        stem = key.removesuffix("_sum_low")
        total = found.pop(key) + (found.pop(f"{stem}_sum_high").astype(np.int64) << 16)
        found[stem] = (1.5 * scaled_sums(total)).astype(np.float32)
    if "wav" in found:
        found["wav"] = found["wav"] / np.float32(32768)
    for array in found.values():
        array.flags.writeable = False
    return found
