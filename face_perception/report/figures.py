"""Draws the figures of a report with Matplotlib, as SVG.

Unknown values are gaps. No figure fills, smooths or extrapolates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from face_perception.report.drawing import pyplot, svg_of
from face_perception.report.gaze_angles import camera_offsets, ellipse_of
from face_perception.results import (
    Clip,
    Event,
    EventKind,
    Sample,
    is_during,
    target_is_evident,
    target_label,
)
from face_perception.types import EXPRESSIONS, FloatArray

# Colours that people with colour-blindness tell apart (Okabe and Ito, 2008).
_ROBOT, _OBJECT, _NOTHING = "#0072B2", "#CC79A7", "#DDDDDD"
_PERSONS = ("#D55E00", "#009E73", "#E69F00", "#56B4E9", "#F0E442")
_MARKS = {
    EventKind.BLINK: "#000000",
    EventKind.EYE_CLOSURE: "#666666",
    EventKind.SMILE: "#E69F00",
    EventKind.SPEECH: "#009E73",
    EventKind.MUTUAL_GAZE: "#0072B2",
    EventKind.JOINT_ATTENTION: "#CC79A7",
}
_COLUMNS = 900  # of a raster
_PART_OF_COLUMN = 0.01
_LONGEST_NAME = 16  # characters, in a figure
_NEAR_95 = 2.4477  # standard deviations of a two-dimensional normal distribution that hold 95 %
_WINDOWS = (20.0, 60.0)  # seconds, about, of the blink rate: in short and in long clips
_LONG = 180.0  # seconds
_PARTS = 4  # of a clip, in the matrix over time


def timeline(clip: Clip, events: Sequence[Event]) -> str:
    """Returns what each person looked at over time, with the other events below, and markers."""
    plt = pyplot()
    persons = list(clip.persons)
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.75 * len(persons)), layout="constrained")
    begin = clip.begin
    colours = _target_colours(clip, events)
    for row, person in enumerate(persons):
        samples = clip.persons[person]
        _spans(axes, _seen_spans(samples), begin, row - 0.3, 0.45, facecolor=_NOTHING)
        unusable = _spans_of(samples, lambda s: not (target_is_evident(s) or s.is_shut))
        for event in (e for e in events if person in (e.person, e.partner)):
            span = [(event.onset, event.offset)]
            if event.kind == EventKind.LOOK:
                colour = colours[target_label(event)]
                _spans(axes, span, begin, row - 0.3, 0.45, facecolor=colour)
            elif event.kind in _MARKS:
                place = list(_MARKS).index(event.kind)
                colour = _MARKS[event.kind]
                _spans(axes, span, begin, row + 0.17 + 0.07 * place, 0.06, facecolor=colour)
        _spans(
            axes, unusable, begin, row - 0.3, 0.45,
            facecolor="white", edgecolor="#999999", hatch="////", linewidth=0,
        )  # fmt: skip
    axes.set_yticks(range(len(persons)), map(_short, persons))
    axes.set_ylim(len(persons) - 0.35, -0.5)
    axes.set_xlim(0, max(clip.end - begin, 1e-3))
    axes.set_xlabel("time in the clip (s)")
    for marker in clip.markers:
        if begin <= marker.stamp <= clip.end:
            axes.axvline(marker.stamp - begin, color="black", linewidth=0.8, linestyle="--")
            axes.annotate(
                _short(marker.label), (marker.stamp - begin, -0.5), rotation=30, fontsize=7,
                xytext=(0, 2), textcoords="offset points", annotation_clip=False,
            )  # fmt: skip
    patch = plt.matplotlib.patches.Patch
    legend = [
        patch(facecolor=colour, label=f"looks at {_short(name)}")
        for name, colour in colours.items()
    ]
    legend.append(patch(facecolor=_NOTHING, label="looks at none of these"))
    legend.append(
        patch(facecolor="white", edgecolor="#999999", hatch="////", label="target unknown")
    )
    shown = {event.kind for event in events}
    legend += [
        patch(facecolor=colour, label=kind.value.replace("_", " "))
        for kind, colour in _MARKS.items()
        if kind in shown
    ]
    figure.legend(handles=legend, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return svg_of(figure, f"Timeline: what {', '.join(persons)} looked at")


def gaze_map(
    clip: Clip, person: str, samples: Sequence[Sample], events: Sequence[Event]
) -> str | None:
    """Returns a heat map of the gaze of one person, with an ellipse for each target.

    None if the person has too few valid gazes.
    """
    offsets = camera_offsets(samples)
    whole = ellipse_of(offsets)
    if whole is None:
        return None
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    reach = float(np.clip(np.percentile(np.abs(offsets), 99) * 1.15, 10, 90))
    edges = np.linspace(-reach, reach, 61)
    counts = np.histogram2d(offsets[:, 1], offsets[:, 0], [edges, edges])[0]
    image = axes.imshow(
        np.where(counts > 0, 100 * counts / len(offsets), np.nan),
        origin="lower", extent=(-reach, reach, -reach, reach), cmap="Greys", vmin=0,
    )  # fmt: skip
    figure.colorbar(image, ax=axes, label="frames (% of valid gazes)", shrink=0.8)
    looks: dict[str, list[Event]] = {}
    for event in events:
        if event.kind == EventKind.LOOK and event.person == person:
            looks.setdefault(target_label(event), []).append(event)
    colours = _target_colours(clip, events)
    for name, found in sorted(looks.items()):
        during = [sample for sample in samples if is_during(sample.start, found)]
        ellipse = ellipse_of(camera_offsets(during))
        if ellipse is None:
            continue
        label = f"looks at {_short(name)} (n = {ellipse.samples})"
        for deviations, style in ((1.0, "-"), (_NEAR_95, "--")):
            width, height = 2 * deviations * ellipse.axes
            axes.add_patch(
                plt.matplotlib.patches.Ellipse(
                    ellipse.centre, width, height, angle=ellipse.rotation,
                    fill=False, color=colours[name], linestyle=style,
                    label=label if style == "-" else None,
                )
            )  # fmt: skip
    axes.axhline(0, color="#999999", linewidth=0.5)
    axes.axvline(0, color="#999999", linewidth=0.5)
    axes.set_xlabel("yaw from the camera (°), right in the image: +")
    axes.set_ylabel("pitch from the camera (°), up: +")
    if axes.patches:
        axes.legend(fontsize=8, frameon=False, loc="upper right")
    y, x = whole.centre[::-1]
    return svg_of(figure, f"Gaze of {person}: mean yaw {x:.1f}° and pitch {y:.1f}° from the camera")


def affect_trace(clip: Clip, person: str, samples: Sequence[Sample]) -> str | None:
    """Returns valence and arousal over time, and as a path in their plane. None if unknown."""
    times, values = _series(clip, samples, lambda s: (s.valence, s.arousal))
    if not np.isfinite(values).any():
        return None
    plt = pyplot()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 2.9), width_ratios=(2.2, 1), layout="constrained"
    )
    for column, name, colour in ((0, "valence", _ROBOT), (1, "arousal", _PERSONS[0])):
        left.plot(
            times, values[:, column], color=colour, linewidth=0.9, label=name, rasterized=True
        )
    left.axhline(0, color="#999999", linewidth=0.5)
    left.set(xlabel="time in the clip (s)", ylim=(-1.05, 1.05), ylabel="valence, arousal")
    left.legend(frameon=False, ncols=2, fontsize=8)
    # Thousands of dots would make the page large: they are a picture in it.
    right.plot(values[:, 0], values[:, 1], color="#BBBBBB", linewidth=0.5, rasterized=True)
    dots = right.scatter(
        values[:, 0], values[:, 1], c=times, s=3, cmap="viridis", rasterized=True, zorder=3
    )
    right.axhline(0, color="#999999", linewidth=0.5)
    right.axvline(0, color="#999999", linewidth=0.5)
    right.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xlabel="valence", ylabel="arousal")
    right.set_aspect("equal")
    figure.colorbar(dots, ax=right, label="time (s)")
    valence, arousal = np.nanmean(values, axis=0)
    return svg_of(figure, f"Valence and arousal of {person}: means {valence:.2f} and {arousal:.2f}")


def unit_raster(clip: Clip, person: str, samples: Sequence[Sample]) -> str | None:
    """Returns the intensity of each action unit over time. None if no unit is known."""
    codes = sorted({code for sample in samples for code in sample.action_units})
    if not codes:
        return None
    spans = np.array([(s.start, s.end) for s in samples]) - clip.begin
    values = np.array([[s.action_units.get(code, math.nan) for code in codes] for s in samples])
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.22 * len(codes)), layout="constrained")
    colours = plt.get_cmap("viridis").with_extremes(bad="white")
    image = axes.imshow(
        raster(spans, values, clip.end - clip.begin).T,
        aspect="auto", interpolation="nearest", cmap=colours, vmin=0, vmax=1,
        extent=(0, clip.end - clip.begin, len(codes) - 0.5, -0.5),
    )  # fmt: skip
    axes.set_yticks(range(len(codes)), [f"AU {code}" for code in codes])
    axes.set_xlabel("time in the clip (s); white: unknown")
    figure.colorbar(image, ax=axes, label="intensity")
    return svg_of(figure, f"Action units of {person} over time: {', '.join(map(str, codes))}")


def blink_rates(clip: Clip, person: str, samples: Sequence[Sample], events: Sequence[Event]) -> str:
    """Returns the number of blinks a minute in windows; a window with few visible eyes is a gap."""
    plt = pyplot()
    begin, length = clip.begin, clip.end - clip.begin
    # Windows of equal length: one blink in a short rest of the clip would be a high rate.
    usual = _WINDOWS[1] if length >= _LONG else _WINDOWS[0]
    edges = np.linspace(0, length, max(round(length / usual), 1) + 1)
    window = edges[1]
    blinks = [e.onset - begin for e in events if e.kind == EventKind.BLINK and e.person == person]
    counts = np.histogram(blinks, edges)[0]
    usable = [s for s in samples if s.eyes in ("open", "blink")]
    watched = np.histogram(
        [s.start - begin for s in usable], edges, weights=[s.seconds for s in usable]
    )[0]
    rates = np.where(watched >= window / 2, 60 * counts / np.maximum(watched, 1e-9), np.nan)
    figure, axes = plt.subplots(figsize=(9, 1.9), layout="constrained")
    axes.bar(edges[:-1], rates, width=window, align="edge", color=_PERSONS[3], edgecolor="white")
    for start, rate in zip(edges[:-1], rates, strict=True):
        if math.isnan(rate):
            axes.axvspan(
                start, start + window, facecolor="white", edgecolor="#999999", hatch="////"
            )
    axes.set(xlabel="time in the clip (s); hatched: eyes visible for less than half of the time",
             ylabel="blinks per minute", xlim=(0, length))  # fmt: skip
    return svg_of(figure, f"Blink rate of {person} in windows of {window:.0f} s")


def look_matrix(clip: Clip, events: Sequence[Event]) -> str:
    """Returns who looked at whom for how long: in the whole clip, and in four parts of it."""
    plt = pyplot()
    persons = list(clip.persons)
    looks = [event for event in events if event.kind == EventKind.LOOK]
    targets = _targets(clip, events)
    begin, end = clip.begin, clip.end
    edges = np.linspace(begin, end, _PARTS + 1)
    parts = [(begin, end), *itertools.pairwise(edges)]
    figure, all_axes = plt.subplots(
        1, len(parts), figsize=(9.5, 1.6 + 0.35 * len(persons)), layout="constrained",
        width_ratios=(1.7, *[1] * _PARTS), sharey=True,
    )  # fmt: skip
    for axes, (start, stop) in zip(all_axes, parts, strict=True):
        seconds = np.zeros((len(persons), len(targets)))
        for look in looks:
            shared = min(look.offset, stop) - max(look.onset, start)
            place = persons.index(look.person), targets.index(target_label(look))
            seconds[place] += max(shared, 0.0)
        axes.imshow(seconds / max(stop - start, 1e-9), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, column in np.ndindex(seconds.shape):
            own = persons[row] == targets[column]
            dark = seconds[row, column] > 0.5 * (stop - start)
            text = "–" if own else f"{seconds[row, column]:.1f}"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=7,
                color="white" if dark else "black",
            )  # fmt: skip
        axes.set_xticks(
            range(len(targets)), map(_short, targets), rotation=60, ha="right", fontsize=8
        )
        axes.set_yticks(range(len(persons)), map(_short, persons))
        axes.set_title(f"{start - begin:.0f} to {stop - begin:.0f} s", fontsize=8)
    figure.supxlabel("row: who looks; column: at whom; seconds", fontsize=9)
    return svg_of(figure, f"Seconds that {', '.join(persons)} looked at {', '.join(targets)}")


def expression_shares(person: str, shares: Sequence[float]) -> str | None:
    """Returns the share of time of each expression. None if no expression is known."""
    if not np.isfinite(shares).any():
        return None
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(4.6, 2.2), layout="constrained")
    axes.barh(EXPRESSIONS, np.array(shares) * 100, color=_PERSONS[1])
    axes.set(xlabel="share of the time with a known expression (%)", xlim=(0, 100))
    axes.invert_yaxis()
    told = ", ".join(f"{n} {s:.0%}" for n, s in zip(EXPRESSIONS, shares, strict=True))
    return svg_of(figure, f"Expressions of {person}: {told}")


def _targets(clip: Clip, events: Sequence[Event]) -> list[str]:
    """Returns the robot, the persons, and what else was looked at."""
    seen = [target_label(event) for event in events if event.kind == EventKind.LOOK]
    return list(dict.fromkeys(["robot", *clip.persons, *sorted(seen)]))


def _target_colours(clip: Clip, events: Sequence[Event]) -> dict[str, str]:
    looks = [event for event in events if event.kind == EventKind.LOOK]
    seen = {target_label(look) for look in looks}
    objects = {look.target_name for look in looks if look.target_name}
    persons = list(clip.persons)
    colours = {"robot": _ROBOT}
    for name in sorted(seen - {"robot"}):
        place = persons.index(name) if name in persons else 0
        colours[name] = _OBJECT if name in objects else _PERSONS[place % len(_PERSONS)]
    return colours


def _seen_spans(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    return _spans_of(samples, lambda sample: True)


def _spans_of(
    samples: Sequence[Sample], wanted: Callable[[Sample], bool]
) -> list[tuple[float, float]]:
    """Returns the times of consecutive frames for which a condition holds."""
    spans: list[tuple[float, float]] = []
    for sample in filter(wanted, samples):
        if spans and abs(spans[-1][1] - sample.start) < 1e-6:
            spans[-1] = (spans[-1][0], sample.end)
        else:
            spans.append((sample.start, sample.end))
    return spans


def _spans(
    axes: Any,
    spans: Sequence[tuple[float, float]],
    begin: float,
    bottom: float,
    height: float,
    **style: Any,
) -> None:
    bars = [(start - begin, end - start) for start, end in spans]
    axes.broken_barh(bars, (bottom, height), **style)


def _series(
    clip: Clip, samples: Sequence[Sample], value: Callable[[Sample], Sequence[float]]
) -> tuple[FloatArray, FloatArray]:
    """Returns times [n] and values [n, k] of samples, with a row of NaN in each gap.

    So a line that is drawn through them is broken where the face was not seen.
    """
    times, rows = [], []
    for i, sample in enumerate(samples):
        row = list(value(sample))
        if i and sample.start - samples[i - 1].end > 1e-6:
            times.append(samples[i - 1].end)
            rows.append([math.nan] * len(row))
        times.append(sample.start)
        rows.append(row)
    return np.array(times) - clip.begin, np.array(rows, np.float64)


def raster(spans: FloatArray, values: FloatArray, length: float) -> FloatArray:
    """Returns the means of values [n, k] in columns [m, k] of equal time; NaN: no value.

    ``spans`` [n, 2] is from when to when each row holds, in seconds from 0 to ``length``. It counts
    in each column that it covers by a hundredth or more: stamps are rounded.

    >>> raster(np.array([[0.0, 0.5001], [0.5001, 1.0]]), np.array([[0.2], [0.4]]), 1.0).ravel()
    array([0.2, 0.4])
    """
    columns = int(min(_COLUMNS, len(spans)))
    places = spans / max(length, 1e-9) * columns
    first = np.clip(np.floor(places[:, 0] + _PART_OF_COLUMN), 0, columns - 1).astype(int)
    last = np.clip(np.ceil(places[:, 1] - _PART_OF_COLUMN) - 1, first, columns - 1).astype(int)
    number = last - first + 1
    before = np.cumsum(number) - number
    place = np.arange(number.sum()) - np.repeat(before - first, number)
    values = np.repeat(values, number, axis=0)
    known = np.isfinite(values)
    sums, counts = np.zeros((2, columns, values.shape[1]))
    np.add.at(sums, place, np.where(known, values, 0.0))
    np.add.at(counts, place, known)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _short(name: str) -> str:
    """Returns a name that leaves room for its figure."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
