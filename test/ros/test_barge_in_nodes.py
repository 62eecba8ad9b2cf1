"""A person talks over the robot, in a simulated room over real DDS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import speech_clip
from node_processes import NodeProcess, Peer

from face_perception import msg, paths
from face_perception.ros import messages, qos
from face_perception.speech import ECHO_RATE, AudioChunk, make_chunk, read_wav, to_int16
from face_perception.speech.echo.played_sound import PlayedSound

State = msg.AvatarState
CHUNK = round(0.02 * ECHO_RATE)  # samples
DELAY = 0.25  # seconds from the loudspeaker to the microphone


class Room:
    """The robot's microphone in a room: hears ``avatar/audio``, and a person."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._played = PlayedSound(ECHO_RATE)
        self._microphone = peer.publisher(msg.Audio, "audio")
        peer.node.create_subscription(msg.Audio, "avatar/audio", self._on_played, 100)
        self._noise = np.random.default_rng(1)
        self._person = np.zeros(0, np.float32)
        self._next: float | None = None  # stamp of the next chunk
        self._number = 0  # of the sample that is played with it
        self.last_played = 0.0  # stamp of the end of what was played

    def _on_played(self, message: msg.Audio) -> None:
        samples = np.frombuffer(message.samples, np.int16)
        stamp = messages.seconds(message.header.stamp)
        chunk = make_chunk(samples, message.sample_rate, message.channels, stamp)
        self._played.push(AudioChunk(stamp, chunk.rate, chunk.samples))
        if np.any(chunk.samples):
            self.last_played = stamp + chunk.duration

    def begin_person(self, samples: np.ndarray) -> float:
        """A person says ``samples`` from now on; returns the stamp of the first one."""
        self._person = samples
        assert self._next is not None
        return self._next

    def until(self, condition: Callable[[], bool], why: str, timeout: float = 30.0) -> None:
        def live() -> bool:
            self._send()
            return condition()

        self._peer.until(live, timeout, why)

    def _send(self) -> None:
        """Sends what the microphone has heard since the last call."""
        now = self._peer.node.get_clock().now().nanoseconds / 1e9
        self._next = self._next or now
        while self._next + CHUNK / ECHO_RATE <= now:
            heard = 2e-4 * self._noise.standard_normal(CHUNK)
            wanted = self._played.number_at(self._next - DELAY)
            if np.isfinite(wanted):
                # A loudspeaker plays on without a break, whatever the stamps say.
                if abs(wanted - self._number) > 0.02 * ECHO_RATE:
                    self._number = round(wanted)
                for later, gain in ((0, 0.5), (100, 0.2), (500, -0.1)):
                    heard += gain * self._played.read(self._number - later, CHUNK)
                self._number += CHUNK
            person, self._person = self._person[:CHUNK], self._person[CHUNK:]
            heard[: len(person)] += person
            message = msg.Audio(sample_rate=ECHO_RATE, channels=1)
            message.header.stamp = messages.time(self._next)
            message.samples.frombytes(to_int16(heard.astype(np.float32)).tobytes())
            self._microphone.publish(message)
            self._next += CHUNK / ECHO_RATE


@pytest.mark.realtime
def test_a_person_interrupts_the_robot_and_its_own_voice_does_not(
    start: Callable[..., NodeProcess], peer: Peer
) -> None:
    face = start("talking_face", audio_out="none", width=128, height=128, barge_in="stop")
    start("voice_activity", echo_cancellation=True)
    states: list[State] = []
    peer.node.create_subscription(
        State, "avatar/state", states.append, qos.results(10, latched=True)
    )
    mouths = peer.listen(msg.Mouth, "avatar/mouth")
    voices = peer.listen(msg.VoiceActivity, "voice_activity")
    speech = peer.publisher(msg.Audio, "speech")

    def does(state: int) -> bool:
        return bool(states) and states[-1].state == state

    room = Room(peer)
    room.until(lambda: does(State.STATE_IDLE) and len(voices) > 10, "for both nodes", timeout=60.0)
    heard = len(voices)
    room.until(lambda: len(voices) > heard + 100, "until both nodes know each other")
    hello = read_wav(paths.resource("resources/speech/hello.wav"))

    def say(times: int) -> None:
        message: Any = msg.Audio(sample_rate=hello.rate, channels=1)
        message.samples.frombytes(np.tile(hello.samples[:, 0], times).tobytes())
        message.header.stamp = peer.node.get_clock().now().to_msg()
        speech.publish(message)

    say(6)  # 25 s
    room.until(lambda: does(State.STATE_SPEAKING), why="for speech")
    room.until(lambda: not voices[-1].valid, why="for deafness until the room is learnt")
    room.until(lambda: voices[-1].valid, why="for the room to be learnt")
    learnt = len(voices)
    room.until(lambda: len(voices) > learnt + 60, why="for two more seconds")
    own = [voice.probability for voice in voices[learnt:] if voice.valid]
    assert len(own) > 50
    assert np.mean(np.array(own) > 0.4) < 0.1, "it hears itself"
    assert does(State.STATE_SPEAKING)
    assert "talks over" not in face.log

    person = speech_clip.read(speech_clip.RECORDED)
    began = room.begin_person(person)
    room.until(lambda: does(State.STATE_INTERRUPTED), why="for the interruption")
    said = messages.seconds(states[-1].since)
    assert 0 < said - began < 2.0, "by the stamps of the sound"
    room.until(lambda: does(State.STATE_IDLE), why="for the end")
    room.until(lambda: mouths[-1].opening == 0, why="for a shut mouth")
    assert room.last_played - said < 0.2, "silence"
    assert "a person talks over the robot: its speech is interrupted" in face.log
    room.until(lambda: any(voice.speaking for voice in voices[-5:]), why="for the person")
