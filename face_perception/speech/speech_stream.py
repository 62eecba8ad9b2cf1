"""Turns chunks of audio into continuous utterances: sorts, fills pauses, resamples, finds the end.

Reads no clock: the caller passes the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import soxr

from face_perception.speech.audio_chunks import AudioChunk, AudioSamples
from face_perception.speech.sender_position import SenderPosition

# Seconds, or half a chunk if that is longer, by which a stamp may be off before it means a gap:
# drivers stamp on receipt. Only half a chunk after _SEVERAL consecutive stamps within _EXACT s.
_LOOSE, _EXACT, _SEVERAL = 0.02, 0.002, 3
# Seconds for which a chunk after a gap waits for an overtaken one: its own duration and _MARGIN,
# because a live sender's next chunk has come by then; at least _WAIT, at most _LONGEST_WAIT.
_WAIT, _MARGIN, _LONGEST_WAIT = 0.06, 0.02, 0.15
_BACK = 1.0  # seconds; a stamp that goes back further comes from another clock
_LONGEST_PAUSE = 3.0  # seconds; a longer gap between stamps begins another utterance
_FLUSH = 0.02  # seconds without a chunk after which the resamplers give their last samples
# An utterance whose last _LAST seconds are louder than _LOUD (RMS) ended abruptly.
_LOUD, _LAST = 0.02, 0.03


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """Holds the next samples of an utterance.

    - ``samples``: mono float32 [N] by sample rate in hertz. N may be 0.
    - ``begins``: these are the first samples of an utterance.
    - ``ends``: the utterance ends with them.
    - ``stamp``: time of the first one by the stamp of the chunk that they come from, seconds; 0 if
      unknown. Silence that fills a gap comes before that chunk.
    - ``held``: seconds for which that chunk was held back; infinity for samples that come out of
      the resamplers only after the last chunk.
    """

    samples: dict[int, AudioSamples]
    begins: bool = False
    ends: bool = False
    stamp: float = 0.0
    held: float = 0.0


class SpeechStream:
    """Joins chunks of any size and rate into utterances at the sample rates ``rates`` (hertz).

    Sorts chunks by stamp. A chunk after a gap waits at least 60 ms for chunks that it may have
    overtaken. Fills a gap between stamps with silence, unless the gap has already been heard
    because the chunks came late: ``delay`` is the time in seconds by which playback follows the
    chunks. Chunks with equal stamps, or stamped with the time of sending by a sender that is faster
    than real time, keep the order in which they come.

    An utterance ends with a chunk without samples, or when no chunk has come for ``end_after``
    seconds after its end. Chunks that still come of an interrupted utterance are dropped. Of two
    senders with different clocks, the one that began first is dropped.

    Counters: ``late_chunks`` (dropped, because later chunks had been used), ``interrupted_chunks``
    (dropped after ``interrupt``), ``other_sender_chunks`` (dropped from another sender) and
    ``abrupt_ends`` (utterances that were loud to the end, so that their end is probably missing).

    >>> from face_perception.speech import AudioChunk
    >>> stream = SpeechStream((16_000, 48_000))
    >>> tone = np.sin(np.arange(1600) / 5).astype(np.float32)
    >>> (first,) = stream.push_chunk(AudioChunk(10.0, 16_000, tone), now=0.0)
    >>> first.begins, len(first.samples[16_000])
    (True, 1600)
    >>> [segment.ends for segment in stream.poll(now=2.0)]
    [True]
    """

    def __init__(
        self, rates: Sequence[int] = (16_000,), *, delay: float = 0.1, end_after: float = 0.5
    ) -> None:
        self._rates = tuple(rates)
        self._delay = delay
        self._end_after = end_after
        self.late_chunks = self.abrupt_ends = self.interrupted_chunks = self.other_sender_chunks = 0
        self._held: list[tuple[float, AudioChunk]] = []
        self._interrupted: SenderPosition | None = None
        self._replaced: SenderPosition | None = None  # a sender that another one has replaced
        self._forget()

    @property
    def speaking(self) -> bool:
        """Returns whether an utterance has begun and not ended."""
        return self._open

    def push_chunk(self, chunk: AudioChunk, now: float) -> list[SpeechSegment]:
        """Takes a chunk that came at ``now`` (monotonic seconds).

        Returns the segments that are ready.
        """
        if self._is_unwanted(chunk, now):
            return []
        segments = list(self._take_due(now))
        if not len(chunk.samples):
            segments += self._take_all_held(now)
            segments += self._end()
            return segments
        order = self._order(chunk)
        if order == "early":
            self._held.append((now, chunk))
            self._held.sort(key=lambda held: held[1].stamp)
        elif order == "late":
            self.late_chunks += 1
        else:
            if order == "new":
                self._replaced = replace(self._position)
                segments += self._take_all_held(now)
                segments += self._end()
            segments.append(self._take(chunk, now, now))
            segments += self._take_following(now)
        return segments

    def poll(self, now: float) -> list[SpeechSegment]:
        """Returns the segments that are ready because time has passed.

        Call it about 20 times a second. ``now`` is in monotonic seconds.
        """
        segments = list(self._take_due(now))
        if self._open and not self._held:
            if now - self._ends_at > self._end_after:
                self.abrupt_ends += self._level > _LOUD
                segments += self._end()
            elif not self._flushed and now - self._ends_at > _FLUSH:
                segments.append(SpeechSegment(self._flush(), held=math.inf))
        return segments

    def interrupt(self, now: float) -> None:
        """Ends the utterance at ``now``; chunks that continue it will be dropped."""
        if self._held:
            self._position.advance(self._held[-1][1], now)
        self._held.clear()
        if self._open:
            self._interrupted = self._position
            self._forget()

    def _forget(self) -> None:
        """Resets everything that belongs to one utterance."""
        self._open = False
        self._position = SenderPosition(0.0, 0.0, -math.inf, 0.0)
        self._exact_stamps = 0  # number of consecutive exact stamps
        self._ends_at = -math.inf  # when the audio so far would end if played as it came
        self._level = 0.0  # RMS of the last samples
        self._flushed = True
        self._resamplers: dict[int, soxr.ResampleStream | None] = {}
        self._source = 0

    def _is_unwanted(self, chunk: AudioChunk, now: float) -> bool:
        """Returns whether the chunk belongs to an interrupted utterance or a replaced sender."""
        if self._interrupted is not None:
            if self._interrupted.is_continued_by(chunk, now):
                self._interrupted.advance(chunk, now)
                self.interrupted_chunks += 1
                return True
            if self._interrupted.expected > 0:  # its sender may still send
                self._replaced = self._interrupted
            self._interrupted = None
        if self._replaced is not None and self._replaced.is_continued_by(chunk, now):
            self._replaced.advance(chunk, now)
            self.other_sender_chunks += 1
            return True
        return False

    def _stamp_tolerance(self, chunk: AudioChunk) -> float:
        """Returns by how many seconds the stamp may be late before it means a gap."""
        half = max(_EXACT, chunk.duration / 2)
        return half if self._exact_stamps >= _SEVERAL else max(_LOOSE, half)

    def _order(self, chunk: AudioChunk) -> str:
        """Returns where a chunk belongs: "next", "early", "late", or "new" (another utterance)."""
        if not self._open:
            return "next"
        if chunk.stamp <= 0 or self._position.expected <= 0:
            return "next"
        if chunk.stamp < self._position.last - _BACK:
            return "new"
        gap = chunk.stamp - self._position.expected
        if gap > _LONGEST_PAUSE:
            return "new"
        if gap > self._stamp_tolerance(chunk):
            return "early"
        return "late" if chunk.stamp < self._position.last else "next"

    def _take_due(self, now: float) -> Iterator[SpeechSegment]:
        """Takes the held chunks whose wait is over, and the chunks that follow them."""
        while self._held and now >= min(at + _wait(chunk) for at, chunk in self._held):
            yield self._take(*self._next_held(), now)
            yield from self._take_following(now)

    def _take_following(self, now: float) -> Iterator[SpeechSegment]:
        """Takes the held chunks that follow the last one without a gap."""
        while self._held:
            chunk = self._held[0][1]
            if chunk.stamp - self._position.expected > self._stamp_tolerance(chunk):
                return
            yield self._take(*self._next_held(), now)

    def _take_all_held(self, now: float) -> Iterator[SpeechSegment]:
        """Takes all held chunks."""
        while self._held:
            yield self._take(*self._next_held(), now)

    def _next_held(self) -> tuple[AudioChunk, float]:
        """Removes the first held chunk; returns it and the time at which it came."""
        at, chunk = self._held.pop(0)
        return chunk, at

    def _take(self, chunk: AudioChunk, came: float, now: float) -> SpeechSegment:
        """Appends a chunk that came at ``came``, after the silence of a gap before it."""
        begins = not self._open
        pause = 0.0
        if begins:
            self._ends_at = came
        elif chunk.stamp > 0 and self._position.expected > 0:
            gap = chunk.stamp - self._position.expected
            if abs(gap) <= _LOOSE:
                self._exact_stamps = self._exact_stamps + 1 if abs(gap) <= _EXACT else 0
            if gap > self._stamp_tolerance(chunk):
                waited = came - self._ends_at
                pause = gap if waited < self._delay else max(0.0, gap - waited)
        self._open = True
        self._ends_at += pause
        silence = np.zeros(round(pause * chunk.rate), np.float32)
        samples = self._resampled(np.concatenate([silence, chunk.samples]), chunk.rate)
        self._position.advance(chunk, came)
        self._ends_at = max(self._ends_at, came) + chunk.duration
        last = chunk.samples[-max(1, round(_LAST * chunk.rate)) :]
        self._level = float(np.sqrt(np.mean(last**2)))
        stamp = chunk.stamp - pause if chunk.stamp > 0 else 0.0
        return SpeechSegment(samples, begins=begins, stamp=stamp, held=now - came)

    def _resampled(self, samples: AudioSamples, source: int) -> dict[int, AudioSamples]:
        """Returns samples of the rate ``source`` (hertz) at all rates, by rate."""
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
        """Returns the last samples of the resamplers."""
        nothing = np.zeros(0, np.float32)
        out = dict.fromkeys(self._rates, nothing)
        if not self._flushed:
            for rate, resampler in self._resamplers.items():
                if resampler is not None:
                    out[rate] = resampler.resample_chunk(nothing, last=True)
        self._flushed = True
        return out

    def _end(self) -> list[SpeechSegment]:
        """Ends the utterance, if there is one; returns its last segment."""
        if not self._open:
            return []
        segment = SpeechSegment(self._flush(), ends=True, held=math.inf)
        self._forget()
        return [segment]


def _wait(chunk: AudioChunk) -> float:
    """Returns for how many seconds a chunk after a gap is held."""
    return min(max(_WAIT, chunk.duration + _MARGIN), _LONGEST_WAIT)
