"""Which packages of face_perception each node imports."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("node", "rooms"),
    [
        ("camera", {"affect", "attention", "avatar", "gaze", "learning", "motion", "people"}),
        ("attention", {"affect", "avatar", "learning", "media", "motion", "speech"}),
        ("gaze.node", {"affect", "avatar", "learning", "motion", "speech"}),
        ("affect.node", {"avatar", "gaze", "learning", "people", "speech"}),
    ],
)
def test_a_node_loads_no_room_that_it_does_not_use(node: str, rooms: set[str]) -> None:
    program = (
        f"import sys, face_perception.nodes.{node}\n"
        "print({name.split('.')[1] for name in sys.modules if name.startswith('face_perception.')})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not ast.literal_eval(done.stdout) & rooms
