"""A prepared avatar that speaks: MuseTalk on a thread of its own, its images on the audio's clock.

What is asked for is shown at once: an image that was made in time, else the avatar's own picture,
and softly from one to the other.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from face_perception.avatar.interfaces import FaceState
from face_perception.avatar.musetalk.avatar_file import Avatar
from face_perception.avatar.musetalk.speech_features import SpeechFeatureWorker, join_thread
from face_perception.errors import InputError
from face_perception.speech import WhisperWindowStream
from face_perception.types import FloatArray, Image

_HELD = 0.12  # seconds for which an image stands in for those that were not made
_EASED = 0.12  # seconds between the avatar's own mouth and the generated one, either way
_CUT = 0.05  # the same where speech is interrupted: with a frame's, less than 0.1
_AHEAD = 2.0  # seconds of images that are kept ready, 0.2 MB each
_ASLEEP = 0.5  # seconds without a frame after which nothing is made
_UNSEEN = 20.0  # seconds of the speech that are kept where no frame was made since it began
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
class _UpcomingFrame:
    """A frame that is being made: its number, the time in the speech then, and when that was."""

    number: int
    time: float | None
    at: float


class LipSync:
    """``Renderer`` and ``SpeechListener`` of an avatar.

    ``push``, ``end``, ``reset``, ``follow`` and ``render`` are the performer's, on its thread;
    networks run on two others, whisper's and the images', which ``close`` ends. Images are made for
    the frames that can still be in time; where that is none, for the last that is known of, to be
    late: nothing waits, so nothing drifts. ``failed`` is told of what goes wrong there, and it goes
    on.

    Raises InputError for a rate that is no whole number.
    """

    def __init__(
        self,
        avatar: Avatar,
        generator: Generator,
        speech: WhisperWindowStream,
        *,
        fps: float,
        failed: Callable[[Exception], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if fps != int(fps) or fps < 1:
            raise InputError(f"MuseTalk needs a whole number of frames a second, not {fps:g}")
        self.size = avatar.size
        self._avatar, self._generator = avatar, generator
        self._blenders = avatar.blenders()
        self._fps, self._failed, self._clock = int(fps), failed, now
        self._changed = threading.Condition()
        self._hearing = SpeechFeatureWorker(speech, self._fps, self._changed, failed)
        self._epoch = 0  # counts resets: what belongs to another one is thrown away
        self._now: _UpcomingFrame | None = None
        self._made: dict[int, Image] = {}
        self._late = self._shown = self._missed = 0
        self._seconds = math.nan
        self._stopped = False
        # The performer's: the generated face that is or was seen, how much of it, and when.
        self._face: Image | None = None
        self._share, self._drawn, self._cut = 0.0, -1, False
        self._thread = threading.Thread(target=self._run, name="musetalk", daemon=True)
        self._thread.start()

    # The performer's.

    def append_speech(self, samples: npt.NDArray[np.float32]) -> None:
        """More speech [N] at 16 kHz."""
        self._hearing.push(samples)

    def end_utterance(self) -> None:
        """What was pushed last was the end of an utterance: all is known of it."""
        self._hearing.push(None)

    def reset_speech(self) -> None:
        """Forgets the speech, what is being made included; the next sample is at 0."""
        with self._changed:
            self._epoch += 1
            self._now = None  # of the speech before
            self._hearing.reset()
            self._made.clear()
        self._cut = True

    def announce_frame(self, number: int, time: float | None) -> None:
        """The frame that is rendered next, and the time in the speech that is heard with it:
        negative where it is about to begin, None where nothing is known to come.
        """
        with self._changed:
            self._now = _UpcomingFrame(number, time, self._clock())
            if time is not None:
                least = round(time * self._fps) - self._held
                for key in [key for key in self._made if key < least]:
                    del self._made[key]
            self._changed.notify_all()

    def render(self, state: FaceState) -> Image:
        """RGB uint8 [height, width, 3], a new array. The avatar's own life is what ``state`` says
        elsewhere: but for the mouth it is as in its pictures.
        """
        with self._changed:
            now = self._now
            face = self._face_at(now.time) if now else None
        number = now.number if now else 0
        place = self._index(number)
        picture: Image = self._avatar.pictures[place].copy()
        self._ease(number, face)
        if self._face is not None:
            blender = self._blenders[place]
            blender.blend_into(picture, blender.resized(self._face), self._share)
        return picture

    def report(self) -> LipSyncReport:
        with self._changed:
            return LipSyncReport(
                self._shown, self._missed, self._late, self._seconds, 1 / self._fps
            )

    def close(self, timeout: float = 1.5) -> bool:
        """Ends the threads, after what they are at; false if that takes longer."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        end = time.monotonic() + timeout
        heard = self._hearing.close(timeout)
        return join_thread(self._thread, max(0.0, end - time.monotonic())) and heard

    @property
    def _held(self) -> int:
        return max(1, int(_HELD * self._fps))

    def _index(self, number: int) -> int:
        """The picture of a frame: the avatar has its own rate."""
        return self._avatar.picture_index(int(number * self._avatar.fps / self._fps + 1e-6))

    def _face_at(self, moment: float | None) -> Image | None:
        """The generated face for a moment of the speech; shortly before it begins, the first."""
        if moment is None:
            return None
        key = round(moment * self._fps)
        if key < 0:
            return self._made.get(0) if -key <= _EASED * self._fps else None
        found = [k for k in self._made if key - self._held <= k <= key]
        if not found:
            self._missed += 1
            return None
        self._shown += 1
        return self._made[max(found)]

    def _ease(self, number: int, face: Image | None) -> None:
        """Towards ``face``, or away from the one that was seen last, frame by frame."""
        frames = max(1, number - self._drawn)
        self._drawn = number
        if face is not None:
            self._face, self._cut = face, False
        step = frames / max(1.0, (_CUT if self._cut else _EASED) * self._fps)
        self._share = min(1.0, max(0.0, self._share + (step if face is not None else -step)))
        if self._share < 1e-6:  # a third thrice is a little more than one
            self._face = None

    # The thread's.

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                epoch, now = self._epoch, self._now
                keys = self._choose(now)
                if not keys or now is None:
                    self._changed.wait(_POLL)
                    continue
                audio = np.stack([self._hearing.windows.pop(key) for key in keys])
            try:
                self._make(keys, audio, now, epoch)
            except Exception as error:
                self._failed(error)

    def _choose(self, now: _UpcomingFrame | None) -> list[int]:
        """The images to make next; none where all is made, or nobody looks."""
        windows = self._hearing.windows
        if now is None or now.time is None:
            for key in sorted(windows)[: -round(_UNSEEN * self._fps)]:
                del windows[key]
            return []
        elapsed = self._clock() - now.at
        moment = now.time + elapsed
        for key in [key for key in windows if key < moment * self._fps - 0.5]:
            del windows[key]
        if not windows or elapsed > _ASLEEP:
            return []
        # All images of a batch are there at once, after the last one's time.
        taken = 0.0 if math.isnan(self._seconds) else self._seconds * self._generator.batch
        first = math.ceil((moment + _MARGIN * taken) * self._fps - 0.5)
        soon = sorted(k for k in windows if first <= k <= (moment + _AHEAD) * self._fps)
        if soon:
            return soon[: self._generator.batch]
        last = max(windows)
        return [last] if last < first else []

    def _make(self, keys: list[int], audio: FloatArray, now: _UpcomingFrame, epoch: int) -> None:
        begin = self._clock()
        assert now.time is not None
        # The frames that these images are for, as far as is known now.
        numbers = [max(0, now.number + round(key - now.time * self._fps)) for key in keys]
        places = [self._index(number) for number in numbers]
        images = self._generator.generate(self._avatar.latents[places], audio)
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
            for key, image in zip(keys, images, strict=True):
                if moment is None or key < moment * self._fps - self._held:
                    self._late += 1
                else:
                    self._made[key] = image
