"""A publisher of a node, whose subscriptions may be in the same process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.duration import Duration

from face_perception.ros.result_kinds import Kind, ResultKind

if TYPE_CHECKING:
    from face_perception.ros.in_process import InProcess


class NodePublisher:
    """Publishes items of a ``kind`` of results, or messages, to this process and to others.

    ``publisher`` is that of ROS. Without ``in_process`` all subscriptions are served by it; a
    ``latched`` publisher keeps its last message for later ones.
    """

    def __init__(
        self,
        publisher: Any,
        kind: Kind,
        in_process: InProcess | None,
        *,
        latched: bool,
    ) -> None:
        self._publisher = publisher
        self._kind = kind
        self._latched = latched
        # Later subscriptions would not get what a latched publisher keeps.
        self._in_process = None if latched else in_process
        self._topic = (self.topic_name, kind)
        if self._in_process is not None:
            self._in_process.add_publisher(self._topic)

    @property
    def topic_name(self) -> str:
        """The full name of the topic."""
        return str(self._publisher.topic_name)

    def close(self) -> None:
        """Tells this process that there is no such publisher any more."""
        if self._in_process is not None:
            self._in_process.remove_publisher(self._topic)

    def is_heard(self) -> bool:
        """Returns whether the topic has a subscription. Raises RCLError while ROS shuts down."""
        return self._is_heard_inside() or self._is_heard_outside()

    def publish(self, item: Any) -> None:
        """Publishes a result or a message. Raises RCLError while a reader outside stalls."""
        if self._in_process is not None:
            self._in_process.publish(self._topic, item)
        if self._latched or self._is_heard_outside():
            kind = self._kind
            self._publisher.publish(kind.write(item) if isinstance(kind, ResultKind) else item)

    def wait_until_received(self, seconds: float) -> None:
        """Waits at most ``seconds`` until all readers outside have what was published.

        DDS drops what they have not received when the publisher is destroyed.
        """
        self._publisher.wait_for_all_acked(Duration(seconds=seconds))

    def _is_heard_inside(self) -> bool:
        return self._in_process is not None and self._in_process.heard(self._topic)

    def _is_heard_outside(self) -> bool:
        return bool(self._publisher.get_subscription_count() > 0)
