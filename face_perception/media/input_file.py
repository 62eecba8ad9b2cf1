"""Opens files that people name, and says what is wrong with a file before a library reads it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from face_perception.errors import InputError

_GIT_LFS = b"version https://git-lfs"
_WEB_PAGE = (b"<!doctype html", b"<html")


def open_input(path: str | os.PathLike[str], wanted: str) -> BinaryIO:
    """Opens a regular file for reading. ``wanted`` says what to give instead of a bad file.

    A library must never open the file by its name: FFmpeg reads ``22:57.mp4`` as a protocol and
    ``%d`` as a number, and OpenCV crashes if the name is not UTF-8. Raises OSError if the file
    cannot be read, and InputError if it is a folder, a pipe or a device, is empty, or is a Git LFS
    pointer or a web page instead of its content.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give {wanted}")
    # Without O_NONBLOCK, opening a named pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    try:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError(f"{path} is a pipe or a device, not a file: give {wanted}")
        start = file.read(100)
        file.seek(0)
        if not start:
            raise InputError(f"{path} is empty: copy or record it again")
        if start.startswith(_GIT_LFS):
            raise InputError(
                f"{path} is a Git LFS pointer and not the file itself: run `git lfs pull`"
            )
        if start.lstrip().lower().startswith(_WEB_PAGE):
            raise InputError(
                f"{path} is a web page and not the file itself: download the file again, in a "
                "browser"
            )
    except BaseException:
        file.close()
        raise
    return file
