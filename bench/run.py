"""`make bench`: runs all benchmarks one after the other; use an idle machine.

Benchmarks that need data sets, which the user has to download, are left out, and so is soak.py,
which takes hours.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_NEED_DATA = ("people.py", "action_units.py")
_TAKES_HOURS = ("soak.py",)


def main() -> int:
    here = Path(__file__).parent
    failed = []
    for script in sorted(here.glob("*.py")):
        if script.name in ("run.py", *_NEED_DATA, *_TAKES_HOURS) or script.name.startswith("_"):
            continue
        print(f"== {script.name}", flush=True)
        if subprocess.run([sys.executable, str(script)]).returncode:
            failed.append(script.name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
