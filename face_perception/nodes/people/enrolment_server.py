"""The action of the people node that enrols persons.

The executor has one thread, so no callback may wait: the images that arrive drive a goal, and a
timer checks it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from face_perception.action import EnrolPerson
from face_perception.errors import InputError, one_line
from face_perception.people import EnrolmentRefused, EnrolmentSession, PeopleRecognition
from face_perception.ros.goal_server import conclude_goal, failure_of_goal
from face_perception.ros.requests import check_face, send_feedback

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_CHECK_PERIOD = 0.1  # seconds between two checks of the goals
_RECENT = 2.0  # seconds; the faces of an older image are no longer known
_INACTIVE = "the people node is not active: activate it"


@dataclass(slots=True)
class _Goal:
    """One accepted goal. It is concluded at most once."""

    handle: Any
    session: EnrolmentSession
    since: float = field(default_factory=time.monotonic)


def refused_goal() -> EnrolPerson.Result:
    """Returns the result of a goal that comes while the people node is not configured."""
    return EnrolPerson.Result(success=False, message=_INACTIVE)


class Enrolment:
    """The goals of one configured people node; make it in the ``setup`` of the node.

    Call ``note_image`` for every image, on any thread, and everything else on the executor's
    thread.
    """

    def __init__(self, node: PerceptionNode[Any], people: PeopleRecognition) -> None:
        self._node = node
        self._people = people
        self._goals: list[_Goal] = []
        self._last_image = -np.inf  # monotonic
        self._timer = node.timer(_CHECK_PERIOD, self._check_goals)
        self._timer.cancel()  # until there is a goal

    def note_image(self) -> None:
        """Notes that an image has arrived."""
        self._last_image = time.monotonic()

    def accept(self, handle: Any) -> None:
        """Starts a goal, or aborts it with the reason."""
        try:
            session = self._begin(handle.request)
        except (ValueError, OSError) as error:
            conclude_goal(handle, EnrolPerson.Result(success=False, message=str(error)))
            return
        self._goals.append(_Goal(handle, session))
        self._timer.reset()
        face_id = one_line(session.face_id, 80)
        self._node.get_logger().info(f"enrolling {face_id} as {session.person_id}")

    def cancel_goals(self) -> None:
        """Ends all goals, because no more images will arrive."""
        for goal in list(self._goals):
            self._finish(goal, "the people node was deactivated; nothing was stored")

    def _begin(self, request: Any) -> EnrolmentSession:
        """Starts a session. Raises InputError if the request is not valid, or OSError."""
        if not self._node.active:
            raise InputError(_INACTIVE)
        if time.monotonic() - self._last_image < _RECENT:
            check_face(request.face_id, self._people.faces)
        self._people.store.check_writable()
        return self._people.begin_session(
            request.face_id, request.person_id, request.looks, request.seconds
        )

    def _check_goals(self) -> None:
        for goal in list(self._goals):
            failure = failure_of_goal(
                goal.handle, max(goal.since, self._last_image), finished=goal.session.finished
            )
            if failure or goal.session.finished:
                self._finish(goal, failure)
            else:
                self._send_feedback(goal)
        if not self._goals:
            self._timer.cancel()

    def _send_feedback(self, goal: _Goal) -> None:
        progress = self._people.session_progress(goal.session)
        feedback = EnrolPerson.Feedback(
            looks_kept=progress.kept,
            looks_rejected=progress.rejected,
            rejection_reasons=list(progress.reasons),
            rejection_counts=list(progress.reasons.values()),
            progress=float(progress.done),
            hint=progress.hint,
        )
        send_feedback(goal.handle, feedback)

    def _finish(self, goal: _Goal, failure: str = "") -> None:
        """Concludes a goal: stores the person, or aborts it because of ``failure``."""
        self._goals.remove(goal)
        session, looks = goal.session, 0
        if failure:
            self._people.end_session(session)
        else:
            self._send_feedback(goal)
            try:
                looks = len(self._people.finish_session(session).templates)
            except (EnrolmentRefused, OSError, ValueError) as error:
                failure = f"not enrolled: {error}"
        message = failure or (
            f"{session.person_id} is enrolled with {looks} looks in {self._people.store.folder}"
        )
        result = EnrolPerson.Result(success=not failure, message=message, looks=looks)
        conclude_goal(goal.handle, result)
        self._node.get_logger().info(f"{one_line(session.face_id, 80)}: {message}")
