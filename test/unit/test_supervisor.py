"""The supervisor's loop: a signal ends it at whatever line of code it arrives."""

from __future__ import annotations

import subprocess
import sys

from waits import scaled

# Runs the loop again and again. In run number `step` a signal arrives before the line number `step`
# that the loop executes, in the supervisor's file or in `threading`. Ends when a run ends earlier.
_LOOPS = """
import signal, sys, threading
from face_perception.bringup import graph, supervisor

class NoProcesses:
    given_up = []
    def __init__(self, *args, **kwargs):
        sys._getframe(1).f_trace = trace
        sys.settrace(trace)
    def poll(self):
        return True
    def stop(self):
        sys.settrace(None)

def trace(frame, event, argument):
    global count
    if frame.f_code.co_filename not in (supervisor.__file__, threading.__file__):
        return None
    if event == "line" and count < step:
        count += 1
        if count == step:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
    return trace

supervisor.Supervisor = NoProcesses
supervisor.check_start = lambda *_: None
step = count = 0
while count == step:
    step, count = step + 1, 0
    supervisor.run_graph(graph.GraphOptions(nodes=("gaze",)), duration=0.15)
print(step)
"""


def test_a_signal_ends_the_loop_wherever_it_arrives() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOPS], capture_output=True, text=True, timeout=scaled(60)
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5, "the signals came while the loop ran"
