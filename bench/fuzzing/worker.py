"""Runs one target until time is up, and tells the watching process about each input.

Runs as ``python -m bench.fuzzing.worker TARGET SEED FOLDER SECONDS``. The current input is in
FOLDER/input before it is run, so that it is known after a crash or a hang. FOLDER/progress is the
number of inputs so far; FOLDER/found.jsonl has a line for each finding.
"""

from __future__ import annotations

import json
import logging
import mmap
import resource
import struct
import sys
import time
import traceback
from pathlib import Path

MEMORY = 300 << 20  # bytes that an input may take
LONG = 2.0  # seconds of CPU time that an input may take
_LONGEST_MESSAGE = 2000  # characters


def main(name: str, seed: int, folder: Path, seconds: float) -> int:
    logging.disable()
    from bench.fuzzing.targets import target

    fuzzed = target(name)
    with open(folder / "progress", "r+b") as file:
        progress = mmap.mmap(file.fileno(), 8)
    current = (folder / "input").open("wb", buffering=0)
    found = (folder / "found.jsonl").open("a")
    end = time.monotonic() + seconds
    before = _peak_memory()
    for done, data in enumerate(fuzzed.inputs(seed), start=1):
        current.seek(0)
        current.write(struct.pack("<I", len(data)) + data)
        started = time.process_time()
        problem = ""
        try:
            fuzzed.run(data)
        except fuzzed.allowed as error:
            text = str(error)
            if not text.strip() or len(text) > _LONGEST_MESSAGE:
                problem = f"message of {len(text)} characters"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            file_name = "/".join(Path(place.filename).parts[-2:])
            problem = f"foreign {type(error).__name__} at {file_name}:{place.lineno}: {error}"
        used, memory = time.process_time() - started, _peak_memory()
        if used > LONG:
            problem = f"hang of {used:.1f} s"
        if memory - before > MEMORY:
            problem = f"memory {(memory - before) >> 20} MB"
        struct.pack_into("<Q", progress, 0, done)
        if problem:
            line = {"target": name, "problem": problem[:300], "input": data[:4000].hex()}
            found.write(json.dumps(line) + "\n")
            found.flush()
        if problem.startswith("memory") or (done % 64 == 0 and time.monotonic() > end):
            break  # the peak never falls, so that a new process must go on
    return 0


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])))
