"""Tracks what each face attends to, from faces and gazes. All times are stamps of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

import numpy as np

from face_perception import geometry
from face_perception.attention.engagement import Attending, EngagementSettings, next_engagement
from face_perception.attention.looking_at_robot import (
    NONE,
    ROBOT,
    UNKNOWN,
    Choice,
    LookedAt,
    LookingSettings,
    check_looking,
)
from face_perception.attention.named_targets import Sphere
from face_perception.attention.target_probabilities import LookRay, target_probabilities
from face_perception.gaze_probability import GazeErrorModel
from face_perception.settings import check, setting
from face_perception.types import Attention, Engagement, Eyes, Face, FloatArray, Gaze, Target

HEAD_POSE, EYES_CLOSED = "head_pose", "eyes_closed"  # values of ``Attention.source``

# A person who was near enough remains so up to this factor times max_distance.
_DISTANCE_HYSTERESIS = 1.1
# Highest confidence of a target from the head pose alone, which is only a guess.
_MAX_HEAD_CONFIDENCE = 0.5
_NOWHERE = (math.nan, math.nan, math.nan)
# Error of a gaze that does not state one.
_UNSTATED = GazeErrorModel(math.radians(5), math.radians(5))


class _Evidence(IntEnum):
    """Evidence for a target; higher values are better evidence."""

    NOTHING = 0
    HEAD = 1
    EYES = 2


@dataclass(slots=True)
class _Memory:
    """What is remembered of one face between images. Times are stamps, seconds."""

    seen: float
    looked_at: LookedAt = field(default_factory=LookedAt)
    probabilities: Mapping[Choice, float] = field(default_factory=dict)
    angle: float = math.nan
    source: str = ""
    evidence: _Evidence = _Evidence.NOTHING
    other_evidence_since: float = math.nan
    near: bool = False
    engagement: Engagement = Engagement.UNKNOWN
    engagement_since: float = math.nan


# Fields come in the order of the bases from right to left.
@dataclass(frozen=True)
class AttentionSettings(EngagementSettings, LookingSettings):
    """Settings of ``AttentionTracker``."""

    forget_time: float = setting(
        1.0,
        "A face that is not seen keeps its state for this long.",
        minimum=0.0,
        maximum=600.0,
        unit="s",
        dynamic=True,
    )


class AttentionTracker:
    """Tracks what each face looks at, and how engaged with the robot the person is.

    For each image it computes the posterior probability that the person looks at the robot, and at
    the eyes of each other face and at each named target, from the gaze and its error (see
    ``target_probabilities``). ``LookedAt`` then decides the target with hysteresis. A new face gets
    its target at once, so that a single image has a result.

    If there is no valid gaze, the direction of the head is used instead. ``source`` is then
    "head_pose", ``confidence`` at most 0.5 and ``looking_at_robot`` false. Eyes that are closed for
    longer than a blink look at nothing: ``target`` is NONE and ``source`` "eyes_closed". The target
    stays during a blink, and while the gaze is missing for less than ``leave_time`` (because of a
    late message or a glint on glasses). A gaze that comes back is used after ``enter_time``.

    Raises InputError if a setting is out of range.

    >>> from face_perception.types import HeadPose, Roi
    >>> facing = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])  # the head faces the camera
    >>> pose = HeadPose(np.array([0.0, 0.0, 1.0]), facing)
    >>> face = Face("face_1", 0.9, Roi(0, 0, 9, 9), np.zeros((478, 3)), pose)
    >>> sigma = math.radians(3)
    >>> gaze = Gaze("face_1", pose.position, facing[:, 0], 0.9, True, "geometric", eyes=Eyes.OPEN,
    ...             yaw_sigma=sigma, pitch_sigma=sigma)
    >>> (attention,) = AttentionTracker().update(0.0, [face], [gaze])
    >>> attention.looking_at_robot, attention.distance, attention.engagement.name
    (True, 1.0, 'ENGAGING')
    """

    def __init__(self, settings: AttentionSettings | None = None) -> None:
        self.change_settings(settings or AttentionSettings())
        self.reset()

    def change_settings(self, settings: AttentionSettings) -> None:
        """Uses other settings from the next image on; faces keep their state.

        Raises InputError if a setting is out of range, or if two contradict each other.
        """
        check(settings)
        check_looking(settings)
        self._settings = settings
        self._head_error = GazeErrorModel(settings.head_sigma, settings.head_sigma)

    def reset(self) -> None:
        """Forgets all faces."""
        self._memories: dict[str, _Memory] = {}
        self._stamp = -math.inf
        self.ambiguous: frozenset[str] = frozenset()  # names of objects that are ids of faces

    def update(
        self,
        stamp: float,
        faces: Sequence[Face],
        gazes: Mapping[str, Gaze] | Sequence[Gaze],
        robot: FloatArray | None = None,
        objects: Mapping[str, Sphere] = MappingProxyType({}),
    ) -> list[Attention]:
        """Returns what each of ``faces`` attends to, in their order.

        ``faces`` are all faces in the image of ``stamp`` seconds. ``gazes`` are those of the same
        image, by face id or in any order; a face may have none. ``robot`` [3] is used instead of
        the setting ``robot_point``, for a point that moves; NaN: not known, and then nobody's
        target is. ``objects`` are the named targets by name. One that has had the name of a face is
        left out, and its name is in ``ambiguous``. A stamp that goes back resets the tracker.
        """
        self._robot = np.array(self._settings.robot_point, np.float64) if robot is None else robot
        if stamp < self._stamp:
            self.reset()
        self._stamp = stamp
        ids = {face.face_id for face in faces}
        self.ambiguous = frozenset((self.ambiguous | ids) & objects.keys())
        if self.ambiguous:
            objects = {name: at for name, at in objects.items() if name not in self.ambiguous}
        self._objects = objects
        if not isinstance(gazes, Mapping):
            gazes = {gaze.face_id: gaze for gaze in gazes}
        eyes = {face.face_id: eyes_midpoint(face, gazes.get(face.face_id)) for face in faces}
        self._memories = {
            face_id: memory
            for face_id, memory in self._memories.items()
            if stamp - memory.seen <= self._settings.forget_time
        }
        return [self._attend(stamp, face, gazes.get(face.face_id), eyes) for face in faces]

    def probabilities(self, face_id: str) -> Mapping[Choice, float]:
        """Returns the probability of each target of a face in the last image that showed it.

        Without new evidence (a blink, a gaze that is missing for a moment) it stays as it was.
        Returns an empty mapping for a face that is not known.
        """
        memory = self._memories.get(face_id)
        return {} if memory is None else memory.probabilities

    def _attend(
        self, stamp: float, face: Face, gaze: Gaze | None, eyes: Mapping[str, FloatArray | None]
    ) -> Attention:
        """Returns what one face attends to; ``eyes`` has the midpoints of all faces' eyes."""
        memory = self._memories.setdefault(face.face_id, _Memory(stamp))
        memory.seen = stamp
        origin = eyes[face.face_id]
        state = Eyes.UNKNOWN if gaze is None else gaze.eyes
        closed = state == Eyes.CLOSED
        rays = self._rays(face, gaze, origin)
        best = _Evidence.EYES if closed else max(rays, default=_Evidence.NOTHING)
        if state == Eyes.BLINK and memory.evidence == _Evidence.EYES:
            best = _Evidence.EYES
        at_once = self._settle_evidence(memory, stamp, best, at_once=closed) or closed
        ray = rays.get(memory.evidence)
        looked_at = memory.looked_at
        held: dict[Choice, float] = {}
        if closed:
            memory.probabilities = {NONE: 1.0}
            memory.source, memory.angle = EYES_CLOSED, math.nan
        elif ray is not None:
            others = {i: p for i, p in eyes.items() if i != face.face_id and p is not None}
            memory.probabilities = target_probabilities(
                ray, self._robot, others, self._settings, self._objects
            )
            memory.source = ray.source
            memory.angle = geometry.angle_between(ray.direction, self._robot - ray.origin)
        elif memory.evidence == _Evidence.NOTHING:
            memory.probabilities = {UNKNOWN: math.nan}
            memory.source, memory.angle = "", math.nan
        else:
            # During a blink, or while evidence is missing, target and confidence stay the same.
            held = {looked_at.target: looked_at.confidence}
        looked_at.update(stamp, held or memory.probabilities, self._settings, at_once=at_once)
        if memory.source == HEAD_POSE:
            looked_at.confidence = min(looked_at.confidence, _MAX_HEAD_CONFIDENCE)
        distance = math.nan if origin is None else math.hypot(*(self._robot - origin).tolist())
        self._engage(memory, stamp, distance)
        kind, name = looked_at.target
        thing = self._objects.get(name) if kind == Target.OBJECT else None
        return Attention(
            face_id=face.face_id,
            source=memory.source,
            looking_at_robot=looked_at.target == ROBOT and memory.source != HEAD_POSE,
            angle=memory.angle,
            distance=distance,
            target=kind,
            target_id=name if kind == Target.FACE else "",
            target_name=name if kind == Target.OBJECT else "",
            target_point=_NOWHERE if thing is None else _point(thing),
            target_since=looked_at.since,
            engagement=memory.engagement,
            engagement_since=memory.engagement_since,
            eye_contact=math.nan if gaze is None else gaze.eye_contact,
            person_id="" if gaze is None else gaze.person_id,
            eyes=state,
            confidence=looked_at.confidence,
        )

    def _rays(
        self, face: Face, gaze: Gaze | None, origin: FloatArray | None
    ) -> dict[_Evidence, LookRay]:
        """Returns the directions of the eyes and of the head of ``face``, if they are known.

        Returns none if the place of the robot is not known: nothing can be said then.
        """
        rays: dict[_Evidence, LookRay] = {}
        if origin is None or not geometry.all_finite(self._robot):
            return rays
        pose = face.pose
        has_pose = pose is not None and geometry.all_finite(pose.rotation)
        up = pose.rotation[:, 2] if pose is not None and has_pose else None
        if pose is not None and has_pose:
            rays[_Evidence.HEAD] = LookRay(
                origin, pose.rotation[:, 0], HEAD_POSE, self._head_error, up, error_everywhere=True
            )
        if gaze is not None and gaze.valid and _is_direction(gaze.direction):
            error = GazeErrorModel.from_gaze(gaze)
            error = error if error.is_known else _UNSTATED
            rays[_Evidence.EYES] = LookRay(origin, gaze.direction, gaze.source, error, up)
        return rays

    def _settle_evidence(
        self, memory: _Memory, stamp: float, best: _Evidence, *, at_once: bool
    ) -> bool:
        """Changes to the ``best`` evidence of this image once it has lasted.

        Returns whether it has changed. Without this, a gaze that is missing in one image
        would make ``looking_at_robot`` false in that image, and a gaze that is seen in only one
        image could make it true.
        """
        if best == memory.evidence:
            memory.other_evidence_since = math.nan
            return False
        if math.isnan(memory.other_evidence_since):
            memory.other_evidence_since = stamp
        is_worse = best < memory.evidence
        wait = self._settings.leave_time if is_worse else self._settings.enter_time
        lasted = stamp - memory.other_evidence_since
        if not (at_once or memory.evidence == _Evidence.NOTHING or lasted >= wait):
            return False
        memory.evidence, memory.other_evidence_since = best, math.nan
        return True

    def _engage(self, memory: _Memory, stamp: float, distance: float) -> None:
        """Updates the engagement of a face whose eyes are ``distance`` metres from the robot."""
        limit = self._settings.max_distance * (_DISTANCE_HYSTERESIS if memory.near else 1.0)
        if not math.isnan(distance):
            memory.near = distance <= limit
        target = memory.looked_at.target
        if target == UNKNOWN:
            attending = Attending.UNKNOWN
        elif target != ROBOT or not memory.near:
            attending = Attending.NO
        else:
            attending = Attending.PERHAPS if memory.source == HEAD_POSE else Attending.YES
        lasted = stamp - memory.engagement_since
        state = next_engagement(memory.engagement, lasted, attending, self._settings)
        if state != memory.engagement or math.isnan(memory.engagement_since):
            memory.engagement, memory.engagement_since = state, stamp


def eyes_midpoint(face: Face, gaze: Gaze | None) -> FloatArray | None:
    """Returns the midpoint [3] of the eyes, from the gaze or else the head; None if not known."""
    if gaze is not None and geometry.all_finite(gaze.origin):
        return gaze.origin
    if face.pose is not None and geometry.all_finite(face.pose.position):
        return face.pose.position
    return None


def _point(thing: Sphere) -> tuple[float, float, float]:
    x, y, z = thing.centre.tolist()
    return x, y, z


def _is_direction(vector: FloatArray) -> bool:
    """Returns whether a vector is finite and not zero."""
    length = math.hypot(*vector.tolist())
    return math.isfinite(length) and length > 0
