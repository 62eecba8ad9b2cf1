"""Checks that a reader refuses a file as promised: with one type of error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from at_once import at_once
from outside_readers import Reader

from face_perception.errors import FacePerceptionError


def refused(reader: Reader, path: Path) -> str:
    """Returns the error of a reader; fails if there is none, or if it is not as promised."""
    with at_once(), pytest.raises(FacePerceptionError) as caught:
        reader.read(path)
    return checked(reader, path, caught.value)


def checked(reader: Reader, path: Path, error: FacePerceptionError) -> str:
    text = str(error)
    assert type(error) is reader.error, f"{type(error).__name__}: {text}"
    assert path.parent.name in text, "it names the file, or the folder of it"
    assert len(text) < 1500
    assert "\n" not in text
    assert "allow_pickle" not in text
    assert "more memory" not in text
    return text


def read_or_refuse(reader: Reader, path: Path) -> None:
    """Reads a file that may be good; an error must be as promised."""
    try:
        with at_once():
            reader.read(path)
    except FacePerceptionError as error:
        checked(reader, path, error)
