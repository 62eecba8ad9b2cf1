"""A text that the voice node says or will say, with the goal that asked for it."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from face_perception import types
from face_perception.action import Say
from face_perception.errors import InputError, shortened
from face_perception.ros.goal_server import conclude_goal
from face_perception.ros.rclpy_compat import RCLError
from face_perception.speech import SPEEDS, Utterance, split_text

INACTIVE = "the voice node is not active: activate it"


class SaidText:
    """A text and its speech.

    ``handle`` is that of its goal; None if it came on a topic. ``received`` is the ROS time in
    seconds at which it came.
    """

    def __init__(self, request: Any, handle: Any = None, received: float = 0.0) -> None:
        self.request = request
        self.handle = handle
        self.received = received
        self.utterance = Utterance()
        self.stopped = threading.Event()  # set: no more of it is needed
        self.failure = ""  # why not all of it was said

    @property
    def is_canceled(self) -> bool:
        """Whether the client of the goal has asked to cancel it."""
        return self.handle is not None and bool(self.handle.is_cancel_requested)

    @property
    def problem(self) -> str:
        """What is wrong with the request, with the fix; empty if nothing is."""
        request = self.request
        if request.speed and not SPEEDS[0] <= request.speed <= SPEEDS[1]:
            return (
                f"speed is {request.speed:g}: it must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}, or 0 "
                "for the parameter speed"
            )
        if request.expression and request.expression not in types.EXPRESSIONS:
            return (
                f"unknown expression {shortened(request.expression)}: use one of "
                f"{', '.join(types.EXPRESSIONS)}"
            )
        try:
            split_text(request.text)
        except InputError as error:
            return str(error)
        return ""

    def send_feedback(self, now: float) -> None:
        """Sends the word that is said, and the seconds that are left."""
        if self.handle is None:
            return
        feedback = Say.Feedback(
            word=self.utterance.word_at(now), seconds_left=self.utterance.seconds_left(now)
        )
        # A reliable publisher raises while one of its readers stalls; the next feedback will do.
        with contextlib.suppress(RCLError):
            self.handle.publish_feedback(feedback)

    def conclude(self, problem: str, *, interrupted: bool) -> None:
        """Ends the goal; ``problem`` says why the text was not said, and is empty if it was."""
        self.stopped.set()
        if self.handle is not None:
            result = Say.Result(
                success=not problem, interrupted=interrupted, message=problem or "said"
            )
            conclude_goal(self.handle, result)


def request_of(goal: Any) -> Any:
    """Returns the request of a goal with a clean name of the expression."""
    goal.expression = goal.expression.strip().lower()
    return goal


def refused_goal() -> Any:
    """Returns the result of a goal that comes while the voice node is not configured."""
    return Say.Result(success=False, message=INACTIVE)
