"""Runs one node for `ros2 launch`, and kills it if it sends no heartbeats.

    python3 -m face_perception.bringup.guard COMMAND [ARGUMENT …]

launch starts a process again that ends, but does not notice one that hangs. It therefore starts
this one, which imports little, and which kills a hung node and ends with exit code 70. Signals are
passed on to the node.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from face_perception.bringup.shared_memory import remove_orphans
from face_perception.bringup.watched_process import WatchedProcess
from face_perception.exit_codes import EXIT_STUCK

_PERIOD = 0.1  # seconds between two looks


def main(command: list[str]) -> int:
    """Runs ``command``; returns its exit code, or 70 if it was killed because it hung."""
    process = WatchedProcess(command, time.monotonic(), environment=os.environ)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: process.popen.send_signal(number))
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
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
