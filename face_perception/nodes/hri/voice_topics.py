"""The topics /humans/voices/… of REP-155. Imports hri_msgs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from std_msgs.msg import Bool

from face_perception import msg
from face_perception.nodes.hri.id_topics import IdTopics

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

# Voice activity does not tell voices apart, so all of them are one voice.
_VOICE = "voice_1"


class VoiceTopics:
    """Publishes whether somebody speaks, as one voice that is tracked while sound is listened to.

    Make it in the ``setup`` of a node, and call ``start`` in its ``start``.
    """

    def __init__(self, node: PerceptionNode[Any]) -> None:
        self._node = node
        self.ids = IdTopics(node, "voices", {"is_speaking": Bool})

    def start(self) -> None:
        """Subscribes to ``voice_activity``."""
        self._node.subscribe(
            msg.VoiceActivity,
            "voice_activity",
            self._on_activity,
            depth=10,
            expected=False,
            wanted=self.ids.any_wanted,
        )

    def _on_activity(self, message: Any) -> None:
        self.ids.track([_VOICE] if message.valid else [], message.header)
        if self.ids.listened(_VOICE, "is_speaking"):
            self.ids.publish(_VOICE, "is_speaking", Bool(data=bool(message.speaking)))
