"""Stores the templates of enrolled persons, and forgets them.

There is one file for each person, which only its owner can read. It holds the person's id and
templates, and no image. A damaged file is reported and never changed, until the person is
forgotten. While a person is being enrolled, there is an empty file as well: whoever forgets the
person removes it, and so ends the enrolment, also that of another process.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from face_perception import paths
from face_perception.errors import InputError, one_line, shortened
from face_perception.files import read_regular, write_atomically
from face_perception.outside_files import one_error
from face_perception.people.face_templates import Template
from face_perception.people.person_files import PersonFiles, check_person_id

FILE_VERSION = 1
MOST_LOOKS = 24  # templates of one person
_NUMBERS = 128  # of a template
_LARGEST = 100.0  # number of a template
_MOST_BYTES = 1 << 18  # of a file; 24 looks take 50 kB
# Ends of the files of persons, and of what an interrupted ``write_atomically`` leaves of one.
_FILE, _PART = ".json", re.compile(r"\.[^.]*\.part$")
# The empty file that marks an enrolment: the hash of the person, and what makes it unique.
_MARK = re.compile(r"\.([0-9a-f]{16})\.[0-9a-f]+\.enrolling")
_FIX = (
    "move the file away, or forget the person (`face-perception persons forget NAME`), and enrol "
    "the person again"
)


@dataclass(frozen=True, slots=True)
class EnrolledPerson:
    """A person with the templates [K, 128] of some looks.

    ``revision`` is that of the templates (``FaceTemplates.revision``), ``made`` the system time of
    the last enrolment, seconds since 1970. Raises InputError if a value is out of range.

    >>> looks = np.zeros((3, 128), np.float32)
    >>> EnrolledPerson("anna", "dlib_face_recognition-1", looks, made=1.8e9).person_id
    'anna'
    """

    person_id: str
    revision: str
    templates: Template
    made: float

    def __post_init__(self) -> None:
        check_person_id(self.person_id)
        if not isinstance(self.revision, str) or not self.revision.isprintable():
            raise InputError("revision is not a text of printable characters")
        if not self.revision:
            raise InputError("revision is empty")
        shape = self.templates.shape
        if len(shape) != 2 or not 1 <= shape[0] <= MOST_LOOKS or shape[1] != _NUMBERS:
            raise InputError(f"templates are {list(shape)}, not 1 to {MOST_LOOKS} of {_NUMBERS}")
        if not (np.abs(self.templates) <= _LARGEST).all():  # NaN as well
            raise InputError("a number of a template is not from -100 to 100")
        if not (math.isfinite(self.made) and 0 <= self.made < 2**31):
            raise InputError(f"made is {self.made}")


def enrolled_dir() -> Path:
    """Returns the default folder, ``enrolled`` in the user's data folder. It is not created."""
    return paths.data_dir() / "enrolled"


class EnrolledStore(PersonFiles):
    """Stores enrolled persons. Several processes can use the folder.

    ``warn`` gets a sentence about each file that cannot be used. If ``folder`` is None, it is
    ``enrolled_dir()``.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = EnrolledStore(Path(folder))
    ...     looks = np.zeros((3, 128), np.float32)
    ...     store.put(EnrolledPerson("anna", "dlib_face_recognition-1", looks, made=1.8e9))
    ...     [person.person_id for person in store.load_all()]
    ['anna']
    """

    def __init__(self, folder: Path | None = None, warn: Callable[[str], None] = print) -> None:
        super().__init__(
            enrolled_dir() if folder is None else folder,
            "enrolled persons",
            "parameter `folder` of the node people, option --folder",
        )
        self.warn = warn

    def get(self, person_id: str) -> EnrolledPerson | None:
        """Returns a person, or None if nobody is enrolled under this id.

        Raises InputError for an invalid id and for a damaged file, with the fix, and OSError if the
        file cannot be read.
        """
        check_person_id(person_id)
        path = self.file(person_id)
        return self._read(path) if path.exists() else None

    def load_all(self) -> list[EnrolledPerson]:
        """Returns all persons by id. Reports files that cannot be used, and leaves them out.

        Raises OSError if the folder cannot be read.
        """
        found = []
        for path in self.files():
            try:
                found.append(self._read(path))
            except (InputError, OSError) as error:
                self.warn(str(error))
        return sorted(found, key=lambda person: person.person_id)

    def put(self, person: EnrolledPerson) -> None:
        """Stores a person instead of an earlier one of the same id.

        Raises InputError if the earlier file is damaged, because it may hold what somebody still
        needs, and OSError if the file cannot be written.
        """
        with self.locked():
            self.get(person.person_id)
            self._write(person)

    def mark_enrolment(self, person_id: str) -> Path:
        """Makes the file that marks an enrolment; remove it at the end. Raises OSError."""
        with self.locked():
            mark = self.folder / f".{_digest(self.file(person_id).name)}.{os.urandom(8).hex()}"
            mark = mark.with_name(f"{mark.name}.enrolling")
            mark.touch(mode=0o600)
        return mark

    def add_looks(self, person: EnrolledPerson, mark: Path | None = None) -> EnrolledPerson:
        """Stores a person's looks besides the newest earlier ones, and returns what is stored.

        Earlier looks of another revision are dropped. The earlier file is read under the lock: what
        another process forgets meanwhile does not come back. Raises as ``put`` does, and InputError
        if the file ``mark`` of the enrolment was removed, because the person was forgotten.
        """
        with self.locked():
            if mark is not None and not mark.exists():
                raise InputError(f"{one_line(person.person_id, 80)} was forgotten meanwhile")
            before = self.get(person.person_id)
            if before is not None and before.revision == person.revision:
                looks = np.concatenate([before.templates, person.templates])
                person = replace(person, templates=looks[-MOST_LOOKS:])
            self._write(person)
        return person

    def _write(self, person: EnrolledPerson) -> None:
        content = {
            "version": FILE_VERSION,
            "person_id": person.person_id,
            "revision": person.revision,
            "made": person.made,
            # As short as float32 allows, so that reading gives the same bits.
            "templates": [[float(str(v)) for v in row] for row in person.templates],
        }
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        write_atomically(self.file(person.person_id), text.encode() + b"\n", private=True)

    def forget(self, person_id: str) -> bool:
        """Removes a person's file, also a damaged one, and ends an enrolment of the person.

        Returns whether there was either. The file is overwritten with zeros first. Raises
        InputError for an invalid id, and OSError if the file cannot be removed.
        """
        check_person_id(person_id)
        return self._remove(self.file(person_id).name) > 0

    def forget_everybody(self) -> int:
        """Removes the files of all persons, also damaged ones, and ends all enrolments.

        Returns the number of these persons. Raises OSError if one cannot be removed.
        """
        return self._remove("")

    def _remove(self, only: str) -> int:
        """Removes the file ``only`` (empty: those of all persons), and what belongs to it.

        That is its interrupted writings and the marks of its enrolments. Returns how many persons
        had a file or a mark.
        """
        self.files()  # raises if the folder cannot be read, or is a file
        if not self.folder.is_dir():
            return 0
        persons = set()
        with self.locked():
            for name in os.listdir(self.folder):
                if mark := _MARK.fullmatch(name):
                    if not only or mark[1] == _digest(only):
                        (self.folder / name).unlink(missing_ok=True)
                        persons.add(mark[1])
                    continue
                whole = _PART.sub("", name)
                if whole.endswith(_FILE) and only in ("", whole):
                    _overwrite_and_remove(self.folder / name)
                    if name == whole:
                        persons.add(_digest(name))
        return len(persons)

    def _read(self, path: Path) -> EnrolledPerson:
        """Returns the person in a file. Raises InputError with the fix, or OSError."""
        try:
            data = read_regular(path, _MOST_BYTES)
        except OSError as error:
            raise self.unusable(path, "read", error) from error
        with one_error(f"the enrolled person in {path}", _FIX):
            content = json.loads(data)
            version = content["version"]
            if isinstance(version, int) and version > FILE_VERSION:
                raise InputError(
                    f"it was written by a newer face_perception (format {shortened(version)})"
                )
            if version != FILE_VERSION:
                raise InputError(f"its version is {shortened(version)}, not {FILE_VERSION}")
            person = _person(content)
            if self.file(person.person_id) != path:
                raise InputError(f"its name is not that of {shortened(person.person_id)}")
        return person


def _digest(name: str) -> str:
    """Returns the hash of a person in the name of the person's file; others as they are."""
    return name.removesuffix(_FILE).rpartition("-")[2]


def _person(content: dict[str, Any]) -> EnrolledPerson:
    templates = np.array(content["templates"], np.float32)
    return EnrolledPerson(
        content["person_id"], content["revision"], templates, float(content["made"])
    )


def _overwrite_and_remove(path: Path) -> None:
    """Overwrites a file with zeros and removes it.

    Whether the old bytes are gone from the disk depends on the file system and the disk.
    """
    with contextlib.suppress(OSError):  # removing it is what counts
        number = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.pwrite(number, b"\0" * min(os.fstat(number).st_size, _MOST_BYTES), 0)
            os.fsync(number)
        finally:
            os.close(number)
    path.unlink(missing_ok=True)
