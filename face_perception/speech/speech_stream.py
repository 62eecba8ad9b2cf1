"""Chunks as they come to continuous speech: put in order, pauses kept, resampled, its end noticed.

Knows no clock: whoever calls says what time it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import soxr

from face_perception.speech.audio_chunks import AudioChunk, AudioSamples
from face_perception.speech.sender_position import SenderPosition

# A stamp may be this much off, or half a chunk, before it means a gap: drivers stamp on receipt.
# After some stamps that were exact it is half a chunk, however short.
_LOOSE, _EXACT, _SOME = 0.02, 0.002, 3
# For a chunk that was overtaken: a live sender's comes when one more would have.
_WAIT, _MARGIN, _LONGEST_WAIT = 0.06, 0.02, 0.15
_BACK = 1.0  # a stamp this much earlier is another clock, not a late chunk
_LONGEST_PAUSE = 3.0
# What a resampler holds back is let go when nothing has come for this long.
_FLUSH = 0.02
# Speech that ends as loud as this, root mean square over so many seconds, was broken off.
_LOUD, _LAST = 0.02, 0.03


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """What has become known of the speech: ``samples`` by rate, mono float32, continuing what came
    before them.

    ``begins``: they are the first of an utterance, whose first sample has the stamp ``stamp``;
    ``ends``: they are its last, or it had ended before.
    """

    samples: dict[int, AudioSamples]
    begins: bool = False
    ends: bool = False
    stamp: float = 0.0
    held: float = 0.0


class SpeechStream:
    """Utterances out of chunks of any size and rate, in ``rates``.

    Chunks are put in order by stamp: one after a gap waits 60 ms for those that it may have
    overtaken; one that comes after its place was filled is dropped (``late_chunks`` counts them). A gap
    between stamps becomes silence, unless the listener has waited it out already: ``delay`` is how
    far behind the chunks they are played. Stamps that are all the same, or are the time of sending
    of a sender that is faster than real time, are taken in the order of arrival. An utterance ends
    with a chunk without samples, or when nothing has come for ``end_after`` seconds after its end
    (``abrupt_ends`` counts those that were loud to the last).

    What still comes of an utterance that was interrupted is dropped (``interrupted_chunks`` counts chunks),
    and of two senders whose clocks differ the one that began first (``other_sender_chunks``).
    """

    def __init__(
        self, rates: Sequence[int] = (16_000,), *, delay: float = 0.1, end_after: float = 0.5
    ) -> None:
        self._rates = tuple(rates)
        self._delay = delay
        self._end_after = end_after
        self.late_chunks = self.abrupt_ends = self.interrupted_chunks = self.other_sender_chunks = 0
        self._held: list[tuple[float, AudioChunk]] = []
        # What was interrupted, and a sender that another has taken the place of.
        self._cut: SenderPosition | None = None
        self._former: SenderPosition | None = None
        self._forget()

    @property
    def speaking(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return self._open

    def push_chunk(self, chunk: AudioChunk, now: float) -> list[SpeechSegment]:
        """Takes a chunk that has come at ``now``, monotonic seconds."""
        if self._unwanted(chunk, now):
            return []
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
            self.late_chunks += 1
        else:
            if place == "anew":
                self._former = replace(self._at)
                heard += self._let_go(now)
                heard += self._end()
            heard.append(self._take(chunk, now, now))
            heard += self._fitting(now)
        return heard

    def poll(self, now: float) -> list[SpeechSegment]:
        """What has become known by waiting; to be called some twenty times a second."""
        heard = list(self._due(now))
        if self._open and not self._held:
            if now - self._until > self._end_after:
                self.abrupt_ends += self._level > _LOUD
                heard += self._end()
            elif not self._flushed and now - self._until > _FLUSH:
                heard.append(SpeechSegment(self._flush(), held=math.inf))
        return heard

    def interrupt(self, now: float) -> None:
        """Ends the utterance at once; chunks that continue it are dropped."""
        if self._held:
            self._at.note(self._held[-1][1], now)
        self._held.clear()
        if self._open:
            self._cut = self._at
            self._forget()

    # Order.

    def _forget(self) -> None:
        self._open = False
        self._at = SenderPosition(0.0, 0.0, -math.inf, 0.0)
        self._exact = 0  # stamps in a row that were
        self._until = -math.inf  # when what has come would have ended, heard as it came
        self._level = 0.0  # of its last samples
        self._flushed = True
        self._resamplers: dict[int, soxr.ResampleStream | None] = {}
        self._source = 0

    def _unwanted(self, chunk: AudioChunk, now: float) -> bool:
        if self._cut is not None:
            if self._cut.continues(chunk, now):
                self._cut.note(chunk, now)
                self.interrupted_chunks += 1
                return True
            if self._cut.expected > 0:  # its sender may go on all the same
                self._former = self._cut
            self._cut = None
        if self._former is not None and self._former.continues(chunk, now):
            self._former.note(chunk, now)
            self.other_sender_chunks += 1
            return True
        return False

    def _loose(self, chunk: AudioChunk) -> float:
        half = max(_EXACT, chunk.duration / 2)
        return half if self._exact >= _SOME else max(_LOOSE, half)

    def _place(self, chunk: AudioChunk) -> str:
        """Where a chunk belongs: next, early, late, or anew: in another utterance."""
        if not self._open:
            return "next"
        if chunk.stamp <= 0 or self._at.expected <= 0:
            return "next"
        if chunk.stamp < self._at.last - _BACK:
            return "anew"
        gap = chunk.stamp - self._at.expected
        if gap > _LONGEST_PAUSE:
            return "anew"
        if gap > self._loose(chunk):
            return "early"
        return "late" if chunk.stamp < self._at.last else "next"

    def _due(self, now: float) -> Iterator[SpeechSegment]:
        """Held chunks whose wait is over."""
        while self._held and now >= min(at + _wait(chunk) for at, chunk in self._held):
            yield self._take(*self._next_held(), now)
            yield from self._fitting(now)

    def _fitting(self, now: float) -> Iterator[SpeechSegment]:
        """Held chunks that follow what has been taken."""
        while self._held:
            chunk = self._held[0][1]
            if chunk.stamp - self._at.expected > self._loose(chunk):
                return
            yield self._take(*self._next_held(), now)

    def _let_go(self, now: float) -> Iterator[SpeechSegment]:
        while self._held:
            yield self._take(*self._next_held(), now)

    def _next_held(self) -> tuple[AudioChunk, float]:
        at, chunk = self._held.pop(0)
        return chunk, at

    # Samples.

    def _take(self, chunk: AudioChunk, came: float, now: float) -> SpeechSegment:
        begins = not self._open
        pause = 0.0
        if begins:
            self._until = came
        elif chunk.stamp > 0 and self._at.expected > 0:
            gap = chunk.stamp - self._at.expected
            if abs(gap) <= _LOOSE:
                self._exact = self._exact + 1 if abs(gap) <= _EXACT else 0
            if gap > self._loose(chunk):
                waited = came - self._until
                pause = gap if waited < self._delay else max(0.0, gap - waited)
        self._open = True
        self._until += pause
        silence = np.zeros(round(pause * chunk.rate), np.float32)
        samples = self._resampled(np.concatenate([silence, chunk.samples]), chunk.rate)
        self._at.note(chunk, came)
        self._until = max(self._until, came) + chunk.duration
        last = chunk.samples[-max(1, round(_LAST * chunk.rate)) :]
        self._level = float(np.sqrt(np.mean(last**2)))
        return SpeechSegment(samples, begins=begins, stamp=chunk.stamp, held=now - came)

    def _resampled(self, samples: AudioSamples, source: int) -> dict[int, AudioSamples]:
        before: dict[int, AudioSamples] = {}
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

    def _flush(self) -> dict[int, AudioSamples]:
        nothing = np.zeros(0, np.float32)
        out = dict.fromkeys(self._rates, nothing)
        if not self._flushed:
            for rate, resampler in self._resamplers.items():
                if resampler is not None:
                    out[rate] = resampler.resample_chunk(nothing, last=True)
        self._flushed = True
        return out

    def _end(self) -> list[SpeechSegment]:
        if not self._open:
            return []
        heard = SpeechSegment(self._flush(), ends=True, held=math.inf)
        self._forget()
        return [heard]


def _wait(chunk: AudioChunk) -> float:
    return min(max(_WAIT, chunk.duration + _MARGIN), _LONGEST_WAIT)
