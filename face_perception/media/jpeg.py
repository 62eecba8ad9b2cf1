"""Checks whether JPEG data is complete. Decoders fill what is missing with gray, silently."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

# End of compressed JPEG data: any marker except a restart (D0 to D7). FF 00 is data.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS, _HIERARCHICAL = frozenset({0xC3, 0xCB}), frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
# Inserted before the end marker. It reads as various codes, so that missing blocks become visible.
_FILLING = bytes(range(1, 200, 7)) * 8


@dataclass
class _Layout:
    """What the segments of JPEG data say."""

    end: int = -1  # place of the end-of-image marker; -1: missing
    scans: int = 0
    restarts: int = 0  # number of restart markers
    restart_interval: int = 0  # blocks (MCU) between two of them; 0: no restart markers
    blocks: int = 0  # number of blocks (MCU) of the image, with all components
    size: bytes = b""  # height and width in pixels, 2 bytes each
    process: int = 0  # marker of the frame header, which tells how the picture is compressed
    bits: int = 8  # of a component
    has_index: bool = False  # of a Multi-Picture file: other views of the same picture follow


def jpeg_complete(data: bytes) -> bool:
    """Returns True if JPEG data has its end-of-image marker, and all its restart markers.

    Parses the segments, because the marker of a thumbnail does not count, and because other data
    may follow the image. Such data may still lack pixels: see ``jpeg_runs_out``.
    """
    layout = _parse(data)
    if layout.end < 0:
        return False
    if layout.scans > 1 or not layout.restart_interval or not layout.blocks:
        return True
    return layout.restarts >= (layout.blocks - 1) // layout.restart_interval


def jpeg_runs_out(data: bytes, corner: tuple[int, ...]) -> bool:
    """Returns True if complete JPEG data (``jpeg_complete``) ends before its last block of pixels.

    Cameras that lose packets, and broken downloads, leave such data: what follows the gap is
    shifted, and the end is gray. ``corner`` is the decoded pixel at the right end of the bottom
    row, as stored (not turned). Decodes again only if this pixel has the value of a missing block
    (128), or if the data has several scans, as a progressive JPEG has.

    How it works: data that is inserted before the end marker changes the picture only if the
    decoder reads it, that is, if it has run out of data. Does not see bytes that are lost if, by
    chance, what follows decodes to enough blocks (about one of five losses without restart
    markers).
    """
    layout = _parse(data)
    if layout.scans == 1 and any(abs(value - 128) > 1 for value in corner[:3]):
        return False
    filled = data[: layout.end] + _FILLING + data[layout.end :]
    small = layout.scans == 1  # the scans of fine detail are not visible in a small picture
    return _decode(data, small) != _decode(filled, small)


def jpegs_in_a_row(data: bytes) -> bool:
    """Returns True if a second JPEG picture of the same size follows the first: a film (MJPEG).

    Other data after a JPEG picture is not a film: smaller copies, maps of depth, a short film.
    """
    first = _parse(data)
    if first.end < 0 or first.has_index:
        return False
    rest = data[first.end + 2 :]
    return rest.startswith(b"\xff\xd8\xff") and _parse(rest).size == first.size


def unusual_jpeg(data: bytes) -> str:
    """Returns the name of the unusual kind of JPEG that ``data`` begins, or "" for a usual one.

    Medical and scientific cameras write these kinds. Most decoders lack them.
    """
    layout = _parse(data)
    if layout.process in _LOSSLESS:
        return "lossless"
    if layout.process in _HIERARCHICAL:
        return "hierarchical"
    return f"{layout.bits}-bit" if layout.process and layout.bits > 8 else ""


def _parse(data: bytes) -> _Layout:
    out = _Layout()
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        body = data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
        at += 4 + len(body)
        if marker == 0xDD and len(body) >= 2:
            out.restart_interval = int.from_bytes(body[:2], "big")
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            out.has_index = True
        elif marker in _FRAME_HEADERS:
            out.blocks, out.size = _blocks(body), body[1:5]
            out.process, out.bits = marker, body[0] if body else 0
        elif marker == 0xDA:  # compressed data follows
            out.scans += 1
            end = _JPEG_MARKER.search(data, at)
            if end is None:
                return out
            out.restarts += len(_RESTART.findall(data, at, end.start()))
            at = end.start()
            if data[at + 1] == 0xD9:
                out.end = at
                return out
    return out


def _blocks(frame_header: bytes) -> int:
    """Returns the number of blocks (MCU) of an image, by its frame header; 0 if it is invalid."""
    height, width = (int.from_bytes(frame_header[i : i + 2], "big") for i in (1, 3))
    sampling = frame_header[7::3]
    if len(frame_header) < 9 or not all(value >> 4 and value & 15 for value in sampling):
        return 0
    if len(sampling) == 1:  # a single component has blocks of 8x8, whatever its sampling
        across = down = 8
    else:
        across = 8 * max(value >> 4 for value in sampling)
        down = 8 * max(value & 15 for value in sampling)
    return -(-width // across) * -(-height // down)


def _decode(data: bytes, small: bool) -> bytes:
    """Returns the pixels, at an eighth of the size if ``small``. Raises what Pillow raises."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        if small:
            image.draft(None, (image.width // 8, image.height // 8))
        return image.tobytes()
