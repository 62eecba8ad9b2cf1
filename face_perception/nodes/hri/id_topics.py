"""The topics of REP-155 that exist for each id, such as /humans/faces/face_1/roi."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hri_msgs.msg import IdsList
from std_msgs.msg import Header

from face_perception.bringup.ros_names import check_topic
from face_perception.errors import InputError
from face_perception.hri import ID_HOLD
from face_perception.ros import messages, qos
from face_perception.ros.rclpy_compat import RCLError

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_HOLD = round(1e9 * ID_HOLD)  # by the stamps, nanoseconds
# Time after which who is tracked is published again although it stays the same: later readers do
# not get what was published before. By the stamps, nanoseconds.
_REPEAT = 200_000_000
_SILENCE = 2.0  # seconds without any message after which all ids leave
_GOODBYE = 0.5  # longest time to wait for readers at the end, seconds
_MOST = 50  # ids at once; each has several publishers


class IdTopics:
    """Publishes ``tracked``, and for each tracked id the topics of one kind.

    All names begin with ``root``, which is /humans in REP-155. ``kind`` is that of the ids: faces,
    voices or persons. ``topics`` are the types by name. The messages of ``latched`` topics are also
    sent to later subscribers. Publishers of an id are made when it comes, and destroyed when it
    leaves. Make it in the ``setup`` of a node.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        root: str,
        kind: str,
        topics: Mapping[str, type[Any]],
        latched: Iterable[str] = (),
    ) -> None:
        self._node, self._root, self._kind = node, root, kind
        self._topics, self._latched = topics, frozenset(latched)
        self._publishers: dict[str, dict[str, Any]] = {}  # of rclpy, by id and name
        self._heard: dict[str, set[str]] = {}  # topics of each id with subscriptions
        self._seen: dict[str, int] = {}  # when each id was last seen, nanoseconds
        self._last_message = time.monotonic()  # when it came, seconds
        self._published_at = 0  # the stamp with which ``tracked`` was last published, nanoseconds
        self._published_ids: list[str] = []
        self.repeats = False  # whether the last call of ``track`` published ``tracked``
        self._tracked = node.publisher(IdsList, f"{root}/{kind}/tracked")
        node.on_end(self._keep, ())

    def wanted(self, *names: str) -> bool:
        """Returns whether anybody listens to one of the topics ``names`` of any id."""
        return any(not found.isdisjoint(names) for found in self._heard.values())

    def any_wanted(self) -> bool:
        """Returns whether anybody listens to ``tracked``, or to any topic of any id."""
        return self._node.has_subscribers(self._tracked) or self.wanted(*self._topics)

    @property
    def shared(self) -> str:
        """What is wrong if another node publishes ``tracked`` as well; else empty."""
        topic = self._tracked.topic_name
        if self._node.count_publishers(topic) <= 1:
            return ""
        fix = ", or publish_persons: false" if self._kind == "persons" else ""
        return (
            f"another node publishes {topic}, too: programs that read it see {self._kind} come and "
            f"go; stop one of the two, or set topic_root of one{fix}"
        )

    def track(self, ids: Iterable[str], header: Any) -> list[str]:
        """Takes the ids in a message; returns the new ones.

        Publishes who is tracked if that has changed, and else every 0.2 s of the stamps.
        """
        now = messages.nanoseconds(header.stamp)
        self._last_message = time.monotonic()
        self._seen.update(dict.fromkeys(ids, now))
        # A stamp in the future is that of a bag that has started again.
        self._seen = {known: at for known, at in self._seen.items() if 0 <= now - at <= _HOLD}
        new = self._keep(self._seen)
        tracked = list(self._publishers)
        recent = 0 <= now - self._published_at < _REPEAT
        self.repeats = tracked != self._published_ids or not recent
        if self.repeats:
            self._published_ids, self._published_at = tracked, now
            self._node.publish(self._tracked, IdsList(header=header, ids=tracked), header)
        return new

    def publish(self, known: str, name: str, message: Any) -> None:
        """Publishes a message about an id, if the id is tracked."""
        if known in self._publishers:
            self._node.publish(self._publishers[known][name], message)

    def listened(self, known: str, name: str) -> bool:
        """Returns whether the id is tracked and somebody listened to its topic at the last tick."""
        return name in self._heard.get(known, ())

    def tick(self) -> None:
        """Looks who listens; lets all ids leave if no message has come for a while.

        Call it several times a second. Asking rclpy at each message would take longer than many of
        the messages.
        """
        if self._publishers and time.monotonic() - self._last_message > _SILENCE:
            self.leave()
        self._heard = {
            known: {name for name, publisher in found.items() if _is_heard(publisher)}
            for known, found in self._publishers.items()
        }

    def leave(self) -> None:
        """Lets all ids leave, and publishes that nobody is tracked."""
        self._seen.clear()
        self._published_at = 0
        self._keep(())
        header = Header(stamp=self._node.get_clock().now().to_msg())
        # Not by node.publish, which sends nothing while the node is being deactivated.
        with contextlib.suppress(RCLError):
            self._tracked.publish(IdsList(header=header))

    def end(self) -> None:
        """Lets all ids leave before the node ends, and waits until the readers know."""
        self.leave()
        with contextlib.suppress(RCLError):
            self._tracked.wait_until_received(_GOODBYE)

    def _keep(self, ids: Iterable[str]) -> list[str]:
        """Makes the publishers of new ids, and destroys those of all but ``ids``."""
        kept = {known for known in ids if known in self._publishers or self._can_be_named(known)}
        if len(kept) > _MOST:
            self._node.warn_throttled(
                f"{len(kept)} {self._kind} at once: only {_MOST} are published under {self._root}",
                key=f"many {self._kind}",
            )
            kept = set(sorted(kept)[:_MOST])
        for gone in self._publishers.keys() - kept:
            self._heard.pop(gone, None)
            for publisher in self._publishers.pop(gone).values():
                self._node.destroy_publisher(publisher)
        new = sorted(kept - self._publishers.keys())
        for known in new:
            self._publishers[known] = {
                name: self._node.create_publisher(
                    kind,
                    f"{self._root}/{self._kind}/{known}/{name}",
                    qos.results(latched=name in self._latched),
                )
                for name, kind in self._topics.items()
            }
        return new

    def _can_be_named(self, known: str) -> bool:
        """Returns whether topics can have the id in their name; warns if not."""
        try:
            check_topic(f"an id of {self._kind},", known)
        except InputError as error:
            self._node.warn_throttled(
                f"{error}; it is left out of {self._root}", key=f"id of {self._kind}"
            )
            return False
        return True


def _is_heard(publisher: Any) -> bool:
    """Returns whether a publisher of rclpy has a subscription; false while ROS shuts down."""
    try:
        return bool(publisher.get_subscription_count() > 0)
    except RCLError:
        return False
