"""What each face attends to, from faces and gazes. Values in, values out; stamps are the clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from face_perception.attention.engagement import EngagementTimes, next_state
from face_perception.types import Attention, Engagement, Face, FloatArray, Gaze, Target

# A target and the id of the face, empty unless the target is a face.
_Choice = tuple[Target, str]

_UNKNOWN: _Choice = (Target.UNKNOWN, "")
_NONE: _Choice = (Target.NONE, "")
_ROBOT: _Choice = (Target.ROBOT, "")

# A person who is near enough has to go this much farther before that counts as having left.
_DISTANCE_HYSTERESIS = 1.1


@dataclass(frozen=True, slots=True)
class _Look:
    """Where a face looks in this image: a ray, what it rests on, and how far off it may be."""

    origin: FloatArray
    direction: FloatArray
    source: str
    margin: float


@dataclass(slots=True)
class _Memory:
    """What is remembered of one face between images; times are stamps."""

    seen: float
    target: _Choice = _UNKNOWN
    target_since: float = math.nan
    pending: _Choice = _UNKNOWN
    pending_since: float = math.nan
    away_since: float = math.nan
    near: bool = False
    engagement: Engagement = Engagement.UNKNOWN
    engagement_since: float = math.nan


class AttentionTracker:
    """Decides for each face what it looks at and how engaged with the robot it is.

    The ray of a face is its gaze, or its head's x axis where the gaze is missing or not valid
    (``source`` "head_pose"). Candidates are the robot and the eyes of every other face, each within
    an angle of the ray; the smallest angle wins. What is looked at now stays so until the ray
    leaves the wider ``leave`` angle or something else is closer by the difference of the two, for a
    while (``enter_time``, ``leave_time``). A face seen for the first time is decided at once, so
    that a single image gives an answer. ``looking_at_robot`` is true while the target is the robot.

    Angles are radians, lengths metres in the optical frame, times seconds of stamps.

    - ``robot_point``: what people look at when they look at the robot (the camera's origin).
    - ``enter_angle``, ``leave_angle``: of the robot. The gaze is good to about 5 degrees on
      photographs taken from the front.
    - ``face_enter_angle``, ``face_leave_angle``: of another face; wider, since such a gaze is seen
      from the side.
    - ``head_pose_margin``: added to all of them where only the head is known: eyes turn further
      than heads.
    - ``enter_time``, ``leave_time``: how long another target must be looked at, or none, before it
      counts. The second outlasts a blink.
    - ``max_distance``: from the eyes to the robot; who is farther is not engaged.
    - ``engage_time``: of attending to the robot before engaging becomes engaged.
    - ``disengage_time``: of looking away before disengaging becomes disengaged.
    - ``forget_time``: for how long a face that is not seen keeps its state.

    Raises ValueError where a setting is out of range.
    """

    def __init__(
        self,
        *,
        robot_point: Sequence[float] = (0.0, 0.0, 0.0),
        enter_angle: float = 0.21,
        leave_angle: float = 0.31,
        face_enter_angle: float = 0.26,
        face_leave_angle: float = 0.38,
        head_pose_margin: float = 0.1,
        enter_time: float = 0.15,
        leave_time: float = 0.4,
        max_distance: float = 3.0,
        engage_time: float = 1.0,
        disengage_time: float = 2.0,
        forget_time: float = 1.0,
    ) -> None:
        self._robot = np.array(robot_point, np.float64)
        if self._robot.shape != (3,) or not np.isfinite(self._robot).all():
            raise ValueError(f"robot_point must be three finite metres, not {robot_point}")
        _check_order("enter_angle", enter_angle, "leave_angle", leave_angle)
        _check_order("face_enter_angle", face_enter_angle, "face_leave_angle", face_leave_angle)
        _check_order("enter_time", enter_time, "leave_time", leave_time)
        for name, value in (
            ("head_pose_margin", head_pose_margin),
            ("max_distance", max_distance),
            ("engage_time", engage_time),
            ("disengage_time", disengage_time),
            ("forget_time", forget_time),
        ):
            if not value >= 0:
                raise ValueError(f"{name} must not be negative, not {value}")
        self._robot_angles = (enter_angle, leave_angle)
        self._face_angles = (face_enter_angle, face_leave_angle)
        self._head_pose_margin = head_pose_margin
        self._enter_time = enter_time
        self._leave_time = leave_time
        self._max_distance = max_distance
        self._times = EngagementTimes(engage_time, disengage_time)
        self._forget_time = forget_time
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
        eyes = {face.id: _eyes(face, gazes.get(face.id)) for face in faces}
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
        look = self._look(face, gaze, origin)
        distance = math.nan if origin is None else float(np.linalg.norm(self._robot - origin))
        angle = math.nan
        choice = _UNKNOWN
        if look is not None:
            others = {i: p for i, p in eyes.items() if i != face.id and p is not None}
            choices = [_ROBOT, *((Target.FACE, i) for i in others)]
            angles = _angles(look, np.array([self._robot, *others.values()]))
            angle = float(angles[0])
            choice = self._choose(memory.target, choices, angles, look.margin)
        self._settle(memory, stamp, choice)
        self._engage(memory, stamp, distance)
        return Attention(
            face_id=face.id,
            source="" if look is None else look.source,
            looking_at_robot=memory.target == _ROBOT,
            angle=angle,
            distance=distance,
            target=memory.target[0],
            target_id=memory.target[1],
            target_since=memory.target_since,
            engagement=memory.engagement,
            engagement_since=memory.engagement_since,
            eye_contact=gaze.eye_contact if gaze is not None and gaze.valid else math.nan,
            person_id="" if gaze is None else gaze.person_id,
        )

    def _look(self, face: Face, gaze: Gaze | None, origin: FloatArray | None) -> _Look | None:
        if origin is None:
            return None
        if gaze is not None and gaze.valid and _is_direction(gaze.direction):
            return _Look(origin, gaze.direction, gaze.source, 0.0)
        if face.pose is not None and _is_direction(face.pose.rotation[:, 0]):
            forward = face.pose.rotation[:, 0]
            return _Look(origin, forward, "head_pose", self._head_pose_margin)
        return None

    def _choose(
        self, current: _Choice, choices: Sequence[_Choice], angles: FloatArray, margin: float
    ) -> _Choice:
        """What the ray says in this image, in favour of what is looked at now."""
        best, best_angle = _NONE, math.inf
        for choice, measured in zip(choices, angles, strict=True):
            enter, leave = self._robot_angles if choice == _ROBOT else self._face_angles
            # The present target is let off the hysteresis, against its limit and its rivals alike.
            angle = float(measured) - (leave - enter if choice == current else 0.0)
            if angle <= enter + margin and angle < best_angle:
                best, best_angle = choice, angle
        return best

    def _settle(self, memory: _Memory, stamp: float, choice: _Choice) -> None:
        """Make ``choice`` the target once it has lasted."""
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
        # The second condition ends a target whose rivals take turns and none of them lasts.
        if (
            memory.target == _UNKNOWN
            or lasted >= (self._enter_time if is_thing else self._leave_time)
            or stamp - memory.away_since >= self._leave_time
        ):
            memory.target, memory.target_since = choice, stamp
            memory.away_since = math.nan

    def _engage(self, memory: _Memory, stamp: float, distance: float) -> None:
        limit = self._max_distance * (_DISTANCE_HYSTERESIS if memory.near else 1.0)
        if not math.isnan(distance):
            memory.near = distance <= limit
        attending = None if memory.target == _UNKNOWN else memory.target == _ROBOT and memory.near
        lasted = stamp - memory.engagement_since
        state = next_state(memory.engagement, lasted, attending, self._times)
        if state != memory.engagement or math.isnan(memory.engagement_since):
            memory.engagement, memory.engagement_since = state, stamp


def _eyes(face: Face, gaze: Gaze | None) -> FloatArray | None:
    """Midpoint of the eyes [3], from the gaze or else from the head; None where neither has it."""
    if gaze is not None and np.isfinite(gaze.origin).all():
        return gaze.origin
    if face.pose is not None and np.isfinite(face.pose.position).all():
        return face.pose.position
    return None


def _is_direction(vector: FloatArray) -> bool:
    length = float(np.linalg.norm(vector))
    return math.isfinite(length) and length > 0


def _angles(look: _Look, points: FloatArray) -> FloatArray:
    """Angles [N] between a ray and the lines from its origin to ``points`` [N, 3]; NaN at it."""
    lines = points - look.origin
    across = np.linalg.norm(np.cross(look.direction, lines), axis=1)
    angles: FloatArray = np.arctan2(across, lines @ look.direction)
    angles[np.linalg.norm(lines, axis=1) == 0] = math.nan
    return angles


def _check_order(low_name: str, low: float, high_name: str, high: float) -> None:
    if not 0 <= low <= high:
        raise ValueError(
            f"{low_name} must not be negative nor above {high_name}, not {low} with {high}"
        )
