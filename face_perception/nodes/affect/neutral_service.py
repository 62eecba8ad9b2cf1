"""The service of the affect node that sets the neutral face, and a client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from face_perception.affect import LandmarkActionUnits
from face_perception.ros.service_call import TIMEOUT, call_service
from face_perception.srv import SetNeutral

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_SERVICE = "affect/set_neutral"


class NeutralService:
    """Offers ``~/set_neutral`` on a node; make it in the ``setup`` of the node."""

    def __init__(self, node: PerceptionNode[Any], units: LandmarkActionUnits) -> None:
        self._units = units
        node.serve(SetNeutral, "~/set_neutral", self._answer)

    def _answer(self, request: Any, response: Any) -> Any:
        change = self._units.forget_neutral if request.forget else self._units.set_neutral
        problems = []
        for face_id in [request.face_id] if request.face_id else self._units.face_ids:
            try:
                change(face_id)
                response.face_ids.append(face_id)
            except ValueError as error:
                problems.append(str(error))
        done = ", ".join(response.face_ids)
        if done:
            problems.insert(
                0, f"{'forgot the neutral face of' if request.forget else 'set'} {done}"
            )
        response.success = bool(done)
        response.message = "; ".join(problems) or (
            "no face is tracked: a face must be in front of the camera, and action_units must have "
            "a subscriber"
        )
        return response


def call_set_neutral(
    namespace: str = "", face_id: str = "", *, forget: bool = False, timeout: float = TIMEOUT
) -> tuple[bool, str]:
    """Calls the service of the affect node in ``namespace``; returns its success and its message.

    Raises TimeoutError if the service does not answer within ``timeout`` seconds.
    """
    response = call_service(
        namespace,
        SetNeutral,
        _SERVICE,
        SetNeutral.Request(face_id=face_id, forget=forget),
        node="affect",
        timeout=timeout,
    )
    return bool(response.success), str(response.message)
