"""Runs `bench/gpu_check.py` on the stand-in for TensorRT, and so do the processes it starts."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorrt_standin

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import gpu_check

if __name__ == "__main__":
    tensorrt_standin.install(setattr)
    raise SystemExit(gpu_check.main())
