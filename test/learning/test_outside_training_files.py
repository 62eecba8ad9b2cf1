"""Readers of checkpoints and data sets answer every odd file with one type of error, at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from at_once import at_once
from damage import KINDS, changed_leaves
from outside_readers import Reader
from refusals import read_or_refuse, refused

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("scipy")
pytest.importorskip("safetensors")
from outside_training_readers import STATE, TRAINING_READERS

from face_perception.learning.musetalk.state_dicts import check_checkpoint_file
from face_perception.learning.torch_checkpoint import CheckpointError, read_checkpoint

# A text of one line is cut to a whole line less, or has nothing in it.
STILL_GOOD = {("annotations", "empty"), ("data set", "cut in half")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", TRAINING_READERS, ids=lambda reader: reader.name)
def test_what_is_not_the_file_is_refused(reader: Reader, kind: str, tmp_path: Path) -> None:
    path = reader.make(tmp_path)
    KINDS[kind](path, path.read_bytes())
    if (reader.name, kind) in STILL_GOOD:
        read_or_refuse(reader, path)
        return
    text = refused(reader, path)
    if kind == "Git LFS pointer" and reader.name not in SAY_LESS:
        assert "Git LFS pointer" in text


SAY_LESS = ("annotations", "camera of a data set", "table of a data set")


@pytest.mark.parametrize("reader", TRAINING_READERS, ids=lambda reader: reader.name)
def test_the_good_file_is_read(reader: Reader, tmp_path: Path) -> None:
    reader.read(reader.make(tmp_path))


def test_wrong_types_and_huge_numbers(tmp_path: Path) -> None:
    (reader,) = (reader for reader in TRAINING_READERS if reader.text)
    path = reader.make(tmp_path)
    for text in changed_leaves(path.read_text(), reader.text):
        path.write_text(text)
        read_or_refuse(reader, path)


def test_a_tensor_that_is_much_larger_than_its_file(tmp_path: Path) -> None:
    """A stride of 0 makes any number of values of one."""
    torch.save({"weight": torch.zeros(1, dtype=torch.half).expand(1 << 33)}, tmp_path / "x.pth")
    with at_once(), pytest.raises(CheckpointError, match="its tensors would take 16384 MB"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("kind", ["missing", "folder", "named pipe", "device", "Git LFS pointer"])
def test_the_first_bytes_are_checked_alike(kind: str, tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "x.pth")
    check_checkpoint_file(tmp_path / "x.pth")
    KINDS[kind](tmp_path / "x.pth", b"")
    with at_once(), pytest.raises(Exception, match=r"x\.pth") as caught:
        check_checkpoint_file(tmp_path / "x.pth")
    assert type(caught.value).__name__ == "ModelError"
