"""Compares the figures of two runs of the benchmarks, and names what got worse.

    python3 bench/compare.py OLD NEW [--tolerance 0.05]

OLD and NEW are files that a benchmark wrote with `--figures`, or folders of `bench/run.py --figures
FOLDER`. A time counts as a ratio to the reference work of the same run, so the runs may be of
different days; both machines must be of one kind. Exit code 1 if anything got worse by more than
the tolerance, or is missing in NEW.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from face_perception.errors import InputError
from face_perception.outside_files import one_error, read_json


def read(path: Path) -> dict[str, Mapping[str, Any]]:
    """Returns the content of figure files by their benchmark.

    Raises InputError if a file cannot be read, or if there are no figures.
    """
    found = {}
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        with one_error(f"{file}", "run the benchmark again with --figures"):
            content = read_json(file)
        if isinstance(content, dict) and "figures" in content:
            found[content["bench"]] = content
    if not found:
        raise InputError(f"{path} has no figures: run a benchmark with --figures")
    return found


def change(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    """Returns by which share a figure got worse: 0.1 is 10 % worse, -0.1 is 10 % better.

    Infinite if the figure is not a number in NEW, or if a rate has become 0.
    """
    before, after = old["figures"][name], new["figures"][name]
    ratio = after["value"] / before["value"] if before["value"] else float(after["value"] > 0) + 1
    if before.get("time"):
        ratio *= old["reference_seconds"] / new["reference_seconds"]
    if math.isnan(after["value"]) or (before["higher_is_better"] and not ratio):
        return math.inf
    return 1 / ratio - 1 if before["higher_is_better"] else ratio - 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.05)
    options = parser.parse_args()
    try:
        old, new = read(options.old), read(options.new)
    except InputError as error:
        parser.error(str(error))
    worse = 0
    for bench, before in old.items():
        after = new.get(bench, {"figures": {}})
        print(f"{bench}: {before['commit']} -> {after.get('commit', 'missing')}")
        if after.get("machine", before["machine"]) != before["machine"]:
            print(f"  not comparable: {before['machine']} and {after['machine']}")
            continue
        for name in before["figures"]:
            if name not in after["figures"]:
                worse += 1
                print(f"  {name:<50} missing")
                continue
            share = change(name, before, after)
            bad = share > options.tolerance
            worse += bad
            word = "WORSE" if bad else "better" if share < -options.tolerance else "same"
            print(f"  {name:<50} {100 * share:+6.1f} %  {word}")
    print(f"{worse} figures got worse by more than {100 * options.tolerance:.0f} %")
    return int(worse > 0)


if __name__ == "__main__":
    raise SystemExit(main())
