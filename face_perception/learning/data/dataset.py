"""Reads and writes data sets of labelled images, in the one layout that all recipes read.

A data set is a folder with ``dataset.yaml``, ``samples.parquet`` and ``images/``; see
docs/training.md. Needs pyarrow (the extra ``training``).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from face_perception.errors import InputError, one_line, shortened
from face_perception.files import open_regular
from face_perception.gaze import GAZE_MEASURES
from face_perception.media import read_picture
from face_perception.outside_files import named_os_errors, one_error, read_yaml
from face_perception.types import EXPRESSIONS, FloatArray, Image

FORMAT = 1
SPLITS = ("train", "validation", "test")
ABOUT, TABLE, IMAGES = "dataset.yaml", "samples.parquet", "images"

FILES = ("file", "left_eye", "right_eye")
_TEXTS = ("sample", *FILES, "subject", "split", "expression", "video")
NUMBERS = (
    *("frame", "eye_contact"),
    *("gaze_pitch", "gaze_yaw", "head_pitch", "head_yaw", "distance", "valence", "arousal"),
    *GAZE_MEASURES,
)  # and au_<n>
_NEEDED = ("sample", "file", "subject", "split")
_STATED = ("name", "licence", "made_by")
_OF_UNIT = re.compile(r"(au|intensity)_[0-9]+")  # columns with numbers about an action unit
# What a table may take in memory: so many bytes in any case, and so many times its file.
_FREE_MEMORY, _LARGEST_RATIO = 64 << 20, 100


class DatasetError(InputError):
    """Raised for an unusable data set; the message says where and what was expected."""


@dataclass(frozen=True)
class DataSource:
    """What a data set says about itself: its name, its licence, and how it was made."""

    folder: Path
    name: str
    licence: str
    made_by: str

    @property
    def described(self) -> str:
        """The name and how it was made, as the card of a network names its training data."""
        return f"{self.name} ({self.made_by})"


@dataclass(frozen=True)
class Dataset(DataSource):
    """Samples of a data set.

    ``columns`` [N] by name are float64, with NaN for a missing number, or object, with None for a
    missing text.
    """

    columns: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["sample"])

    def labels(self, *names: str) -> FloatArray:
        """Returns [N, len(names)] float64, NaN if missing; a missing column is all NaN."""
        blank = np.full(len(self), np.nan)
        return np.stack([self.columns.get(name, blank) for name in names], axis=1)

    def take(self, chosen: npt.NDArray[Any]) -> Dataset:
        """Returns the samples selected by indices or by a mask [N]."""
        return replace(self, columns={k: v[chosen] for k, v in self.columns.items()})

    def part(self, split: str) -> Dataset:
        """Returns the samples of the split ``train``, ``validation`` or ``test``."""
        return self.take(self.columns["split"] == split)

    def gray(self, i: int, column: str, size: tuple[int, int]) -> Image:
        """Returns the gray image uint8 [height, width] of sample ``i``.

        Raises DatasetError for a file that is missing, is not a picture, or has another size.
        """
        rgb = self._image(i, column, size, "a gray image")
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)

    def rgb(self, i: int, column: str, size: tuple[int, int]) -> Image:
        """Returns the RGB image uint8 [height, width, 3] of sample ``i``.

        Raises DatasetError as ``gray`` does.
        """
        return self._image(i, column, size, "an image")

    def _image(self, i: int, column: str, size: tuple[int, int], what: str) -> Image:
        name = self.columns[column][i]
        wanted = f"{what} of {size[1]}x{size[0]} was expected"
        sample = self.columns["sample"][i]
        if name is None:
            raise DatasetError(f"{self.folder / TABLE}: {sample} has no {column}: {wanted}")
        file = self.folder / name
        image = read_image(file, f"{wanted} ({sample})")
        if image.shape[:2] != size:
            raise DatasetError(f"{file} is {image.shape[1]}x{image.shape[0]}: {wanted}")
        return image


def read_image(file: Path, where: str) -> Image:
    """Returns a picture of a data set, RGB uint8 [H, W, 3].

    ``where`` says what was expected, and where the file is named. Raises DatasetError if it is
    missing or not a picture.
    """
    with named_os_errors(file, DatasetError, where):
        try:
            return read_picture(file)
        except InputError as error:
            raise DatasetError(f"{error} ({where})") from error


def read(folder: Path, needs: Sequence[str] = ()) -> Dataset:
    """Reads a data set that has the columns ``needs``.

    Raises DatasetError that names the file and what was expected in it.
    """
    pyarrow = _pyarrow()
    about = read_about(folder, f"{ABOUT}, {TABLE} and {IMAGES}/ (docs/training.md)")
    path = folder / TABLE
    if not path.exists():
        raise DatasetError(f"{path} is missing: a table of samples was expected (docs/training.md)")
    fix = "give a table in Parquet (docs/training.md)"
    with one_error(f"table {path}", fix, DatasetError), open_regular(path) as file:
        _check_table(pyarrow.parquet.ParquetFile(file), os.fstat(file.fileno()).st_size)
        file.seek(0)
        table = pyarrow.parquet.read_table(file)
        values = {name: table[name].to_pylist() for name in table.column_names}
    missing = [name for name in (*_NEEDED, *needs) if name not in values]
    if missing:
        raise DatasetError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has "
            f"{one_line(', '.join(values))}"
        )
    columns = {name: _column(path, name, value) for name, value in values.items()}
    _check_splits(path, columns["subject"], columns["split"])
    return Dataset(about.folder, about.name, about.licence, about.made_by, columns)


def _check_table(file: Any, size: int) -> None:
    """Raises InputError if a Parquet file of ``size`` bytes unpacks to much more than that."""
    found = file.metadata
    cells = found.num_rows * found.num_columns
    groups = [found.row_group(i) for i in range(found.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    if max(8 * cells, unpacked) > _FREE_MEMORY + _LARGEST_RATIO * size:
        raise InputError(f"it has {cells} values of {unpacked} bytes in a file of {size} bytes")


def _pyarrow() -> Any:
    """Returns the module pyarrow with its ``parquet``. Raises DatasetError if it is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DatasetError(
            f"a data set needs pyarrow ({error}): pip install '.[training]' in the source "
            "tree, or tools/setup.sh test"
        ) from error
    return pyarrow


def read_about(folder: Path, has: str) -> DataSource:
    """Returns what a data set says about itself in ``dataset.yaml``.

    Raises DatasetError if the file is missing or incomplete; ``has`` says what such a set has.
    """
    path = folder / ABOUT
    if not path.exists():
        raise DatasetError(f"{path} is missing: a data set has {has}")
    with one_error(f"data set {path}", "see docs/training.md", DatasetError):
        about = read_yaml(path)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else about
        raise DatasetError(f"{path}: format must be {FORMAT}, not {shortened(found)}")
    for name in _STATED:
        if not isinstance(about.get(name), str) or not about[name]:
            raise DatasetError(f"{path}: {name} is missing, a text was expected")
    return DataSource(folder, *(about[name] for name in _STATED))


def write_about(folder: Path, *, name: str, licence: str, made_by: str) -> None:
    """Writes ``dataset.yaml`` into the folder of a data set."""
    about = {"format": FORMAT, "name": name, "licence": licence, "made_by": made_by}
    text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
    (folder / ABOUT).write_text(text, encoding="utf-8")


def _column(path: Path, name: str, values: list[Any]) -> npt.NDArray[Any]:
    """Returns one column as an array. Raises DatasetError for a value of another type."""
    if name in _TEXTS:
        column = np.array([*values, None], object)[:-1]
        allowed = {"split": SPLITS, "expression": (*EXPRESSIONS, None)}.get(name)
        for i, value in enumerate(values):
            needed = value is None and name in _NEEDED
            if needed or not isinstance(value, str | None) or (allowed and value not in allowed):
                wanted = f"one of {', '.join(map(str, allowed))}" if allowed else "a text"
                raise DatasetError(
                    f"{path}: row {i}: {name} is {shortened(value)}, {wanted} was expected"
                )
            if name in FILES and value is not None:
                _check_relative(path, i, value)
        return column
    if name in NUMBERS or _OF_UNIT.fullmatch(name):
        try:
            return np.array([np.nan if v is None else v for v in values], np.float64)
        except (TypeError, ValueError) as error:
            raise DatasetError(
                f"{path}: {name} must hold numbers or nulls: {one_line(error)}"
            ) from error
    # A column that the user added and that no recipe reads.
    return np.array([*values, None], object)[:-1]


def _check_splits(path: Path, subjects: npt.NDArray[Any], splits: npt.NDArray[Any]) -> None:
    """Raises DatasetError if samples of one person are in several splits."""
    of: dict[str, str] = {}
    for i, (subject, split) in enumerate(zip(subjects, splits, strict=True)):
        if of.setdefault(subject, split) != split:
            raise DatasetError(
                f"{path}: row {i}: subject {subject} is in {split} and in {of[subject]}: one split "
                "for all samples of a person was expected"
            )


def _check_relative(path: Path, row: int, name: str) -> None:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DatasetError(f"{path}: row {row}: {name} must be a path inside the data set's folder")


class Writer:
    """Writes a data set: use it in a ``with`` block.

    The folder appears, complete, at the end of the block; after an error it does not appear. Raises
    DatasetError if the folder exists, which is then not changed, or pyarrow is missing.
    """

    def __init__(self, folder: Path, *, name: str, licence: str, made_by: str) -> None:
        if folder.exists():
            raise DatasetError(f"{folder} exists: choose another folder, or remove it")
        self._pyarrow = _pyarrow()
        self._folder = folder
        self._part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        self._about = {"name": name, "licence": licence, "made_by": made_by}
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Writer:
        shutil.rmtree(self._part, ignore_errors=True)
        (self._part / IMAGES).mkdir(parents=True)
        return self

    def add(
        self, images: Mapping[str, Image], subject: str, split: str, **labels: float | str | None
    ) -> None:
        """Adds a sample.

        ``images`` are gray or RGB, by column: ``file`` and, if a task needs them, ``left_eye`` and
        ``right_eye``. NaN and None are missing labels.
        """
        sample = f"{len(self._rows):06d}"
        row: dict[str, Any] = {"sample": sample, "subject": subject, "split": split}
        for column, image in images.items():
            row[column] = f"{IMAGES}/{sample}_{column}.png"
            bgr = image[..., ::-1] if image.ndim == 3 else image
            if not cv2.imwrite(str(self._part / row[column]), bgr):
                raise DatasetError(f"{self._part / row[column]} cannot be written")
        for key, value in labels.items():
            row[key] = None if isinstance(value, float) and np.isnan(value) else value
        self._rows.append(row)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                names = dict.fromkeys(key for row in self._rows for key in row)
                columns = {name: [row.get(name) for row in self._rows] for name in names}
                for name, values in columns.items():
                    _column(self._folder / TABLE, name, values)
                table = self._pyarrow.table(columns)
                # pyarrow would take a name with a colon for an address.
                with open(self._part / TABLE, "wb") as file:
                    self._pyarrow.parquet.write_table(table, file)
                write_about(self._part, **self._about)
                os.rename(self._part, self._folder)
        finally:
            shutil.rmtree(self._part, ignore_errors=True)
