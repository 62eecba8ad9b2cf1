"""The voice node over real DDS, with a voice of another package: speech, goals, interruptions."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_processes import NodeProcess, Peer
from rclpy.action import ActionClient, ActionServer
from std_msgs.msg import String
from std_srvs.srv import Trigger

from face_perception import msg
from face_perception.action import Say
from face_perception.nodes.voice.speech_output import SpeechOutput
from face_perception.ros import messages
from face_perception.speech import UtteranceChunk

# A voice that says letters, 50 ms each, at a level that tells the sentences apart.
PACKAGE = """
import numpy as np
from face_perception.errors import InputError
from face_perception.speech import Phone, SpokenText, TimedWord

class Letters:
    def __init__(self, name):
        self.name, self.count = "letters:" + name, 0

    def synthesise(self, text, speed):
        if "broken" in text:
            raise RuntimeError("no reason")
        if not text.isascii():
            raise InputError("letters says ASCII letters only")
        self.count += 1
        step = 0.05 / speed
        samples = np.full(round(16_000 * step * len(text)), 0.1 * self.count, np.float32)
        phones = tuple(Phone(c, step * i, step * (i + 1)) for i, c in enumerate(text))
        return SpokenText(samples, 16_000, phones, (TimedWord(text, 0.0, step * len(text)),))
"""


class Listener:
    """A client of the voice node that hears its speech.

    Without a real talking face (``face``) it also answers in its place.
    """

    def __init__(self, peer: Peer, *, face: bool = False) -> None:
        self.peer = peer
        self.speech = peer.listen(msg.Audio, "speech")
        self.phonemes = peer.listen(msg.Phonemes, "speech_phonemes")
        self.expressions = peer.listen(String, "avatar/expression")
        self.feedback: list[Any] = []
        self.silenced = 0  # how often the talking face was told to stop
        if not face:
            self.state = peer.node.create_publisher(msg.AvatarState, "avatar/state", latched_qos())
            peer.node.create_service(Trigger, "talking_face/interrupt", self._on_interrupt)
        self.client = ActionClient(peer.node, Say, "say")
        peer.until(self.client.server_is_ready, why="for the voice node")

    def _on_interrupt(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.silenced += 1
        self.interrupt_face()
        return response

    def interrupt_face(self) -> None:
        """Tells, as the talking face does, that it was interrupted just now."""
        state = msg.AvatarState(state=msg.AvatarState.STATE_INTERRUPTED)
        state.since = self.peer.node.get_clock().now().to_msg()
        self.state.publish(state)

    def begin(self, text: str, **goal: Any) -> tuple[Any, Any]:
        """Sends a goal; returns its handle and the future of its result."""
        sent = self.client.send_goal_async(
            Say.Goal(text=text, **goal), lambda m: self.feedback.append(m.feedback)
        )
        self.peer.until(sent.done, why="for the goal")
        return sent.result(), sent.result().get_result_async()

    def result(self, future: Any) -> Any:
        self.peer.until(future.done, why="for the result")
        return future.result().result

    def say(self, text: str, **goal: Any) -> Any:
        return self.result(self.begin(text, **goal)[1])

    def until_ended(self) -> None:
        """Waits for the message without samples, which ends the utterance."""
        self.peer.until(lambda: not len(self.speech[-1].samples), why="for the end of the speech")

    def heard(self) -> float:
        """Returns how many seconds of speech came."""
        return sum(len(m.samples) / m.sample_rate for m in self.speech)


@pytest.fixture
def listen(
    start: Callable[..., NodeProcess],
    peer: Peer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Listener]:
    package = tmp_path / "packages"
    info = package / "letters-1.0.dist-info"
    info.mkdir(parents=True)
    (package / "letters_voice.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: letters\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[face_perception_voices]\nletters = letters_voice:Letters\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def started(*, face: bool = False, **parameters: Any) -> Listener:
        start("voice", voice="letters", **parameters)
        return Listener(peer, face=face)

    return started


def test_texts_are_said_and_bad_ones_refused(listen: Callable[..., Listener]) -> None:
    listener = listen()
    done = listener.say("One two. Three.", expression="Happy ", speed=2.0)
    assert (done.success, done.interrupted, done.message) == (True, False, "said")
    listener.until_ended()
    letters = len("One two.") + len("Three.")
    assert listener.heard() == pytest.approx(letters * 0.025, abs=1e-3)
    *chunks, _ = listener.speech
    stamps = [messages.seconds(m.header.stamp) for m in chunks]
    lengths = np.cumsum([0] + [len(m.samples) / 16_000 for m in chunks[:-1]])
    np.testing.assert_allclose(np.array(stamps) - stamps[0], lengths, atol=1e-3)
    first, second = listener.phonemes
    assert "".join(first.symbols + second.symbols) == "One two.Three."
    assert second.starts[0] == pytest.approx(8 * 0.025), "from the first sample of the text"
    assert messages.seconds(second.header.stamp) == pytest.approx(stamps[0], abs=1e-6)
    listener.peer.until(lambda: len(listener.expressions) > 1, why="for the expression")
    assert [m.data for m in listener.expressions] == ["happy", ""]
    assert any(f.word == "One two." for f in listener.feedback)
    left = [f.seconds_left for f in listener.feedback]
    assert left == sorted(left, reverse=True)

    for text, goal, why in (
        ("", {}, "nothing to say"),
        ("\U0001f600", {}, "nothing to say"),
        ("Zwölf", {}, "ASCII letters only"),
        ("One. Zwölf.", {}, "not all of the text can be said: letters says ASCII letters only"),
        ("broken", {}, "letters: failed with RuntimeError: no reason"),
        ("a" * 30_000, {}, "at most 20000"),
        ("a", {"speed": float("nan")}, "speed is nan"),
        ("a", {"speed": -1.0}, "speed is -1"),
        ("a", {"voice": "nobody"}, "no voice engine 'nobody'"),
        ("a", {"voice": "os:system"}, "no voice engine 'os'"),
        ("a", {"expression": "grumpy"}, "unknown expression 'grumpy'"),
    ):
        refused = listener.say(text, **goal)
        assert (refused.success, refused.interrupted) == (False, False), text[:10]
        assert why in refused.message, refused.message
    assert listener.say("And on.").success, "it goes on after all of them"


def test_speech_is_interrupted_queued_and_replaced(listen: Callable[..., Listener]) -> None:
    listener = listen()
    peer, long = listener.peer, "a" * 90
    # Canceling stops the speech, tells the talking face, and the next text is heard.
    handle, result = listener.begin(long, expression="sad")
    peer.until(lambda: listener.heard() > 0.2, why="for speech")
    peer.until(handle.cancel_goal_async().done, why="for cancel")
    canceled = listener.result(result)
    assert (canceled.success, canceled.interrupted, canceled.message) == (False, True, "canceled")
    peer.until(lambda: listener.silenced == 1, why="for the talking face")
    listener.until_ended()
    assert listener.heard() < 3
    peer.until(lambda: listener.expressions[-1].data == "", why="for the expression")
    # Two at once: the second waits.
    _, first = listener.begin("one")
    _, second = listener.begin("two")
    assert listener.result(first).success
    assert listener.result(second).success
    # The first one is canceled: the talking face says that it was interrupted, and the second one
    # is said.
    handle, first = listener.begin(long)
    _, second = listener.begin("two")
    before = listener.heard()
    peer.until(lambda: listener.heard() > before + 0.2, why="for speech")
    peer.until(handle.cancel_goal_async().done, why="for cancel")
    assert listener.result(first).message.startswith("canceled")
    assert listener.result(second).success
    assert listener.silenced == 2
    # The talking face was interrupted by another program.
    _, result = listener.begin(long)
    _, waiting = listener.begin("two")
    before = listener.heard()
    peer.until(lambda: listener.heard() > before + 0.2, why="for speech")
    old = msg.AvatarState(state=msg.AvatarState.STATE_INTERRUPTED)
    listener.state.publish(old)  # since the beginning of time: no news
    peer.spin(0.2)
    assert not result.done()
    old.since = peer.node.get_clock().now().to_msg()
    _, reply = listener.begin("three")  # it comes after the interruption, and before its message
    listener.state.publish(old)
    assert "the talking face was interrupted" in listener.result(result).message
    assert listener.result(waiting).interrupted, "what waited is not said"
    assert listener.silenced == 2, "it would interrupt the speech of the other program"
    assert listener.result(reply).success
    # A text on the topic, and the service.
    say_text = peer.publisher(String, "say_text")
    peer.until(lambda: say_text.get_subscription_count() > 0, why="for say_text")
    before = listener.heard()
    say_text.publish(String(data=long))
    peer.until(lambda: listener.heard() > before + 0.2, why="for speech")
    answer = peer.call(Trigger, "voice/interrupt", Trigger.Request())
    assert answer.message == "1 texts were interrupted"
    # Deactivating ends the goal, and silences the talking face if it has begun to speak.
    _, result = listener.begin(long)
    before = listener.heard()
    peer.until(lambda: listener.heard() > before + 0.2, why="for speech")
    silenced = listener.silenced
    change = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    assert peer.call(ChangeState, "voice/change_state", change).success
    assert "deactivated" in listener.result(result).message
    peer.until(lambda: listener.silenced > silenced, why="for the talking face")
    assert "not active" in listener.say("one").message


def test_a_text_replaces_another_one(listen: Callable[..., Listener]) -> None:
    listener = listen(when_busy="replace")
    _, first = listener.begin("a" * 90)
    listener.peer.until(lambda: listener.heard() > 0.2, why="for speech")
    _, second = listener.begin("two")
    assert listener.result(first).message == "another text replaced it"
    assert listener.result(first).interrupted
    assert listener.result(second).success
    # A text that cannot be said interrupts nothing.
    _, third = listener.begin("three")
    assert "nothing to say" in listener.say("...").message
    assert listener.result(third).success
    # The talking face ends in the middle of a text.
    _, fourth = listener.begin("a" * 90)
    before = listener.heard()
    listener.peer.until(lambda: listener.heard() > before + 0.2, why="for speech")
    node = listener.peer.node
    (ears,) = (s for s in node.subscriptions if s.topic_name == "/speech")
    node.destroy_subscription(ears)
    assert "nobody subscribes to /speech any more" in listener.result(fourth).message


class SimulatedNode:
    """What ``SpeechOutput`` needs of a node, with a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stamps: list[float] = []
        self.on_state: Callable[[msg.AvatarState], None] = lambda state: None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_, **__: None  # publisher, create_client, on_end

    def ros_seconds(self) -> float:
        return self.now

    def subscribe_latched(self, _type: Any, _topic: str, callback: Callable[..., None]) -> None:
        self.on_state = callback

    def publish(self, _: Any, message: Any) -> None:
        self.stamps.append(messages.seconds(message.header.stamp))


def test_a_clock_that_is_slow_or_goes_back() -> None:
    node = SimulatedNode()
    interrupted: list[float] = []
    output = SpeechOutput(node)  # type: ignore[arg-type]
    output.start(interrupted.append)
    chunk = UtteranceChunk(0.0, 16_000, np.zeros(160_000, np.float32))
    # The clock is half as fast as the sound: the stamps of the second text go on after the first.
    for now in (100.0, 105.0):
        node.now = now
        output.begin("")
        output.send([chunk])
    assert node.stamps == [100.0, 110.0]
    node.on_state(
        msg.AvatarState(state=msg.AvatarState.STATE_INTERRUPTED, since=messages.time(107.0))
    )
    assert interrupted == [107.0], "during the second text, although its first stamp is later"
    node.now = 5.0
    output.begin("")
    output.send([chunk])
    assert node.stamps[-1] == 5.0


def test_say_ends_when_the_voice_node_does(peer: Peer) -> None:
    goals: list[Any] = []
    server = ActionServer(
        peer.node, Say, "say", lambda handle: Say.Result(), handle_accepted_callback=goals.append
    )
    done: list[subprocess.CompletedProcess[str]] = []
    # The bytes of a terminal that is not UTF-8 reach the node as a question mark.
    saying = threading.Thread(target=lambda: done.append(call("say", "gr\udcfcn")))
    saying.start()
    peer.until(lambda: goals, why="for the goal")
    assert goals[0].request.text == "gr?n"
    server.destroy()
    peer.until(lambda: done, why="for the end of say")
    saying.join()
    assert done[0].returncode == 1
    assert "the voice node ended before it had said the text" in done[0].stderr


def test_the_talking_face_says_it_with_closed_lips(
    start: Callable[..., NodeProcess], listen: Callable[..., Listener], peer: Peer
) -> None:
    start("talking_face", audio_out="none", width=128, height=128)
    mouths = peer.listen(msg.Mouth, "avatar/mouth")
    sound = peer.listen(msg.Audio, "avatar/audio")
    states: list[msg.AvatarState] = []
    peer.node.create_subscription(msg.AvatarState, "avatar/state", states.append, latched_qos())
    say_text = peer.publisher(String, "say_text")
    listener = listen(face=True)
    peer.until(lambda: len(mouths) > 5, why="for the talking face")
    assert not any(mouth.speaking for mouth in mouths)
    peer.until(lambda: say_text.get_subscription_count() > 0, why="for say_text")
    say_text.publish(String(data="mmmmuuuummmm"))  # 0.6 s
    peer.until(lambda: sound and states[-1].state == msg.AvatarState.STATE_IDLE, why="for speech")
    zero = messages.seconds(sound[0].header.stamp)

    def during(begin: float, end: float) -> list[msg.Mouth]:
        found = [m for m in mouths if begin <= messages.seconds(m.header.stamp) - zero < end]
        assert found
        return found

    assert all(m.opening < 0.05 for m in during(0.0, 0.17))
    assert all(m.press > 0.9 for m in during(0.08, 0.17)), (
        "at rest the lips are closed, not pressed"
    )
    assert all(m.round > 0.7 and m.speaking for m in during(0.26, 0.34))
    assert all(m.press > 0.9 for m in during(0.45, 0.57))
    assert all(sum(m.visemes) == pytest.approx(1, abs=1e-4) for m in mouths)
    # Canceling ends in silence with a closed mouth.
    handle, result = listener.begin("u" * 90)
    peer.until(lambda: mouths[-1].round > 0.7, why="for speech")
    peer.until(handle.cancel_goal_async().done, why="for cancel")
    assert listener.result(result).interrupted
    peer.until(lambda: not mouths[-1].speaking and mouths[-1].opening == 0, why="for a shut mouth")
    known = len(sound)
    peer.spin(0.5)
    assert len(sound) - known <= 1
    assert msg.AvatarState.STATE_INTERRUPTED in [state.state for state in states]


def latched_qos() -> Any:
    from face_perception.ros import qos

    return qos.results(1, latched=True)
