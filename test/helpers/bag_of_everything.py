"""Records every topic of the domain into a rosbag2 recording, or plays a recording, as `ros2 bag`.

    python3 bag_of_everything.py record FOLDER
    python3 bag_of_everything.py play FOLDER

Records until SIGTERM: subscribes to each topic with the QoS that its publishers offer, and writes
that QoS and the last messages of each topic into the recording. Plays once each topic has a
subscription, with the recorded QoS, and then stays until SIGTERM, as a node with latched topics
does. Prints each topic at its first message, or "played" after the last.
"""

from __future__ import annotations

import functools
import importlib
import signal
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

ROOT = Path(__file__).resolve().parents[2]
# Of rclpy and of this program.
NOT_RECORDED = ("/rosout", "/parameter_events", "/clock", "transition_event")
MOST = 20  # messages of a topic that are recorded; images are large
FOREVER = QosTime(2**31 - 1, 2**32 - 1)


def store() -> Any:
    """Returns the types of ROS 2, of this package, and of the test's interface packages."""
    types = get_typestore(Stores.ROS2_JAZZY)
    found: dict[str, Any] = {}
    for package in (ROOT, *(ROOT / "test" / "interfaces").glob("*_msgs")):
        name = "face_perception" if package == ROOT else package.name
        for file in sorted((package / "msg").glob("*.msg")):
            found |= get_types_from_msg(file.read_text(), f"{name}/msg/{file.stem}")
    types.register({name: fields for name, fields in found.items() if name not in types.types})
    return types


def message_type(kind: str) -> type[Any]:
    """Returns the class of a type such as std_msgs/msg/String."""
    package, _, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)  # type: ignore[no-any-return]


def written(profile: QoSProfile) -> Qos:
    """Returns a QoS as a recording holds it."""
    return Qos(
        QosHistory.KEEP_LAST,
        profile.depth or 10,  # which is not discovered
        QosReliability[profile.reliability.name],
        QosDurability[profile.durability.name],
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        False,
    )


def read(qos: Qos) -> QoSProfile:
    """Returns the QoS of a recording."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(qos.depth, MOST),  # so that a slow reader gets all
        reliability=ReliabilityPolicy[qos.reliability.name],
        durability=DurabilityPolicy[qos.durability.name],
    )


class Recorder(Node):
    """Subscribes to topics as they appear."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self._count = 0
        self._messages: dict[str, deque[tuple[int, bytes]]] = {}
        self.topics: dict[str, tuple[str, QoSProfile]] = {}
        self.create_timer(0.2, self._discover)

    def messages(self) -> list[tuple[int, str, bytes]]:
        """Returns the number, topic and content of the messages, in the order of arrival."""
        return sorted((n, topic, data) for topic, q in self._messages.items() for n, data in q)

    def _keep(self, topic: str, data: bytes) -> None:
        if topic not in self._messages:
            print(topic, flush=True)
        self._count += 1
        self._messages.setdefault(topic, deque(maxlen=MOST)).append((self._count, data))

    def _discover(self) -> None:
        for topic, kinds in self.get_topic_names_and_types():
            if topic in self.topics or topic.endswith(NOT_RECORDED) or "/_action/" in topic:
                continue
            offered = self.get_publishers_info_by_topic(topic)
            if not offered:
                continue
            # As in rosbag2: what every publisher offers.
            reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in offered)
            latched = all(
                p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in offered
            )
            profile = QoSProfile(
                history=HistoryPolicy.KEEP_LAST,
                depth=100,
                reliability=ReliabilityPolicy.RELIABLE
                if reliable
                else ReliabilityPolicy.BEST_EFFORT,
                durability=DurabilityPolicy.TRANSIENT_LOCAL
                if latched
                else DurabilityPolicy.VOLATILE,
            )
            self.topics[topic] = (kinds[0], offered[0].qos_profile)
            self.create_subscription(
                message_type(kinds[0]),
                topic,
                functools.partial(self._keep, topic),
                profile,
                raw=True,
            )


def record(folder: Path, end: threading.Event) -> None:
    recorder, types = Recorder(), store()
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    while not end.is_set():
        executor.spin_once(timeout_sec=0.1)
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            topic: writer.add_connection(
                topic, kind, typestore=types, offered_qos_profiles=[written(profile)]
            )
            for topic, (kind, profile) in recorder.topics.items()
        }
        for number, topic, data in recorder.messages():
            writer.write(connections[topic], number, data)


def play(folder: Path, end: threading.Event) -> None:
    node = Node("player")
    with Reader(folder) as reader:
        publishers = {
            c.topic: node.create_publisher(
                message_type(c.msgtype),
                c.topic,
                read(c.ext.offered_qos_profiles[0]),  # type: ignore[union-attr]
            )
            for c in reader.connections
        }
        messages = [(c.topic, bytes(data)) for c, _, data in reader.messages()]
    while not end.is_set() and not all(p.get_subscription_count() for p in publishers.values()):
        time.sleep(0.05)
    for topic, data in messages:
        publishers[topic].publish(data)
    for publisher in publishers.values():
        publisher.wait_for_all_acked(Duration(seconds=60))
    print("played", flush=True)
    end.wait()


if __name__ == "__main__":
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    {"record": record, "play": play}[sys.argv[1]](Path(sys.argv[2]), ended)
    rclpy.try_shutdown()
