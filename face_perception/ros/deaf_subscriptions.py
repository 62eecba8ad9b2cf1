"""Finds out whether a node hears nothing where others do.

A node that receives nothing from existing publishers listens to /diagnostics, where all nodes of
this package say what they have received and sent. Only a node in trouble listens, so that it costs
the others nothing.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray

from face_perception.ros import waiting_times

if TYPE_CHECKING:
    from rclpy.node import Node

    from face_perception.ros.qos import SensorSubscription

# Keys of the diagnostics, followed by the full name of a topic.
RECEIVED, SENT = "received ", "sent "
# Messages that another node must have received or sent meanwhile. A few may be a matter of chance
# where a best-effort publisher loses most of its images.
_ENOUGH = 5


class Hearing:
    """Judges whether a node is deaf. Use it on the executor's thread only."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._subscription: Any = None
        self._listening_since = 0.0
        # By key and node: the count when listening began, and the newest.
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def deafness(self, subscriptions: Sequence[SensorSubscription], now: float) -> str:
        """Returns why the node is deaf, or "" if it is not, or if that is not known.

        ``now`` is monotonic, in seconds. Call it once a second.
        """
        silent = [s for s in subscriptions if s.subscribed_again is not None]
        if not silent:
            self._stop()
            return ""
        if self._subscription is None:
            self._listen(now)
            return ""
        if now - self._listening_since < waiting_times.DEAF:
            return ""
        for subscription in silent:
            if others := self._others_that_hear(subscription.topic):
                return f"hears nothing on {subscription.topic}, although {others}"
        if not self._counts and self._has_neighbours():
            topics = ", ".join(s.topic for s in silent)
            return (
                f"hears nothing on {topics}, and no diagnostics of the other nodes, which run: it "
                "is cut off"
            )
        # The publishers send nothing to anybody: ask again later.
        self._stop()
        for subscription in silent:
            subscription.subscribed_again = now
        return ""

    def _listen(self, now: float) -> None:
        self._listening_since = now
        self._subscription = self._node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, 50
        )

    def _stop(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self._counts.clear()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        own = self._node.get_fully_qualified_name().lstrip("/")
        for status in message.status:
            if status.name == own or status.hardware_id != "face_perception":
                continue
            for value in status.values:
                if value.key.startswith((RECEIVED, SENT)) and value.value.isdigit():
                    key = (value.key, status.name)
                    first = self._counts.get(key, (int(value.value), 0))[0]
                    self._counts[key] = (first, int(value.value))
            self._counts.setdefault(("alive", status.name), (0, 0))

    def _others_that_hear(self, topic: str) -> str:
        """Returns who received or sent messages on ``topic`` meanwhile, or ""."""
        for (key, node), (first, last) in self._counts.items():
            if last - first >= _ENOUGH and key == RECEIVED + topic:
                return f"{node} received {last - first} messages there meanwhile"
            if last - first >= _ENOUGH and key == SENT + topic:
                return f"{node} sent {last - first} messages there meanwhile"
        return ""

    def _has_neighbours(self) -> bool:
        """Returns whether another node of this package publishes diagnostics."""
        ours = _node_names()
        own = self._node.get_name()
        publishers = self._node.get_publishers_info_by_topic("/diagnostics")
        return any(p.node_name in ours and p.node_name != own for p in publishers)


def _node_names() -> set[str]:
    """Returns the names of the nodes of this package. Does not import them."""
    found = importlib.util.find_spec("face_perception.nodes")
    folders = found.submodule_search_locations if found is not None else None
    return {module.name for module in pkgutil.iter_modules(folders or [])}
