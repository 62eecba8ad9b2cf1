"""Collects good, varied looks at one face, under which a person is then recognised."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from face_perception.errors import FacePerceptionError, InputError, one_line
from face_perception.people.enrolled_store import MOST_LOOKS
from face_perception.people.face_templates import Template
from face_perception.people.person_files import check_person_id
from face_perception.people.recogniser import person_distances

DEFAULT_LOOKS, DEFAULT_SECONDS = 8, 30.0
_FEWEST_LOOKS = 3
_INTERVAL = 0.3  # seconds between two looks that are kept
_VARIED = math.radians(5)  # by which the head must have moved; after _STILL seconds it need not
_STILL = 1.2
_LOST_AFTER = 1.5  # seconds without the face
# By how much farther than ``same`` a person may look from earlier looks, in another light. Of press
# photographs of 112 people, 5 % are farther than 0.53 from the person's own (bench/recognition.py).
_OTHER_LIGHT = 0.1
_MOST_UNLIKE = 3  # looks in a row that are unlike the others, before the enrolment fails

# Reasons why a look is not kept, besides those of ``look_problem``.
FACE_LOST = "face lost"
TOO_SIMILAR = "head has not moved"
UNLIKE = "unlike the other looks"

_HINTS = {
    "too small": "come nearer",
    "turned away": "look at the camera",
    "blurred": "hold still",
    "too dark or too bright": "change the light",
    "partly outside the image": "move to the middle of the image",
    FACE_LOST: "stay in front of the camera",
    TOO_SIMILAR: "turn your head a little",
}


class EnrolmentRefused(FacePerceptionError):
    """Nobody was enrolled. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class EnrolmentProgress:
    """``kept`` looks so far, ``rejected`` ones by reason, ``done`` in [0, 1], and a hint."""

    kept: int
    rejected: int
    reasons: Mapping[str, int]
    done: float
    hint: str


@dataclass(frozen=True, slots=True)
class Look:
    """A good look: ``template`` [128], and ``yaw`` and ``pitch`` of the head, radians."""

    template: Template
    yaw: float
    pitch: float


class EnrolmentSession:
    """Collects looks at ``face_id`` to enrol it as ``person_id``.

    - ``looks``: number of looks to collect, 3 to 24; 0: 8.
    - ``seconds``: longest time; 0: 30 s.
    - ``same``: distance of templates up to which two faces may be one person.

    Raises InputError if a value is out of range.

    >>> session = EnrolmentSession("face_1", "anna")
    >>> session.progress().hint
    'look at the camera'
    """

    def __init__(
        self,
        face_id: str,
        person_id: str,
        *,
        looks: int = 0,
        seconds: float = 0.0,
        same: float = 0.5,
    ) -> None:
        if not face_id:
            raise InputError("face_id is empty: name one of the faces of the topic `faces`")
        check_person_id(person_id)
        looks = looks or DEFAULT_LOOKS
        if not _FEWEST_LOOKS <= looks <= MOST_LOOKS:
            raise InputError(f"looks must be {_FEWEST_LOOKS} to {MOST_LOOKS}, or 0, not {looks}")
        seconds = seconds or DEFAULT_SECONDS
        if not 1 <= seconds <= 600:
            raise InputError(f"seconds must be 1 to 600, or 0, not {seconds:g}")
        self.face_id = face_id
        self.person_id = person_id
        self.failure = ""
        self._wanted = looks
        self._seconds = seconds
        self._same = same
        self._looks: list[Look] = []
        self._reasons: Counter[str] = Counter()
        self._start = self._seen = self._last = math.nan
        self._unlike = 0
        self._hint = "look at the camera"

    @property
    def finished(self) -> bool:
        """Whether there are enough looks, or the session has failed (then ``failure`` says why)."""
        return bool(self.failure) or len(self._looks) >= self._wanted

    def progress(self) -> EnrolmentProgress:
        """Returns the progress so far."""
        return EnrolmentProgress(
            kept=len(self._looks),
            rejected=self._reasons.total(),
            reasons=dict(self._reasons),
            done=len(self._looks) / self._wanted,
            hint=self._hint,
        )

    def templates(self) -> Template:
        """Returns the templates [K, 128] of a finished session.

        Raises EnrolmentRefused if it failed or is not finished.
        """
        if self.failure or not self.finished:
            raise EnrolmentRefused(self.failure or "the looks are not complete: wait")
        return np.stack([look.template for look in self._looks])

    def add_image(
        self,
        stamp: float,
        looks: Mapping[str, Look],
        problems: Mapping[str, str],
        persons: Mapping[str, Template],
    ) -> None:
        """Takes one image at which the faces were looked at.

        ``looks`` are the good looks by face id, ``problems`` why other looks were not good, and
        ``persons`` the templates [K, 128] of all who are enrolled. If ``stamp`` (seconds) goes
        back, the time begins again.
        """
        if self.finished:
            return
        if math.isnan(self._start) or stamp < self._seen:
            self._start = self._seen = stamp
            self._last = math.nan
        if stamp - self._start > self._seconds:
            self._fail(
                f"only {len(self._looks)} of {self._wanted} good looks in {self._seconds:g} s"
                f"{self._most_common()}"
            )
            return
        look = looks.get(self.face_id)
        if look is None and self.face_id not in problems:
            self._reject(FACE_LOST)
            if stamp - self._seen > _LOST_AFTER:
                self._fail(
                    f"{one_line(self.face_id, 80)} was lost: start again with its new face_id"
                )
            return
        self._seen = stamp
        if look is None:
            self._reject(problems[self.face_id])
            return
        for other, seen in looks.items():
            if other != self.face_id and self._distance(seen, look) < self._same:
                self._fail(
                    f"{one_line(other, 80)} looks like the same person (twins, a photograph, a "
                    "mirror?): only one of them may be in the image"
                )
                return
        self._consider(stamp, look, persons)

    def _consider(self, stamp: float, look: Look, persons: Mapping[str, Template]) -> None:
        """Keeps a good look, or rejects it."""
        if self._looks and self._nearest(look) > self._same:
            self._reject(UNLIKE)
            self._unlike += 1
            if self._unlike >= _MOST_UNLIKE:
                self._fail(
                    f"{one_line(self.face_id, 80)} is another person than before: start again when "
                    "nobody walks past"
                )
            return
        self._unlike = 0
        waited = stamp - self._last
        if waited < _INTERVAL:  # false for the first look, whose wait is NaN
            return
        if waited < _STILL and not self._is_varied(look):
            self._reject(TOO_SIMILAR)
            return
        self._looks.append(look)
        self._last = stamp
        self._hint = "turn your head a little"
        self._compare(persons)

    def _compare(self, persons: Mapping[str, Template]) -> None:
        """Fails if the face is enrolled under another name, or the name with another face."""
        if len(self._looks) < _FEWEST_LOOKS or not persons:
            return
        each = [person_distances(persons, look.template) for look in self._looks]
        distances = {name: float(np.median([d[name] for d in each])) for name in persons}
        own = distances.pop(self.person_id, None)
        if own is not None and own > self._same + _OTHER_LIGHT:
            self._fail(
                f"{one_line(self.person_id, 80)} is enrolled with another face (distance "
                f"{own:.2f}): use another name, or forget {one_line(self.person_id, 80)} first"
            )
            return
        name = min(distances, key=distances.__getitem__, default="")
        if name and distances[name] <= self._same:
            self._fail(
                f"this face is enrolled as {one_line(name, 80)} (distance {distances[name]:.2f}): "
                f"enrol it under that name, or forget {one_line(name, 80)} first"
            )

    def _nearest(self, look: Look) -> float:
        kept = {"": np.stack([one.template for one in self._looks])}
        return person_distances(kept, look.template)[""]

    def _is_varied(self, look: Look) -> bool:
        turns = [math.hypot(look.yaw - k.yaw, look.pitch - k.pitch) for k in self._looks]
        return min(turns) >= _VARIED

    @staticmethod
    def _distance(one: Look, other: Look) -> float:
        return float(np.linalg.norm(one.template - other.template))

    def _reject(self, reason: str) -> None:
        self._reasons[reason] += 1
        self._hint = _HINTS.get(reason, "look at the camera")

    def _fail(self, why: str) -> None:
        self.failure = why

    def _most_common(self) -> str:
        common = self._reasons.most_common(2)
        return "; not kept: " + ", ".join(f"{n} {reason}" for reason, n in common) if common else ""
