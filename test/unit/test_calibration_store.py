"""Tests the store of calibrations: files, migration, damage, and calibrations of linked faces."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gaze_scene import CAMERA, Actor, run

from face_perception.gaze import GeometricGaze, normalized_camera_rotation, to_normalized_angles
from face_perception.gaze.eyelids import LidCue
from face_perception.gaze_probability import GazeErrorModel
from face_perception.people import (
    Calibration,
    CalibrationRefused,
    CalibrationSession,
    CalibrationStore,
    Correction,
    PersonRegistry,
    proposed_targets,
)
from face_perception.people.calibration_store import FILE_VERSION

DEG = math.radians(1)

CALIBRATION = Calibration(
    estimator="scripted",
    revision="1",
    correction=Correction(
        bias_yaw=0.05,
        bias_pitch=-0.03,
        gain_yaw=1.1,
        gain_pitch=2.2,
        lid_gain=2.0,
        lids=LidCue(0.16, -0.08, 0.55),
        slope_pitch=0.8,
        slope_pitch_sigma=0.3,
    ),
    spread=0.02,
    expected_residual=0.03,
    samples=30,
    targets=1,
    made=1.7e9,
)

REVISIONS = {CALIBRATION.estimator: CALIBRATION.revision}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> CalibrationStore:
    return CalibrationStore(tmp_path / "people", said.append)


def test_calibrations_are_kept_for_their_owner_alone(store: CalibrationStore) -> None:
    other = dataclasses.replace(CALIBRATION, estimator="geddnet", revision="abc")
    previous = os.umask(0)
    try:
        store.put("Anna", CALIBRATION)
        store.put("Anna", other)
        store.put("../bert/ß%", CALIBRATION)
    finally:
        os.umask(previous)
    again = CalibrationStore(store.folder)
    assert again.get("Anna") == {"scripted": CALIBRATION, "geddnet": other}
    assert list(again.load_all()) == ["../bert/ß%", "Anna"]
    files = list(store.folder.glob("*.json"))
    assert len(files) == 2
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert again.delete("Anna", "geddnet") == 1
    assert list(again.get("Anna")) == ["scripted"]
    assert again.delete("Anna") == 1
    assert again.delete("Anna") == 0
    assert list(again.load_all()) == ["../bert/ß%"]


def test_a_file_says_all_of_a_calibration_in_plain_numbers(store: CalibrationStore) -> None:
    store.put("anna", CALIBRATION)
    (path,) = store.folder.glob("anna*.json")
    text = path.read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    content = json.loads(text)
    assert content["version"] == FILE_VERSION
    (entry,) = content["calibrations"]
    assert entry["correction"]["gain_pitch"] == 2.2
    assert entry["correction"]["lids"] == {"upper": 0.16, "lower": -0.08, "brow": 0.55}
    assert CalibrationStore(store.folder).get("anna") == {"scripted": CALIBRATION}
    # One calibration without lids, and one that was fitted.
    plain = dataclasses.replace(CALIBRATION, correction=Correction(0.01, 0.02))
    store.put("anna", plain)
    assert store.get("anna") == {"scripted": plain}


def test_what_no_calibration_can_be() -> None:
    for change in ({"lids": LidCue()}, {"sigma_yaw": math.nan}, {"gain_yaw": 50.0}):
        with pytest.raises(ValueError, match=r"upper|sigma_yaw|gain_yaw"):
            dataclasses.replace(
                CALIBRATION, correction=dataclasses.replace(CALIBRATION.correction, **change)
            )


def write_version_1(store: CalibrationStore, estimator: str, revision: str) -> None:
    """Writes a file of version 1, in which a calibration was a bias only."""
    store.put("anna", CALIBRATION)  # creates the file under its name
    (path,) = store.folder.glob("anna*.json")
    entry = {
        "estimator": estimator,
        "revision": revision,
        "bias_yaw": 0.05,
        "bias_pitch": -0.03,
        "spread": 0.01,
        "expected_residual": 0.0105,
        "samples": 30,
        "targets": 1,
        "made": 1.7e9,
    }
    content = {"version": 1, "person_id": "anna", "calibrations": [entry]}
    path.write_text(json.dumps(content))


def test_a_file_of_version_2_stated_the_error_of_the_gain(store: CalibrationStore) -> None:
    store.put("anna", CALIBRATION)
    (path,) = store.folder.glob("*.json")
    content = json.loads(path.read_text())
    content["version"] = 2
    old = content["calibrations"][0]["correction"]
    for axis in ("yaw", "pitch"):
        del old[f"slope_{axis}"]
        old[f"gain_{axis}_sigma"] = old.pop(f"slope_{axis}_sigma")
    path.write_text(json.dumps(content))
    read = store.get("anna")[CALIBRATION.estimator].correction
    assert (read.slope_pitch, read.slope_pitch_sigma) == (1.0, pytest.approx(0.3 / 2.2))
    assert read.gain_pitch == CALIBRATION.correction.gain_pitch


def test_a_bias_of_a_file_of_version_1_has_gain_1(store: CalibrationStore, said: list[str]) -> None:
    """The weights of a network are the same, so its calibration is applied unchanged."""
    write_version_1(store, "scripted", "1")
    made = store.get("anna")["scripted"].correction
    assert (made.bias_yaw, made.bias_pitch) == (0.05, -0.03)
    assert (made.gain_yaw, made.gain_pitch, made.lid_gain) == (1.0, 1.0, 0.0)
    people = PersonRegistry(store, REVISIONS)
    assert people.link("face_1", "anna")
    seen = looks(people, Actor("face_1", bias=(0.05, -0.03)))
    assert seen.calibrated
    assert off(seen) < 0.1
    # The next calibration is written in the new form, and so are the others of the file.
    other = dataclasses.replace(CALIBRATION, estimator="geddnet")
    store.put("anna", other)
    assert store.get("anna")["scripted"].correction == made
    assert said == []


def test_a_bias_of_the_geometric_estimator_before_its_new_radius_is_not_applied(
    store: CalibrationStore, said: list[str]
) -> None:
    geometric = GeometricGaze()
    write_version_1(store, geometric.name, "1")
    people = PersonRegistry(
        store, {geometric.name: geometric.revision}, priors={geometric.name: geometric.prior}
    )
    assert not people.link("face_1", "anna")
    assert not looks(people, Actor("face_1", source=geometric.name)).calibrated
    (text,) = said
    assert "anna's calibration for geometric is not applied: it was made with revision 1" in text
    assert "calibrate again" in text


@pytest.mark.parametrize("person", ["", "  ", "a\nb", "x" * 201, "\ud800"])
def test_ids_that_are_no_names(store: CalibrationStore, person: str) -> None:
    for call in (store.get, store.delete, lambda p: store.put(p, CALIBRATION)):
        with pytest.raises(ValueError, match="person_id"):
            call(person)


def spoil(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    def spoiled(data: bytes) -> bytes:
        content = json.loads(data)
        change(content)
        return json.dumps(content).encode()

    return spoiled


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff\x00" + data,
        lambda data: b"[" * 100_000,
        lambda data: b"[]",
        spoil(lambda c: c.pop("person_id")),
        spoil(lambda c: c.update(person_id="bert")),
        spoil(lambda c: c["calibrations"][0].pop("correction")),
        spoil(lambda c: c["calibrations"][0]["correction"].update(bias_yaw="much")),
        spoil(lambda c: c["calibrations"][0]["correction"].update(bias_yaw=math.inf)),
        spoil(lambda c: c["calibrations"][0]["correction"].update(bias_yaw=40.0)),
        spoil(lambda c: c["calibrations"][0]["correction"].update(gain_pitch=0.0)),
        spoil(lambda c: c["calibrations"][0]["correction"].update(slope_pitch_sigma=-1.0)),
        spoil(lambda c: c["calibrations"][0]["correction"].update(slope_pitch=0.0)),
        spoil(lambda c: c["calibrations"][0]["correction"].update(lid_gain=-2.0)),
        spoil(lambda c: c["calibrations"][0]["correction"]["lids"].update(upper=None)),
        spoil(lambda c: c["calibrations"][0].update(extra=1)),
        spoil(lambda c: c["calibrations"][0].update(samples=-1)),
        spoil(lambda c: c["calibrations"][0].update(made=1e20)),
        spoil(lambda c: c["calibrations"].append(None)),
    ],
)
def test_damaged_files_are_set_aside_and_named(
    store: CalibrationStore, said: list[str], damage: Callable[[bytes], bytes]
) -> None:
    store.put("anna", CALIBRATION)
    store.put("carl", CALIBRATION)
    (path,) = store.folder.glob("anna*.json")
    path.write_bytes(damage(path.read_bytes()))
    assert list(store.load_all()) == ["carl"]
    assert len(said) == 1
    assert f"{path} is damaged" in said[0]
    assert path.with_name(path.name + ".damaged").exists()
    assert store.get("anna") == {}
    store.put("anna", CALIBRATION)
    assert list(store.load_all()) == ["anna", "carl"]
    # The damaged file still holds the person's numbers.
    assert store.delete("anna") == 2
    assert list(store.folder.glob("anna*")) == []
    assert store.delete("anna") == 0


def test_what_an_interrupted_writing_left_is_deleted(store: CalibrationStore) -> None:
    store.put("anna", CALIBRATION)
    (path,) = store.folder.glob("anna*.json")
    part = path.with_name(f"{path.name}.123.part")
    part.write_bytes(path.read_bytes())
    assert store.delete("anna") == 1
    assert list(store.folder.glob("anna*")) == []
    part.write_text("{")
    assert store.delete("anna") == 0
    assert list(store.folder.glob("anna*")) == []


@pytest.mark.parametrize("estimator", ["", "scripted"])
def test_what_is_damaged_can_be_deleted(
    store: CalibrationStore, said: list[str], estimator: str
) -> None:
    """Deletes before anything else has read the file, and after."""
    for read in (False, True):
        store.put("anna", CALIBRATION)
        (path,) = store.folder.glob("anna*.json")
        path.write_bytes(path.read_bytes()[:-20])
        if read:
            assert store.get("anna") == {}
        assert store.delete("anna", estimator) == 1
        assert list(store.folder.glob("anna*")) == []
    assert len(said) == 1, "nothing is said of a file that is deleted as it should be"


def test_other_estimators_stay_when_one_is_deleted_after_damage(store: CalibrationStore) -> None:
    store.put("anna", CALIBRATION)
    (path,) = store.folder.glob("anna*.json")
    path.write_bytes(b"{")
    assert store.get("anna") == {}
    other = dataclasses.replace(CALIBRATION, estimator="geddnet")
    store.put("anna", other)
    assert store.delete("anna", "scripted") == 1, "what was damaged"
    assert store.get("anna") == {"geddnet": other}
    assert [file.suffix for file in store.folder.glob("anna*")] == [".json"]


def test_files_of_a_later_version_are_left_alone(store: CalibrationStore, said: list[str]) -> None:
    store.put("anna", CALIBRATION)
    (path,) = store.folder.glob("anna*.json")
    path.write_bytes(spoil(lambda c: c.update(version=FILE_VERSION + 1))(path.read_bytes()))
    for call in (store.get, store.delete, lambda p: store.put(p, CALIBRATION)):
        with pytest.raises(OSError, match="newer face_perception"):
            call("anna")
    assert store.load_all() == {}
    assert "newer" in said[0]
    assert path.exists()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file is in place of the folder, because tests may run as root, who may write anywhere."""
    (tmp_path / "people").write_text("")
    for folder in (tmp_path / "people", tmp_path / "people" / "more"):
        store = CalibrationStore(folder)
        for call in (
            lambda s: s.put("anna", CALIBRATION),
            lambda s: s.get("anna"),
            lambda s: s.load_all(),
            lambda s: s.check_writable(),
        ):
            with pytest.raises(OSError, match=rf"^{folder} is not a folder: .*--people"):
                call(store)


def test_asking_whether_it_can_be_written_writes_nothing(store: CalibrationStore) -> None:
    store.check_writable()
    assert not store.folder.exists()
    store.put("anna", CALIBRATION)
    store.check_writable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write anywhere")
def test_a_folder_of_somebody_else(store: CalibrationStore) -> None:
    store.put("anna", CALIBRATION)
    store.folder.chmod(0)
    try:
        for call in (store.check_writable, store.load_all):
            with pytest.raises(OSError, match=r"people cannot be .*Permission denied.*--people"):
                call()
    finally:
        store.folder.chmod(0o700)


def test_writers_at_once_lose_nothing(store: CalibrationStore) -> None:
    def write(number: int) -> None:
        mine = dataclasses.replace(CALIBRATION, estimator=f"estimator_{number}")
        CalibrationStore(store.folder).put("anna", mine)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.get("anna")) == 8


def looks(people: PersonRegistry, actor: Actor, stamp: float = 0.0):
    face, gaze = actor.face(stamp), actor.gaze(stamp)
    (out,) = people.update(stamp, CAMERA, [face], [gaze])
    return out


def off(gaze) -> float:
    line = -gaze.origin / np.linalg.norm(gaze.origin)
    return math.degrees(math.acos(min(1.0, float(line @ gaze.direction))))


def test_a_linked_face_is_calibrated_until_it_is_lost(store: CalibrationStore) -> None:
    people = PersonRegistry(store, REVISIONS)
    anna = Actor("face_1", bias=(3 * DEG, -2 * DEG))
    session = CalibrationSession("face_1")
    people.begin_session(session)
    with pytest.raises(ValueError, match="face_1 is being calibrated already"):
        people.begin_session(CalibrationSession("face_1"))
    run(session, anna, people=people)
    people.finish_session(session, "anna")
    after = looks(people, anna, 4.5)
    assert (after.person_id, after.calibrated) == ("anna", True)
    assert off(after) < 0.2
    # The bias is the same elsewhere in the image, with a tilted head, and in another process.
    again = PersonRegistry(CalibrationStore(store.folder), REVISIONS)
    moved = Actor("face_5", at=(0.4, 0.2, 1.0), roll=0.3, bias=(3 * DEG, -2 * DEG))
    before = looks(again, moved)
    assert not before.calibrated
    assert off(before) > 3
    assert again.link("face_5", "anna")
    assert off(looks(again, moved, 0.1)) < 0.2
    for k in range(30):
        again.update(0.2 + k * 0.1, CAMERA, [], [])
    assert again.linked_persons() == {}
    assert not looks(again, moved, 4.0).calibrated


def test_a_bias_belongs_to_a_person_and_an_estimator(
    store: CalibrationStore, said: list[str]
) -> None:
    store.put("anna", CALIBRATION)
    people = PersonRegistry(store, REVISIONS)
    assert people.link("face_1", "anna")
    actor = Actor("face_1")
    assert looks(people, actor).calibrated
    other = dataclasses.replace(actor, source="geddnet")
    gaze = looks(people, other, 0.1)
    assert (gaze.person_id, gaze.calibrated) == ("anna", False)
    # The person is not calibrated for the network in use.
    assert not PersonRegistry(store, {"geddnet": "sha"}).link("face_1", "anna")
    assert said == []
    # Another revision under the same name.
    revised = PersonRegistry(store, {"scripted": "2"})
    assert not revised.link("face_1", "anna")
    assert not looks(revised, actor).calibrated
    assert len(said) == 1
    for part in ("anna's calibration for scripted is not applied", "revision 1", "calibrate again"):
        assert part in said[0]


def test_links_are_one_to_one_and_can_be_undone(store: CalibrationStore) -> None:
    store.put("anna", CALIBRATION)
    people = PersonRegistry(store, REVISIONS)
    people.link("face_1", "anna")
    people.link("face_2", "anna")
    assert people.linked_persons() == {"face_2": "anna"}
    assert not people.link("face_2", "bert")
    assert people.linked_persons() == {"face_2": "bert"}
    people.link("face_2", "")
    assert people.linked_persons() == {}
    with pytest.raises(ValueError, match="face_id is empty"):
        people.link("", "anna")
    with pytest.raises(ValueError, match="person_id"):
        people.link("face_1", " ")


def test_a_recognised_face_is_linked_while_it_is_recognised(store: CalibrationStore) -> None:
    store.put("anna", CALIBRATION)
    people = PersonRegistry(store, REVISIONS)
    stamps = itertools.count()

    def show(**persons: str) -> dict[str, tuple[str, bool]]:
        t = 0.1 * next(stamps)
        actors = {face_id: Actor(face_id) for face_id in persons}
        faces = [
            dataclasses.replace(actor.face(t), person_id=persons[face_id])
            for face_id, actor in actors.items()
        ]
        gazes = [actor.gaze(t) for actor in actors.values()]
        found = people.update(t, CAMERA, faces, gazes)
        return {gaze.face_id: (gaze.person_id, gaze.calibrated) for gaze in found}

    assert show(face_1="", face_2="") == {"face_1": ("", False), "face_2": ("", False)}
    assert show(face_1="anna", face_2="") == {"face_1": ("anna", True), "face_2": ("", False)}
    assert not people.follows_links
    # A change of mind, in both directions.
    assert show(face_1="bert", face_2="anna") == {
        "face_1": ("bert", False),
        "face_2": ("anna", True),
    }
    assert show(face_1="", face_2="anna") == {"face_1": ("", False), "face_2": ("anna", True)}
    # What somebody says has priority, for the face and for the person.
    people.link("face_1", "anna")
    assert people.follows_links
    assert show(face_1="bert", face_2="anna") == {"face_1": ("anna", True), "face_2": ("", False)}
    people.link("face_1", "")
    assert show(face_1="bert", face_2="anna") == {
        "face_1": ("bert", False),
        "face_2": ("anna", True),
    }


def test_what_others_store_and_delete_is_seen(store: CalibrationStore) -> None:
    people = PersonRegistry(store, REVISIONS)
    people.link("face_1", "anna")
    assert not looks(people, Actor("face_1")).calibrated
    CalibrationStore(store.folder).put("anna", CALIBRATION)
    people.refresh()
    assert looks(people, Actor("face_1"), 0.1).calibrated
    CalibrationStore(store.folder).delete("anna")
    people.refresh()
    assert not looks(people, Actor("face_1"), 0.2).calibrated


def test_a_file_that_cannot_be_read_keeps_nobody_else_from_being_seen(
    store: CalibrationStore,
) -> None:
    people = PersonRegistry(store, REVISIONS)
    actors = [Actor("face_1"), Actor("face_2", at=(0.3, 0.0, 1.0))]
    store.put("anna", CALIBRATION)
    people.link("face_1", "anna")
    people.link("face_2", "bert")

    def calibrated(stamp: float) -> list[bool]:
        seen = [a.face(stamp) for a in actors], [a.gaze(stamp) for a in actors]
        return [gaze.calibrated for gaze in people.update(stamp, CAMERA, *seen)]

    assert calibrated(0.0) == [True, False]
    (path,) = store.folder.glob("anna*.json")
    whole = path.read_bytes()
    path.write_bytes(spoil(lambda c: c.update(version=FILE_VERSION + 1))(whole))
    store.put("bert", CALIBRATION)
    with pytest.raises(OSError, match=r"anna.*newer face_perception"):
        people.refresh()
    assert calibrated(0.1) == [True, True]
    # The file was not read, so it is tried again although nothing has changed since.
    with pytest.raises(OSError, match=r"anna.*newer face_perception"):
        people.refresh()
    path.write_bytes(whole)
    people.refresh()
    store.delete("anna")
    people.refresh()
    assert calibrated(0.2) == [False, True]


def test_a_refused_calibration_changes_nothing(store: CalibrationStore) -> None:
    store.put("anna", CALIBRATION)
    people = PersonRegistry(store, REVISIONS)
    session = CalibrationSession("face_1", seconds=2)
    people.begin_session(session)
    run(session, Actor("face_1", blinks=lambda t: True), people=people)
    with pytest.raises(CalibrationRefused):
        people.finish_session(session, "anna")
    assert store.get("anna") == {"scripted": CALIBRATION}
    assert people.linked_persons() == {}
    people.begin_session(CalibrationSession("face_1"))


def test_gain_and_error_of_a_linked_person(store: CalibrationStore) -> None:
    """Calibrates with five targets image by image, through a file, and checks another look."""
    prior = {"scripted": GeometricGaze.prior}
    people = PersonRegistry(store, REVISIONS, priors=prior)
    session = CalibrationSession("face_1", proposed_targets(5, 0.8), samples=10)

    def looks_at(t: float) -> tuple[float, float, float]:
        x, y, z = session.targets[session.progress().target].locate({}).tolist()
        return x, y, z

    eyes = {"gain": (1.1, 2.3), "bias": (2 * DEG, -4 * DEG)}
    people.begin_session(session)
    run(session, Actor("face_1", at=(0, 0, 0.8), looks_at=looks_at, **eyes), people=people)
    fit = people.finish_session(session, "anna")
    assert fit.targets == 5
    again = PersonRegistry(CalibrationStore(store.folder), REVISIONS, priors=prior)
    again.link("face_5", "anna")
    below = (0.05, 0.12, 0.0)
    actor = Actor("face_5", at=(0.1, 0.0, 0.9), looks_at=lambda t: below, **eyes)
    usual = GeometricGaze.prior
    gaze = dataclasses.replace(
        actor.gaze(0.0),
        yaw_sigma=usual.yaw.sigma,
        pitch_sigma=usual.pitch.sigma,
        yaw_gain=usual.yaw.scale,
        pitch_gain=usual.pitch.scale,
    )
    (seen,) = again.update(0.0, CAMERA, [actor.face(0.0)], [gaze])
    assert seen.calibrated
    line = below - seen.origin
    assert math.acos(line @ seen.direction / np.linalg.norm(line)) < 0.6 * DEG
    rotation = normalized_camera_rotation(CAMERA, actor.face(0.0))
    to_camera = to_normalized_angles(rotation, -seen.origin / np.linalg.norm(seen.origin))
    assert GazeErrorModel.from_gaze(seen) == fit.correction.error.shifted_by(*to_camera)
    # The part of the error that comes from small eyes or a turned head stays.
    worse = dataclasses.replace(gaze, yaw_sigma=math.hypot(usual.yaw.sigma, 4 * DEG))
    (wider,) = again.update(0.1, CAMERA, [actor.face(0.1)], [worse])
    assert wider.yaw_sigma == pytest.approx(math.hypot(seen.yaw_sigma, 4 * DEG))
