"""Looks at faces, recognises enrolled persons and enrols new ones."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from face_perception.errors import InputError, one_line
from face_perception.people.enrolled_store import EnrolledPerson, EnrolledStore
from face_perception.people.enrolment import (
    EnrolmentProgress,
    EnrolmentSession,
    Look,
)
from face_perception.people.face_templates import FaceTemplates, Template
from face_perception.people.look_quality import LookLimits, look_problem
from face_perception.people.recogniser import ChangeOfMind, Recogniser, RecognitionSettings
from face_perception.types import Camera, Face, FaceCrop, Recognition

# What a look must have to recognise, and to enrol, somebody. Chosen on rendered people and press
# photographs, see docs/nodes/people.md.
_TO_RECOGNISE = LookLimits(size=40, turn=math.radians(40), confidence=0.5, sharpness=0.2)
_TO_ENROL = LookLimits(size=60, turn=math.radians(30), confidence=0.6, sharpness=0.3)
_SESSION_INTERVAL = 0.2  # seconds between two looks at all faces while somebody is enrolled
_SHORT = 40  # characters of a revision in messages


@dataclass(frozen=True, slots=True)
class PeopleInImage:
    """Who the faces of an image are, and the faces that have another name than before."""

    recognitions: Sequence[Recognition]
    changes: Sequence[ChangeOfMind]


class PeopleRecognition:
    """Recognises the enrolled persons of a store and runs enrolments. It is thread-safe.

    Persons that were enrolled with another revision of the network are left out, with a warning
    that names them. Raises InputError if a setting is out of range, and OSError if the store cannot
    be read.

    >>> from face_perception.inference import load
    >>> model = load("dlib_face_recognition", backend="onnxruntime")  # doctest: +SKIP
    >>> people = PeopleRecognition(
    ...     FaceTemplates(model), EnrolledStore(), RecognitionSettings()
    ... )  # doctest: +SKIP
    >>> people.update(0.0, camera, faces, crops).recognitions  # doctest: +SKIP
    [Recognition(face_id='face_1', person_id='', confidence=0.0, reason='nobody is enrolled')]
    """

    def __init__(
        self, estimator: FaceTemplates, store: EnrolledStore, settings: RecognitionSettings
    ) -> None:
        self.store = store
        self._estimator = estimator
        self._settings = settings
        self._recogniser = Recogniser(settings)
        self._lock = threading.Lock()
        self._sessions: dict[EnrolmentSession, Path] = {}  # with the marks of their enrolments
        self._session_looked = -math.inf
        self._stamp = -math.inf
        self._faces: tuple[str, ...] = ()
        self._persons: dict[str, EnrolledPerson] = {}
        self._signature: object = None
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether images are needed: somebody is enrolled, or is being enrolled."""
        return bool(self._persons or self._sessions)

    @property
    def faces(self) -> tuple[str, ...]:
        """Ids of the faces in the last image."""
        return self._faces

    @property
    def persons(self) -> tuple[str, ...]:
        """Ids of the persons who can be recognised."""
        return tuple(self._persons)

    def change_settings(self, settings: RecognitionSettings) -> None:
        """Changes the settings. Raises InputError if one is out of range; then nothing changes."""
        with self._lock:
            self._recogniser.change_settings(settings)
            self._settings = settings

    def refresh(self) -> None:
        """Reads the store again if its files have changed. Raises OSError if it cannot be read.

        Enrolments of persons whom another process has forgotten fail.
        """
        with self._lock:
            gone = {s.person_id for s, mark in self._sessions.items() if not mark.exists()}
            self._fail_sessions(gone)
        signature = self.store.signature()
        if signature == self._signature:
            return
        persons = {}
        for person in self.store.load_all():
            if person.revision == self._estimator.revision:
                persons[person.person_id] = person
            else:
                self.store.warn(
                    f"{one_line(person.person_id, 80)} is not recognised: enrolled with "
                    f"{person.revision[:_SHORT]}, but {self._estimator.revision[:_SHORT]} is in "
                    "use; enrol the person again"
                )
        with self._lock:
            self._fail_sessions(self._persons.keys() - persons.keys())
            self._persons = persons
            self._recogniser.set_persons([*persons.values()])
            self._signature = signature

    def update(
        self,
        stamp: float,
        camera: Camera,
        faces: Sequence[Face],
        crops: Mapping[str, FaceCrop],
    ) -> PeopleInImage:
        """Returns who the ``faces`` of the image of ``stamp`` seconds are.

        ``crops`` are those of the same image by face id. Raises InputError for faces without
        landmarks, and inference.ModelError if the network fails.
        """
        by_id = {face.face_id: face for face in faces}
        with self._lock:
            back = stamp < self._stamp
            self._stamp, self._faces = stamp, tuple(by_id)
            if back:
                self._recogniser.reset()
                self._session_looked = -math.inf
            due = self._recogniser.due(stamp, self._faces) if self._persons else []
            sessions = list(self._sessions)
            enrolling = bool(sessions) and stamp - self._session_looked >= _SESSION_INTERVAL
            if enrolling:
                self._session_looked = stamp
            known = {name: person.templates for name, person in self._persons.items()}
        looked = list(by_id) if enrolling else due
        problems = {
            face_id: look_problem(_TO_RECOGNISE, camera, by_id[face_id], crops.get(face_id))
            for face_id in looked
        }
        good = [face_id for face_id in looked if not problems[face_id]]
        templates: dict[str, Template] = {}
        if good:
            found = self._estimator.estimate([crops[f] for f in good], [by_id[f] for f in good])
            templates = dict(zip(good, found, strict=True))
        bad = {face_id: why for face_id, why in problems.items() if why}
        with self._lock:
            if enrolling:
                self._enrol(stamp, camera, by_id, crops, templates, bad, sessions, known)
            ours = {face_id: templates[face_id] for face_id in due if face_id in templates}
            why = {face_id: bad[face_id] for face_id in due if face_id in bad}
            return PeopleInImage(*self._recogniser.take(stamp, self._faces, ours, why))

    @staticmethod
    def _enrol(
        stamp: float,
        camera: Camera,
        faces: Mapping[str, Face],
        crops: Mapping[str, FaceCrop],
        templates: Mapping[str, Template],
        bad: Mapping[str, str],
        sessions: Sequence[EnrolmentSession],
        known: Mapping[str, Template],
    ) -> None:
        """Gives an image to the sessions, whose own face must have a better look."""
        seen = {face_id: _look(faces[face_id], value) for face_id, value in templates.items()}
        for session in sessions:
            face = faces.get(session.face_id)
            looks, problems = dict(seen), dict(bad)
            if face is not None and session.face_id in looks:
                problem = look_problem(_TO_ENROL, camera, face, crops.get(session.face_id))
                if problem:
                    del looks[session.face_id]
                    problems[session.face_id] = problem
            session.add_image(stamp, looks, problems, known)

    def begin_session(
        self, face_id: str, person_id: str, looks: int, seconds: float
    ) -> EnrolmentSession:
        """Starts to enrol a face.

        Raises InputError if that is not possible, with the fix, and OSError if the store cannot be
        written.
        """
        session = EnrolmentSession(
            face_id, person_id, looks=looks, seconds=seconds, same=self._settings.max_distance
        )
        self.store.get(person_id)  # raises if the file is damaged
        with self._lock:
            for other in self._sessions:
                if face_id == other.face_id or person_id == other.person_id:
                    raise InputError(
                        f"{one_line(other.face_id, 80)} is being enrolled as "
                        f"{one_line(other.person_id, 80)}: cancel that, or wait"
                    )
            self._sessions[session] = self.store.mark_enrolment(person_id)
        return session

    def session_progress(self, session: EnrolmentSession) -> EnrolmentProgress:
        """Returns the progress of a session; safe while another thread calls ``update``."""
        with self._lock:
            return session.progress()

    def end_session(self, session: EnrolmentSession) -> None:
        """Removes a session; it no longer gets images."""
        with self._lock:
            mark = self._sessions.pop(session, None)
        if mark is not None:
            _remove_mark(mark)

    def finish_session(self, session: EnrolmentSession) -> EnrolledPerson:
        """Stores the person of a finished session, and recognises the person from now on.

        A person who is enrolled already gets the new looks besides the newest earlier ones. Raises
        EnrolmentRefused if the session failed, InputError if the person's file is damaged, and
        OSError if it cannot be written; then nothing is changed.
        """
        with self._lock:
            mark = self._sessions.pop(session, None)
        try:
            templates = session.templates()
            revision, now = self._estimator.revision, time.time()
            person = self.store.add_looks(
                EnrolledPerson(session.person_id, revision, templates, made=now), mark
            )
        finally:
            if mark is not None:
                _remove_mark(mark)
        self.refresh()
        return person

    def forget(self, person_id: str) -> int:
        """Forgets a person, or everybody if ``person_id`` is empty; returns how many.

        Enrolments under that name fail. Raises as ``EnrolledStore.forget`` does.
        """
        with self._lock:
            names = {session.person_id for session in self._sessions}
            self._fail_sessions({person_id} if person_id else names)
        count = int(self.store.forget(person_id)) if person_id else self.store.forget_everybody()
        self._signature = None
        self.refresh()
        return count

    def _fail_sessions(self, forgotten: Collection[str]) -> None:
        """Ends the enrolments of forgotten persons. Call it under the lock."""
        for session in self._sessions:
            if session.person_id in forgotten:
                session.failure = f"{one_line(session.person_id, 80)} was forgotten meanwhile"


def _remove_mark(mark: Path) -> None:
    with contextlib.suppress(OSError):  # it is empty; the next forgetting removes it
        mark.unlink(missing_ok=True)


def _look(face: Face, template: Template) -> Look:
    pose = face.pose
    return Look(template, pose.yaw if pose else math.nan, pose.pitch if pose else math.nan)
