"""Finds the clips that the arguments of ``run`` and ``annotate`` name: files, folders, patterns."""

from __future__ import annotations

import glob
import mimetypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from face_perception.errors import InputError, shortened

_PATTERN = "*?["
# Pictures and films whose types are not registered everywhere.
_MORE = (".mkv", ".webm", ".webp", ".avif", ".jp2", ".ts", ".mts", ".m2ts")
_DRAWINGS = (".svg", ".svgz")  # images by their type, but without pixels


def clips_in(names: Sequence[str]) -> list[str]:
    """Returns the pictures, films and bags that some names stand for, in order, each once.

    The name of a folder stands for the clips in it, without those in its subfolders; a bag or a
    session is one clip. A pattern such as ``clips/*.mp4``, which the shell has left as it is,
    stands for the files and bags that match it. Raises InputError if a folder or pattern has none.
    """
    found = [clip for name in names for clip in _clips(name)]
    return list(dict.fromkeys(found))


def _clips(name: str) -> list[str]:
    from face_perception.media import is_bag

    path = Path(name)
    if path.is_dir() and not is_bag(path):
        inside = sorted(str(file) for file in _inside(path))
        if not inside:
            raise InputError(f"{name} has no picture, film or bag: give files, or another folder")
        return inside
    if any(sign in name for sign in _PATTERN) and not path.exists():
        found = sorted(glob.glob(name, recursive=True))
        matching = [one for one in found if os.path.isfile(one) or is_bag(Path(one))]
        if not matching:
            raise InputError(f"no file matches {shortened(name)}: correct the pattern")
        return matching
    return [name]


def _inside(folder: Path) -> Iterator[Path]:
    from face_perception.media import is_bag

    for path in folder.iterdir():
        kind = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
        known = kind in ("image", "video") or path.suffix.lower() in _MORE
        known = known and path.suffix.lower() not in _DRAWINGS
        if not path.name.startswith(".") and (is_bag(path) or (known and path.is_file())):
            yield path
