"""The perception nodes look through the camera node, over DDS, at a recording of the talking face:
they see what it was told to do, and nothing else.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import NodeProcess, Peer
from geometry_msgs.msg import PointStamped
from sensor_msgs.msg import Image
from test_talking_face_node import Speaker, hello, latched

from face_perception import msg
from face_perception.avatar import write_film
from face_perception.geometry import yaw_pitch
from face_perception.graph import Options, merged_environment, processes
from face_perception.nodes import images, messages

State = msg.AvatarState
Frames = npt.NDArray[np.float64]
LOOKS = [(15, 0), (-15, 0), (0, 7), (0, -7)]  # degrees
RATE = 20.0
SLOW = 2.0  # times as long as it took is the film, so that a busy computer sees each blink
DWELL = 3.0  # seconds of each look: some fixations
BITS, BLOCK = 12, 8  # of the number that is written into each frame of the recording
LEAD = 20  # frames before the recording, in which the graph finds the camera


def stamp(message: Any) -> float:
    return messages.seconds(message.header.stamp)


def intensity(message: msg.ActionUnitsArray, code: int) -> float:
    units = message.action_units[0]
    return float(units.intensity[list(units.code).index(code)])


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


def numbered(image: npt.NDArray[np.uint8], number: int) -> npt.NDArray[np.uint8]:
    """With its number in the corner: black and white blocks."""
    out = image.copy()
    for bit in range(BITS):
        out[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    return out


def number_of(image: npt.NDArray[np.uint8]) -> int:
    middle = image[BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK].mean(axis=1) > 128
    return int(sum(1 << bit for bit in np.flatnonzero(middle)))


def record(portrait: str, peer: Peer, folder: Path) -> tuple[str, Frames, list[float]]:
    """Has the face speak, look about and live, and films it. Returns the film, what the animator
    did ([frame, (blink, speaks, jaw, yaw, pitch)]), and when each look was told, in frames.
    """
    values = {"audio_out": "none", "portrait": portrait, "rate": RATE, "look_time": 60.0}
    options = Options(nodes=("talking_face",), parameters={"talking_face": values})
    arguments = processes(options)[0].ros_arguments()
    script, done = Path(__file__).with_name("watched_face.py"), folder / "animator.jsonl"
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
        # At rest first, so that this face's rest is known.
        peer.until(lambda: stamp(frames[-1]) > stamp(frames[0]) + 3, why="for a face at rest")
        for _ in range(4):
            known, before = len(states), len(frames)
            speaker.say(*hello())
            peer.until(lambda n=known: len(states) >= n + 2, why="until it has spoken")
            peer.until(lambda: states[-1].state == State.STATE_IDLE, why="for idle")
            print(f"{len(frames) - before} frames of it speaking")
            if len(frames) - before > 60:
                break
            # What a busy computer had no time to show is not on the film: it says it again.
        peer.spin(0.7)
        told = []
        for yaw, pitch in LOOKS:
            looks.publish(target(math.radians(yaw), math.radians(pitch)))
            told.append(peer.node.get_clock().now().nanoseconds * 1e-9)
            peer.spin(DWELL)
        face.send_signal(signal.SIGINT)
        assert face.wait(20) == 0
    finally:
        face.kill()
        face.wait()
    at = np.array([stamp(m) for m in frames])
    lines = np.array([[*map(float, json.loads(line))] for line in done.read_text().splitlines()])
    # What a camera would have taken: at each of its moments the frame that is on the screen.
    moments = np.arange(at[0], at[-1], 1 / RATE)
    screen = np.searchsorted(at, moments + 1e-3, side="right") - 1
    taken = [0] * LEAD + list(screen)
    film = folder / "avatar.mp4"
    write_film(
        film,
        ((k * SLOW / RATE, numbered(images.to_array(frames[i]), k)) for k, i in enumerate(taken)),
        [],
        48_000,
    )
    nearest = np.abs(lines[:, 0][None] - at[:, None]).argmin(axis=1)
    return str(film), lines[nearest, 1:][taken], [(t - at[0]) * RATE + LEAD for t in told]


def runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[first, after the last) of each stretch that is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.parametrize("portrait", ["", "astronaut"], ids=["drawn", "photograph"])
def test_perception_sees_what_the_face_does(
    portrait: str, start: Callable[..., NodeProcess], peer: Peer, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    film, did, told = record(portrait, peer, tmp_path)
    for name in ("face_tracker", "gaze", "affect"):
        start(name)
    faces = peer.listen(msg.FaceArray, "faces")
    gazes = peer.listen(msg.GazeArray, "gaze")
    units = peer.listen(msg.ActionUnitsArray, "action_units")
    number: dict[float, int] = {}
    peer.node.create_subscription(
        Image, "image", lambda m: number.update({stamp(m): number_of(images.to_array(m))}), 50
    )
    for topic in ("faces", "gaze", "action_units"):
        peer.until(lambda t=topic: peer.node.count_publishers(t) > 0, why="for the graph")
    start("camera", source=film, loop=False)
    peer.until(lambda: max(number.values(), default=0) == len(did) - 1, 180, "for the film's end")
    peer.spin(1.0)

    def by_number(found: list[Any]) -> list[tuple[int, Any]]:
        return [(number[stamp(m)], m) for m in found if stamp(m) in number]

    assert {len(m.faces) for m in faces} == {1}, "a face in every frame"
    seen = [(n, m) for n, m in by_number(units) if m.action_units]
    places = np.array([n for n, _ in seen])
    assert len(places) > 0.5 * len(did), "enough to tell"
    blink, speaks, jaw = did[:, :3].T

    # Lips that part and a jaw that drops, while it speaks and not else.
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

    # Eyes that go where they are told.
    looked = [(n, read_gaze(m)) for n, m in by_number(gazes) if m.gazes and m.gazes[0].valid]
    for look, at in zip(LOOKS, told, strict=True):
        settled = [(n, g) for n, g in looked if at + 0.9 * RATE < n < at + (DWELL - 0.05) * RATE]
        assert len(settled) > 4
        # In the same frames, since the eyes do not rest.
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

    # Each blink, and no other.
    shut = np.array([intensity(m, 45) > 0.5 for _, m in seen])
    shown = [(a, b) for a, b in runs(blink > 0.5) if a > LEAD + 20]
    assert len(shown) >= 3
    for first, after in shown:
        there = (places >= first) & (places < after)
        assert there.any(), "the graph saw none of it: a computer that is too busy"
        assert shut[(places >= first - 2) & (places < after + 2)].any(), f"a blink at {first}"
    for n in places[shut]:
        # Lids that fall or rise look shut a frame before or after.
        near = [a - 2 <= n < b + 2 for a, b in runs(blink > 0.5)]
        assert any(near), f"no blink at {n}"
