"""Publishes what is known beyond ``attention``: probabilities, events, and who was here.

The messages are diagnostic_msgs/DiagnosticArray, whose keys and values any tool can show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from face_perception.attention import (
    AttentionTracker,
    Departures,
    GazeEvents,
    TimeShares,
    looked_at_name,
    target_name,
)
from face_perception.ros import messages
from face_perception.ros.driver import PerceptionNode
from face_perception.types import Attention, FloatArray, Target


class PeopleTopics:
    """Publishes ``target_probabilities``, ``gaze_events`` and ``departed``.

    Make it in the ``setup`` of the node.
    """

    def __init__(self, node: PerceptionNode[Any]) -> None:
        self._node = node
        self._shares, self._events, self._departures = TimeShares(), GazeEvents(), Departures()
        self._probabilities = node.publisher(DiagnosticArray, "target_probabilities")
        self._gaze_events = node.publisher(DiagnosticArray, "gaze_events")
        self._departed = node.publisher(DiagnosticArray, "departed", depth=1, latched=True)
        self.publishers = self._probabilities, self._gaze_events, self._departed

    def update(
        self,
        header: Header,
        attention: Sequence[Attention],
        tracker: AttentionTracker,
        eyes: Mapping[str, FloatArray | None],
        robot_target: str,
    ) -> None:
        """Takes the attention of all faces in an image, and publishes what has subscribers.

        Shares, events and departures need what came before, so they are noted for every image.
        """
        stamp = messages.seconds(header.stamp)
        self._shares.update(stamp, attention)
        events = self._events.update(stamp, attention, robot_target)
        if self._node.has_subscribers(self._probabilities):
            found = [self._looks(item, tracker) for item in attention]
            self._publish(self._probabilities, header, found)
        if events:
            states = [
                _status(
                    event.shared.kind,
                    "begins" if event.begins else "ends",
                    {
                        "first": event.shared.who[0],
                        "second": event.shared.who[1],
                        "target": event.shared.target,
                    },
                )
                for event in events
            ]
            self._publish(self._gaze_events, header, states)
        if self._departures.update(stamp, attention, eyes):
            gone = [
                _status(
                    one.face_id,
                    f"last seen at {one.last_seen:.3f}",
                    {
                        "person_id": one.person_id,
                        "x": f"{one.point[0]:.3f}",
                        "y": f"{one.point[1]:.3f}",
                        "z": f"{one.point[2]:.3f}",
                        "first_seen": f"{one.first_seen:.3f}",
                        "last_seen": f"{one.last_seen:.3f}",
                    },
                )
                for one in self._departures.departed
            ]
            self._publish(self._departed, header, gone)

    def _looks(self, item: Attention, tracker: AttentionTracker) -> DiagnosticStatus:
        known = {
            target_name(choice): probability
            for choice, probability in tracker.probabilities(item.face_id).items()
            if choice[0] != Target.UNKNOWN
        }
        shares = self._shares.of(item.face_id)
        values = {f"probability {name}": f"{value:.4f}" for name, value in known.items()}
        values |= {f"share {name}": f"{value:.4f}" for name, value in shares.items()}
        return _status(item.face_id, looked_at_name(item), values)

    def _publish(self, publisher: Any, header: Header, status: list[DiagnosticStatus]) -> None:
        self._node.publish(publisher, DiagnosticArray(header=header, status=status))


def _status(name: str, message: str, values: Mapping[str, str]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=DiagnosticStatus.OK,
        name=name,
        message=message,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
