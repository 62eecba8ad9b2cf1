"""Subscribes to what is heard: voice activity, the level of the sound, and its direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from std_msgs.msg import Float32, Header

from face_perception import msg
from face_perception.attention import WARN_DELAY, SpeakerNetwork, WhoSpeaks
from face_perception.errors import InputError
from face_perception.ros import messages
from face_perception.ros.audio_input import AudioInput, AudioInputSettings
from face_perception.ros.driver import PerceptionNode
from face_perception.settings import setting
from face_perception.speech import VOICE_STEP, AudioChunk, SoundLevel

_HALF_PIECE = VOICE_STEP / 2  # from the stamp of a voice activity to the middle of its sound
_SAID = 60.0  # seconds for which the diagnostics say that a direction was refused
_LONGEST_DELAY = 2.0  # seconds of sound that may wait


@dataclass(frozen=True)
class SoundInputSettings(AudioInputSettings):
    """Settings of ``SoundInput``."""

    direction_topic: str = setting(
        "",
        "Topic with the direction of the sound (std_msgs/Float32), radians from the optical axis, "
        "positive to the left, as a microphone array gives it. Empty: none.",
    )


class SoundInput:
    """Passes what is heard to ``who``, and the sound to ``network``, if there is one.

    Make it in the ``start`` of the node.

    Reads ``voice_activity``; ``audio`` only while somebody publishes voice activity.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        who: WhoSpeaks,
        settings: SoundInputSettings,
        wanted: Callable[[], bool],
        network: SpeakerNetwork | None = None,
    ) -> None:
        self._node, self._who, self._network = node, who, network
        self._level = SoundLevel()
        self._refused = ("", -math.inf)  # why a direction was refused, and when by the ROS clock
        self._voice = node.subscribe(
            msg.VoiceActivity,
            "voice_activity",
            self._on_voice,
            depth=50,
            expected=False,
            wanted=wanted,
        )
        AudioInput(
            node,
            "audio",
            self._on_audio,
            settings,
            longest_delay=_LONGEST_DELAY,
            expected=False,
            wanted=lambda: wanted() and self.voice_published,
        )
        self._direction_topic = settings.direction_topic
        if settings.direction_topic:
            node.subscribe(
                Float32,
                settings.direction_topic,
                self._on_direction,
                depth=10,
                expected=False,
                wanted=wanted,
            )

    @property
    def voice_published(self) -> bool:
        """Whether a node publishes voice activity."""
        return self._voice.published

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        """Returns the problem (empty: all is well) and the values for the diagnostics."""
        delay = self._who.delay
        known = not math.isnan(delay)
        problem = ""
        if known and abs(delay) > WARN_DELAY:
            problem = (
                f"the stamps of the sound are {abs(delay) * 1e3:.0f} ms "
                f"{'later' if delay > 0 else 'earlier'} than those of the images (corrected for "
                "`speaking`): correct the clocks, or the stamps of the microphone or the camera"
            )
        why, when = self._refused
        if 0 <= self._node.ros_seconds() - when < _SAID:
            problem = "; ".join(filter(None, (problem, f"{self._direction_topic}: {why}")))
        offset = self._who.direction_offset
        if not math.isnan(offset):
            turned = (
                f"the directions on {self._direction_topic} are {math.degrees(offset):.0f} degrees "
                "off those whose lips speak, so they do not count: publish radians from the "
                "optical axis, positive to the left"
            )
            problem = "; ".join(filter(None, (problem, turned)))
        return problem, {
            "speaking rests on": self._who.source or "nothing: no voice_activity arrives",
            "sound later than images (ms)": f"{delay * 1e3:.0f}" if known else "not known",
        }

    def _on_voice(self, message: msg.VoiceActivity) -> None:
        probability = message.probability if message.valid else math.nan
        if message.valid and not 0 <= probability <= 1:
            raise InputError(
                f"the probability of a voice is {probability}: publish one from 0 to 1, or valid "
                "false if it is not known"
            )
        self._who.hear_voice(messages.seconds(message.header.stamp) + _HALF_PIECE, probability)

    def _on_audio(self, chunk: AudioChunk, header: Header) -> None:
        if not len(chunk.samples):
            return
        if chunk.stamp <= 0:
            # A chunk without a stamp was recorded just now.
            chunk = AudioChunk(self._node.ros_seconds() - chunk.duration, chunk.rate, chunk.samples)
        if self._network is not None:
            self._network.hear(chunk)
        for middle, level in self._level.measure(chunk):
            self._who.hear_level(middle, level)

    def _on_direction(self, message: Float32) -> None:
        now = self._node.ros_seconds()
        try:
            self._who.hear_direction(now, float(message.data))
        except InputError as error:
            self._refused = (str(error), now)
            raise
