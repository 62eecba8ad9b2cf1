"""Tests of `face-perception persons`, which lists and forgets enrolled persons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from face_perception import cli
from face_perception.people import EnrolledPerson, EnrolledStore, enrolled_dir

LOOKS = np.random.default_rng(11).normal(0, 0.1, (3, 128)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnrolledStore:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    made = EnrolledStore()
    assert made.folder == enrolled_dir() == tmp_path / "face_perception" / "enrolled"
    return made


def test_list_and_forget(store: EnrolledStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["persons", "list"]) == 0
    assert "nobody is enrolled in" in capsys.readouterr().err
    for name in ("anna", "ben", "clara"):
        store.put(EnrolledPerson(name, "net-1", LOOKS, made=1.8e9))
    assert cli.main(["persons", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["anna", "ben", "clara"]
    assert lines[0].startswith("anna: 3 looks, 2027-01-1")
    assert lines[0].endswith("net-1")
    assert cli.main(["persons", "forget", "anna"]) == 0
    assert cli.main(["persons", "forget", "anna"]) == 1
    assert f"anna is not enrolled in {store.folder}" in capsys.readouterr().err
    assert cli.main(["persons", "forget", "--everybody"]) == 0
    assert "forgot 2 persons" in capsys.readouterr().out
    assert not list(store.folder.glob("*.json"))


def test_another_folder_and_a_damaged_file(
    store: EnrolledStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = EnrolledStore(tmp_path / "other")
    other.put(EnrolledPerson("anna", "net-1", LOOKS, made=1.8e9))
    other.file("anna").write_text("{}")
    assert cli.main(["persons", "list", "--folder", str(other.folder)]) == 0
    errors = capsys.readouterr().err
    assert str(other.file("anna")) in errors
    assert "persons forget NAME" in errors
    assert cli.main(["persons", "forget", "anna", "--folder", str(other.folder)]) == 0
    assert not other.file("anna").exists()


@pytest.mark.parametrize("words", [[], ["forget"], ["forget", "anna", "--everybody"]])
def test_a_command_that_is_not_whole(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["persons", *words])
    assert capsys.readouterr().err


def test_forgetting_in_a_wrong_folder_is_not_reported_as_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for name, code, said in (("none", 0, "nobody is enrolled"), ("file", 1, "is not a folder")):
        forget = ["persons", "forget", "--everybody", "--folder", str(tmp_path / name)]
        assert cli.main(forget) == code
        found = capsys.readouterr()
        assert (found.out, said in found.err) == ("", True)


def test_a_name_that_is_none(store: EnrolledStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["persons", "forget", " "]) == 1
    assert "person_id is empty" in capsys.readouterr().err
