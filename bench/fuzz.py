"""Fuzzes every reader of outside files and every message handler, and counts what goes wrong.

Inputs are good files with random changes, texts from a grammar if hypothesis is installed, and
random messages. For each target it prints the number of inputs, and of those that ended the
process, raised an exception that is not for people, took more than 2 s of CPU time, or more than
300 MB of memory. Targets that need PyTorch or ROS are left out where these are not installed.

    python bench/fuzz.py --seconds 600 --jobs 2
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "helpers")]

from bench.fuzzing.targets import names

# Seconds without progress after which a process is ended: before its first input, which includes
# all imports, and later.
_START, _STUCK = 400.0, 60.0
_PROBLEMS = ("no start", "process ends", "foreign", "hangs", "memory", "messages")


@dataclass
class Outcome:
    """What happened to one target."""

    inputs: int = 0
    problems: collections.Counter[str] = field(default_factory=collections.Counter)
    examples: list[dict[str, str]] = field(default_factory=list)


def fuzz(name: str, seconds: float, seed: int) -> Outcome:
    """Fuzzes one target for some seconds, in a process that is replaced when it ends."""
    outcome = Outcome()
    started = time.monotonic()
    number = 0
    while (left := seconds - (time.monotonic() - started)) > 0 and number < 50:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        (folder / "progress").write_bytes(bytes(8))
        try:
            started_well = _one_process(name, seed + number, folder, left, outcome)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not started_well:
            return outcome
        number += 1
    return outcome


def _one_process(name: str, seed: int, folder: Path, seconds: float, outcome: Outcome) -> bool:
    """Runs a process and adds what happened to ``outcome``. Returns whether it took an input."""
    arguments = [name, str(seed), str(folder), str(seconds)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            [str(ROOT), str(ROOT / "test" / "helpers"), os.environ.get("PYTHONPATH", "")]
        ),
        "TMPDIR": str(folder),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.fuzzing.worker", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        done, since, stuck = 0, time.monotonic(), False
        while process.poll() is None:
            time.sleep(0.25)
            now = _progress(folder)
            if now != done:
                done, since = now, time.monotonic()
            elif time.monotonic() - since > (_STUCK if done else _START):
                stuck = True
                process.kill()
                process.wait()
    taken = _progress(folder)
    outcome.inputs += taken
    for line in _lines(folder / "found.jsonl"):
        kind = line["problem"].split()[0]
        outcome.problems[{"hang": "hangs", "message": "messages"}.get(kind, kind)] += 1
        outcome.examples.append(line)
    if process.returncode:
        kind = "hangs" if stuck else "process ends"
        if not taken:
            kind = "no start"
        outcome.problems[kind] += 1
        tail = (folder / "log").read_text(errors="replace")[-400:]
        try:
            how = signal.Signals(-process.returncode).name
        except ValueError:
            how = f"exit code {process.returncode}"
        outcome.examples.append(
            {"target": name, "problem": f"{kind}: {how}: {tail}", "input": _current(folder).hex()}
        )
    return taken > 0


def _progress(folder: Path) -> int:
    number: int = struct.unpack("<Q", (folder / "progress").read_bytes())[0]
    return number


def _current(folder: Path) -> bytes:
    try:
        data = (folder / "input").read_bytes()
    except FileNotFoundError:
        return b""
    return data[4 : 4 + struct.unpack("<I", data[:4])[0]][:4000] if len(data) >= 4 else b""


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="for all targets together")
    parser.add_argument("--jobs", type=int, default=1, help="targets at the same time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="a target; may be given again")
    parser.add_argument("--findings", type=Path, help="file for the inputs that went wrong, JSONL")
    args = parser.parse_args()
    chosen = args.only or names()
    each = args.seconds * args.jobs / len(chosen)
    print(f"| {'target':28} | inputs | " + " | ".join(_PROBLEMS) + " |")
    print("|---" * (2 + len(_PROBLEMS)) + "|", flush=True)
    outcomes = []
    with ThreadPoolExecutor(args.jobs) as pool:
        for name, outcome in zip(
            chosen, pool.map(lambda name: fuzz(name, each, args.seed), chosen), strict=True
        ):
            counts = " | ".join(f"{outcome.problems[kind]:{len(kind)}}" for kind in _PROBLEMS)
            print(f"| {name:28} | {outcome.inputs:6} | {counts} |", flush=True)
            outcomes.append(outcome)
    total = sum(outcome.inputs for outcome in outcomes)
    wrong = [example for outcome in outcomes for example in outcome.examples]
    print(f"{total} inputs, {len(wrong)} of them went wrong")
    for problem, count in collections.Counter(
        f"{line['target']}: {' '.join(line['problem'].split())}" for line in wrong
    ).most_common(40):
        print(f"  {count} x {problem}")
    if args.findings:
        args.findings.write_text("".join(json.dumps(line) + "\n" for line in wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
