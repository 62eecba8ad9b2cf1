"""Tests of the store of enrolled persons: private files, damage, and forgetting."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from face_perception.errors import InputError
from face_perception.people import EnrolledPerson, EnrolledStore

LOOKS = np.random.default_rng(11).normal(0, 0.1, (3, 128)).astype(np.float32)


def person(name: str = "anna", looks: np.ndarray = LOOKS) -> EnrolledPerson:
    return EnrolledPerson(name, "net-1", looks, made=1.8e9)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, warnings: list[str]) -> EnrolledStore:
    return EnrolledStore(tmp_path / "enrolled", warnings.append)


def bytes_of(folder: Path) -> bytes:
    """Returns all that is in a folder: the names of files and their content."""
    return b"".join(
        path.name.encode() + path.read_bytes() for path in folder.rglob("*") if path.is_file()
    )


def traces(looks: np.ndarray) -> list[bytes]:
    """Returns what would betray templates in a file: their bytes, and their numbers as text."""
    numbers = [str(value).encode() for value in looks[:, :8].ravel()]
    return [row.tobytes()[:16] for row in looks] + numbers


def test_a_person_is_kept_with_the_same_bits(store: EnrolledStore) -> None:
    store.put(person())
    store.put(person("Бен Ö/..", LOOKS * 2))
    anna, ben = store.load_all()
    assert (anna.person_id, anna.revision, anna.made) == ("anna", "net-1", 1.8e9)
    assert np.array_equal(anna.templates, LOOKS)
    assert anna.templates.dtype == np.float32
    assert np.array_equal(ben.templates, LOOKS * 2)
    assert store.get("clara") is None


def test_only_the_owner_can_read(store: EnrolledStore) -> None:
    store.put(person())
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in store.files()}
    assert modes == {0o600}


def test_the_files_hold_templates_and_no_more(store: EnrolledStore) -> None:
    store.put(person())
    content = json.loads(store.file("anna").read_text())
    assert content.keys() == {"version", "person_id", "revision", "made", "templates"}
    assert content["version"] == 1


def test_nothing_is_left_of_a_forgotten_person(store: EnrolledStore) -> None:
    store.put(person())
    store.put(person("ben", LOOKS[::-1] + 1))
    # What a process leaves that is killed while it writes.
    store.file("anna").with_name(f"{store.file('anna').name}.123.part").write_bytes(
        store.file("anna").read_bytes()
    )
    kept = os.open(store.file("anna"), os.O_RDONLY)  # somebody has the file open
    assert all(trace in bytes_of(store.folder) for trace in traces(LOOKS)[3:])
    assert store.forget("anna")
    left = bytes_of(store.folder)
    assert not any(trace in left for trace in [*traces(LOOKS), b"anna"])
    assert set(os.read(kept, 1 << 18)) == {0}
    os.close(kept)
    assert [one.person_id for one in store.load_all()] == ["ben"]
    assert not store.forget("anna")


def test_nothing_is_left_of_everybody(store: EnrolledStore, warnings: list[str]) -> None:
    store.put(person())
    store.put(person("ben", LOOKS + 1))
    store.file("ben").write_bytes(store.file("ben").read_bytes()[:-40])  # damaged
    assert store.forget_everybody() == 2
    left = bytes_of(store.folder)
    assert not any(trace in left for trace in [*traces(LOOKS), *traces(LOOKS + 1), b"version"])
    assert store.load_all() == []
    # What a process leaves that is killed while it writes a person for the first time.
    part = store.file("clara").with_name(f"{store.file('clara').name}.123.part")
    part.write_text(json.dumps(LOOKS.tolist()))
    other = store.folder / "notes.txt"
    other.write_text("not a person")
    assert store.forget_everybody() == 0
    assert not part.exists()
    assert other.exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"version": 1', '"version": 2', "newer face_perception"),
        ('"templates": [[', '"templates": [[[', "cannot be read"),
        ('"templates": [[', '"templates": [[1e9, ', "cannot be read"),
        ('"person_id": "anna"', '"person_id": "ben"', "its name is not that of 'ben'"),
        ('"version": 1', '"version": 0', "its version is 0, not 1"),
        ('"revision": "net-1"', '"revision": 7', "revision is not a text"),
        ('"revision": "net-1"', '"revision": "\\u001b[2J"', "revision is not a text"),
        ('"made": 1800000000.0', '"made": NaN', "made is nan"),
        ('{"version"', '["version"', "cannot be read"),
        ('"version"', '"versions"', "version"),
    ],
)
def test_a_damaged_file_is_named_and_never_changed(
    store: EnrolledStore, warnings: list[str], old: str, new: str, said: str
) -> None:
    store.put(person())
    store.put(person("clara", LOOKS + 2))
    path = store.file("anna")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    damaged = path.read_bytes()
    assert [one.person_id for one in store.load_all()] == ["clara"]
    (warning,) = warnings
    assert str(path) in warning
    assert said in warning
    assert "persons forget NAME" in warning
    with pytest.raises(InputError, match="move the file away"):
        store.put(person())
    assert path.read_bytes() == damaged
    assert store.forget("anna")
    store.put(person())
    assert [one.person_id for one in store.load_all()] == ["anna", "clara"]


def test_new_looks_are_added_to_those_of_the_same_network(store: EnrolledStore) -> None:
    store.put(person())
    assert len(store.add_looks(person(looks=LOOKS + 1)).templates) == 6
    (anna,) = store.load_all()
    assert np.array_equal(anna.templates, np.concatenate([LOOKS, LOOKS + 1]))
    many = np.tile(LOOKS, (7, 1))
    assert np.array_equal(store.add_looks(person(looks=many + 2)).templates[:3], LOOKS + 1)
    other = EnrolledPerson("anna", "net-2", LOOKS, made=1.8e9)
    assert store.add_looks(other).templates.shape == (3, 128)


def test_earlier_looks_are_read_under_the_lock(
    store: EnrolledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else somebody who is forgotten between reading and writing would come back."""
    locked: list[bool] = []
    lock, get = store.locked, store.get

    @contextlib.contextmanager
    def noted_lock() -> Iterator[None]:
        with lock():
            locked.append(True)
            yield
            locked.clear()

    def noted_get(person_id: str) -> EnrolledPerson | None:
        assert locked
        return get(person_id)

    monkeypatch.setattr(store, "locked", noted_lock)
    monkeypatch.setattr(store, "get", noted_get)
    store.add_looks(person())
    assert not locked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"person_id": " "}, "person_id is empty"),
        ({"templates": LOOKS[:0]}, "not 1 to 24"),
        ({"templates": LOOKS[:, :64]}, "not 1 to 24"),
        ({"templates": np.full((2, 128), np.nan, np.float32)}, "number of a template"),
        ({"revision": ""}, "revision"),
        ({"made": -1.0}, "made is -1"),
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, object], said: str) -> None:
    values = {"person_id": "anna", "revision": "net-1", "templates": LOOKS, "made": 0.0, **change}
    with pytest.raises(InputError, match=said):
        EnrolledPerson(**values)  # type: ignore[arg-type]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "enrolled").write_text("")
    store = EnrolledStore(tmp_path / "enrolled")
    with pytest.raises(OSError, match="is not a folder: choose another one for enrolled persons"):
        store.put(person())
    with pytest.raises(OSError, match="parameter `folder` of the node people"):
        store.load_all()
