"""Subscriptions that follow their publishers, over real DDS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_processes import Peer
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from face_perception.ros import result_kinds
from face_perception.ros.qos import LAZY_PERIOD, SensorSubscription


@pytest.fixture
def sender(domain: int) -> Iterator[Peer]:
    made = Peer(domain)
    yield made
    made.close()


def subscribe_latched(peer: Peer, got: list[String]) -> None:
    subscription = SensorSubscription(
        peer.node, String, "info", got.append, latched=True, expected=False
    )
    peer.node.create_timer(LAZY_PERIOD, subscription.tick)


@pytest.mark.parametrize("order", ["sent before", "subscribed before"])
def test_a_latched_subscription_gets_earlier_messages(order: str, sender: Peer, peer: Peer) -> None:
    profile = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    got: list[String] = []

    def send() -> None:
        publisher = sender.node.create_publisher(String, "info", profile)
        publisher.publish(String(data="16 kHz"))

    def subscribe() -> None:
        subscribe_latched(peer, got)

    steps = (send, subscribe) if order == "sent before" else (subscribe, send)
    for step in steps:
        step()
        peer.spin(0.5)
    peer.until(lambda: got, why="for what was sent once")
    peer.spin(1.5)  # received again when the subscription asks for the kept messages
    assert {message.data for message in got} == {"16 kHz"}


def test_a_best_effort_publisher_that_comes_later_is_followed(
    sender: Peer, peer: Peer, capfd: pytest.CaptureFixture[str]
) -> None:
    """A node subscribes before it knows its publishers. That is no fault that a log must tell."""
    got: list[String] = []
    subscription = SensorSubscription(peer.node, String, "info", got.append)
    peer.spin(0.1)
    live = sender.publisher(String, "info", best_effort=True)
    peer.node.create_timer(LAZY_PERIOD, subscription.tick)

    def heard() -> bool:
        live.publish(String(data="now"))
        peer.spin(0.1)
        return bool(got)

    peer.until(heard, why="for its message")
    assert "offering incompatible QoS" not in capfd.readouterr().err


def test_of_publishers_that_keep_nothing_it_has_what_comes(sender: Peer, peer: Peer) -> None:
    """A subscription that asks for more than publishers offer would receive nothing."""
    kept = sender.node.create_publisher(
        String, "info", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    )
    kept.publish(String(data="before"))
    got: list[String] = []
    subscribe_latched(peer, got)
    peer.until(lambda: got, why="for what is kept")
    live = sender.publisher(String, "info")

    def heard() -> bool:
        live.publish(String(data="now"))
        peer.spin(0.1)
        return got[-1].data == "now"

    peer.until(heard, why="for the publisher that keeps nothing")


def test_a_hint_names_the_node_that_publishes() -> None:
    """docs/ros_api.md says which node that is."""
    table = (Path(__file__).parents[2] / "docs" / "ros_api.md").read_text()
    kinds = [k for k in vars(result_kinds).values() if isinstance(k, result_kinds.ResultKind)]
    assert len(kinds) > 8
    for kind in kinds:
        row = (
            rf"^\| (\w+) \| publishes \| .* \| face_perception/msg/{kind.message_type.__name__} \|$"
        )
        publishers = set(re.findall(row, table, re.M))
        assert {kind.publisher or "several"} == publishers or len(publishers) > 1, kind
