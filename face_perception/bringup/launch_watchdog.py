"""Runs one node for `ros2 launch`, and kills it if it sends no heartbeats.

    python3 -m face_perception.bringup.launch_watchdog [--respawn] COMMAND [ARGUMENT …]

launch starts a process again that ends, but does not notice one that hangs. It therefore starts
this one, which imports little, and which kills a hung node and ends with exit code 70. Signals are
passed on to the node. If launch itself is killed, the node ends, too. With --respawn, launch would
start the node again for ever: a node that cannot start with its arguments is not started again,
because the watchdog waits for a signal before it ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from face_perception.bringup.shared_memory import remove_orphans
from face_perception.bringup.watched_process import WatchedProcess, end_with_parent
from face_perception.exit_codes import EXIT_STUCK, EXIT_USAGE

_RESPAWN = "--respawn"
_PERIOD = 0.1  # seconds between two looks


def main(command: list[str]) -> int:
    """Runs ``command``; returns its exit code, or 70 if it was killed because it hung."""
    end_with_parent()
    respawn = command[0] == _RESPAWN
    command = command[respawn:]
    process = WatchedProcess(command, time.monotonic(), environment=os.environ)
    received: list[int] = []

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        process.popen.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    never = threading.Event()
    while (code := process.poll(time.monotonic())) is None:
        never.wait(_PERIOD)
    process.close()
    if code:
        remove_orphans()
    if process.silence:
        print(
            f"{command[0]} sent no heartbeat for {process.silence:.0f} s, because it was stopped "
            "or hangs: it was killed",
            file=sys.stderr,
        )
        return EXIT_STUCK
    if code == EXIT_USAGE and respawn:
        name = os.path.basename(command[0])
        print(
            f"{name} cannot start with these arguments, so it is not started again",
            file=sys.stderr,
            flush=True,
        )
        while not received:
            never.wait(_PERIOD)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
