"""The topics /humans/voices/… of REP-155. Imports hri_msgs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from std_msgs.msg import Bool

from face_perception import msg
from face_perception.errors import InputError
from face_perception.nodes.hri.id_topics import IdTopics
from face_perception.ros.audio_input import (
    AudioInput,
    AudioInputSettings,
    audio_common_messages,
)
from face_perception.speech import AudioChunk

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

# Voice activity does not tell voices apart, so all of them are one voice.
_VOICE = "voice_1"


class VoiceTopics:
    """Publishes whether somebody speaks, as one voice that is tracked while sound is listened to.

    Where ros-drivers' audio_common is installed, the sound of that voice is that of the microphone:
    mono, 16 bits, at the rate of ``audio``. Make it in the ``setup`` of a node, and call ``start``
    in its ``start``.
    """

    def __init__(self, node: PerceptionNode[Any], root: str) -> None:
        self._node = node
        topics: dict[str, type[Any]] = {"is_speaking": Bool}
        try:
            topics["audio"] = self._audio_type = audio_common_messages().AudioData
        except InputError:  # the package is optional
            self._audio_type = None
        self.ids = IdTopics(node, root, "voices", topics)

    def start(self) -> None:
        """Subscribes to ``voice_activity``, and to ``audio`` if it can be published."""
        self._node.subscribe(
            msg.VoiceActivity,
            "voice_activity",
            self._on_activity,
            depth=10,
            expected=False,
            wanted=self.ids.any_wanted,
        )
        if self._audio_type is not None:
            AudioInput(
                self._node,
                "audio",
                self._on_audio,
                AudioInputSettings(),
                expected=False,
                wanted=lambda: self.ids.wanted("audio"),
            )

    def _on_activity(self, message: Any) -> None:
        self.ids.track([_VOICE] if message.valid else [], message.header)
        if self.ids.listened(_VOICE, "is_speaking"):
            self.ids.publish(_VOICE, "is_speaking", Bool(data=bool(message.speaking)))

    def _on_audio(self, chunk: AudioChunk, _: Any) -> None:
        if len(chunk.samples) and self.ids.listened(_VOICE, "audio"):
            message = self._audio_type()
            samples = np.clip(np.rint(chunk.samples * 32768.0), -32768, 32767)
            message.data.frombytes(samples.astype("<i2").tobytes())
            self.ids.publish(_VOICE, "audio", message)
