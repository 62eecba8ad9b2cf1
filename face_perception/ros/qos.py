"""Subscribing: reliable where every publisher offers it, and plain words when nothing comes.

Best effort loses most images over half a megabyte between processes with Fast DDS's default
settings (docs/troubleshooting.md), and a reliable reader gets nothing from a best-effort camera.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

if TYPE_CHECKING:
    from rclpy.node import Node

RELIABILITY = ("auto", "reliable", "best_effort")
_RELIABILITY = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}
_LAZY_PERIOD = 0.2
_CHECK_EVERY = 5  # lazy periods
_SILENCE = 5.0
_REPEAT = 10.0


def results(depth: int = 10, *, latched: bool = False) -> QoSProfile:
    """What we publish our results with: a best-effort reader still matches a reliable writer."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def choose_reliability(wanted: str, offered: list[ReliabilityPolicy]) -> ReliabilityPolicy:
    """``auto`` is reliable unless some publisher offers best effort only."""
    if wanted != "auto":
        return _RELIABILITY[wanted]
    if ReliabilityPolicy.BEST_EFFORT in offered:
        return ReliabilityPolicy.BEST_EFFORT
    return ReliabilityPolicy.RELIABLE


class SensorSubscription:
    """A lazy subscription whose reliability follows its publishers and that says why nothing comes.

    It exists only while ``wanted()``: a node that nobody listens to costs its sources nothing.
    ``expected`` messages that do not come for seconds are a warning in the log, repeated rarely;
    ``status`` is the same sentence for diagnostics, empty while all is well. With ``latched`` it
    gets what was sent before, too, where every publisher keeps that (and may get it twice). Not
    thread-safe: made, checked and destroyed on the executor's thread.
    """

    def __init__(
        self,
        node: Node,
        message_type: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        *,
        reliability: str = "auto",
        depth: int = 1,
        latched: bool = False,
        expected: bool = True,
        hint: str = "start the node that publishes it, or remap it to where that publishes",
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._node = node
        self._type = message_type
        self._callback = callback
        self._wanted_reliability = reliability
        self._depth = depth
        self._latched = latched
        self._expected = expected
        self._hint = hint
        self._wanted = wanted
        self._last = time.monotonic()
        self._said = {"nothing": -_REPEAT, "several": -_REPEAT}
        self._ticks = 0
        self.topic: str = node.resolve_topic_name(topic)
        self.status = ""
        self.published = False  # whether anybody publishes the topic, as of the last tick
        self._reliability = choose_reliability(reliability, [])
        self._durability = DurabilityPolicy.VOLATILE
        self._subscription: Any = None
        self._timer = node.create_timer(_LAZY_PERIOD, self._tick)
        self._tick()

    def destroy(self) -> None:
        self._node.destroy_timer(self._timer)
        self._unsubscribe()

    def _subscribe(self) -> None:
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._depth,
            reliability=self._reliability,
            durability=self._durability,
        )
        self._subscription = self._node.create_subscription(
            self._type, self.topic, self._received, profile
        )

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _received(self, message: Any) -> None:
        now = time.monotonic()
        if now - self._last > _SILENCE and self._said["nothing"] > 0:
            self._said["nothing"] = -_REPEAT
            self._node.get_logger().info(f"{self.topic}: messages arrive again")
        self._last = now
        self._callback(message)

    def _tick(self) -> None:
        if not self._wanted():
            self._unsubscribe()
            self._last = time.monotonic()
            self.status = ""
            return
        self.published = self._node.count_publishers(self.topic) > 0
        if self._subscription is None:
            self._match(self._publishers())
            self._subscribe()
            self._last = time.monotonic()
        self._ticks += 1
        if self._ticks % _CHECK_EVERY == 0:
            self._check()

    def _publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self.topic))

    def _match(self, publishers: list[Any]) -> bool:
        """Takes the QoS that fits the publishers; returns whether it is another one."""
        before = self._reliability, self._durability
        offered = [p.qos_profile.reliability for p in publishers]
        self._reliability = choose_reliability(self._wanted_reliability, offered)
        kept = {p.qos_profile.durability for p in publishers} == {DurabilityPolicy.TRANSIENT_LOCAL}
        self._durability = (
            DurabilityPolicy.TRANSIENT_LOCAL
            if self._latched and kept
            else DurabilityPolicy.VOLATILE
        )
        return before != (self._reliability, self._durability)

    def _check(self) -> None:
        publishers = self._publishers()
        if self._match(publishers):
            self._unsubscribe()
            self._subscribe()
        now = time.monotonic()
        self.status = ""
        if not self._expected:
            return
        if len(publishers) > 1:
            names = ", ".join(f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in publishers)
            self.status = (
                f"{len(publishers)} publishers on {self.topic} ({names}): their messages are "
                "mixed; stop one or remap it"
            )
            self._say("several", now)
        if now - self._last > _SILENCE:
            self.status = self._why_nothing(publishers, now)
            self._say("nothing", now)

    def _say(self, what: str, now: float) -> None:
        if now - self._said[what] >= _REPEAT:
            self._said[what] = now
            self._node.get_logger().warning(self.status)

    def _why_nothing(self, publishers: list[Any], now: float) -> str:
        silent = f"nothing on {self.topic} for {now - self._last:.0f} s: "
        if not publishers:
            return f"{silent}it has no publisher; {self._hint}"
        types = {p.topic_type for p in publishers}
        ours = f"{self._type.__module__.split('.')[0]}/msg/{self._type.__name__}"
        if types != {ours}:
            return silent + f"it carries {', '.join(sorted(types))}, but {ours} is read here"
        best_effort = any(
            p.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for p in publishers
        )
        if best_effort and self._reliability == ReliabilityPolicy.RELIABLE:
            return silent + (
                "its publisher offers best effort only and `qos: reliable` was asked for; "
                "set `qos` to auto"
            )
        if best_effort:
            return silent + (
                "its publisher is best effort, which loses images over half a megabyte with Fast "
                "DDS's default settings; make it reliable, or start its process with "
                "FASTDDS_DEFAULT_PROFILES_FILE (FASTRTPS_… before Kilted) set to "
                "share/face_perception/config/fastdds.xml"
            )
        return silent + f"it has {len(publishers)} publisher(s), which send nothing"
