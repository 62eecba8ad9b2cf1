"""Carries out the commands of the dashboard: calls services and the calibration action."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.action import ActionClient
from std_srvs.srv import Trigger

from face_perception import action, srv
from face_perception.web import Command

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_CALIBRATE = "gaze/calibrate"
_MOST_WAITING = 32  # commands; more can only come from a program


class Commands:
    """The commands of a node. Make it in the ``start`` of the node; ``put`` on any thread.

    Call ``work`` on the executor's thread now and then. ``hint`` is what a person who is being
    calibrated should do now.
    """

    def __init__(self, node: PerceptionNode[Any]) -> None:
        self._node = node
        self._waiting: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._clients: dict[str, Any] = {}
        for kind, name in (
            (srv.StartSession, "session/start"),
            (Trigger, "session/stop"),
            (srv.MarkSession, "session/mark"),
            (srv.LinkFace, "gaze/link_face"),
            (srv.DeleteCalibration, "gaze/delete_calibration"),
        ):
            client = node.create_client(kind, name)
            self._clients[name] = client
            node.on_end(node.destroy_client, client)
        self._calibration = ActionClient(node, action.CalibrateGaze, _CALIBRATE)
        node.on_end(self._calibration.destroy)
        self._goal: Any = None
        self.hint = ""

    def put(self, command: Command) -> None:
        """Takes a command."""
        if self._waiting.qsize() >= _MOST_WAITING:
            command.answer(False, "too many commands at once: wait a moment")
            return
        self._waiting.put(command)

    def work(self) -> None:
        """Starts the commands that wait."""
        while not self._waiting.empty():
            command = self._waiting.get()
            try:
                self._start(command)
            except Exception as error:  # the browser waits for an answer
                self._node.log_exception(error)
                command.answer(False, f"{type(error).__name__}: {error}")

    def _start(self, command: Command) -> None:
        texts = command.texts
        if command.name == "start":
            self._call(command, "session/start", srv.StartSession.Request(**texts))
        elif command.name == "stop":
            self._call(command, "session/stop", Trigger.Request())
        elif command.name == "mark":
            age = time.monotonic() - command.at
            self._call(command, "session/mark", srv.MarkSession.Request(**texts, age=age))
        elif command.name == "link":
            self._call(command, "gaze/link_face", srv.LinkFace.Request(**texts))
        elif command.name == "forget":
            self._call(command, "gaze/delete_calibration", srv.DeleteCalibration.Request(**texts))
        elif command.name == "calibrate":
            self._calibrate(command)
        else:
            self._cancel(command)

    def _call(self, command: Command, name: str, request: Any) -> None:
        client = self._clients[name]
        if not client.service_is_ready():
            command.answer(False, _missing(name))
            return
        _when_done(client.call_async(request), command, _answered)

    def _calibrate(self, command: Command) -> None:
        if self._goal is not None:
            command.answer(False, "a calibration runs already: stop it first")
        elif not self._calibration.server_is_ready():
            command.answer(False, _missing(_CALIBRATE))
        else:
            goal = action.CalibrateGaze.Goal(**command.texts)
            sent = self._calibration.send_goal_async(goal, feedback_callback=self._on_feedback)
            _when_done(sent, command, self._accepted)

    def _accepted(self, command: Command, goal: Any) -> None:
        if not goal.accepted:
            command.answer(False, "the gaze node refused the calibration: its log says why")
            return
        self._goal = goal
        command.answer(True, f"{command.texts['person_id']} looks at the camera now")
        _when_done(goal.get_result_async(), command, self._finished)

    def _on_feedback(self, message: Any) -> None:
        found = message.feedback
        self.hint = f"{found.progress:.0%} {found.hint}"

    def _finished(self, command: Command, answer: Any) -> None:
        self._goal, self.hint = None, ""
        command.answer(bool(answer.result.success), str(answer.result.message))

    def _cancel(self, command: Command) -> None:
        if self._goal is None:
            command.answer(False, "no calibration runs that was started here")
        elif not self._calibration.server_is_ready():
            self._goal, self.hint = None, ""
            command.answer(False, _missing(_CALIBRATE))
        else:
            _when_done(self._goal.cancel_goal_async(), command, self._canceled)

    def _canceled(self, command: Command, answer: Any) -> None:
        if not answer.goals_canceling:  # the gaze node was started again meanwhile
            self._goal, self.hint = None, ""
        command.answer(True, "stopping the calibration")


def _answered(command: Command, response: Any) -> None:
    command.answer(bool(response.success), str(response.message))


def _missing(name: str) -> str:
    return f"there is no {name}: start the {name.partition('/')[0]} node"


def _when_done(future: Any, command: Command, take: Callable[[Command, Any], None]) -> None:
    """Calls ``take`` with the result of a future; an error becomes the answer."""

    def done(future: Any) -> None:
        try:
            take(command, future.result())
        except Exception as error:
            command.answer(False, f"{type(error).__name__}: {error}")

    future.add_done_callback(done)
