"""The microphone node: publishes the audio of a microphone, or of a wav file in real time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception import msg
from face_perception.audio_devices import (
    AudioDeviceError,
    import_sounddevice,
    parse_device,
    rescan_devices,
)
from face_perception.errors import InputError
from face_perception.ros import messages, waiting_times
from face_perception.ros.driver import PerceptionNode
from face_perception.settings import setting
from face_perception.speech import ChannelMixer, read_wav, to_int16

_STALLED = 2.0  # seconds without audio after which the device is opened again


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
        "Sample rate to request from a device. A wav file has its own rate.",
        minimum=8_000,
        maximum=192_000,
        unit="Hz",
    )
    channels: int = setting(1, "Number of channels to request from a device.", minimum=1, maximum=8)
    channel: str = setting(
        "all",
        "Which channel is published. all: every channel. mean: their average. best: the one with "
        "the most sound above its noise. A number: the channel of this index (0 is the first); "
        "choose a microphone if the device has a channel for what the robot plays.",
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
        self._problem = ""
        self._last = 0.0

    def setup(self) -> None:
        source = os.path.expanduser(self.values.source)
        named_file = source.lower().endswith(".wav") or os.sep in source
        self._recording = read_wav(source) if named_file or os.path.isfile(source) else None
        self._mixer = None if self.values.channel == "all" else ChannelMixer(self.values.channel)
        channels = self.values.channels if self._recording is None else self._recording.channels
        self._mixed(np.zeros((1, channels), np.int16), self.values.rate)  # checks the index
        if self._recording is None:
            self._open().close()  # raises an error if the device cannot be used
        self._audio = self.publisher(msg.Audio, "audio", depth=50)

    def without_effect(self, values: MicrophoneParameters) -> Iterable[tuple[str, Iterable[str]]]:
        if self._recording is None:
            yield "source is a device", ("loop",)
        else:
            yield "source is a file, which is played as it is", ("rate", "channels")

    def start(self) -> None:
        self.thread(self._record if self._recording is None else self._play)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        problems = self._problem, self._mixer.problem if self._mixer is not None else ""
        return "; ".join(filter(None, problems)), {
            "source": self.values.source or "default microphone"
        }

    def _open(self) -> Any:
        """Returns a stream of the device, not started. Raises InputError if it cannot be opened."""
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
                callback=self._on_samples,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            rescan_devices()  # so that the next try finds a device that was plugged in
            raise InputError(
                f"the microphone {values.source or '(default)'} cannot be opened with "
                f"{values.channels} channels at {values.rate} Hz: {error}; `python3 -m "
                "sounddevice` lists the devices, or give a wav file as source"
            ) from error

    def _on_samples(self, samples: Any, frames: int, times: Any, status: Any) -> None:
        age = times.currentTime - times.inputBufferAdcTime
        if not 0 <= age < 1:
            age = frames / self.values.rate  # some drivers give no times
        self._last = time.monotonic()
        if status.input_overflow:
            self.count("dropped")
        now = self.ros_seconds()
        self._send(samples, self.values.rate, now - age)

    def _record(self, stop: threading.Event) -> None:
        """Publishes the audio of the device, and opens it again if it stalls."""
        while not stop.is_set():
            try:
                with self._open() as stream:
                    self._problem, self._last = "", time.monotonic()
                    while stream.active and time.monotonic() - self._last < _STALLED:
                        if stop.wait(0.1):
                            return
                raise InputError("no more audio from the microphone: check that it is plugged in")
            except Exception as error:
                self._problem = (
                    f"{error}. The node tries again every {waiting_times.RETRY_PERIOD:g} s."
                )
                self.warn_throttled(self._problem)
                stop.wait(waiting_times.RETRY_PERIOD)

    def _play(self, stop: threading.Event) -> None:
        """Publishes each chunk of the file when its last sample would have been recorded."""
        recording = self._recording
        assert recording is not None
        begin, played = time.monotonic(), 0.0
        while not stop.is_set():
            for piece in recording.pieces(self.values.chunk):
                duration = len(piece) / recording.rate
                played += duration
                late = time.monotonic() - begin - played
                if late < 0 and stop.wait(-late):
                    return
                if late > 0.5:
                    begin += late  # after a stall, go on from now instead of sending a burst
                    self.count("late")
                now = self.ros_seconds()
                # From the number of samples, because the thread wakes up late.
                stamp = now - (time.monotonic() - begin - (played - duration))
                self._send(piece, recording.rate, stamp)
            if not self.values.loop:
                self._send(
                    recording.samples[:0], recording.rate, 0.0
                )  # empty: the end of the audio
                self.get_logger().info(f"{self.values.source} has ended")
                return

    def _mixed(self, samples: npt.NDArray[np.int16], rate: int) -> npt.NDArray[np.int16]:
        """Returns the channels to publish [N, C] of those that were recorded.

        Raises AudioError if the channel does not exist.
        """
        if self._mixer is None:
            return samples
        as_float = samples.astype(np.float32) / np.float32(32768)
        mono = to_int16(self._mixer.mix(as_float, rate))
        if problem := self._mixer.problem:
            self.warn_throttled(problem, key="channels")
        return mono[:, None]

    def _send(self, samples: npt.NDArray[np.int16], rate: int, stamp: float) -> None:
        self.count("input")
        if not self.has_subscribers(self._audio):
            return
        samples = self._mixed(samples, rate)
        message = msg.Audio(sample_rate=int(rate), channels=int(samples.shape[1]))
        message.header.stamp = messages.time(stamp)
        message.header.frame_id = self.values.frame_id
        message.samples.frombytes(np.ascontiguousarray(samples).tobytes())
        self.publish(self._audio, message, message.header)
