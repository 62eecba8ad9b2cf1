"""Maps tracked faces to known people, applies each person's gaze calibration, and runs calibration
sessions.

Works for any gaze estimator. No ROS; thread-safe.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from face_perception.errors import InputError
from face_perception.faces import ID_EXPIRES_AFTER
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
from face_perception.people.calibration_fit import CalibrationFit
from face_perception.people.calibration_session import CalibrationProgress, CalibrationSession
from face_perception.people.calibration_store import Calibration, CalibrationStore
from face_perception.smoothing import OneEuro
from face_perception.types import Camera, Face, FloatArray, Gaze

_LID_CUTOFF, _LID_BETA = 1.0, 3.0  # of the one-euro filter on the lids, as of the gaze
_SHORT = 12  # of a hash, in a sentence


@dataclass(slots=True)
class _Link:
    person_id: str
    calibrations: Mapping[str, Calibration]
    seen: float  # stamp; NaN: no image yet since it was made
    lids: OneEuro = field(default_factory=lambda: OneEuro(_LID_CUTOFF, _LID_BETA))


@dataclass(slots=True)
class _State:
    stamp: float = math.nan
    faces: tuple[str, ...] = ()
    links: dict[str, _Link] = field(default_factory=dict)
    sessions: dict[str, CalibrationSession] = field(default_factory=dict)


class PersonRegistry:
    """Gives gazes with the calibration of the person that a face is linked to, and eye contact.

    ``revisions`` gives the revision of each estimator in use, by its name. A calibration for
    another estimator, or for another revision, is not applied. ``priors`` gives the prior of each
    estimator by name; the others have ``NETWORK_PRIOR``.
    """

    def __init__(
        self,
        store: CalibrationStore,
        revisions: Mapping[str, str],
        *,
        priors: Mapping[str, EstimatorPrior] | None = None,
        eye_contact: EyeContact | None = None,
    ) -> None:
        self.store = store
        self._revisions = revisions
        self._eye_contact = eye_contact or EyeContact()
        self._priors = dict(priors or {})
        self._lock = threading.Lock()
        self._state = _State()
        self._signature = store.signature()

    def update(
        self, stamp: float, camera: Camera, faces: Sequence[Face], gazes: Sequence[Gaze]
    ) -> list[Gaze]:
        """Gazes of one image, calibrated where their face is linked to somebody who is, with person
        and eye contact. All faces of the image, their uncalibrated gazes; stamps are the clock.

        Raises InputError for an unknown lens distortion.
        """
        by_id = {face.id: face for face in faces}
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
        """Says that a face is a person until it is lost, or nobody (an empty person); returns
        whether that person has a calibration for a current estimator.

        Whoever was linked before is not any more: neither face nor person has two. A calibration
        that is not applied, for its estimator has changed since, is said to the store. Raises
        InputError for an empty face or an id that cannot name a person, OSError where the person's
        file cannot be read.
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
            state.links[face_id] = _Link(person_id, calibrations, seen)
        return any(map(self._fits, calibrations.values()))

    def has_calibration(self, person_id: str) -> bool:
        """Whether a person has one for a current estimator. Says and raises as ``link`` does."""
        return any(map(self._fits, self._calibrations(person_id).values()))

    @property
    def faces(self) -> tuple[str, ...]:
        """Ids in the last image."""
        return self._state.faces

    def linked_persons(self) -> dict[str, str]:
        """Person by face."""
        with self._lock:
            return {face_id: link.person_id for face_id, link in self._state.links.items()}

    def refresh(self) -> None:
        """Reads again what others have stored or deleted; cheap where nothing has changed.

        Raises OSError where a person's file cannot be read, once all others' are: theirs stay as
        they were, and are tried again in the next call.
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
        """Feeds a collection from now on. Raises InputError where its face has one already."""
        with self._lock:
            if session.face_id in self._state.sessions:
                raise InputError(f"{session.face_id} is being calibrated already: cancel that")
            session.priors = self._priors
            self._state.sessions[session.face_id] = session

    def session_progress(self, session: CalibrationSession) -> CalibrationProgress:
        with self._lock:
            return session.progress()

    def end_session(self, session: CalibrationSession) -> None:
        """Feeds it no more."""
        with self._lock:
            if self._state.sessions.get(session.face_id) is session:
                del self._state.sessions[session.face_id]

    def finish_session(self, session: CalibrationSession, person_id: str) -> CalibrationFit:
        """Stores what a finished collection has found as the person's and links its face to them.

        Raises CalibrationRefused, and then changes nothing; OSError where it cannot be stored.
        """
        self.end_session(session)
        fit = session.result()
        calibration = Calibration(
            estimator=session.estimator,
            revision=self._revisions[session.estimator],
            correction=fit.correction,
            spread=fit.spread,
            expected_residual=fit.expected_residual,
            samples=fit.samples,
            targets=fit.targets,
            made=time.time(),
        )
        self.store.put(person_id, calibration)
        self.link(session.face_id, person_id)
        return fit

    def _age_links(self, stamp: float) -> None:
        """Ends the links of faces that are lost."""
        state = self._state
        back = stamp < state.stamp
        for face_id, link in list(state.links.items()):
            if back or math.isnan(link.seen):
                link.seen = stamp
            elif stamp - link.seen > ID_EXPIRES_AFTER:
                # Also where it is there again: a tracker that was started anew counts from 1.
                del state.links[face_id]
            elif face_id in state.faces:
                link.seen = stamp
        state.stamp = stamp

    def _fits(self, calibration: Calibration) -> bool:
        return calibration.revision == self._revisions.get(calibration.estimator)

    def _calibrations(self, person_id: str) -> dict[str, Calibration]:
        """What is stored; says what of it is not applied any more."""
        found = self.store.get(person_id)
        for name, calibration in found.items():
            now = self._revisions.get(name)
            if now is not None and now != calibration.revision:
                then = calibration.revision[:_SHORT] or "none"
                self.store.warn(
                    f"{person_id}'s calibration for {name} is not applied: it was made with "
                    f"revision {then} of it, and {now[:_SHORT]} is in use; calibrate again"
                )
        return found

    def _finish(
        self, stamp: float, camera: Camera, face: Face | None, gaze: Gaze, link: _Link | None
    ) -> Gaze:
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
                gaze = apply_correction(rotation, gaze, calibration, prior, lids)
        up = -rotation[:, 1] if np.isfinite(rotation).all() else None
        return replace(gaze, eye_contact=self._eye_contact.for_gaze(gaze, up))


def _smooth(smooth: OneEuro, lids: LidCue, stamp: float) -> LidCue:
    """The lids, smoothed over time like the gaze; unchanged if one is NaN."""
    heights = np.array([lids.upper, lids.lower, lids.brow])
    if not np.isfinite(heights).all():
        return lids
    return LidCue(*(float(v) for v in smooth(heights, stamp)))


def apply_correction(
    rotation: FloatArray,
    gaze: Gaze,
    calibration: Calibration,
    prior: EstimatorPrior,
    lids: LidCue,
) -> Gaze:
    """A gaze with a person's calibration applied in the face's normalised camera.

    ``rotation`` [3, 3] is that camera's (see ``normalized_camera_rotation``), ``prior`` the
    estimator's. Unchanged if direction or rotation are NaN.
    """
    yaw, pitch = to_normalized_angles(rotation, gaze.direction)
    if not (math.isfinite(yaw) and np.isfinite(rotation).all()):
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
    """Yaw and pitch of the line from ``origin`` [3] to the camera; 0 if the origin is unknown."""
    distance = float(np.linalg.norm(origin))
    return to_normalized_angles(rotation, -origin / distance) if distance > 0 else (0.0, 0.0)


def _added(sigma: float, usual: float) -> float:
    """What the size of the eyes and the turn of the head added to an estimator's usual error."""
    return math.sqrt(max(0.0, sigma**2 - usual**2)) if math.isfinite(sigma) else math.nan
