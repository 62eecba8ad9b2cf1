"""Topics that are received as bytes: what a publisher with an odd type does to them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from node_processes import Peer
from std_msgs.msg import String

from face_perception.ros import qos
from face_perception.ros.raw_topics import RawTopics, message_class, read_message


@pytest.mark.parametrize(
    "kind", ["", "String", "std_msgs/String", "../msg/String", "std_msgs/srv/String", "os/msg/a b"]
)
def test_a_type_that_is_no_message_is_named(kind: str) -> None:
    with pytest.raises(LookupError, match=r"its type .* is not that of a message: remap"):
        message_class(kind)


def test_a_type_that_is_not_installed_is_named() -> None:
    with pytest.raises(LookupError, match="install the package other_msgs, and source it"):
        message_class("other_msgs/msg/Thing")


def test_a_topic_that_was_left_out_is_tried_again_after_the_end() -> None:
    publisher = SimpleNamespace(topic_type="other_msgs/msg/Thing", qos_profile=qos.results())
    warnings: list[str] = []
    node: Any = SimpleNamespace(
        count_publishers=lambda topic: 1,
        get_publishers_info_by_topic=lambda topic: [publisher],
        get_logger=lambda: SimpleNamespace(warning=warnings.append),
        guarded=lambda work: work,
        create_subscription=lambda *_, **__: object(),
        destroy_subscription=lambda subscription: None,
    )
    topics = RawTopics(node, ["/chat"], lambda topic, data: None, depth=5)
    topics.look()
    topics.look()
    assert len(warnings) == 1
    assert list(topics.problems) == ["/chat"]
    topics.end()
    publisher.topic_type = "std_msgs/msg/String"
    topics.look()
    assert (topics.subscribed, topics.problems) == (["/chat"], {})


def test_a_topic_on_demand_is_received_when_asked(peer: Peer) -> None:
    received: list[str] = []
    node: Any = peer.node
    node.guarded = lambda work: work
    topics = RawTopics(
        node,
        ["/chat", "/news"],
        lambda topic, data: received.append(read_message(data, String).data),
        depth=10,
        on_demand={"/chat": 3},
    )
    publishers = {name: peer.publisher(String, name) for name in ("/chat", "/news")}
    try:
        peer.until(
            lambda: topics.look() or all(p.get_subscription_count() for p in publishers.values())
        )
        for number in range(5):
            publishers["/chat"].publish(String(data=f"chat {number}"))
        publishers["/news"].publish(String(data="news"))
        peer.until(lambda: received)
        peer.spin(0.3)
        assert received == ["news"]
        topics.take("/chat", last=lambda data: b"chat 3" in data)
        assert received == ["news", "chat 2", "chat 3"], "the newest three wait"
        topics.take("/chat")
        assert received[3:] == ["chat 4"]
        topics.set_waiting("/chat", 5)
        topics.look()
        peer.until(lambda: publishers["/chat"].get_subscription_count() == 1)
        peer.spin(0.3)
        for number in range(5, 12):
            publishers["/chat"].publish(String(data=f"chat {number}"))
        peer.spin(0.3)
        topics.take("/chat")
        assert received[4:] == [f"chat {number}" for number in range(7, 12)]
        topics.end()
        topics.take("/chat")
        peer.until(lambda: not any(p.get_subscription_count() for p in publishers.values()))
    finally:
        topics.end()
