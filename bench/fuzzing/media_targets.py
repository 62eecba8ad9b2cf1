"""Fuzzes the readers of pictures, films and recordings."""

from __future__ import annotations

import random
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from bench.fuzzing.mutations import changed
from bench.fuzzing.target import Target
from face_perception.errors import InputError
from face_perception.media import FrameReader, write_mp4
from face_perception.speech import read_wav

# Formats of pictures by Pillow's names, and how they are saved.
_PICTURES = {
    **{kind: {} for kind in ("JPEG", "PNG", "TIFF", "AVIF", "JPEG2000", "BMP", "PPM")},
    **{f"animated {kind}": {"save_all": True} for kind in ("GIF", "WEBP", "PNG")},
    "progressive JPEG": {"progressive": True},
}
MEDIA = (*(f"{kind} picture" for kind in _PICTURES), "mp4 film", "wav file")


def media_target(name: str, folder: Path) -> Target:
    """Returns the target of a name in ``MEDIA``. Its inputs are files in ``folder``."""
    path = folder / name.replace(" ", "_")
    read: Callable[[Path], object] = _frames
    if name == "wav file":
        _write_wav(path)
        read = read_wav
    elif name == "mp4 film":
        path = path.with_suffix(".mp4")
        write_mp4(path, [(k / 25, np.array(image)) for k, image in enumerate(_images())], [], 0)
    else:
        kind = name.removesuffix(" picture")
        first, *others = _images()
        more = {"append_images": others} if "save_all" in _PICTURES[kind] else {}
        first.save(path, kind.split()[-1], **_PICTURES[kind], **more)
    good = path.read_bytes()

    def inputs(seed: int) -> Iterator[bytes]:
        rng = random.Random(seed)
        while True:
            yield changed(good, rng)

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return Target(name, (InputError,), inputs, run)


def _images() -> list[Pillow.Image]:
    """Returns five images in which a stripe moves over a gradient."""
    values = np.zeros((48, 64, 3), np.uint8)
    values[..., 0], values[..., 1] = np.arange(64) * 4, np.arange(48)[:, None] * 5
    shown = []
    for number in range(5):
        values[..., 2] = 0
        values[:, 8 * number : 8 * number + 8, 2] = 255
        shown.append(Pillow.fromarray(values.copy()))
    return shown


def _write_wav(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.sin(np.arange(3200) / 9) * 9000).astype("<i2").tobytes())


def _frames(path: Path) -> int:
    with FrameReader(path) as reader:
        return sum(1 for _ in reader)
