"""Models each eye of a face as a sphere in space, and reads where it looks from its iris.

Lengths are metres on the average head that the head pose assumes, so that the real size of a head
does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from face_perception import faces
from face_perception.geometry import all_finite
from face_perception.types import Camera, Face, FloatArray, HeadPose

# Midpoint of the canthi of the left eye in ``faces.landmark_frame`` (x out, y left, z up), on the
# canonical head that the head pose is fitted to. Only its depth is used.
_CANTHI = (-0.018, 0.0315, -0.0046)

# Distance of the centre of the eyeball behind the midpoint of the canthi. Chosen together with the
# effective radius below. With 7 mm the gaze error of people who look at the lens does not depend on
# the turn of their heads: the slope is -0.01 on 14 faces in press photographs (0.22 with 9 mm) and
# -0.03 on 25 others (0.18 with 9 mm). 18 people in five head poses (Columbia Gaze) give 6 mm.
EYEBALL_BEHIND = 0.007
# Effective radius of the sphere on which the iris moves. The pupil of a real eye is 10 mm from the
# centre, but the mesh network puts the iris too close to the middle of the eye. Per unit of
# direction its iris moves by 7.2 mm sideways on 56 people (Columbia Gaze) and by 6 mm on one person
# at a tablet. 8 mm has the smallest error on the 56 people: 6.3 degrees, against 7.2 with 12 mm
# (leave one person out, with the eyeball 9 mm behind the canthi). Up and down the iris moves by
# only 3 mm. No constant corrects that here, because it would also multiply the errors that
# expressions and the pitch of the head add. A calibration corrects it for each person.
_RADIUS = 0.008
# Height of the pupil above the line of the canthi in an eye that looks straight ahead. Fitted to
# nine photographs of eight people who look at the lens; their pitch then spreads by 2.4 degrees.
_ABOVE = 0.0024
# The line of sight is about 4 degrees closer to the nose than the optical axis of the eye (angle
# kappa). To put the centre of the eyeball nearer to the temple has the same effect. It cancels in
# the mean of both eyes.
_OUTWARDS = 0.0008
# Share of the measured head pitch that is used. The pitch from landmarks is off by about 5 degrees,
# differently for each person (standard deviation 5.5 on photographs with nearly the same pitch),
# and people seldom pitch the head far from the line of sight.
_PITCH_TRUST = 0.6

# Prior of the turn of the eyes in the head. People turn their eyes by at most about 50 degrees, and
# seldom by more than 30, because they turn the head instead. The prior is proportional to
# exp(-(turn / _USUAL_TURN)^8 / 2), which is flat up to 25 degrees. It matters if the iris is near
# the rim of the sphere, where it hardly moves in the image, so that a small error is read as a turn
# of 70 or 90 degrees. A frontal head gives at most 46 degrees. Without the prior, none of 1176
# looks of 56 people (Columbia Gaze) and 200 of one person at a tablet is read above 34 degrees.
# ``_IRIS_ERROR`` is the error of the iris in a look at the camera, as an angle about the centre of
# the eyeball (56 people of Columbia Gaze, not calibrated).
_USUAL_TURN, _IRIS_ERROR = math.radians(35), math.radians(4)
_HALVINGS = 16  # steps of the bisection that finds the most probable turn
# Reduction of the turn of an eye, radians, that halves its weight and confidence.
_REDUCED_TURN = math.radians(5)

_HALF_WIDTH = 12.0  # width of an eye, pixels, that halves the confidence
_ONE_EYE = 0.7  # factor of the confidence if only one eye is seen
_HIDDEN = 0.25  # visibility below which dark glasses, glare or a hand hide an eye
# Standard deviations that are added on each axis: radians times the width of an eye in pixels
# (shrunken JAFFE pictures: 1.0 degree at 20 pixels, 3.3 at 6), and radians per radian of head turn
# (25 faces in unposed photographs).
_ERROR_OF_WIDTH, _ERROR_OF_TURN = math.radians(20), 0.12


_SIDES = (1.0, -1.0)  # of the left and the right eye
# Landmarks of the left and of the right eye: two canthi, then five points of the iris.
_POINTS = np.array(
    [
        [
            *(faces.LEFT_OUTER_CANTHUS, faces.LEFT_INNER_CANTHUS),
            *(*faces.LEFT_IRIS_RIM, faces.LEFT_IRIS_CENTRE),
        ],
        [
            *(faces.RIGHT_OUTER_CANTHUS, faces.RIGHT_INNER_CANTHUS),
            *(*faces.RIGHT_IRIS_RIM, faces.RIGHT_IRIS_CENTRE),
        ],
    ]
)
_COUNTS = np.array([[2.0], [5.0]])  # of the points of canthi and iris

_Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class EyeReading:
    """Where one eye is and looks.

    - ``centre`` [3]: centre of the eyeball, metres, in the optical frame.
    - ``direction`` [3]: unit vector in the optical frame.
    - ``width``: distance of the canthi, pixels.
    - ``openness``: relative to this person's usual; NaN: not known.
    - ``visibility``: how well the eye is seen, [0, 1]; NaN: not known.
    - ``turn_reduction``: radians by which the prior of the eye's turn changed the direction.
    """

    centre: FloatArray
    direction: FloatArray
    width: float
    openness: float
    visibility: float
    turn_reduction: float = 0.0

    @property
    def turn_weight(self) -> float:
        """Weight of this reading, [0, 1], which falls with ``turn_reduction``."""
        return 1 / (1 + (self.turn_reduction / _REDUCED_TURN) ** 2)


def usable_pose(face: Face) -> HeadPose | None:
    """Returns the head pose of ``face``, or None if it is missing or not finite."""
    pose = face.pose
    if pose is None or not (all_finite(pose.position) and all_finite(pose.rotation)):
        return None
    return pose


def facing_cosine(pose: HeadPose) -> float:
    """Returns the cosine of the angle between the head's x axis and the line to the camera.

    Returns 0 for a head that faces away.
    """
    place = pose.position.tolist()
    distance = math.hypot(*place)
    return max(0.0, -_dot(pose.rotation[:, 0].tolist(), place) / distance) if distance else 0.0


def read_eyes(camera: Camera, face: Face, pose: HeadPose) -> list[EyeReading]:
    """Returns the reading of each eye that is inside the image, not hidden, and has a width.

    ``pose`` is the pose of ``face``, seen by ``camera``. Raises InputError for an unknown
    distortion model of the lens.
    """
    openness = (face.left_eye_openness, face.right_eye_openness)
    visible = (face.left_eye_visibility, face.right_eye_visibility)
    points = face.landmarks[_POINTS][:, :, :2].astype(np.float64)
    seen = [
        eye
        for eye, visibility in enumerate(visible)
        if not visibility < _HIDDEN and _is_inside(points[eye], camera)
    ]
    if not seen:
        return []
    middles = np.add.reduceat(points[seen], (0, 2), axis=1) / _COUNTS
    on_plane = faces.undistort_points(camera, middles.reshape(-1, 2)).tolist()
    # Plain floats, because numpy is several times slower for so few numbers.
    x, y, z = pose.position.tolist()
    frame = faces.landmark_frame(pose).tolist()
    up = frame[0][2], frame[1][2], frame[2][2]
    elevation = math.asin(max(-1.0, min(1.0, -_dot(_unit((x, y, z)), up))))
    tilt = (1 - _PITCH_TRUST) * elevation
    c, s = math.cos(tilt), math.sin(tilt)
    ahead = _turned(frame, (c, 0.0, s))
    found = []
    for number, eye in enumerate(seen):
        side = _SIDES[eye]
        (x0, y0), (x1, y1) = points[eye, :2].tolist()
        width = math.hypot(x0 - x1, y0 - y1)
        if not width > 0:
            continue
        (canthi_x, canthi_y), (iris_x, iris_y) = on_plane[2 * number : 2 * number + 2]
        depth = z + _dot(frame[2], (_CANTHI[0], _CANTHI[1] * side, _CANTHI[2]))
        behind, outwards, above = _turned(
            frame,
            (
                -EYEBALL_BEHIND * c - _ABOVE * s,
                _OUTWARDS * side,
                _ABOVE * c - EYEBALL_BEHIND * s,
            ),
        )
        centre = depth * canthi_x + behind, depth * canthi_y + outwards, depth + above
        pupil = _ray_on_eyeball((iris_x, iris_y, 1.0), centre)
        direction, excess = _limit_turn(
            _unit((pupil[0] - centre[0], pupil[1] - centre[1], pupil[2] - centre[2])),
            ahead,
            _unit((-centre[0], -centre[1], -centre[2])),
        )
        found.append(
            EyeReading(
                np.array(centre),
                np.array(direction),
                width,
                openness[eye],
                visible[eye],
                excess,
            )
        )
    return found


def _is_inside(points: FloatArray, camera: Camera) -> bool:
    """Returns whether all points [N, 2], pixels, are finite and inside the image."""
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    # A comparison with NaN is false.
    return bool(
        left >= -0.5
        and top >= -0.5
        and right <= camera.width - 0.5
        and bottom <= camera.height - 0.5
    )


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _turned(rows: Sequence[Sequence[float]], v: _Vector) -> _Vector:
    """Returns the product of a matrix [3, 3], given by its rows, and a vector."""
    return _dot(rows[0], v), _dot(rows[1], v), _dot(rows[2], v)


def _unit(v: _Vector) -> _Vector:
    """Returns a vector divided by its length; NaN if that is 0."""
    length = math.hypot(*v) or math.nan
    return v[0] / length, v[1] / length, v[2] / length


def _limit_turn(direction: _Vector, ahead: _Vector, sight: _Vector) -> tuple[_Vector, float]:
    """Returns the most probable direction of an eye, and the reduction of its turn, radians.

    ``direction`` is the measured direction, ``ahead`` points straight out of the head and ``sight``
    to the camera; all are unit vectors. The result lies between ``direction`` and ``ahead``. It
    maximises the likelihood of the position of the iris in the image, times the prior of the turn.
    """
    along = max(-1.0, min(1.0, _dot(direction, ahead)))
    turn = math.acos(along)
    x, y, z = (one - along * other for one, other in zip(direction, ahead, strict=True))
    length = math.hypot(x, y, z)
    if not length > 0:
        return direction, 0.0
    aside = x / length, y / length, z / length
    ahead_of, aside_of, depth = _dot(ahead, sight), _dot(aside, sight), _dot(direction, sight)
    low, high = 0.0, turn
    for _ in range(_HALVINGS):
        at = (low + high) / 2
        c, s = math.cos(at), math.sin(at)
        # Slope of the negative logarithm of likelihood (displacement of the iris in the image)
        # times prior.
        slope = -math.sin(turn - at)
        slope -= (ahead_of * c + aside_of * s - depth) * (aside_of * c - ahead_of * s)
        slope = slope / _IRIS_ERROR**2 + 4 * at**7 / _USUAL_TURN**8
        low, high = (low, at) if slope > 0 else (at, high)
    reached = (low + high) / 2
    c, s = math.cos(reached), math.sin(reached)
    found = (
        c * ahead[0] + s * aside[0],
        c * ahead[1] + s * aside[1],
        c * ahead[2] + s * aside[2],
    )
    return found, turn - reached


def _ray_on_eyeball(ray: _Vector, centre: _Vector) -> _Vector:
    """Returns the point where a ray from the camera first meets the eyeball, metres.

    ``ray`` is the ray's direction, ``centre`` the centre of the eyeball. For a ray that misses the
    eyeball, returns the point of the ray that is nearest to it.
    """
    x, y, z = _unit(ray)
    nearest = _dot((x, y, z), centre)
    inside = nearest * nearest - _dot(centre, centre) + _RADIUS * _RADIUS
    far = nearest - math.sqrt(max(inside, 0.0))
    return x * far, y * far, z * far


def select_open(readings: list[EyeReading], level: float) -> list[EyeReading]:
    """Returns the readings of eyes that are open by at least ``level`` or by an unknown amount."""
    return [eye for eye in readings if not eye.openness < level]


def openness_weight(reading: EyeReading) -> float:
    """Returns the openness as a weight, 0.05 to 1; unknown counts as open."""
    return 1.0 if math.isnan(reading.openness) else max(0.05, min(1.0, reading.openness))


def gaze_origin(readings: list[EyeReading], pose: HeadPose) -> FloatArray:
    """Returns the midpoint [3] between the centres of both eyeballs, metres, optical frame."""
    if len(readings) == len(_SIDES):
        return (readings[0].centre + readings[1].centre) / 2
    middle = np.array([_CANTHI[0] - EYEBALL_BEHIND, 0.0, _CANTHI[2] + _ABOVE])
    origin: FloatArray = pose.position + faces.landmark_frame(pose) @ middle
    return origin


def visibility_of_eyes(readings: list[EyeReading]) -> float:
    """Returns how well open eyes are seen, [0, 1].

    It is lower for small, closing, blurred or partly hidden eyes.
    """
    if not readings:
        return 0.0
    width = _width(readings)
    size = width * width / (width * width + _HALF_WIDTH * _HALF_WIDTH)
    share = sum(openness_weight(eye) for eye in readings) / len(readings)
    clear = sum(1.0 if math.isnan(e.visibility) else e.visibility for e in readings) / len(readings)
    return size * share * clear * (1.0 if len(readings) == len(_SIDES) else _ONE_EYE)


def added_sigma(readings: list[EyeReading], front: float) -> float:
    """Returns the standard deviation that small eyes and a turned head add on each axis, radians.

    ``front`` is the cosine that ``facing_cosine`` returns. Returns NaN if no eye is seen.
    """
    if not readings:
        return math.nan
    one_eye = 1.0 if len(readings) == len(_SIDES) else math.sqrt(2)
    turn = math.acos(max(-1.0, min(1.0, front)))
    return math.hypot(one_eye * _ERROR_OF_WIDTH / _width(readings), _ERROR_OF_TURN * turn)


def _width(readings: list[EyeReading]) -> float:
    return max(sum(reading.width for reading in readings) / len(readings), 1.0)
