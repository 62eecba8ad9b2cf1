"""Real node processes over real DDS, and a node in the test that talks to them."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rclpy
from forked_nodes import start_from_beginning, start_nodes
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from waits import scaled

from face_perception.bringup.graph import GraphOptions, merged_environment, node_processes

# Texts that must never be in the log of a node.
BAD_LOG_PATTERNS = (
    "Traceback",
    "Exception in '",  # of a callback, as the EventsExecutor logs it
    "requesting incompatible QoS",
    "terminate called",
    "core dumped",
)


class NodeProcess:
    """A process of one or several nodes, with the environment of `face-perception up`."""

    def __init__(self, name: str, log: Path, arguments: list[str], *, forked: bool = True) -> None:
        self.name = name
        self.log_file = log
        run = start_nodes if forked else start_from_beginning
        self.popen = run(arguments, merged_environment(os.environ), log.parent, log)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for_log(self, text: str, timeout: float = 60.0) -> str:
        """Waits until the log contains ``text``; returns the log."""
        end = time.monotonic() + scaled(timeout)
        while time.monotonic() < end:
            if text in self.log:
                return self.log
            if self.popen.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{self.name} did not say {text!r}:\n{self.log}")

    def interrupt(self, timeout: float = 20.0) -> int:
        """Sends SIGINT and returns the exit code."""
        self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(scaled(timeout))

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


@contextmanager
def started_nodes(folder: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Yields a function that starts a node: ``start("gaze", remaps=("gaze:=/g",), model="sides")``.

    With several names, starts one process: ``start("gaze", "affect", affect={"model": "fer"})``.
    With ``forked=False``, the process is a child of this one, see forked_nodes.py. ``folder`` gets
    the logs. At the end, interrupts the nodes that still run and checks all logs.
    """
    running: list[NodeProcess] = []

    def start_one(
        name: str,
        *others: str,
        options: dict[str, Any] | None = None,
        remaps: tuple[str, ...] = (),
        forked: bool = True,
        **parameters: Any,
    ) -> NodeProcess:
        (process,) = node_processes(
            GraphOptions(
                nodes=(name, *others),
                parameters=parameters if others else {name: parameters},
                composed=True,
                **(options or {}),
            )
        )
        log = folder / f"{len(running)}_{process.name}.log"
        log.touch()
        arguments = [*process.arguments(), *(a for r in remaps for a in ("-r", r))]
        node = NodeProcess(process.name, log, arguments, forked=forked)
        running.append(node)
        return node

    try:
        yield start_one
        left = [node for node in running if node.popen.poll() is None]
        for node in left:
            node.popen.send_signal(signal.SIGINT)
        for node in left:  # together, because each waits for a while
            code = node.popen.wait(scaled(20))
            assert code == 0, f"{node.name} ended badly:\n{node.log}"
    finally:
        for node in running:
            node.end()
    for node in running:
        for pattern in BAD_LOG_PATTERNS:
            assert pattern not in node.log, f"{node.name} said:\n{node.log}"


@functools.cache
def use_profile_of_nodes() -> None:
    """Has Fast DDS use the profile of the package's nodes for all nodes of this process.

    With its default profile, a busy machine loses images between processes and finds nodes seconds
    later. Fast DDS reads the profile once, when the first node of a process is made.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in merged_environment(os.environ).items():
            patch.setenv(name, value)
        context = Context()
        rclpy.init(context=context)
        Node("profile_reader", context=context, use_global_arguments=False).destroy_node()
        context.try_shutdown()


class Peer:
    """A node in the test, in the same domain: publishes, subscribes, spins."""

    def __init__(self, domain: int) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = Node("test_peer", context=self._context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.received: dict[str, list[Any]] = {}

    def listen(self, message_type: type[Any], topic: str, best_effort: bool = False) -> list[Any]:
        """Subscribes to a topic; returns a list to which spinning appends the messages."""
        messages = self.received.setdefault(topic, [])
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=50, reliability=reliability)
        self.node.create_subscription(message_type, topic, messages.append, profile)
        return messages

    def publisher(
        self, message_type: type[Any], topic: str, best_effort: bool = False, *, depth: int = 10
    ) -> Any:
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability)
        return self.node.create_publisher(message_type, topic, profile)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], Any], timeout: float = 30.0, why: str = "") -> None:
        """Spins until ``condition()``; fails after ``timeout`` seconds."""
        end = time.monotonic() + scaled(timeout)
        while not condition():
            assert time.monotonic() < end, f"waited {scaled(timeout)} s in vain {why}"
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, service_type: type[Any], name: str, request: Any, timeout: float = 20.0) -> Any:
        client = self.node.create_client(service_type, name)
        self.until(client.service_is_ready, timeout, f"for the service {name}")
        future = client.call_async(request)
        self.until(future.done, timeout, f"for an answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()
