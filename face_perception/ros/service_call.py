"""Calls a service, or reads a latched topic, from a command of the shell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from face_perception.ros import qos
from face_perception.ros.start_ros import start_ros

TIMEOUT = 10.0  # seconds


@contextmanager
def service(
    namespace: str, service_type: type[Any], name: str, *, node: str, timeout: float = TIMEOUT
) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Yields a function that calls the service ``name`` in ``namespace`` and returns the response.

    It takes a function that makes the request, and calls it when the service is there. ``node`` is
    the node that offers it, for the message. Raises TimeoutError if there is no answer within
    ``timeout`` seconds.
    """
    with _command_node(namespace) as caller:
        client = caller.create_client(service_type, name)

        def call(request: Callable[[], Any]) -> Any:
            end = time.monotonic() + timeout
            answer = None
            if client.wait_for_service(timeout_sec=timeout):
                answer = client.call_async(request())
                rclpy.spin_until_future_complete(
                    caller, answer, timeout_sec=max(0.0, end - time.monotonic())
                )
            if answer is None or not answer.done():
                raise TimeoutError(
                    f"no answer from {client.srv_name} within {timeout:g} s: is the {node} node "
                    "running, in this namespace?"
                )
            return answer.result()

        yield call


def call_service(
    namespace: str,
    service_type: type[Any],
    name: str,
    request: Any,
    *,
    node: str,
    timeout: float = TIMEOUT,
) -> Any:
    """Calls a service once; the arguments are those of ``service``. Raises TimeoutError."""
    with service(namespace, service_type, name, node=node, timeout=timeout) as call:
        return call(lambda: request)


def last_message(
    namespace: str, message_type: type[Any], topic: str, *, node: str, timeout: float = TIMEOUT
) -> Any:
    """Returns the last message of a latched topic in ``namespace``.

    ``node`` is the node that publishes it, for the message. Raises TimeoutError if nothing comes
    within ``timeout`` seconds.
    """
    heard: list[Any] = []
    with _command_node(namespace) as listener:
        subscription = listener.create_subscription(
            message_type, topic, heard.append, qos.results(1, latched=True)
        )
        end = time.monotonic() + timeout
        while not heard and (left := end - time.monotonic()) > 0:
            rclpy.spin_once(listener, timeout_sec=left)
        if not heard:
            raise TimeoutError(
                f"nothing on {subscription.topic_name} within {timeout:g} s: is the {node} node "
                "running, in this namespace?"
            )
    return heard[-1]


@contextmanager
def _command_node(namespace: str) -> Iterator[Node]:
    # SIGTERM ends the command. rclpy's handler would only shut rclpy down, under the call.
    start_ros(signal_handler_options=SignalHandlerOptions.SIGINT)
    node = rclpy.create_node("face_perception_command", namespace=namespace)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
