"""Records the messages of topics unread, with their definitions."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_path
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from face_perception.bringup.ros_names import check_topic
from face_perception.ros.raw_topics import RawTopics, message_class
from face_perception.sessions import SessionRecorder, TopicQos

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_DEPTH = 100  # messages that wait for the executor
_TYPE = re.compile(r"\b(\w+)/(\w+)\b")
_HEADER = "std_msgs/Header"
# Types of messages that show people.
_PICTURES = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "face_perception/msg/FaceCrops",
)


class TopicRecording:
    """Records the ``topics`` of a node (full names) until ``subscriptions.end`` is called.

    Topics with pictures are left out, unless ``pictures`` is true. ``first`` has the first message
    of each topic.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        recorder: SessionRecorder,
        topics: Iterable[str],
        *,
        pictures: bool,
    ) -> None:
        self._node, self._recorder, self._pictures = node, recorder, pictures
        self.first: dict[str, bytes] = {}
        self.subscriptions = RawTopics(node, topics, self._keep, depth=_DEPTH, found=self._add)

    def _add(self, topic: str, publisher: Any) -> None:
        if publisher.topic_type in _PICTURES and not self._pictures:
            raise LookupError("it has pictures: record them by starting a session with video full")
        offered = TopicQos(
            publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
            publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            publisher.qos_profile.depth or 10,  # which is not discovered
        )
        add_topic(self._recorder, topic, publisher.topic_type, offered)

    def _keep(self, topic: str, data: bytes) -> None:
        self.first.setdefault(topic, data)
        self._recorder.put(topic, self._node.get_clock().now().nanoseconds, data)


def topic_names(text: str) -> list[str]:
    """Returns the names in a text that are separated by commas.

    Raises InputError if one cannot be the name of a topic.
    """
    names = [name for part in text.split(",") if (name := part.strip())]
    for name in names:
        check_topic("topics:", name)
    return names


def add_topic(recorder: SessionRecorder, topic: str, kind: str, offered: TopicQos) -> None:
    """Adds a topic of a type such as std_msgs/msg/String to a recording.

    Raises LookupError, with the fix, if the package of the type is not installed here.
    """
    fields = list(message_class(kind).get_fields_and_field_types().values())
    recorder.add_topic(
        topic, kind, offered, definitions(kind), stamped=bool(fields) and fields[0] == _HEADER
    )


@functools.cache
def definitions(kind: str) -> dict[str, str]:
    """Returns the text of the .msg file of a type and of all types in it, by type.

    Raises LookupError.
    """
    found: dict[str, str] = {}
    waiting = [kind]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        package, _, short = name.split("/")
        try:
            file = get_package_share_path(package) / "msg" / f"{short}.msg"
            found[name] = file.read_text(encoding="utf-8")
        except (PackageNotFoundError, OSError) as error:
            raise LookupError(f"the definition of {name} is not installed ({error})") from error
        for field in message_class(name).get_fields_and_field_types().values():
            waiting += [f"{pair[0]}/msg/{pair[1]}" for pair in _TYPE.findall(field)]
    return found
