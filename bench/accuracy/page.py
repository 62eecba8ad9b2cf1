"""Makes the tables and the diagram of docs/trust.md from the JSON files of runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.accuracy.context import Row
from bench.accuracy.data_sets import SETS
from bench.accuracy.diagram import reliability_svg, series_of
from bench.accuracy.report import figures, plural
from face_perception.statistics import Estimate

NOT_YET = "*Not measured yet.*"
# Blocks of the page: their name, and the outputs whose rows they hold.
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "faces": ("faces", "ids"),
    "head pose": ("head pose",),
    "gaze": ("gaze",),
    "action units": ("action units", "blinks"),
    "expression": ("expression", "valence and arousal"),
    "sound": ("voice activity", "talking face"),
}


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """Returns the runs in ``folder``, oldest first, except those of code that was not committed."""
    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("people-*.json"))]
    return sorted((run for run in runs if not run["changed"]), key=lambda run: run["finished"])


def blocks(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns the Markdown of each block by its name. Each measure comes from the newest run that
    has it.
    """
    newest: dict[str, tuple[Mapping[str, Any], list[Row]]] = {}
    for run in runs:
        for name in dict.fromkeys(row["measure"] for row in run["rows"]):
            rows = [_row(row) for row in run["rows"] if row["measure"] == name]
            newest[name] = (run, rows)
    rows = [row for _, found in newest.values() for row in found]
    made = {
        name: _table([row for row in rows if row.output in outputs])
        for name, outputs in BLOCKS.items()
    }
    return {
        "runs": _runs({name: run for name, (run, _) in newest.items()}),
        **made,
        "sets": _sets(),
    }


def diagram(runs: Sequence[Mapping[str, Any]]) -> str:
    """Returns the reliability diagram (SVG) of the newest run of each measure, or an empty text."""
    newest = {name: run for run in runs for name in run["details"]}
    series = {
        label: bins
        for name, run in newest.items()
        for label, bins in series_of(run["details"][name])
    }
    return reliability_svg(series) if series else ""


def _row(plain: Mapping[str, Any]) -> Row:
    fields = {key: value for key, value in plain.items() if key != "measure"}
    found = {k: math.nan if v is None else v for k, v in fields["estimate"].items()}
    return Row(**{**fields, "estimate": Estimate(**found)})


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return NOT_YET
    lines = ["| what | when | value, 95 % interval | n | on |", "|---|---|---|---|---|"]
    for row in rows:
        found = row.estimate
        size = f"{found.n}" + (f", {found.groups} {plural(row.per)}" if found.groups > 1 else "")
        what = row.figure if row.output in row.figure else f"{row.output}: {row.figure}"
        lines.append(f"| {what} | {row.condition} | {figures(row)} | {size} | {row.data} |")
    return "\n".join(lines)


def _runs(newest: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the lines that say which measures come from which commit."""
    if not newest:
        return NOT_YET
    of_run: dict[tuple[str, str], list[str]] = {}
    for name, run in newest.items():
        of_run.setdefault((run["date"], run["commit"]), []).append(name)
    lines = [
        f"* {', '.join(names)}: {date}, commit {commit}"
        for (date, commit), names in sorted(of_run.items())
    ]
    return "\n".join(lines)


def _sets() -> str:
    lines = ["| in DATA | from | what is read | licence, use |", "|---|---|---|---|"]
    for one in SETS:
        inside = "" if one.inside == "." else f"`{one.inside}`: "
        lines.append(
            f"| `{one.name}` | [{one.source}]({one.url}) | {inside}{one.what} | {one.licence} |"
        )
    return "\n".join(lines)
