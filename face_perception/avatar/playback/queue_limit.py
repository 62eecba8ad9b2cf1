"""Limits how much speech may wait to be played, so that a sender cannot fill the memory."""

from __future__ import annotations

from dataclasses import replace

from face_perception.speech import AudioChunk

# Once speech was dropped, more is taken when this share of the limit waits. Otherwise every chunk
# for which there is just room again would be played, without the chunks between.
_RESUME = 0.5


class QueueLimit:
    """Drops the end of speech that would have to wait too long. Knows no player.

    ``longest`` is the limit in seconds. Speech that fits is never changed. Speech that is played
    already continues; what is dropped is what came last.

    >>> import numpy as np
    >>> limit = QueueLimit(longest=60.0)
    >>> minutes = AudioChunk(0.0, 16_000, np.zeros(120 * 16_000, np.float32))
    >>> kept = limit.fit(minutes, waiting=20.0)
    >>> kept.duration, limit.dropped
    (40.0, 80.0)
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self.full = False  # whether speech is dropped at present
        self.dropped = 0.0  # seconds of speech that were dropped so far

    def fit(self, chunk: AudioChunk, waiting: float) -> AudioChunk | None:
        """Returns the part of a chunk that may be queued, or None if it is dropped as a whole.

        ``waiting`` is how many seconds of speech wait to be played. A chunk without samples, which
        ends an utterance, always fits.
        """
        if self.full and waiting <= _RESUME * self._longest:
            self.full = False
        if not len(chunk.samples):
            return chunk
        room = 0.0 if self.full else max(0.0, self._longest - waiting)
        if chunk.duration <= room:
            return chunk
        self.full = True
        kept = chunk.samples[: int(room * chunk.rate)]
        self.dropped += chunk.duration - len(kept) / chunk.rate
        # A copy, so that the rest of the samples can be freed.
        return replace(chunk, samples=kept.copy()) if len(kept) else None
