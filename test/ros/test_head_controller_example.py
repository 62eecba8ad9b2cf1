"""The pan-tilt controller of docs/robot.md turns a simulated head to a person."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from geometry_msgs.msg import Point, PointStamped
from node_processes import Peer
from trajectory_msgs.msg import JointTrajectory

PAGE = Path(__file__).parents[2] / "docs" / "robot.md"
PERSON = np.array([2.0, 0.8, -0.3])  # metres: ahead of the robot, to its left, below the camera


def seen_from(pan: float, tilt: float) -> Point:
    """Returns the person in the optical frame of a camera that is turned left and down."""
    (cp, sp), (ct, st) = (math.cos(pan), math.sin(pan)), (math.cos(tilt), math.sin(tilt))
    about_z = np.array([[cp, -sp, 0], [sp, cp, 0], [0, 0, 1]])
    about_y = np.array([[ct, 0, st], [0, 1, 0], [-st, 0, ct]])
    forward, left, up = (about_z @ about_y).T @ PERSON
    return Point(x=-left, y=-up, z=forward)


def test_the_head_turns_to_the_person(peer: Peer, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    (code,) = [block for block in blocks if "HeadController" in block]
    (tmp_path / "head.py").write_text(code)
    program = subprocess.Popen([sys.executable, tmp_path / "head.py"], cwd=tmp_path)
    try:
        goals = peer.listen(JointTrajectory, "joint_trajectory")
        points = peer.publisher(PointStamped, "look_at")
        peer.until(lambda: points.get_subscription_count())
        pan, tilt = 0.0, 0.0
        for _ in range(30):
            known = len(goals)
            points.publish(PointStamped(point=seen_from(pan, tilt)))
            peer.until(lambda known=known: len(goals) > known)
            assert goals[-1].joint_names == ["head_pan", "head_tilt"]
            pan, tilt = goals[-1].points[0].positions
        seen = seen_from(pan, tilt)
        assert math.hypot(seen.x, seen.y) / seen.z < 0.01, "the person is in the middle"
    finally:
        program.kill()
        program.wait()
