"""Tracks how far a sender of speech has got, and recognises the chunks that continue it."""

from __future__ import annotations

from dataclasses import dataclass

from face_perception.speech.audio_chunks import AudioChunk

# Seconds. Chunks that a sender sends as fast as it can follow each other within this time, and a
# live sender keeps its times within it.
_AT_ONCE = 0.1
_STAMP_ERROR = 0.05  # seconds by which a stamp may be off
# Seconds. Live senders send shorter chunks. A chunk that comes only after the duration of a longer
# one does not continue it.
_LIVE = 1.0


@dataclass(slots=True)
class SenderPosition:
    """Holds where a sender's speech ends so far. All values are in seconds.

    ``expected`` is the stamp of the next sample (0: unknown). ``last`` is the stamp of the last
    chunk, ``came`` the monotonic time at which it came, and ``lasted`` its duration.
    """

    expected: float
    last: float
    came: float
    lasted: float

    def advance(self, chunk: AudioChunk, now: float) -> None:
        """Moves on past ``chunk``, which came at ``now`` (monotonic seconds)."""
        self.expected = chunk.stamp + chunk.duration if chunk.stamp > 0 else 0.0
        self.last = chunk.stamp
        self.came, self.lasted = now, chunk.duration

    def is_continued_by(self, chunk: AudioChunk, now: float) -> bool:
        """Returns whether ``chunk``, which came at ``now``, probably continues this speech.

        It does if its stamp fits, and if it comes at once or when a live sender would send it. A
        chunk without samples never does.
        """
        if not len(chunk.samples) or (chunk.stamp > 0) != (self.expected > 0):
            return False
        passed = now - self.came
        paced = self.lasted if self.lasted <= _LIVE else 0.0
        if passed > _AT_ONCE + paced:
            return False
        at_once = passed <= _AT_ONCE
        if chunk.stamp > 0:
            # A sender that is faster than real time may use the time of sending as the stamp.
            sent = at_once and self.last <= chunk.stamp <= self.expected
            return sent or abs(chunk.stamp - self.expected) <= _STAMP_ERROR
        return at_once or passed >= paced - _AT_ONCE
