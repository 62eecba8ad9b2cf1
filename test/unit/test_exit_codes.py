"""Exit codes in words."""

from __future__ import annotations

import pytest

from face_perception.exit_codes import EXIT_STUCK, exit_reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, "exit code 3"),
        (EXIT_STUCK, "its watchdog ended it"),
        (-9, "SIGKILL"),
        (-40, "signal 40"),  # real-time signals have no names
    ],
)
def test_the_reason_is_said(code: int, reason: str) -> None:
    assert exit_reason(code) == reason
