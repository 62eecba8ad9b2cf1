"""All topics of the nodes can be recorded, and played again with their QoS."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from node_processes import NodeProcess, Peer
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from waits import scaled

from face_perception import msg
from face_perception.ros import qos

BAG = Path(__file__).parents[1] / "helpers" / "bag_of_everything.py"
GRAPH = ("camera", "face_tracker", "gaze", "affect", "attention", "overlay", "hri")
FACE = "/humans/faces/face_1"
PERSON = "/humans/persons/anonymous_face_1"
RESULTS = (
    *("/faces", "/face_crops", "/gaze", "/action_units", "/expressions", "/valence_arousal"),
    *("/attention", "/look_at", "/overlay", "/overlay/compressed", "/markers", "/landmarks"),
    *("/annotations", "/tf", "/humans/faces/tracked", "/humans/persons/tracked"),
    *(f"{FACE}/{name}" for name in ("roi", "landmarks", "facs", "expression", "cropped")),
    f"{PERSON}/engagement_status",
)
LATCHED = {
    *("/look_at_id", "/avatar/state"),
    *(f"{PERSON}/{name}" for name in ("face_id", "anonymous", "location_confidence")),
}


@contextlib.contextmanager
def bag(command: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Records into a folder, or plays it, until the end of the block."""
    program = subprocess.Popen(
        [sys.executable, BAG, command, folder], stdout=subprocess.PIPE, text=True, cwd=folder.parent
    )
    try:
        yield program
        program.terminate()
        assert program.wait(scaled(60)) == 0
    finally:
        program.kill()
        program.wait()


def recorded(folder: Path) -> dict[str, list[bytes]]:
    """Returns the messages of each topic of a recording, but those about the nodes themselves."""
    found: dict[str, list[bytes]] = {}
    with Reader(folder) as reader:
        for connection, _, data in reader.messages():
            if connection.topic != "/diagnostics":
                found.setdefault(connection.topic, []).append(bytes(data))
    return found


def latched_topics(folder: Path) -> set[str]:
    with Reader(folder) as reader:
        return {
            c.topic
            for c in reader.connections
            for offered in c.ext.offered_qos_profiles  # type: ignore[union-attr]
            if offered.durability == QosDurability.TRANSIENT_LOCAL
        }


def test_what_is_played_is_what_was_recorded(
    start: Callable[..., NodeProcess], peer: Peer, rep155: None, tmp_path: Path
) -> None:
    with bag("record", tmp_path / "recorded") as recorder:
        nodes = [
            start(*GRAPH, camera={"source": "sample", "rate": 10.0}),
            start("talking_face", audio_out="none", width=128, height=128),
        ]
        # The topics of a face exist once somebody hears who is tracked.
        assert recorder.stdout is not None
        heard: set[str] = set()
        while not heard.issuperset((*RESULTS, *LATCHED)):
            heard.add(recorder.stdout.readline().strip())
            assert recorder.poll() is None, f"not recorded: {({*RESULTS} | LATCHED) - heard}"
        for node in nodes:
            assert node.interrupt() == 0
    first = recorded(tmp_path / "recorded")
    assert latched_topics(tmp_path / "recorded") >= LATCHED

    with bag("record", tmp_path / "again"), bag("play", tmp_path / "recorded") as player:
        assert player.stdout is not None
        assert player.stdout.readline() == "played\n"
        # A subscriber that comes late to a latched topic gets its last message.
        late: list[Any] = []
        peer.node.create_subscription(
            msg.AvatarState, "avatar/state", late.append, qos.results(1, latched=True)
        )
        peer.until(lambda: late)
    again = recorded(tmp_path / "again")
    assert again.keys() == first.keys()
    for topic in first:
        assert again[topic] == first[topic], topic
    assert latched_topics(tmp_path / "again") == latched_topics(tmp_path / "recorded")
