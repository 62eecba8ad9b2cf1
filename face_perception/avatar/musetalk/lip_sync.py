"""Renders a prepared avatar that speaks: MuseTalk's images, shown in time with the audio.

MuseTalk runs on separate threads, so rendering a frame never waits for it. A frame shows the
generated image if that is ready, else the avatar's own picture, with a soft transition between
them.
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

# All times are in seconds.
_HELD = 0.12  # how long an image replaces later ones that are missing
_EASED = 0.12  # transition between the avatar's own mouth and the generated one
_CUT = 0.05  # the same after an interruption: below 0.1 together with one frame
_AHEAD = 2.0  # how far ahead images are generated; an image takes 0.2 MB
_ASLEEP = 0.5  # time without a frame after which no images are generated
_UNSEEN = 20.0  # speech that is kept if no frame has been rendered since it began
_POLL = 0.05
_MARGIN = 1.2  # factor on the usual time of an image


class Generator(Protocol):
    """The part of ``MuseTalk`` that is used here."""

    @property
    def batch(self) -> int: ...

    def generate(self, latents: FloatArray, audio: FloatArray) -> Image: ...


@dataclass(frozen=True, slots=True)
class LipSyncReport:
    """Counts since the start.

    - ``shown``: frames with generated lips; ``missed``: frames with sound but no image in time.
    - ``late``: images that were generated too late to be shown.
    - ``seconds``: usual time to generate an image, NaN before the first; ``wanted``: the time that
      a frame lasts.
    """

    shown: int
    missed: int
    late: int
    seconds: float
    wanted: float


@dataclass(frozen=True, slots=True)
class _UpcomingFrame:
    """An announced frame: its number, its time in the speech, and the monotonic time of the
    announcement, seconds.
    """

    number: int
    time: float | None
    at: float


class LipSync:
    """A ``Renderer`` and ``SpeechListener`` for an avatar.

    The performer calls ``append_speech``, ``end_utterance``, ``reset_speech``, ``announce_frame``
    and ``render`` on its own thread. The networks run on two other threads, which ``close`` stops:
    one for Whisper and one for the images. Images are generated for frames for which they can still
    be in time. If there is no such frame, the newest image that has speech features is generated,
    although it is too late to be shown. The threads never wait for each other, so the images do not
    drift from the sound. ``failed`` is called with exceptions of the networks; the threads then
    continue.

    Raises InputError if ``fps`` is not a whole number.

    After ``face-perception import musetalk``:

    >>> from face_perception import inference
    >>> from face_perception.avatar import FaceEncoder, MuseTalk
    >>> from face_perception.avatar import make_whisper_stream, prepare_avatar
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(inference.sample_photo("astronaut")) as clip:
    ...     pictures = [frame.image for frame in clip]
    >>> avatar = prepare_avatar(pictures, FaceEncoder.load(), source="astronaut")
    >>> speech = make_whisper_stream(inference.load("whisper_encoder"))
    >>> lip_sync = LipSync(avatar, MuseTalk.load(), speech, fps=25, failed=print)
    >>> lip_sync.append_speech(np.zeros(16_000, np.float32))  # a Performer does this and the rest
    >>> lip_sync.announce_frame(0, time=0.0)
    >>> lip_sync.render(FaceState()).shape
    (512, 512, 3)
    >>> lip_sync.close()
    True
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
            raise InputError(
                f"MuseTalk needs a whole number of frames per second (rate), not {fps:g}"
            )
        self.size = avatar.size
        self._avatar, self._generator = avatar, generator
        self._blenders = avatar.blenders()
        self._fps, self._failed, self._clock = int(fps), failed, now
        self._changed = threading.Condition()
        self._features = SpeechFeatureWorker(speech, self._fps, self._changed, failed)
        self._epoch = 0  # counts resets; images of an earlier epoch are thrown away
        self._now: _UpcomingFrame | None = None
        self._made: dict[int, Image] = {}
        self._late = self._shown = self._missed = 0
        self._seconds = math.nan
        self._stopped = False
        # Only the performer's thread uses these: the generated face that is or was shown, its
        # opacity, and the number of the last frame.
        self._face: Image | None = None
        self._share, self._drawn, self._cut = 0.0, -1, False
        self._thread = threading.Thread(target=self._run, name="musetalk", daemon=True)
        self._thread.start()

    # The performer's thread calls these.

    def append_speech(self, samples: npt.NDArray[np.float32]) -> None:
        """Appends speech, float32 [N] at 16 kHz."""
        self._features.queue_speech(samples)

    def end_utterance(self) -> None:
        """Ends the utterance after the samples appended so far."""
        self._features.end_utterance()

    def reset_speech(self) -> None:
        """Forgets the speech and the images of it; the next sample is at time zero."""
        with self._changed:
            self._epoch += 1
            self._now = None  # it belongs to the speech before
            self._features.reset()
            self._made.clear()
        self._cut = True

    def announce_frame(self, number: int, time: float | None) -> None:
        """Announces the frame that is rendered next, and its time in the speech in seconds.

        The time is negative shortly before the speech begins, and None if no speech is due.
        """
        with self._changed:
            self._now = _UpcomingFrame(number, time, self._clock())
            if time is not None:
                least = round(time * self._fps) - self._held
                for key in [key for key in self._made if key < least]:
                    del self._made[key]
            self._changed.notify_all()

    def render(self, state: FaceState) -> Image:
        """Returns a new RGB image, uint8 [height, width, 3], of the frame announced last.

        ``state`` is ignored: everything but the mouth is as in the avatar's pictures.
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
        """Returns how many images were shown, missed and late so far, and how long they take."""
        with self._changed:
            return LipSyncReport(
                self._shown, self._missed, self._late, self._seconds, 1 / self._fps
            )

    def close(self, timeout: float = 1.5) -> bool:
        """Stops the threads after their current calls.

        Returns False if that takes longer than ``timeout`` seconds.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        end = time.monotonic() + timeout
        heard = self._features.close(timeout)
        return join_thread(self._thread, max(0.0, end - time.monotonic())) and heard

    @property
    def _held(self) -> int:
        return max(1, int(_HELD * self._fps))

    def _index(self, number: int) -> int:
        """Returns the picture of a frame; the avatar may have another rate."""
        return self._avatar.picture_index(int(number * self._avatar.fps / self._fps + 1e-6))

    def _face_at(self, moment: float | None) -> Image | None:
        """Returns the generated face at a time in the speech (seconds), or None without one.

        Shortly before the speech begins that is its first face.
        """
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
        """Increases the opacity of ``face``, or decreases that of the last face if it is None."""
        frames = max(1, number - self._drawn)
        self._drawn = number
        if face is not None:
            self._face, self._cut = face, False
        step = frames / max(1.0, (_CUT if self._cut else _EASED) * self._fps)
        self._share = min(1.0, max(0.0, self._share + (step if face is not None else -step)))
        if self._share < 1e-6:  # rounding: three thirds are not exactly one
            self._face = None

    # The image thread runs these.

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
                audio = np.stack([self._features.windows.pop(key) for key in keys])
            try:
                self._make(keys, audio, now, epoch)
            except Exception as error:
                self._failed(error)

    def _choose(self, now: _UpcomingFrame | None) -> list[int]:
        """Returns the numbers of the images to generate next; none if all are ready or no frame is
        rendered.
        """
        windows = self._features.windows
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
        # All images of a batch are ready at the same time.
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
        # The frames that will probably show these images.
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
