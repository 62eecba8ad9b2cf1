"""The papers' claims put to the test here: one table, docs/claims.md, of what each part reports.

A part is a module with ``rows(seeds, report)``, which gives rows or an Outcome; PARTS names them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from face_perception.files import write_whole

Report = Callable[[str], None]

# Part -> the module that has its rows.
PARTS = {
    "gaze": "face_perception.training.geddnet_claims",
    "multitask": "face_perception.training.multitask_claims",
}

LEAST_SEEDS = 3

# Student's t at 97.5 %, by degrees of freedom.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a part may give instead of rows alone: with ``sections``, Markdown below the table."""

    rows: Sequence[Row]
    sections: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One claim: what the paper says and what was seen, one value a seed, positive where the claim
    is true. ``guess`` says why it may not hold here.
    """

    claim: str
    paper: str
    measure: str
    values: tuple[float, ...]
    guess: str

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)

    @property
    def half(self) -> float:
        """Half of the 95 % confidence interval; NaN of a single seed."""
        free = len(self.values) - 1
        if free < 1:
            return math.nan
        variance = sum((value - self.mean) ** 2 for value in self.values) / free
        return _T.get(free, 2.262) * math.sqrt(variance / len(self.values))

    @property
    def verdict(self) -> str:
        """``holds`` and ``does not hold`` where the whole interval is on one side of 0."""
        if self.mean - self.half > 0:
            return "holds"
        if self.mean + self.half < 0:
            return "does not hold"
        return "not shown"


def document(rows: Sequence[Row], notes: Sequence[str], seeds: int) -> str:
    """The page, as Markdown."""
    lines = [
        "# The papers' claims, here",
        "",
        f"Written by `face-perception claims`, over {seeds} seeds, on drawn people who were not",
        "trained on. *Seen*: mean over seeds and its 95 % confidence interval (Student's t);",
        "positive is in favour of the claim. *Holds*: all of the interval is. *Not shown*: 0 is in",
        "it. Networks are narrower than the published ones, so that two cores finish.",
        "",
        *(f"* {note}" for note in notes),
        "",
        "| claim | in the paper | measure | seen | verdict | a guess why, where not |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        guess = "" if row.verdict == "holds" else row.guess
        seen = f"{row.mean:+.3g} ± {row.half:.2g}"
        lines.append(
            f"| {row.claim} | {row.paper} | {row.measure} | {seen} | {row.verdict} | {guess} |"
        )
    return "\n".join(lines) + "\n"


def run(out: Path, parts: Sequence[str], seeds: int, report: Report) -> str:
    """Trains and measures all of it, writes the page to ``out`` and returns it. Raises ValueError
    for an unknown part and for too few seeds.
    """
    if seeds < LEAST_SEEDS:
        raise ValueError(f"{seeds} seeds give no interval: at least {LEAST_SEEDS}")
    rows: list[Row] = []
    notes: list[str] = []
    sections: list[str] = []
    for part in parts or PARTS:
        if part not in PARTS:
            raise ValueError(f"{part} is no part of the claims: {', '.join(PARTS)}")
        module = importlib.import_module(PARTS[part])
        notes.append(module.NOTE)
        found = module.rows(range(seeds), report)
        outcome = found if isinstance(found, Outcome) else Outcome(found)
        rows += outcome.rows
        sections += outcome.sections
    page = "\n".join([document(rows, notes, seeds), *sections])
    write_whole(out, page.encode())
    return page
