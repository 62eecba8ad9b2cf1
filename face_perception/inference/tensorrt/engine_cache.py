"""Stores built engines on disk, and finds them by what they were built from.

A file is one line of JSON (the key and the sha256 of the engine), followed by the engine. Timing
caches and verdicts of the gate are stored in the same way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from face_perception import paths
from face_perception.files import file_lock, read_regular, write_atomically
from face_perception.inference.models.cards import ModelError

_log = logging.getLogger(__name__)

# Everything that an engine depends on, by name: model, TensorRT version, GPU, precision, shapes.
Key = Mapping[str, str]


def path_of(name: str, key: Key) -> Path:
    """Returns the path of the engine for a model and a key, whether or not it exists."""
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
    return paths.cache_dir() / "engines" / f"{name}-{digest[:16]}.engine"


def read(path: Path, key: Key) -> bytes | None:
    """Returns the engine in a file, or None if it is missing, damaged, or has another key."""
    return _read_or_problem(path, key)[0]


def write(path: Path, key: Key, data: bytes) -> None:
    """Writes an engine at once. Raises ModelError, which names the folder and the fix."""
    record = {"sha256": hashlib.sha256(data).hexdigest(), "key": dict(key)}
    try:
        write_atomically(path, json.dumps(record).encode() + b"\n" + data)
    except OSError as error:
        raise ModelError(unwritable(path.parent, error)) from error


def get_or_make(
    path: Path, key: Key, make: Callable[[], bytes], waiting: Callable[[], None]
) -> bytes:
    """Returns the engine at ``path``, and makes it if it is missing or damaged.

    If several processes call it, one makes the engine, and the others call ``waiting`` once and
    wait. An interruption leaves no incomplete file. Raises ModelError, which names the folder and
    the fix, if the engine cannot be written, and any error of ``make``.
    """
    data = read(path, key)
    if data is not None:
        return data
    with _lock(path, waiting):
        # Another process may have made it while this one waited for the lock.
        data, problem = _read_or_problem(path, key)
        if data is None:
            if problem:
                _log.warning("%s %s and is built again", path, problem)
            for left in path.parent.glob(
                f"{path.name}.*.part"
            ):  # left by a process that was killed
                left.unlink(missing_ok=True)
            try:
                data = make()
            except OSError as error:
                raise ModelError(unwritable(path.parent, error)) from error
            write(path, key, data)
    return data


def _read_or_problem(path: Path, key: Key) -> tuple[bytes | None, str]:
    """Returns the engine, or None and the problem with the file (empty if it is missing)."""
    try:
        header, _, data = read_regular(path).partition(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}: check its permissions") from error
    try:
        record = json.loads(header)
        sha256, made_of = record["sha256"], record["key"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, "is damaged"
    if sha256 != hashlib.sha256(data).hexdigest():
        return None, "is damaged"
    if made_of != dict(key):
        return None, "was built from something else"
    return data, ""


@contextlib.contextmanager
def _lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of one engine. Raises ModelError if its folder cannot be written."""
    with contextlib.ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(file_lock(path.with_name(f".{path.name}.lock"), waiting))
        except OSError as error:
            raise ModelError(unwritable(path.parent, error)) from error
        yield


def unwritable(folder: Path, error: OSError) -> str:
    """Returns the error message for a folder in which an engine cannot be written."""
    return (
        f"cannot write engines to {folder}: {error.strerror or error}; free some disk space, or "
        "set XDG_CACHE_HOME to a folder that you can write"
    )
