"""Built engines on disk: found by what they were made of, whole or not at all.

A file is one line of JSON (what it was made of, and the sha256 of the rest) and the engine. Knows
nothing of TensorRT.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from face_perception import paths
from face_perception.files import file_lock, write_atomically
from face_perception.inference.models.cards import ModelError

_log = logging.getLogger(__name__)

# What an engine depends on, each by name.
Key = Mapping[str, str]


def path_of(name: str, key: Key) -> Path:
    """Where the engine of a model and a key is, or will be."""
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
    return paths.cache_dir() / "engines" / f"{name}-{digest[:16]}.engine"


def read(path: Path, key: Key) -> bytes | None:
    """The content of a file of the cache, None where it is not there intact and of that key."""
    return _look(path, key)[0]


def write(path: Path, key: Key, data: bytes) -> None:
    """Puts a file in place whole. Raises ModelError naming the folder and the fix."""
    record = {"sha256": hashlib.sha256(data).hexdigest(), "key": dict(key)}
    try:
        write_atomically(path, json.dumps(record).encode() + b"\n" + data)
    except OSError as error:
        raise ModelError(unwritable(path.parent, error)) from error


def get_or_make(
    path: Path, key: Key, make: Callable[[], bytes], waiting: Callable[[], None]
) -> bytes:
    """The engine at ``path``, made if it is not there intact.

    Of several processes one makes it; the others call ``waiting`` once and wait. Interrupted at any
    point, it leaves no half-written file. Raises ModelError naming the folder and the fix where it
    cannot be written, and what ``make`` raises.
    """
    data = read(path, key)
    if data is not None:
        return data
    with _lock(path, waiting):
        # Another process may have made it meanwhile.
        data, problem = _look(path, key)
        if data is None:
            if problem:
                _log.warning("%s %s: it is made again", path, problem)
            for left in path.parent.glob(f"{path.name}.*.part"):  # of a process that was killed
                left.unlink(missing_ok=True)
            try:
                data = make()
            except OSError as error:
                raise ModelError(unwritable(path.parent, error)) from error
            write(path, key, data)
    return data


def _look(path: Path, key: Key) -> tuple[bytes | None, str]:
    """The content, or else what is wrong with the file (nothing, if it is just missing)."""
    try:
        header, _, data = path.read_bytes().partition(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    try:
        record = json.loads(header)
        sha256, made_of = record["sha256"], record["key"]
    except (ValueError, KeyError, TypeError):
        return None, "is damaged"
    if sha256 != hashlib.sha256(data).hexdigest():
        return None, "is damaged"
    if made_of != dict(key):
        return None, "was made of something else"
    return data, ""


@contextlib.contextmanager
def _lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """The lock of one engine. Raises ModelError where its folder cannot be written."""
    with contextlib.ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(file_lock(path.with_name(f".{path.name}.lock"), waiting))
        except OSError as error:
            raise ModelError(unwritable(path.parent, error)) from error
        yield


def unwritable(folder: Path, error: OSError) -> str:
    """What to say where an engine cannot be written."""
    return (
        f"cannot write engines to {folder}: {error.strerror or error}; "
        "free it, or set XDG_CACHE_HOME to a folder that can be written"
    )
