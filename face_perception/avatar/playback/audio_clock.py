"""Estimates the playback position of the audio device, and paces frames by it.

Late frames are dropped, so the picture never drifts from the sound. Starts no threads.
"""

from __future__ import annotations

import math
import threading
from collections import deque

# A device's callbacks jitter by some milliseconds. Its crystal is off by far less than _RATES.
_TIME_CONSTANT = 0.5  # seconds, of the filter
_RATES = (0.95, 1.05)
_JUMP = 0.15  # seconds of error from which the position is set instead of filtered


class AudioClock:
    """Converts between monotonic time and the position in the played audio. Thread-safe.

    Times are in seconds of the computer's monotonic clock, positions in seconds of audio since the
    player started. A player calls ``observe`` with the position that is heard at one time. In
    between, and shortly ahead, position and rate are estimated with an alpha-beta filter, which
    smooths the jitter of the player's callbacks. Before the first observation the position runs
    from 0 at rate 1.

    >>> clock = AudioClock()
    >>> for k in range(200):
    ...     clock.observe(100.0 + 0.01 * k, 0.01 * k)  # one observation every 10 ms
    >>> round(clock.position(102.5), 3)
    2.5
    >>> round(clock.time_of(3.0), 3)
    103.0
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = math.nan
        self._position = 0.0
        self._rate = 1.0
        self._observed = (math.nan, 0.0)

    def observe(self, now: float, position: float) -> None:
        """Records that ``position`` is heard at ``now``, which may be slightly in the future."""
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
                # The device was reopened or has stalled.
                self._position, self._rate = position, 1.0
                return
            alpha = 1 - math.exp(-elapsed / _TIME_CONSTANT)
            self._position = predicted + alpha * error
            rate = self._rate + alpha * alpha / 4 * error / elapsed
            self._rate = min(max(rate, _RATES[0]), _RATES[1])

    @property
    def rate(self) -> float:
        """Returns the estimated seconds of audio per second of the monotonic clock."""
        with self._lock:
            return self._rate

    def position(self, now: float) -> float:
        """Returns the estimated position that is heard at ``now``."""
        with self._lock:
            if not math.isfinite(self._at):
                self._at = now
            return self._position + self._rate * (now - self._at)

    def measured_position(self, now: float) -> float:
        """Returns the position at ``now`` from the last observation alone, without the filter.

        The offset between sound and picture is measured against it.
        """
        with self._lock:
            at, position = self._observed
            rate = self._rate
        return position + rate * (now - at) if math.isfinite(at) else self.position(now)

    def time_of(self, position: float) -> float:
        """Returns the monotonic time at which ``position`` is, was or will be heard.

        Raises RuntimeError if neither ``observe`` nor ``position`` was called before.
        """
        with self._lock:
            if not math.isfinite(self._at):
                raise RuntimeError("the clock has not started: call observe() or position() first")
            return self._at + (position - self._position) / self._rate


class FramePacer:
    """Decides which frame to render next and when to show it, and counts dropped frames.

    Frame n belongs to the audio at n / ``fps`` seconds. A frame that could not be ready in time is
    skipped; a finished frame that is late by more than one period is not shown. Both count as
    ``dropped``. ``offset`` and ``worst_offset`` (seconds) are those of ``PerformerReport``.

    >>> clock = AudioClock()
    >>> clock.observe(100.0, 0.0)
    >>> pacer = FramePacer(clock, fps=25.0)
    >>> number = pacer.next_frame(100.0, lead=0.03)  # rendering takes 30 ms
    >>> number, round(pacer.due_time(number), 3)
    (1, 100.04)
    >>> pacer.accept(number, now=100.041), pacer.dropped
    (True, 0)
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
        """Returns the number of the next frame that can be ready in time, ``lead`` seconds after
        the monotonic time ``now``.
        """
        # A frame that is due at that very moment is in time: rounding must not lose it.
        first = math.ceil(self._clock.position(now + lead) * self.fps - 0.5)
        if self._last >= 0 and first < self._last - self.fps / 4:
            self._last = first - 1  # the clock has jumped back
        number = max(self._last + 1, first)
        if self._last >= 0:
            self.dropped += number - self._last - 1
        self._last = number
        return number

    def due_time(self, number: int) -> float:
        """Returns the monotonic time at which a frame is to be shown."""
        return self._clock.time_of(number / self.fps)

    def accept(self, number: int, now: float) -> bool:
        """Returns whether a frame that is ready at ``now`` may be shown, and records its offset.

        A frame that is more than one period late or early may not: if early, the clock has jumped
        back.
        """
        offset = number / self.fps - self._clock.measured_position(now)
        if abs(offset) > 1 / self.fps:
            self.discard()
            return False
        self.shown += 1
        self.offset = offset
        self._recent.append(offset)
        if abs(offset) > abs(self.worst_offset):
            self.worst_offset = offset
        return True

    def discard(self) -> None:
        """Counts a finished frame that is not shown as dropped."""
        self.dropped += 1

    def recent_worst_offset(self) -> float:
        """Returns the largest offset of the last thousand frames, seconds, with its sign."""
        return max(self._recent, key=abs, default=0.0)
