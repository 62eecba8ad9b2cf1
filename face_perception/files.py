"""Opens and writes files safely, seals texts against changes, and locks files between processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

_SEAL = "seal: "
_PIECE = 1 << 16  # bytes

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a symbolic link"),
)


def open_regular(path: str | os.PathLike[str], *, follow_links: bool = True) -> BinaryIO:
    """Opens a regular file for reading, in binary mode.

    Never waits, and never touches a device: opening a named pipe would wait for its writer, and
    reading ``/dev/zero`` would never end. Raises OSError, whose ``strerror`` says what is wrong,
    for anything that is not a regular file; with ``follow_links=False`` also for a link.
    """
    try:
        _check_regular(path, os.stat(path) if follow_links else os.lstat(path))
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(path, flags if follow_links else flags | os.O_NOFOLLOW)
    except ValueError as error:  # a NUL byte
        raise OSError(errno.EINVAL, f"its name is not valid ({error})", os.fspath(path)) from error
    try:
        _check_regular(path, os.fstat(file))  # another process may have replaced it
        return open(file, "rb")
    except BaseException:
        os.close(file)
        raise


def read_regular(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """Returns the content of a regular file of at most ``most`` bytes.

    Raises OSError as ``open_regular`` does, and if the file is larger.
    """
    with open_regular(path) as file, named_errors(path):
        size = os.fstat(file.fileno()).st_size
        # Not read(most + 1) at once, which takes that much memory for a small file, too.
        data = file.read() if most is None else file.read(min(size, most) + 1)
        while most is not None and len(data) <= most and (more := file.read(_PIECE)):
            data += more  # the file grows, or its size is not known, as in /proc
    if most is not None and len(data) > most:
        too_large = f"it is too large ({max(size, len(data))} bytes; the limit is {most})"
        raise OSError(errno.EFBIG, too_large, os.fspath(path))
    return data


def _check_regular(path: str | os.PathLike[str], found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "something else")
    # With EISDIR and ELOOP, OSError(...) makes the subclass that callers expect.
    number = {"a folder": errno.EISDIR, "a symbolic link": errno.ELOOP}.get(kind, errno.EINVAL)
    raise OSError(number, f"it is {kind}, not a file", os.fspath(path))


@contextlib.contextmanager
def named_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Adds the name of a file to an OSError that has none, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


@contextlib.contextmanager
def open_lines(
    path: str | os.PathLike[str], waiting: Callable[[], None] = lambda: None
) -> Iterator[TextIO]:
    """Opens a file for writing lines of text, to use in ``with``; empties it first.

    Waits for another process that has the same file open in this way, after one call of
    ``waiting``. Flush each line: an error on closing is ignored, because it repeats that of the
    last flush. Raises OSError if it cannot be written, also if it is a named pipe that nobody
    reads, instead of waiting for a reader.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        number = os.open(path, flags, 0o666)  # before the umask
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        unread = "it is a named pipe that nobody reads: start the reader first"
        raise OSError(errno.ENXIO, unread, os.fspath(path)) from error
    os.set_blocking(number, True)
    file = open(number, "w", encoding="utf-8")  # noqa: SIM115 (errors on closing are ignored)
    try:
        if stat.S_ISREG(os.fstat(number).st_mode):
            lock_exclusively(file, waiting)
            os.ftruncate(number, 0)
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


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
        part_file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with named_errors(path), open(part_file, "wb") as file:
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
    with open_regular(path) as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def name_part(text: str, most: int) -> str:
    """Returns a text as part of a file name: at most ``most`` of a to z, A to Z, 0 to 9, - and _.

    >>> name_part("p 07/b", 20)
    'p_07_b'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:most]


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
    the lock. Raises OSError if the file ``lock`` cannot be made, or is a link or no regular file.
    """
    with _open_lock(lock) as file:
        lock_exclusively(file, waiting)
        yield


def lock_exclusively(file: IO[Any], waiting: Callable[[], None]) -> None:
    """Locks an open file against other processes, until it is closed.

    Calls ``waiting`` once if another process holds the lock.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(file, fcntl.LOCK_EX)


def _open_lock(lock: Path) -> BinaryIO:
    """Opens a lock file, and makes it if necessary. Changes nothing in a file that exists."""
    with contextlib.suppress(FileNotFoundError):
        _check_regular(lock, os.lstat(lock))
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(lock, flags, 0o666)  # before the umask
    try:
        _check_regular(lock, os.fstat(file))
        return open(file, "r+b")
    except BaseException:
        os.close(file)
        raise
