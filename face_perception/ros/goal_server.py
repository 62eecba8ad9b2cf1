"""An action server whose goals are driven by the node, because no callback may wait."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.action import ActionServer, CancelResponse

from face_perception.ros import waiting_times
from face_perception.ros.rclpy_compat import RCLError

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


class GoalServer:
    """The action server of a node, from the first ``setup`` until the node is destroyed.

    It stays while the node is cleaned up and configured again, because it must still send the
    results of earlier goals, and two servers would both accept the same goal. ``refusal`` is the
    result of a goal that comes while the node is not configured. All goals may be canceled: look at
    ``handle.is_cancel_requested``.
    """

    def __init__(
        self, node: PerceptionNode[Any], action: Any, name: str, refusal: Callable[[], Any]
    ) -> None:
        self._node = node
        self._refusal = refusal
        self._accept: Callable[[Any], None] | None = None
        server = ActionServer(
            node,
            action,
            name,
            execute_callback=lambda handle: action.Result(),
            handle_accepted_callback=self._accepted,
            cancel_callback=lambda handle: CancelResponse.ACCEPT,
        )
        # Not destroyed earlier: a node that is told to shut down still has results to send.
        node.lifetime.callback(server.destroy)

    def attach(self, accept: Callable[[Any], None]) -> None:
        """Passes goals to ``accept`` until the node is cleaned up; call it in ``setup``."""
        self._accept = accept
        self._node.on_end(self._detach)

    def _detach(self) -> None:
        self._accept = None

    def _accepted(self, handle: Any) -> None:
        if self._accept is None:
            conclude_goal(handle, self._refusal())
        else:
            self._accept(handle)


def failure_of_goal(handle: Any, last_image: float, *, finished: bool) -> str:
    """Returns why a goal that collects images ends without success; empty: it goes on, or is done.

    ``last_image`` is the time of the last image, or of the goal if that is later, seconds of
    ``time.monotonic``. ``finished``: it has all images, so that it no longer waits for one.
    """
    if handle.is_cancel_requested:
        return "canceled; nothing was stored"
    silent = time.monotonic() - last_image
    if not finished and silent > waiting_times.SILENCE:
        return f"no image for {silent:.0f} s: check that the camera and face_tracker run"
    return ""


def conclude_goal(handle: Any, result: Any) -> None:
    """Sets the state and the result of a goal, in a task of the executor.

    The goal has succeeded if ``result.success``, was canceled if that was asked for, else aborted.
    """

    def finish(goal_handle: Any) -> Any:
        if result.success:
            goal_handle.succeed()
        elif goal_handle.is_cancel_requested:
            goal_handle.canceled()
        else:
            goal_handle.abort()
        return result

    # While the process shuts down, the context is no longer valid.
    with contextlib.suppress(RCLError):
        handle.execute(finish)
