"""Checks a film file by what its boxes state: whether it is cut off, or lists too many pictures."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

# Types of the boxes that an MP4 or MOV file starts with, and of those that follow.
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp")
_LATER_BOXES = (*_MP4_BOXES, b"moof", b"mfra", b"sidx", b"ssix", b"meta", b"emsg", b"prft", b"udta")
# Version, flags, sizes of the fields, and the number of pictures; read in so many bytes of a box.
_PICTURE_LIST, _MOST_LISTS = re.compile(rb"iloc(.).{5}(.{4})", re.DOTALL), 1 << 20
_MOST_BOXES = 10_000  # that are searched for such a list
_MKV, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_part(file: BinaryIO) -> str:
    """Returns what is missing at the end of an MP4, MOV, Matroska, WebM or AVI file, in words.

    Returns "" if nothing is missing, or if the file does not state its length, as a live recording
    does not. Reads headers only, and changes the position in the file.
    """
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(0)
    start = file.read(12)
    if start[4:8] in _MP4_BOXES:
        return _missing_of_mp4(file, size)
    if start.startswith(_MKV):
        return _bytes(_end_of_matroska(file) - size)
    if start.startswith(b"RIFF") and start[8:] == b"AVI ":
        return _bytes(8 + int.from_bytes(start[4:8], "little") - size)
    return ""


def _bytes(count: int) -> str:
    return f"its last {count} bytes" if count > 0 else ""


def _missing_of_mp4(file: BinaryIO, size: int) -> str:
    end, indexed = 0, False
    for kind, start, length in _boxes(file, size):
        indexed |= kind == b"moov"
        if length < 8 or (start + length > size and kind not in _LATER_BOXES):
            break  # not a box: data that another program added, which players ignore
        end = start + length
    if not indexed:
        return "its index, which is written last, because the recording was not finished"
    return _bytes(end - size)


def check_picture_list(file: BinaryIO) -> None:
    """Raises ValueError if a HEIF, MP4 or MOV file lists more pictures than it has bytes.

    FFmpeg reserves 8 bytes for each picture that the box ``iloc`` states, up to 32 GB. Changes the
    position in the file.
    """
    size = file.seek(0, os.SEEK_END)
    for kind, start, length in itertools.islice(_boxes(file, size), _MOST_BOXES):
        if kind not in (b"meta", b"moov"):
            continue
        file.seek(start)
        content = file.read(min(length, _MOST_LISTS))
        for found in _PICTURE_LIST.finditer(content):
            version, count = found[1][0], int.from_bytes(found[2], "big")
            if version >= 2 and count > size:  # version 0 and 1 have 16 bits
                raise ValueError(f"its list of pictures states {count} of them")


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields type, first byte and length of each box of a file, without the boxes inside."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        header_length = 16 if length == 1 else 8
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # up to the end of the file
            length = size - at
        yield kind, at, length
        if length < header_length:
            return  # not a box
        at += length


def _end_of_matroska(file: BinaryIO) -> int:
    """Returns where the file should end; 0 if it does not say."""
    file.seek(4)
    length = _read_length(file)
    if length is None:
        return 0
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _read_length(file)
    return 0 if length is None else file.tell() + length


def _read_length(file: BinaryIO) -> int | None:
    """Reads a length of EBML: the leading zero bits of the first byte say how many bytes it has.

    Returns None if it is unknown (all ones) or cut off.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    count = 8 - first[0].bit_length()
    rest = file.read(count)
    value = (first[0] & ((1 << (7 - count)) - 1)) << (8 * count) | int.from_bytes(rest, "big")
    return None if len(rest) < count or value == (1 << (7 * (count + 1))) - 1 else value
