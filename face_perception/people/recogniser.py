"""Recognises enrolled persons among faces: a margin over the runner-up, and votes over time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from face_perception.faces import id_expired
from face_perception.people.enrolled_store import EnrolledPerson
from face_perception.people.face_templates import Template
from face_perception.settings import check, setting
from face_perception.types import Recognition

# Nearest looks of a person to which the distance of a face is the mean.
_NEAREST = 3
_WINDOW = 5  # looks that vote
_TO_NAME = 3  # votes of these that name a person
_TO_KEEP = 2  # votes of these that keep the name
# The probability that a face at a distance is the person: logistic, with this distance for one
# half, and this width. Fitted to 112 press photographs of enrolled people and 615 of strangers, the
# latter at the nearest of 112 people (the pictures of bench/recognition.py).
_HALF, _WIDTH = 0.535, 0.018
_EARLY_INTERVAL = 0.25  # seconds between the first looks at a face

NOBODY_ENROLLED = "nobody is enrolled"
LOOKING = "still looking"
STRANGER = "like nobody who is enrolled"


@dataclass(frozen=True)
class RecognitionSettings:
    """Settings of the recognition of enrolled persons.

    >>> Recogniser(RecognitionSettings(max_distance=0.45)).due(0.0, ["face_1"])
    ['face_1']
    """

    max_distance: float = setting(
        0.5,
        "Largest distance between the template of a face and those of an enrolled person. A "
        "smaller value names strangers less often, and misses enrolled people more often.",
        minimum=0.1,
        maximum=1.0,
        dynamic=True,
    )
    margin: float = setting(
        0.1,
        "The nearest enrolled person must be nearer than the second nearest by this distance.",
        minimum=0.0,
        maximum=0.5,
        dynamic=True,
    )
    look_interval: float = setting(
        1.0,
        "Time between two looks at a face. The first looks follow each other faster.",
        minimum=0.1,
        maximum=60.0,
        unit="s",
        dynamic=True,
    )


@dataclass(frozen=True, slots=True)
class ChangeOfMind:
    """A face that gets another name: ``before`` and ``after`` are person ids, empty for unknown."""

    face_id: str
    before: str
    after: str
    why: str


@dataclass(frozen=True, slots=True)
class _Vote:
    person_id: str  # empty: like nobody, or between two
    distance: float  # to the nearest person
    why: str


@dataclass(slots=True)
class _Track:
    seen: float
    looked: float = -math.inf
    problem: str = ""
    votes: deque[_Vote] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    person_id: str = ""

    def count(self, person_id: str) -> int:
        return sum(vote.person_id == person_id for vote in self.votes)

    def distance(self, person_id: str) -> float:
        found = [vote.distance for vote in self.votes if vote.person_id == person_id]
        return float(np.mean(found)) if found else math.inf

    def confidence(self) -> float:
        """Returns the mean probability of the votes for the person; other votes count as 0."""
        if not self.person_id or not self.votes:
            return 0.0
        ours = [vote for vote in self.votes if vote.person_id == self.person_id]
        return sum(probability(vote.distance) for vote in ours) / len(self.votes)


class Recogniser:
    """Names the faces of enrolled persons. ``unknown`` (an empty person id) is the normal answer.

    Call ``due`` for an image, and ``take`` with the templates of the faces that are due. A face is
    named after three votes of its last five looks, and keeps the name while two of them are for it.
    Raises InputError if a setting is out of range.

    >>> recogniser = Recogniser(RecognitionSettings())
    >>> recogniser.due(0.0, ["face_1"])
    ['face_1']
    >>> found, changes = recogniser.take(0.0, ["face_1"], {}, {"face_1": "blurred"})
    >>> found[0].person_id, found[0].reason
    ('', 'nobody is enrolled')
    """

    def __init__(self, settings: RecognitionSettings) -> None:
        self.change_settings(settings)
        self._persons: dict[str, Template] = {}
        self._tracks: dict[str, _Track] = {}

    def change_settings(self, settings: RecognitionSettings) -> None:
        """Changes the settings. Raises InputError if one is out of range; then nothing changes."""
        check(settings)
        self._settings = settings

    def set_persons(self, persons: Sequence[EnrolledPerson]) -> None:
        """Sets whom to recognise. The votes of all faces begin again if this is a change."""
        found = {person.person_id: person.templates for person in persons}
        same = found.keys() == self._persons.keys() and all(
            np.array_equal(found[name], self._persons[name]) for name in found
        )
        if same:
            return
        self._persons = found
        for track in self._tracks.values():
            track.votes.clear()
            track.looked = -math.inf

    def reset(self) -> None:
        """Forgets all faces. The persons stay."""
        self._tracks.clear()

    def due(self, stamp: float, face_ids: Sequence[str]) -> list[str]:
        """Returns the faces of an image at which to look now. ``stamp`` is in seconds."""
        return [face_id for face_id in face_ids if self._is_due(stamp, face_id)]

    def _is_due(self, stamp: float, face_id: str) -> bool:
        track = self._tracks.get(face_id)
        if track is None or id_expired(track.seen, stamp):
            return True
        wait = self._settings.look_interval
        if len(track.votes) < _WINDOW:
            wait = min(wait, _EARLY_INTERVAL)
        return stamp - track.looked >= wait

    def take(
        self,
        stamp: float,
        face_ids: Sequence[str],
        templates: Mapping[str, Template],
        problems: Mapping[str, str],
    ) -> tuple[list[Recognition], list[ChangeOfMind]]:
        """Returns who the faces of an image are, and which of them have another name now.

        ``templates`` [128] are those of the faces with a good look, ``problems`` the reasons why
        other looks were not good. Images must come in order of time; if stamps go back, all faces
        begin again.
        """
        for face_id, track in list(self._tracks.items()):
            if id_expired(track.seen, stamp):
                del self._tracks[face_id]
        for face_id in face_ids:
            track = self._tracks.setdefault(face_id, _Track(stamp))
            track.seen = stamp
            if face_id in problems:
                track.problem, track.looked = problems[face_id], stamp
            if face_id in templates:
                track.problem, track.looked = "", stamp
                if self._persons:
                    track.votes.append(self._vote(templates[face_id]))
        here = {face_id: self._tracks[face_id] for face_id in face_ids}
        wanted = {face_id: self._decide(track) for face_id, track in here.items()}
        doubles = self._settle_doubles(here, wanted)
        changes = []
        for face_id, track in here.items():
            before, track.person_id = track.person_id, wanted[face_id]
            if before != track.person_id:
                why = doubles.get(face_id) or self._why(track)
                changes.append(ChangeOfMind(face_id, before, track.person_id, why))
        return [
            Recognition(
                face_id,
                track.person_id,
                track.confidence(),
                "" if track.person_id else doubles.get(face_id) or self._why(track),
            )
            for face_id, track in here.items()
        ], changes

    def _vote(self, template: Template) -> _Vote:
        distances = person_distances(self._persons, template)
        nearest, *others = sorted(distances, key=distances.__getitem__)
        distance = distances[nearest]
        if distance > self._settings.max_distance:
            return _Vote("", distance, STRANGER)
        if others and distances[others[0]] - distance < self._settings.margin:
            return _Vote("", distance, f"like {nearest} and like {others[0]}")
        return _Vote(nearest, distance, "")

    def _decide(self, track: _Track) -> str:
        """Returns the person that the votes name; empty for unknown."""
        named = {vote.person_id for vote in track.votes} - {""}
        best = max(named, key=lambda name: (track.count(name), name), default="")
        if best and best != track.person_id and track.count(best) >= _TO_NAME:
            return best
        # Without votes, which begin again after an enrolment, the name stays.
        kept = not track.votes or track.count(track.person_id) >= min(_TO_KEEP, len(track.votes))
        return track.person_id if kept and track.person_id in self._persons else ""

    def _settle_doubles(self, here: Mapping[str, _Track], wanted: dict[str, str]) -> dict[str, str]:
        """Leaves each name to one face, the nearest, or to none; returns why others lost it."""
        reasons = {}
        for name in {*wanted.values()} - {""}:
            faces = [face_id for face_id, person_id in wanted.items() if person_id == name]
            if len(faces) < 2:
                continue
            first, second, *_ = sorted(faces, key=lambda face_id: here[face_id].distance(name))
            clear = here[second].distance(name) - here[first].distance(name)
            for face_id in faces:
                if face_id != first or not clear >= self._settings.margin:
                    wanted[face_id] = ""
                    reasons[face_id] = f"{len(faces)} faces look like {name}"
        return reasons

    def _why(self, track: _Track) -> str:
        """Returns why a face is unknown, or how it was recognised."""
        if track.person_id:
            return (
                f"{track.count(track.person_id)} of {len(track.votes)} looks, distance "
                f"{track.distance(track.person_id):.2f}"
            )
        if not self._persons:
            return NOBODY_ENROLLED
        if track.problem:
            return track.problem
        if len(track.votes) < _TO_NAME:
            return LOOKING
        return next((v.why for v in reversed(track.votes) if v.why), LOOKING)


def person_distances(persons: Mapping[str, Template], template: Template) -> dict[str, float]:
    """Returns the distance of a template [128] to each person's templates [K, 128].

    That is the mean distance to the nearest three of them.
    """
    return {
        person_id: float(np.sort(np.linalg.norm(looks - template, axis=1))[:_NEAREST].mean())
        for person_id, looks in persons.items()
    }


def probability(distance: float) -> float:
    """Returns the probability that a face at a distance is the person."""
    return 1 / (1 + math.exp((distance - _HALF) / _WIDTH))
