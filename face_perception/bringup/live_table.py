"""Renders the live table of `face-perception watch` and `demo` with rich.

A face takes two lines, so that the table fits into a terminal of 80 columns.
"""

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

    @property
    def starting(self) -> bool:
        """Whether the face tracker is not known to be at work yet."""
        return not any(
            health.name.rsplit("/", 1)[-1] == "face_tracker"
            and health.values.get("state") == "active"
            for health in self.nodes
        )

    @property
    def nobody(self) -> str:
        """Returns the text to show while no face is seen."""
        return "starting …" if self.starting else "nobody is there"


# What each action unit looks like, in a few words (FACS).
_UNIT_WORDS = {
    1: "inner brows up", 2: "outer brows up", 4: "frown", 5: "eyes wide", 6: "cheeks up",
    7: "lids tight", 9: "nose wrinkled", 10: "upper lip up", 12: "smile", 14: "dimples",
    15: "lip corners down", 17: "chin up", 18: "lips puckered", 20: "lips stretched",
    22: "lips forward", 23: "lips tight", 24: "lips pressed", 25: "lips apart", 26: "jaw down",
    27: "mouth wide", 28: "lips in", 43: "eyes shut", 45: "blink",
}  # fmt: skip
_MOST_UNITS = 2  # in the table, one a line


def _degrees(angle: float) -> str:
    return "-" if math.isnan(angle) else f"{round(math.degrees(angle)):+d}°"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"


def _affect(value: ValenceArousal) -> str:
    return f"{_number(value.valence)} {_number(value.arousal)}"


@dataclass(frozen=True)
class _Row:
    """The results of one face in words."""

    face: str
    head: str
    distance: str
    gaze: str
    units: Sequence[str]  # the strongest first
    expression: str
    affects: Sequence[str]
    target: str
    style: str  # of the target
    engagement: str


def _row(face: Face, view: GraphSnapshot) -> _Row:
    pose = face.pose
    head, distance = "-", ""
    if pose is not None:
        head = f"{_degrees(pose.yaw)} {_degrees(pose.pitch)} {_degrees(pose.roll)}"
        distance = f"{float(pose.position[2]):.1f} m"
    gaze = view.gazes.get(face.face_id)
    look = "-"
    if gaze is not None:
        closed = gaze.eyes in (Eyes.BLINK, Eyes.CLOSED)
        unseen = "eyes closed" if closed else "eyes hidden"
        look = f"{_degrees(gaze.yaw)} {_degrees(gaze.pitch)}" if gaze.valid else unseen
    expression = view.expressions.get(face.face_id)
    felt = "-"
    if expression is not None and expression.label:
        felt = f"{expression.label} {float(expression.probability.max()):.0%}"
    affects = []
    if (va := view.valence_arousal.get(face.face_id)) is not None:
        affects.append(_affect(va))
    if (va := view.motion_affect.get(face.face_id)) is not None:
        affects.append(f"{va.source} {_affect(va)}")
    target, style = _target(view.attention.get(face.face_id))
    attention = view.attention.get(face.face_id)
    return _Row(
        face=face.face_id,
        head=head,
        distance=distance,
        gaze=look,
        units=_strong_units(view.action_units.get(face.face_id)),
        expression=felt,
        affects=affects,
        target=target,
        style=style,
        engagement="-" if attention is None else Engagement(attention.engagement).name.lower(),
    )


def _strong_units(units: ActionUnits | None) -> list[str]:
    if units is None:
        return []
    shown = ((u.probability if u.active else u.intensity, code) for code, u in units.units.items())
    strong = sorted((item for item in shown if item[0] >= 0.3), reverse=True)
    return [f"{_UNIT_WORDS.get(code, f'AU{code}')} {value:.1f}" for value, code in strong[:5]]


def _target(attention: Attention | None) -> tuple[str, str]:
    """Returns what a face looks at in words, and the style of the words."""
    if attention is None or attention.target == Target.UNKNOWN:
        return "-", ""
    if attention.looking_at_robot:
        return "the robot", "bold green"
    if attention.target == Target.ROBOT:
        return "the robot?", "yellow"
    if attention.eyes == Eyes.CLOSED:
        return "eyes closed", ""
    return attention.target_id or attention.target_name or "elsewhere", ""


def render_table(view: GraphSnapshot) -> Group:
    """Returns two tables: the faces with their results, and the state of the nodes."""
    people = Table(box=None, pad_edge=False, title="Faces", title_justify="left")
    for column in (
        "face",
        "looks at\nengagement",
        "head yaw pitch roll\ngaze yaw pitch",
        "expression\nvalence arousal",
        "action units",
    ):
        people.add_column(column, no_wrap=True)
    for face in view.faces:
        row = _row(face, view)
        # Wrap cells in Text, because rich would read brackets in a plain text as markup.
        people.add_row(
            Text(row.face),
            Text.assemble((row.target, row.style), f"\n{row.engagement}"),
            Text(f"{row.head}\n{row.gaze}  {row.distance}"),
            Text("\n".join([row.expression, *row.affects])),
            Text("\n".join(row.units[:_MOST_UNITS]) or "-"),
        )
    if not view.faces:
        people.add_row(Text(view.nobody, style="dim"), *[""] * 4)

    nodes = Table(box=None, pad_edge=False, title="Nodes", title_justify="left")
    nodes.add_column("node", overflow="fold")
    for column in ("in Hz", "out Hz", "p50 ms", "p95 ms", "dropped"):
        nodes.add_column(column, justify="right", no_wrap=True)
    nodes.add_column("state", overflow="fold")
    for health in view.nodes:
        restarts = view.restarts.get(health.name.rsplit("/", 1)[-1], 0)
        state = Text(health.message, style=("green", "yellow", "red", "red")[health.level])
        if restarts:
            state.append(f" (restarted {restarts}x)", style="yellow")
        value = health.values
        nodes.add_row(
            Text(health.name),
            _rate(value.get("input rate (Hz)", "-")),
            _rate(value.get("output rate (Hz)", "-")),
            _rate(value.get("latency p50 (ms)", "-")),
            _rate(value.get("latency p95 (ms)", "-")),
            value.get("dropped", "-"),
            state,
        )
    if not view.nodes:
        nodes.add_row(Text("starting …", style="dim"), *[""] * 6)
    return Group(people, Text(), nodes)


def _rate(text: str) -> str:
    """Returns a number of the diagnostics in few characters."""
    try:
        return "-" if math.isnan(float(text)) else f"{float(text):.0f}"
    except ValueError:
        return text


def _look(target: str) -> str:
    alone = {"elsewhere": "looks elsewhere", "eyes closed": "eyes closed"}
    return alone.get(target, f"looks at {target}")


def render_line(view: GraphSnapshot) -> str:
    """Returns the same information as one line, for logs and pipes."""
    parts = []
    for face in view.faces:
        row = _row(face, view)
        parts.append(
            f"{row.face}: head {row.head} {row.distance}, gaze {row.gaze}, "
            f"{', '.join(row.units) or 'no action units'}, {row.expression}, "
            f"VA {', '.join(row.affects) or '-'}, {_look(row.target)}, {row.engagement}"
        )
    rates = ", ".join(
        f"{h.name.rsplit('/', 1)[-1]} {h.values.get('output rate (Hz)', '-')} Hz"
        for h in view.nodes
    )
    return ("; ".join(parts) or view.nobody) + (f" [{rates}]" if rates else "")
