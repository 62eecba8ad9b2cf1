"""microphone node: plays a microphone, or a wav file at real-time pace, as audio messages."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception import msg
from face_perception.avatar import (
    AudioDeviceError,
    import_sounddevice,
    parse_device,
    rescan_devices,
)
from face_perception.errors import InputError
from face_perception.ros import messages
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.process import run
from face_perception.settings import setting
from face_perception.speech import read_wav

_STALLED = 2.0
_RETRY = 2.0


@dataclass(frozen=True)
class MicrophoneParameters:
    """Parameters of the microphone node."""

    source: str = setting(
        "",
        "What to play: the path of a wav file, or a device, by its number or a part of its name as "
        "`python3 -m sounddevice` lists them. Empty: the default microphone.",
    )
    rate: int = setting(
        16_000,
        "Sample rate that a device is asked for. A wav file has its own.",
        minimum=8_000,
        maximum=192_000,
        unit="Hz",
    )
    channels: int = setting(
        1, "Number of channels that a device is asked for.", minimum=1, maximum=8
    )
    chunk: float = setting(
        0.02,
        "Duration of the audio in one message. A larger value sends fewer messages, later.",
        minimum=0.005,
        maximum=1.0,
        unit="s",
    )
    loop: bool = setting(True, "Start a wav file again when it ends.")
    frame_id: str = setting("microphone", "Name of the frame in the message headers.")


class MicrophoneNode(PerceptionNode[MicrophoneParameters]):
    """Publishes ``audio``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("microphone", MicrophoneParameters, **kwargs)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._stream: Any = None
        self._problem = ""
        self._last = 0.0

    def setup(self) -> None:
        source = os.path.expanduser(self.values.source)
        named_file = source.lower().endswith(".wav") or os.sep in source
        self._recording = read_wav(source) if named_file or os.path.isfile(source) else None
        if self._recording is None:
            self._open().close()  # says now what is missing
        self._audio = self.publisher(msg.Audio, "audio", depth=50)

    def start(self) -> None:
        self._stop.clear()
        play = self._watch if self._recording is None else self._play
        self._thread = threading.Thread(target=play, name="microphone", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)
            self._thread = None

    def report(self) -> tuple[str, dict[str, str]]:
        return self._problem, {"source": self.values.source or "default microphone"}

    def _open(self) -> Any:
        """A stream of the device, not started."""
        values = self.values
        try:
            sounddevice = import_sounddevice("read a microphone")
        except AudioDeviceError as error:
            raise InputError(f"{error}; or give a wav file as source") from error
        try:
            return sounddevice.InputStream(
                samplerate=values.rate,
                channels=values.channels,
                dtype="int16",
                device=parse_device(values.source),
                blocksize=round(values.chunk * values.rate),
                callback=self._heard,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            rescan_devices()  # for the next try
            raise InputError(
                f"the microphone {values.source or '(default)'} cannot be opened with "
                f"{values.channels} channels at {values.rate} Hz: {error}; `python3 -m "
                "sounddevice` lists the devices, or give a wav file as source"
            ) from error

    def _heard(self, samples: Any, frames: int, times: Any, status: Any) -> None:
        age = times.currentTime - times.inputBufferAdcTime
        if not 0 <= age < 1:
            age = frames / self.values.rate  # some drivers give no times
        self._last = time.monotonic()
        if status.input_overflow:
            self.count("dropped")
        now = self.get_clock().now().nanoseconds * 1e-9
        self._send(samples, self.values.rate, now - age)

    def _watch(self) -> None:
        """Reads the device, and opens it again when it gives no more."""
        while not self._stop.is_set():
            try:
                with self._open() as stream:
                    self._problem, self._last = "", time.monotonic()
                    while stream.active and time.monotonic() - self._last < _STALLED:
                        if self._stop.wait(0.1):
                            return
                raise InputError("the microphone gives no more audio: is it plugged in?")
            except Exception as error:
                self._problem = f"{error}; trying to open it again"
                self.complain(self._problem)
                self._stop.wait(_RETRY)

    def _play(self) -> None:
        """Plays the file, each chunk when its last sample would have been recorded."""
        recording = self._recording
        assert recording is not None
        begin, played = time.monotonic(), 0.0
        while not self._stop.is_set():
            for piece in recording.pieces(self.values.chunk):
                duration = len(piece) / recording.rate
                played += duration
                late = time.monotonic() - begin - played
                if late < 0 and self._stop.wait(-late):
                    return
                if late > 0.5:
                    begin += late  # never a burst to catch up after a stall
                    self.count("late")
                now = self.get_clock().now().nanoseconds * 1e-9
                # By the samples, not by when this thread woke up.
                stamp = now - (time.monotonic() - begin - (played - duration))
                self._send(piece, recording.rate, stamp)
            if not self.values.loop:
                self._send(recording.samples[:0], recording.rate, 0.0)  # the end
                self.get_logger().info(f"{self.values.source} has ended")
                return

    def _send(self, samples: npt.NDArray[np.int16], rate: int, stamp: float) -> None:
        self.count("input")
        if not self.heard(self._audio):
            return
        message = msg.Audio(sample_rate=int(rate), channels=int(samples.shape[1]))
        message.header.stamp = messages.time(stamp)
        message.header.frame_id = self.values.frame_id
        message.samples.frombytes(np.ascontiguousarray(samples).tobytes())
        self.publish(self._audio, message, message.header)


def main(args: list[str] | None = None) -> int:
    return run(MicrophoneNode, args)
