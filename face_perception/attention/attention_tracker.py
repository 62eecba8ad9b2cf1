"""What each face attends to, from faces and gazes. Values in, values out; stamps are the clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from face_perception import geometry
from face_perception.attention.engagement import Attending, EngagementTimes, next_state
from face_perception.errors import InputError
from face_perception.gaze_target import (
    ElsewherePrior,
    GazeErrorModel,
    aimed_likelihood,
    gaze_likelihoods,
    offset_from_line,
    target_angle,
)
from face_perception.settings import check, setting
from face_perception.types import Attention, Engagement, Eyes, Face, FloatArray, Gaze, Target

HEAD_POSE, EYES_CLOSED = "head_pose", "eyes_closed"  # values of ``Attention.source``

# A target and the id of the face, empty unless the target is a face.
_Choice = tuple[Target, str]

_UNKNOWN: _Choice = (Target.UNKNOWN, "")
_NONE: _Choice = (Target.NONE, "")
_ROBOT: _Choice = (Target.ROBOT, "")

# A person who is near enough has to go this much farther before that counts as having left.
_DISTANCE_HYSTERESIS = 1.1
# Highest confidence from a head pose alone: the target is only a guess.
_MAX_HEAD_CONFIDENCE = 0.5
# Error of a gaze that does not state one.
_UNSTATED = GazeErrorModel(math.radians(5), math.radians(5))


class _Evidence(IntEnum):
    """Evidence for a target; higher values are better evidence."""

    NOTHING = 0
    HEAD = 1
    EYES = 2


@dataclass(frozen=True, slots=True)
class _Look:
    """Where a face looks in this image: a ray, its source and its error."""

    origin: FloatArray
    direction: FloatArray
    source: str
    error: GazeErrorModel
    up: FloatArray | None  # to the top of the head


@dataclass(slots=True)
class _Memory:
    """What is remembered of one face between images; times are stamps."""

    seen: float
    target: _Choice = _UNKNOWN
    target_since: float = math.nan
    confidence: float = math.nan
    angle: float = math.nan
    source: str = ""
    evidence: _Evidence = _Evidence.NOTHING
    other_evidence_since: float = math.nan
    pending: _Choice = _UNKNOWN
    pending_since: float = math.nan
    away_since: float = math.nan
    near: bool = False
    engagement: Engagement = Engagement.UNKNOWN
    engagement_since: float = math.nan


@dataclass(frozen=True)
class AttentionSettings:
    """Settings of ``AttentionTracker``."""

    robot_point: tuple[float, ...] = setting(
        (0.0, 0.0, 0.0),
        "The point that people look at when they look at the robot, such as its eyes, in the "
        "camera's optical frame.",
        length=3,
        unit="m",
    )
    robot_radius: float = setting(
        0.06,
        "A gaze that passes within this distance of robot_point is a look at the robot. Limited to "
        "an angle of 4 degrees as seen from the eyes. A larger value counts more gazes.",
        minimum=0.001,
        maximum=10.0,
        unit="m",
    )
    face_radius: float = setting(
        0.1,
        "A gaze that passes within this distance of the midpoint of another face's eyes is a look "
        "at that face. Limited to an angle of 4 degrees as seen from the eyes. A larger value "
        "counts more gazes.",
        minimum=0.001,
        maximum=10.0,
        unit="m",
    )
    robot_prior: float = setting(
        0.5,
        "Prior probability that a person looks at the robot: the share of the time that people do. "
        "A larger value gives more looks at the robot, false ones included.",
        minimum=0.001,
        maximum=0.99,
    )
    face_prior: float = setting(
        0.2,
        "Prior probability that a person looks at one of the other faces, if there are any. "
        "robot_prior + face_prior must be below 1. A larger value gives more looks at faces.",
        minimum=0.001,
        maximum=0.99,
    )
    enter_probability: float = setting(
        0.5,
        "A target counts as looked at from this probability on. A larger value gives fewer false "
        "looks and misses more. At 0.5, a quarter of the people who look elsewhere in press "
        "photographs (n = 52) count as looking at the robot.",
        minimum=0.01,
        maximum=1.0,
    )
    leave_probability: float = setting(
        0.3,
        "The target no longer counts as looked at below this probability. Must not exceed "
        "enter_probability. A larger value ends a look earlier.",
        minimum=0.01,
        maximum=1.0,
    )
    head_sigma: float = setting(
        0.26,
        "Standard deviation of the angle between head and gaze, used for faces without a valid "
        "gaze. A larger value trusts the head pose less.",
        minimum=0.01,
        maximum=1.57,
        unit="rad",
    )
    enter_time: float = setting(
        0.15,
        "A person must look at a target for this long before it counts. A larger value ignores "
        "longer glances. Must not exceed leave_time.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
    )
    leave_time: float = setting(
        0.4,
        "A person must look away from a target for this long before it stops counting. Should be "
        "longer than a blink. A larger value bridges longer glances away.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
    )
    max_distance: float = setting(
        3.0,
        "A person farther from the robot than this is not engaged.",
        minimum=0.0,
        maximum=100.0,
        unit="m",
    )
    engage_time: float = setting(
        1.0,
        "A person who attends to the robot for this long changes from engaging to engaged.",
        minimum=0.0,
        maximum=600.0,
        unit="s",
    )
    disengage_time: float = setting(
        2.0,
        "A person who looks away for this long changes from disengaging to disengaged.",
        minimum=0.0,
        maximum=600.0,
        unit="s",
    )
    forget_time: float = setting(
        1.0,
        "A face that is not seen keeps its state for this long.",
        minimum=0.0,
        maximum=600.0,
        unit="s",
    )


class AttentionTracker:
    """Decides for each face what it looks at and how engaged with the robot it is.

    Computes the posterior probability that the person looks at the robot, and at the eyes of each
    other face, from the gaze and its error (see ``gaze_target``). The most probable candidate
    becomes the target once its probability has been above ``enter_probability`` for ``enter_time``.
    It stays the target until its probability has been below ``leave_probability`` for
    ``leave_time``. A new face gets its target at once, so that a single image gives an answer.

    Where no valid gaze is known the head's x axis stands in: ``source`` is then "head_pose",
    ``confidence`` at most 0.5 and ``looking_at_robot`` false. Eyes that are closed for longer than
    a blink look at nothing: ``target`` is NONE and ``source`` "eyes_closed". During a blink the
    target stays. It also stays while the gaze is missing for less than ``leave_time`` (a late
    message, a glint on glasses): only then does the head stand in. A gaze that comes back counts
    after ``enter_time``.

    Angles are radians, lengths metres in the optical frame, times seconds of stamps.

    Raises InputError where a setting is out of range.
    """

    def __init__(self, settings: AttentionSettings | None = None) -> None:
        s = settings or AttentionSettings()
        check(s)
        _check_order(s, "leave_probability", "enter_probability")
        _check_order(s, "enter_time", "leave_time")
        if s.robot_prior + s.face_prior >= 1:
            raise InputError(
                "robot_prior and face_prior must be below 1 together, not "
                f"{s.robot_prior} and {s.face_prior}"
            )
        self._robot = np.array(s.robot_point, np.float64)
        self._radii = (s.robot_radius, s.face_radius)
        self._priors = (s.robot_prior, s.face_prior)
        self._enter, self._leave = s.enter_probability, s.leave_probability
        self._head_error = GazeErrorModel(s.head_sigma, s.head_sigma)
        self._elsewhere = ElsewherePrior()
        self._enter_time = s.enter_time
        self._leave_time = s.leave_time
        self._max_distance = s.max_distance
        self._times = EngagementTimes(s.engage_time, s.disengage_time)
        self._forget_time = s.forget_time
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        self._memories: dict[str, _Memory] = {}
        self._stamp = -math.inf

    def update(
        self, stamp: float, faces: Sequence[Face], gazes: Mapping[str, Gaze] | Sequence[Gaze]
    ) -> list[Attention]:
        """What each of ``faces``, all the faces of the image of ``stamp``, attends to, in order.

        ``gazes`` of the same image, by face id or in any order; a face may have none. A stamp
        before the last one resets everything first (a bag that loops).
        """
        if stamp < self._stamp:
            self.reset()
        self._stamp = stamp
        if not isinstance(gazes, Mapping):
            gazes = {gaze.face_id: gaze for gaze in gazes}
        eyes = {face.id: _midpoint(face, gazes.get(face.id)) for face in faces}
        self._memories = {
            face_id: memory
            for face_id, memory in self._memories.items()
            if stamp - memory.seen <= self._forget_time
        }
        return [self._attend(stamp, face, gazes.get(face.id), eyes) for face in faces]

    def _attend(
        self, stamp: float, face: Face, gaze: Gaze | None, eyes: Mapping[str, FloatArray | None]
    ) -> Attention:
        memory = self._memories.setdefault(face.id, _Memory(stamp))
        memory.seen = stamp
        origin = eyes[face.id]
        state = Eyes.UNKNOWN if gaze is None else gaze.eyes
        closed = state == Eyes.CLOSED
        looks = self._looks(face, gaze, origin)
        best = _Evidence.EYES if closed else max(looks, default=_Evidence.NOTHING)
        if state == Eyes.BLINK and memory.evidence == _Evidence.EYES:
            best = _Evidence.EYES
        at_once = self._settle_evidence(memory, stamp, best, at_once=closed) or closed
        look = looks.get(memory.evidence)
        if closed:
            probabilities: dict[_Choice, float] = {_NONE: 1.0}
            memory.source, memory.angle = EYES_CLOSED, math.nan
        elif look is not None:
            others = {i: p for i, p in eyes.items() if i != face.id and p is not None}
            probabilities, memory.source = self._probabilities(look, others), look.source
            memory.angle = geometry.angle_between(look.direction, self._robot - look.origin)
        elif memory.evidence == _Evidence.NOTHING:
            probabilities = {_UNKNOWN: math.nan}
            memory.source, memory.angle = "", math.nan
        else:
            # In a blink, or without evidence, the target and its confidence stay as they were.
            probabilities = {memory.target: memory.confidence}
        self._settle(memory, stamp, self._choose(memory.target, probabilities), at_once=at_once)
        memory.confidence = probabilities.get(memory.target, 0.0)
        if memory.source == HEAD_POSE:
            memory.confidence = min(memory.confidence, _MAX_HEAD_CONFIDENCE)
        distance = math.nan if origin is None else float(np.linalg.norm(self._robot - origin))
        self._engage(memory, stamp, distance)
        return Attention(
            face_id=face.id,
            source=memory.source,
            looking_at_robot=memory.target == _ROBOT and memory.source != HEAD_POSE,
            angle=memory.angle,
            distance=distance,
            target=memory.target[0],
            target_id=memory.target[1],
            target_since=memory.target_since,
            engagement=memory.engagement,
            engagement_since=memory.engagement_since,
            eye_contact=math.nan if gaze is None else gaze.eye_contact,
            person_id="" if gaze is None else gaze.person_id,
            eyes=state,
            confidence=memory.confidence,
        )

    def _looks(
        self, face: Face, gaze: Gaze | None, origin: FloatArray | None
    ) -> dict[_Evidence, _Look]:
        """Looks of the eyes and of the head of ``face``; without those that are unknown."""
        looks: dict[_Evidence, _Look] = {}
        if origin is None:
            return looks
        pose = face.pose
        has_pose = pose is not None and np.isfinite(pose.rotation).all()
        up = pose.rotation[:, 2] if pose is not None and has_pose else None
        if pose is not None and has_pose:
            looks[_Evidence.HEAD] = _Look(
                origin, pose.rotation[:, 0], HEAD_POSE, self._head_error, up
            )
        if gaze is not None and gaze.valid and _is_direction(gaze.direction):
            error = GazeErrorModel.from_gaze(gaze)
            error = error if error.is_known else _UNSTATED
            looks[_Evidence.EYES] = _Look(origin, gaze.direction, gaze.source, error, up)
        return looks

    def _settle_evidence(
        self, memory: _Memory, stamp: float, best: _Evidence, *, at_once: bool
    ) -> bool:
        """Decide from the ``best`` evidence of this image once it has lasted; true on a change.

        Without this a gaze that is missing in one image would make ``looking_at_robot`` false in
        that image, and a gaze that is seen in one image only could make it true.
        """
        if best == memory.evidence:
            memory.other_evidence_since = math.nan
            return False
        if math.isnan(memory.other_evidence_since):
            memory.other_evidence_since = stamp
        wait = self._leave_time if best < memory.evidence else self._enter_time
        lasted = stamp - memory.other_evidence_since
        if not (at_once or memory.evidence == _Evidence.NOTHING or lasted >= wait):
            return False
        memory.evidence, memory.other_evidence_since = best, math.nan
        return True

    def _probabilities(self, look: _Look, others: Mapping[str, FloatArray]) -> dict[_Choice, float]:
        """Posterior probability of each candidate, and of none of them; the sum is 1."""
        robot_prior, face_prior = self._priors
        targets: list[tuple[_Choice, FloatArray, float, float]] = [
            (_ROBOT, self._robot, self._radii[0], robot_prior)
        ]
        for face_id, point in others.items():
            prior = face_prior / len(others)
            targets.append(((Target.FACE, face_id), point, self._radii[1], prior))
        weights: dict[_Choice, float] = {}
        elsewhere = math.nan
        for choice, point, size, prior in targets:
            line = point - look.origin
            distance = math.hypot(*line.tolist())
            if not distance > 0:
                continue
            yaw, pitch = offset_from_line(look.direction, line, look.up)
            if not (math.isfinite(yaw) and math.isfinite(pitch)):
                continue
            radius = target_angle(size, distance)
            error = _error_about(look, line)
            if choice != _ROBOT:
                weights[choice] = prior * aimed_likelihood(yaw, pitch, radius, error)
                continue
            seeking, other, chance = gaze_likelihoods(yaw, pitch, radius, error, self._elsewhere)
            rest = 1 - robot_prior - (face_prior if others else 0.0)
            weights[choice] = prior * seeking + rest * chance
            elsewhere = rest * (other - chance)
        if math.isnan(elsewhere):
            return {_UNKNOWN: math.nan}
        weights[_NONE] = elsewhere
        total = sum(weights.values())
        # Far from all candidates the densities underflow: the person looks at none of them.
        if not total > 0:
            return {_NONE: 1.0}
        return {choice: weight / total for choice, weight in weights.items()}

    def _choose(self, current: _Choice, probabilities: Mapping[_Choice, float]) -> _Choice:
        """The most probable target in this image, with a bonus for the current one."""
        if _UNKNOWN in probabilities:
            return _UNKNOWN
        best, best_score = _NONE, self._enter
        for choice, probability in probabilities.items():
            if choice == _NONE:
                continue
            score = probability * (self._enter / self._leave if choice == current else 1.0)
            if score >= best_score:
                best, best_score = choice, score
        return best

    def _settle(self, memory: _Memory, stamp: float, choice: _Choice, *, at_once: bool) -> None:
        """Make ``choice`` the target once it has lasted, or ``at_once``."""
        if choice == memory.target:
            memory.pending, memory.away_since = choice, math.nan
            if math.isnan(memory.target_since):
                memory.target_since = stamp
            return
        if choice != memory.pending:
            memory.pending, memory.pending_since = choice, stamp
        if math.isnan(memory.away_since):
            memory.away_since = stamp
        is_thing = choice[0] in (Target.ROBOT, Target.FACE)
        lasted = stamp - memory.pending_since
        # The last condition ends a target whose rivals alternate, so that none of them lasts.
        if (
            at_once
            or memory.target == _UNKNOWN
            or lasted >= (self._enter_time if is_thing else self._leave_time)
            or stamp - memory.away_since >= self._leave_time
        ):
            memory.target, memory.target_since = choice, stamp
            memory.away_since = math.nan

    def _engage(self, memory: _Memory, stamp: float, distance: float) -> None:
        limit = self._max_distance * (_DISTANCE_HYSTERESIS if memory.near else 1.0)
        if not math.isnan(distance):
            memory.near = distance <= limit
        if memory.target == _UNKNOWN:
            attending = Attending.UNKNOWN
        elif memory.target != _ROBOT or not memory.near:
            attending = Attending.NO
        else:
            attending = Attending.PERHAPS if memory.source == HEAD_POSE else Attending.YES
        lasted = stamp - memory.engagement_since
        state = next_state(memory.engagement, lasted, attending, self._times)
        if state != memory.engagement or math.isnan(memory.engagement_since):
            memory.engagement, memory.engagement_since = state, stamp


def _midpoint(face: Face, gaze: Gaze | None) -> FloatArray | None:
    """Midpoint of the eyes [3], from the gaze or else from the head; None where neither has it."""
    if gaze is not None and np.isfinite(gaze.origin).all():
        return gaze.origin
    if face.pose is not None and np.isfinite(face.pose.position).all():
        return face.pose.position
    return None


def _error_about(look: _Look, line: FloatArray) -> GazeErrorModel:
    """The error of a look for offsets from the ``line`` [3] to a target.

    A gaze states its error for offsets from the line to the camera, and a head pose for any line.
    """
    if look.source == HEAD_POSE:
        return look.error
    yaw, pitch = offset_from_line(line, -look.origin, look.up)
    return look.error.shifted_by(yaw, pitch) if math.isfinite(yaw + pitch) else look.error


def _is_direction(vector: FloatArray) -> bool:
    length = float(np.linalg.norm(vector))
    return math.isfinite(length) and length > 0


def _check_order(settings: AttentionSettings, low: str, high: str) -> None:
    a, b = getattr(settings, low), getattr(settings, high)
    if a > b:
        raise InputError(f"{low} ({a}) must not be above {high} ({b})")
