"""The perception nodes measure, over DDS, what a film of the talking face shows.

They must see the movements that the face was told to make, and no others. The face is a photograph:
test_portrait.py measures the other portraits without nodes. Each frame is published
when the results of the last one have arrived. So a busy computer loses no frame and only takes
longer.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from geometry_msgs.msg import PointStamped
from node_processes import NodeProcess, Peer
from sensor_msgs.msg import Image
from test_talking_face_node import Speaker, hello, latched
from waits import scaled

from face_perception import msg
from face_perception.bringup.graph import GraphOptions, merged_environment, node_processes
from face_perception.geometry import yaw_pitch
from face_perception.media import FrameReader, image_from_message, write_mp4
from face_perception.ros import images, messages

State = msg.AvatarState
Frames = npt.NDArray[np.float64]
LOOKS = [(15, 0), (-15, 0), (0, 7), (0, -7)]  # degrees
RATE = 20.0
SLOW = 2.0  # seconds between stamps of the film, per second of the face's own motion
DWELL = 3.0  # seconds of each look: enough for several fixations
LEAD = 20  # frames of a still face at the beginning, in which the nodes learn the neutral face


def stamp(message: Any) -> float:
    return messages.seconds(message.header.stamp)


def intensity(message: msg.ActionUnitsArray, code: int) -> float:
    units = message.action_units[0]
    return float(units.intensity[list(units.code).index(code)])


def read_gaze(message: msg.GazeArray) -> tuple[float, float]:
    """Returns yaw and pitch relative to the line from the eyes to the camera, radians."""
    seen = message.gazes[0]
    eyes = np.array([seen.origin.x, seen.origin.y, seen.origin.z])
    sight = yaw_pitch(-eyes / np.linalg.norm(eyes))
    return seen.yaw - sight[0], seen.pitch - sight[1]


def target(yaw: float, pitch: float) -> PointStamped:
    """Returns the point 1 m in front of the screen in this direction of the face, radians."""
    message = PointStamped()
    x = -math.tan(yaw)
    message.point.x, message.point.z = x, 1.0
    message.point.y = -math.tan(pitch) * math.hypot(x, 1.0)
    return message


def record(peer: Peer, folder: Path) -> tuple[str, Frames, list[float]]:
    """Films the face while it speaks and looks at targets.

    Returns the path of the film, what the animator did [frames, (blink, speaks, jaw, yaw, pitch)],
    and the frame number at which each look was requested.
    """
    values = {"audio_out": "none", "portrait": "astronaut", "rate": RATE, "look_time": 60.0}
    options = GraphOptions(nodes=("talking_face",), parameters={"talking_face": values})
    arguments = node_processes(options)[0].nodes[0].ros_arguments()
    script = Path(__file__).parents[1] / "helpers" / "watched_face.py"
    done = folder / "animator.jsonl"
    face = subprocess.Popen(
        [sys.executable, str(script), str(done), *arguments],
        env=merged_environment(os.environ),
        cwd=folder,
    )
    try:
        frames = peer.listen(Image, "avatar/image")
        states = latched(peer)
        looks = peer.publisher(PointStamped, "avatar/look_at")
        speaker = Speaker(peer)
        peer.until(lambda: len(frames) > 0, 60, "for the face")
        speaker.connect()
        # Begin with a resting face, from which the nodes learn the neutral face.
        peer.until(lambda: stamp(frames[-1]) > stamp(frames[0]) + 3, why="for a face at rest")
        for _ in range(4):
            known, before = len(states), len(frames)
            speaker.say(*hello())
            peer.until(lambda n=known: len(states) >= n + 2, why="until it has spoken")
            peer.until(lambda: states[-1].state == State.STATE_IDLE, why="for idle")
            print(f"{len(frames) - before} frames of it speaking")
            if len(frames) - before > 60:
                break
            # A busy computer drops frames of speech. Repeat until the film has enough of them.
        peer.spin(0.7)
        told = []
        for yaw, pitch in LOOKS:
            looks.publish(target(math.radians(yaw), math.radians(pitch)))
            told.append(peer.node.get_clock().now().nanoseconds * 1e-9)
            peer.spin(DWELL)
        face.send_signal(signal.SIGINT)
        assert face.wait(scaled(20)) == 0
    finally:
        face.kill()
        face.wait()
    at = np.array([stamp(m) for m in frames])
    lines = np.array([[*map(float, json.loads(line))] for line in done.read_text().splitlines()])
    # At each moment of a camera with RATE, take the frame that is on the screen.
    moments = np.arange(at[0], at[-1], 1 / RATE)
    screen = np.searchsorted(at, moments + 1e-3, side="right") - 1
    taken = [0] * LEAD + list(screen)
    film = folder / "avatar.mp4"
    pictures = ((k * SLOW / RATE, image_from_message(frames[i])) for k, i in enumerate(taken))
    write_mp4(film, pictures, [], 48_000)
    nearest = np.abs(lines[:, 0][None] - at[:, None]).argmin(axis=1)
    return str(film), lines[nearest, 1:][taken], [(t - at[0]) * RATE + LEAD for t in told]


def show(film: str, peer: Peer, answers: dict[str, list[Any]]) -> dict[float, int]:
    """Publishes each frame of a film when all ``answers`` to the last frame have arrived.

    Returns the number of the frame by its stamp.
    """
    publisher = peer.publisher(Image, "image")
    begin = math.floor(time.time()) - 60.0
    pictures = [frame.image for frame in FrameReader(film)]

    def answered(at: float) -> bool:
        return all(found and stamp(found[-1]) >= at for found in answers.values())

    def send(k: int) -> float:
        message = images.from_array(pictures[max(0, k)], Image())
        message.header.stamp = messages.time(begin + k * SLOW / RATE)
        publisher.publish(message)
        return stamp(message)

    # Repeat the first frame, with earlier stamps, until all nodes answer.
    tries = iter(range(-300, 0))

    def heard() -> bool:
        at = send(next(tries))
        peer.spin(0.2)
        return answered(at)

    peer.until(heard, 60, "for the graph")
    number = {}
    for k in range(len(pictures)):
        at = send(k)
        number[at] = k
        peer.until(lambda at=at: answered(at), why=f"for the answers to frame {k}")
    return number


def runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Returns (first, last + 1) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.realtime
def test_perception_sees_what_the_face_does(
    start: Callable[..., NodeProcess], peer: Peer, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    film, did, told = record(peer, tmp_path)
    for name in ("face_tracker", "gaze", "affect"):
        start(name)
    answers = {
        topic: peer.listen(kind, topic)
        for topic, kind in (
            ("faces", msg.FaceArray),
            ("gaze", msg.GazeArray),
            ("action_units", msg.ActionUnitsArray),
        )
    }
    number = show(film, peer, answers)
    faces, gazes, units = ([m for m in a if stamp(m) in number] for a in answers.values())
    assert len(number) == len(did), "the film has the frames that were recorded"

    def by_number(found: list[Any]) -> list[tuple[int, Any]]:
        return [(number[stamp(m)], m) for m in found]

    assert {len(m.faces) for m in faces} == {1}, "a face in every frame"
    seen = [(n, m) for n, m in by_number(units) if m.action_units]
    places = np.array([n for n, _ in seen])
    assert len(places) == len(did), "action units of every frame"
    blink, speaks, jaw = did[:, :3].T

    # The lips part and the jaw drops while it speaks, and only then.
    quiet = np.convolve(speaks, np.ones(15), "same") == 0
    for code, least, most in ((25, 0.3, 0.1), (26, 0.15, 0.05)):
        amount = np.array([intensity(m, code) for _, m in seen])
        talking, silent = amount[speaks[places] > 0], amount[quiet[places] & (places > LEAD + 20)]
        assert len(talking) > 15, "it hardly spoke: a computer that is too busy"
        print(
            f"AU{code} speaking {np.percentile(talking, [50, 90, 100]).round(2)}, "
            f"silent {np.percentile(silent, [50, 90, 100]).round(2)}"
        )
        assert np.percentile(talking, 95) > np.percentile(silent, 95) + least
        assert np.percentile(silent, 95) < most
    print("jaw", np.percentile(jaw[places][speaks[places] > 0], [50, 90, 100]).round(2))

    # The eyes look where they were told to.
    looked = [(n, read_gaze(m)) for n, m in by_number(gazes) if m.gazes and m.gazes[0].valid]
    for look, at in zip(LOOKS, told, strict=True):
        settled = [(n, g) for n, g in looked if at + 0.9 * RATE < n < at + (DWELL - 0.05) * RATE]
        assert len(settled) > 4
        # Compare frame by frame, because the eyes keep moving.
        went = np.degrees([did[n, 3:] for n, _ in settled])
        read = np.degrees([gaze for _, gaze in settled])
        beside = np.hypot(*(np.median(went, axis=0) - look))
        error = np.hypot(*np.median(read - went, axis=0))
        print(
            f"told {look}, went {np.median(went, axis=0).round(1)} ({beside:.1f} degrees beside), "
            f"read {np.median(read, axis=0).round(1)} ({error:.1f} degrees off) "
            f"in {len(settled)} frames"
        )
        assert beside < 2.5, "as it was told"
        assert error < 8, "as it does"

    # Every blink is seen, and nothing else is taken for a blink.
    shut = np.array([intensity(m, 45) > 0.5 for _, m in seen])
    shown = [(a, b) for a, b in runs(blink > 0.5) if a > LEAD + 20]
    assert len(shown) >= 3
    for first, after in shown:
        there = (places >= first) & (places < after)
        assert there.any(), "the graph saw none of it: a computer that is too busy"
        assert shut[(places >= first - 2) & (places < after + 2)].any(), f"a blink at {first}"
    for n in places[shut]:
        # Falling or rising lids may look shut up to two frames before or after. A busy computer may
        # drop the frames in which the eyes are shut most, and show only such lids.
        near = [a - 2 <= n < b + 2 for a, b in runs(blink > 0.2)]
        assert any(near), f"no blink at {n}: the lids are {blink[max(0, n - 6) : n + 7].round(2)}"
