"""Hands what a node publishes to the nodes of the same process, without DDS and without messages.

A subscription takes part while all publishers of its topic are in this process; it then has no DDS
subscription. A publisher therefore makes a message only if somebody outside subscribes, and nobody
receives anything twice.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from face_perception.ros.result_kinds import Kind

# The full name of a topic, and what it carries.
Topic = tuple[str, Kind]


class Inbox:
    """What waits for one subscription: the newest ``depth`` items."""

    def __init__(self, topic: Topic, received: Callable[[Any], None], depth: int) -> None:
        self.topic = topic
        self.received = received
        self.waiting: deque[Any] = deque(maxlen=depth)

    def take_waiting(self) -> list[Any]:
        """Returns and removes what waits, oldest first."""
        taken = []
        while self.waiting:
            taken.append(self.waiting.popleft())
        return taken


class InProcess:
    """The topics inside one process.

    ``publish`` may be called on any thread; everything else on the executor's thread, on which
    ``deliver`` also calls the subscriptions. ``wake`` interrupts that thread's waiting.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._executor_thread = threading.get_ident()
        self._publishers: Counter[Topic] = Counter()
        # Replaced, not changed: other threads read it.
        self._inboxes: dict[Topic, tuple[Inbox, ...]] = {}
        self._ready: deque[Inbox] = deque()  # an inbox for each item in it, or for a dropped one
        self._woken = False  # whether ``deliver`` will be called soon

    def add_publisher(self, topic: Topic) -> None:
        self._publishers[topic] += 1

    def remove_publisher(self, topic: Topic) -> None:
        self._publishers[topic] -= 1

    def publishers(self, topic: Topic) -> int:
        """Returns how many publishers a topic has in this process."""
        return self._publishers[topic]

    def subscribe(self, topic: Topic, received: Callable[[Any], None], depth: int) -> Inbox:
        """Returns the inbox of a new subscription, which ``unsubscribe`` removes."""
        inbox = Inbox(topic, received, depth)
        self._inboxes = {**self._inboxes, topic: (*self._inboxes.get(topic, ()), inbox)}
        return inbox

    def unsubscribe(self, inbox: Inbox) -> None:
        """Removes an inbox, with what waits in it."""
        left = tuple(other for other in self._inboxes[inbox.topic] if other is not inbox)
        self._inboxes = {**self._inboxes, inbox.topic: left}
        inbox.waiting.clear()

    def heard(self, topic: Topic) -> bool:
        """Returns whether a topic has a subscription in this process."""
        return bool(self._inboxes.get(topic))

    def publish(self, topic: Topic, item: Any) -> None:
        """Puts an item into all inboxes of a topic."""
        inboxes = self._inboxes.get(topic, ())
        for inbox in inboxes:
            inbox.waiting.append(item)
            self._ready.append(inbox)
        # The executor's thread delivers after each of its callbacks anyway.
        if inboxes and not self._woken and threading.get_ident() != self._executor_thread:
            self._woken = True
            self.wake()

    def deliver(self) -> bool:
        """Hands over what waits now. Returns whether more has arrived meanwhile."""
        self._woken = False  # before looking: what arrives now wakes again
        for _ in range(len(self._ready)):
            inbox = self._ready.popleft()
            if inbox.waiting:
                inbox.received(inbox.waiting.popleft())
        return bool(self._ready)
