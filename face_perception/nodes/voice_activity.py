"""The voice_activity node: publishes whether a person speaks, and not whether the robot does."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from std_msgs.msg import Header

from face_perception import msg
from face_perception.inference import NetworkSettings
from face_perception.ros import messages
from face_perception.ros.audio_input import AudioInput, AudioInputSettings
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.network_loading import NetworkLoader, network_diagnostics
from face_perception.settings import setting
from face_perception.speech import (
    AudioChunk,
    EchoCanceller,
    SpeechSegment,
    SpeechStream,
    VoiceActivity,
    VoiceActivitySettings,
    VoiceState,
)

_RATE = 16_000  # Hz
_STEP = 512 / _RATE  # seconds
_MAX_JITTER = 0.03  # seconds; a stamp that is further off corrects the clock of the audio
# Seconds for which the echo is known after what was played last. The robot's speech has pauses.
_PLAYED_LATELY = 1.0


@dataclass(frozen=True)
class VoiceActivityParameters(AudioInputSettings, VoiceActivitySettings, NetworkSettings):
    """Parameters of the voice_activity node."""

    gate_time: float = setting(
        0.3,
        "Time after the robot's speech during which the microphone is ignored, because of the echo "
        "in the room. A larger value suits a room with more echo.",
        minimum=0.0,
        maximum=10.0,
        unit="s",
        dynamic=True,
    )
    echo_cancellation: bool = setting(
        False,
        "Listen while the robot speaks: what it plays (the topic avatar/audio) is removed from "
        "what its microphone hears. Until the room is learnt, in the first seconds of speech, the "
        "microphone is still ignored. The results come 50 ms later.",
    )
    longest_delay: float = setting(
        2.0,
        "If audio of more than this duration waits, because the computer does not keep up, the "
        "oldest is dropped, with a warning. A larger value loses less and answers later.",
        minimum=0.1,
        maximum=60.0,
        unit="s",
    )


class VoiceActivityNode(PerceptionNode[VoiceActivityParameters]):
    """Reads ``audio`` and ``avatar/state``, publishes ``voice_activity`` for every 32 ms.

    With ``echo_cancellation`` it also reads ``avatar/audio``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("voice_activity", VoiceActivityParameters, **kwargs)

    def setup(self) -> None:
        self._network = NetworkLoader(self).load("voice_activity")
        self._activity = VoiceActivity(self._network, self.values)
        self._out = self.publisher(msg.VoiceActivity, "voice_activity", depth=50)
        self._canceller = EchoCanceller() if self.values.echo_cancellation else None
        self._reset_stream()
        self._robot_speaks = False
        self._robot_until = -math.inf

    def start(self) -> None:
        self._input = AudioInput(
            self,
            "audio",
            self._on_audio,
            self.values,
            longest_delay=self.values.longest_delay,
            dropped=self._on_dropped,
            hint="start the microphone node, or remap the topic to where your audio is",
            wanted=lambda: self.has_subscribers(self._out),
        )
        if self._canceller is not None:
            self._played = AudioInput(
                self,
                "avatar/audio",
                self._on_played,
                AudioInputSettings(),
                expected=False,
                wanted=lambda: self.has_subscribers(self._out),
            )
        self.subscribe_latched(msg.AvatarState, "avatar/state", self._on_state)
        self.timer(0.1, self._poll)

    def change_values(self, values: VoiceActivityParameters) -> None:
        self._activity.change_settings(values)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        fallback, values = network_diagnostics([self._network])
        problems = [fallback, self._input.status]
        return "; ".join(filter(None, problems)), {
            "gated": "yes: the robot speaks" if self._ignores_sound() else "no",
            **self._echo_diagnostics(),
            "late chunks": str(self._stream.late_chunks),
            "audio dropped (s)": f"{self._input.dropped_seconds:.1f}",
            "audio missing (s)": f"{self._input.missing_seconds:.1f}",
            **values,
        }

    def _echo_diagnostics(self) -> dict[str, str]:
        canceller = self._canceller
        if canceller is None:
            return {"echo cancellation": "off"}
        if not math.isfinite(canceller.played_until):
            return {"echo cancellation": f"nothing was played on {self._played.topic} so far"}
        return {
            "echo cancellation": "on" if canceller.learnt else "learns the room",
            "echo lowered by (dB)": f"{canceller.attenuation:.0f}",
        }

    def _on_played(self, chunk: AudioChunk, _: Header) -> None:
        if self._canceller is not None and chunk.stamp > 0:
            self._canceller.play(chunk)

    def _on_state(self, state: msg.AvatarState) -> None:
        speaks = state.state == msg.AvatarState.STATE_SPEAKING
        if self._robot_speaks and not speaks:
            self._robot_until = time.monotonic() + self.values.gate_time
        self._robot_speaks = speaks

    def _gated(self) -> bool:
        # A talking face that was killed while it spoke sends no more states.
        # count_publishers needs the resolved name, because rclpy does not remap it.
        state = self.resolve_topic_name("avatar/state")
        if self._robot_speaks and self.count_publishers(state) == 0:
            self._robot_speaks = False
        return self._robot_speaks or time.monotonic() < self._robot_until

    def _ignores_sound(self) -> bool:
        """Returns whether the microphone may hear the robot, whose echo is not removed."""
        canceller = self._canceller
        if canceller is None:
            return self._gated()
        since = abs(self._heard_until() - canceller.played_until)  # seconds
        # What is played tells of the robot's speech even while its state has not arrived.
        if not self._gated() and since > self.values.gate_time:
            return False
        return not canceller.learnt or since > _PLAYED_LATELY

    def _heard_until(self) -> float:
        """Returns the time at which the sound of the microphone so far ends, seconds."""
        waiting = self._canceller.waiting if self._canceller is not None else 0
        return self._began + (self._count + waiting) / _RATE

    def _reset_stream(self) -> None:
        # Audio that is missing from a live source never comes: treat it as silence at once.
        self._stream = SpeechStream((_RATE,), delay=math.inf)
        self._frame_id = ""
        self._speaking = False
        self._restart(0.0)

    def _restart(self, stamp: float) -> None:
        """Starts again: the next audio has this stamp in seconds and continues nothing."""
        if self._canceller is not None:
            self._canceller.forget_sound()
        self._restart_detection(stamp)

    def _restart_detection(self, stamp: float) -> None:
        """Starts to detect again, with audio that has this stamp in seconds."""
        self._activity.reset()
        self._began = stamp
        self._count = 0  # samples since then that were listened to or ignored
        self._skipped = False

    def _on_dropped(self, seconds: float) -> None:
        """Begins again after a hole: it must not be taken for silence."""
        if self._speaking:
            self._publish_step(self._began + self._count / _RATE, None)
        self._reset_stream()

    def _on_audio(self, chunk: AudioChunk, header: Header) -> None:
        self._frame_id = header.frame_id
        if chunk.stamp <= 0:
            # A chunk without a stamp was recorded just now.
            now = self.ros_seconds()
            chunk = AudioChunk(now - chunk.duration, chunk.rate, chunk.samples, chunk.clipped)
        now = time.monotonic()
        late = self._stream.late_chunks
        for segment in (*self._stream.poll(now), *self._stream.push_chunk(chunk, now)):
            self._process(segment)
        if self._stream.late_chunks > late:
            self.warn_throttled(
                f"{self._input.topic}: a chunk is older than the audio before it: left out "
                f"({self._stream.late_chunks} so far). Correct the stamps of the sender",
                key="late audio",
            )

    def _poll(self) -> None:
        for segment in self._stream.poll(time.monotonic()):
            self._process(segment)

    def _process(self, segment: SpeechSegment) -> None:
        samples = heard = segment.samples[_RATE]
        if segment.begins:
            self._restart(segment.stamp)
        elif segment.stamp > 0 and abs(segment.stamp - self._heard_until()) > _MAX_JITTER:
            # The clock of a sound card drifts from the computer's.
            self._began += 0.1 * (segment.stamp - self._heard_until())
        if self._canceller is not None:
            start = segment.stamp if segment.stamp > 0 else self._heard_until()
            samples, heard = self._canceller.push(samples, start), self._canceller.heard
        if self._ignores_sound():
            self._skip(len(samples))
        else:
            if self._skipped:
                # The robot's speech must not continue as a person's.
                self._restart_detection(self._began + self._count / _RATE)
            for step in self._activity.detect(samples, heard):
                self._publish_step(self._began + step.end - _STEP, step)
            self._count += len(samples)
        if segment.ends and self._speaking:
            self._publish_step(self._began + self._count / _RATE, None)

    def _skip(self, count: int) -> None:
        for number in range(self._count // 512, (self._count + count) // 512):
            self._publish_step(self._began + number * _STEP, None)
        self._count += count
        self._skipped = True

    def _publish_step(self, stamp: float, step: VoiceState | None) -> None:
        """Publishes the activity of one step of 32 ms; None if the audio was ignored."""
        self._speaking = step is not None and step.speaking
        message = msg.VoiceActivity(
            valid=step is not None,
            probability=step.probability if step is not None else math.nan,
            speaking=self._speaking,
            source=self._network.name,
        )
        message.header.stamp = messages.time(stamp)
        message.header.frame_id = self._frame_id
        if step is not None and math.isfinite(step.since):
            message.since = messages.time(self._began + step.since)
        self.publish(self._out, message, message.header)
