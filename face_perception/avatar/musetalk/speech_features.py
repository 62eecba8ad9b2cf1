"""Computes MuseTalk's speech features on a separate thread, one window per image.

Whisper must not wait for the images, which may take far longer, nor the images for Whisper.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.speech import BLOCK, MOUTH_RATE, WhisperWindowStream, image_count
from face_perception.types import FloatArray

_LAST = 15.0  # seconds that the end of the program waits for a call of a network
# Seconds of speech whose windows may wait for their images before Whisper goes on. Windows take
# 2 MB a second at 25 images a second; the speech itself takes 0.06 MB.
_AHEAD = 30.0
_POLL = 0.1  # seconds after which a full ``windows`` is looked at again

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Speech for the thread, [N] at 16 kHz; ``ends`` if an utterance ends after it."""

    samples: Samples
    ends: bool = False


class SpeechFeatureWorker:
    """Turns speech into ``windows``: the features [50, 384] by image number since ``reset``.

    - ``speech``: computes the features; ``fps``: images per second.
    - ``changed``: guards ``windows`` and is notified of new ones. The user of a window removes it;
      while the windows of more than 30 s of speech wait, there are no new ones.
    - ``failed``: is called with an exception of the network. The rest of that utterance gets no
      features; the next one does.
    """

    def __init__(
        self,
        speech: WhisperWindowStream,
        fps: int,
        changed: threading.Condition,
        failed: Callable[[Exception], None],
    ) -> None:
        self.windows: dict[int, FloatArray] = {}
        self._speech, self._fps, self._changed, self._failed = speech, fps, changed, failed
        self._pieces: deque[_Piece] = deque()
        self._epoch = 0  # counts resets; results of an earlier epoch are thrown away
        self._stopped = False
        # The rest belongs to the thread. Samples so far, and at the start of the utterance:
        self._samples = self._begun = 0
        self._next = 0  # next image of the utterance
        self._ended = self._skips = False
        self._thread = threading.Thread(target=self._run, name="whisper", daemon=True)
        self._thread.start()

    def queue_speech(self, samples: Samples) -> None:
        """Queues speech, [N] at 16 kHz."""
        self._queue_piece(_Piece(samples))

    def end_utterance(self) -> None:
        """Ends the utterance after the speech queued so far."""
        self._queue_piece(_Piece(np.zeros(0, np.float32), ends=True))

    def reset(self) -> None:
        """Forgets the speech; the next sample is at time 0."""
        with self._changed:
            self._epoch += 1
            self._pieces.clear()
            self.windows.clear()
            self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Stops the thread after its current call of Whisper.

        Returns False if that takes longer than ``timeout`` seconds.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        return join_thread(self._thread, timeout)

    def _queue_piece(self, piece: _Piece) -> None:
        with self._changed:
            self._pieces.append(piece)
            self._changed.notify_all()

    # The methods below run on the thread.

    def _run(self) -> None:
        epoch = 0
        most = round(_AHEAD * self._fps)
        while True:
            with self._changed:
                full = len(self.windows) > most
                while not self._stopped and epoch == self._epoch and (full or not self._pieces):
                    self._changed.wait(_POLL if full else None)
                    full = len(self.windows) > most
                if self._stopped:
                    return
                if epoch != self._epoch:
                    epoch = self._epoch
                    self._samples = 0
                    self._begin()
                samples, last = self._take_pieces()
            if samples:
                self._process(samples, epoch, last=last)

    def _take_pieces(self) -> tuple[list[Samples], bool]:
        """Removes speech for one call of Whisper; returns it and whether the utterance ends.

        It ends with the utterance, or with a block of Whisper, because blocks do not depend on each
        other.
        """
        room = BLOCK - (0 if self._ended else (self._samples - self._begun) % BLOCK)
        taken: list[Samples] = []
        while self._pieces and room:
            piece = self._pieces.popleft()
            if len(piece.samples) > room:
                self._pieces.appendleft(_Piece(piece.samples[room:], piece.ends))
                piece = _Piece(piece.samples[:room])
            taken.append(piece.samples)
            if piece.ends:
                return taken, True
            room -= len(piece.samples)
        return taken, False

    def _begin(self) -> None:
        """Starts a new utterance, whose features do not depend on the speech before."""
        self._speech.reset()
        self._begun, self._next = self._samples, 0
        self._ended = self._skips = False

    def _process(self, pieces: list[Samples], epoch: int, *, last: bool) -> None:
        samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        if self._ended:
            self._begin()
        if last and not len(samples) and self._samples == self._begun:
            return
        self._samples += len(samples)
        self._ended = last
        if self._skips:
            return
        try:
            found = self._new_windows(samples, last)
        except Exception as error:
            # The stream may be in any state. The rest of the utterance only advances the time.
            self._skips = True
            self._failed(error)
            return
        with self._changed:
            if epoch == self._epoch:
                self.windows |= found
                self._changed.notify_all()

    def _new_windows(self, samples: Samples, last: bool) -> dict[int, FloatArray]:
        self._speech.append_speech(samples, last=last)
        first = round(self._begun * self._fps / MOUTH_RATE)
        count = image_count(self._samples - self._begun, self._fps)
        found: dict[int, FloatArray] = {}
        while self._next < count:
            window = self._speech.image_window(self._next, self._fps)
            if window is None:
                break
            found[first + self._next] = window
            self._next += 1
        return found


def join_thread(thread: threading.Thread, timeout: float) -> bool:
    """Waits up to ``timeout`` seconds for a thread that was told to stop. Returns True if it did.

    Else the end of the program waits for it, too: a runtime that is shut down during a call aborts.
    """
    thread.join(timeout)
    if thread.is_alive():
        atexit.register(thread.join, _LAST)
    return not thread.is_alive()
