"""Tests synthetic people with known action units, by the package's own estimates; the set on
disk.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from face_perception.faces import FaceTracker
from face_perception.inference import Model
from face_perception.learning.data.dataset import DatasetError, Writer, read
from face_perception.learning.synthesis import worker_count
from face_perception.learning.synthesis.actor import Actor
from face_perception.learning.synthesis.affect_set import AffectSet, write_affect_set
from face_perception.learning.synthesis.emfacs import CIRCUMPLEX, LABELLED, UNITS, Act, draw_act
from face_perception.learning.synthesis.synthetic_people import synthetic_person
from face_perception.types import EXPRESSIONS, Camera, Frame

REST = Act(np.zeros(len(UNITS)), 0.0, np.zeros(2), np.zeros(3), "neutral", 0.0, 0.0)


@pytest.fixture(scope="module", params=["drawn", "photo"])
def actor(request: pytest.FixtureRequest, face_networks: tuple[Model, Model]) -> Actor:
    person = synthetic_person(3, photo=request.param == "photo")
    return Actor(person, tracker=FaceTracker(*face_networks))


def doing(*units: int) -> Act:
    return dataclasses.replace(REST, units=np.isin(UNITS, units).astype(float))


def points(actor: Actor, moment: Act, tracker: FaceTracker) -> np.ndarray:
    """Returns the landmarks in pixels of what is shown."""
    found = tracker.detect(Frame(actor.show(moment), 0.0, Camera.assume(320, 320)))
    assert len(found) == 1
    return found[0].landmarks[:, :2]


def test_units_move_what_they_should(actor: Actor, tracker: FaceTracker) -> None:
    rest = points(actor, REST, tracker)

    def moved(*units: int) -> np.ndarray:
        return points(actor, doing(*units), tracker) - rest

    def down(of: np.ndarray, *index: int) -> float:
        return float(of[list(index), 1].mean())

    corners, inner, outer = (61, 291), (55, 285), (46, 276)
    # The mesh shows less than the movement of synthetic brows.
    assert down(moved(1), *inner) < -0.4
    assert down(moved(2), *outer) < -0.4
    assert down(moved(4), *inner) > 0.4
    assert down(moved(12), *corners) < -1
    assert down(moved(15), *corners) > 0.7
    wide = moved(20)
    assert wide[291, 0] - wide[61, 0] > 1.5
    parted = moved(25)
    assert parted[14, 1] - parted[13, 1] > 2


def test_cheeks_change_only_their_part(actor: Actor) -> None:
    """AU 6, which the mesh hardly shows. The picture changes only between eyes and mouth."""
    change = np.abs(actor.show(doing(6)).astype(int) - actor.show(REST)).sum(2)
    assert change.max() > 40
    rows = np.flatnonzero(change.max(1) > 40)
    mouth = actor._portrait.anatomy.mouth[1]
    assert rows.max() < mouth + 10


def test_without_pyarrow_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    said = r"needs pyarrow .*pip install '\.\[training\]'"
    with pytest.raises(DatasetError, match=said):
        Writer(tmp_path / "new", name="a", licence="b", made_by="c")
    with pytest.raises(DatasetError, match=said):
        read(tmp_path)
    assert not list(tmp_path.iterdir())


def test_acts_are_as_labelled() -> None:
    random = np.random.default_rng(1)
    acts = {name: [draw_act(random, name) for _ in range(200)] for name in EXPRESSIONS}
    for name, of_one in acts.items():
        middle = np.mean([(a.valence, a.arousal) for a in of_one], axis=0)
        want = np.array(CIRCUMPLEX[name])
        assert np.linalg.norm(middle) < 0.1 or middle @ want > 0, name
        assert set(of_one[0].present()) == set(LABELLED)
    share = {name: np.mean([a.present()[12] for a in of_one]) for name, of_one in acts.items()}
    assert share["happy"] > 0.8
    assert share["angry"] < 0.3
    with pytest.raises(ValueError, match="must be one of"):
        draw_act(random, "bored")


def test_a_set_is_the_same_for_its_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(worker_count, "IMAGES_PER_WORKER", 1)
    settings = AffectSet(people=1, photos=1, samples=4, seed=5)
    folders = [
        write_affect_set(tmp_path / name, settings, workers=workers)
        for name, workers in (("one", 1), ("two", 2))
    ]
    rows = [pq.read_table(folder / "samples.parquet").to_pylist() for folder in folders]
    assert rows[0] == rows[1]
    assert len({row["subject"] for row in rows[0]}) == 2
    for row in rows[0]:
        one, two = ((folder / row["file"]).read_bytes() for folder in folders)
        assert one == two
        known = [row["au_1"] is not None, row["expression"] is not None, row["valence"] is not None]
        assert sum(known) == 1
    with pytest.raises(DatasetError, match="exists"):
        write_affect_set(folders[0], settings)
