"""Opens picture and film files, and says what is wrong with a file before a library reads it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

from face_perception.errors import InputError, machine_limit
from face_perception.files import open_regular
from face_perception.outside_files import stands_in

# A path that begins so is an address, whose second slash Path removes, unless such a file exists.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def open_input(path: str | os.PathLike[str], wanted: str) -> BinaryIO:
    """Opens a regular file for reading. ``wanted`` says what to give instead of a bad file.

    A library must never open the file by its name: FFmpeg reads ``22:57.mp4`` as a protocol and
    ``%d`` as a number, and OpenCV crashes if the name is not UTF-8. Raises OSError if the file
    does not exist or may not be read, and InputError if it is an address, a folder, a pipe or a
    device, is empty, or is a Git LFS pointer or a web page instead of its content.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give {wanted}")
    try:
        file = open_regular(path)
    except FileNotFoundError:
        if _ADDRESS.match(str(path)):
            raise InputError(
                f"{path} is an address, and only files are read: download it; for a camera on the "
                "network, start its ROS driver"
            ) from None
        raise
    except OSError as error:
        if isinstance(error, PermissionError) or machine_limit(error):
            raise
        raise InputError(f"{path}: {error.strerror}: give {wanted}") from error
    start = file.read(100)
    file.seek(0)
    problem = stands_in(start)
    if start and not problem:
        return file
    file.close()
    if problem:
        raise InputError(f"{path}: {problem}")
    raise InputError(f"{path} is empty: copy or record it again")
