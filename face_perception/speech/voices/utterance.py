"""Passes on the speech of one text in time, while the rest of it is still being made."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from face_perception.speech.audio_chunks import AudioSamples
from face_perception.speech.voices.voice import Phone, SpokenText, TimedWord

CHUNK = 0.04  # seconds of speech in a chunk
LEAD = 0.3  # seconds by which chunks are sent before their time, in case the computer is busy
_PER_CHARACTER = 0.065  # seconds; for the estimate before the first sentence is made


@dataclass(frozen=True, slots=True)
class UtteranceChunk:
    """The next samples of an utterance, float32 [N] at ``rate``.

    ``start`` is the time of the first one, in seconds from the first sample of the utterance.
    ``phones`` are those of the sentence that begins here, with times from that sample, too.
    """

    start: float
    rate: int
    samples: AudioSamples
    phones: tuple[Phone, ...] = ()


class Utterance:
    """The speech of one text. One thread appends sentences, another one takes chunks.

    Times are in seconds of any clock that does not go back.

    >>> import numpy as np
    >>> utterance = Utterance()
    >>> utterance.append(SpokenText(np.zeros(16_000, np.float32), 16_000), characters_left=0)
    >>> utterance.end()
    >>> round(sum(len(chunk.samples) for chunk in utterance.take(now=5.0)) / 16_000, 2)
    0.32
    >>> _ = [utterance.take(now=5.0 + k / 50) for k in range(50)]
    >>> utterance.finished(now=5.9), utterance.finished(now=6.1)
    (False, True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[UtteranceChunk] = []
        self._words: list[TimedWord] = []
        self._made = 0.0  # seconds of speech that were appended
        self._characters_made = self._characters_left = 0
        self._sent = 0.0  # seconds of speech that were taken
        self._started: float | None = None  # time at which the first sample was due
        self._ended = False

    def append(self, spoken: SpokenText, characters_left: int) -> None:
        """Appends a sentence, after which so many characters of the text are left."""
        step = max(1, round(CHUNK * spoken.rate))
        with self._lock:
            begin = self._made
            phones = tuple(Phone(p.name, begin + p.start, begin + p.end) for p in spoken.phones)
            for first in range(0, len(spoken.samples), step):
                samples = spoken.samples[first : first + step]
                self._waiting.append(
                    UtteranceChunk(begin + first / spoken.rate, spoken.rate, samples, phones)
                )
                phones = ()
            self._words += [TimedWord(w.text, begin + w.start, begin + w.end) for w in spoken.words]
            self._made += spoken.duration
            self._characters_left = characters_left

    def announce(self, characters: int) -> None:
        """States how many characters the text has, for the estimate of its duration."""
        with self._lock:
            self._characters_made = self._characters_left = characters

    def end(self) -> None:
        """States that no more sentences come."""
        with self._lock:
            self._ended = True
            self._characters_left = 0

    def take(self, now: float) -> list[UtteranceChunk]:
        """Returns the chunks that are to be sent now.

        A sentence that was made too late delays all that follows.
        """
        with self._lock:
            if not self._waiting:
                return []
            if self._started is None or now - self._started > self._sent:
                self._started = now - self._sent
            until = now - self._started + LEAD
            due = [chunk for chunk in self._waiting if chunk.start < until]
            del self._waiting[: len(due)]
            if due:
                self._sent = due[-1].start + len(due[-1].samples) / due[-1].rate
            return due

    def take_all(self) -> list[UtteranceChunk]:
        """Returns all chunks that wait, whatever the time."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._sent = self._made
            return waiting

    def finished(self, now: float) -> bool:
        """Returns whether the whole text was made, sent and heard."""
        with self._lock:
            if not self._ended or self._waiting:
                return False
            return self._started is None or now - self._started >= self._sent

    def word_at(self, now: float) -> str:
        """Returns the word that is said at a time; empty in pauses, or if it is not known."""
        with self._lock:
            at = self._position(now)
            return next((word.text for word in self._words if word.start <= at < word.end), "")

    def said_at(self, now: float) -> str:
        """Returns the words that were said until a time, joined by spaces; empty if unknown."""
        with self._lock:
            at = self._position(now)
            return " ".join(word.text for word in self._words if word.end <= at)

    def seconds_left(self, now: float) -> float:
        """Returns the seconds until the end; what is not made yet is estimated."""
        with self._lock:
            made = self._characters_made - self._characters_left
            pace = self._made / made if made > 0 and self._made else _PER_CHARACTER
            return max(0.0, self._made - self._position(now)) + pace * self._characters_left

    def _position(self, now: float) -> float:
        return 0.0 if self._started is None else min(now - self._started, self._sent)
