"""The audio clock, and frames paced by it: late ones are dropped, nothing drifts. No threads."""

from __future__ import annotations

import math
import threading
from collections import deque

# Of the filter; a device's callbacks jitter by some milliseconds, its crystal is off by far less
# than the rate may follow.
_TIME_CONSTANT = 0.5
_RATES = (0.95, 1.05)
_JUMP = 0.15


class AudioClock:
    """Where a player is in its audio, in seconds of audio, at any monotonic time. Thread-safe.

    ``observe`` says what is heard at one time, with the jitter of a device's callbacks; in between,
    and shortly ahead, position and rate are estimated (an alpha-beta filter). Before the first
    observation the position runs from 0.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = math.nan
        self._position = 0.0
        self._rate = 1.0
        self._observed = (math.nan, 0.0)

    def observe(self, now: float, position: float) -> None:
        """The sample of ``position`` is heard at ``now``, which may lie a little ahead."""
        with self._lock:
            self._observed = (now, position)
            elapsed = now - self._at
            if not elapsed > 0:
                if not math.isfinite(self._at):
                    self._at, self._position = now, position
                return
            predicted = self._position + self._rate * elapsed
            error = position - predicted
            self._at = now
            if abs(error) > _JUMP:
                # The device was opened anew, or has stalled.
                self._position, self._rate = position, 1.0
                return
            alpha = 1 - math.exp(-elapsed / _TIME_CONSTANT)
            self._position = predicted + alpha * error
            rate = self._rate + alpha * alpha / 4 * error / elapsed
            self._rate = min(max(rate, _RATES[0]), _RATES[1])

    @property
    def rate(self) -> float:
        """Seconds of audio a second."""
        with self._lock:
            return self._rate

    def position(self, now: float) -> float:
        """Estimated position of what is heard at ``now``."""
        with self._lock:
            if not math.isfinite(self._at):
                self._at = now
            return self._position + self._rate * (now - self._at)

    def measured_position(self, now: float) -> float:
        """The same by the last observation alone, without the filter: what offsets are measured
        against.
        """
        with self._lock:
            at, position = self._observed
            rate = self._rate
        return position + rate * (now - at) if math.isfinite(at) else self.position(now)

    def time_of(self, position: float) -> float:
        """The monotonic time at which ``position`` is, was or will be heard."""
        with self._lock:
            if not math.isfinite(self._at):
                raise RuntimeError("the clock has not begun: ask for a position first")
            return self._at + (position - self._position) / self._rate


class FramePacer:
    """Which frame is next, when it is due, and how it went.

    Frame n is for the audio at n / ``fps`` seconds. A frame that could only come late is not begun,
    one that has become late by more than a period is not shown: both count as dropped.
    """

    def __init__(self, clock: AudioClock, fps: float) -> None:
        self._clock = clock
        self.fps = fps
        self._last = -1
        self.shown = 0
        self.dropped = 0
        self.offset = 0.0
        self.worst_offset = 0.0
        self._recent: deque[float] = deque(maxlen=1000)

    def next_frame(self, now: float, lead: float) -> int:
        """The number of the next frame that can be ready in time, ``lead`` seconds from now."""
        # What is due right then is still in time: no frame is lost to a rounding.
        first = math.ceil(self._clock.position(now + lead) * self.fps - 0.5)
        if self._last >= 0 and first < self._last - self.fps / 4:
            self._last = first - 1  # the clock has jumped back
        number = max(self._last + 1, first)
        if self._last >= 0:
            self.dropped += number - self._last - 1
        self._last = number
        return number

    def due_time(self, number: int) -> float:
        """When a frame is to be seen, monotonic seconds."""
        return self._clock.time_of(number / self.fps)

    def accept(self, number: int, now: float) -> bool:
        """Whether a frame that is ready now may be shown; if so its offset is noted.

        One that is early by more than a period is not, either: then the clock has jumped back.
        """
        offset = number / self.fps - self._clock.measured_position(now)
        if abs(offset) > 1 / self.fps:
            self.dropped += 1
            return False
        self.shown += 1
        self.offset = offset
        self._recent.append(offset)
        if abs(offset) > abs(self.worst_offset):
            self.worst_offset = offset
        return True

    def recent_worst_offset(self) -> float:
        """The largest offset of the last thousand frames, with its sign."""
        return max(self._recent, key=abs, default=0.0)
