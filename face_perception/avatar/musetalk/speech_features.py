"""Speech to what MuseTalk hears of it, by the number of the image, on a thread of its own: whisper
does not wait for the images, which may take far longer, nor they for whisper.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from face_perception.speech import MOUTH_RATE, WhisperWindowStream, image_count
from face_perception.types import FloatArray

_LAST = 15.0  # seconds that the end of the program waits for a call of a network

Samples = npt.NDArray[np.float32]


class SpeechFeatureWorker:
    """``windows`` [50, 384] by image, counted over the speech since ``reset``; guarded by
    ``changed``, which is told of new ones. Who uses one takes it out.

    ``failed`` is told of what goes wrong: the rest of that utterance is not heard, the next one is.
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
        # Speech for the thread, None where an utterance ends.
        self._todo: deque[Samples | None] = deque()
        self._epoch = 0  # counts resets: what belongs to another one is thrown away
        self._stopped = False
        # The thread's own, in samples: all of the speech, and where the utterance began.
        self._samples = self._begun = 0
        self._next = 0  # image of the utterance
        self._ended = self._deaf = False
        self._thread = threading.Thread(target=self._run, name="whisper", daemon=True)
        self._thread.start()

    def push(self, samples: Samples | None) -> None:
        """More speech [N] at 16 kHz; None ends an utterance."""
        with self._changed:
            self._todo.append(samples)
            self._changed.notify_all()

    def reset(self) -> None:
        """Forgets the speech; the next sample is at 0."""
        with self._changed:
            self._epoch += 1
            self._todo.clear()
            self.windows.clear()
            self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Ends the thread, after the block that whisper hears; false if that takes longer."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        return join_thread(self._thread, timeout)

    # The thread's.

    def _run(self) -> None:
        epoch = 0
        while True:
            with self._changed:
                while not (self._todo or self._stopped or epoch != self._epoch):
                    self._changed.wait()
                if self._stopped:
                    return
                if epoch != self._epoch:
                    epoch = self._epoch
                    self._samples = 0
                    self._begin()
                items = list(self._todo)
                self._todo.clear()
            pieces: list[Samples] = []
            for item in items:
                if item is not None:
                    pieces.append(item)
                    continue
                self._hear(pieces, epoch, last=True)
                pieces = []
            if pieces:
                self._hear(pieces, epoch, last=False)

    def _begin(self) -> None:
        """A new utterance, heard by itself."""
        self._speech.reset()
        self._begun, self._next = self._samples, 0
        self._ended = self._deaf = False

    def _hear(self, pieces: list[Samples], epoch: int, *, last: bool) -> None:
        samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        if self._ended:
            self._begin()
        if last and not len(samples) and self._samples == self._begun:
            return
        self._samples += len(samples)
        self._ended = last
        if self._deaf:
            return
        try:
            found = self._found(samples, last)
        except Exception as error:
            # The stream may be half way; what follows keeps its place.
            self._deaf = True
            self._failed(error)
            return
        with self._changed:
            if epoch == self._epoch:
                self.windows |= found
                self._changed.notify_all()

    def _found(self, samples: Samples, last: bool) -> dict[int, FloatArray]:
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
    """Waits for a thread that was told to end; where it takes longer, at the end of the program
    too: a runtime that is taken down in the middle of a call aborts.
    """
    thread.join(timeout)
    if thread.is_alive():
        atexit.register(thread.join, _LAST)
    return not thread.is_alive()
