"""Maps tracked faces to persons, applies their gaze calibrations and runs calibration sessions.

It works with every gaze estimator.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from face_perception.errors import InputError
from face_perception.faces import id_expired
from face_perception.gaze import (
    NETWORK_PRIOR,
    EstimatorPrior,
    EyeContact,
    LidCue,
    from_normalized_angles,
    measure_lids,
    normalized_camera_rotation,
    to_normalized_angles,
)
from face_perception.geometry import all_finite
from face_perception.people.calibration_fit import CalibrationFit
from face_perception.people.calibration_samples import CalibrationRefused, degrees
from face_perception.people.calibration_session import CalibrationProgress, CalibrationSession
from face_perception.people.calibration_store import Calibration, CalibrationStore
from face_perception.smoothing import OneEuro
from face_perception.types import Camera, Face, FloatArray, Gaze

_LID_CUTOFF, _LID_BETA = 1.0, 3.0  # of the one-euro filter on the lids; the same as for the gaze
_MOST_LINKS = 1000  # faces that are linked to a person at the same time
_SHORT = 12  # characters of a hash in messages
# Factor by which the expected error of an extended calibration may grow. On a simulated person, one
# look 7 degrees away from its target after five right ones makes it grow by 1.5.
_WORSE = 1.25


@dataclass(slots=True)
class _Link:
    person_id: str
    calibrations: Mapping[str, Calibration]
    recognised: bool  # by a face tracker; false: somebody said so
    seen: float  # stamp at which the face was last seen; NaN: there was no image yet
    lids: OneEuro = field(default_factory=lambda: OneEuro(_LID_CUTOFF, _LID_BETA))


@dataclass(slots=True)
class _State:
    stamp: float = math.nan
    faces: tuple[str, ...] = ()
    links: dict[str, _Link] = field(default_factory=dict)
    sessions: dict[str, CalibrationSession] = field(default_factory=dict)


class PersonRegistry:
    """Links faces to persons, calibrates their gazes and adds eye contact. It is thread-safe.

    - ``store``: the calibrations.
    - ``revisions``: revision of each estimator in use, by its name. A calibration for another
      estimator or another revision is not applied.
    - ``priors``: prior of each estimator by name; ``NETWORK_PRIOR`` for the others.
    - ``eye_contact``: computes the probability of eye contact; by default ``EyeContact()``.
    - ``extend``: whether a new session extends the person's calibration, instead of replacing it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     registry = PersonRegistry(CalibrationStore(Path(folder)), {"geometric": "3"})
    ...     registry.link("face_1", "anna")  # False: anna has no calibration
    ...     registry.linked_persons()
    False
    {'face_1': 'anna'}
    """

    def __init__(
        self,
        store: CalibrationStore,
        revisions: Mapping[str, str],
        *,
        priors: Mapping[str, EstimatorPrior] | None = None,
        eye_contact: EyeContact | None = None,
        extend: bool = False,
    ) -> None:
        self.store = store
        self._revisions = revisions
        self.eye_contact = eye_contact or EyeContact()
        self._extend = extend
        self._priors = dict(priors or {})
        self._lock = threading.Lock()
        self._state = _State()
        self._signature = store.signature()

    def reset(self) -> None:
        """Forgets all faces with their links and sessions. The calibrations stay."""
        with self._lock:
            self._state = _State()

    def update(
        self, stamp: float, camera: Camera, faces: Sequence[Face], gazes: Sequence[Gaze]
    ) -> list[Gaze]:
        """Returns the gazes of one image with person, eye contact and calibration.

        ``faces`` are all faces in the image of ``stamp`` seconds, ``gazes`` their uncalibrated
        gazes. A gaze is calibrated if its face is linked to a person with a calibration for its
        estimator. A face with a ``person_id`` is linked to that person while it has it; a link of
        ``link`` has priority. Images must come in order of time. Raises InputError for an unknown
        distortion model of the lens.
        """
        by_id = {face.face_id: face for face in faces}
        self._follow_recognition(stamp, faces)
        with self._lock:
            state = self._state
            state.faces = tuple(by_id)
            raw = {gaze.face_id: gaze for gaze in gazes}
            for session in state.sessions.values():
                session.add_image(stamp, camera, by_id, raw)
            self._age_links(stamp)
            links = dict(state.links)
        return [
            self._finish(stamp, camera, by_id.get(g.face_id), g, links.get(g.face_id))
            for g in gazes
        ]

    def link(self, face_id: str, person_id: str) -> bool:
        """Links a face to a person until the face is lost.

        An empty ``person_id`` removes the link of the face. Earlier links of the face and of the
        person are removed. Returns whether the person has a calibration that can be applied. A
        calibration for another revision of an estimator is reported as a warning. Raises InputError
        for an empty face id or an invalid person id, and OSError if the person's file cannot be
        read.
        """
        if not face_id:
            raise InputError("face_id is empty: name one of the faces of the topic `faces`")
        if not person_id:
            with self._lock:
                self._state.links.pop(face_id, None)
            return False
        calibrations = self._calibrations(person_id)
        with self._lock:
            state = self._state
            state.links = {f: k for f, k in state.links.items() if k.person_id != person_id}
            seen = state.stamp if face_id in state.faces else math.nan
            while len(state.links) >= _MOST_LINKS:  # links age only when images come
                del state.links[next(iter(state.links))]
            state.links[face_id] = _Link(person_id, calibrations, False, seen)
        return any(map(self._fits, calibrations.values()))

    def _follow_recognition(self, stamp: float, faces: Sequence[Face]) -> None:
        """Links the faces that were recognised, and ends the links of those that are not any more.

        A person whose file cannot be read is linked without a calibration, with a warning.
        """
        for face in faces:
            with self._lock:
                links = self._state.links
                link = links.get(face.face_id)
                taken = {k.person_id for k in links.values() if not k.recognised}
            person_id = "" if face.person_id in taken else face.person_id
            now = link.person_id if link else ""
            if person_id == now or (link and not link.recognised):
                continue
            calibrations: dict[str, Calibration] = {}
            if person_id:
                try:
                    calibrations = self._calibrations(person_id)
                except (OSError, ValueError) as error:
                    self.store.warn(str(error))
            with self._lock:
                state = self._state
                state.links = {
                    f: k
                    for f, k in state.links.items()
                    if not k.recognised or (f != face.face_id and k.person_id != person_id)
                }
                if person_id and len(state.links) < _MOST_LINKS:
                    new = _Link(person_id, calibrations, True, stamp)
                    state.links.setdefault(face.face_id, new)

    @property
    def follows_links(self) -> bool:
        """Whether there are links that somebody has made: images tell when their faces are lost."""
        with self._lock:
            return any(not link.recognised for link in self._state.links.values())

    def has_calibration(self, person_id: str) -> bool:
        """Returns whether a person has a calibration that can be applied.

        Warns and raises as ``link`` does.
        """
        return any(map(self._fits, self._calibrations(person_id).values()))

    @property
    def faces(self) -> tuple[str, ...]:
        """Ids of the faces in the last image."""
        return self._state.faces

    def linked_persons(self) -> dict[str, str]:
        """Returns the linked persons by face id."""
        with self._lock:
            return {face_id: link.person_id for face_id, link in self._state.links.items()}

    def refresh(self) -> None:
        """Reads the calibrations of linked persons again if files in the store have changed.

        If a file cannot be read, the person keeps the earlier calibrations, all other files are
        read, and OSError is raised; the next call tries again.
        """
        signature = self.store.signature()
        if signature == self._signature:
            return
        failed: OSError | None = None
        for face_id, person_id in self.linked_persons().items():
            try:
                calibrations = self.store.get(person_id)
            except OSError as error:
                failed = failed or error
                continue
            with self._lock:
                link = self._state.links.get(face_id)
                if link is not None and link.person_id == person_id:
                    link.calibrations = calibrations
        if failed is not None:
            raise failed
        self._signature = signature

    def begin_session(self, session: CalibrationSession) -> None:
        """Starts a calibration session, which then gets the images of ``update``.

        Raises InputError if its face is in a session already.
        """
        with self._lock:
            if session.face_id in self._state.sessions:
                raise InputError(f"{session.face_id} is being calibrated already: cancel that")
            session.priors = self._priors
            self._state.sessions[session.face_id] = session

    def session_progress(self, session: CalibrationSession) -> CalibrationProgress:
        """Returns the progress of a session; safe while another thread calls ``update``."""
        with self._lock:
            return session.progress()

    def end_session(self, session: CalibrationSession) -> None:
        """Removes a session; it no longer gets images."""
        with self._lock:
            if self._state.sessions.get(session.face_id) is session:
                del self._state.sessions[session.face_id]

    def finish_session(self, session: CalibrationSession, person_id: str) -> CalibrationFit:
        """Fits a finished session, stores the calibration and links the face to the person.

        If the registry extends calibrations, the looks of the person's earlier sessions are fitted
        as well. Raises CalibrationRefused if there is no fit or the looks contradict each other,
        and OSError if it cannot be stored; then nothing is changed.
        """
        self.end_session(session)
        known = self.store.get(person_id).get(session.estimator) if self._extend else None
        if known is None or not known.looks or not self._fits(known):
            fit = session.result()
        else:
            fit = session.result(known.looks, known.least_residual)
            _check_agreement(fit, known)
        calibration = Calibration(
            estimator=session.estimator,
            revision=self._revisions[session.estimator],
            correction=fit.correction,
            spread=fit.spread,
            expected_residual=fit.expected_residual,
            samples=fit.samples,
            targets=fit.targets,
            made=time.time(),
            looks=fit.looks,
            least_residual=fit.least_residual,
        )
        self.store.put(person_id, calibration)
        self.link(session.face_id, person_id)
        return fit

    def _age_links(self, stamp: float) -> None:
        """Removes the links of faces whose ids have expired."""
        state = self._state
        back = stamp < state.stamp
        for face_id, link in list(state.links.items()):
            if back or math.isnan(link.seen):
                link.seen = stamp
            elif id_expired(link.seen, stamp):
                # Remove the link even if the id is in this image, because a tracker that was
                # restarted counts from 1 again.
                del state.links[face_id]
            elif face_id in state.faces:
                link.seen = stamp
        state.stamp = stamp

    def _fits(self, calibration: Calibration) -> bool:
        """Returns whether a calibration is for the current revision of its estimator."""
        return calibration.revision == self._revisions.get(calibration.estimator)

    def _calibrations(self, person_id: str) -> dict[str, Calibration]:
        """Returns a person's stored calibrations; warns about those that cannot be applied."""
        found = self.store.get(person_id)
        for name, calibration in found.items():
            now = self._revisions.get(name)
            if now is not None and now != calibration.revision:
                then = calibration.revision[:_SHORT] or "none"
                self.store.warn(
                    f"{person_id}'s calibration for {name} is not applied: it was made with "
                    f"revision {then}, but {now[:_SHORT]} is in use; calibrate again"
                )
        return found

    def _finish(
        self, stamp: float, camera: Camera, face: Face | None, gaze: Gaze, link: _Link | None
    ) -> Gaze:
        """Returns a gaze with person, calibration and eye contact."""
        rotation = (
            np.full((3, 3), np.nan) if face is None else normalized_camera_rotation(camera, face)
        )
        if link is not None:
            gaze = replace(gaze, person_id=link.person_id)
            calibration = link.calibrations.get(gaze.source)
            if calibration is not None and face is not None and self._fits(calibration):
                lids = LidCue()
                if calibration.correction.lid_gain:
                    lids = _smooth(link.lids, measure_lids(face), stamp)
                prior = self._priors.get(gaze.source, NETWORK_PRIOR)
                gaze = _apply_correction(rotation, gaze, calibration, prior, lids)
        up = -rotation[:, 1] if all_finite(rotation) else None
        return replace(gaze, eye_contact=self.eye_contact.for_gaze(gaze, up))


def _check_agreement(fit: CalibrationFit, known: Calibration) -> None:
    """Raises CalibrationRefused if an extended calibration is worse than the ``known`` one."""
    if fit.expected_residual > _WORSE * known.expected_residual:
        raise CalibrationRefused(
            "the new looks contradict the earlier ones: the expected error would be "
            f"{degrees(fit.expected_residual)} instead of {degrees(known.expected_residual)}; look "
            "at the target, check its position, or start again without extending"
        )


def _smooth(smooth: OneEuro, lids: LidCue, stamp: float) -> LidCue:
    """Returns the lids smoothed over time; unchanged if a height is NaN."""
    heights = np.array([lids.upper, lids.lower, lids.brow])
    if not np.isfinite(heights).all():
        return lids
    return LidCue(*(float(v) for v in smooth(heights, stamp)))


def _apply_correction(
    rotation: FloatArray,
    gaze: Gaze,
    calibration: Calibration,
    prior: EstimatorPrior,
    lids: LidCue,
) -> Gaze:
    """Returns a gaze with a calibration applied.

    ``rotation`` [3, 3] is that of the face's normalized camera (see
    ``normalized_camera_rotation``), ``prior`` that of the estimator. Returns ``gaze`` unchanged if
    its direction or the rotation is NaN.
    """
    yaw, pitch = to_normalized_angles(rotation, gaze.direction)
    if not (math.isfinite(yaw) and all_finite(rotation)):
        return gaze
    correction = calibration.correction
    error = correction.error.shifted_by(*_to_camera(rotation, gaze.origin))
    return replace(
        gaze,
        direction=from_normalized_angles(rotation, *correction.apply(yaw, pitch, lids)),
        calibrated=True,
        yaw_sigma=math.hypot(error.yaw_sigma, _added(gaze.yaw_sigma, prior.yaw.sigma)),
        pitch_sigma=math.hypot(error.pitch_sigma, _added(gaze.pitch_sigma, prior.pitch.sigma)),
        yaw_gain=error.yaw_gain,
        pitch_gain=error.pitch_gain,
        yaw_gain_sigma=error.yaw_gain_sigma,
        pitch_gain_sigma=error.pitch_gain_sigma,
        yaw_centre=error.yaw_centre,
        pitch_centre=error.pitch_centre,
    )


def _to_camera(rotation: FloatArray, origin: FloatArray) -> tuple[float, float]:
    """Returns yaw and pitch, in the normalized camera, of the line from ``origin`` to the lens.

    Returns 0 for both if the origin is NaN.
    """
    distance = float(np.linalg.norm(origin))
    return to_normalized_angles(rotation, -origin / distance) if distance > 0 else (0.0, 0.0)


def _added(sigma: float, usual: float) -> float:
    """Returns the part of ``sigma`` that exceeds the ``usual`` one of the estimator, radians.

    It comes from small eyes and a turned head.
    """
    return math.sqrt(max(0.0, sigma**2 - usual**2)) if math.isfinite(sigma) else math.nan
