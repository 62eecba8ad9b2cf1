"""The audio subscription of a node: channels, and what happens if the node does not keep up."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rclpy
from node_processes import NodeProcess, Peer
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from face_perception import msg
from face_perception.errors import InputError
from face_perception.ros import messages
from face_perception.ros.audio_input import AudioInput, AudioInputSettings
from face_perception.ros.driver import PerceptionNode
from face_perception.speech import AudioChunk

RATE = 16_000
CHUNK = 0.1  # seconds


class Listener:
    """A node with an audio subscription, which is spun by hand."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node: PerceptionNode[AudioInputSettings] = PerceptionNode(
            "listener", AudioInputSettings, context=self.context, use_global_arguments=False
        )
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.chunks: list[AudioChunk] = []
        self.holes: list[float] = []

    def listen(self, longest_delay: float = np.inf, channel: str = "mean") -> AudioInput:
        return AudioInput(
            self.node,
            "audio",
            lambda chunk, header: self.chunks.append(chunk),
            AudioInputSettings(channel=channel),
            longest_delay=longest_delay,
            dropped=self.holes.append,
        )

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def listener(domain: int) -> Iterator[Listener]:
    made = Listener(domain)
    yield made
    made.close()


class Sender:
    """Sends chunks with stamps from 1 s on, in which each sample is the number of the chunk."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._publisher = peer.publisher(msg.Audio, "audio", depth=1000)
        self._count = 0

    def connect(self) -> None:
        self._peer.until(lambda: self._publisher.get_subscription_count() > 0, why="for its ears")

    def skip(self, chunks: int) -> None:
        self._count += chunks

    def send(self, chunks: int, channels: int = 1) -> None:
        for _ in range(chunks):
            message = msg.Audio(sample_rate=RATE, channels=channels)
            message.header.stamp = messages.time(1.0 + CHUNK * self._count)
            values = np.arange(channels) + 10 * self._count
            samples = np.tile(values.astype(np.int16), round(CHUNK * RATE))
            message.samples.frombytes(samples.tobytes())
            self._publisher.publish(message)
            self._count += 1
        self._peer.spin(0.5)


def numbers(chunks: list[AudioChunk]) -> list[int]:
    return [round(float(chunk.samples[0]) * 3276.8) for chunk in chunks]


def spin(listener: Listener, until: Callable[[], bool]) -> None:
    for _ in range(2000):
        if until():
            return
        listener.executor.spin_once(timeout_sec=0.02)
    raise AssertionError(f"{len(listener.chunks)} chunks, holes {listener.holes}")


def test_a_node_that_does_not_keep_up_drops_the_oldest_and_says_so(
    listener: Listener, peer: Peer
) -> None:
    audio = listener.listen(longest_delay=2.0)
    sender = Sender(peer)
    sender.connect()
    sender.send(10)
    spin(listener, lambda: len(listener.chunks) == 10)
    assert (listener.holes, audio.status) == ([], "")

    sender.send(80)  # while the node is busy
    spin(listener, lambda: 89 in numbers(listener.chunks))
    got = numbers(listener.chunks)
    assert got[10:] == list(range(got[10], 90)), "the newest, in order"
    assert len(got) - 10 <= 20 + 20, "2 s, perhaps from two rounds"
    lost = 80 - (len(got) - 10)
    assert audio.dropped_seconds == pytest.approx(sum(listener.holes)) == pytest.approx(0.1 * lost)
    assert listener.node.statistics.total("dropped") == lost
    assert listener.node.statistics.total("input") == 90
    assert "/audio: the node is " in audio.status
    assert "s of audio were dropped" in audio.status


def test_audio_that_never_came_is_noticed_by_the_stamps(listener: Listener, peer: Peer) -> None:
    """The sender's queue ran over, for example because this process was stopped."""
    audio = listener.listen(longest_delay=5.0)
    sender = Sender(peer)
    sender.connect()
    sender.send(5)
    spin(listener, lambda: len(listener.chunks) == 5)
    sender.skip(30)
    sender.send(5)
    spin(listener, lambda: len(listener.chunks) == 10)
    assert listener.holes == pytest.approx([3.0])
    assert audio.missing_seconds == pytest.approx(3.0)
    assert "/audio: 3.0 s of audio are missing" in audio.status
    assert audio.dropped_seconds == 0
    for step, count in ((3600, 15), (-3000, 20)):  # the clock of the sender is set
        sender.skip(10 * step)
        sender.send(5)
        spin(listener, lambda count=count: len(listener.chunks) == count)  # type: ignore[misc]
        assert f"/audio: the stamps have jumped by {step} s: the clock" in audio.status
    assert audio.missing_seconds == pytest.approx(3.0)
    assert listener.holes == pytest.approx([3.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("passed", "step", "said"),
    [
        (900.0, 900.0, "900.0 s of audio are missing"),  # a pause
        (0.1, 900.0, "the stamps have jumped by 900 s"),
        (900.0, -900.0, "the stamps have jumped by -900 s"),
        (900.0, 0.0, ""),  # this process was stopped, and the sound waited
    ],
)
def test_a_long_pause_is_no_clock_that_was_set(
    monkeypatch: pytest.MonkeyPatch, passed: float, step: float, said: str
) -> None:
    told: list[str] = []
    audio: Any = AudioInput.__new__(AudioInput)
    audio._tell_loss = lambda text, seconds: told.append(text)
    audio._expected_stamp, audio.missing_seconds, audio._chunk_at = 0.0, 0.0, 0.0
    for now, stamp in ((1000.0, 5000.0), (1000.0 + passed, 5000.1 + step)):
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        audio._notice_gap(SimpleNamespace(stamp=stamp, duration=0.1))
    assert [text[: len(said)] for text in told] == ([said] if said else [])


def test_without_a_limit_nothing_is_dropped(listener: Listener, peer: Peer) -> None:
    """The talking face gets whole sentences at once."""
    listener.listen()
    sender = Sender(peer)
    sender.connect()
    sender.send(200)
    spin(listener, lambda: len(listener.chunks) == 200)
    assert numbers(listener.chunks) == list(range(200))


@pytest.mark.parametrize(("channel", "value"), [("mean", 1), ("0", 0), ("2", 2)])
def test_the_channel_that_was_asked_for(
    listener: Listener, peer: Peer, channel: str, value: int
) -> None:
    listener.listen(channel=channel)
    sender = Sender(peer)
    sender.connect()
    sender.send(1, channels=3)
    spin(listener, lambda: len(listener.chunks) == 1)
    assert listener.chunks[0].samples == pytest.approx(np.full(1600, value / 32768), abs=1e-7)


def test_a_channel_that_does_not_exist_is_said(listener: Listener, peer: Peer) -> None:
    listener.listen(channel="3")
    sender = Sender(peer)
    sender.connect()
    sender.send(1, channels=3)
    spin(listener, lambda: listener.node.statistics.total("refused") == 1)
    with pytest.raises(InputError, match="mean, best, or the index"):
        listener.listen(channel="left")


def recording(path: Path, *channels: npt.NDArray[np.int16]) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.stack(channels, axis=1).tobytes())
    return str(path)


def test_the_microphone_publishes_the_channel_that_was_asked_for(
    start: Callable[..., NodeProcess], peer: Peer, tmp_path: Path
) -> None:
    tone = (3000 * np.sin(np.arange(RATE) / 20)).astype(np.int16)
    source = recording(tmp_path / "two.wav", tone, -tone)
    start("microphone", source=source, channel="5").wait_for_log(
        "cannot be configured: channel is 5, but the sound has 2 channel"
    )
    start("microphone", source=source, channel="mean", remaps=("audio:=mean",))
    node = start("microphone", source=source, remaps=("audio:=all",))
    mean, both = peer.listen(msg.Audio, "mean"), peer.listen(msg.Audio, "all")
    peer.until(lambda: len(mean) > 20 and len(both) > 20, why="for sound")
    assert {(m.channels, len(m.samples)) for m in mean[:20]} == {(1, 320)}
    assert {(m.channels, len(m.samples)) for m in both[:20]} == {(2, 640)}
    assert max(max(m.samples) for m in mean) > 2900, "opposite channels do not cancel"
    assert "opposite signs" not in node.log, "nothing is mixed there"
