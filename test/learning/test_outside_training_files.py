"""Readers of checkpoints and data sets answer every odd file with one type of error, at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from at_once import at_once
from damage import KINDS
from outside_readers import Reader
from refusals import reads_the_good_file, refuses_damage, survives_wrong_values

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("scipy")
pytest.importorskip("safetensors")
from outside_training_readers import STATE, TRAINING_READERS

from face_perception.learning.musetalk.state_dicts import check_checkpoint_file
from face_perception.learning.torch_checkpoint import CheckpointError, read_checkpoint


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", TRAINING_READERS, ids=lambda reader: reader.name)
def test_what_is_not_the_file_is_refused(reader: Reader, kind: str, tmp_path: Path) -> None:
    refuses_damage(reader, kind, tmp_path)


@pytest.mark.parametrize("reader", TRAINING_READERS, ids=lambda reader: reader.name)
def test_the_good_file_is_read(reader: Reader, tmp_path: Path) -> None:
    reads_the_good_file(reader, tmp_path)


@pytest.mark.parametrize(
    "reader", [reader for reader in TRAINING_READERS if reader.text], ids=lambda reader: reader.name
)
def test_wrong_types_and_huge_numbers(reader: Reader, tmp_path: Path) -> None:
    survives_wrong_values(reader, tmp_path)


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
