"""Where a sender's speech has got to, and which chunks go on from there."""

from __future__ import annotations

from dataclasses import dataclass

from face_perception.speech.audio_chunks import AudioChunk

# Chunks that come at once follow each other within this; so exactly does a live sender keep time.
_AT_ONCE = 0.1
_STAMPED = 0.05  # a stamp may be this much off
# A longer chunk is no live sender's: what comes when it would have been heard is something else.
_LIVE = 1.0


@dataclass(slots=True)
class SenderPosition:
    """``expected``: the stamp of a sender's next sample; 0: not known. ``last``: of its last chunk,
    which came at ``came``, monotonic seconds, and lasted ``lasted``.
    """

    expected: float
    last: float
    came: float
    lasted: float

    def note(self, chunk: AudioChunk, now: float) -> None:
        """Goes on with a chunk that has come."""
        self.expected = chunk.stamp + chunk.duration if chunk.stamp > 0 else 0.0
        self.last = chunk.stamp
        self.came, self.lasted = now, chunk.duration

    def continues(self, chunk: AudioChunk, now: float) -> bool:
        """Whether the chunk is most likely the same speech's next: by its stamp, and because it
        comes at once or when a live sender's would. A chunk without samples never is.
        """
        if not len(chunk.samples) or (chunk.stamp > 0) != (self.expected > 0):
            return False
        passed = now - self.came
        paced = self.lasted if self.lasted <= _LIVE else 0.0
        if passed > _AT_ONCE + paced:
            return False
        at_once = passed <= _AT_ONCE
        if chunk.stamp > 0:
            # Senders that are faster than real time may stamp with the time of sending.
            sent = at_once and self.last <= chunk.stamp <= self.expected
            return sent or abs(chunk.stamp - self.expected) <= _STAMPED
        return at_once or passed >= paced - _AT_ONCE
