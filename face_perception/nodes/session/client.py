"""Calls the session node from a command."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from std_srvs.srv import Trigger

from face_perception.bringup.ros_names import check_text
from face_perception.errors import InputError
from face_perception.msg import SessionStatus
from face_perception.ros.service_call import call_service, last_message, service
from face_perception.srv import MarkSession, StartSession

_NODE = "session"
_FIX = "type it in a terminal that uses UTF-8"
Answer = tuple[bool, str]  # success, and what the node says


def start_session(namespace: str, label: str, consent: str, video: str) -> Answer:
    """Starts a session; the arguments are those of StartSession.srv.

    Raises TimeoutError, and InputError for a text that is not UTF-8.
    """
    check_text("label", label, _FIX)
    check_text("consent", consent, _FIX)
    request = StartSession.Request(label=label, consent=consent, video=video)
    return _answer(call_service(namespace, StartSession, f"{_NODE}/start", request, node=_NODE))


def stop_session(namespace: str) -> Answer:
    """Ends the session. Raises TimeoutError."""
    return _answer(call_service(namespace, Trigger, f"{_NODE}/stop", Trigger.Request(), node=_NODE))


@contextmanager
def marking(namespace: str) -> Iterator[Callable[[str, float], Answer]]:
    """Yields a function that sets a marker.

    It takes the label and the moment, seconds of the monotonic clock: finding the node takes up to
    a second, by which the marker must not be late. It raises TimeoutError.
    """
    with service(namespace, MarkSession, f"{_NODE}/mark", node=_NODE) as call:

        def mark(label: str, at: float) -> Answer:
            try:
                check_text("marker", label, _FIX)
            except InputError as error:
                return False, str(error)
            return _answer(
                call(lambda: MarkSession.Request(label=label, age=time.monotonic() - at))
            )

        yield mark


def session_status(namespace: str) -> str:
    """Returns in words what is recorded. Raises TimeoutError."""
    status = last_message(namespace, SessionStatus, f"{_NODE}/status", node=_NODE)
    if not status.folder:
        lines = ["no session was recorded yet"]
    else:
        started = datetime.datetime.fromtimestamp(status.started.sec).strftime("%H:%M:%S")
        state = "recording into" if status.recording else "not recording; the last session is"
        lines = [
            f"{state} {status.folder}, started at {started}",
            f"{status.messages} messages, {status.bytes / 1e6:.1f} MB, {status.markers} markers, "
            f"{status.dropped} messages dropped",
        ]
    lines.append(f"free on the disk: {status.free_space / 1e9:.1f} GB")
    if status.problem:
        lines.append(status.problem)
    return "\n".join(lines)


def _answer(response: Any) -> Answer:
    return bool(response.success), str(response.message)
