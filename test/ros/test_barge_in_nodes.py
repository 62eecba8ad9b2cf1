"""A person talks over the robot: what voice_activity hears, and what talking_face does then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import rclpy
import soxr
import speech_clip
from node_processes import NodeProcess, Peer
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from face_perception import msg, paths
from face_perception.nodes.voice_activity import VoiceActivityNode
from face_perception.ros import messages, qos
from face_perception.speech import (
    ECHO_RATE,
    VOICE_STEP,
    AudioChunk,
    BargeIn,
    BargeInSettings,
    VoiceState,
    read_wav,
    to_int16,
)

State = msg.AvatarState
Samples = npt.NDArray[np.float32]
BEGIN = 1000.0  # stamp of the first sample, seconds
CHUNK = 320  # samples
PERSON = 12.0  # seconds after which the person begins to talk
# Seconds from the interruption to the shut mouth, which the next frame at 30 Hz shows.
TO_CLOSED = 0.05 + 1 / 30
OWN = 6.0  # seconds after which the room is learnt


def hello() -> Samples:
    """Returns the speech of the robot at 16 kHz."""
    found = read_wav(paths.resource("resources/speech/hello.wav"))
    samples = found.samples[:, 0].astype(np.float32) / 32768
    return np.asarray(soxr.resample(samples, found.rate, ECHO_RATE), np.float32)


def audio(samples: npt.NDArray[np.floating], stamp: float = 0.0) -> msg.Audio:
    message = msg.Audio(sample_rate=ECHO_RATE, channels=1)
    message.header.stamp = messages.time(stamp)
    message.samples.frombytes(to_int16(samples.astype(np.float32)).tobytes())
    return message


def echo_of(played: Samples) -> npt.NDArray[np.float64]:
    """Returns what the microphone hears of it, with two reflections and some noise."""
    heard = 2e-4 * np.random.default_rng(1).standard_normal(len(played))
    for later, gain in ((4000, 0.5), (4100, 0.2), (4500, -0.1)):
        heard[later:] += gain * played[:-later]
    return heard


@pytest.fixture
def ears(domain: int) -> Iterator[VoiceActivityNode]:
    """An active voice_activity node that a test gives its input: only stamps tell the time."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = VoiceActivityNode(
        context=context,
        use_global_arguments=False,
        parameter_overrides=[Parameter("echo_cancellation", value=True)],
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    for _ in range(1000):
        if node.active:
            break
        executor.spin_once(timeout_sec=0.1)
    assert node.active
    yield node
    node.close()
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def test_voice_activity_hears_a_person_over_the_robot_and_not_the_robot(
    ears: VoiceActivityNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[float, VoiceState | None]] = []
    barge_in, arrived, stops = BargeIn(BargeInSettings(barge_in="stop")), 0.0, []

    def hear(at: float, step: VoiceState | None) -> None:
        found.append((at - BEGIN, step))
        if barge_in.hear(at, step.probability if step else math.nan, robot_speaks=True):
            stops.append(arrived)

    monkeypatch.setattr(ears, "_publish_step", hear)
    monkeypatch.setattr(ears, "count_publishers", lambda topic: 1)  # of avatar/state
    played = np.tile(hello(), 4)
    heard = echo_of(played)
    first = round(PERSON * ECHO_RATE)
    person = speech_clip.read(speech_clip.RECORDED)[: 3 * ECHO_RATE]
    heard[first : first + len(person)] += person
    ears._on_state(State(state=State.STATE_SPEAKING))
    for at in range(0, first + len(person), CHUNK):
        stamp, piece = BEGIN + at / ECHO_RATE, slice(at, at + CHUNK)
        arrived = (at + CHUNK) / ECHO_RATE  # when the end of the chunk was heard
        ears._on_played(AudioChunk(stamp, ECHO_RATE, played[piece]), Header())
        ears._on_audio(AudioChunk(stamp, ECHO_RATE, heard[piece].astype(np.float32)), Header())

    early = [step for at, step in found if at < 1]
    assert early == [None] * 32, "deaf until the room is learnt"
    own = [step for at, step in found if OWN < at < PERSON - 0.1]
    assert len(own) > 100
    assert all(own)
    assert np.mean([step.probability > 0.4 for step in own if step]) < 0.1, "it hears itself"
    assert PERSON < stops[0] < PERSON + 0.45 - TO_CLOSED, "by samples: silence and a shut mouth"
    speaks = [at - PERSON for at, step in found if at > PERSON and step and step.speaking]
    assert speaks[0] < 1.0
    _, values = ears.diagnostics()
    assert values["echo cancellation"] == "on"
    assert float(values["echo lowered by (dB)"]) > 0


class Voices:
    """Publishes voice activity as that node does."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._publisher = peer.publisher(msg.VoiceActivity, "voice_activity", depth=100)
        self._stamp = BEGIN
        peer.until(lambda: self._publisher.get_subscription_count() > 0, why="for talking_face")

    def publish(self, steps: int, probability: float, valid: bool = True) -> None:
        for _ in range(steps):
            message = msg.VoiceActivity(valid=valid, probability=probability)
            message.header.stamp = messages.time(self._stamp)
            self._publisher.publish(message)
            self._stamp += VOICE_STEP
        self._peer.spin(0.1)


def test_talking_face_stops_for_a_voice_that_is_known(
    start: Callable[..., NodeProcess], peer: Peer
) -> None:
    face = start(
        "talking_face",
        audio_out="none",
        width=128,
        height=128,
        barge_in="stop",
        barge_in_time=0.16,
    )
    states: list[State] = []
    peer.node.create_subscription(
        State, "avatar/state", states.append, qos.results(10, latched=True)
    )
    mouths = peer.listen(msg.Mouth, "avatar/mouth")
    played = peer.listen(msg.Audio, "avatar/audio")
    speech = peer.publisher(msg.Audio, "speech")

    def does(state: int) -> bool:
        return bool(states) and states[-1].state == state

    peer.until(lambda: does(State.STATE_IDLE) and bool(mouths), why="for the face")
    peer.until(lambda: speech.get_subscription_count() > 0, why="for its ears")
    voices = Voices(peer)
    voices.publish(20, 0.9)  # while the robot is silent
    speech.publish(audio(np.tile(hello(), 4)))
    peer.until(lambda: does(State.STATE_SPEAKING) and bool(played), why="for speech")
    voices.publish(20, 0.1)
    voices.publish(20, 0.9, valid=False)
    voices.publish(3, 0.9)  # 0.1 s
    voices.publish(20, 0.1)
    assert does(State.STATE_SPEAKING)
    assert "talks over" not in face.log
    voices.publish(6, 0.9)
    peer.until(lambda: does(State.STATE_INTERRUPTED), why="for the interruption")
    since = messages.seconds(states[-1].since)
    peer.until(lambda: does(State.STATE_IDLE), why="for the end")
    peer.until(lambda: mouths[-1].opening == 0, why="for a shut mouth")
    assert messages.seconds(played[-1].header.stamp) - since < 0.2, "silence"
    assert face.log.count("a person talks over the robot: its speech is interrupted") == 1


def test_speech_is_softer_until_nobody_talks_or_nothing_is_heard_any_more(
    start: Callable[..., NodeProcess], peer: Peer
) -> None:
    start("talking_face", audio_out="none", width=128, height=128, barge_in="duck")
    played = peer.listen(msg.Audio, "avatar/audio")
    speech = peer.publisher(msg.Audio, "speech")
    peer.until(lambda: speech.get_subscription_count() > 0, why="for the face")
    peer.spin(0.2)
    voices = Voices(peer)
    tone = 0.5 * np.sin(np.arange(40 * ECHO_RATE) * 2 * np.pi * 200 / ECHO_RATE)
    speech.publish(audio(tone))

    def level() -> float:
        samples = np.frombuffer(played[-1].samples, np.int16) if played else np.zeros(1)
        return float(np.abs(samples).max()) / 32768

    peer.until(lambda: level() == pytest.approx(0.5, abs=0.03), why="for speech")
    voices.publish(8, 0.9)
    peer.until(lambda: level() == pytest.approx(0.125, abs=0.01), why="for softer speech")
    voices.publish(20, 0.1)
    peer.until(lambda: level() == pytest.approx(0.5, abs=0.03), why="for the end of the person")
    voices.publish(8, 0.9)
    peer.until(lambda: level() == pytest.approx(0.125, abs=0.01), why="for softer speech again")
    # The microphone stops: no voice activity comes any more.
    peer.until(lambda: level() == pytest.approx(0.5, abs=0.03), why="for the usual volume")
