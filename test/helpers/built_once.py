"""Things that all pytest-xdist workers share: the first worker that needs one builds it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = "built_once"


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], Path]) -> Path:
    """Returns the path that ``build(folder)`` returned in the first worker of this run.

    The other workers wait for it. ``folder`` is new and empty. If ``build`` raised an error, the
    next worker tries again in another folder.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # xdist gives each worker a folder inside the run's own
    record = shared / f"{name}.json"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            built = shared / FOLDER
            attempts = len(list(built.glob(f"{name}_[0-9]*")))
            folder = built / f"{name}_{attempts}"
            folder.mkdir(parents=True)
            record.write_text(json.dumps(str(build(folder))))
        return Path(json.loads(record.read_text()))


def remove_built(basetemp: Path) -> None:
    """Removes everything that was built in a run with this base folder for temporary files."""
    shutil.rmtree(basetemp / FOLDER, ignore_errors=True)
