"""Checks whether JPEG data is complete."""

from __future__ import annotations

import re

# End of compressed JPEG data: any marker except a restart (D0 to D7). FF 00 is data.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def jpeg_complete(data: bytes) -> bool:
    """Returns True if JPEG data has its end-of-image marker.

    Parses the segments, because the marker of a thumbnail does not count, and because other data
    may follow the image.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # compressed data follows
            end = _JPEG_MARKER.search(data, at)
            if end is None:
                return False
            at = end.start()
            if data[at + 1] == 0xD9:
                return True
    return False
