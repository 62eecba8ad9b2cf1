"""Hides the names of files from FFmpeg."""

from __future__ import annotations

from typing import BinaryIO


class Unnamed:
    """A file for PyAV without its name: FFmpeg gives a meaning to ``:``, ``%d`` and endings."""

    name = "film"

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        if file.writable():
            self.write = file.write
