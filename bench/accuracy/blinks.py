"""Measures blinks and face ids of people who speak, on GRID clips.

This project labelled the blinks by hand in every frame, from fixed crops of the eyes and without
looking at AU45. Half blinks, in which the lids do not meet, count neither as missed nor as false.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from bench.accuracy.context import Context, Findings, Measure, Row
from bench.accuracy.data_sets import GRID, Missing
from bench.accuracy.speakers import NAME, Speaker, speakers
from face_perception.statistics import Estimate, bootstrap, mean

Spans = Sequence[tuple[int, int]]

# First and last frame of each blink, by clip.
BLINKS: Mapping[str, Spans] = {
    "bbaf2n": ((42, 45), (50, 54)),
    "brbk7n": ((21, 23),),
    "lbax4n": ((27, 30),),
    "lbbc2a": (),
    "lrwp9a": (),
    "lwbsza": (),
    "pwij3p": ((34, 36), (47, 50)),
    "sbia1a": (),
    "sbwe5n": ((24, 26),),
    "swiz3n": (),
}
HALF_BLINKS: Mapping[str, Spans] = {"lrwp9a": ((36, 39), (66, 69), (72, 74))}

_CLOSED = 0.5  # intensity of AU45 above which a blink is reported
_NEAR = 2  # frames by which a reported blink may be early or late


def run(context: Context) -> Findings:
    seen = [one for one in speakers(context) if one.name in BLINKS]
    if not seen:
        raise Missing(f"not measured: none of the clips {', '.join(BLINKS)} was found")
    counts = [count(told(one), BLINKS[one.name], HALF_BLINKS.get(one.name, ())) for one in seen]
    found, missed, false = (np.array(column) for column in zip(*counts, strict=True))
    names = [one.name for one in seen]
    minutes = sum(one.stamps[-1] - one.stamps[0] for one in seen) / 60
    rows = []
    if (found + missed).sum():
        recall = bootstrap(
            lambda i: _share(found[i].sum(), (found + missed)[i].sum()), len(seen), names
        )
        rows.append(_row("blinks", "blinks found", recall, "share", int((found + missed).sum())))
    rows.append(_row("blinks", f"false blinks in {minutes:.1f} minutes",
                     bootstrap(lambda i: float(false[i].sum()), len(seen), names), ""))  # fmt: skip
    one_id = mean([len({i for ids in one.ids for i in ids}) == 1 for one in seen], names)
    rows.append(_row("ids", "clips with one id from first to last face", one_id, "share"))
    in_view = [float(np.mean([bool(ids) for ids in one.ids])) for one in seen]
    rows.append(_row("faces", "frames of a clip with a face", mean(in_view, names), "share"))
    return Findings(rows, {"counts (found, missed, false)": dict(zip(names, counts, strict=True))})


def told(speaker: Speaker) -> Spans:
    """Returns the first and last frame of each run of frames with closed eyes by AU45."""
    closed = np.nan_to_num(np.array(speaker.blink)) > _CLOSED
    edges = np.flatnonzero(np.diff(np.concatenate([[False], closed, [False]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def count(said: Spans, true: Spans, half: Spans) -> tuple[int, int, int]:
    """Numbers of found, missed and false blinks. Each reported blink counts once."""
    free = list(said)

    def take(span: tuple[int, int]) -> bool:
        for one in free:
            if one[1] >= span[0] - _NEAR and one[0] <= span[1] + _NEAR:
                free.remove(one)
                return True
        return False

    found = sum(take(span) for span in true)
    for span in half:
        take(span)
    return found, len(true) - found, len(free)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _row(output: str, figure: str, estimate: Estimate, unit: str, n: int = 0) -> Row:
    """Returns a row. ``n`` is the number of samples, if the samples are not clips."""
    if n:
        estimate = dataclasses.replace(estimate, n=n)
    return Row(output, figure, estimate, unit, NAME, "", "clip")


MEASURE = Measure("blinks", (GRID,), run)
