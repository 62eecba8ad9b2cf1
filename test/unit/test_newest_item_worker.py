"""Tests the worker that keeps only the newest item."""

import threading

from waits import scaled

from face_perception.ros.newest_item_worker import NewestItemWorker


def test_only_the_newest_is_worked_on() -> None:
    begun, go, both = threading.Event(), threading.Event(), threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        begun.set()
        go.wait(scaled(5))
        done.append(item)
        if len(done) == 2:
            both.set()

    worker = NewestItemWorker("test", work, lambda error: None)
    assert not worker.put(1)
    assert begun.wait(scaled(5))
    assert not worker.put(2)
    assert worker.put(3), "2 was dropped"
    go.set()
    assert both.wait(scaled(5))
    assert worker.stop()
    assert done == [1, 3]


def test_some_may_wait_in_order() -> None:
    begun, go, all_done = threading.Event(), threading.Event(), threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        begun.set()
        go.wait(scaled(5))
        done.append(item)
        if item == 5:
            all_done.set()

    worker = NewestItemWorker("test", work, lambda error: None, waiting=3)
    assert not worker.put(1)
    assert begun.wait(scaled(5))
    assert [worker.put(item) for item in (2, 3, 4, 5)] == [False, False, False, True]
    go.set()
    assert all_done.wait(scaled(5))
    assert worker.stop()
    assert done == [1, 3, 4, 5], "the oldest that waited was dropped"


def test_idle_is_said_once_until_something_comes_again() -> None:
    said: list[str] = []
    idle = threading.Semaphore(0)

    def on_idle() -> None:
        said.append("idle")
        idle.release()

    worker = NewestItemWorker(
        "test", said.append, lambda error: None, waiting=2, idle_after=0.05, on_idle=on_idle
    )
    assert not idle.acquire(timeout=0.3), "nothing has come"
    for _ in range(2):
        worker.put("one")
        assert idle.acquire(timeout=scaled(5))
        assert not idle.acquire(timeout=0.3)
    assert worker.stop()
    assert said == ["one", "idle"] * 2


def test_survives_errors() -> None:
    errors: list[Exception] = []
    failed, seen = threading.Event(), threading.Event()

    def on_error(error: Exception) -> None:
        errors.append(error)
        failed.set()

    def work(item: int) -> None:
        if item == 0:
            raise RuntimeError("boom")
        seen.set()

    worker = NewestItemWorker("test", work, on_error)
    worker.put(0)
    assert failed.wait(scaled(5))
    worker.put(1)
    assert seen.wait(scaled(5))
    assert worker.stop()
    assert [str(error) for error in errors] == ["boom"]
