"""Checks that a reader refuses a file as promised: with one type of error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from at_once import at_once
from damage import KINDS, changed_leaves
from outside_readers import Reader

from face_perception.errors import FacePerceptionError

# What an error says that a file is instead, by kind of damage.
_SAYS = {
    "folder": "it is a folder",
    "named pipe": "it is a named pipe",
    "device": "it is a device",
    "Git LFS pointer": "Git LFS pointer",
    "web page": "web page",
}


def refuses_damage(reader: Reader, kind: str, folder: Path) -> None:
    """Damages a good file; fails if the reader does not refuse it as promised."""
    path = reader.make(folder)
    KINDS[kind](path, path.read_bytes())
    if kind in reader.good:
        reader.read(path)
        return
    text = refused(reader, path)
    if reader.says_why:
        assert _SAYS.get(kind, "") in text


def reads_the_good_file(reader: Reader, folder: Path) -> None:
    path = reader.make(folder)
    reader.seal(path)
    reader.read(path)


def survives_wrong_values(reader: Reader, folder: Path) -> None:
    """Gives each value of a text another type or size; an error must be as promised."""
    path = reader.make(folder)
    for text in changed_leaves(path.read_text(), reader.text):
        path.write_text(text)
        reader.seal(path)
        read_or_refuse(reader, path)


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
