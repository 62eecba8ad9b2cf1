"""Waiting times of the nodes, in seconds.

The environment variable FACE_PERCEPTION_DELAY_FACTOR multiplies all of them. Tests lower it, so
that they need not wait in full. Raise it under a debugger, so that the watchdog does not end a
node that stands at a breakpoint. It is read when the process starts.
"""

from __future__ import annotations

import os

_FACTOR = float(os.environ.get("FACE_PERCEPTION_DELAY_FACTOR", "1"))

# Between two tries to configure a node, or to open a camera or microphone.
RETRY_PERIOD = 2.0 * _FACTOR
# Before the same message is logged again.
LOG_PERIOD = 10.0 * _FACTOR
# Without messages on a topic before a node says that it receives nothing.
SILENCE = 5.0 * _FACTOR
# Without messages from a topic that has publishers before a node subscribes to it again. As long
# again without messages, and the node ends itself if others receive what it does not.
DEAF = 10.0 * _FACTOR
# In one callback, or with one item of a worker, before the watchdog ends the process.
STUCK = 30.0 * _FACTOR
# The same while a node is configured and reports no progress: loading networks takes a while.
STUCK_IN_SETUP = 120.0 * _FACTOR
# From the signal that ends a process to the moment at which the watchdog ends it.
ENDING = 8.0 * _FACTOR
# Without heartbeats before the parent kills a process: usually, and while the process has asked for
# patience (when it starts, and while it loads networks).
HEARTBEAT_SILENCE = 15.0 * _FACTOR
PATIENT_SILENCE = STUCK_IN_SETUP
# Until a node that was killed is no longer announced (``leaseDuration`` in config/fastdds.xml).
LEASE = 11.0 * _FACTOR
