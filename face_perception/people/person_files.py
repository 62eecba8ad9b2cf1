"""A folder with one file for each person, which only its owner can read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from face_perception.errors import InputError
from face_perception.files import check_writable, file_lock, name_part

_MAX_ID = 200  # characters


def check_person_id(person_id: str) -> None:
    """Raises InputError if an id is empty, too long or not printable."""
    if not person_id.strip():
        raise InputError("person_id is empty: give the person a name or number")
    if len(person_id) > _MAX_ID or not person_id.isprintable():
        raise InputError(
            f"person_id {person_id[:40]!r}… cannot be used: use at most {_MAX_ID} printable "
            "characters"
        )


class PersonFiles:
    """Names, locks and lists the files of persons in ``folder``; does not know their content.

    ``content`` is what the files hold, in the plural, and ``choices`` where the user chooses the
    folder, for messages.
    """

    def __init__(self, folder: Path, content: str, choices: str) -> None:
        self.folder = folder
        self._content = content
        self._choices = choices

    def file(self, person_id: str) -> Path:
        """Returns the file of a person: a readable part of the id, and a hash to be unique."""
        digest = hashlib.sha256(person_id.encode()).hexdigest()[:16]
        return self.folder / f"{name_part(person_id, 32)}-{digest}.json"

    def files(self) -> list[Path]:
        """Returns all files of persons, sorted; empty if there is no folder. Raises OSError."""
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self.unusable(self.folder, "read", error) from error
        return [self.folder / name for name in names if name.endswith(".json")]

    def signature(self) -> tuple[tuple[str, int], ...]:
        """Returns a value that changes whenever a stored file changes. It is quick to compute."""
        try:
            with os.scandir(self.folder) as entries:
                return tuple(
                    sorted(
                        (e.name, e.stat().st_mtime_ns) for e in entries if e.name.endswith(".json")
                    )
                )
        except OSError:
            return ()

    def check_writable(self) -> None:
        """Raises OSError if a file cannot be written, as far as this is known without writing."""
        try:
            if self.folder.exists():
                os.listdir(self.folder)
            check_writable(self.folder)
        except OSError as error:
            raise self.unusable(self.folder, "written", error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Creates the folder, readable by its owner only, and locks it for writing.

        Raises OSError with the reason and the fix.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.chmod(self.folder, 0o700)
            with file_lock(self.folder / ".lock", lambda: None):
                yield
        except OSError as error:
            if error.errno is None:  # has our message
                raise
            raise self.unusable(self.folder, "written", error) from error

    def unusable(self, path: Path, done: str, error: OSError) -> OSError:
        """Returns an error with what the system refused, and what to do about it."""
        if isinstance(error, NotADirectoryError | FileExistsError):
            return OSError(
                f"{self.folder} is not a folder: choose another one for {self._content} "
                f"({self._choices})"
            )
        return OSError(
            f"{path} cannot be {done} ({error.strerror}): change its owner or permissions, or "
            f"choose another folder ({self._choices})"
        )
