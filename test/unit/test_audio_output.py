"""Tests that speech goes on while a loudspeaker disappears and returns. PortAudio is simulated."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from waits import scaled

from face_perception.audio_devices import AudioDeviceError
from face_perception.avatar import AudioClock, AudioOutput, PlaybackQueue

RATE = 16_000
BLOCK = 160


class PortAudioError(Exception):
    pass


class Device(ModuleType):
    """Stands for the module sounddevice, with one loudspeaker that can be unplugged.

    Like PortAudio, it lists devices only when it is initialised, and stops calling back once a
    device is gone.
    """

    PortAudioError = PortAudioError

    def __init__(self, plugged: bool) -> None:
        super().__init__("sounddevice")
        self.plugged = plugged
        self.played: list[np.ndarray] = []
        self.open = 0
        self._initialize()

    def _initialize(self) -> None:
        assert self.open == 0, "PortAudio must not start again while a stream is open"
        self._listed = self.plugged

    def _terminate(self) -> None:
        self._listed = False

    def query_devices(self, device: Any, kind: str) -> dict[str, str]:
        return {"name": "USB speaker"}

    def OutputStream(self, **given: Any) -> Stream:
        if not (self._listed and self.plugged):
            raise PortAudioError("Error querying device -1")
        return Stream(self, given)


class Stream:
    device, latency = 0, 0.02

    def __init__(self, module: Device, given: dict[str, Any]) -> None:
        self._module, self._given = module, given
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        module.open += 1

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        begin, taken = time.monotonic(), 0
        while self._module.plugged and not self._stop.is_set():
            while taken < (time.monotonic() - begin) * RATE:
                out = np.zeros((BLOCK, 1), np.float32)
                times = SimpleNamespace(outputBufferDacTime=1.02, currentTime=1.0)
                self._given["callback"](out, BLOCK, times, None)
                self._module.played.append(out[:, 0])
                taken += BLOCK
            time.sleep(0.005)
        self._given["finished_callback"]()

    def abort(self, ignore_errors: bool = False) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def close(self, ignore_errors: bool = False) -> None:
        self._module.open -= 1


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Creates a device and an audio output on it."""
    opened: list[AudioOutput] = []

    def make(plugged: bool, wanted: str) -> Any:
        device = Device(plugged)
        monkeypatch.setitem(sys.modules, "sounddevice", device)
        said: list[str] = []
        playback_queue, clock = PlaybackQueue(RATE), AudioClock()
        sound = AudioOutput(
            playback_queue, clock, wanted, inform=said.append, warn=said.append, retry=0.05
        )
        opened.append(sound)
        return SimpleNamespace(
            device=device, sound=sound, playback_queue=playback_queue, clock=clock, said=said
        )

    yield make
    for sound in opened:
        sound.close()


def until(stage: Any, condition: Callable[[], Any]) -> None:
    end = time.monotonic() + scaled(20)
    while not condition():
        assert time.monotonic() < end, stage.said
        stage.sound.follow_device()
        time.sleep(0.01)


def test_pulled_out_while_it_speaks_and_put_in_again(made: Callable[..., Any]) -> None:
    stage = made(True, "auto")
    device, sound, clock = stage.device, stage.sound, stage.clock
    assert stage.said == ["speech is played on USB speaker, 20 ms"]
    speech = np.full(60 * RATE, 0.5, np.float32)
    stage.playback_queue.enqueue(speech, clock.position(time.monotonic()))
    until(stage, lambda: any(block.any() for block in device.played))

    device.plugged = False
    before = stage.playback_queue.samples_taken
    until(stage, lambda: sound.silent_because)
    assert "takes no more audio: is it plugged in?" in sound.silent_because
    assert sound.problem == "", "auto asks for no loudspeaker"
    assert stage.said[1].startswith("no sound: ")
    # The face continues from where it was, on the computer's clock.
    until(stage, lambda: stage.playback_queue.samples_taken > before + RATE)
    now = time.monotonic()
    assert clock.position(now) == pytest.approx(stage.playback_queue.samples_taken / RATE, abs=0.5)
    assert device.open == 0

    device.plugged = True
    device.played.clear()
    until(stage, lambda: any(block.any() for block in device.played))
    assert (sound.silent_because, sound.description) == ("", "USB speaker, 20 ms")
    assert device.open == 1


def test_put_in_after_the_start(made: Callable[..., Any]) -> None:
    stage = made(False, "auto")
    assert "the loudspeaker (default) cannot be opened" in stage.sound.silent_because
    stage.device.plugged = True
    until(stage, lambda: not stage.sound.silent_because)
    until(stage, lambda: stage.device.played)


def test_a_loudspeaker_that_was_asked_for(made: Callable[..., Any]) -> None:
    with pytest.raises(AudioDeviceError, match="python3 -m sounddevice"):
        made(False, "device")
    device = sys.modules["sounddevice"]
    device.plugged = True
    with pytest.raises(AudioDeviceError):  # by the old list of devices
        AudioOutput(PlaybackQueue(RATE), AudioClock(), "device")
    again = AudioOutput(PlaybackQueue(RATE), AudioClock(), "device")
    assert again.description.startswith("USB speaker"), "another try finds it"
    again.close()
    stage = made(True, "device")
    stage.device.plugged = False
    until(stage, lambda: stage.sound.silent_because)
    assert stage.sound.problem == stage.sound.silent_because


def test_no_loudspeaker_is_wanted(made: Callable[..., Any]) -> None:
    stage = made(True, "none")
    until(stage, lambda: stage.playback_queue.samples_taken > RATE // 10)
    assert (stage.said, stage.device.open) == ([], 0)
