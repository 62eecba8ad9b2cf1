"""Fuzzes the readers of pictures, films and recordings."""

from __future__ import annotations

import random
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
# How rosbag2 stores recordings.
_BAGS = {"mcap bag": "MCAP", "db3 bag": "SQLITE3"}
MEDIA = (*(f"{kind} picture" for kind in _PICTURES), "mp4 film", "wav file", *_BAGS)


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
    elif name in _BAGS:
        path = _write_bag(path, _BAGS[name])
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


def _write_bag(folder: Path, storage: str) -> Path:
    """Writes a recording of images; returns its data file."""
    from bags import camera_info, image, write_bag

    messages: list[tuple[str, Any]] = [("/camera/camera_info", camera_info(8, 6, 9.0, 1.0))]
    for number, shown in enumerate(_images()):  # small, so that changes are seldom in pixels
        messages.append(("/camera/image_raw", image(np.array(shown)[:6, :8], 1 + number / 20)))
    write_bag(folder, messages, storage)
    (found,) = (file for file in folder.iterdir() if file.suffix in (".mcap", ".db3"))
    return found


def _frames(path: Path) -> int:
    with FrameReader(path) as reader:
        return sum(1 for _ in reader)
