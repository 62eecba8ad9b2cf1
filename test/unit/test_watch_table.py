"""Tests the table of `face-perception watch` and `demo`."""

from __future__ import annotations

import io

import numpy as np
import pytest
from overlay_scene import attention, face, gaze
from rich.console import Console

from face_perception.bringup import live_table
from face_perception.bringup.live_table import GraphSnapshot, NodeHealth
from face_perception.types import ActionUnit, ActionUnits, Expression, ValenceArousal


def shown(snapshot: GraphSnapshot, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(live_table.render_table(snapshot))
    return out.getvalue()


def health(name: str, message: str = "active", **values: str) -> NodeHealth:
    known = {"state": "active", "input rate (Hz)": "29.97", "output rate (Hz)": "29.95"}
    known |= {"latency p50 (ms)": "11.5", "latency p95 (ms)": "nan", "dropped": "12"}
    return NodeHealth(name, 1 if message != "active" else 0, message, {**known, **values})


def crowd() -> GraphSnapshot:
    """Returns two people with the longest texts of every column."""
    ids = ("face_17", "face_23")
    probability = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    units = {c: ActionUnit(1.0) for c in (12, 25)} | {c: ActionUnit(0.8) for c in (2, 45)}
    return GraphSnapshot(
        faces=[face(name) for name in ids],
        gazes={name: gaze(name) for name in ids},
        action_units={name: ActionUnits(name, "x", units) for name in ids},
        expressions={name: Expression(name, "x", probability) for name in ids},
        valence_arousal={name: ValenceArousal(name, "x", -0.75, -0.35) for name in ids},
        attention={name: attention(name) for name in ids},
        nodes=[
            health("face_tracker"),
            health("gaze", "nothing on /faces for 7 s: it has 1 publisher(s), which send nothing"),
            health("motion_affect", state="unconfigured"),
        ],
        restarts={"gaze": 2},
    )


def test_the_table_shows_an_id_as_it_is() -> None:
    """Rich would read this id as markup."""
    snapshot = GraphSnapshot(faces=[face("face[/bold]_1")])
    assert "face[/bold]_1" in shown(snapshot, 200)


def test_everything_can_be_read_at_80_columns() -> None:
    text = shown(crowd())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for words in (
        "face_17", "the robot", "engaged", "+0° +0° +0°", "+34° +6°", "1.0 m", "surprised 100%",
        "-0.75 -0.35", "lips apart 1.0", "smile 1.0", "head yaw pitch roll", "action units",
        "face_tracker", "motion_affect", "30", "nothing on /faces", "(restarted 2x)",
    ):  # fmt: skip
        assert words in text, text


def test_the_line_has_words_too() -> None:
    line = live_table.render_line(crowd())
    assert "face_17: head +0° +0° +0° 1.0 m, gaze +34° +6°, lips apart 1.0, smile 1.0," in line
    assert "looks at the robot, engaged; face_23: " in line


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([], "starting …"),
        ([health("gaze")], "starting …"),
        ([health("face_tracker", "model …", state="unconfigured")], "starting …"),
        ([health("head/face_tracker")], "nobody is there"),
    ],
)
def test_nobody_is_there_only_if_somebody_looks(nodes: list[NodeHealth], said: str) -> None:
    assert said in shown(GraphSnapshot(nodes=nodes))
    assert live_table.render_line(GraphSnapshot(nodes=nodes)).startswith(said)
