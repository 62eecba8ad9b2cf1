"""Players that take audio from a PlaybackQueue and report their position to the AudioClock."""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from face_perception.audio_devices import AudioDeviceError, import_sounddevice, parse_device
from face_perception.avatar.playback.audio_clock import AudioClock
from face_perception.avatar.playback.playback_queue import PlaybackQueue

_BLOCK = 0.01  # seconds per block, as for a device with low latency
_STALLED = 2.0  # seconds without a callback after which a device counts as gone


class AudioPlayer(Protocol):
    """Takes audio from a ``PlaybackQueue`` until it is closed."""

    @property
    def description(self) -> str:
        """Returns what plays, for diagnostics."""
        ...

    @property
    def problem(self) -> str:
        """Returns why it has stopped playing, with the fix; empty while it plays."""
        ...

    def close(self) -> None:
        """Stops playing."""
        ...


class SilentPlayer:
    """Takes audio at the speed of the computer's clock, without sound.

    ``skew`` makes it faster by that share, like a device whose crystal is off: 0.001 is 0.1 %.

    >>> import numpy as np
    >>> queue, clock = PlaybackQueue(rate=16_000), AudioClock()
    >>> player = SilentPlayer(queue, clock)
    >>> gap = queue.enqueue(np.zeros(800, np.float32), heard=0.0)  # 50 ms, heard 100 ms from now
    >>> while queue.samples_taken < 2_400:
    ...     time.sleep(0.01)
    >>> player.close()
    """

    description = "none (paced by the computer's clock)"
    problem = ""

    def __init__(self, playback_queue: PlaybackQueue, clock: AudioClock, skew: float = 0.0) -> None:
        self._queue, self._clock, self._rate = playback_queue, clock, 1 + skew
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="silent player", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(1.0)

    def _play(self) -> None:
        begin, offset = time.monotonic(), self._queue.samples_taken
        while not self._stop.is_set():
            now = time.monotonic()
            position = offset + (now - begin) * self._rate * self._queue.rate
            self._clock.observe(now, position / self._queue.rate)
            # Takes two blocks ahead, as a device does.
            count = round(position + 2 * _BLOCK * self._queue.rate) - self._queue.samples_taken
            if count > 0:
                self._queue.take_samples(count)
            self._stop.wait(_BLOCK)


class LoudspeakerPlayer:
    """Plays on an audio device; the index of the sample that is heard drives the clock.

    ``device`` is a number or a part of a name, as ``python3 -m sounddevice`` lists them; empty is
    the default device. Raises AudioDeviceError if it cannot be opened.
    """

    def __init__(self, playback_queue: PlaybackQueue, clock: AudioClock, device: str = "") -> None:
        sounddevice = import_sounddevice("play on a loudspeaker")
        self._queue, self._clock = playback_queue, clock
        self._last = time.monotonic()
        self._finished = False
        try:
            self._stream = sounddevice.OutputStream(
                samplerate=playback_queue.rate,
                channels=1,
                dtype="float32",
                device=parse_device(device),
                latency="low",
                callback=self._fill,
                finished_callback=self._mark_finished,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            if stream := getattr(self, "_stream", None):
                stream.close(ignore_errors=True)
            raise AudioDeviceError(
                f"the loudspeaker {device or '(default)'} cannot be opened at "
                f"{playback_queue.rate} Hz: {error}; choose one that `python3 -m sounddevice` lists"
            ) from error
        found = sounddevice.query_devices(self._stream.device, "output")
        self.description = f"{found['name']}, {self._stream.latency * 1e3:.0f} ms"

    @property
    def problem(self) -> str:
        if self._finished or time.monotonic() - self._last > _STALLED:
            return f"the loudspeaker {self.description} takes no more audio: is it plugged in?"
        return ""

    def close(self) -> None:
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _fill(self, out: Any, frames: int, times: Any, status: Any) -> None:
        now = time.monotonic()
        self._last = now
        latency = times.outputBufferDacTime - times.currentTime
        if not 0 <= latency < 1:
            latency = self._stream.latency  # some drivers report no times
        start = self._queue.samples_taken
        self._clock.observe(now, start / self._queue.rate - latency)
        out[:, 0] = self._queue.take_samples(frames)

    def _mark_finished(self) -> None:
        self._finished = True
