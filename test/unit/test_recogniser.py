"""Tests of recognition and enrolment on made-up templates: points in 128 dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from face_perception.errors import InputError
from face_perception.people import (
    EnrolledPerson,
    EnrolmentRefused,
    EnrolmentSession,
    Recogniser,
    RecognitionSettings,
)
from face_perception.people.enrolment import Look

RNG = np.random.default_rng(11)
# Three people who are 0.85 apart; looks of one person are about 0.25 from its centre.
ANNA, BEN, CLARA = (0.6 * np.eye(128, dtype=np.float32)[k] for k in range(3))


def look_at(centre: np.ndarray, spread: float = 0.25) -> np.ndarray:
    step = RNG.normal(size=128)
    return (centre + spread * step / np.linalg.norm(step)).astype(np.float32)


def enrolled(name: str, centre: np.ndarray) -> EnrolledPerson:
    return EnrolledPerson(name, "net-1", np.stack([look_at(centre) for _ in range(8)]), 0.0)


def between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one + other) / 2


@pytest.fixture
def recogniser() -> Recogniser:
    made = Recogniser(RecognitionSettings())
    made.set_persons([enrolled("anna", ANNA), enrolled("ben", BEN)])
    return made


class Film:
    """Shows faces to a recogniser at 10 Hz, and keeps all it says."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser = recogniser
        self.stamp = 0.0
        self.changes: list[tuple[str, str, str]] = []
        self.looks: list[float] = []
        self.named_at = math.nan
        self.reasons: dict[str, str] = {}
        self.confidence: dict[str, float] = {}

    def show(
        self,
        faces: Mapping[str, np.ndarray],
        seconds: float,
        problems: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Returns the person of each face at the end."""
        found: dict[str, str] = {}
        for _ in range(round(seconds * 10)):
            self.stamp += 0.1
            due = self.recogniser.due(self.stamp, list(faces))
            self.looks += [self.stamp] * len(due)
            bad = {f: why for f, why in (problems or {}).items() if f in due}
            seen = {f: look_at(faces[f]) for f in due if f not in bad}
            recognitions, changes = self.recogniser.take(self.stamp, list(faces), seen, bad)
            self.changes += [(c.face_id, c.before, c.after) for c in changes]
            found = {r.face_id: r.person_id for r in recognitions}
            self.reasons = {r.face_id: r.reason for r in recognitions}
            self.confidence = {r.face_id: r.confidence for r in recognitions}
            if any(found.values()) and math.isnan(self.named_at):
                self.named_at = self.stamp
        return found


def test_enrolled_people_are_named_and_strangers_are_not(recogniser: Recogniser) -> None:
    film = Film(recogniser)
    found = film.show({"face_1": BEN, "face_2": CLARA, "face_3": ANNA}, 4.0)
    assert found == {"face_1": "ben", "face_2": "", "face_3": "anna"}
    assert film.named_at <= 0.8
    assert film.reasons == {"face_1": "", "face_2": "like nobody who is enrolled", "face_3": ""}
    assert film.confidence["face_1"] > 0.9
    assert film.confidence["face_2"] == 0
    assert sorted(film.changes) == [("face_1", "", "ben"), ("face_3", "", "anna")]


def test_a_face_between_two_people_is_nobody(recogniser: Recogniser) -> None:
    film = Film(recogniser)
    film.recogniser.change_settings(RecognitionSettings(max_distance=0.7, margin=0.2))
    assert film.show({"face_1": between(ANNA, BEN)}, 3.0) == {"face_1": ""}
    assert film.reasons["face_1"] in ("like anna and like ben", "like ben and like anna")
    assert film.changes == []


def test_looks_are_once_a_second_after_the_first(recogniser: Recogniser) -> None:
    film = Film(recogniser)
    film.show({"face_1": ANNA}, 10.0)
    assert len([at for at in film.looks if at <= 2.0]) in (5, 6)
    assert len([at for at in film.looks if at > 2.0]) in (7, 8)


def test_a_change_of_mind_is_told(recogniser: Recogniser) -> None:
    """A tracker that gives one id to two people one after the other."""
    film = Film(recogniser)
    assert film.show({"face_1": ANNA}, 4.0) == {"face_1": "anna"}
    assert film.show({"face_1": BEN}, 6.0) == {"face_1": "ben"}
    assert film.show({"face_1": CLARA}, 8.0) == {"face_1": ""}
    names = [after for _, _, after in film.changes]
    assert [name for name in names if name] == ["anna", "ben"]
    assert all(one[2] == two[1] for one, two in zip(film.changes, film.changes[1:], strict=False))
    assert names[-1] == ""


def test_bad_looks_change_nothing(recogniser: Recogniser) -> None:
    film = Film(recogniser)
    film.show({"face_1": ANNA}, 3.0)
    assert film.show({"face_1": BEN}, 9.0, {"face_1": "blurred"}) == {"face_1": "anna"}
    assert film.show({"face_1": ANNA, "face_2": BEN}, 3.0, {"face_2": "too small"}) == {
        "face_1": "anna",
        "face_2": "",
    }
    assert film.reasons["face_2"] == "too small"


def test_two_faces_of_one_person_are_told_apart_or_nobody(recogniser: Recogniser) -> None:
    """Twins, or somebody beside a photograph."""
    film = Film(recogniser)
    assert film.show({"face_1": ANNA, "face_2": ANNA}, 4.0) == {"face_1": "", "face_2": ""}
    assert film.reasons["face_1"] == "2 faces look like anna"
    far = ANNA + 0.35 * np.eye(128, dtype=np.float32)[9]
    assert film.show({"face_1": ANNA, "face_2": far}, 12.0)["face_2"] == ""


def test_a_new_face_with_an_old_id_begins_again(recogniser: Recogniser) -> None:
    film = Film(recogniser)
    film.show({"face_1": ANNA}, 3.0)
    film.show({}, 3.0)
    assert film.show({"face_1": CLARA}, 0.1) == {"face_1": ""}


def test_a_forgotten_person_is_not_named_any_more(recogniser: Recogniser) -> None:
    film = Film(recogniser)
    film.show({"face_1": ANNA}, 3.0)
    recogniser.set_persons([])
    assert film.show({"face_1": ANNA}, 0.1) == {"face_1": ""}
    assert film.reasons["face_1"] == "nobody is enrolled"
    assert film.changes[-1] == ("face_1", "anna", "")


def test_settings_out_of_range_are_refused(recogniser: Recogniser) -> None:
    with pytest.raises(InputError, match=r"max_distance: -0\.5 .*from 0\.1 to 1"):
        Recogniser(RecognitionSettings(max_distance=-0.5))
    with pytest.raises(InputError, match="margin"):
        recogniser.change_settings(RecognitionSettings(margin=math.nan))
    film = Film(recogniser)
    assert film.show({"face_1": ANNA}, 2.0) == {"face_1": "anna"}


# Enrolment.

Looks = Mapping[str, tuple[np.ndarray, float]]


def run(
    session: EnrolmentSession,
    images: Sequence[Looks],
    persons: Sequence[EnrolledPerson] = (),
    problems: Mapping[str, str] | None = None,
    period: float = 0.2,
    start: float = 0.0,
) -> EnrolmentSession:
    """Shows images to a session: by face id the centre of its person, and the yaw of the head."""
    known = {person.person_id: person.templates for person in persons}
    for k, image in enumerate(images):
        looks = {
            face_id: Look(look_at(centre), yaw, 0.0)
            for face_id, (centre, yaw) in image.items()
            if face_id not in (problems or {})
        }
        session.add_image(start + k * period, looks, problems or {}, known)
    return session


def turning(centre: np.ndarray, count: int, face_id: str = "face_1") -> list[Looks]:
    return [{face_id: (centre, 0.1 * k)} for k in range(count)]


def test_varied_looks_are_collected() -> None:
    session = run(EnrolmentSession("face_1", "anna", looks=4), turning(ANNA, 20))
    assert session.finished
    assert session.templates().shape == (4, 128)
    assert session.progress().done == 1


def test_a_still_head_takes_longer() -> None:
    still = run(EnrolmentSession("face_1", "anna", looks=4), [{"face_1": (ANNA, 0.0)}] * 15)
    progress = still.progress()
    assert not still.finished
    assert progress.kept == 3
    assert progress.reasons["head has not moved"] > 5
    assert progress.hint == "turn your head a little"
    with pytest.raises(EnrolmentRefused, match="not complete"):
        still.templates()


@pytest.mark.parametrize(
    ("images", "persons", "options", "said"),
    [
        (turning(ANNA, 3) + [{}] * 20, [], {}, "face_1 was lost: start again"),
        (
            turning(ANNA, 4) + turning(BEN, 9),
            [],
            {"looks": 20},
            "face_1 is another person than before",
        ),
        (
            [{"face_1": (ANNA, 0.0), "face_2": (ANNA, 0.3)}],
            [],
            {},
            r"face_2 looks like the same person \(twins",
        ),
        (turning(ANNA, 9), [enrolled("ben", ANNA)], {}, "this face is enrolled as ben"),
        (
            turning(ANNA, 9),
            [enrolled("anna", CLARA)],
            {},
            "anna is enrolled with another face.*use another name, or forget anna first",
        ),
        (
            turning(ANNA, 40),
            [],
            {"seconds": 3.0, "looks": 20},
            r"only \d+ of 20 good looks in 3 s",
        ),
    ],
)
def test_a_doubtful_enrolment_is_refused(
    images: Sequence[Looks],
    persons: Sequence[EnrolledPerson],
    options: Mapping[str, float],
    said: str,
) -> None:
    session = run(EnrolmentSession("face_1", "anna", **options), images, persons)  # type: ignore[arg-type]
    assert session.finished
    with pytest.raises(EnrolmentRefused, match=said):
        session.templates()


def test_the_reasons_of_bad_looks_are_counted_and_named() -> None:
    session = EnrolmentSession("face_1", "anna", seconds=2.0)
    run(session, [{"face_1": (ANNA, 0.0)}] * 12, problems={"face_1": "blurred"})
    assert session.progress().reasons == {"blurred": 11}
    assert session.progress().hint == "hold still"
    with pytest.raises(EnrolmentRefused, match="only 0 of 8 good looks in 2 s; not kept: 11"):
        session.templates()


def test_somebody_who_walks_past_does_not_matter() -> None:
    images = [{**image, "face_9": (BEN, 0.0)} for image in turning(ANNA, 20)]
    assert run(EnrolmentSession("face_1", "anna"), images).templates().shape == (8, 128)


def test_an_enrolment_goes_on_when_stamps_go_back() -> None:
    """A bag that loops."""
    session = EnrolmentSession("face_1", "anna", looks=6)
    run(session, turning(ANNA, 9), start=100.0)
    kept = session.progress().kept
    assert 0 < kept < 6
    run(session, turning(ANNA, 15))
    assert session.finished
    assert session.templates().shape == (6, 128)


def test_an_enrolled_person_may_be_enrolled_again() -> None:
    session = run(EnrolmentSession("face_1", "anna"), turning(ANNA, 20), [enrolled("anna", ANNA)])
    assert session.templates().shape == (8, 128)


@pytest.mark.parametrize(
    ("face", "person", "options", "said"),
    [
        ("", "anna", {}, "face_id is empty"),
        ("face_1", "", {}, "person_id is empty"),
        ("face_1", "a\nb", {}, "printable"),
        ("face_1", "anna", {"looks": 2}, "looks must be 3 to 24"),
        ("face_1", "anna", {"seconds": math.nan}, "seconds must be 1 to 600"),
        ("face_1", "anna", {"seconds": -1.0}, "seconds must be 1 to 600"),
    ],
)
def test_bad_requests(face: str, person: str, options: Mapping[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        EnrolmentSession(face, person, **options)  # type: ignore[arg-type]
