"""Writes the table as text, and the JSON file of a run."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.accuracy import provenance
from bench.accuracy.context import Context, Findings, Row
from bench.accuracy.data_sets import SETS

DIGITS = {"°": 2, "share": 3, "": 3}


def text(rows: Sequence[Row]) -> str:
    """Returns the rows as a table with aligned columns and a heading for each output."""
    lines: list[str] = []
    output = ""
    for row in rows:
        if row.output != output:
            output = row.output
            lines += ["", f"== {output}"]
        found = row.estimate
        where = f" ({row.condition})" if row.condition else ""
        size = f"n {found.n}" + (f", {found.groups} {plural(row.per)}" if found.groups else "")
        lines.append(f"{row.figure + where:62s} {figures(row):28s} {size:24s} {row.data}")
    return "\n".join(lines)


def figures(row: Row) -> str:
    """Returns value and interval, such as ``6.28° [5.92, 6.65]``."""
    digits = DIGITS.get(row.unit, 3)
    unit = row.unit if row.unit == "°" else ""
    found = row.estimate
    if not math.isfinite(found.value):
        return "not defined"
    value = f"{found.value:.{digits}f}{unit}"
    if not math.isfinite(found.low):
        return value
    return f"{value} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def plural(per: str) -> str:
    return {"person": "people"}.get(per, f"{per}s")


def origin() -> dict[str, Any]:
    """Returns what the results depend on besides the data. Call it before the run."""
    commit, changed = provenance.commit()
    return {
        "commit": commit,
        "changed": changed,
        "product": provenance.product(),
        "versions": provenance.versions(),
        "models": provenance.models(),
    }


def document(
    context: Context,
    findings: Mapping[str, Findings],
    missing: Mapping[str, str],
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns everything about a run, as plain JSON values.

    ``changed`` is true if the code differed from its commit, or changed during the run.
    """
    changed = origin["changed"] or provenance.product_now() != origin["product"]
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "date": now.date().isoformat(),
        "finished": now.isoformat(timespec="seconds"),
        **origin,
        "changed": changed,
        "data": {
            one.name: {
                "url": one.url,
                "folder": one.inside,
                "licence": one.licence,
                "files": len(context.used[one.name]),
                "sha256": provenance.digest_of(context.used[one.name]),
            }
            for one in SETS
            if context.used.get(one.name)
        },
        "rows": [
            {"measure": name, **plain(dataclasses.asdict(row))}
            for name, found in findings.items()
            for row in found.rows
        ],
        "details": {name: plain(found.details) for name, found in findings.items()},
        "not_measured": dict(missing),
    }


def write(made: Mapping[str, Any], folder: Path) -> Path:
    """Writes ``people-DATE-COMMIT.json``; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"people-{made['date']}-{made['commit']}.json"
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def plain(value: Any) -> Any:
    """Returns the value with None for NaN, and numbers rounded to 5 digits."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
