"""The names of rclpy that are private or have moved; no other file uses any.

The private ones are the same from Humble to Kilted. Where a later rclpy renames one, this is the
file to fix.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.lifecycle import LifecycleNode

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

from face_perception.ros.distributions import is_before_kilted

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node
    from rclpy.parameter import Parameter

__all__ = [
    "RCLError",
    "SafeLifecycleNode",
    "SubscriptionEventCallbacks",
    "UnknownROSArgsError",
    "events_executor",
    "parameter_overrides",
    "waiting",
]


def parameter_overrides(node: Node) -> Mapping[str, Parameter]:
    """Returns the parameters given to a node on the command line or in a file, by name."""
    overrides: Mapping[str, Parameter] = node._parameter_overrides
    return overrides


def waiting(subscription: Any) -> Iterator[Any]:
    """Takes the messages that wait in the queue of a subscription, oldest first.

    The executor takes one message at a time. Call it from a callback of the subscription, or for a
    subscription of a node that no executor has.
    """
    handle = subscription.handle
    with handle:
        while (taken := handle.take_message(subscription.msg_type, subscription.raw)) is not None:
            yield taken[0]


def events_executor() -> Executor | None:
    """Returns a new EventsExecutor, or None before ROS 2 Kilted.

    Where rclpy's other executors rebuild a list of everything to wait for in Python before each
    callback, this one is told what is ready. Call its ``spin_once`` with a timeout: in the Python
    wheels of Kilted, its ``spin`` calls nothing back. It has no guard conditions. An exception of a
    callback comes out of ``spin_once``, and that of a task (``create_task``) crashes it.
    """
    if is_before_kilted(os.environ):
        return None  # Jazzy has an earlier form, with which nothing was tried
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return None
    executor: Executor = EventsExecutor()
    return executor


class SafeLifecycleNode(LifecycleNode):
    """A lifecycle node that refuses an invalid transition request instead of ending.

    Before Kilted such a request raises through the executor.
    """

    def on_transition_request(self) -> None:
        """Called before each transition that somebody outside the node requests."""

    def _LifecycleNodeMixin__on_change_state(self, request: Any, response: Any) -> Any:
        self.on_transition_request()
        try:
            return super()._LifecycleNodeMixin__on_change_state(request, response)
        except RCLError as error:
            self.get_logger().error(f"transition {request.transition.id} refused: {error}")
            response.success = False
            return response
