"""Limits how much memory the compressed parts of a recording may need.

rosbags unpacks them whatever their size: a bag of 15 kB may need gigabytes.
"""

from __future__ import annotations

import functools
import importlib
import io
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, BinaryIO

from face_perception.errors import InputError

# What a part may need: this many bytes, plus this many times its compressed size. A plain raw image
# of 4K has 25 MB.
_FREE, _LARGEST_RATIO = 32 << 20, 50
_LARGEST_RATIO_OF_FILES = 250  # they are unpacked to the disk; images that stay alike are small
_ZSTD = b"\x28\xb5\x2f\xfd"


@functools.cache
def bound_decompression() -> None:
    """Replaces the functions with which rosbags unpacks by ones that refuse too much.

    They raise InputError. Does nothing if this version of rosbags unpacks in another way.
    """
    storage: Any = importlib.import_module("rosbags.rosbag2.storage_mcap")
    reader: Any = importlib.import_module("rosbags.rosbag2.reader")
    zstd = getattr(storage, "zstd", None)
    ways = getattr(storage, "DECOMPRESSORS", {})
    if zstd is None or not hasattr(reader, "zstd"):
        return
    lz4 = importlib.import_module("lz4.frame")
    if "zstd" in ways:
        ways["zstd"] = lambda data, _: _unpacked(zstd.ZstdDecompressor, data)
    if "lz4" in ways:
        ways["lz4"] = lambda data, _: _unpacked(lz4.LZ4FrameDecompressor, data)
    reader.zstd = SimpleNamespace(
        decompress=lambda data: _unpacked(zstd.ZstdDecompressor, data),
        open=lambda file, mode: _BoundedFile(zstd.open(file, mode), file),
    )


def unpacked_message(data: bytes) -> bytes:
    """Returns a message of a file that is read without the list that says it is compressed.

    No message begins as zstd does. Raises InputError if it needs too much memory.
    """
    if not data.startswith(_ZSTD):
        return data
    reader: Any = importlib.import_module("rosbags.rosbag2.reader")
    made: bytes = reader.zstd.decompress(data)
    return made


def _too_much(size: int, most: int) -> InputError:
    return InputError(
        f"{size} compressed bytes unpack to more than {most >> 20} MB: if you trust them, record "
        "them again without compression"
    )


def _unpacked(new_decompressor: Callable[[], Any], data: bytes) -> bytes:
    """Returns the content of ``data``, which may be several compressed frames in a row."""
    size = len(data)
    made: bytes = b""
    most = _FREE + _LARGEST_RATIO * size
    while True:
        decompressor = new_decompressor()
        made += decompressor.decompress(data, most - len(made) + 1)
        if len(made) > most:
            raise _too_much(size, most)
        if not decompressor.eof:
            raise InputError("compressed data are cut off")
        data = decompressor.unused_data
        if not data:
            return made


class _BoundedFile(io.RawIOBase):
    """A file that is unpacked while it is read."""

    def __init__(self, unpacked: BinaryIO, packed: BinaryIO) -> None:
        self._unpacked = unpacked
        self._size = os.fstat(packed.fileno()).st_size
        self._most = self._left = _FREE + _LARGEST_RATIO_OF_FILES * self._size

    def read(self, size: int = -1, /) -> bytes:
        data = self._unpacked.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_much(self._size, self._most)
        return data

    def close(self) -> None:
        self._unpacked.close()
        super().close()
