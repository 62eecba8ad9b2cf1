"""Which modules each node loads."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys

import pytest


@functools.cache
def loaded_by(node: str) -> set[str]:
    """Returns the names of the modules that are loaded after the import of a node."""
    program = f"import sys, face_perception.nodes.{node}\nprint({{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded: set[str] = ast.literal_eval(done.stdout)
    return loaded


@pytest.mark.parametrize(
    ("node", "rooms"),
    [
        ("camera", {"affect", "attention", "avatar", "gaze", "learning", "motion", "people"}),
        ("attention", {"affect", "avatar", "learning", "media", "motion", "speech"}),
        ("gaze.node", {"affect", "avatar", "learning", "motion", "speech"}),
        ("affect.node", {"avatar", "gaze", "learning", "media", "people", "speech"}),
        ("microphone", {"affect", "avatar", "faces", "gaze", "learning", "media"}),
        ("voice_activity", {"affect", "avatar", "faces", "gaze", "learning", "media"}),
    ],
)
def test_a_node_loads_no_room_that_it_does_not_use(node: str, rooms: set[str]) -> None:
    assert not loaded_by(node) & {f"face_perception.{room}" for room in rooms}


@pytest.mark.parametrize(
    ("node", "packages"),
    [
        ("attention", {"PIL", "cv2", "onnxruntime"}),
        ("affect.node", {"PIL", "av"}),
        ("microphone", {"PIL", "cv2", "onnxruntime", "sounddevice"}),
        ("voice_activity", {"PIL", "cv2"}),
    ],
)
def test_a_node_loads_no_package_that_it_does_not_use(node: str, packages: set[str]) -> None:
    assert not loaded_by(node) & packages
