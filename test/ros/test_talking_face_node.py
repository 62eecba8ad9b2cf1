"""The talking face over real DDS: speech, frames, sound, state, faults and the web page."""

from __future__ import annotations

import struct
import threading
import time
import urllib.request
import wave
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_processes import NodeProcess, Peer
from ports import free_port
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from waits import scaled

from face_perception import msg, paths
from face_perception.faces import FaceTracker, load_tracker
from face_perception.inference import sample_photo
from face_perception.media import image_from_message
from face_perception.nodes.talking_face.node import TalkingFaceNode
from face_perception.ros import messages
from face_perception.speech import read_wav
from face_perception.types import Camera, Frame

HELLO = paths.resource("resources/speech/hello.wav")
State = msg.AvatarState


class Speaker:
    """Sends speech as a text-to-speech node does: chunks at real-time pace, on its own thread."""

    def __init__(self, peer: Peer, topic: str = "speech", depth: int = 10) -> None:
        self._peer = peer
        self._publisher = peer.publisher(msg.Audio, topic, depth=depth)
        self.begun = 0.0

    def connect(self) -> None:
        self._peer.until(lambda: self._publisher.get_subscription_count() > 0, why="for its ears")
        self._peer.spin(0.2)

    def send(
        self, samples: npt.NDArray[np.int16], rate: int, channels: int = 1, stamp: float = 0.0
    ) -> None:
        message = msg.Audio(sample_rate=rate, channels=channels)
        message.header.stamp = messages.time(stamp)
        message.samples.frombytes(np.ascontiguousarray(samples).tobytes())
        self._publisher.publish(message)

    def say(self, samples: npt.NDArray[np.int16], rate: int, chunk: float = 0.02) -> None:
        """Sends chunks with stamps in real time while the peer spins. Returns when all are sent."""
        step = round(chunk * rate)

        def talk() -> None:
            begin = time.monotonic()
            self.begun = time.time()
            for k, start in enumerate(range(0, len(samples), step)):
                time.sleep(max(0.0, begin + k * chunk - time.monotonic()))
                self.send(samples[start : start + step], rate, stamp=self.begun + k * chunk)

        thread = threading.Thread(target=talk)
        thread.start()
        while thread.is_alive():
            self._peer.spin(0.02)


def hello() -> tuple[npt.NDArray[np.int16], int]:
    recording = read_wav(HELLO)
    return recording.samples[:, 0], recording.rate


def latched(peer: Peer) -> list[State]:
    """Returns the list of states, including the last one sent before."""
    states: list[State] = []
    peer.node.create_subscription(
        State,
        "avatar/state",
        states.append,
        QoSProfile(
            depth=10,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        ),
    )
    return states


def until_idle_again(peer: Peer, states: list[State], known: int) -> None:
    """Waits until the face has spoken since there were ``known`` states, and is idle.

    Speech that a busy computer sends with a pause in it makes more than two states.
    """
    peer.until(
        lambda: len(states) >= known + 2 and states[-1].state == State.STATE_IDLE,
        why="until it has spoken",
    )


def voice(sound: list[msg.Audio], since: float = 0.0) -> float:
    """Returns how many seconds of sound were played from a time in seconds on."""
    return sum(len(m.samples) for m in sound if stamps([m])[0] >= since) / 48_000


def diagnostics(peer: Peer, name: str = "talking_face") -> Callable[[], dict[str, str]]:
    """Returns the newest diagnostics of a node; empty before the first."""
    arrays = peer.listen(DiagnosticArray, "/diagnostics")

    def newest() -> dict[str, str]:
        for array in reversed(arrays):
            for status in array.status:
                if status.name == name:
                    return {v.key: v.value for v in status.values} | {"message": status.message}
        return {}

    return newest


def fresh(peer: Peer, values: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Returns the next diagnostics that are published."""
    arrays = peer.received["/diagnostics"]
    arrays.clear()
    peer.until(values, why="for diagnostics")
    return values()


def mouth_of(image: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    """Returns the rows and columns of the mouth, with the area that it moves."""
    frame = Frame(image, 0.0, Camera.assume(*image.shape[1::-1]))
    points = load_tracker().detect(frame)[0].landmarks[:, :2]
    (left, right), middle = points[[61, 291]], points[[13, 14]].mean(axis=0)
    half = float(np.linalg.norm(right - left)) / 2
    x, y = (slice(round(c - half), round(c + half)) for c in middle)
    return y, x


def alike(
    heard: npt.NDArray[np.float64], said: npt.NDArray[np.float64], rate: int
) -> tuple[float, list[int]]:
    """Compares the played sound with the speech, in pieces of 0.2 s.

    Returns the share of the loud pieces that were played unchanged, and their delays in
    milliseconds. Pauses are stretched a little if the sender was late.
    """
    length, most = rate // 5, rate // 10
    heard = np.pad(heard, (most, most + len(said)))
    found, shifts = [], []
    for start in range(0, len(said) - length, length):
        piece = said[start : start + length]
        if np.sqrt(np.mean(piece**2)) < 300:
            continue
        around = heard[start : start + length + 2 * most]
        energy = np.convolve(around**2, np.ones(length), "valid")
        match = np.correlate(around, piece, "valid") / np.sqrt(energy * (piece @ piece) + 1.0)
        found.append(match.max() > 0.95)
        if found[-1]:
            shifts.append(round(1e3 * (int(match.argmax()) - most) / rate))
    assert len(found) > 5
    return float(np.mean(found)), shifts


def stamps(found: list[Any]) -> npt.NDArray[np.float64]:
    return np.array([messages.seconds(m.header.stamp) for m in found])


@pytest.mark.realtime
def test_it_says_what_it_is_told_in_time(start: Callable[..., NodeProcess], peer: Peer) -> None:
    start("talking_face", audio_out="none")
    states = latched(peer)
    frames = peer.listen(Image, "avatar/image")
    sound = peer.listen(msg.Audio, "avatar/audio")
    values = diagnostics(peer)
    speaker = Speaker(peer)
    peer.until(lambda: len(frames) > 30, why="for frames")
    assert [s.state for s in states] == [State.STATE_IDLE]
    still = image_from_message(frames[-1])
    assert still.shape == (512, 512, 3)
    speaker.connect()
    samples, rate = hello()
    silent = stamps(frames)[-1]
    found = fresh(peer, values)
    dry, shown = "", 0
    end = time.monotonic() + scaled(120)
    while found["ran dry"] != dry or shown <= 30:
        # Repeats where this process was delayed in the middle of a word, or the node had no time to
        # show the face: no fault of the node.
        assert time.monotonic() < end, "a computer that is too busy to speak, or to show the face"
        dry, known = found["ran dry"], len(states)
        sound.clear()
        speaker.say(samples, rate)
        until_idle_again(peer, states, known)
        went = [State.STATE_IDLE, State.STATE_SPEAKING, State.STATE_IDLE]
        assert [s.state for s in states[-3:]] == went
        found = fresh(peer, values)
        first, last = stamps(sound)[[0, -1]]
        shown = int(((stamps(frames) > first + 0.2) & (stamps(frames) < last - 0.3)).sum())

    # The sound is the speech at 48 kHz without gaps. Its stamps are the times of playing.
    heard = np.concatenate([np.frombuffer(m.samples, np.int16) for m in sound])
    assert {m.sample_rate for m in sound} == {48_000}
    want = np.repeat(samples, 3)
    assert abs(len(heard) - len(want)) <= 48_000 * 0.25
    same, shifts = alike(heard[::3].astype(float), want[::3].astype(float), rate)
    print(f"{same:.2f} of it alike, later by {min(shifts)} to {max(shifts)} ms")
    assert same > 0.8
    assert max(map(abs, shifts)) <= 50
    begin = stamps(sound)[0]
    assert 0.05 < begin - speaker.begun < 1.0
    lengths = np.cumsum([len(m.samples) for m in sound])[:-1] / 48_000
    # The end that the resampler keeps back may be too late on a busy computer.
    body = lengths < len(samples) / rate - 0.1
    assert np.abs(stamps(sound)[1:] - begin - lengths)[body].max() < 0.02

    # The stamp of a frame is the time at which it is shown; stamps increase.
    seen = stamps(frames)
    assert (np.diff(seen) > 0.02).all()
    # The mouth moves during sound, more than by idle motion.
    end = begin + len(heard) / 48_000
    mouth = mouth_of(still)
    rest = still[mouth][:, :, 1].astype(int)
    moved = np.array([np.abs(image_from_message(f)[mouth][:, :, 1] - rest).mean() for f in frames])
    during = moved[(seen > begin + 0.2) & (seen < end - 0.3)]
    before = moved[seen < silent]
    print(f"{len(during)} frames, moved {np.percentile(during, 90):.1f}, before {before.max():.1f}")
    assert np.percentile(during, 90) > 3 * before.max()
    assert float(found["rendered (fps)"]) > 0
    assert float(found["delivered (fps)"]) > 0
    assert found["late chunks"] == "0"


@pytest.mark.realtime
def test_interrupted_stopped_and_killed(start: Callable[..., NodeProcess], peer: Peer) -> None:
    node = start("talking_face", audio_out="none", width=256, height=256)
    states = latched(peer)
    frames = peer.listen(CompressedImage, "avatar/image/compressed")
    sound = peer.listen(msg.Audio, "avatar/audio")
    speaker = Speaker(peer)
    peer.until(lambda: len(frames) > 5, why="for frames")
    speaker.connect()
    samples, rate = hello()

    # The whole utterance at once, as a fast text-to-speech node sends it, then interrupted.
    speaker.send(samples, rate)
    peer.until(lambda: len(sound) > 20, why="for its voice")
    answer = peer.call(Trigger, "talking_face/interrupt", Trigger.Request())
    assert (answer.success, answer.message) == (True, "interrupted")
    peer.until(lambda: states[-1].state == State.STATE_INTERRUPTED, why="for the interruption")
    interrupted = messages.seconds(states[-1].since)
    peer.until(lambda: states[-1].state == State.STATE_IDLE, why="for idle")
    assert stamps(sound)[-1] - interrupted < 0.1
    assert voice(sound) < 3
    answer = peer.call(Trigger, "talking_face/interrupt", Trigger.Request())
    assert (answer.success, answer.message) == (True, "it was not speaking")

    # The stream stops in the middle of a word.
    sound.clear()
    loud = samples[np.argmax(np.abs(samples)) :]
    known = len(states)
    speaker.say(loud[: rate // 2], rate)
    until_idle_again(peer, states, known)
    spoken = messages.seconds(states[known].since)
    assert voice(sound, spoken) == pytest.approx(0.5, abs=0.25)
    node.wait_for_log("the speech stopped in the middle of a sound")

    # The sender is killed while it speaks. The next utterance is complete.
    speaker.send(samples, rate)
    peer.until(lambda: states[-1].state == State.STATE_SPEAKING, why="for its voice")
    node.popen.kill()
    node.popen.wait()
    start("talking_face", audio_out="none", width=256, height=256)
    peer.until(lambda: states[-1].state == State.STATE_IDLE, why="for the next one")
    sound.clear()
    frames.clear()
    peer.until(lambda: len(frames) > 5, why="for its frames")
    # The killed node still counts as a subscriber for some time. Repeat until the new one hears it.
    for _ in range(20):
        speaker.send(samples[:rate], rate)
        peer.spin(1.0)
        if sound:
            break
    peer.until(lambda: voice(sound) >= 1, why="for its voice")
    assert cv2.imdecode(np.frombuffer(frames[-1].data, np.uint8), 1).shape == (256, 256, 3)


def test_deactivated_while_it_speaks_it_is_idle(
    start: Callable[..., NodeProcess], peer: Peer
) -> None:
    """Also for later subscribers: voice_activity ignores sound until the face has spoken."""
    start("talking_face", audio_out="none", width=128, height=128)
    states = latched(peer)
    speaker = Speaker(peer)
    peer.until(lambda: len(states) == 1, why="for the node")
    speaker.connect()
    speaker.send(*hello())
    peer.until(lambda: states[-1].state == State.STATE_SPEAKING, why="for its voice")
    off = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    assert peer.call(ChangeState, "talking_face/change_state", off).success
    peer.until(lambda: states[-1].state == State.STATE_IDLE, why="for idle")
    later = latched(peer)
    peer.until(lambda: later, why="for the latched one")
    assert [s.state for s in later] == [State.STATE_IDLE]


def test_a_clean_up_lets_go_of_the_face(domain: int) -> None:
    """Otherwise its networks would be in memory twice after the next configuration."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    values = {"audio_out": "none", "width": 128, "height": 128}
    node = TalkingFaceNode(
        context=context,
        use_global_arguments=False,
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
    )
    try:
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() is TransitionCallbackReturn.SUCCESS
        held = [weakref.ref(node.performer), weakref.ref(node._renderer_choice)]
        assert node.trigger_deactivate() is TransitionCallbackReturn.SUCCESS
        assert node.trigger_cleanup() is TransitionCallbackReturn.SUCCESS
        assert [one() for one in held] == [None, None]
    finally:
        node.close()
        node.destroy_node()
        context.try_shutdown()


@pytest.mark.realtime
def test_an_interruption_is_seen_within_100_ms(
    start: Callable[..., NodeProcess], peer: Peer, tracker: FaceTracker
) -> None:
    """By stamps: from when the node received the interruption to the last frame with open lips."""
    start("talking_face", audio_out="none")
    states = latched(peer)
    frames = peer.listen(Image, "avatar/image")
    speaker = Speaker(peer)
    peer.until(lambda: len(frames) > 5, why="for frames")
    speaker.connect()

    def gap(frame: Image) -> float:
        """Returns the distance of the lips divided by that of the outer canthi."""
        image = image_from_message(frame)
        shot = Frame(image, 0.0, Camera.assume(*image.shape[1::-1]))
        (face,) = tracker.detect(shot, max_faces=1)
        points = face.landmarks[:, :2]
        return float(
            np.linalg.norm(points[13] - points[14]) / np.linalg.norm(points[33] - points[263])
        )

    samples, rate = hello()
    client = peer.node.create_client(Trigger, "talking_face/interrupt")
    peer.until(client.service_is_ready, why="for the service")

    def interrupt(pause: float) -> tuple[float, bool]:
        """Speaks for ``pause`` seconds and is interrupted.

        Returns the seconds until the lips stayed closed, and whether there were enough frames to
        tell: a busy computer drops some.
        """
        frames.clear()
        known = len(states)
        speaker.send(samples, rate)
        peer.until(lambda: len(states) > known and states[-1].state == State.STATE_SPEAKING)
        peer.spin(pause)
        client.call_async(Trigger.Request())
        peer.until(lambda: states[-1].state == State.STATE_INTERRUPTED, why="for the interruption")
        told = messages.seconds(states[-1].since)
        peer.until(lambda: states[-1].state == State.STATE_IDLE, why="for idle")
        lips = [(at - told, gap(frame)) for at, frame in zip(stamps(frames), frames, strict=True)]
        spoke = any(-0.7 < late < 0 and wide > 0.05 for late, wide in lips)
        enough = sum(0.1 < late < 0.45 for late, _ in lips) >= 3
        # The last frame with open lips, because the first with closed ones may have been dropped.
        last = max((late for late, wide in lips if late >= 0 and wide >= 0.03), default=0.0)
        return last, spoke and enough

    took = []
    end = time.monotonic() + scaled(120)
    for pause in (0.9, 1.3, 1.7):  # different sounds
        told_enough = False
        while not told_enough:
            assert time.monotonic() < end, "a computer that is too busy to show the face"
            last, told_enough = interrupt(pause)
            took.append(last)
    assert max(took) <= 0.1, "closed in time, and they stay closed"
    print("lips open until", [f"{1e3 * t:.0f} ms" for t in took])


@pytest.mark.realtime
def test_what_is_said_at_once_is_heard_whole(start: Callable[..., NodeProcess], peer: Peer) -> None:
    """Small chunks of a synthesizer that is faster than real time, and a reply after an
    interruption.
    """
    node = start("talking_face", audio_out="none", width=128, height=128)
    states = latched(peer)
    sound = peer.listen(msg.Audio, "avatar/audio")
    values = diagnostics(peer)
    speaker = Speaker(peer, depth=1000)
    peer.until(lambda: len(states) == 1, why="for the node")
    speaker.connect()
    samples, rate = hello()
    step = rate // 50
    pieces = [samples[k : k + step] for k in range(0, len(samples), step)]
    seconds = len(samples) / rate
    for stamp in (lambda: 0.0, time.time):
        sound.clear()
        for piece in pieces:
            speaker.send(piece, rate, stamp=stamp())
        speaker.send(samples[:0], 0)  # ends it
        until_idle_again(peer, states, len(states))
        assert voice(sound) == pytest.approx(seconds + 0.2, abs=0.1)

    # A second utterance in one message, as long as the rest of the interrupted one.
    for stamp in (lambda: 0.0, time.time):
        known = len(states)
        speaker.send(samples, rate, stamp=stamp())
        peer.until(lambda n=known: len(states) > n, why="for its voice")
        peer.spin(0.5)
        peer.call(Trigger, "talking_face/interrupt", Trigger.Request())
        peer.until(lambda: states[-1].state == State.STATE_IDLE, why="for the interruption")
        known = len(states)
        speaker.send(samples, rate, stamp=stamp())
        until_idle_again(peer, states, known)
        replied = messages.seconds(states[known].since)
        assert voice(sound, replied) == pytest.approx(seconds, abs=0.3)
    peer.until(lambda: values().get("late chunks") == "0", why="for diagnostics")

    # The clocks of two senders differ, and chunks arrive too late for their place.
    for k, piece in enumerate(pieces[:100]):
        speaker.send(piece, rate, stamp=1000.0 + 0.02 * k)
        speaker.send(piece, rate, stamp=5000.0 + 0.02 * k)
        peer.spin(0.01)
    node.wait_for_log("two senders at once, whose clocks differ")
    peer.until(lambda: states[-1].state == State.STATE_IDLE, why="for the end of both")
    for k, piece in enumerate(pieces[:50]):
        speaker.send(piece, rate, stamp=9000.0 + 0.02 * k)
    speaker.send(pieces[9], rate, stamp=9000.0 + 0.02 * 9)
    node.wait_for_log("chunks arrived after their time and were dropped (1 so far)")


def test_it_looks_at_the_speaker(start: Callable[..., NodeProcess], peer: Peer) -> None:
    values = {"audio_out": "none", "width": 256, "height": 256, "look_time": 1.0}
    node = start("talking_face", follow="speaker", **values)
    latch = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    speaker = peer.node.create_publisher(String, "speaker", latch)
    people = peer.publisher(msg.FaceArray, "faces")
    speaker.publish(String(data="face_1"))
    # It subscribes to faces only while it looks at one.
    peer.until(lambda: people.get_subscription_count() > 0, why="for a look at the speaker")
    node.wait_for_log("no face on the topic faces has the id 'face_1'")
    speaker.publish(String(data=""))
    peer.until(lambda: people.get_subscription_count() == 0, why="for a look at nobody")


def test_where_it_cannot_look_is_said_once(start: Callable[..., NodeProcess], peer: Peer) -> None:
    node = start("talking_face", audio_out="none", width=256, height=256, look_time=2.0)
    states = latched(peer)
    values = diagnostics(peer)
    point = peer.publisher(PointStamped, "avatar/look_at")
    who = peer.publisher(String, "avatar/look_at_face")
    people = peer.publisher(msg.FaceArray, "faces")
    peer.until(lambda: len(states) == 1, why="for the node")
    for publisher in (point, who):
        peer.until(lambda p=publisher: p.get_subscription_count() > 0, why="for its eyes")
    there = PointStamped()
    there.point.z = 1.0
    for name in ("map", "", "camera_optical_frame", "map"):
        there.header.frame_id = name
        point.publish(there)
        peer.spin(0.05)
    node.wait_for_log("'map' cannot be transformed to 'camera_optical_frame' (camera_frame)")

    seen = msg.Face(face_id="a1", head_pose_valid=True)
    seen.head_pose.position.z = 1.0
    said = "no face on the topic faces has the id 'p7'; the ids there: a1"

    def look(face_id: str, done: Callable[[], bool]) -> None:
        """Publishes the target again and again, as some senders do, with the faces present."""

        def told() -> bool:
            who.publish(String(data=face_id))
            people.publish(msg.FaceArray(faces=[seen]))
            peer.spin(0.05)
            return done()

        peer.until(told, why=f"for a look at {face_id}")

    # It subscribes to faces only while it looks at one.
    look("a1", lambda: people.get_subscription_count() > 0)
    look("p7", lambda: said in node.log)
    longer = time.monotonic() + 2.5  # than look_time
    look("a1", lambda: time.monotonic() > longer)
    who.publish(String(data=""))
    peer.until(lambda: values().get("refused") == "3", why="for the count of what was refused")
    assert node.log.count("look_at: ") == 1, node.log
    assert node.log.count("look_at_face: ") == 1, node.log

    # A face without a head pose is not at the camera, although its fields are 0.
    seen.face_id, seen.head_pose_valid = "b2", False
    look("b2", lambda: "look_at_face: b2 has no valid head pose" in node.log)


@pytest.mark.realtime
def test_bad_input_is_said_once_and_does_no_harm(
    start: Callable[..., NodeProcess], peer: Peer
) -> None:
    node = start("talking_face", remaps=("speech:=/tts",), audio_out="auto", width=256, height=256)
    states = latched(peer)
    sound = peer.listen(msg.Audio, "avatar/audio")
    speaker = Speaker(peer, "/tts")
    Speaker(peer, "/tts")  # which has nothing to say
    expression = peer.publisher(String, "avatar/expression")
    affect = peer.publisher(msg.ValenceArousal, "avatar/valence_arousal")
    point = peer.publisher(PointStamped, "avatar/look_at")
    peer.until(lambda: len(states) == 1, why="for the node")
    for publisher in (expression, affect, point):
        peer.until(lambda p=publisher: p.get_subscription_count() > 0, why="for its ears")
    speaker.connect()
    samples, rate = hello()
    for _ in range(3):
        speaker.send(samples[:1001], rate, channels=2)
        speaker.send(samples[:1000], 0)
        speaker.send(samples[:1000], rate, channels=0)
        expression.publish(String(data="joyful"))
        affect.publish(msg.ValenceArousal(valence=7.0, arousal=0.0))
        behind = PointStamped()
        behind.point.z = -1.0
        point.publish(behind)
        peer.spin(0.05)
    for said in (
        "unknown expression 'joyful': use one of neutral, angry",
        "valence 7.00 and arousal 0.00 must each be in [-1, 1]",
        "is not in front of the screen",
    ):
        node.wait_for_log(said)
        assert node.log.count(said) == 1
    for said in ("cannot be split into 2 channels", "sample_rate is 0: ", "channels is 0: "):
        node.wait_for_log(said)
        assert node.log.count(said) == 1
    assert states[-1].state == State.STATE_IDLE

    # Stereo at 44.1 kHz, clipped, in chunks that come late and in the wrong order.
    time_axis = np.arange(44_100) / 44_100
    loud = np.clip(np.sin(2 * np.pi * 200 * time_axis) * 90_000, -32768, 32767).astype(np.int16)
    stereo = np.stack([loud, loud], 1)
    begin = time.time()
    for k in (0, 1, 3, 2, 4, 6, 5, 7, 8, 9, 2):
        piece = stereo[k * 4410 : (k + 1) * 4410]
        speaker.send(piece.ravel(), 44_100, channels=2, stamp=begin + 0.1 * k)
    peer.until(lambda: states[-1].state == State.STATE_SPEAKING, why="for its voice")
    peer.until(lambda: states[-1].state == State.STATE_IDLE and len(states) == 3, why="for idle")
    node.wait_for_log("the audio is clipped")
    node.wait_for_log("the topic has 2 publishers, and only one may speak at a time")
    heard = np.concatenate([np.frombuffer(m.samples, np.int16) for m in sound])
    assert len(heard) == pytest.approx(48_000, abs=0.25 * 48_000)
    # A continuous tone crosses zero 400 times per second while it is loud.
    whole = heard[2000:46_000].astype(float)
    assert np.abs(np.diff(np.sign(whole))).sum() / 2 == pytest.approx(400 * 44 / 48, abs=8)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"portrait": "/nowhere/face.png"}, "portrait /nowhere/face.png: No such file"),
        ({"audio_common": "stamped"}, "ros-drivers' audio_common_msgs, which is not installed"),
        ({"audio_out": "device", "audio_device": "no such"}, "cannot be activated: "),
        ({"window": "window"}, "no display can be opened"),
        ({"web_port": -1}, "web_port: -1 is not from 0 to 65535"),
        ({"web_port": 1, "web_token_file": "/nowhere"}, "web_token_file /nowhere cannot be read"),
        (
            {"renderer": "none", "width": 800, "avatar": "a.avatar"},
            "renderer is none, so width, avatar have no effect",
        ),
    ],
)
def test_what_cannot_be_is_said(
    start: Callable[..., NodeProcess],
    monkeypatch: pytest.MonkeyPatch,
    parameters: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":987")
    start("talking_face", **parameters).wait_for_log(said)


def test_pictures_that_cannot_speak_and_one_that_can(
    start: Callable[..., NodeProcess], peer: Peer, tmp_path: Path
) -> None:
    face = cv2.imread(str(sample_photo("astronaut")))
    pictures = {
        "no face in the portrait: use": np.full((300, 300, 3), 128, np.uint8),
        "2 faces in the portrait, not one: cut": np.hstack([face, face]),
        "less than 64: use a larger picture": cv2.copyMakeBorder(
            cv2.resize(face, (100, 100)), 30, 30, 40, 40, cv2.BORDER_REPLICATE
        ),
        "100 million": np.full((10_100, 10_000), 128, np.uint8),
    }
    path = tmp_path / "portrait.png"
    for said, picture in pictures.items():
        cv2.imwrite(str(path), picture)
        node = start("talking_face", audio_out="none", portrait=str(path))
        log = node.wait_for_log("cannot be configured: ")
        node.end()
        assert said in log
    # A large message is accepted.
    cv2.imwrite(str(path), cv2.resize(face, (5000, 5000)))
    node = start("talking_face", audio_out="none", portrait=str(path))
    frames = peer.listen(Image, "avatar/image")
    peer.until(lambda: len(frames) > 0, 90, "for its frames")


def test_the_page_of_the_node(
    start: Callable[..., NodeProcess], peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = pytest.importorskip("websockets.sync.client")
    pytest.importorskip("pygame")
    from websockets.exceptions import InvalidStatus

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    port = free_port()
    node = start("talking_face", audio_out="none", web_port=port, window="window", width=256)
    node.wait_for_log(f"the face is shown on http://127.0.0.1:{port}/")
    speaker = Speaker(peer)
    values = diagnostics(peer)
    speaker.connect()
    address = f"ws://127.0.0.1:{port}/stream"
    with pytest.raises(InvalidStatus, match="403"):
        client.connect(address, origin="http://evil.example")
    samples, rate = hello()
    for times in (1, 2):  # a client that leaves and returns
        kinds = {1: 0, 2: 0}
        with client.connect(address, origin=f"http://127.0.0.1:{port}") as page:
            speaker.send(samples[: rate // 2], rate)
            end = time.monotonic() + scaled(20)
            while min(kinds.values()) < 10 or values().get("browsers") != "1":
                assert time.monotonic() < end, (kinds, values())
                peer.spin(0.001)
                kind, number, _ = struct.unpack("<BxxxId", page.recv(timeout=scaled(10))[:16])
                kinds[kind] += 1
                if kind == 1:
                    page.send(str(number))
        peer.until(lambda: values().get("browsers") == "0", why="until it is forgotten")
        peer.until(
            lambda n=times: node.log.count("a browser disconnected") == n, why="until that is said"
        )
    # The newest diagnostics may be older than the change.
    peer.until(lambda: values().get("page, refused") == "1", why="for the one that was refused")


def test_a_chosen_password_of_the_page_is_not_logged(
    start: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    pytest.importorskip("websockets")
    secret, port = tmp_path / "token", free_port()
    secret.write_text("kiosk-in-the-hall\n")
    node = start("talking_face", audio_out="none", web_port=port, web_token_file=str(secret))
    address = f"http://127.0.0.1:{port}/?token="
    node.wait_for_log(f"the face is shown on {address}PASSWORD")
    assert "kiosk" not in node.log
    with urllib.request.urlopen(f"{address}kiosk-in-the-hall", timeout=scaled(10)) as page:
        assert page.status == 200


def wav(path: Path, samples: npt.NDArray[np.int16], rate: int) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return str(path)


def test_voice_activity_of_a_recording_and_not_of_the_robot(
    start: Callable[..., NodeProcess], peer: Peer, tmp_path: Path
) -> None:
    samples, rate = hello()
    pause = np.zeros(rate, np.int16)
    source = wav(tmp_path / "talk.wav", np.concatenate([pause, samples, pause]), rate)
    start("microphone", source=source)
    start("voice_activity", remaps=("avatar/state:=/face/avatar/state",))
    found = peer.listen(msg.VoiceActivity, "voice_activity")
    state = peer.node.create_publisher(
        State,
        "/face/avatar/state",
        QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        ),
    )
    peer.until(lambda: any(f.speaking for f in found), why="for speech")
    peer.until(lambda: found[-1].probability < 0.1 and not found[-1].speaking, why="for silence")
    gaps = np.diff(stamps(found))
    assert np.median(gaps) == pytest.approx(0.032, abs=0.001)
    began = next(f for f in found if f.speaking)
    assert 0 <= messages.seconds(began.header.stamp) - messages.seconds(began.since) < 0.2
    assert {f.source for f in found} == {"voice_activity"}

    state.publish(State(state=State.STATE_SPEAKING))
    assert all(f.valid == np.isfinite(f.probability) for f in found)
    peer.until(lambda: not found[-1].valid, why="for deafness")
    found.clear()
    peer.until(lambda: len(found) > 220, why="for the recording once more")
    assert all(np.isnan(f.probability) and not (f.valid or f.speaking) for f in found)
    state.publish(State(state=State.STATE_IDLE))
    peer.until(lambda: any(f.speaking for f in found), why="for speech again")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"RIFFnothing", "some.wav cannot be read: it is cut off: its header is incomplete"),
        (
            None,
            "microphone no such device cannot be opened|PortAudio is|pip install sounddevice",
        ),
    ],
)
def test_a_microphone_that_is_not_there(
    start: Callable[..., NodeProcess], tmp_path: Path, content: bytes | None, said: str
) -> None:
    source = "no such device"
    if content is not None:
        (tmp_path / "some.wav").write_bytes(content)
        source = str(tmp_path / "some.wav")
    log = start("microphone", source=source).wait_for_log("cannot be configured: ")
    assert any(part in log for part in said.split("|")), log
