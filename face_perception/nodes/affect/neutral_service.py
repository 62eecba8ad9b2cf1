"""The service of the affect node that sets the neutral face, and a client of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import rclpy

from face_perception.affect import LandmarkActionUnits
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
    namespace: str = "", face_id: str = "", *, forget: bool = False, timeout: float = 10.0
) -> tuple[bool, str]:
    """Calls the service of the affect node in ``namespace``; returns its success and its message.

    Raises TimeoutError if the service does not answer within ``timeout`` seconds.
    """
    rclpy.init(args=[])
    node = rclpy.create_node("face_perception_neutral", namespace=namespace)
    try:
        client = node.create_client(SetNeutral, _SERVICE)
        end = time.monotonic() + timeout
        answer = None
        if client.wait_for_service(timeout_sec=timeout):
            answer = client.call_async(SetNeutral.Request(face_id=face_id, forget=forget))
            rclpy.spin_until_future_complete(
                node, answer, timeout_sec=max(0.0, end - time.monotonic())
            )
        if answer is None or not answer.done():
            raise TimeoutError(
                f"no answer from {client.srv_name} within {timeout:g} s: is the affect node "
                "running, in this namespace?"
            )
        response = answer.result()
        return bool(response.success), str(response.message)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
