"""What the converters of published data sets share: splits, tables of text, finding the face."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np

from face_perception.errors import InputError, one_line
from face_perception.faces import FaceTracker, crop_face
from face_perception.files import read_regular
from face_perception.gaze import CropsUnavailable
from face_perception.learning.data.dataset import DatasetError, Writer
from face_perception.outside_files import one_error
from face_perception.types import Camera, Face, FloatArray, Frame, Image

_T = TypeVar("_T")
Report = Callable[[str], None]


def quiet(_: str) -> None:
    """Ignores a report."""


@dataclass(frozen=True, slots=True)
class ConversionJob:
    """One conversion: which data set to convert, where to, and how.

    Each data set has a module with a function ``convert``, which takes a conversion job. It writes
    the data set in the folder ``source`` to the new folder ``out``, in the layout of ``dataset``.
    It returns the number of samples ``written``, and the numbers of those left out, by reason. It
    raises DatasetError, which names what is missing or odd.

    ``tracker`` finds the faces in the pictures. ``test`` are the people of the split ``test``: by
    default the last fifth, in the order of their names. It must be empty for a data set whose split
    is published. Every ``every``-th picture is used. ``report`` gets a line about each part that is
    done.
    """

    source: Path
    out: Path
    tracker: FaceTracker
    test: Sequence[str] = ()
    every: int = 1
    report: Report = quiet


class FaceMissing(InputError):
    """A picture is left out; the message is the reason, under which it is counted."""


def folders_of(source: Path, pattern: str, wanted: str) -> list[str]:
    """Returns the names of the folders in ``source`` that match ``pattern``, sorted.

    Raises DatasetError without such a folder; the message says that ``wanted`` was expected.
    """
    found = sorted(folder.name for folder in source.glob(pattern) if folder.is_dir())
    if not found:
        example = pattern.replace("[0-9]", "0")
        raise DatasetError(f"{source} has no folder such as {example}: {wanted}")
    return found


def splits_of(names: Sequence[str], source: Path, test: Collection[str]) -> dict[str, str]:
    """Returns the split of each person: ``test`` are for testing, and all others for training.

    Without ``test``, the last fifth of ``names`` is for testing and the tenth before for
    validation. Raises DatasetError for a person that does not exist.
    """
    unknown = sorted(set(test) - set(names))
    if unknown:
        raise DatasetError(
            f"{source} has no {', '.join(unknown)} to test on: {one_line(', '.join(names))}"
        )
    if test:
        return {name: "test" if name in test else "train" for name in names}
    shares = {name: (k + 0.5) / len(names) for k, name in enumerate(names)}
    return {
        name: "train" if share < 0.7 else "validation" if share < 0.8 else "test"
        for name, share in shares.items()
    }


def drawn_share(name: str) -> float:
    """Returns a number in [0, 1) that looks random, and is always the same for one ``name``.

    It splits the pictures of sets that name no people. The place in the sorted list would not do:
    names may begin with the label, and of every tenth place ``every_nth`` may leave out all.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def refuse_test(test: Collection[str], name: str) -> None:
    """Raises DatasetError if people to test on are given for a set whose split is fixed."""
    if test:
        raise DatasetError(f"the split of {name} is fixed: leave out --test")


def every_nth(items: Iterable[_T], every: int) -> Iterator[_T]:
    """Yields the first and then every ``every``-th item. Raises InputError if it is below 1."""
    if every < 1:
        raise InputError(f"every must be at least 1, not {every}")
    return islice(items, 0, None, every)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a text file: its number from 1, ``where`` it is (file and line), and its fields."""

    number: int
    where: str
    fields: list[str]

    def after(self, count: int) -> Row:
        """Returns the row without its first ``count`` fields."""
        return replace(self, fields=self.fields[count:])


def read_rows(path: Path, wanted: str, separator: str | None = None) -> list[Row]:
    """Returns the lines of a text file. Empty lines are left out.

    ``separator`` None stands for white space. Raises DatasetError for a missing file; the message
    says that ``wanted`` was expected.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing: {wanted}")
    with one_error(f"{path}", wanted, DatasetError):
        lines = read_regular(path).decode(errors="replace").splitlines()
    return [
        Row(number, f"{path}:{number}", [field.strip() for field in line.split(separator)])
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def numbers(row: Row, count: int, wanted: str) -> FloatArray:
    """Returns the fields of a row as ``count`` finite numbers.

    Raises DatasetError, which says where they are and what was expected.
    """
    try:
        values = np.array([float(field) for field in row.fields])
    except ValueError as error:
        raise DatasetError(f"{row.where}: {one_line(error)}; {wanted}") from error
    if len(values) != count or not np.isfinite(values).all():
        raise DatasetError(f"{row.where}: {one_line(' '.join(row.fields), 80)!r}; {wanted}")
    return values


def find_face(
    tracker: FaceTracker,
    image: Image,
    camera: Camera,
    at: FloatArray | None = None,
    size: float = 0.0,
) -> Face:
    """Returns the largest face, or the one within ``size`` pixels of ``at``.

    Raises FaceMissing if no such face is found.
    """
    found = tracker.detect(Frame(image, 0.0, camera))
    if at is None:
        if not found:
            raise FaceMissing("no face was found")
        return max(found, key=lambda face: face.roi.width * face.roi.height)

    def apart(face: Face) -> float:
        return float(np.linalg.norm(face.landmarks[:, :2].mean(0) - at))

    near = [face for face in found if apart(face) < size]
    if not near:
        raise FaceMissing("no face was found where it is annotated")
    return min(near, key=apart)


def affect_crop(
    tracker: FaceTracker, image: Image, at: FloatArray | None = None, size: float = 0.0
) -> Image:
    """Returns the crop of a face for the recipes of affect, RGB uint8 [160, 160, 3].

    Arguments and errors are those of ``find_face``.
    """
    height, width = image.shape[:2]
    face = find_face(tracker, image, Camera.assume(width, height), at, size)
    return crop_face(image, face).image


class Conversion:
    """Writes the samples of a published data set, and counts them: use it in a ``with`` block.

    ``module`` is the ``__name__`` of the converter. ``counts`` has the number of samples
    ``written``, and the numbers of those left out, by reason. Raises what ``Writer`` raises.
    """

    def __init__(self, out: Path, report: Report, *, name: str, licence: str, module: str) -> None:
        made_by = f"{module} of the published data set"
        self._writer = Writer(out, name=name, licence=licence, made_by=made_by)
        self._report = report
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Conversion:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def add(
        self, images: Mapping[str, Image], subject: str, split: str, **labels: float | str | None
    ) -> None:
        """Adds a sample. Arguments are those of ``Writer.add``."""
        self._writer.add(images, subject, split, **labels)
        self.counts["written"] += 1

    @contextlib.contextmanager
    def unless_missing(self) -> Iterator[None]:
        """Leaves a picture out, and counts why, if its face or its eyes are not found."""
        try:
            yield
        except (FaceMissing, CropsUnavailable) as error:
            self.counts[str(error)] += 1

    def report(self, done: str) -> None:
        """Reports what is done, and the number of samples so far."""
        self._report(f"{done}: {self.counts['written']} samples so far")
