"""Runs a calibration session: asks for targets, collects samples and returns the fit.

It takes images one at a time, and reports why an image is not used or a calibration is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from face_perception.errors import InputError
from face_perception.gaze import (
    NETWORK_PRIOR,
    EstimatorPrior,
    measure_lids,
    normalized_camera_rotation,
    to_normalized_angles,
)
from face_perception.people.calibration_extension import KnownLook
from face_perception.people.calibration_fit import MIN_SAMPLES, CalibrationFit, fit_calibration
from face_perception.people.calibration_samples import CalibrationRefused, CalibrationSamples
from face_perception.people.calibration_targets import CalibrationTarget, camera_target
from face_perception.people.robust_statistics import robust_centre
from face_perception.types import Camera, Face, FloatArray, Gaze

DEFAULT_SAMPLES = 30
DEFAULT_SECONDS = 30.0
_MAX_SAMPLES = 10_000

# Reasons why an image is not used as a sample.
NO_NEW_FRAME = "no new frame"
FACE_LOST = "face lost"
TARGET_NOT_SEEN = "target not seen"
MOVING_ON = "on the way to the target"
EYES_CLOSED = "eyes closed"
EYES_NOT_VISIBLE = "eyes not visible"
LOOKING_AWAY = "looking away"
HEAD_NOT_VARIED = "head not varied"

_LOST_AFTER = 2.0  # seconds without the face after which the session fails
_TARGET_LOST_AFTER = 5.0  # seconds without the target after which the session fails
_MOVING_TIME = 0.7  # seconds that eyes, head and the smoothed gaze need to reach a new target
_FIRST = 8  # with this many samples of a target, those far from their centre no longer count
_CLOSED = 0.8  # openness below which the reason for an invalid gaze is "eyes closed"


@dataclass(frozen=True, slots=True)
class CalibrationProgress:
    """Progress of a calibration session.

    - ``target``: index of the target that the person should look at.
    - ``kept``: number of samples so far.
    - ``rejected``, ``reasons``: number of images that were not used, in total and by reason.
    - ``done``: progress of the whole session, [0, 1].
    - ``hint``: what the person should do now.

    >>> from face_perception.types import Camera
    >>> session = CalibrationSession("face_1", samples=20)
    >>> for k in range(3):  # three images in which face_1 is not seen
    ...     session.add_image(0.2 * k, Camera.assume(640, 480), faces={}, gazes={})
    >>> progress = session.progress()
    >>> progress.kept, progress.rejected, dict(progress.reasons)
    (0, 3, {'face lost': 3})
    """

    target: int
    kept: int
    rejected: int
    reasons: Mapping[str, int]
    done: float
    hint: str


@dataclass(slots=True)
class _Taken:
    """Samples so far, as lists of the rows of ``CalibrationSamples``."""

    estimates: list[tuple[float, float]] = field(default_factory=list)
    truths: list[tuple[float, float]] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    lids: list[tuple[float, float, float]] = field(default_factory=list)

    def samples(self) -> CalibrationSamples:
        return CalibrationSamples.from_arrays(self.estimates, self.truths, self.targets, self.lids)


class CalibrationSession:
    """Collects samples of one face, which looks at each target in turn, and fits a calibration.

    - ``face_id``: the face to calibrate.
    - ``targets``: what the person looks at, in this order; by default the lens.
    - ``samples``: number of samples for each target. 0: all samples within ``seconds`` if that is
      given, otherwise 30.
    - ``seconds``: longest time for each target, by the stamps of images. 0: 30 s.
    - ``head_range``: angle, radians, by which the head must turn or nod before the second half of
      the samples is taken. 0: the head need not move.
    - ``interval``: shortest time between two samples, seconds. Successive images of a camera show
      little that is new, and the gaze is smoothed.

    A session is ``finished`` after the last target, or when it failed; ``result`` then returns the
    fit. Usually a ``PersonRegistry`` runs it (``begin_session``, ``update``, ``finish_session``).

    Raises InputError if a value is out of range.

    >>> from face_perception.people import proposed_targets
    >>> session = CalibrationSession("face_1", proposed_targets(5, distance=0.8), samples=20)
    >>> session.targets[1].name
    'the mark 21 cm to your right and 14 cm above the lens'
    >>> session.progress().hint
    'look at the camera'
    """

    def __init__(
        self,
        face_id: str,
        targets: Sequence[CalibrationTarget] = (),
        *,
        samples: int = 0,
        seconds: float = 0.0,
        head_range: float = 0.0,
        interval: float = 0.1,
    ) -> None:
        if not face_id:
            raise InputError("face_id is empty: name one of the faces of the topic `faces`")
        if not 0 <= samples <= _MAX_SAMPLES:
            raise InputError(f"samples per target must be from 0 to {_MAX_SAMPLES}, not {samples}")
        if not 0 <= seconds <= 3600:
            raise InputError(f"seconds per target must be from 0 to 3600, not {seconds}")
        if not 0 <= head_range <= 1.5:
            raise InputError(f"head_range must be from 0 to 1.5 rad, not {head_range}")
        self.face_id = face_id
        self.targets = tuple(targets) or (camera_target(),)
        if samples and samples * len(self.targets) < MIN_SAMPLES:
            raise InputError(f"at least {MIN_SAMPLES} samples are needed, not {samples}")
        self.estimator = ""
        self.finished = False
        # Prior of each estimator by name; set by ``PersonRegistry.begin_session``.
        self.priors: Mapping[str, EstimatorPrior] = {}
        self._wanted = samples or (0 if seconds else DEFAULT_SAMPLES)
        self._interval = interval
        self._seconds = seconds or DEFAULT_SECONDS
        self._head_range = head_range
        self._failure = ""
        self._target = 0
        self._samples = _Taken()
        self._reasons: Counter[str] = Counter()
        self._last_reason = ""
        self._heads: list[tuple[float, float]] = []
        self._stamp = self._target_since = self._seen = self._located = math.nan
        self._sampled = -math.inf
        self._ever_seen = False
        self._problem = ""

    def add_image(
        self,
        stamp: float,
        camera: Camera,
        faces: Mapping[str, Face],
        gazes: Mapping[str, Gaze],
    ) -> None:
        """Takes faces and uncalibrated gazes, by face id, of the image of ``stamp`` seconds.

        Does nothing once the session is finished. Raises InputError for an unknown distortion model
        of the lens.
        """
        if self.finished:
            return
        if math.isnan(self._stamp):
            self._target_since = self._seen = self._located = stamp
        elif stamp < self._stamp - 1:
            self.fail("the stamps went back (does a bag loop?): calibrate again")
            return
        elif stamp <= self._stamp:
            self._reject(NO_NEW_FRAME)
            return
        self._stamp = stamp
        if not stamp - self._sampled >= self._interval - 1e-6:
            return
        reason = self._take(camera, faces, gazes)
        if reason:
            self._reject(reason)
        else:
            self._sampled = stamp
        if not self.finished:
            self._move_on()

    def fail(self, reason: str) -> None:
        """Ends the session without a fit, for this reason."""
        self._failure = self._failure or reason
        self.finished = True

    def stop(self) -> None:
        """Ends the session; the fit uses the samples so far."""
        self.finished = True

    def progress(self) -> CalibrationProgress:
        """Returns the progress so far."""
        near = self._near()
        reasons = Counter(self._reasons)
        away = len(near) - sum(near)
        if away:
            reasons[LOOKING_AWAY] += away
        return CalibrationProgress(
            target=self._target,
            kept=sum(near),
            rejected=reasons.total(),
            reasons=dict(sorted(reasons.items())),
            done=1.0 if self.finished else (self._target + self._share(near)) / len(self.targets),
            hint=self._hint(near),
        )

    def result(
        self, earlier: Sequence[KnownLook] = (), least_residual: float = 0.0
    ) -> CalibrationFit:
        """Returns the fit of a finished session, and of ``earlier`` looks of the same person.

        The expected residual is at least ``least_residual`` (radians), that of the earlier fit.

        Raises CalibrationRefused if the session failed or its samples are not good enough, and
        InputError if it is not finished.
        """
        if not self.finished:
            raise InputError("the calibration session is not finished")
        if self._failure:
            raise CalibrationRefused(self._failure)
        turned = self._turned()
        if turned < self._head_range:
            raise CalibrationRefused(
                f"the head turned by {math.degrees(turned):.0f}° instead of "
                f"{math.degrees(self._head_range):.0f}°: keep looking at the target while you turn "
                "and nod your head"
            )
        self._check_every_target()
        try:
            names = [target.name for target in self.targets]
            return fit_calibration(
                self._samples.samples(), self.prior, names, earlier, least_residual
            )
        except CalibrationRefused as refused:
            # If there are too few samples, say why the other images were rejected.
            if self._reasons and len(self._samples.targets) < MIN_SAMPLES:
                why = ", ".join(f"{text} {count}" for text, count in self._reasons.most_common(3))
                raise CalibrationRefused(f"{refused} (images rejected: {why})") from None
            raise

    def _check_every_target(self) -> None:
        """Raises CalibrationRefused if one target has no samples while another one has some."""
        seen = set(self._samples.targets)
        missing = [t.name for index, t in enumerate(self.targets) if index not in seen]
        if seen and missing:
            raise CalibrationRefused(
                f"no usable image of a look at {' or '.join(missing)}: look at every target with "
                "open eyes when you are asked to (a video must show them all)"
            )

    def _take(self, camera: Camera, faces: Mapping[str, Face], gazes: Mapping[str, Gaze]) -> str:
        """Adds the image as a sample; returns the reason if it cannot be used, else ""."""
        face, gaze = faces.get(self.face_id), gazes.get(self.face_id)
        if face is None:
            if self._stamp - self._seen > _LOST_AFTER:
                self._fail_lost(faces)
            return FACE_LOST
        self._ever_seen, self._seen = True, self._stamp
        if gaze is None:
            return EYES_NOT_VISIBLE
        if self.estimator and gaze.source != self.estimator:
            self.fail(f"the estimator changed from {self.estimator} to {gaze.source}: try again")
            return EYES_NOT_VISIBLE
        self.estimator = gaze.source
        eyes = {i: g.origin for i, g in gazes.items() if np.isfinite(g.origin).all()}
        try:
            point = self.targets[self._target].locate(eyes)
        except LookupError as error:
            self._problem = str(error.args[0])
            if self._stamp - self._located > _TARGET_LOST_AFTER:
                self.fail(f"{self.targets[self._target].name} was not seen: {self._problem}")
            return TARGET_NOT_SEEN
        self._located = self._stamp
        if self._stamp - self._target_since < _MOVING_TIME:
            return MOVING_ON
        if not gaze.valid:
            openness = max(face.left_eye_openness, face.right_eye_openness)
            return EYES_CLOSED if openness < _CLOSED else EYES_NOT_VISIBLE
        angles, head = _angles(camera, face, gaze, point), _head(face)
        if angles is None or (self._head_range and head is None):
            return EYES_NOT_VISIBLE
        half = self._head_range > 0 and self._share(self._near()) >= 0.5
        if half and self._turned(head) < self._head_range:
            return HEAD_NOT_VARIED
        if head is not None:
            self._heads.append(head)
        lids = measure_lids(face)
        self._samples.estimates.append(angles[0])
        self._samples.truths.append(angles[1])
        self._samples.targets.append(self._target)
        self._samples.lids.append((lids.upper, lids.lower, lids.brow))
        # Looks elsewhere are kept, because the fit refuses a person with too many of them.
        self._last_reason = "" if self._near()[-1] else LOOKING_AWAY
        return ""

    def _reject(self, reason: str) -> None:
        """Counts an image that is not used."""
        self._reasons[reason] += 1
        self._last_reason = reason

    def _fail_lost(self, faces: Mapping[str, Face]) -> None:
        """Fails because the face is lost or was never seen."""
        here = ", ".join(faces) or "nobody"
        if not self._ever_seen:
            self.fail(f"there is no face {self.face_id}; seen: {here}")
        else:
            self.fail(f"{self.face_id} was lost after {sum(self._near())} samples; seen: {here}")

    def _near(self) -> list[bool]:
        """Returns which samples count: those near the centre of their target's samples."""
        if not self._samples.targets:
            return []
        samples = self._samples.samples()
        near = samples.plausible(self.prior)
        offsets = samples.truths - samples.estimates
        for target in np.unique(samples.targets):
            of_target = samples.targets == target
            if (near & of_target).sum() >= _FIRST:
                near[of_target] &= robust_centre(offsets[of_target]).near
        return [bool(v) for v in near]

    @property
    def prior(self) -> EstimatorPrior:
        """Prior of the estimator of the samples."""
        return self.priors.get(self.estimator, NETWORK_PRIOR)

    def _kept_of_target(self, near: Sequence[bool]) -> int:
        return sum(
            ok
            for ok, target in zip(near, self._samples.targets, strict=True)
            if target == self._target
        )

    def _share(self, near: Sequence[bool]) -> float:
        """Returns the progress of the current target, [0, 1]."""
        elapsed = (self._stamp - self._target_since) / self._seconds
        if self._wanted:
            return min(1.0, self._kept_of_target(near) / self._wanted)
        return 0.0 if math.isnan(elapsed) else min(1.0, elapsed)

    def _move_on(self) -> None:
        """Goes to the next target, or finishes, if the current target is done."""
        late = self._stamp - self._target_since >= self._seconds
        if not late and not (self._wanted and self._share(self._near()) >= 1):
            return
        if self._target + 1 == len(self.targets):
            self.finished = True
            return
        self._target += 1
        self._target_since = self._located = self._stamp

    def _turned(self, head: tuple[float, float] | None = None) -> float:
        """Returns the range of head yaw or pitch, radians, over the samples (and ``head``)."""
        heads = np.array([*self._heads, head] if head else self._heads)
        return float(np.ptp(heads, axis=0).max()) if len(heads) else 0.0

    def _hint(self, near: Sequence[bool]) -> str:
        """Returns what the person should do now."""
        name = self.targets[self._target].name
        if self.finished:
            return "done"
        texts = {
            NO_NEW_FRAME: "wait: the camera sends no new image",
            FACE_LOST: "face the camera",
            TARGET_NOT_SEEN: f"wait: {name} is not seen",
            EYES_CLOSED: f"open your eyes and look at {name}",
            EYES_NOT_VISIBLE: f"turn your face to the camera and look at {name}",
            HEAD_NOT_VARIED: f"keep looking at {name} and turn your head a little",
        }
        return texts.get(self._last_reason, f"look at {name}")


def _angles(
    camera: Camera, face: Face, gaze: Gaze, point: FloatArray
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Returns estimate and truth, each (yaw, pitch) in the normalized camera, radians.

    ``point`` [3] is the target in the optical frame, metres. The true yaw is unwrapped to within pi
    of the estimated one. Returns None if an angle is not known.
    """
    rotation = normalized_camera_rotation(camera, face)
    line = point - gaze.origin
    length = float(np.linalg.norm(line))
    if not length > 0:
        return None
    yaw, pitch = to_normalized_angles(rotation, gaze.direction)
    true_yaw, true_pitch = to_normalized_angles(rotation, line / length)
    if not all(math.isfinite(v) for v in (yaw, pitch, true_yaw, true_pitch)):
        return None
    return (yaw, pitch), (yaw + math.remainder(true_yaw - yaw, 2 * math.pi), true_pitch)


def _head(face: Face) -> tuple[float, float] | None:
    """Returns yaw and pitch of the head, radians; None if they are not known."""
    if face.pose is None:
        return None
    yaw, pitch = face.pose.yaw, face.pose.pitch
    return (yaw, pitch) if math.isfinite(yaw) and math.isfinite(pitch) else None
