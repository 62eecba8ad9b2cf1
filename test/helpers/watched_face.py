"""Runs a talking_face node that records what its animator does.

    python3 watched_face.py FILE [--ros-args ...]

Each line of FILE is a frame: its stamp (seconds), how far the eyes are closed, whether the face
speaks, how far the jaw is down, and yaw and pitch of the eyes (radians).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from face_perception.avatar import FaceState, IdleMotionAnimator
from face_perception.nodes.talking_face import node as talking_face
from face_perception.ros.node_process import NodeStart, run
from face_perception.speech import MouthShape

if __name__ == "__main__":
    file = Path(sys.argv.pop(1)).open("w", buffering=1)  # noqa: SIM115

    class Watched(IdleMotionAnimator):
        def state_at(self, time_: float, mouth: MouthShape, speaking: bool) -> FaceState:
            state = super().state_at(time_, mouth, speaking)
            stamp = time_ + time.time() - time.monotonic()
            did = [state.blink, bool(speaking), state.mouth.jaw, state.gaze_yaw, state.gaze_pitch]
            file.write(json.dumps([stamp, *did]) + "\n")
            return state

    talking_face.IdleMotionAnimator = Watched
    sys.exit(run("talking_face", [NodeStart(talking_face.TalkingFaceNode, sys.argv[1:])]))
