"""Builds MuseTalk's networks with TensorRT-RTX, and reports time, size and messages of each build.

No GPU is needed. A log is kept under bench/results/. `python bench/musetalk_engines.py [NAME …]`
builds imported networks (those in FACE_PERCEPTION_MODELS or `--models FOLDER`, where
bench/musetalk.py --models FOLDER puts them). The UNet takes minutes and over 10 GB of memory.
`--precision fp16` first makes the variants that are missing, and says their deviation.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from face_perception.inference import Variant

NAMES = (
    "whisper_encoder",
    "musetalk_vae_encoder",
    "musetalk_vae_decoder",
    "musetalk_vae_decoder_lower",
    "musetalk_tiny_decoder",
    "musetalk_unet",
)
LOG = Path(__file__).resolve().parent / "results" / "musetalk_engines.log"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="default: those of MuseTalk that are imported")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32")
    parser.add_argument("--log", type=Path, default=LOG)
    args = parser.parse_args()
    if args.models:
        os.environ["FACE_PERCEPTION_MODELS"] = str(args.models)
    from face_perception.inference import (
        ModelError,
        build_tensorrt_engine,
        catalogue,
        tensorrt_version,
    )

    names = args.names or [name for name in NAMES if name in catalogue()]
    if not names:
        print("none of MuseTalk's networks is imported: import them, or give --models FOLDER")
        return 0
    args.log.parent.mkdir(exist_ok=True)
    failed = False
    # The engines are gigabytes, and not needed afterwards.
    with tempfile.TemporaryDirectory(prefix="engines-") as cache, open(args.log, "a") as log:
        os.environ["XDG_CACHE_HOME"] = cache

        def say(text: str) -> None:
            print(text, flush=True)
            log.write(text + "\n")
            log.flush()

        day = time.strftime("%Y-%m-%d %H:%M")
        say(f"{day}, {tensorrt_version()}, {args.precision}, batches 1 to 8")
        for name in names:
            start = time.monotonic()
            try:
                if args.precision != "fp32":
                    variant = made(name, args.precision)
                    say(f"{name}: " + "; ".join(str(found) for found in variant.deviations))
                    start = time.monotonic()
                path = build_tensorrt_engine(name, args.precision)
                size = f"engine {path.stat().st_size / 1e6:.1f} MB"
                path.unlink()
            except ModelError as error:
                size, failed = f"failed: {error}", True
            # Largest of all build processes so far: each engine is built in its own process.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            say(f"{name}: {time.monotonic() - start:.0f} s, {size}, peak so far {peak:.1f} GB")
    return 1 if failed else 0


def made(name: str, kind: str) -> Variant:
    """Returns the variant of a network; makes it if it is missing."""
    from face_perception.inference import ModelError, make_variant, read_variant

    try:
        return read_variant(name, kind)
    except ModelError:
        return make_variant(name, kind)


if __name__ == "__main__":
    sys.exit(main())
