"""Accuracy of the product's outputs on public labelled sets of people.

    python3 bench/people.py DATA [--only gaze_bands] [--cache DIR]

`--help` lists the sets, their places in DATA and their licences. `bench/accuracy/` has one file for
each measure. One thread; the same data and code give the same figures.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.accuracy.command import main

if __name__ == "__main__":
    raise SystemExit(main())
