"""Waiting times of the nodes, in seconds.

The environment variable FACE_PERCEPTION_DELAY_FACTOR multiplies all of them. It is for tests, which
would otherwise wait in full, and is read when the process starts.
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
