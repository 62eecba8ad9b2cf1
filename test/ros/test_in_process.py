"""Topics inside a process, without ROS."""

from __future__ import annotations

import threading

from face_perception.ros.in_process import InProcess
from face_perception.ros.result_kinds import FACES, GAZES

TOPIC = ("/faces", FACES)


def test_everybody_gets_the_same_object_in_order() -> None:
    inside = InProcess()
    first: list[object] = []
    second: list[object] = []
    inside.subscribe(TOPIC, first.append, depth=10)
    inside.subscribe(TOPIC, second.append, depth=10)
    inside.subscribe(("/faces", GAZES), lambda _: 1 / 0, depth=10)  # another kind
    items = [object() for _ in range(3)]
    for item in items:
        inside.publish(TOPIC, item)
    assert not first, "only deliver() calls subscriptions"
    inside.deliver()
    assert first == second == items


def test_a_full_inbox_keeps_the_newest() -> None:
    inside = InProcess()
    got: list[int] = []
    inside.subscribe(TOPIC, got.append, depth=2)
    for number in range(5):
        inside.publish(TOPIC, number)
    inside.deliver()
    assert got == [3, 4]
    assert not inside.deliver()


def test_what_a_callback_publishes_is_delivered_next() -> None:
    """So that a chain of nodes cannot keep the executor from its other callbacks."""
    inside = InProcess()
    got: list[str] = []
    inside.subscribe(TOPIC, lambda item: inside.publish(("/gaze", GAZES), f"gaze of {item}"), 1)
    inside.subscribe(("/gaze", GAZES), got.append, 1)
    inside.publish(TOPIC, "face_1")
    assert inside.deliver(), "more is waiting"
    assert not got
    assert not inside.deliver()
    assert got == ["gaze of face_1"]


def test_a_subscription_that_has_ended_gets_nothing_more() -> None:
    inside = InProcess()
    got: list[int] = []
    inbox = inside.subscribe(TOPIC, got.append, 5)
    assert inside.heard(TOPIC)
    inside.publish(TOPIC, 1)
    inside.publish(TOPIC, 2)
    assert inbox.take_waiting() == [1, 2]
    inside.publish(TOPIC, 3)
    inside.unsubscribe(inbox)
    inside.deliver()
    assert not inside.heard(TOPIC)
    inside.publish(TOPIC, 4)
    inside.deliver()
    assert got == []


def test_only_other_threads_wake_the_executor() -> None:
    inside = InProcess()
    woken: list[int] = []
    inside.wake = lambda: woken.append(1)
    worker = threading.Thread(target=inside.publish, args=(TOPIC, "unheard"))
    worker.start()
    worker.join()
    assert not woken
    inside.subscribe(TOPIC, lambda _: None, 1)
    inside.publish(TOPIC, "by the executor's thread, which delivers next")
    assert not woken

    def publish_by_workers() -> None:
        for _ in range(3):
            worker = threading.Thread(target=inside.publish, args=(TOPIC, "by a worker"))
            worker.start()
            worker.join()

    publish_by_workers()
    assert woken == [1], "once until it delivers"
    inside.deliver()
    publish_by_workers()
    assert woken == [1, 1]
