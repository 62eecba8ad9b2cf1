"""Gaze from landmarks and head pose alone: iris rays on an eyeball. Reads no pixels.

Constants of the eye are in metres of the head of average size that the head pose assumes, so that a
larger or smaller head changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.smoothing import OneEuro
from face_perception.types import Camera, Face, FloatArray, Gaze, HeadPose

_SOURCE = "geometric"

# The midpoint of an eye's canthi in the face frame (x out, y to the left, z up) of the canonical
# head that the pose is fitted to; y is that of the left eye. Only its depth matters.
_CANTHI = np.array([-0.018, 0.0315, -0.0046])

# The eyeball turns about a point behind the midpoint of its canthi; the iris is on a sphere of this
# radius about it (the cornea's apex is at 13 mm, the pupil at 10).
_BEHIND = 0.009
_RADIUS = 0.012
# The pupil of an eye that looks straight ahead is above the line of its canthi. Fitted to nine
# photographs of people who look at the lens (eight people, the two samples among them), where it
# leaves a spread of 2.4 degrees in pitch.
_ABOVE = 0.0024
# The line of sight is some 4 degrees to the nose of the eye's optical axis (angle kappa), which
# is worth moving the eyeball's centre to the temple. It cancels where both eyes are seen.
_OUTWARDS = 0.0008
# Head pitch from landmarks is off by 5 degrees from one person to the next (5.5 of spread on the
# photographs, of heads that hardly differ), while heads that look at something are seldom pitched
# far against the line of sight. Of that pitch, this share is believed.
_PITCH_TRUST = 0.6

# Width of an eye, pixels, at which half the confidence is lost to the noise of the landmarks.
_HALF_WIDTH = 12.0
_DISAGREEMENT = math.radians(20)  # of the two eyes, that halves the confidence
_ONE_EYE = 0.7  # confidence where only one eye is seen


@dataclass(frozen=True, slots=True)
class _Eye:
    side: int  # +1 left, -1 right
    outer: int
    inner: int
    iris: npt.NDArray[np.intp]


_EYES = (
    _Eye(
        1,
        faces.LEFT_OUTER_CANTHUS,
        faces.LEFT_INNER_CANTHUS,
        np.append(faces.LEFT_IRIS_RIM, faces.LEFT_IRIS_CENTRE),
    ),
    _Eye(
        -1,
        faces.RIGHT_OUTER_CANTHUS,
        faces.RIGHT_INNER_CANTHUS,
        np.append(faces.RIGHT_IRIS_RIM, faces.RIGHT_IRIS_CENTRE),
    ),
)


@dataclass(frozen=True, slots=True)
class _Look:
    """What one eye says: its centre and direction, optical frame, and how well it is seen."""

    centre: FloatArray
    direction: FloatArray
    width: float  # canthus to canthus, pixels
    openness: float


@dataclass(slots=True)
class _State:
    """What is remembered of one face; times are stamps."""

    first: float
    last: float
    smooth: OneEuro
    direction: FloatArray | None = field(default=None)


class GeometricGaze:
    """Gaze of faces from their landmarks and head pose, with a memory for each face id.

    The centre of each eyeball lies behind the measured canthi, along the head; the ray through the
    centre of the iris meets the eyeball in front of it; the direction from centre to there is the
    gaze of that eye. The two eyes are averaged by how well they are seen, and smoothed (one-euro).
    While both eyes are closed, hidden or turned away the last direction is held, ``valid`` false.

    - ``blink_level``: share of its usual openness below which an eye says nothing.
    - ``first_blink_level``: the same before ``settle_time`` seconds of a face, while its usual
      openness is a population's: eyes differ by a quarter.
    - ``max_turn``: of the head against the line of sight, radians, beyond which no eye is used.
    - ``min_cutoff``, ``beta``: of the one-euro filter on the direction (hertz; hertz a unit/s).
    - ``max_gap``: seconds between two images of a face after which its memory starts afresh.

    Raises ValueError where a setting is out of range.
    """

    def __init__(
        self,
        *,
        blink_level: float = 0.75,
        first_blink_level: float = 0.5,
        settle_time: float = 1.0,
        max_turn: float = 1.05,
        min_cutoff: float = 1.0,
        beta: float = 3.0,
        max_gap: float = 0.5,
    ) -> None:
        for name, value, high in (
            ("blink_level", blink_level, 1.0),
            ("first_blink_level", first_blink_level, 1.0),
            ("settle_time", settle_time, math.inf),
            ("max_turn", max_turn, math.pi / 2),
            ("max_gap", max_gap, math.inf),
        ):
            if not 0 <= value <= high:
                raise ValueError(f"{name} must be in 0 to {high:.3g}, not {value}")
        OneEuro(min_cutoff, beta)  # refuses what is out of range
        self._blink_level = blink_level
        self._first_blink_level = first_blink_level
        self._settle_time = settle_time
        self._min_facing = math.cos(max_turn)
        self._filter = (min_cutoff, beta)
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._states: dict[str, _State] = {}

    def keep(self, ids: Collection[str]) -> None:
        """Forget the faces that are not among ``ids``."""
        self._states = {i: state for i, state in self._states.items() if i in ids}

    def estimate(self, camera: Camera, face: Face, stamp: float) -> Gaze:
        """Gaze of ``face`` seen by ``camera`` at ``stamp`` seconds; once an image and face.

        ``origin`` is between the centres of the eyeballs. Direction and origin are NaN where there
        is nothing to go by: no pose, or eyes outside the image, and nothing held from before.
        ``confidence`` in [0, 1] falls with small, closing or disagreeing eyes and a turned head; it
        is a rank, not a probability. Raises ValueError for an unknown lens distortion.
        """
        state = self._states.get(face.id)
        if state is None or not 0 <= stamp - state.last <= self._max_gap:
            state = _State(stamp, stamp, OneEuro(*self._filter))
            self._states[face.id] = state
        state.last = stamp
        pose = face.pose if face.pose is not None and _is_finite(face.pose) else None
        looks = [] if pose is None else _looks(camera, face, pose)
        settled = stamp - state.first >= self._settle_time
        level = self._blink_level if settled else self._first_blink_level
        facing = 0.0 if pose is None else _facing(pose)
        # Openness that is not known yet is no reason to think that the eye is closed.
        awake = [look for look in looks if not look.openness < level]
        valid = bool(awake) and facing >= self._min_facing
        if valid:
            direction = state.smooth(_mean(awake), stamp)
            direction /= np.linalg.norm(direction)
            state.direction = direction
        elif state.direction is not None:
            direction = state.direction
        else:
            direction = _mean(looks) if looks else np.full(3, np.nan)
        return Gaze(
            face_id=face.id,
            origin=np.full(3, np.nan) if pose is None else _origin(looks, pose),
            direction=direction,
            confidence=face.confidence * facing * _confidence(awake) if valid else 0.0,
            valid=valid,
            source=_SOURCE,
        )


def _is_finite(pose: HeadPose) -> bool:
    return bool(np.isfinite(pose.position).all() and np.isfinite(pose.rotation).all())


def _facing(pose: HeadPose) -> float:
    """Cosine between the head's x axis and the line from it to the camera."""
    distance = float(np.linalg.norm(pose.position))
    return max(0.0, float(-pose.rotation[:, 0] @ pose.position) / distance) if distance else 0.0


def _looks(camera: Camera, face: Face, pose: HeadPose) -> list[_Look]:
    """What the eyes say that lie inside the image."""
    sight = -pose.position / np.linalg.norm(pose.position)
    elevation = math.asin(max(-1.0, min(1.0, float(sight @ pose.rotation[:, 2]))))
    tilt = (1 - _PITCH_TRUST) * elevation
    c, s = math.cos(tilt), math.sin(tilt)
    openness = (face.left_eye_openness, face.right_eye_openness)
    size = np.array([camera.width, camera.height])
    found = []
    for eye, opened in zip(_EYES, openness, strict=True):
        points = face.landmarks[[eye.outer, eye.inner, *eye.iris], :2].astype(np.float64)
        if not np.isfinite(points).all() or (points < -0.5).any() or (points > size - 0.5).any():
            continue
        width = float(np.hypot(*(points[0] - points[1])))
        canthi, iris = faces.normalised(camera, [points[:2].mean(0), points[2:].mean(0)])
        sides = np.array([1.0, eye.side, 1.0])
        depth = float((pose.position + pose.rotation @ (_CANTHI * sides))[2])
        to_centre = np.array([-_BEHIND * c - _ABOVE * s, _OUTWARDS, _ABOVE * c - _BEHIND * s])
        centre = depth * np.array([*canthi, 1.0]) + pose.rotation @ (to_centre * sides)
        direction = _where_ray_meets(np.array([*iris, 1.0]), centre) - centre
        found.append(_Look(centre, direction / np.linalg.norm(direction), width, opened))
    return found


def _where_ray_meets(ray: FloatArray, centre: FloatArray) -> FloatArray:
    """The nearer point where a ray from the camera meets the eyeball about ``centre``.

    A ray that misses gives the point of the ray that is nearest to the eyeball: its limb.
    """
    ray = ray / np.linalg.norm(ray)
    nearest = float(ray @ centre)
    inside = nearest * nearest - float(centre @ centre) + _RADIUS * _RADIUS
    return ray * (nearest - math.sqrt(max(inside, 0.0)))


def _mean(looks: list[_Look]) -> FloatArray:
    """Mean direction; the noise of an eye's direction goes with one over its width."""
    total = np.zeros(3)
    for look in looks:
        total += look.width**2 * _opened(look) * look.direction
    length = float(np.linalg.norm(total))
    return total / length if length > 0 else np.full(3, np.nan)


def _opened(look: _Look) -> float:
    """Openness as a weight: unknown counts as open."""
    return 1.0 if math.isnan(look.openness) else max(0.05, min(1.0, look.openness))


def _origin(looks: list[_Look], pose: HeadPose) -> FloatArray:
    if len(looks) == len(_EYES):
        return (looks[0].centre + looks[1].centre) / 2
    middle = _CANTHI * (1.0, 0.0, 1.0) + (-_BEHIND, 0.0, _ABOVE)
    origin: FloatArray = pose.position + pose.rotation @ middle
    return origin


def _confidence(looks: list[_Look]) -> float:
    width = float(np.mean([look.width for look in looks]))
    size = width * width / (width * width + _HALF_WIDTH * _HALF_WIDTH)
    opened = float(np.mean([_opened(look) for look in looks]))
    if len(looks) < len(_EYES):
        return size * opened * _ONE_EYE
    cosine = float(looks[0].direction @ looks[1].direction)
    apart = math.acos(max(-1.0, min(1.0, cosine)))
    return size * opened / (1 + (apart / _DISAGREEMENT) ** 2)
