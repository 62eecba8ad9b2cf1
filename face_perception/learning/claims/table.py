"""Tests the claims of the papers on synthetic people, and writes the results to docs/claims.md.

A part is a module with ``NOTE`` and ``rows(seeds, report, work)``, which returns an Outcome and
keeps finished networks in the folder ``work``. PARTS names the parts.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import math
import os
import platform
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from face_perception import paths
from face_perception.errors import InputError
from face_perception.files import write_atomically

Report = Callable[[str], None]

# Part -> module with its rows.
PARTS = {
    "gaze": "face_perception.learning.claims.gaze",
    "multitask": "face_perception.learning.claims.multitask",
}

LEAST_SEEDS = 3
WORK = Path("out/claims")
COLUMBIA = "## On Columbia Gaze: the first paper's own data"  # heading of the section of `columbia`

# What the verdicts mean, as lines of Markdown.
VERDICTS = (
    "* A claim *holds* if the whole interval is positive, and *does not hold* if it is negative.",
    "  It is *not shown* if the interval contains 0: the measurement cannot tell.",
)

# Degrees of freedom -> Student's t at 97.5 %.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
# The standard normal distribution at 97.5 % and at 80 %.
_Z, _POWER = 1.959964, 0.841621


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a part: rows of the table, and ``sections`` of Markdown below it."""

    rows: Sequence[Row]
    sections: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One claim, what the paper says about it, and what was measured.

    ``values`` has a value for each seed, positive if the claim is true. ``guess`` is a possible
    reason why it does not hold here. ``tested`` is False if the networks have learned too little to
    say anything about the claim.
    """

    claim: str
    paper: str
    measure: str
    values: tuple[float, ...]
    guess: str
    tested: bool = True

    @property
    def verdict(self) -> str:
        """``holds`` or ``does not hold`` for an interval without 0, else ``not shown``.

        It is ``not tested`` if the networks have learned too little.
        """
        if not self.tested:
            return "not tested"
        mean, half = interval(self.values)
        if mean - half > 0:
            return "holds"
        if mean + half < 0:
            return "does not hold"
        return "not shown"


def document(rows: Sequence[Row], notes: Sequence[str], seeds: int) -> str:
    """Returns the page as Markdown."""
    lines = [
        "# The papers' claims, tested",
        "",
        "Are the claims of the papers true? `face-perception claims` trains small networks on",
        "synthetic people, and compares them on other synthetic people. It repeats this with",
        f"{seeds} seeds. This page does not say how accurate an output is on people: see",
        "[What you can trust](trust.md).",
        "",
        "Written by `face-perception claims`: a change by hand would be lost.",
        "",
        *summary(rows),
        "",
        "How to read the table:",
        "",
        "* *Measured* is the mean over the seeds, ± half of its 95 % confidence interval",
        "  (Student's t). A positive value supports the claim.",
        *VERDICTS,
        "* *Seeds to show it*: with so many seeds, about four of five repetitions would find an",
        "  interval without 0. This takes the measured mean and deviation as the true ones, so it",
        "  is only an order of magnitude. Where the mean is negative, they would show *the",
        "  contrary*.",
        "* The networks are narrower than the published ones, so that two cores can train them. A",
        "  claim that does not hold here may hold for the published ones.",
        "",
        "What was trained and tested:",
        "",
        *(f"* {note}" for note in notes),
        "",
        *claim_lines(rows, "seeds"),
    ]
    return "\n".join(lines) + "\n"


def summary(rows: Sequence[Row]) -> list[str]:
    """Returns the claims by their verdict, as lines of Markdown."""
    counts = Counter(row.verdict for row in rows)
    shares = ", ".join(f"*{verdict}* {count}" for verdict, count in sorted(counts.items()))
    lines = [f"In short, the verdicts of {len(rows)} comparisons: {shares}."]
    for verdict in ("holds", "does not hold"):
        if counts[verdict]:
            claims = [f"* {row.claim} ({row.measure})" for row in rows if row.verdict == verdict]
            lines += ["", f"What *{verdict}*:", "", *claims]
    return lines


def claim_lines(rows: Sequence[Row], unit: str) -> list[str]:
    """Returns the table of claims as lines of Markdown; ``unit`` is what has a value (seeds).

    For a claim that is not shown, the table has how many of them would show it or its contrary.
    """
    lines = [
        f"| claim | in the paper | measure | measured | verdict | {unit} to show it "
        "| possible reason, if not |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        guess = "" if row.verdict == "holds" else row.guess
        lines.append(
            f"| {row.claim} | {row.paper} | {row.measure} "
            f"| {mean_with_interval(row.values, '+.3g')} | {row.verdict} | {_needed(row)} "
            f"| {guess} |"
        )
    return lines


def _needed(row: Row) -> str:
    count = values_to_show(row.values)
    if row.verdict != "not shown" or math.isinf(count):
        return ""
    text = "more than 10000" if count > 10_000 else f"{count:.0f}"
    return text if sum(row.values) > 0 else f"{text} (the contrary)"


def values_to_show(values: Sequence[float]) -> float:
    """Returns how many values give an interval without 0 in four of five repetitions.

    This takes mean and standard deviation of ``values`` as the true ones. They are themselves
    uncertain, so the number is only an order of magnitude. Returns infinity for a mean of 0 and
    for a single value.
    """
    mean, free = sum(values) / len(values), len(values) - 1
    if free < 1 or mean == 0:
        return math.inf
    variance = sum((value - mean) ** 2 for value in values) / free
    # The last term makes up for the tails of Student's t.
    return math.ceil(variance * ((_Z + _POWER) / mean) ** 2 + _Z**2 / 2)


def mean_with_interval(values: Sequence[float], form: str = ".3g") -> str:
    """Returns the mean and half the width of its confidence interval, as text."""
    mean, half = interval(values)
    # Equal values differ only by rounding.
    return f"{mean:{form}} ± {0.0 if half < 1e-12 else half:.2g}"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns the mean and half the width of its 95 % confidence interval (NaN for one value)."""
    mean, free = sum(values) / len(values), len(values) - 1
    if free < 1:
        return mean, math.nan
    variance = sum((value - mean) ** 2 for value in values) / free
    return mean, _student(free) * math.sqrt(variance / len(values))


def _student(free: int) -> float:
    """Returns Student's t at 97.5 % (beyond the table, an expansion that is right to 0.001)."""
    return _T.get(free, 0.0) or (
        _Z
        + (_Z**3 + _Z) / (4 * free)
        + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * free**2)
        + (3 * _Z**7 + 19 * _Z**5 + 17 * _Z**3 - 15 * _Z) / (384 * free**3)
    )


def with_section(page: str, heading: str, section: str) -> str:
    """Returns the page with ``section``, which starts with the line ``heading``, at its end.

    Replaces an earlier one; empty removes it. The section has no other heading of level 2.
    """
    rest, _ = _cut(page, heading)
    return "\n".join(part.strip("\n") + "\n" for part in (rest, section) if part.strip())


def section_of(page: str, heading: str) -> str:
    """Returns the section of ``page`` that starts with the line ``heading``, or empty."""
    return _cut(page, heading)[1]


def _cut(page: str, heading: str) -> tuple[str, str]:
    found = re.search(rf"^{re.escape(heading)}\n.*?(?=^## |\Z)", page, re.M | re.S)
    return (page[: found.start()] + page[found.end() :], found[0]) if found else (page, "")


def write_claims(
    out: Path, parts: Sequence[str], seeds: int, report: Report, work: Path = WORK
) -> str:
    """Trains and measures all parts, writes the page to ``out`` and returns it.

    ``work`` keeps finished networks until the page is written: an interrupted run continues there,
    unless the package's source has changed. Raises InputError for an unknown part and for too few
    seeds.
    """
    if seeds < LEAST_SEEDS:
        raise InputError(f"{seeds} seeds give no interval: use at least {LEAST_SEEDS}")
    for part in parts:
        if part not in PARTS:
            raise InputError(f"{part} is not a part of the claims: use one of {', '.join(PARTS)}")
    again = prepare_work(work, report)
    rows: list[Row] = []
    notes: list[str] = []
    sections: list[str] = []
    begin = time.monotonic()
    for part in parts or PARTS:
        started = time.monotonic()
        module = importlib.import_module(PARTS[part])
        outcome: Outcome = module.rows(range(seeds), report, work / part)
        rows += outcome.rows
        sections += outcome.sections
        minutes = (time.monotonic() - started) / 60
        report(f"{part}: {minutes:.1f} minutes")
        notes.append(f"{module.NOTE.rstrip('.')}. {minutes:.1f} minutes.")
    minutes = (time.monotonic() - begin) / 60
    report(f"all: {minutes:.1f} minutes")
    since = " since it was continued" if again else ""
    notes.append(f"All: {minutes:.1f} minutes{since} on {machine()}.")
    page = "\n".join([document(rows, notes, seeds), *sections])
    if out.exists():  # what `claims --columbia` measured on pictures of people stays
        page = with_section(page, COLUMBIA, section_of(out.read_text(encoding="utf-8"), COLUMBIA))
    write_atomically(out, page.encode())
    remove_work(work, parts or PARTS)
    return page


def machine() -> str:
    """Returns number of cores, processor, and versions of Python and torch."""
    info = Path("/proc/cpuinfo")
    names = re.search(r"^model name\s*: (.*)$", info.read_text(), re.M) if info.exists() else None
    processor = names[1] if names else platform.machine()
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores of {processor}, Python {platform.python_version()}, "
        f"torch {importlib.metadata.version('torch')}"
    )


def prepare_work(work: Path, report: Report) -> bool:
    """Returns True and keeps ``work`` if this source code made it; else empties it.

    Raises InputError if the folder has other files.
    """
    source = hashlib.sha256()
    for file in sorted(paths.package_dir().rglob("*.py")):
        source.update(file.read_bytes())
    for recipe in sorted(paths.resource("config/training").glob("*.yaml")):
        source.update(recipe.read_bytes())
    same = work / "source"
    if same.exists() and same.read_text(encoding="utf-8") == source.hexdigest():
        report(f"continuing with the networks in {work}")
        return True
    if not same.exists() and work.exists() and any(work.iterdir()):
        raise InputError(f"{work} has other files: remove it, or choose another folder")
    shutil.rmtree(work, ignore_errors=True)
    write_atomically(same, source.hexdigest().encode())
    return False


def remove_work(work: Path, made: Iterable[str]) -> None:
    """Removes the folders and files ``made`` in ``work``, and ``work`` if nothing else is in it."""
    for name in made:
        if (work / name).is_file():
            (work / name).unlink()
        shutil.rmtree(work / name, ignore_errors=True)
    if all(file.name == "source" for file in work.iterdir()):
        shutil.rmtree(work)
