"""Reads arrays of numbers from MATLAB files (level 5, which MATLAB writes unless asked otherwise).

SciPy's ``loadmat`` is not used: SciPy 1.17.1 ends the process if one byte of a file is wrong, such
as the type of the numbers. Format: "MAT-File Format", MathWorks.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.outside_files import read_bytes

_MOST_BYTES = 1 << 20  # of a file, and of all that is compressed in it
_HEADER = 128  # bytes
_ARRAY, _COMPRESSED = 14, 15  # types of elements
# NumPy's types by the types of elements, without the byte order.
_TYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_NUMBERS = range(6, 16)  # classes of arrays that hold numbers: double to uint64
_STRUCTURE, _DEEPEST = 2, 8  # class of structures; most structures in each other
_COMPLEX = 1 << 11  # flag of an array


def read_matlab_arrays(
    path: str | os.PathLike[str], *, most: int = _MOST_BYTES
) -> dict[str, npt.NDArray[Any]]:
    """Returns the real arrays of numbers in a file, by name. Leaves out cells, texts and objects.

    The fields of a single structure have names such as ``data.left.gaze``. ``most`` is the largest
    size of the file, and of all that is compressed in it, in bytes. Raises OSError, InputError,
    zlib.error or struct.error: use it in ``one_error``.
    """
    data = read_bytes(path, most)
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise InputError("it is not a MATLAB file of level 5 (save it with -v7 in MATLAB)")
    found, left = {}, most
    for kind, content in _elements(data[_HEADER:], order):
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(content, left + 1)
            left -= len(unpacked)
            if left < 0:
                raise InputError(f"it would unpack to more than {most >> 20} MB")
            kind, content = next(_elements(unpacked, order), (0, b""))
        if kind == _ARRAY:
            found.update(_array(content, order))
    return found


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yields type and content of each element."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small element: its size and content are in the same 8 bytes
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start = at + 8
            # Only compressed elements are not padded to 8 bytes.
            end = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise InputError("it is cut off or damaged")
        yield kind, data[start : start + size]
        at = end


def _array(
    content: bytes, order: str, prefix: str = "", depth: int = 0
) -> dict[str, npt.NDArray[Any]]:
    """Returns an array by its name, or those in a structure; nothing if it holds no real numbers.

    ``prefix`` is the name of a field of a structure, which has no name in the file.
    """
    parts = list(_elements(content, order))
    if len(parts) < 4:
        return {}
    (_, flags), (_, dimensions), (_, name), (kind, values) = parts[:4]
    (flag,) = struct.unpack_from(f"{order}I", flags)
    name = prefix.encode("latin1") or name
    if flag & 0xFF == _STRUCTURE and depth < _DEEPEST:
        return _structure(parts[3:], order, name.decode("latin1"), depth)
    if flag & 0xFF not in _NUMBERS or flag & _COMPLEX or kind not in _TYPES:
        return {}
    shape = np.frombuffer(dimensions, f"{order}i4").tolist()
    numbers = np.frombuffer(values, order + _TYPES[kind])
    if len(shape) > 8 or min(shape, default=0) < 0 or math.prod(shape) != len(numbers):
        raise InputError(f"an array of {len(numbers)} numbers does not fit its size")
    return {name.decode("latin1"): numbers.reshape(shape, order="F")}


def _structure(
    parts: list[tuple[int, bytes]], order: str, name: str, depth: int
) -> dict[str, npt.NDArray[Any]]:
    """Returns the arrays in the fields of a structure; nothing for an array of structures.

    ``parts`` are the length of a field's name, all names, and the fields.
    """
    (_, length), (_, names), *fields = parts
    (width,) = struct.unpack_from(f"{order}i", length)
    if width < 1 or len(fields) * width != len(names):
        return {}
    found: dict[str, npt.NDArray[Any]] = {}
    for k, (kind, content) in enumerate(fields):
        field = names[k * width : (k + 1) * width].split(b"\0")[0].decode("latin1")
        if kind == _ARRAY:
            found.update(_array(content, order, f"{name}.{field}", depth + 1))
    return found
