"""Writes files atomically, seals texts against changes, and locks files between processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

_SEAL = "seal: "


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Writes a file atomically: other processes see the old file or the new one.

    Makes the folder if necessary. Only the owner can read a ``private`` file (mode 0600). Raises
    OSError, and then leaves the old file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    mode = 0o600 if private else 0o666  # before the umask
    try:
        # A killed process may have left a file that others can read.
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raises OSError if a file or folder probably cannot be written. Call it before long work.

    Checks the permissions only, and writes nothing.
    """
    there = next(at for at in path.absolute().parents if at.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(path if path.is_dir() else there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def move_atomically(source: Path, path: Path) -> str:
    """Moves a large file atomically, even from another disk, and returns its sha256.

    Raises OSError, and then leaves the old file at ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = sha256_of(source)
    if source.stat().st_dev == path.parent.stat().st_dev:
        os.replace(source, path)
        return digest
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    source.unlink()
    return digest


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file of any size. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def add_seal(text: str) -> str:
    """Returns a YAML text with its own hash added as the last field."""
    return f"{text}{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n"


def check_seal(text: str) -> str | None:
    """Returns the text without its seal, or None if the text or the seal has changed.

    >>> check_seal(add_seal("a: 1\\n"))
    'a: 1\\n'
    >>> check_seal(add_seal("a: 1\\n").replace("1", "2")) is None
    True
    """
    body, _, _ = text.rpartition(_SEAL)
    return body if add_seal(body) == text else None


@contextlib.contextmanager
def file_lock(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a lock that one process at a time can hold.

    The system releases it when the process ends. Calls ``waiting`` once if another process holds
    the lock. Raises OSError if the file ``lock`` cannot be made.
    """
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
