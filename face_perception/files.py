"""Files that are there whole or not at all, texts that show a change, locks between processes."""

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
    """Puts a file in place at once, its folder made if missing. Raises OSError, and then leaves
    what was there before. A ``private`` one only its owner can read (mode 0600).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    mode = 0o600 if private else 0o666  # before the umask
    try:
        # A part that a killed process left could be readable by others.
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raises OSError where a file or folder could not be made, as far as can be told without: ask
    before long work.
    """
    there = next(at for at in path.absolute().parents if at.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(path if path.is_dir() else there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def move_atomically(source: Path, path: Path) -> str:
    """Moves a large file into place at once, also from another disk, and returns its sha256.
    Raises OSError, and then leaves what was there before.
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
    """Hash of a file of any size. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def add_seal(text: str) -> str:
    """A YAML text with the hash of all of it as its last field."""
    return f"{text}{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n"


def check_seal(text: str) -> str | None:
    """What was sealed; None where a byte of it or of the seal has changed."""
    body, _, _ = text.rpartition(_SEAL)
    return body if add_seal(body) == text else None


@contextlib.contextmanager
def file_lock(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Held by one process at a time, and released by the system however that ends.

    ``waiting`` is called once where another holds it. Raises OSError where the file ``lock`` cannot
    be made.
    """
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
