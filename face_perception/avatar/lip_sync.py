"""A prepared avatar that speaks: MuseTalk on a thread of its own, its images on the audio's clock.

What is asked for is shown at once: an image that was made in time, else the avatar's own picture.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from face_perception.avatar.artefact import Avatar
from face_perception.avatar.interfaces import FaceState
from face_perception.speech import MOUTH_RATE, WhisperStream, image_count
from face_perception.types import FloatArray, Image

_HELD = 0.12  # seconds for which an image stands in for those that were not made
_AHEAD = 2.0  # seconds of images that are kept ready, 0.8 MB each at 512 x 512
_ASLEEP = 0.5  # seconds without a frame after which nothing is made
_POLL = 0.05
_MARGIN = 1.2  # of what an image usually takes


class Generator(Protocol):
    """``MuseTalk``, as far as it is used here."""

    @property
    def batch(self) -> int: ...

    def generate(self, latents: FloatArray, audio: FloatArray) -> Image: ...


@dataclass(frozen=True, slots=True)
class LipSyncReport:
    """Counts since it was made: ``shown`` frames with generated lips, ``missed`` ones that had
    sound but no image in time, ``late`` images that were made in vain; ``seconds`` an image takes
    (NaN before the first) and ``wanted`` a frame may take.
    """

    shown: int
    missed: int
    late: int
    seconds: float
    wanted: float


@dataclass(frozen=True, slots=True)
class _Now:
    """A frame that is being made: its number, the time in the speech then, and when that was."""

    number: int
    time: float | None
    at: float


class LipSync:
    """``Renderer`` and ``Listener`` of an avatar.

    ``push``, ``end``, ``reset``, ``follow`` and ``render`` are the performer's, on its thread;
    networks run on another one, which ``close`` ends. Images are made for the frames that can still
    be in time; where that is none, for the last that is known of, to be late: nothing waits, so
    nothing drifts. ``failed`` is told of what goes wrong there, and it goes on.

    Raises ValueError for a rate that is no whole number.
    """

    def __init__(
        self,
        avatar: Avatar,
        generator: Generator,
        speech: WhisperStream,
        *,
        fps: float,
        failed: Callable[[Exception], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if fps != int(fps) or fps < 1:
            raise ValueError(f"MuseTalk needs a whole number of frames a second, not {fps:g}")
        self.size = avatar.size
        self._avatar, self._generator, self._speech = avatar, generator, speech
        self._blenders = avatar.blenders()
        self._fps, self._failed, self._clock = int(fps), failed, now
        self._changed = threading.Condition()
        # Speech for the thread, None where an utterance ends.
        self._todo: deque[npt.NDArray[np.float32] | None] = deque()
        self._epoch = 0  # counts resets: what belongs to another one is thrown away
        self._now: _Now | None = None
        self._made: dict[int, Image] = {}
        self._late = self._shown = self._missed = 0
        self._seconds = math.nan
        self._stopped = False
        # The thread's own: images are counted over the whole speech, and by utterance.
        self._windows: dict[int, FloatArray] = {}
        self._samples = 0
        self._first, self._next, self._begun = 0, 0, 0
        self._thread = threading.Thread(target=self._run, name="musetalk", daemon=True)
        self._thread.start()

    # The performer's.

    def push(self, samples: npt.NDArray[np.float32]) -> None:
        """More speech [N] at 16 kHz."""
        self._put(samples)

    def end(self) -> None:
        """What was pushed last was the end of an utterance: all is known of it."""
        self._put(None)

    def reset(self) -> None:
        """Forgets the speech, what is being made included; the next sample is at 0."""
        with self._changed:
            self._epoch += 1
            self._todo.clear()
            self._made.clear()
            self._changed.notify()

    def follow(self, number: int, time: float | None) -> None:
        """The frame that is rendered next, and the time in the speech that is heard with it:
        negative where it is about to begin, None where nothing is known to come.
        """
        with self._changed:
            self._now = _Now(number, time, self._clock())
            if time is not None:
                least = round(time * self._fps) - self._held
                for key in [key for key in self._made if key < least]:
                    del self._made[key]
            self._changed.notify()

    def render(self, state: FaceState) -> Image:
        """RGB uint8 [height, width, 3], a new array. The avatar's own life is what ``state`` says
        elsewhere: but for the mouth it is as in its pictures.
        """
        with self._changed:
            now = self._now
            number, moment = (now.number, now.time) if now else (0, None)
            if moment is not None and moment >= 0:
                key = round(moment * self._fps)
                found = [k for k in self._made if key - self._held <= k <= key]
                if found:
                    self._shown += 1
                    return self._made[max(found)].copy()
                self._missed += 1
        return self._avatar.pictures[self._index(number)].copy()

    def report(self) -> LipSyncReport:
        with self._changed:
            return LipSyncReport(
                self._shown, self._missed, self._late, self._seconds, 1 / self._fps
            )

    def close(self, timeout: float = 1.5) -> bool:
        """Ends the thread, after the images that are being made; false if that takes longer."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def _held(self) -> int:
        return max(1, int(_HELD * self._fps))

    def _index(self, number: int) -> int:
        """The picture of a frame: the avatar has its own rate."""
        return self._avatar.index(int(number * self._avatar.fps / self._fps + 1e-6))

    def _put(self, item: npt.NDArray[np.float32] | None) -> None:
        with self._changed:
            self._todo.append(item)
            self._changed.notify()

    # The thread's.

    def _run(self) -> None:
        epoch = 0
        while True:
            with self._changed:
                if self._stopped:
                    return
                if epoch != self._epoch:
                    epoch = self._epoch
                    self._forget()
                items, now = list(self._todo), self._now
                self._todo.clear()
            try:
                self._listen(items)
                keys = self._choose(now)
                if keys and now is not None:
                    self._make(keys, now, epoch)
                    continue
            except Exception as error:
                self._failed(error)
                # The stream may be half way: begin with the next utterance.
                with self._changed:
                    self._todo.clear()
                self._forget()
            with self._changed:
                if not (self._todo or self._stopped or epoch != self._epoch):
                    self._changed.wait(_POLL)

    def _forget(self) -> None:
        self._speech.reset()
        self._windows.clear()
        self._samples = self._first = self._next = self._begun = 0

    def _listen(self, items: Sequence[npt.NDArray[np.float32] | None]) -> None:
        """Speech to whisper, and its windows from there; utterances one after the other."""
        pieces: list[npt.NDArray[np.float32]] = []
        for item in items:
            if item is not None:
                pieces.append(item)
                continue
            self._hear(pieces, last=True)
            pieces = []
        if pieces:
            self._hear(pieces, last=False)

    def _hear(self, pieces: list[npt.NDArray[np.float32]], *, last: bool) -> None:
        samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        if self._speech.ended:
            self._speech.reset()
            self._begun = self._samples
            self._first, self._next = round(self._begun * self._fps / MOUTH_RATE), 0
        if last and not len(samples) and self._samples == self._begun:
            return
        self._speech.push(samples, last=last)
        self._samples += len(samples)
        count = image_count(self._samples - self._begun, self._fps)
        while self._next < count:
            window = self._speech.window(self._next, self._fps)
            if window is None:
                return
            self._windows[self._first + self._next] = window
            self._next += 1

    def _choose(self, now: _Now | None) -> list[int]:
        """The images to make next; none where all is made, or nobody looks."""
        elapsed = self._clock() - now.at if now else math.inf
        if now is None or now.time is None or elapsed > _ASLEEP:
            return []
        moment = now.time + elapsed
        for key in [key for key in self._windows if key < moment * self._fps - 0.5]:
            del self._windows[key]
        if not self._windows:
            return []
        taken = 0.0 if math.isnan(self._seconds) else self._seconds
        first = math.ceil((moment + _MARGIN * taken) * self._fps - 0.5)
        soon = sorted(k for k in self._windows if first <= k <= (moment + _AHEAD) * self._fps)
        if soon:
            return soon[: self._generator.batch]
        last = max(self._windows)
        return [last] if last < first else []

    def _make(self, keys: list[int], now: _Now, epoch: int) -> None:
        begin = self._clock()
        assert now.time is not None
        # The frames that these images are for, as far as is known now.
        numbers = [max(0, now.number + round(key - now.time * self._fps)) for key in keys]
        places = [self._index(number) for number in numbers]
        audio = np.stack([self._windows.pop(key) for key in keys])
        images = self._generator.generate(self._avatar.latents[places], audio)
        done = []
        for place, image in zip(places, images, strict=True):
            blender = self._blenders[place]
            done.append(blender.blend(self._avatar.pictures[place], blender.resized(image)))
        end = self._clock()
        taken = (end - begin) / len(keys)
        with self._changed:
            old = self._seconds
            self._seconds = taken if math.isnan(old) else old + 0.2 * (taken - old)
            if epoch != self._epoch:
                return
            latest = self._now
            moment = None
            if latest is not None and latest.time is not None:
                moment = latest.time + end - latest.at
            for key, image in zip(keys, done, strict=True):
                if moment is None or key < moment * self._fps - self._held:
                    self._late += 1
                else:
                    self._made[key] = image
