"""Queues speech for a player and places it on the player's timeline. Knows no audio device."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError

Array = npt.NDArray[np.float32]

# Seconds of past audio for which `speech_time_at` still has an answer.
_KEEP = 5.0
_FADE = 0.005  # seconds
_RAMP = 0.02  # seconds in which the volume goes from 0 to 1
_EARLY = 0.25  # share of a period by which speech may start before its delay is over

# Called with the position of the first sample in seconds, and the samples that were just taken.
PlayedCallback = Callable[[float, Array], None]


@dataclass
class _Run:
    """A stretch of speech without a gap. All numbers count samples.

    It occupies ``length`` samples of the player's timeline from ``start`` on; its first sample is
    number ``speech`` of all enqueued speech. Nothing is appended to a ``closed`` run. ``waiting``
    holds the samples that the player has not taken.
    """

    start: int
    speech: int
    length: int = 0
    closed: bool = False
    waiting: list[Array] = field(default_factory=list)


class PlaybackQueue:
    """Queues speech for a player that takes ``rate`` samples per second. Thread-safe.

    The player's timeline starts at 0 when the player starts and never stops: it is silent where
    there is no speech. A *position* is a time on it, in seconds. A *speech time* counts only
    enqueued speech, in seconds from the first sample ever enqueued.

    Speech starts ``delay`` seconds after it was enqueued. If a frame (a multiple of ``period``
    seconds) is at most a quarter of a period earlier, it starts with that frame: otherwise it would
    be seen only with the next one. If the queue runs dry in the middle of the speech, the rest
    starts after the same delay.

    >>> import numpy as np
    >>> queue = PlaybackQueue(rate=16_000, delay=0.1)
    >>> queue.enqueue(np.ones(8_000, np.float32), heard=0.0)  # half a second; returns the gap
    0.0
    >>> samples = queue.take_samples(16_000)  # a player takes one second
    >>> [float(samples[k]) for k in (0, 1_600, 9_599, 9_600)]  # silence, speech, silence
    [0.0, 1.0, 1.0, 0.0]
    >>> queue.speech_time_at(0.05) is None, round(queue.speech_time_at(0.3), 3)
    (True, 0.2)
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
        self._volume = self._wanted_volume = 1.0

    def add_listener(self, listener: PlayedCallback) -> None:
        """Calls ``listener`` on the player's thread with all speech that the player takes."""
        self._listeners.append(listener)

    def set_volume(self, volume: float) -> None:
        """Sets the factor, 0 to 1, of the speech that the player takes from now on.

        Raises InputError for another factor.
        """
        if not 0 <= volume <= 1:
            raise InputError(f"the volume of the speech is {volume}: set one from 0 to 1")
        with self._lock:
            self._wanted_volume = volume

    @property
    def samples_taken(self) -> int:
        """Returns how many samples the player has taken."""
        with self._lock:
            return self._pulled

    @property
    def seconds_enqueued(self) -> float:
        """Returns how many seconds of speech were ever enqueued."""
        with self._lock:
            return self._pushed / self.rate

    @property
    def seconds_waiting(self) -> float:
        """Returns how many seconds of speech the player has not taken, without a fade-out."""
        with self._lock:
            return self._waiting() / self.rate

    def enqueue(self, samples: Array, heard: float, held: float = 0.0) -> float:
        """Appends speech, [N] at ``rate``. Returns the silence before it, seconds.

        ``heard`` is the position that is heard right now. ``held`` is how long the samples were
        held back before, in seconds; it shortens the delay. The returned silence is 0 if the speech
        continues without a gap.
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
        """Returns the next ``count`` samples for the player, [count]: speech or silence."""
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
            self._apply_volume(out)
            self._pulled = end
            keep = end - _KEEP * self.rate
            self._runs = [run for run in self._runs if run.waiting or self._end(run) > keep]
        if last > first:
            for listener in self._listeners:
                listener(first / self.rate, out[first - begin : last - begin])
        return out

    def speech_time_at(self, position: float) -> float | None:
        """Returns the speech time at a position; None if it is silent or not known yet."""
        sample = round(position * self.rate)
        with self._lock:
            for run in reversed(self._runs):
                if run.start <= sample < self._end(run):
                    return (run.speech + sample - run.start) / self.rate
        return None

    def expected_speech_time(self, position: float) -> float | None:
        """Returns the speech time at a position, counted backwards before the speech starts.

        One second before speech starts, it is one second less than the time of its first sample.
        None if no speech is queued for that position or later.
        """
        sample = round(position * self.rate)
        with self._lock:
            for run in self._runs:
                if sample < self._end(run):
                    return (run.speech + sample - run.start) / self.rate
        return None

    def cancel(self) -> None:
        """Drops all speech that the player has not taken, after a short fade-out."""
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
        """Returns the sample of the timeline at which speech that is enqueued now starts."""
        start = (heard + max(0.0, self.delay - held)) * self.rate
        if self._period and held < self.delay:
            frame = math.floor(start / self._period) * self._period
            if start - frame <= _EARLY * self._period:
                start = frame
        return max(self._pulled, round(start))

    def _apply_volume(self, samples: Array) -> None:
        """Multiplies samples by the volume, which changes slowly enough to make no click."""
        if self._volume == self._wanted_volume == 1.0 or not len(samples):
            return
        change = self._wanted_volume - self._volume
        steps = np.arange(1, len(samples) + 1) / (_RAMP * self.rate)
        volume = self._volume + np.copysign(np.minimum(steps, abs(change)), change)
        samples *= volume.astype(np.float32)
        self._volume = self._wanted_volume if steps[-1] >= abs(change) else float(volume[-1])

    def _waiting(self) -> int:
        return sum(len(piece) for run in self._runs if not run.closed for piece in run.waiting)

    @staticmethod
    def _end(run: _Run) -> int:
        return run.start + run.length
