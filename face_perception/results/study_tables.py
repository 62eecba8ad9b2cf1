"""Defines the tables of a study besides that of the frames: events, persons, targets, markers."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from face_perception.event_settings import EventSettings, changed_limits
from face_perception.markers import Marker, marker_before
from face_perception.results.clip import read_clip
from face_perception.results.columns import (
    Column,
    Value,
    cells,
    marker_columns,
    rounded,
    with_degrees,
)
from face_perception.results.events import (
    Event,
    EventKind,
    find_events,
)
from face_perception.results.frame_table import frame_columns, frame_rows
from face_perception.results.persons import (
    Amount,
    Mean,
    PersonSummary,
    TargetShare,
    summarise_persons,
)
from face_perception.results.quality import Quality
from face_perception.results.session_reading import Warn
from face_perception.types import EXPRESSIONS

FRAMES, EVENTS, PERSONS, TARGETS = "frames", "events", "persons", "targets"
MARKERS = "markers"
TABLES = (FRAMES, EVENTS, PERSONS, TARGETS, MARKERS)
Rows = Iterable[Sequence[Value]]


@dataclass(frozen=True)
class ClipEvent:
    """An event, the name of its clip, and the last marker that is not after its onset."""

    clip: str
    event: Event
    marker: Marker | None


@dataclass(frozen=True)
class ClipMarker:
    """A marker, the name of its clip, and the time in the clip, seconds."""

    clip: str
    marker: Marker
    time: float


@dataclass(frozen=True)
class Table:
    """A table: its name, its columns, and its rows, which are computed when they are read."""

    name: str
    columns: Sequence[Column]
    rows: Rows


def study_tables(
    paths: Sequence[str | os.PathLike[str]],
    *,
    degrees: bool = False,
    settings: EventSettings | None = None,
    warn: Warn | None = None,
) -> Iterator[Table]:
    """Yields the tables of some clips: frames, events, persons, targets and markers.

    ``degrees`` adds a column that ends with ``_deg`` after each column in radians. ``settings`` are
    the limits of the events. ``warn`` is that of ``read_rows``. Raises what ``frame_columns``
    raises, at once, and then what ``read_clip`` raises.
    """
    of_frames = frame_columns(paths, degrees=degrees, warn=warn)
    yield Table(FRAMES, of_frames, (row for path in paths for row in frame_rows(path, of_frames)))
    events: list[ClipEvent] = []
    persons: list[PersonSummary] = []
    markers: list[ClipMarker] = []
    for path in paths:
        clip = read_clip(path)
        found = find_events(clip, settings)
        events += [
            ClipEvent(clip.name, event, marker_before(clip.markers, event.onset)) for event in found
        ]
        markers += [ClipMarker(clip.name, one, one.stamp - clip.begin) for one in clip.markers]
        persons += summarise_persons(clip, found)
    targets = [target for person in persons for target in person.targets]
    codes = sorted({code for person in persons for code in person.action_units})
    limits = changed_limits(settings) if settings else ""
    yield _table(EVENTS, event_columns(limits), events, degrees)
    yield _table(PERSONS, person_columns(codes), persons, degrees)
    yield _table(TARGETS, target_columns(), targets, degrees)
    yield _table(MARKERS, clip_marker_columns(), markers, degrees)


def column_types() -> dict[str, type[Any]]:
    """Returns the type of each column of the tables, by name.

    Columns of action units and blendshapes are left out: all are numbers.
    """
    columns = (*frame_columns(()), *event_columns(), *person_columns(()), *target_columns())
    return {column.name: column.type for column in (*columns, *clip_marker_columns())}


def _table(name: str, columns: Sequence[Column], items: Sequence[Any], degrees: bool) -> Table:
    wanted = list(with_degrees(columns)) if degrees else columns
    return Table(name, wanted, (cells(wanted, item) for item in items))


_CLIP = Column("clip", str, "", "name of the file without its ending", lambda row: row.clip)
_PERSON = "id of the person; of a face that is not linked to a person, id of the face"
_TARGET = "what is looked at: `robot` (the camera), `face` or `object`"


def event_columns(limits: str = "") -> list[Column]:
    """Returns the columns of the table of events; a row is made of a ``ClipEvent``.

    ``limits`` are the limits of the events that are not the default, in words.
    """

    def column(
        name: str, kind: type[Any], unit: str, meaning: str, value: Callable[[Event], Value]
    ) -> Column:
        return Column(name, kind, unit, meaning, lambda row: value(row.event))

    return [
        _CLIP,
        column(
            "event",
            str,
            "",
            "kind of event: "
            + ", ".join(f"`{kind.value}`" for kind in EventKind)
            + (f"; limits: {limits}" if limits else ""),
            lambda e: e.kind.value,
        ),
        column("person", str, "", _PERSON, lambda e: e.person),
        column("face_id", str, "", "id of the face in the first frame", lambda e: e.face_id),
        column("person_id", str, "", "id of the person; empty: not linked", lambda e: e.person_id),
        column("target", str, "", f"{_TARGET}; else empty", lambda e: e.target),
        column(
            "target_person", str, "", "person that is looked at, as in `person`",
            lambda e: e.target_person,
        ),
        column(
            "target_id", str, "", "id of the face that is looked at, in the first frame",
            lambda e: e.target_id,
        ),
        column(
            "target_name", str, "", "name of the object that is looked at", lambda e: e.target_name
        ),
        column(
            "partner", str, "",
            "other person of mutual gaze or joint attention, as in `person`; else empty",
            lambda e: e.partner,
        ),
        column("onset", float, "s", "`stamp` of the first frame", lambda e: rounded(e.onset)),
        column(
            "offset", float, "s", "`stamp` of the first frame after the event",
            lambda e: rounded(e.offset),
        ),
        column("duration", float, "s", "`offset` − `onset`", lambda e: rounded(e.duration)),
        column("frame", int, "", "number of the first frame", lambda e: e.frame),
        column("frames", int, "", "number of frames that show the event", lambda e: e.frames),
        column(
            "confidence", float, "0 to 1",
            "mean over these frames: of a look, that of the target; of a blink, an eye closure or "
            "a smile, that of the action unit; of speech, its probability",
            lambda e: rounded(e.confidence, 4),
        ),
        column(
            "peak", float, "0 to 1",
            "highest intensity of action unit 45 (blink, eye closure) or 12 (smile)",
            lambda e: rounded(e.peak, 4),
        ),
        column(
            "onset_seen", bool, "",
            "false: the state was there when the face or the eyes came into view, so the event may "
            "have begun earlier",
            lambda e: e.onset_seen,
        ),
        column("offset_seen", bool, "", "the same for the end", lambda e: e.offset_seen),
        *marker_columns("onset", lambda row: (row.marker, row.event.onset)),
    ]  # fmt: skip


def clip_marker_columns() -> list[Column]:
    """Returns the columns of the table of markers; a row is made of a ``ClipMarker``."""
    return [
        _CLIP,
        Column("label", str, "", "what is marked", lambda m: m.marker.label),
        Column("stamp", float, "s", "moment that is marked", lambda m: rounded(m.marker.stamp)),
        Column(
            "time", float, "s", "`stamp` − `stamp` of the first frame; negative: before it",
            lambda m: rounded(m.time),
        ),
        Column(
            "source", str, "",
            "where it came from: `service`, `topic` or `lsl NAME`; empty: unknown",
            lambda m: m.marker.source,
        ),
    ]  # fmt: skip


def target_columns() -> list[Column]:
    """Returns the columns of the table of targets; a row is made of a ``TargetShare``."""

    def column(
        name: str, kind: type[Any], unit: str, meaning: str, value: Callable[[TargetShare], Value]
    ) -> Column:
        return Column(name, kind, unit, meaning, value)

    return [
        _CLIP,
        column("person", str, "", _PERSON, lambda t: t.person),
        column("target", str, "", f"{_TARGET}; `none`: nothing of these", lambda t: t.target),
        column("target_person", str, "", "person that is looked at", lambda t: t.target_person),
        column("target_name", str, "", "object that is looked at", lambda t: t.target_name),
        column("looks", int, "", "number of looks", lambda t: t.looks.count),
        column("total", float, "s", "time in all", lambda t: rounded(t.looks.total)),
        column("mean", float, "s", "mean length of a look", lambda t: rounded(t.looks.mean)),
        column(
            "share", float, "0 to 1", "share of `attention_seconds` of the person",
            lambda t: rounded(t.share),
        ),
    ]  # fmt: skip


_AMOUNTS = (
    (EventKind.MUTUAL_GAZE, "mutual_gazes", "mutual gaze with any person"),
    (EventKind.JOINT_ATTENTION, "joint_attentions", "joint attention with any person"),
    (EventKind.BLINK, "blinks", "blinks"),
    (EventKind.EYE_CLOSURE, "eye_closures", "eye closures longer than a blink"),
    (EventKind.SMILE, "smiles", "smiles (action unit 12)"),
    (EventKind.SPEECH, "speech_turns", "turns of speech"),
)


def person_columns(codes: Sequence[int]) -> list[Column]:
    """Returns the columns of the table of persons; a row is made of a ``PersonSummary``.

    ``codes`` are the FACS numbers of the action units.
    """

    def column(
        name: str, kind: type[Any], unit: str, meaning: str, value: Callable[[PersonSummary], Value]
    ) -> Column:
        return Column(name, kind, unit, meaning, value)

    def share(name: str, meaning: str, value: Callable[[PersonSummary], float]) -> Column:
        return column(name, float, "0 to 1", meaning, lambda p: rounded(value(p)))

    out = [
        _CLIP,
        column("person", str, "", _PERSON, lambda p: p.person),
        column("person_id", str, "", "id of the person; empty: not linked", lambda p: p.person_id),
        column("face_ids", str, "", "ids of the faces", lambda p: " ".join(p.face_ids)),
        column("frames", int, "", "number of frames with the face", lambda p: p.frames),
        column("seconds", float, "s", "time with the face in view", lambda p: rounded(p.seconds)),
        column("clip_seconds", float, "s", "length of the clip", lambda p: rounded(p.clip_seconds)),
        column(
            "attention_seconds", float, "s",
            "time in which the eyes tell what the person looks at",
            lambda p: rounded(p.attention_seconds),
        ),
    ]  # fmt: skip
    for target in ("robot", "face", "object"):
        looks = functools.partial(_looks, target=target)
        out += _amount_columns(f"looks_{target}", f"looks with target `{target}`", looks)
    out += [
        share(
            f"share_{target}",
            f"share of `attention_seconds` with target `{target}`",
            functools.partial(_target_share, target=target),
        )
        for target in ("robot", "face", "object", "none")
    ]
    out.append(
        share("share_engaged", "share of time with engagement `engaged`", lambda p: p.engaged)
    )
    for kind, name, meaning in _AMOUNTS:
        amount = functools.partial(_amount, kind=kind)
        out += _amount_columns(name, f"{meaning}; empty: not estimated", amount)
    out += [
        column(
            "blink_rate", float, "1/min",
            "blinks a minute, of the time in which the eyes are visible and not closed",
            lambda p: rounded(p.blink_rate, 4),
        ),
        column(
            "expression_seconds", float, "s", "time with a known expression",
            lambda p: rounded(p.expression_seconds),
        ),
    ]  # fmt: skip
    out += [
        share(
            f"share_{name}",
            f"share of `expression_seconds` with the label `{name}`",
            functools.partial(_expression_share, name=name),
        )
        for name in EXPRESSIONS
    ]
    out += _mean_columns("valence", "−1 to 1", lambda p: p.valence)
    out += _mean_columns("arousal", "−1 to 1", lambda p: p.arousal)
    for code in codes:
        out += _mean_columns(
            f"au{code:02d}", "0 to 1", functools.partial(_action_unit, code=code)
        )  # fmt: skip
    return out + _quality_columns()


def _mean_columns(
    name: str, unit: str, value: Callable[[PersonSummary], Mean | None]
) -> list[Column]:
    def part(of: Callable[[Mean], Value]) -> Callable[[PersonSummary], Value]:
        def found(person: PersonSummary) -> Value:
            mean = value(person)
            return None if mean is None else of(mean)

        return found

    return [
        Column(f"{name}_mean", float, unit, "mean over time", part(lambda m: rounded(m.mean))),
        Column(
            f"{name}_sd", float, unit, "standard deviation over time",
            part(lambda m: rounded(m.deviation)),
        ),
        Column(f"{name}_n", int, "", "number of frames with a value", part(lambda m: m.frames)),
    ]  # fmt: skip


def _quality_columns() -> list[Column]:
    def column(
        name: str,
        unit: str,
        meaning: str,
        value: Callable[[Quality], Value],
        kind: type[Any] = float,
    ) -> Column:
        return Column(f"quality_{name}", kind, unit, meaning, lambda p: value(p.quality))

    share = "0 to 1"
    out = [
        column(
            "gaze_valid", share, "share of time with a valid gaze", lambda q: rounded(q.gaze_valid)
        ),
        column(
            "head_pose", share, "share of time in which only the head tells the target",
            lambda q: rounded(q.head_pose),
        ),
        column(
            "eyes_unknown", share, "share of time in which the eyes are not visible",
            lambda q: rounded(q.eyes_unknown),
        ),
        column(
            "calibrated", share, "share of time with the calibration of the person",
            lambda q: rounded(q.calibrated),
        ),
        column(
            "camera_assumed", "", "true: the camera is not calibrated",
            lambda q: q.camera_assumed, bool,
        ),
        column(
            "neutral", "", "most frequent `action_unit_neutral`", lambda q: q.neutral, str
        ),
    ]  # fmt: skip
    for angle, pair in (("yaw", lambda q: q.head_yaw), ("pitch", lambda q: q.head_pitch)):
        for place, percent in ((0, "05"), (1, "95")):
            meaning = f"{percent}th percentile of the {angle} of the head"
            value = functools.partial(_element, of=pair, place=place)
            out.append(column(f"head_{angle}_p{percent}", "rad", meaning, value))
    return [
        *out,
        column(
            "turned", share, "share of time with the head turned by more than 30 degrees",
            lambda q: rounded(q.turned),
        ),
        column(
            "face_width", "px", "median width of the box of the face",
            lambda q: rounded(q.face_width, 1),
        ),
        column(
            "distance", "m", "median distance of the eyes from the camera",
            lambda q: rounded(q.distance, 4),
        ),
        column("confidence", share, "mean confidence of the face", lambda q: rounded(q.confidence)),
        column("rate", "Hz", "frames a second of the clip", lambda q: rounded(q.rate, 4)),
        column("warnings", "", "what to beware of", lambda q: " ".join(q.warnings), str),
    ]  # fmt: skip


def _amount_columns(
    name: str, meaning: str, value: Callable[[PersonSummary], Amount | None]
) -> list[Column]:
    def part(of: Callable[[Amount], Value]) -> Callable[[PersonSummary], Value]:
        def found(person: PersonSummary) -> Value:
            amount = value(person)
            return None if amount is None else of(amount)

        return found

    return [
        Column(name, int, "", f"number of {meaning}", part(lambda a: a.count)),
        Column(
            f"{name}_total", float, "s", f"time in all: {meaning}",
            part(lambda a: rounded(a.total)),
        ),
        Column(
            f"{name}_mean", float, "s", f"mean length: {meaning}", part(lambda a: rounded(a.mean))
        ),
    ]  # fmt: skip


def _looks(person: PersonSummary, target: str) -> Amount | None:
    """Returns the looks at one kind of target; None if the eyes never told the target."""
    if not person.attention_seconds:
        return None
    found = [share.looks for share in person.targets if share.target == target]
    return Amount(sum(looks.count for looks in found), sum(looks.total for looks in found))


def _target_share(person: PersonSummary, target: str) -> float:
    if not person.attention_seconds:
        return math.nan
    return sum(share.share for share in person.targets if share.target == target)


def _amount(person: PersonSummary, kind: EventKind) -> Amount | None:
    return person.amounts.get(kind)


def _element(
    quality: Quality, of: Callable[[Quality], tuple[float, float]], place: int
) -> float | None:
    return rounded(of(quality)[place], 4)


def _expression_share(person: PersonSummary, name: str) -> float:
    return person.expressions[name]


def _action_unit(person: PersonSummary, code: int) -> Mean | None:
    return person.action_units.get(code)
