"""Trains a recipe with many settings: a sweep over hyper-parameters, seeds or folds.

Each job is a run folder of its own, and its figures are written when it is finished. A sweep that
was stopped, or lost a process or a machine, continues with the jobs that are not finished, each
after its last finished epoch.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from face_perception.errors import InputError, one_line
from face_perception.files import write_atomically
from face_perception.learning import run_folder, runs
from face_perception.learning.processes import ATTEMPTS, ProcessesKilled, finished_calls
from face_perception.learning.recipe import checked_settings, recipe_file
from face_perception.learning.sweep_jobs import (
    KILLED,
    RECIPE,
    Finished,
    Job,
    read_figures,
    run_job,
)
from face_perception.learning.sweep_on_ray import run_on_ray
from face_perception.outside_files import one_error, read_yaml

# Keys of a recipe file: lists of values, and how many of their combinations to train.
SWEEP, COMBINATIONS = "sweep", "combinations"
_TABLE = "sweep.csv"
_MOST_JOBS = 10_000

Report = Callable[[str], None]


def read_jobs(recipe: str) -> list[Job]:
    """Returns the jobs of a recipe file with a mapping ``sweep`` from settings to lists of values.

    Every combination of values is a job. If the file has a number ``combinations``, so many of them
    are chosen at random, the same ones each time. Raises InputError that names the file and what is
    wrong with it, also for a value that is out of range.
    """
    file = recipe_file(recipe)
    with one_error(f"recipe {file}", "give a YAML file, as in config/training"):
        found = read_yaml(file)
    if not isinstance(found, dict) or not isinstance(found.get(SWEEP), dict) or not found[SWEEP]:
        raise InputError(
            f"{file} has no {SWEEP}: give lists of values by setting, such as "
            "`sweep: {rate: [1.0e-3, 5.0e-3], seed: [0, 1, 2]}`"
        )
    swept: dict[str, Any] = found.pop(SWEEP)
    most = found.pop(COMBINATIONS, None)
    for name, values in swept.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{file}: {SWEEP}: {one_line(name, 80)} is not a list of values")
    count = math.prod(len(values) for values in swept.values())
    wanted = count if most is None else most
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= count:
        raise InputError(f"{file}: {COMBINATIONS} must be a whole number from 1 to {count}")
    if wanted > _MOST_JOBS:
        raise InputError(
            f"{file} has {wanted} combinations: give `{COMBINATIONS}: {_MOST_JOBS}`, or fewer"
        )
    places: Iterable[int] = range(count)
    if most is not None:
        places = np.sort(np.random.default_rng(0).choice(count, wanted, replace=False)).tolist()
    kind = runs.recipe_type(str(found.get("task", "")), file)
    jobs = []
    for changed in _combinations(swept, places):
        settings = {**found, **changed}
        checked_settings(kind, file, settings)
        jobs.append(Job(_name(changed), changed, settings))
    if len({job.name for job in jobs}) < len(jobs):
        raise InputError(f"{file}: {SWEEP} has the same combination twice: remove one")
    return jobs


def check_figure(jobs: Sequence[Job], best: str) -> None:
    """Raises InputError if the networks of ``jobs`` have no figure ``best`` (see ``table``)."""
    name = best.removeprefix("-")
    tasks = {str(job.settings.get("task", "")) for job in jobs}
    known = [figure for task in sorted(tasks) for figure in runs.figures_of(task)]
    if not any(fnmatchcase(name, pattern) for pattern in known):
        raise InputError(f"--by: there is no figure {name}: use one of {', '.join(known)}")


def _combinations(
    swept: Mapping[str, list[Any]], places: Iterable[int]
) -> Iterator[dict[str, Any]]:
    sizes = [len(values) for values in swept.values()]
    for place in places:
        index = np.unravel_index(place, sizes)
        yield {name: values[k] for (name, values), k in zip(swept.items(), index, strict=True)}


def _name(changed: Mapping[str, Any]) -> str:
    """Returns the name of a job's folder.

    >>> _name({"rate": 0.001, "dilated": True})
    'rate=0.001,dilated=True'
    """
    text = ",".join(f"{key}={value}" for key, value in changed.items())
    plain = "".join(c if c.isalnum() or c in "=,.-_" else "_" for c in text)
    if plain == text and len(text) <= 120:
        return text
    return f"{plain[:100]}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def run_sweep(
    jobs: Sequence[Job],
    data: Path | None,
    out: Path,
    *,
    split: str,
    workers: int,
    ray: str,
    report: Report,
) -> list[Finished]:
    """Trains and measures all jobs in folders of ``out``; returns their figures in this order.

    Networks are measured on ``split``. ``workers`` processes run on this machine, or all CPUs of
    the Ray cluster at the address ``ray`` if that is not empty. A job that fails does not stop the
    others. A job whose process is lost is tried again, ``ATTEMPTS`` times in all. The table of
    finished jobs (``sweep.csv``) is written after each. Raises InputError if ``out`` has a sweep
    with other settings or data, and KeyboardInterrupt after Ctrl-C; the processes are then ended.
    """
    data = data.resolve() if data is not None else None
    out = out.resolve()
    _prepare(jobs, data, out)
    found = {job.name: done for job in jobs if (done := _done(job, out, split)) is not None}
    if found:
        report(f"{len(found)} of {len(jobs)} jobs are finished")

    def add(done: Finished) -> None:
        found[done.job.name] = done
        _write_table(out / _TABLE, [found[job.name] for job in jobs if job.name in found])
        what = done.failed or ", ".join(f"{k} {v:g}" for k, v in done.figures.items())
        report(f"{len(found)} of {len(jobs)}: {done.job.name}: {what}")

    left = [job for job in jobs if job.name not in found]
    try:
        if ray and left:
            run_on_ray(left, data, out, split, ray, add)
        elif left:
            _run_here(left, data, out, split, workers, add)
        if len(found) < len(jobs):
            raise KeyboardInterrupt  # of which Ray Tune returns
    except KeyboardInterrupt:
        report(f"stopped with {len(found)} of {len(jobs)} jobs; the same command continues")
        raise
    _write_table(out / _TABLE, [found[job.name] for job in jobs])
    return [found[job.name] for job in jobs]


def _prepare(jobs: Sequence[Job], data: Path | None, out: Path) -> None:
    """Writes each job's recipe; raises InputError if the folder is of another sweep."""
    about = out / run_folder.DATA
    text = str(data or "")
    if about.exists() and about.read_text(encoding="utf-8") != text:
        raise InputError(f"{out} has a sweep on other data: choose another --out")
    for job in jobs:
        file = out / job.name / RECIPE
        recipe = yaml.safe_dump(dict(job.settings), sort_keys=False)
        if file.exists() and file.read_text(encoding="utf-8") != recipe:
            raise InputError(f"{file} is of a sweep with other settings: choose another --out")
        write_atomically(file, recipe.encode())
    write_atomically(about, text.encode())


def _done(job: Job, out: Path, split: str) -> Finished | None:
    figures = read_figures(out / job.name).get(split)
    return Finished(job, figures) if figures is not None else None


def _run_here(
    jobs: Sequence[Job],
    data: Path | None,
    out: Path,
    split: str,
    workers: int,
    add: Callable[[Finished], None],
) -> None:
    """Runs jobs in processes of this machine; a job whose process is killed fails alone."""
    start = partial(_start_worker, min(workers, len(jobs)))
    calls = [(job, data, out, split) for job in jobs]
    try:
        with closing(finished_calls(run_job, calls, workers, start=start)) as results:
            for _, done in results:
                add(done)
    except ProcessesKilled as killed:
        for number, ended in killed.calls.items():
            reason = f"its process was killed {ATTEMPTS} times ({ended}): {KILLED}"
            add(Finished(jobs[number], {}, reason))


def _start_worker(workers: int) -> None:
    """Prepares one of so many processes that train."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(max(torch.get_num_threads() // workers, 1))


def _write_table(file: Path, found: Sequence[Finished]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(table(found))
    write_atomically(file, text.getvalue().encode())


def table(found: Sequence[Finished], best: str = "") -> list[list[str]]:
    """Returns a heading and a row for each job: its settings, its figures, why it failed.

    ``best`` is a figure to sort by, the least first; with a minus before it, the greatest first.
    Jobs without this figure, or with NaN, come last.
    """
    changed = list(dict.fromkeys(key for one in found for key in one.job.changed))
    figures = list(dict.fromkeys(key for one in found for key in one.figures))
    rows = list(found)
    if best:
        name, sign = best.removeprefix("-"), -1 if best.startswith("-") else 1

        def rank(one: Finished) -> tuple[bool, float]:
            value = one.figures.get(name, math.nan)
            return math.isnan(value), 0.0 if math.isnan(value) else sign * value

        rows.sort(key=rank)
    lines = [["job", *changed, *figures, "failed"]]
    for one in rows:
        settings = [str(one.job.changed.get(key, "")) for key in changed]
        values = [f"{one.figures[key]:g}" if key in one.figures else "" for key in figures]
        lines.append([one.job.name, *settings, *values, "".join(one.failed.splitlines()[:1])])
    return lines
