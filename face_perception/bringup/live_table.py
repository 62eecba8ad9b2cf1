"""Renders the live table of `face-perception watch` and `demo` with rich."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group
from rich.table import Table
from rich.text import Text

from face_perception.types import (
    ActionUnits,
    Attention,
    Engagement,
    Expression,
    Eyes,
    Face,
    Gaze,
    Target,
    ValenceArousal,
)


@dataclass(frozen=True)
class NodeHealth:
    """The diagnostics of one node."""

    name: str
    level: int  # of diagnostic_msgs/DiagnosticStatus: 0 ok, 1 warning, 2 error
    message: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class GraphSnapshot:
    """The newest results and diagnostics of a graph. Results are by face id."""

    faces: Sequence[Face] = ()
    gazes: Mapping[str, Gaze] = field(default_factory=dict)
    action_units: Mapping[str, ActionUnits] = field(default_factory=dict)
    expressions: Mapping[str, Expression] = field(default_factory=dict)
    valence_arousal: Mapping[str, ValenceArousal] = field(default_factory=dict)
    motion_affect: Mapping[str, ValenceArousal] = field(default_factory=dict)
    attention: Mapping[str, Attention] = field(default_factory=dict)
    nodes: Sequence[NodeHealth] = ()
    restarts: Mapping[str, int] = field(default_factory=dict)


def _degrees(angle: float) -> str:
    return "-" if math.isnan(angle) else f"{math.degrees(angle):+.0f}°"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"


def _affect(value: ValenceArousal) -> str:
    return f"{_number(value.valence)} {_number(value.arousal)}"


def _row(face: Face, view: GraphSnapshot) -> list[str | Text]:
    pose = face.pose
    head = "-"
    if pose is not None:
        head = f"{_degrees(pose.yaw)} {_degrees(pose.pitch)} {_degrees(pose.roll)}"
        head += f" {float(pose.position[2]):.1f} m"
    gaze = view.gazes.get(face.id)
    look = "-"
    if gaze is not None:
        closed = gaze.eyes in (Eyes.BLINK, Eyes.CLOSED)
        unseen = "eyes closed" if closed else "eyes hidden"
        look = f"{_degrees(gaze.yaw)} {_degrees(gaze.pitch)}" if gaze.valid else unseen
    units = view.action_units.get(face.id)
    strong = []
    if units is not None:
        shown = (
            (u.probability if u.active else u.intensity, code) for code, u in units.units.items()
        )
        strong = sorted((item for item in shown if item[0] >= 0.3), reverse=True)
    expression = view.expressions.get(face.id)
    felt = "-"
    if expression is not None and expression.label:
        felt = f"{expression.label} {float(expression.probability.max()):.0%}"
    affects = []
    if (va := view.valence_arousal.get(face.id)) is not None:
        affects.append(_affect(va))
    if (va := view.motion_affect.get(face.id)) is not None:
        affects.append(f"{va.source} {_affect(va)}")
    attention = view.attention.get(face.id)
    target: str | Text = "-"
    engagement = "-"
    if attention is not None:
        target = {
            Target.UNKNOWN: "-",
            Target.NONE: "elsewhere",
            Target.ROBOT: "the robot",
            Target.FACE: attention.target_id,
        }[attention.target]
        if attention.looking_at_robot:
            target = Text(target, style="bold green")
        elif attention.target == Target.ROBOT:
            target = Text(f"perhaps {target}", style="yellow")
        elif attention.eyes == Eyes.CLOSED:
            target = "eyes closed"
        engagement = Engagement(attention.engagement).name.lower()
    return [
        face.id,
        head,
        look,
        " ".join(f"{code}:{intensity:.1f}" for intensity, code in strong[:5]) or "-",
        felt,
        ", ".join(affects) or "-",
        target,
        engagement,
    ]


def render_table(view: GraphSnapshot) -> Group:
    """Returns two tables: the faces with their results, and the state of the nodes."""
    people = Table(title="Faces", title_justify="left", expand=False, min_width=60)
    for column in (
        "id",
        "head yaw pitch roll",
        "gaze yaw pitch",
        "action units",
        "expression",
        "valence arousal",
        "looks at",
        "engagement",
    ):
        people.add_column(column, no_wrap=True)
    for face in view.faces:
        # Wrap cells in Text, because rich would read brackets in a plain text as markup.
        people.add_row(
            *(Text(cell) if isinstance(cell, str) else cell for cell in _row(face, view))
        )
    if not view.faces:
        people.add_row(Text("no faces", style="dim"), *[""] * 7)

    nodes = Table(title="Nodes", title_justify="left", expand=False, min_width=60)
    nodes.add_column("node", no_wrap=True)
    for column in ("in Hz", "out Hz", "p50 ms", "p95 ms", "dropped"):
        nodes.add_column(column, justify="right", no_wrap=True)
    nodes.add_column("state")
    for health in view.nodes:
        restarts = view.restarts.get(health.name.rsplit("/", 1)[-1], 0)
        state = Text(health.message, style=("green", "yellow", "red", "red")[health.level])
        if restarts:
            state.append(f" (restarted {restarts}x)", style="yellow")
        value = health.values
        nodes.add_row(
            health.name,
            value.get("input rate (Hz)", "-"),
            value.get("output rate (Hz)", "-"),
            value.get("latency p50 (ms)", "-").replace("nan", "-"),
            value.get("latency p95 (ms)", "-").replace("nan", "-"),
            value.get("dropped", "-"),
            state,
        )
    if not view.nodes:
        nodes.add_row(Text("no diagnostics yet", style="dim"), *[""] * 6)
    return Group(people, nodes)


def render_line(view: GraphSnapshot) -> str:
    """Returns the same information as one line, for logs and pipes."""
    parts = []
    for face in view.faces:
        _, head, look, units, felt, va, target, engagement = (str(c) for c in _row(face, view))
        parts.append(
            f"{face.id}: head {head}, gaze {look}, AUs {units}, {felt}, VA {va}, looks at "
            f"{target}, {engagement}"
        )
    rates = ", ".join(
        f"{h.name.rsplit('/', 1)[-1]} {h.values.get('output rate (Hz)', '-')} Hz"
        for h in view.nodes
    )
    return ("; ".join(parts) or "no faces") + (f" [{rates}]" if rates else "")
