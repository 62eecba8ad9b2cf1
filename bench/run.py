"""`make bench`: runs all benchmarks one after the other; use an idle machine.

    python3 bench/run.py [--figures FOLDER]

With `--figures`, those that can save their figures for bench/compare.py do so.
Benchmarks that need data sets, which the user has to download, are left out. So are soak.py, which
takes hours, and gpu_check.py, which needs a GPU (`make gpu-check`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

_NEED_DATA = ("people.py", "action_units.py")
_TAKES_HOURS = ("soak.py",)
_NEED_GPU = ("gpu_check.py",)
_NO_BENCHMARKS = ("run.py", "figures.py", "compare.py", "steady_faces.py")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--figures", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    here = Path(__file__).parent
    failed = []
    for script in sorted(here.glob("*.py")):
        left_out = (*_NO_BENCHMARKS, *_NEED_DATA, *_TAKES_HOURS, *_NEED_GPU)
        if script.name in left_out or script.name.startswith("_"):
            continue
        print(f"== {script.name}", flush=True)
        command = [sys.executable, str(script)]
        if options.figures and "add_option(parser)" in script.read_text():
            command += ["--figures", str(options.figures / f"{script.stem}.json")]
        if subprocess.run(command).returncode:
            failed.append(script.name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
