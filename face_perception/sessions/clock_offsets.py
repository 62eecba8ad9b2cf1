"""Compares the stamps of messages with the times at which they were received."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

_STAMP = struct.Struct("<4xiI")  # after the 4 bytes that start each message: seconds, nanoseconds


def header_stamp(data: bytes) -> float:
    """Returns the stamp of a serialised message that begins with a header, seconds.

    NaN if it is not set, or if the message is not in little-endian CDR.
    """
    if len(data) < _STAMP.size or data[1] & 1 == 0:
        return math.nan
    seconds, nanoseconds = _STAMP.unpack_from(data)
    return seconds + nanoseconds * 1e-9 if seconds or nanoseconds else math.nan


@dataclass
class ClockOffset:
    """Receipt minus stamp of the messages of one topic, seconds.

    It is the latency of the sender's work and of the transport, and, if the sender is another
    computer, the difference of the clocks. The smallest value is the best bound of the latter.

    >>> offset = ClockOffset()
    >>> offset.add(10.0, 10.25), offset.add(11.0, 11.75)
    (None, None)
    >>> offset.summary()
    {'count': 2, 'smallest': 0.25, 'mean': 0.5, 'largest': 0.75}
    """

    count: int = 0
    smallest: float = math.inf
    largest: float = -math.inf
    total: float = 0.0

    def add(self, stamp: float, received: float) -> None:
        """Takes one message; a stamp of NaN does not count."""
        offset = received - stamp
        if math.isnan(offset):
            return
        self.count += 1
        self.total += offset
        self.smallest, self.largest = min(self.smallest, offset), max(self.largest, offset)

    def summary(self) -> dict[str, Any]:
        """Returns the numbers as plain values, rounded to microseconds; empty without a message."""
        if not self.count:
            return {}
        return {
            "count": self.count,
            "smallest": round(self.smallest, 6),
            "mean": round(self.total / self.count, 6),
            "largest": round(self.largest, 6),
        }
