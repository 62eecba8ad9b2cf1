"""Stores the gaze calibrations of persons in files that only their owner can read.

There is one file for each person. It holds a few numbers under the person's id, and no image. A
damaged file is renamed and reported; it does not stop the program.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_perception import paths
from face_perception.errors import InputError, shortened
from face_perception.files import read_regular, write_atomically
from face_perception.gaze import LidCue
from face_perception.outside_files import reason_of
from face_perception.people.calibration_extension import KnownLook
from face_perception.people.correction import Correction
from face_perception.people.person_files import PersonFiles, check_person_id

# Version of the file format. Version 1 had only a bias, which is read as a correction with gain 1.
# Version 2 had the error of the gain instead of that of the slope. Version 3 had no looks. Version
# 4 had no least_residual.
FILE_VERSION = 5
_MOST_BYTES = 1 << 18  # of a file: a person has one calibration for each estimator
# Limits of the values of a correction (bias and lid gain in radians). Outside them a file is
# damaged.
_MAX_BIAS, _GAINS, _MAX_CROSS, _MAX_LID_GAIN = 2.0, (0.1, 10.0), 5.0, 10.0
# Exceptions that reading a damaged file raises.
_DAMAGED = (
    *(ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, RecursionError),
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """One person's calibration for one gaze estimator.

    - ``estimator``: name of the estimator (``Gaze.source``).
    - ``revision``: revision of its weights or arithmetic, to which the calibration belongs.
    - ``correction``: the correction of its gaze.
    - ``spread``: standard deviation, on each axis, of the gaze in single images, radians.
    - ``expected_residual``: expected mean error of a calibrated gaze, radians.
    - ``samples``, ``targets``: numbers of samples and targets of the fit.
    - ``made``: time of the calibration, seconds since 1970.
    - ``looks``: the looks that were fitted; empty if they are not known.
    - ``least_residual``: value below which ``expected_residual`` must not fall when the calibration
      is extended, radians. It is above 0 if a target was left out.

    Raises InputError if a value has the wrong type or is out of range.

    >>> from face_perception.people import Correction
    >>> calibration = Calibration(
    ...     estimator="geometric",
    ...     revision="3",
    ...     correction=Correction(bias_yaw=0.05, bias_pitch=-0.02),
    ...     spread=0.02,
    ...     expected_residual=0.09,
    ...     samples=30,
    ...     targets=1,
    ...     made=1.8e9,
    ... )
    >>> tuple(round(angle, 2) for angle in calibration.correction.apply(0.1, 0.0))
    (0.15, -0.02)
    """

    estimator: str
    revision: str
    correction: Correction
    spread: float
    expected_residual: float
    samples: int
    targets: int
    made: float
    looks: tuple[KnownLook, ...] = ()
    least_residual: float = 0.0

    def __post_init__(self) -> None:
        _check_fields(self)
        if not self.estimator:
            raise InputError("estimator is empty")
        for name, limit in (("samples", 2**32), ("targets", 2**32), ("made", 2**31)):
            if not 0 <= getattr(self, name) < limit:
                raise InputError(f"{name} is {getattr(self, name)}")
        made = self.correction
        for name, low, high in (
            ("bias_yaw", -_MAX_BIAS, _MAX_BIAS),
            ("bias_pitch", -_MAX_BIAS, _MAX_BIAS),
            ("gain_yaw", *_GAINS),
            ("gain_pitch", *_GAINS),
            ("cross_yaw", -_MAX_CROSS, _MAX_CROSS),
            ("cross_pitch", -_MAX_CROSS, _MAX_CROSS),
            ("lid_gain", 0, _MAX_LID_GAIN),
            ("slope_yaw", *_GAINS),
            ("slope_pitch", *_GAINS),
        ):
            if not low <= getattr(made, name) <= high:
                raise InputError(f"{name} is {getattr(made, name)}, not from {low:g} to {high:g}")
        sigmas = (made.sigma_yaw, made.sigma_pitch, made.slope_yaw_sigma, made.slope_pitch_sigma)
        if min(self.expected_residual, self.least_residual, self.spread, *sigmas) < 0:
            raise InputError("spread, a residual or a sigma is negative")


def _check_fields(values: Any) -> None:
    """Raises InputError if a field of a dataclass has the wrong type or is not finite.

    Fields that are dataclasses, or tuples of them, are checked in the same way.
    """
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if isinstance(value, tuple):
            for item in value:
                _check_fields(item)
        elif value is None and field.type.endswith("| None"):
            continue
        elif dataclasses.is_dataclass(value):
            _check_fields(value)
        elif field.type == "str":
            if not isinstance(value, str):
                raise InputError(f"{field.name} is {shortened(value)}, not a text")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{field.name} is {shortened(value)}, not a number")
        elif not math.isfinite(value):
            raise InputError(f"{field.name} is {value}, not a finite number")


def calibrations_dir() -> Path:
    """Returns the default folder of calibrations, ``people`` in the user's data folder.

    It is not created.
    """
    return paths.data_dir() / "people"


class CalibrationStore(PersonFiles):
    """Stores calibrations in a folder that only its owner can read.

    There is one file for each person. Files are replaced as a whole, under a lock, so that several
    processes can use the folder. A damaged file is renamed to ``….damaged`` and reported to
    ``warn``. If ``folder`` is None, it is ``calibrations_dir()``.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from face_perception.people import Correction
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = CalibrationStore(Path(folder))
    ...     fit = Correction(bias_yaw=0.05, bias_pitch=-0.1)
    ...     store.put("anna", Calibration("geometric", "3", fit, 0.01, 0.06, 30, 1, made=0.0))
    ...     store.get("anna")["geometric"].correction.bias_yaw
    0.05
    """

    def __init__(self, folder: Path | None = None, warn: Callable[[str], None] = print) -> None:
        super().__init__(
            calibrations_dir() if folder is None else folder,
            "calibrations",
            "parameter `people`, option --people",
        )
        self.warn = warn

    def get(self, person_id: str) -> dict[str, Calibration]:
        """Returns a person's calibrations by estimator; empty if there are none.

        Raises InputError for an invalid id (see ``check_person_id``), and OSError if the file
        cannot be read.
        """
        check_person_id(person_id)
        entry = self._read(self.file(person_id))
        return entry[1] if entry else {}

    def load_all(self) -> dict[str, dict[str, Calibration]]:
        """Returns all calibrations by person and estimator; empty if there is no folder.

        Files that cannot be read are reported and left out. Raises OSError if the folder cannot be
        read.
        """
        found: dict[str, dict[str, Calibration]] = {}
        for path in self.files():
            try:
                entry = self._read(path)
            except OSError as error:
                self.warn(str(error))
                continue
            if entry:
                found[entry[0]] = entry[1]
        return dict(sorted(found.items()))

    def put(self, person_id: str, calibration: Calibration) -> None:
        """Stores a calibration; it replaces the person's calibration for the same estimator.

        Raises InputError for an invalid id, and OSError if the file cannot be written.
        """
        check_person_id(person_id)
        with self.locked():
            path = self.file(person_id)
            entry = self._read(path)
            known = entry[1] if entry else {}
            self._write(path, person_id, {**known, calibration.estimator: calibration})

    def delete(self, person_id: str, estimator: str = "") -> int:
        """Deletes a person's calibration for ``estimator``.

        An empty ``estimator`` deletes all of the person's calibrations, with the file. Returns the
        number of calibrations that were deleted. Damaged files of the person are deleted as well
        and count as one each. What an interrupted writing left is deleted and does not count.
        Raises as ``put`` does.
        """
        check_person_id(person_id)
        path = self.file(person_id)
        aside = _aside(path)
        parts = list(self.folder.glob(f"{path.name}.*.part"))
        if not (path.exists() or aside.exists() or parts):
            return 0
        with self.locked():
            damaged = int(aside.exists())
            try:
                entry = self._parse(path)
            except _DAMAGED:
                entry, damaged = None, damaged + 1
            known = entry[1] if entry else {}
            left = {k: v for k, v in known.items() if estimator and k != estimator}
            if left:
                self._write(path, person_id, left)
            else:
                path.unlink(missing_ok=True)
            for file in (aside, *parts):
                file.unlink(missing_ok=True)
            return len(known) - len(left) + damaged

    def _write(self, path: Path, person_id: str, known: dict[str, Calibration]) -> None:
        content = {
            "version": FILE_VERSION,
            "person_id": person_id,
            "calibrations": [dataclasses.asdict(c) for _, c in sorted(known.items())],
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(path, text.encode() + b"\n", private=True)

    def _read(self, path: Path) -> tuple[str, dict[str, Calibration]] | None:
        """Returns the person and their calibrations by estimator; None if there is no file.

        A damaged file is reported and renamed; then the result is None.
        """
        try:
            return self._parse(path)
        except _DAMAGED as error:
            self._set_aside(path, error)
            return None

    def _parse(self, path: Path) -> tuple[str, dict[str, Calibration]] | None:
        """Does the same as ``_read``, but raises one of ``_DAMAGED`` for a damaged file."""
        try:
            data = read_regular(path, _MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.unusable(path, "read", error) from error
        content = json.loads(data)
        version = content["version"]
        if isinstance(version, int) and version > FILE_VERSION:
            raise OSError(
                f"{path} was written by a newer face_perception (format {shortened(version)}; this "
                f"one reads up to {FILE_VERSION}): update face_perception, or move the file away"
            )
        person_id = content["person_id"]
        calibrations = _calibrations(content["calibrations"], version)
        check_person_id(person_id)
        if self.file(person_id) != path:
            raise InputError(f"its name is not that of the person {shortened(person_id)}")
        return person_id, calibrations

    def _set_aside(self, path: Path, error: Exception) -> None:
        aside = _aside(path)
        reason = reason_of(error)
        try:
            os.replace(path, aside)
            self.warn(f"{path} is damaged ({reason}): renamed to {aside.name}; calibrate again")
        except OSError as failed:
            self.warn(f"{path} is damaged ({reason}) and cannot be renamed: {failed.strerror}")


def _aside(path: Path) -> Path:
    """Returns the new name of a damaged file."""
    return path.with_name(f"{path.name}.damaged")


def _calibrations(entries: list[dict[str, Any]], version: int) -> dict[str, Calibration]:
    read = {1: _calibration_of_version_1, 2: _calibration_of_version_2}.get(version, _calibration)
    found = [read(dict(entry)) for entry in entries]
    return {calibration.estimator: calibration for calibration in found}


def _calibration(entry: dict[str, Any]) -> Calibration:
    correction = dict(entry.pop("correction"))
    lids = LidCue(**correction.pop("lids"))
    looks = tuple(_known_look(dict(look)) for look in entry.pop("looks", ()))
    return Calibration(correction=Correction(lids=lids, **correction), looks=looks, **entry)


def _known_look(entry: dict[str, Any]) -> KnownLook:
    lids = entry.pop("lids")
    return KnownLook(lids=None if lids is None else LidCue(**lids), **entry)


def _calibration_of_version_2(entry: dict[str, Any]) -> Calibration:
    """Reads version 2, which had a slope of 1, and the error of the gain."""
    old = dict(entry["correction"])
    for axis in ("yaw", "pitch"):
        old[f"slope_{axis}_sigma"] = old.pop(f"gain_{axis}_sigma") / old[f"gain_{axis}"]
    return _calibration({**entry, "correction": old})


def _calibration_of_version_1(entry: dict[str, Any]) -> Calibration:
    """Reads version 1, which had a bias and no gain."""
    yaw, pitch = entry.pop("bias_yaw"), entry.pop("bias_pitch")
    return Calibration(correction=Correction(bias_yaw=yaw, bias_pitch=pitch), **entry)
