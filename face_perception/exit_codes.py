"""Exit codes of the processes of nodes (those of sysexits.h), and exit codes in words."""

from __future__ import annotations

import signal

# The arguments or the parameter file are wrong: starting the process again does not help.
EXIT_USAGE = 64
# The watchdog ended the process, because it was stuck: starting it again helps.
EXIT_STUCK = 70


def exit_reason(code: int) -> str:
    """Returns why a process ended, from its exit code as ``subprocess`` states it."""
    if code == EXIT_STUCK:
        return "its watchdog ended it"
    if code < 0:
        # Real-time signals have no names.
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"exit code {code}"
