"""A program that knows nothing but the text of REP-155: prints what it hears, as JSON lines.

    python3 rep155_consumer.py

It subscribes to who is tracked, and to the topics of each id while the id is tracked. Each line has
the topic and the fields of one message; ``/tf`` has a line for each frame. Ends at a signal.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import rclpy
from audio_common_msgs.msg import AudioData
from hri_msgs.msg import (
    EngagementLevel,
    Expression,
    FacialActionUnits,
    FacialLandmarks,
    Gaze,
    IdsList,
    IdsMatch,
    NormalizedRegionOfInterest2D,
)
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, Float32, String
from tf2_msgs.msg import TFMessage

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TOPICS: dict[str, dict[str, tuple[type[Any], Any]]] = {
    "faces": {
        "roi": (NormalizedRegionOfInterest2D, 10),
        "cropped": (Image, 10),
        "aligned": (Image, 10),
        "landmarks": (FacialLandmarks, 10),
        "facs": (FacialActionUnits, 10),
        "expression": (Expression, 10),
    },
    "persons": {
        "anonymous": (Bool, LATCHED),
        "face_id": (String, LATCHED),
        "engagement_status": (EngagementLevel, 10),
        "location_confidence": (Float32, LATCHED),
    },
    "voices": {"is_speaking": (Bool, 10), "audio": (AudioData, 10)},
}


def plain(message: Any) -> Any:
    """Returns the fields of a message as numbers, texts, lists and dictionaries."""
    if isinstance(message, Image):
        size = {"width": message.width, "height": message.height, "bytes": len(message.data)}
        return {"header": plain(message.header), **size}
    if hasattr(message, "get_fields_and_field_types"):
        return {
            name: plain(getattr(message, name)) for name in message.get_fields_and_field_types()
        }
    if hasattr(message, "tolist"):  # arrays of numbers
        return message.tolist()
    if isinstance(message, (str, bool, int, float)):
        return message
    return [plain(item) for item in message]


class Consumer(Node):
    """Follows the ids of faces, persons and voices."""

    def __init__(self) -> None:
        super().__init__("rep155_consumer")
        self._by_id: dict[tuple[str, str], list[Any]] = {}
        for kind in TOPICS:
            self.create_subscription(
                IdsList, f"/humans/{kind}/tracked", lambda m, kind=kind: self._track(kind, m), 10
            )
        self.create_subscription(
            Gaze, "/humans/interactions/gazing", lambda m: self._print("gazing", m), 10
        )
        self.create_subscription(
            IdsMatch, "/humans/candidate_matches", lambda m: self._print("candidate_matches", m), 10
        )
        self.create_subscription(TFMessage, "/tf", self._on_frames, 100)

    def _track(self, kind: str, message: IdsList) -> None:
        self._print(f"{kind}/tracked", message)
        for known in [i for k, i in self._by_id if k == kind and i not in message.ids]:
            for subscription in self._by_id.pop((kind, known)):
                self.destroy_subscription(subscription)
        for new in message.ids:
            if (kind, new) not in self._by_id:
                self._by_id[kind, new] = [
                    self.create_subscription(
                        type_,
                        f"/humans/{kind}/{new}/{name}",
                        lambda m, topic=f"{kind}/{new}/{name}": self._print(topic, m),
                        qos,
                    )
                    for name, (type_, qos) in TOPICS[kind].items()
                ]

    def _on_frames(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self._print("tf", transform)

    def _print(self, topic: str, message: Any) -> None:
        print(json.dumps({"topic": topic, **plain(message)}), flush=True)


if __name__ == "__main__":
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Consumer())
