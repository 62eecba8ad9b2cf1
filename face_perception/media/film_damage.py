"""Finds out whether a film file is cut off, from the lengths that its own header states."""

from __future__ import annotations

import os
from typing import BinaryIO

# Types of the boxes that an MP4 or MOV file starts with, and of those that follow.
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp")
_LATER_BOXES = (*_MP4_BOXES, b"moof", b"mfra", b"sidx", b"ssix", b"meta", b"emsg", b"prft", b"udta")
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
    at, indexed = 0, False
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length, header_length = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, header_length = int.from_bytes(header[8:16], "big"), 16
        indexed |= header[4:8] == b"moov"
        if at + length > size and header[4:8] not in _LATER_BOXES:
            break  # not a box: data that another program added, which players ignore
        if length == 0:  # up to the end of the file
            at = size
        elif length < header_length:
            break  # not a box
        else:
            at += length
    if not indexed:
        return "its index, which is written last, because the recording was not finished"
    return _bytes(at - size)


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
