"""The folder of a session: its name, and the files in it besides the recording."""

from __future__ import annotations

import csv
import datetime
import errno
import io
import os
import shutil
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from face_perception import paths
from face_perception.errors import InputError, shortened
from face_perception.files import name_part, named_errors, write_atomically
from face_perception.markers import MARKER_NAMES, MARKERS_FILE, Marker, marker_cells
from face_perception.media import SESSION_BAG
from face_perception.settings import setting

RECORD = "session.yaml"
_LONGEST_LABEL, _LONGEST_MARKER, _LONGEST_CONSENT = 200, 200, 10_000  # characters
_LONGEST_PART = 60  # characters of the label in the name of the folder
_MOST_NAMES = 100

VIDEO = ("off", "pixelated", "full")


@dataclass(frozen=True)
class SessionSettings:
    """Settings of the recording of a session."""

    folder: str = setting(
        "",
        "Folder in which each session gets a folder. Empty: sessions in the data folder of the "
        "user, ~/.local/share/face_perception.",
    )
    video: str = setting(
        "off",
        "Video in the recording. off: none. pixelated: with faces made unrecognisable. full: as it "
        "is. A session can be started with another value.",
        choices=VIDEO,
        dynamic=True,
    )
    video_rate: float = setting(
        10.0,
        "Largest number of images per second in the recording.",
        minimum=0.1,
        maximum=120.0,
        unit="Hz",
        dynamic=True,
    )
    warn_below: float = setting(
        5.0,
        "The diagnostics warn while the disk has less free space than this.",
        minimum=0.0,
        unit="GB",
        dynamic=True,
    )
    stop_below: float = setting(
        0.5,
        "The session is stopped when the disk has less free space than this, so that other "
        "programs can still write.",
        minimum=0.0,
        unit="GB",
        dynamic=True,
    )
    buffer: int = setting(
        64,
        "Most megabytes that wait for a slow disk. What comes then is dropped, and counted.",
        minimum=1,
        maximum=4096,
        unit="MB",
    )


def sessions_dir(folder: str = "") -> Path:
    """Returns the folder of all sessions; the default is in the user's data folder.

    It is not created.
    """
    return paths.expanded(folder) if folder else paths.data_dir() / "sessions"


def check_label(label: str) -> None:
    """Raises InputError if the label of a session is too long or not printable."""
    if len(label) > _LONGEST_LABEL or not label.isprintable():
        raise InputError(
            f"label {shortened(label)} cannot be used: give at most {_LONGEST_LABEL} printable "
            "characters"
        )


def check_marker(label: str) -> None:
    """Raises InputError if a label of a marker is empty, too long or not printable."""
    if not label.strip() or len(label) > _LONGEST_MARKER or not label.isprintable():
        raise InputError(
            f"marker {shortened(label)} cannot be used: give 1 to {_LONGEST_MARKER} printable "
            "characters"
        )


def free_space(folder: Path) -> float:
    """Returns the bytes that a user may still write to the disk of a folder; NaN if unknown."""
    try:
        at = next((one for one in (folder, *folder.absolute().parents) if one.exists()), folder)
        return float(shutil.disk_usage(at).free)
    except OSError:  # such as a folder above it that may not be entered
        return float("nan")


class SessionFolder:
    """A new folder for one session in ``root``, which is made if needed.

    Only the owner can read the folder, and a ``root`` that is made. The name of the folder is the
    local time of ``when`` (seconds since 1970) and what of the label can be in a name: ``Müller 2``
    becomes ``Muller_2``. The label itself is in session.yaml. ``record`` is the content of its
    session.yaml: add to it, then call ``write_record``. Each marker is on the disk when
    ``add_marker`` returns.

    Raises InputError for a label or a consent text that cannot be used, and OSError if the folder
    cannot be written.
    """

    def __init__(self, root: Path, label: str, when: float, consent: str = "") -> None:
        check_label(label)
        if len(consent) > _LONGEST_CONSENT:
            raise InputError(
                f"the consent text has {len(consent)} characters: give at most {_LONGEST_CONSENT}, "
                "or the name of the document"
            )
        name = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(when))
        part = _folder_part(label)
        self.path = _make_folder(root, f"{name}_{part}" if part else name)
        self.bag = self.path / SESSION_BAG
        self.record: dict[str, Any] = {
            "label": label,
            "consent": consent,
            "started": _iso(when),
            "stopped": None,
        }
        self._markers = self.path / MARKERS_FILE
        self.marker_count = 0
        try:
            self._append(*MARKER_NAMES)
            self.write_record()
        except OSError:
            self.remove()
            raise

    def remove(self) -> None:
        """Removes the folder, if nothing could be recorded. Raises nothing."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write_record(self) -> None:
        """Writes ``record`` into session.yaml. Raises OSError, also if the folder was removed."""
        if not self.path.is_dir():  # write_atomically would make it again
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        text = yaml.safe_dump(self.record, sort_keys=False, allow_unicode=True)
        write_atomically(self.path / RECORD, text.encode(), private=True)

    def add_marker(self, marker: Marker) -> None:
        """Adds a line to markers.csv. Raises OSError."""
        self._append(*marker_cells(marker))
        self.marker_count += 1

    def end(self, when: float, reason: str, facts: dict[str, Any]) -> None:
        """Writes when and why the session ended, and ``facts``. Raises OSError."""
        self.record |= {"stopped": _iso(when), "reason": reason, **facts}
        self.write_record()

    def _append(self, *cells: str) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with named_errors(self._markers):
            number = os.open(self._markers, flags, 0o600)
            with open(number, "wb") as file:
                file.write(line.getvalue().encode())
                file.flush()
                os.fsync(file.fileno())


def _folder_part(label: str) -> str:
    """Returns a label as part of a file name: letters without accents, digits, - and _."""
    letters = unicodedata.normalize("NFKD", label.strip())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return name_part(plain, _LONGEST_PART)


def _make_folder(root: Path, name: str) -> Path:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)  # labels may be names of people
    for number in range(1, _MOST_NAMES):
        path = root / (name if number == 1 else f"{name}_{number}")
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:  # two sessions in one second
            continue
        return path
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(root / name))


def _iso(when: float) -> str:
    """Returns a time with its time zone, in ISO 8601."""
    return datetime.datetime.fromtimestamp(when).astimezone().isoformat(timespec="milliseconds")
