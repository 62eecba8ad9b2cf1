"""Writes the web page of a report: figures, tables and warnings of each clip, in one file.

The page has no script and loads nothing: a browser needs no network for it.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from face_perception.report import figures
from face_perception.results import (
    Clip,
    Event,
    EventKind,
    EventSettings,
    PersonSummary,
    changed_limits,
)
from face_perception.types import EXPRESSIONS

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #111; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #bbb; padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; }
figcaption { color: #333; font-size: .9em; max-width: 46rem; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
.warning { border-left: .3rem solid #D55E00; padding: .1rem .8rem; background: #fdf3ec; }
"""
_DRAWN_ID = re.compile(r'id="([a-z]+[0-9a-f]{10})"')
# In the figures of a clip. A face that is not linked is another person whenever it returns: a long
# clip has hundreds. Each takes a second to draw, and more names do not fit into the look matrix.
_MOST_PERSONS = 12
_COUNTED = (
    *(EventKind.SMILE, EventKind.SPEECH),
    *(EventKind.MUTUAL_GAZE, EventKind.JOINT_ATTENTION),
)  # in the summary
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def report_page(
    clips: Sequence[tuple[Clip, Sequence[Event], Sequence[PersonSummary]]],
    title: str,
    settings: EventSettings | None = None,
) -> str:
    """Returns the page of some clips, each with its events and the summaries of its persons.

    ``settings`` are those of the events; those that are not the default are named.
    Raises MissingDependencyError without Matplotlib.
    """
    body = [f"<h1>{_text(title)}</h1>"]
    if settings and (limits := changed_limits(settings)):
        body.append(f"<p>Limits of the events: {_text(limits)}.</p>")
    if len(clips) > 1:
        links = "".join(
            f'<li><a href="#clip{i}">{_text(clip.name)}</a></li>'
            for i, (clip, _, _) in enumerate(clips)
        )
        body.append(f"<nav><h2>Clips</h2><ul>{links}</ul></nav>")
    for i, (clip, events, persons) in enumerate(clips):
        body += [f'<section id="clip{i}"><h2>{_text(clip.name)}</h2>']
        body += _clip(clip, events, persons) if persons else ["<p>No face was found.</p>"]
        body.append("</section>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + _with_unique_ids("\n".join(body))
        + "\n</body></html>\n"
    )


def _with_unique_ids(body: str) -> str:
    """Returns the page with ids in figures that no other figure has.

    Matplotlib numbers parts by their place in memory: equal data would give different pages.
    """
    before, *drawn = body.split("<svg")
    for number, figure in enumerate(drawn):
        names = dict.fromkeys(_DRAWN_ID.findall(figure))
        for place, name in enumerate(names):
            figure = figure.replace(name, f"f{number}-{place}")
        before += f"<svg{figure}"
    return before


def _clip(clip: Clip, events: Sequence[Event], persons: Sequence[PersonSummary]) -> Iterable[str]:
    rate = f"{1 / clip.interval:.1f} frames per second" if clip.interval else "one picture"
    yield (
        f"<p>{clip.seconds:.1f} s, {rate}, {len(persons)} person(s). The camera is "
        f"{'<strong>not calibrated</strong>' if clip.camera_assumed else 'calibrated'}.</p>"
    )
    yield "<h3>Can it be trusted?</h3>"
    yield _quality(persons)
    alike: dict[tuple[str, ...], list[str]] = {}
    for person in persons:
        alike.setdefault(tuple(person.quality.warnings), []).append(person.person)
    for warnings, names in alike.items():
        who, sentences = _text(", ".join(names)), "".join(f"<li>{_text(w)}</li>" for w in warnings)
        yield (
            f'<div class="warning"><p><strong>{who}</strong></p><ul>{sentences}</ul></div>'
            if sentences
            else f"<p>{who}: nothing to beware of was found.</p>"
        )
    yield "<h3>Summary</h3>"
    yield _summary(persons)
    if not clip.interval:
        return
    shown = _longest_seen(persons)
    if len(shown) < len(persons):
        yield f"<p>Figures show who was seen longest: {len(shown)} of {len(persons)} persons.</p>"
        clip = replace(clip, persons={one.person: clip.persons[one.person] for one in shown})
        events = [event for event in events if event.person in clip.persons]
    yield "<h3>Attention</h3>"
    yield _figure(
        figures.timeline(clip, events),
        "What each person looked at. White: the face was not seen. Hatched: the eyes do "
        "not tell the target. The thin marks below a bar are, from top to bottom, blinks, eye "
        "closures, smiles, speech, mutual gaze and joint attention. Dashed lines: markers.",
    )
    yield _figure(
        figures.look_matrix(clip, events),
        "Who looked at whom: seconds of looks, in the whole clip and in four parts of it. Darker: "
        "a larger share of that time.",
    )
    for person in shown:
        yield from _person(clip, events, person)


def _longest_seen(persons: Sequence[PersonSummary]) -> list[PersonSummary]:
    """Returns the persons who are in the figures, in their order."""
    longest = sorted(persons, key=lambda one: one.seconds, reverse=True)[:_MOST_PERSONS]
    names = {one.person for one in longest}
    return [one for one in persons if one.person in names]


def _person(clip: Clip, events: Sequence[Event], person: PersonSummary) -> Iterable[str]:
    name, samples = person.person, clip.persons[person.person]
    yield f"<h3>{_text(name)}</h3>"
    calibrated = (
        "The gaze is calibrated for this person."
        if person.quality.calibrated == 1
        else "The gaze is calibrated for only a part of the time."
        if person.quality.calibrated > 0
        else "The gaze is not calibrated for this person: the whole map may be shifted by several "
        "degrees, and heights are too small."
    )
    yield _figure(
        figures.gaze_map(clip, name, samples, events),
        f"Gaze relative to the line from the eyes to the camera, valid gazes only. (0, 0) is a "
        f"look into the lens. Ellipses: one standard deviation (solid) and 95 % (dashed) while the "
        f"person looked at that target. {calibrated}",
        "There are too few valid gazes for a map.",
    )
    if EventKind.BLINK in person.amounts:
        yield _figure(figures.blink_rates(clip, name, samples, events), "Blink rate.")
    yield _figure(
        figures.affect_trace(clip, name, samples),
        "Valence and arousal that the face shows, over time and as a path. Gaps: unknown.",
        "Valence and arousal are unknown.",
    )
    yield _figure(
        figures.expression_shares(name, [person.expressions[e] for e in EXPRESSIONS]),
        "Most probable expression.",
        "The expression is unknown.",
    )
    neutral = {
        "population": "They are relative to the mean of many people, not to this person's neutral "
        "face.",
        "learned": "They are relative to the neutral face that was learned in the clip.",
        "set": "They are relative to the neutral face that was set.",
    }.get(person.quality.neutral, "")
    yield _figure(
        figures.unit_raster(clip, name, samples),
        f"Action units: intensity by FACS number. {neutral}",
        "Action units have no intensity.",
    )


def _figure(svg: str | None, caption: str, missing: str = "") -> str:
    if svg is None:
        return f"<p>{_text(missing)}</p>"
    return f"<figure>{svg}<figcaption>{_text(caption)}</figcaption></figure>"


def _quality(persons: Sequence[PersonSummary]) -> str:
    def angles(pair: tuple[float, float]) -> str:
        low, high = (math.degrees(angle) for angle in pair)
        return _EMPTY if math.isnan(low) else f"{_number(low, 0)} to {_number(high, 0)}"

    rows = [
        [
            person.person,
            f"{person.seconds:.1f}",
            _percent(person.quality.gaze_valid),
            _percent(person.quality.head_pose),
            _yes(person.quality.calibrated),
            angles(person.quality.head_yaw),
            angles(person.quality.head_pitch),
            _number(person.quality.face_width, 0),
            _number(person.quality.distance, 2),
            person.quality.neutral or _EMPTY,
        ]
        for person in persons
    ]
    names = (
        *("person", "seen (s)", "gaze valid", "only head usable", "gaze calibrated"),
        *("head yaw (°), 5 to 95 %", "head pitch (°)", "face width (px)", "distance (m)"),
        "neutral face",
    )
    return _table(names, rows)


def _summary(persons: Sequence[PersonSummary]) -> str:
    rows = []
    for person in persons:
        robot = next(one for one in person.targets if one.target == "robot")
        faces = [one.share for one in person.targets if one.target == "face"]
        rows.append(
            [
                person.person,
                f"{robot.looks.count}" if person.attention_seconds else _EMPTY,
                _number(robot.looks.total if person.attention_seconds else math.nan, 1),
                _number(robot.looks.mean, 2),
                _percent(robot.share),
                _percent(sum(faces) if person.attention_seconds else math.nan),
                _number(person.blink_rate, 1),
                *(_count(person, kind) for kind in _COUNTED),
                _number(person.valence.mean, 2),
                _number(person.arousal.mean, 2),
            ]
        )
    names = (
        *("person", "looks at robot", "in all (s)", "mean (s)", "share at robot", "share at faces"),
        *("blinks per minute", "smiles", "turns of speech", "mutual gazes", "joint attention"),
        *("mean valence", "mean arousal"),
    )
    return _table(names, rows)


_EMPTY = "unknown"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{_text(row[0])}</th>'
        + "".join(f'<td class="n">{_text(value)}</td>' for value in row[1:])
        + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _count(person: PersonSummary, kind: EventKind) -> str:
    return str(person.amounts[kind].count) if kind in person.amounts else _EMPTY


def _number(value: float, digits: int) -> str:
    # Adding 0 makes a positive zero of a negative one.
    return f"{round(value, digits) + 0.0:.{digits}f}" if math.isfinite(value) else _EMPTY


def _percent(value: float) -> str:
    return f"{value:.0%}" if math.isfinite(value) else _EMPTY


def _yes(share: float) -> str:
    return {0.0: "no", 1.0: "yes"}.get(share, _percent(share))


def _text(value: str) -> str:
    return html.escape(value)
