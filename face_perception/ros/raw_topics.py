"""Receives messages unread, as bytes, from topics whose types the publishers decide."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message

from face_perception.errors import InputError, one_line
from face_perception.ros import qos
from face_perception.ros.rclpy_compat import waiting

if TYPE_CHECKING:
    from rclpy.qos import QoSProfile

    from face_perception.ros.driver import PerceptionNode


_KIND = re.compile(r"[A-Za-z]\w*/msg/[A-Za-z]\w*", re.ASCII)


class RawTopics:
    """Subscribes a node to ``topics`` (full names) as their publishers appear, until ``end``.

    Call ``look`` now and then. The QoS is what all publishers of a topic offer, as in rosbag2, and
    follows them. ``found(topic, publisher)`` is called before the first subscription to a topic,
    with the TopicEndpointInfo of a publisher; if it raises LookupError, the topic is left out and
    ``problems`` has the reason. ``received(topic, data)`` gets each message. ``depth`` is the
    number of messages that wait for the executor.

    Reading a message takes far longer than receiving its bytes, so a node that needs few of them
    reads those it needs. Receiving takes time as well, above all that of an image: the topics
    ``on_demand`` are received by ``take`` alone. The number of each says how many messages wait for
    that; DDS drops older ones. ``set_waiting`` changes it.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        topics: Iterable[str],
        received: Callable[[str, bytes], None],
        *,
        depth: int,
        on_demand: Mapping[str, int] | None = None,
        found: Callable[[str, Any], None] = lambda topic, publisher: None,
    ) -> None:
        self._node, self._topics = node, tuple(topics)
        self._on_demand = dict(on_demand or {})
        self._reader: Node | None = None  # of the topics on demand: no executor has it
        self._received, self._found, self._depth = received, found, depth
        self._subscriptions: dict[str, tuple[QoSProfile, Any]] = {}
        self.kinds: dict[str, type[Any]] = {}  # the class of the messages of each topic found
        self.problems: dict[str, str] = {}

    @property
    def subscribed(self) -> list[str]:
        """The topics that have a subscription."""
        return list(self._subscriptions)

    def look(self) -> None:
        """Subscribes to topics that have publishers now, and follows changes of their QoS."""
        for topic in self._topics:
            if topic in self.problems or not self._node.count_publishers(topic):
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            depth = self._on_demand.get(topic, self._depth)
            profile = qos.offered_by_all(publishers, depth)
            before, subscription = self._subscriptions.get(topic, (None, None))
            if before == profile:
                continue
            if subscription is not None:
                self._owner(topic).destroy_subscription(subscription)
                del self._subscriptions[topic]
            elif topic not in self.kinds and not self._add(topic, publishers[0]):
                continue
            self._subscriptions[topic] = (profile, self._subscribe(topic, profile))

    def end(self) -> None:
        """Ends all subscriptions, and forgets the problems: the next ``look`` tries all again."""
        for topic, (_, subscription) in self._subscriptions.items():
            self._owner(topic).destroy_subscription(subscription)
        self._subscriptions.clear()
        if self._reader is not None:
            self._reader.destroy_node()
            self._reader = None
        self.problems.clear()

    def take(self, topic: str, last: Callable[[bytes], bool] = lambda data: False) -> None:
        """Receives what waits on a topic on demand, oldest first, up to what ``last`` accepts."""
        _, subscription = self._subscriptions.get(topic, (None, None))
        for data in waiting(subscription) if subscription is not None else ():
            subscription.callback(data)
            if last(data):
                return

    def set_waiting(self, topic: str, most: int) -> None:
        """Lets at most ``most`` messages of a topic on demand wait, from the next ``look`` on.

        That subscribes again, so what waits then is lost.
        """
        self._on_demand[topic] = most

    def _owner(self, topic: str) -> Node:
        """Returns the node that has the subscription of a topic."""
        if topic not in self._on_demand:
            return self._node
        if self._reader is None:
            self._reader = Node(
                f"_{self._node.get_name()}_reader",  # the list of nodes leaves out a leading _
                context=self._node.context,
                namespace=self._node.get_namespace(),
                use_global_arguments=False,
                enable_rosout=False,
                start_parameter_services=False,
                parameter_overrides=[Parameter("start_type_description_service", value=False)],
            )
        return self._reader

    def _add(self, topic: str, publisher: Any) -> bool:
        try:
            kind = message_class(publisher.topic_type)
            self._found(topic, publisher)
        except LookupError as error:
            self.problems[topic] = f"{topic} is left out: {error}"
            self._node.get_logger().warning(self.problems[topic])
            return False
        self.kinds[topic] = kind
        return True

    def _subscribe(self, topic: str, profile: QoSProfile) -> Any:
        return self._owner(topic).create_subscription(
            self.kinds[topic],
            topic,
            self._node.guarded(functools.partial(self._received, topic)),
            profile,
            raw=True,
        )


def read_message(data: bytes, kind: type[Any]) -> Any:
    """Returns the message of the type ``kind`` in received bytes. Raises InputError."""
    try:
        return deserialize_message(data, kind)
    except Exception as error:  # RMWError or RuntimeError, by the version of ROS
        raise InputError(
            f"a message is not a {kind.__name__}: {one_line(error)}: check the program that "
            "publishes it, and its version of the package of this type"
        ) from error


def message_class(kind: str) -> type[Any]:
    """Returns the class of a type such as std_msgs/msg/String.

    Raises LookupError, with the fix, if its package is not installed here.
    """
    if not _KIND.fullmatch(kind):  # anybody on the network may publish one
        raise LookupError(
            f"its type {one_line(kind, 80)} is not that of a message: remap the topic"
        )
    package, _, name = kind.split("/")
    try:
        found: type[Any] = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise LookupError(
            f"its type {kind} is not installed: install the package {package}, and source it"
        ) from error
    return found
