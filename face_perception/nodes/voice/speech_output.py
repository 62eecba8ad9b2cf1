"""What the voice node sends: speech, the times of phonemes, expressions and interruptions."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from std_msgs.msg import String
from std_srvs.srv import Trigger

from face_perception import msg
from face_perception.ros import messages
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.phoneme_messages import phonemes_to_msg
from face_perception.ros.rclpy_compat import RCLError
from face_perception.speech import UtteranceChunk, to_int16

_PATIENCE = 1.0  # seconds to wait until the talking face has stopped
_NOBODY = 2.0  # seconds to wait for somebody who hears the speech, before and during it


class SpeechOutput:
    """Publishes speech. A node makes it in ``setup``, and uses it on the executor's thread."""

    def __init__(self, node: PerceptionNode[Any]) -> None:
        self._node = node
        self._speech = node.publisher(msg.Audio, "speech", depth=200)
        self._phonemes = node.publisher(msg.Phonemes, "speech_phonemes", depth=20)
        self._expression = node.publisher(String, "avatar/expression", depth=10)
        self._face = node.create_client(Trigger, "talking_face/interrupt")
        node.on_end(node.destroy_client, self._face)
        self._zero = 0.0  # stamp of the first sample of the utterance, seconds
        self._end_stamp = 0.0  # stamp of the end of what was sent
        # ROS time at which the utterance began; not later than its first stamp. Infinity once this
        # object has stopped it: the talking face then tells of that, and of nothing else.
        self._began = 0.0
        self._answer: Any = None  # to the request that the talking face stops
        self._asked_at = self._deaf_since = 0.0  # monotonic

    def start(self, interrupted: Callable[[float], None]) -> None:
        """Calls ``interrupted`` when a person or another program stops the talking face.

        Its argument is the ROS time at which the face stopped, seconds.

        Call it in the ``start`` of the node.
        """
        self._answer = None
        self._deaf_since = 0.0

        def on_state(state: msg.AvatarState) -> None:
            # The stamp tells whether it stopped during this utterance, or before.
            stopped = state.state == msg.AvatarState.STATE_INTERRUPTED
            since = messages.seconds(state.since)
            if stopped and since >= self._began:
                interrupted(since)

        self._node.subscribe_latched(msg.AvatarState, "avatar/state", on_state)

    def ready(self) -> bool:
        """Returns whether another utterance may begin.

        It may not while the talking face is about to stop, because it would drop it. Waits a moment
        for somebody who hears the speech; see ``heard``.
        """
        now = time.monotonic()
        answered = self._answer is None or self._answer.done()
        if not answered and now - self._asked_at < _PATIENCE:
            return False
        lost = self.lost()
        return lost or self.heard

    def lost(self) -> bool:
        """Returns whether nobody has heard the speech for a moment. Call it regularly."""
        now = time.monotonic()
        if self.heard:
            self._deaf_since = 0.0
            return False
        self._deaf_since = self._deaf_since or now
        return now - self._deaf_since > _NOBODY

    @property
    def heard(self) -> bool:
        """Whether the topic of the speech has a subscriber."""
        return self._node.has_subscribers(self._speech)

    @property
    def topic(self) -> str:
        """The full name of the topic of the speech."""
        return self._speech.topic_name

    def begin(self, expression: str) -> None:
        """Begins an utterance. ``expression`` is that of the face meanwhile; empty: unchanged."""
        now = self._node.ros_seconds()
        if now < self._began:  # the clock went back, as that of a bag that is played again
            self._end_stamp = 0.0
        self._began = now
        # A stamp of 0, as of simulated time before the clock runs, would mean that it is unknown.
        self._zero = max(now, self._end_stamp, 1.0)
        if expression:
            self._node.publish(self._expression, String(data=expression))

    def send(self, chunks: Sequence[UtteranceChunk]) -> None:
        """Sends the next chunks of the utterance."""
        for chunk in chunks:
            if chunk.phones:
                phonemes = phonemes_to_msg(chunk.phones, self._zero)
                self._node.publish(self._phonemes, phonemes)
            audio = msg.Audio(sample_rate=chunk.rate, channels=1)
            audio.samples.frombytes(to_int16(chunk.samples).tobytes())
            audio.header.stamp = messages.time(self._zero + chunk.start)
            self._node.publish(self._speech, audio)
            self._end_stamp = self._zero + chunk.start + len(chunk.samples) / chunk.rate

    def end(self, expression: str) -> None:
        """Ends the utterance; ``expression`` is what ``begin`` got."""
        self._node.publish(self._speech, msg.Audio(sample_rate=16_000, channels=1))
        self._deaf_since = 0.0
        self._reset(expression)

    def abandon(self, expression: str) -> None:
        """Ends the utterance after the talking face has stopped it.

        Sends it neither an end nor an interruption: they would hit the speech with which another
        program replies.
        """
        self._reset(expression)
        self._end_stamp = 0.0
        self._answer = None

    def _reset(self, expression: str) -> None:
        """Shows the neutral face again after an utterance with an expression."""
        if expression:
            self._node.publish(self._expression, String())

    def interrupt(self, expression: str) -> None:
        """Ends the utterance, and asks the talking face, if there is one, to stop at once."""
        self.end(expression)
        self._began = math.inf
        self._end_stamp = 0.0
        self._answer = None
        with contextlib.suppress(RCLError):  # while ROS shuts down
            if self._face.service_is_ready():
                self._asked_at = time.monotonic()
                self._answer = self._face.call_async(Trigger.Request())
