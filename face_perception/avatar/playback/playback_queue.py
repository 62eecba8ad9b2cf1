"""What is played and when: speech between silences on the player's timeline. Knows no device."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_KEEP = 5.0  # seconds of the past for which `at` can be asked
_FADE = 0.005
_EARLY = 0.25  # of a period, that speech may begin earlier

# Called with what the player has just taken: position of its first sample in seconds, samples.
PlayedCallback = Callable[[float, Array], None]


@dataclass
class _Run:
    """Speech without a gap: ``length`` samples from ``start`` on the player's timeline, whose first
    is sample ``speech`` of the speech. Nothing follows on in one that is ``closed``.
    """

    start: int
    speech: int
    length: int = 0
    closed: bool = False
    waiting: list[Array] = field(default_factory=list)


class PlaybackQueue:
    """The queue between speech and a player that takes ``rate`` samples a second. Thread-safe.

    The player's timeline has silence where there is no speech, so that it never stops. Speech
    begins ``delay`` seconds after it was heard of; where a multiple of ``period`` seconds of the
    timeline, a frame, is up to a quarter of it earlier, then: it would be seen only with the next.
    When it runs dry in the middle it stops, and goes on after the same delay.
    """

    def __init__(self, rate: int, delay: float = 0.1, period: float = 0.0) -> None:
        self.rate = rate
        self.delay = delay
        self._period = period * rate
        self._lock = threading.Lock()
        self._pulled = 0
        self._pushed = 0
        self._runs: list[_Run] = []
        self._listeners: list[PlayedCallback] = []

    def add_listener(self, listener: PlayedCallback) -> None:
        """Has ``listener`` called, on the player's thread, with all that is speech."""
        self._listeners.append(listener)

    @property
    def samples_taken(self) -> int:
        """Samples that the player has taken."""
        with self._lock:
            return self._pulled

    @property
    def seconds_enqueued(self) -> float:
        """Seconds of speech that were pushed, ever."""
        with self._lock:
            return self._pushed / self.rate

    @property
    def seconds_waiting(self) -> float:
        """Seconds of speech that the player has not taken yet; what fades out does not count."""
        with self._lock:
            return self._waiting() / self.rate

    def enqueue(self, samples: Array, heard: float, held: float = 0.0) -> float:
        """Appends speech. ``heard`` is the position, in seconds, that is heard right now; ``held``
        for how long the samples have been kept back before. Returns the seconds of silence between
        what was pushed before and this: 0 where it goes on without a gap.
        """
        if not len(samples):
            return 0.0
        gap = 0.0
        with self._lock:
            if not self._waiting():
                before = self._end(self._runs[-1]) if self._runs else None
                start = max(self._start(heard, held), before or 0)
                self._runs.append(_Run(start, self._pushed))
                if before is not None:
                    gap = (self._runs[-1].start - before) / self.rate
            self._runs[-1].waiting.append(samples.astype(np.float32, copy=False))
            self._runs[-1].length += len(samples)
            self._pushed += len(samples)
            return gap

    def take_samples(self, count: int) -> Array:
        """The next samples for the player."""
        out = np.zeros(count, np.float32)
        with self._lock:
            begin, end = self._pulled, self._pulled + count
            first, last = end, begin
            for run in self._runs:
                start = self._end(run) - sum(map(len, run.waiting))
                while run.waiting and start < end:
                    piece = run.waiting.pop(0)
                    taken = min(len(piece), end - start)
                    out[start - begin : start - begin + taken] = piece[:taken]
                    if taken < len(piece):
                        run.waiting.insert(0, piece[taken:])
                    first, last = min(first, start), max(last, start + taken)
                    start += taken
            self._pulled = end
            keep = end - _KEEP * self.rate
            self._runs = [run for run in self._runs if run.waiting or self._end(run) > keep]
        if last > first:
            for listener in self._listeners:
                listener(first / self.rate, out[first - begin : last - begin])
        return out

    def speech_time_at(self, position: float) -> float | None:
        """The time in the speech, seconds from the first sample ever pushed, that is heard at a
        position; None where that is silence, or not known yet.
        """
        sample = round(position * self.rate)
        with self._lock:
            for run in reversed(self._runs):
                if run.start <= sample < self._end(run):
                    return (run.speech + sample - run.start) / self.rate
        return None

    def expected_speech_time(self, position: float) -> float | None:
        """As ``at``, and where speech is still to begin, its time counted back from there: a second
        before it begins, one less than its first. None where none is to come.
        """
        sample = round(position * self.rate)
        with self._lock:
            for run in self._runs:
                if sample < self._end(run):
                    return (run.speech + sample - run.start) / self.rate
        return None

    def cancel(self) -> None:
        """Ends the speech at once, but for what the player has taken; with a short fade."""
        with self._lock:
            for run in self._runs:
                if not run.waiting:
                    continue
                rest = np.concatenate(run.waiting)
                fade = rest[: round(_FADE * self.rate)] if run.start < self._pulled else rest[:0]
                run.length -= len(rest) - len(fade)
                run.closed = True
                run.waiting = [fade * np.linspace(1, 0, len(fade), dtype=np.float32)]
                if not len(fade):
                    run.waiting = []
            self._runs = [run for run in self._runs if run.length > 0]

    def _start(self, heard: float, held: float) -> int:
        """The sample of the timeline at which speech begins that is heard of now."""
        start = (heard + max(0.0, self.delay - held)) * self.rate
        if self._period and held < self.delay:
            frame = math.floor(start / self._period) * self._period
            if start - frame <= _EARLY * self._period:
                start = frame
        return max(self._pulled, round(start))

    def _waiting(self) -> int:
        return sum(len(piece) for run in self._runs if not run.closed for piece in run.waiting)

    @staticmethod
    def _end(run: _Run) -> int:
        return run.start + run.length
