"""The perception nodes look at the talking face, over DDS: they see what it was told to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import NodeProcess, Peer
from geometry_msgs.msg import PointStamped
from test_talking_face_node import Speaker, hello, latched

from face_perception import msg
from face_perception.geometry import yaw_pitch
from face_perception.nodes import messages

State = msg.AvatarState
LOOKS = [(15, 0), (-15, 0), (0, 7), (0, -7)]  # degrees


def stamp(message: Any) -> float:
    return messages.seconds(message.header.stamp)


def intensity(message: msg.ActionUnitsArray, code: int) -> float:
    face = message.faces[0]
    return float(face.intensity[list(face.codes).index(code)])


def read_gaze(message: msg.GazeArray) -> tuple[float, float]:
    """Yaw and pitch, radians, against the line from the eyes to the camera, the viewer's place."""
    seen = message.gazes[0]
    eyes = np.array([seen.origin.x, seen.origin.y, seen.origin.z])
    sight = yaw_pitch(-eyes / np.linalg.norm(eyes))
    return seen.yaw - sight[0], seen.pitch - sight[1]


def target(yaw: float, pitch: float) -> PointStamped:
    """A point 1 m before the screen for which the face looks along yaw and pitch, radians."""
    message = PointStamped()
    x = -math.tan(yaw)
    message.point.x, message.point.z = x, 1.0
    message.point.y = -math.tan(pitch) * math.hypot(x, 1.0)
    return message


@pytest.mark.parametrize("portrait", ["", "astronaut"], ids=["drawn", "photograph"])
def test_perception_sees_what_the_face_does(
    portrait: str, start: Callable[..., NodeProcess], peer: Peer
) -> None:
    graph = {"image": "avatar/image"}
    start("talking_face", audio_out="none", portrait=portrait, rate=20.0, look_time=60.0)
    for name in ("face_tracker", "gaze", "affect"):
        start(name, options=graph)
    faces = peer.listen(msg.FaceArray, "faces")
    gazes = peer.listen(msg.GazeArray, "gaze")
    units = peer.listen(msg.ActionUnitsArray, "action_units")
    states = latched(peer)
    looks = peer.publisher(PointStamped, "avatar/look_at")
    speaker = Speaker(peer)
    peer.until(lambda: min(map(len, (faces, gazes, units))) > 0, why="for the graph")
    first = stamp(units[-1])
    # At rest first, so that this face's rest is known.
    peer.until(lambda: stamp(units[-1]) > first + 2, why="for a face at rest")
    speaker.connect()
    speaker.say(*hello())
    peer.until(lambda: len(states) >= 3 and states[-1].state == State.IDLE, why="for idle")
    peer.until(lambda: stamp(units[-1]) > stamp(states[-1]) + 0.5, why="for silence")

    # Lips that part, while it speaks and not else.
    began, ended = (messages.seconds(s.since) for s in states[-2:])
    times = np.array([stamp(m) for m in units if m.faces])
    parted = np.array([intensity(m, 25) for m in units if m.faces])
    talking = parted[(times > began + 0.2) & (times < ended - 0.2)]
    silent = parted[(times > first + 1) & (times < began)]
    assert len(talking) > 15
    assert len(silent) > 10
    assert np.percentile(talking, 90) > np.percentile(silent, 90) + 0.3
    assert np.median(silent) < 0.1

    # Eyes that go where they are told.
    errors = []
    for yaw, pitch in LOOKS:
        looks.publish(target(math.radians(yaw), math.radians(pitch)))
        settled = peer.node.get_clock().now().nanoseconds * 1e-9 + 1.2
        peer.until(lambda at=settled: stamp(gazes[-1]) > at + 0.8, why="for its look")
        seen = [read_gaze(m) for m in gazes if stamp(m) > settled and m.gazes[0].valid]
        read = np.degrees(np.median(seen, axis=0))
        error = float(np.hypot(*(read - (yaw, pitch))))
        print(f"told ({yaw}, {pitch}), read ({read[0]:.1f}, {read[1]:.1f}): {error:.1f} degrees")
        errors.append(error)

    assert max(errors) < 8, errors

    # A blink: shut for a moment, then open again.
    def shut() -> np.ndarray:
        return np.array([intensity(m, 45) > 0.5 for m in units if m.faces])

    peer.until(lambda: shut().any() and not shut()[-3:].any(), why="for a blink")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], shut(), [False]]).astype(int)))
    times = np.array([stamp(m) for m in units if m.faces])
    ends = times[np.minimum(edges[1::2], len(times) - 1)]
    assert (ends - times[edges[::2]]).max() < 0.6

    counts = {len(m.faces) for m in faces}
    assert counts == {1}, "a face in every frame"
