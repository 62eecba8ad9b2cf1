"""What the services and actions of nodes share, such as answers that say what is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from face_perception.errors import FacePerceptionError, InputError, one_line, shortened
from face_perception.ros.rclpy_compat import RCLError


def answering(answer: Callable[[Any, Any], None]) -> Callable[[Any, Any], Any]:
    """Returns a service callback; an error of ``answer`` becomes a response without success."""

    def answering(request: Any, response: Any) -> Any:
        try:
            response.success = True
            answer(request, response)
        except (ValueError, OSError, FacePerceptionError) as error:
            response.success, response.message = False, str(error)
        return response

    return answering


def check_face(face_id: str, faces: Iterable[str]) -> None:
    """Raises InputError if a face that a request names is not among the ``faces`` that are seen."""
    if face_id and face_id not in faces:
        seen = one_line(", ".join(faces) or "nobody")
        raise InputError(f"there is no face {shortened(face_id)}; seen: {seen}")


def send_feedback(handle: Any, feedback: Any) -> None:
    """Sends the feedback of a goal, unless one of its readers stalls; the next one will do."""
    with contextlib.suppress(RCLError):
        handle.publish_feedback(feedback)
