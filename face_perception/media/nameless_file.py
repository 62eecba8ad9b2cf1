"""Hides the names of files from FFmpeg."""

from __future__ import annotations

from typing import BinaryIO


class NamelessFile:
    """A file for PyAV without its name: FFmpeg gives a meaning to ``:``, ``%d`` and endings.

    ``error`` is the first error in writing the file.
    """

    name = "film"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        self.error: OSError | None = None
        if file.writable():
            self.write = self._write

    def _write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise
