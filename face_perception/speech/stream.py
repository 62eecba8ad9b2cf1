"""Chunks as they come to continuous speech: put in order, pauses kept, resampled, its end noticed.

Knows no clock: whoever calls says what time it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from face_perception.speech.chunks import Array, Chunk

# A stamp may be this much off, or half a chunk, before it means a gap: drivers stamp on receipt.
_LOOSE = 0.02
_WAIT = 0.06  # for a chunk that was overtaken
_BACK = 1.0  # a stamp this much earlier is another clock, not a late chunk
_LONGEST_PAUSE = 3.0
# What a resampler holds back is let go when nothing has come for this long.
_FLUSH = 0.02


@dataclass(frozen=True, slots=True)
class Heard:
    """What has become known of the speech: ``samples`` by rate, mono float32, continuing what came
    before them.

    ``begins``: they are the first of an utterance, whose first sample has the stamp ``stamp``;
    ``ends``: they are its last, or it had ended before.
    """

    samples: dict[int, Array]
    begins: bool = False
    ends: bool = False
    stamp: float = 0.0
    held: float = 0.0


class SpeechStream:
    """Utterances out of chunks of any size and rate, in ``rates``.

    Chunks are put in order by stamp: one after a gap waits 60 ms for those that it may have
    overtaken; one that comes after its place was filled is dropped (``late`` counts them). A gap
    between stamps becomes silence, unless the listener has waited it out already: ``delay`` is how
    far behind the chunks they are played. Stamps that are all the same, or are the time of sending
    of a sender that is faster than real time, are taken in the order of arrival. An utterance ends
    with a chunk without samples, or when nothing has come for ``end_after`` seconds after its end.
    """

    def __init__(
        self, rates: Sequence[int] = (16_000,), *, delay: float = 0.1, end_after: float = 0.5
    ) -> None:
        self._rates = tuple(rates)
        self._delay = delay
        self._end_after = end_after
        self.late = 0
        self._held: list[tuple[float, Chunk]] = []
        self._cut = False  # the utterance was interrupted: what continues it is dropped
        self._expected = self._last = 0.0
        self._until: float = -math.inf
        self._came: float = -math.inf
        self._lasted = 0.0
        self._forget()

    @property
    def speaking(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return self._open

    def push(self, chunk: Chunk, now: float) -> list[Heard]:
        """Takes a chunk that has come at ``now``, monotonic seconds."""
        if self._cut and self._continues_cut(chunk, now):
            self._note(chunk, now)
            return []
        self._cut = False
        heard = list(self._due(now))
        if not len(chunk.samples):
            heard += self._let_go(now)
            heard += self._end()
            return heard
        place = self._place(chunk)
        if place == "early":
            self._held.append((now, chunk))
            self._held.sort(key=lambda held: held[1].stamp)
        elif place == "late":
            self.late += 1
        else:
            if place == "anew":
                heard += self._let_go(now)
                heard += self._end()
            heard.append(self._take(chunk, now, now))
            heard += self._fitting(now)
        return heard

    def poll(self, now: float) -> list[Heard]:
        """What has become known by waiting; to be called some twenty times a second."""
        heard = list(self._due(now))
        if self._cut:
            self._cut = now - self._came < self._end_after + self._lasted
        if self._open and not self._held:
            if now - self._until > self._end_after:
                heard += self._end()
            elif not self._flushed and now - self._until > _FLUSH:
                heard.append(Heard(self._flush(), held=math.inf))
        return heard

    def interrupt(self, now: float) -> None:
        """Ends the utterance at once; chunks that continue it are dropped."""
        if self._held:
            self._note(self._held[-1][1], now)
        self._held.clear()
        if not self._open:
            return
        expected, came, lasted = self._expected, self._came, self._lasted
        self._forget()
        self._cut = True
        self._expected, self._came, self._lasted = expected, came, lasted

    # Order.

    def _forget(self) -> None:
        self._open = False
        self._expected = 0.0  # stamp of the next sample; 0: not known
        self._last = 0.0  # stamp of the last chunk taken
        self._until = -math.inf  # when what has come would have ended, heard as it came
        self._came = -math.inf  # the last chunk, which lasted ...
        self._lasted = 0.0
        self._flushed = True
        self._resamplers: dict[int, soxr.ResampleStream | None] = {}
        self._source = 0

    def _loose(self, chunk: Chunk) -> float:
        return max(_LOOSE, chunk.duration / 2)

    def _place(self, chunk: Chunk) -> str:
        """Where a chunk belongs: next, early, late, or anew: in another utterance."""
        if not self._open:
            return "next"
        if chunk.stamp <= 0 or self._expected <= 0:
            return "next"
        if chunk.stamp < self._last - _BACK:
            return "anew"
        gap = chunk.stamp - self._expected
        if gap > _LONGEST_PAUSE:
            return "anew"
        if gap > self._loose(chunk):
            return "early"
        return "late" if chunk.stamp < self._last else "next"

    def _due(self, now: float) -> Iterator[Heard]:
        """Held chunks whose wait is over."""
        while self._held and now - min(at for at, _ in self._held) >= _WAIT:
            yield self._take(*self._next_held(), now)
            yield from self._fitting(now)

    def _fitting(self, now: float) -> Iterator[Heard]:
        """Held chunks that follow what has been taken."""
        while self._held:
            chunk = self._held[0][1]
            if chunk.stamp - self._expected > self._loose(chunk):
                return
            yield self._take(*self._next_held(), now)

    def _let_go(self, now: float) -> Iterator[Heard]:
        while self._held:
            yield self._take(*self._next_held(), now)

    def _next_held(self) -> tuple[Chunk, float]:
        at, chunk = self._held.pop(0)
        return chunk, at

    def _continues_cut(self, chunk: Chunk, now: float) -> bool:
        if not len(chunk.samples):
            return False
        if (chunk.stamp > 0) != (self._expected > 0):
            return False  # another sender
        if chunk.stamp > 0:
            return abs(chunk.stamp - self._expected) <= self._loose(chunk)
        return now - self._came < self._end_after

    def _note(self, chunk: Chunk, now: float) -> None:
        self._expected = chunk.stamp + chunk.duration if chunk.stamp > 0 else 0.0
        self._last = chunk.stamp
        self._until = max(self._until, now) + chunk.duration
        self._came, self._lasted = now, chunk.duration

    # Samples.

    def _take(self, chunk: Chunk, came: float, now: float) -> Heard:
        begins = not self._open
        pause = 0.0
        if begins:
            self._until = came
        elif chunk.stamp > 0 and self._expected > 0:
            gap = chunk.stamp - self._expected
            if gap > self._loose(chunk):
                waited = came - self._until
                pause = gap if waited < self._delay else max(0.0, gap - waited)
        self._open = True
        self._until += pause
        silence = np.zeros(round(pause * chunk.rate), np.float32)
        samples = self._resampled(np.concatenate([silence, chunk.samples]), chunk.rate)
        self._note(chunk, came)
        return Heard(samples, begins=begins, stamp=chunk.stamp, held=now - came)

    def _resampled(self, samples: Array, source: int) -> dict[int, Array]:
        before: dict[int, Array] = {}
        if source != self._source:
            before = self._flush()
            self._source = source
        if self._flushed:
            self._resamplers = {
                rate: None
                if rate == source
                else soxr.ResampleStream(source, rate, 1, dtype="float32", quality="HQ")
                for rate in self._rates
            }
        self._flushed = False
        out = {}
        for rate, resampler in self._resamplers.items():
            new = samples if resampler is None else resampler.resample_chunk(samples)
            out[rate] = np.concatenate([before[rate], new]) if rate in before else new
        return out

    def _flush(self) -> dict[int, Array]:
        nothing = np.zeros(0, np.float32)
        out = dict.fromkeys(self._rates, nothing)
        if not self._flushed:
            for rate, resampler in self._resamplers.items():
                if resampler is not None:
                    out[rate] = resampler.resample_chunk(nothing, last=True)
        self._flushed = True
        return out

    def _end(self) -> list[Heard]:
        if not self._open:
            return []
        heard = Heard(self._flush(), ends=True, held=math.inf)
        self._forget()
        return [heard]
