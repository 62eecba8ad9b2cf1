"""Quality of service: subscriptions that follow their publishers and report why nothing arrives.

A reliable subscription receives nothing from a best-effort publisher. A best-effort one loses most
images over half a megabyte between processes with Fast DDS's default settings
(docs/troubleshooting.md). Subscriptions are therefore reliable if every publisher is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from face_perception.ros import waiting_times
from face_perception.ros.rclpy_compat import SubscriptionEventCallbacks, waiting
from face_perception.ros.result_kinds import Kind, ResultKind, message_type_of

if TYPE_CHECKING:
    from rclpy.node import Node

    from face_perception.ros.in_process import Inbox, InProcess

RELIABILITY = ("auto", "reliable", "best_effort")
_RELIABILITY = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}
LAZY_PERIOD = 0.2  # seconds between two checks whether messages are wanted
_CHECK_EVERY = 5  # lazy periods between two checks of the publishers


def results(depth: int = 10, *, latched: bool = False) -> QoSProfile:
    """Returns the QoS of published results.

    Reliable, because best-effort subscriptions receive from a reliable publisher too.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def choose_reliability(wanted: str, offered: list[ReliabilityPolicy]) -> ReliabilityPolicy:
    """Returns the reliability of a subscription; ``wanted`` is one of RELIABILITY.

    ``auto`` is reliable unless one of the publishers, whose reliabilities are ``offered``, is best
    effort.
    """
    if wanted != "auto":
        return _RELIABILITY[wanted]
    if ReliabilityPolicy.BEST_EFFORT in offered:
        return ReliabilityPolicy.BEST_EFFORT
    return ReliabilityPolicy.RELIABLE


def offered_by_all(publishers: Sequence[Any], depth: int) -> QoSProfile:
    """Returns the QoS of a subscription that receives as much as all ``publishers`` offer.

    It is reliable, or latched, if all of them are. ``publishers`` are TopicEndpointInfo of rclpy.
    """
    profiles = [publisher.qos_profile for publisher in publishers]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=choose_reliability("auto", [one.reliability for one in profiles]),
        durability=_durability(profiles),
    )


def _durability(profiles: Sequence[QoSProfile]) -> DurabilityPolicy:
    if {profile.durability for profile in profiles} == {DurabilityPolicy.TRANSIENT_LOCAL}:
        return DurabilityPolicy.TRANSIENT_LOCAL
    return DurabilityPolicy.VOLATILE


def _how_to_publish(kind: Kind, topic: str) -> str:
    """Returns what to do if nobody publishes a topic."""
    publisher = kind.publisher if isinstance(kind, ResultKind) else ""
    if not publisher:
        return "start the node that publishes it, or remap it to where that publishes"
    return f"start {publisher}, or remap the topic to its `{topic}`"


class SensorSubscription:
    """A lazy subscription that follows its publishers' QoS and reports why nothing arrives.

    It exists only while ``wanted()`` is true, so that a node without subscribers costs its sources
    nothing. If ``expected`` messages stay away for ``SILENCE`` (``waiting_times``), the log gets a
    warning with the reason and ``hint``, the fix (by default: which node to start). ``status`` is
    the same sentence for the diagnostics, empty if all is well. If the topic has publishers that
    fit, and still nothing came for ``DEAF``, it subscribes again once; ``hearing`` decides what
    follows. A ``latched`` subscription also receives what was sent before it existed, perhaps
    twice, if every publisher is latched. ``callback`` gets messages. While all publishers are in
    this process, it gets what they publish from ``in_process`` instead of from ROS. Use it on the
    executor's thread only, and call ``tick`` every ``LAZY_PERIOD``.
    """

    def __init__(
        self,
        node: Node,
        kind: Kind,
        topic: str,
        callback: Callable[[Any], None],
        *,
        reliability: str = "auto",
        depth: int = 1,
        latched: bool = False,
        expected: bool = True,
        hint: str = "",
        wanted: Callable[[], bool] = lambda: True,
        in_process: InProcess | None = None,
    ) -> None:
        self._node = node
        self._in_process = in_process
        self._kind = kind
        self._type = message_type_of(kind)
        self._callback = callback
        self._wanted_reliability = reliability
        self._depth = depth
        self._latched = latched
        self._expected = expected
        self._hint = hint or _how_to_publish(kind, topic)
        self._wanted = wanted
        self._last = time.monotonic()
        self._last_warned = {"nothing": -math.inf, "several": -math.inf}
        self._ticks = 0
        self.topic: str = node.resolve_topic_name(topic)
        self.status = ""
        # What was so at the last tick.
        self.published = False
        self._published_inside_only = False
        self.received = 0  # messages so far
        # When it subscribed again in vain (monotonic, seconds); None while all is well.
        self.subscribed_again: float | None = None
        self._reliability = choose_reliability(reliability, [])
        self._durability = DurabilityPolicy.VOLATILE
        self._mismatched = False  # a publisher that does not fit was found since the last check
        self._subscription: Any = None  # of ROS
        self._inbox: Inbox | None = None  # of a subscription inside this process
        self.tick()

    def take_waiting(self) -> list[Any]:
        """Returns and removes the messages that wait behind the one whose callback runs."""
        if self._inbox is not None:
            return self._inbox.take_waiting()
        return list(waiting(self._subscription)) if self._subscription is not None else []

    def destroy(self) -> None:
        self._unsubscribe()

    @property
    def _subscribed(self) -> bool:
        return self._subscription is not None or self._inbox is not None

    def _subscribe(self) -> None:
        if self._in_process is not None and self._published_inside_only:
            self._inbox = self._in_process.subscribe(
                (self.topic, self._kind), self._received, self._depth
            )
            return
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._depth,
            reliability=self._reliability,
            durability=self._durability,
        )
        self._subscription = self._node.create_subscription(
            self._type,
            self.topic,
            self._received,
            profile,
            # A publisher is known only after its discovery: the next tick follows it, so the
            # warning of rclpy that nothing will be received is wrong.
            event_callbacks=(
                SubscriptionEventCallbacks(incompatible_qos=self._on_mismatch)
                if self._wanted_reliability == "auto"
                else None
            ),
        )

    def _on_mismatch(self, _: object) -> None:
        self._mismatched = True

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        if self._inbox is not None and self._in_process is not None:
            self._in_process.unsubscribe(self._inbox)
            self._inbox = None

    def _received(self, message: Any) -> None:
        now = time.monotonic()
        if now - self._last > waiting_times.SILENCE and self._last_warned["nothing"] > 0:
            self._last_warned["nothing"] = -math.inf
            self._node.get_logger().info(f"{self.topic}: messages arrive again")
        self._last = now
        self.received += 1
        self.subscribed_again = None
        self._callback(message)

    def tick(self) -> None:
        """Subscribes while messages are wanted, and checks the publishers now and then."""
        if not self._wanted():
            self._unsubscribe()
            self._last = time.monotonic()
            self.status = ""
            self.subscribed_again = None
            return
        publishers = self._node.count_publishers(self.topic)
        self.published = publishers > 0
        self._published_inside_only = (
            self._in_process is not None
            and 0 < publishers == self._in_process.publishers((self.topic, self._kind))
        )
        if self._subscribed and self._published_inside_only != (self._inbox is not None):
            self._unsubscribe()
        if not self._subscribed:
            self._match(self._publishers())
            self._subscribe()
            self._last = time.monotonic()
        self._ticks += 1
        if self._mismatched or self._ticks % _CHECK_EVERY == 0:
            self._mismatched = False
            self._check()

    def _publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self.topic))

    def _match(self, publishers: list[Any]) -> bool:
        """Sets the QoS that fits the publishers; returns whether it has changed."""
        before = self._reliability, self._durability
        offered = [p.qos_profile.reliability for p in publishers]
        self._reliability = choose_reliability(self._wanted_reliability, offered)
        self._durability = (
            _durability([p.qos_profile for p in publishers])
            if self._latched
            else DurabilityPolicy.VOLATILE
        )
        return before != (self._reliability, self._durability)

    def _check(self) -> None:
        publishers = self._publishers()
        if self._match(publishers) and self._inbox is None:
            self._unsubscribe()
            self._subscribe()
        now = time.monotonic()
        self.status = ""
        if not self._expected:
            return
        self._subscribe_again_if_deaf(publishers, now)
        if len(publishers) > 1:
            names = ", ".join(f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in publishers)
            self.status = (
                f"{len(publishers)} publishers on {self.topic} ({names}): their messages are "
                "mixed; stop one or remap it"
            )
            self._warn_throttled("several", now)
        if now - self._last > waiting_times.SILENCE:
            self.status = self._why_nothing(publishers, now)
            self._warn_throttled("nothing", now)

    def _subscribe_again_if_deaf(self, publishers: list[Any], now: float) -> None:
        """Subscribes again if publishers that fit have sent nothing for long."""
        if not self._mismatch(publishers) and publishers:
            if self.subscribed_again is None and now - self._last > waiting_times.DEAF:
                self._unsubscribe()
                self._subscribe()
                self.subscribed_again = now
        else:
            self.subscribed_again = None

    def _warn_throttled(self, what: str, now: float) -> None:
        if now - self._last_warned[what] >= waiting_times.LOG_PERIOD:
            self._last_warned[what] = now
            self._node.get_logger().warning(self.status)

    def _why_nothing(self, publishers: list[Any], now: float) -> str:
        silent = f"nothing on {self.topic} for {now - self._last:.0f} s: "
        if not publishers:
            return f"{silent}it has no publisher; {self._hint}"
        mismatch = self._mismatch(publishers)
        if mismatch:
            return silent + mismatch
        if _best_effort(publishers):
            return silent + (
                "its publisher is best effort, which loses images over half a megabyte with Fast "
                "DDS's default settings; make it reliable, or start its process with "
                "FASTDDS_DEFAULT_PROFILES_FILE (FASTRTPS_… before Kilted) set to "
                "share/face_perception/config/fastdds.xml"
            )
        return silent + f"it has {len(publishers)} publisher(s), which send nothing"

    def _mismatch(self, publishers: list[Any]) -> str:
        """Returns why this subscription cannot receive from the publishers, or ""."""
        types = {p.topic_type for p in publishers}
        ours = f"{self._type.__module__.split('.')[0]}/msg/{self._type.__name__}"
        if types - {ours}:
            return (
                f"it carries {', '.join(sorted(types))}, but this node reads {ours}; remap it to a "
                "topic of that type"
            )
        if _best_effort(publishers) and self._reliability == ReliabilityPolicy.RELIABLE:
            return (
                "its publisher is best effort, from which a reliable subscription receives "
                "nothing; set `qos` to auto"
            )
        return ""


def _best_effort(publishers: list[Any]) -> bool:
    return any(p.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for p in publishers)
