"""The eyes of a face as spheres in space: where they are and where each one looks. No memory.

Constants of the eye are in metres on the average head that the head pose assumes, so the real size
of a head does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.types import Camera, Face, FloatArray, HeadPose

# The midpoint of an eye's canthi in ``faces.landmark_frame`` (x out, y left, z up) of the canonical
# head that the pose is fitted to; y is that of the left eye. Only its depth matters.
_CANTHI = np.array([-0.018, 0.0315, -0.0046])

# Distance from the midpoint of the canthi back to the point about which the eyeball turns. Chosen
# together with the effective radius below. With 7 mm the gaze error of people who look at the lens
# does not depend on the turn of their heads: the slope is -0.01 on 14 faces in press photographs
# (0.22 with 9 mm) and -0.03 on 25 others (0.18 with 9 mm). 18 people in five head poses (Columbia
# Gaze) give 6 mm.
EYEBALL_BEHIND = 0.007
# Effective radius of the sphere on which the iris moves. The pupil of a real eye is 10 mm from the
# centre, but the mesh network draws the iris too close to the middle of the eye. Per unit of
# direction its iris moves by 7.2 mm sideways on 56 people (Columbia Gaze), by 6 mm on one person at
# a tablet. 8 mm has the smallest error on the 56 people: 6.3 degrees, against 7.2 with the previous
# 12 mm (leave one person out, with the eyeball 9 mm behind the canthi). Up and down the iris moves
# by only 3 mm. No constant here corrects that, because it would also multiply what expressions and
# errors of the head's pitch add. A calibration corrects it for each person.
_RADIUS = 0.008
# The pupil of an eye that looks straight ahead is above the line of its canthi. Fitted to nine
# photographs of eight people who look at the lens; their pitch then spreads by 2.4 degrees.
_ABOVE = 0.0024
# The line of sight is about 4 degrees closer to the nose than the optical axis (angle kappa). A
# centre of the eyeball nearer to the temple has the same effect. It cancels over both eyes.
_OUTWARDS = 0.0008
# Share of the measured head pitch that is used. The pitch from landmarks differs by 5 degrees
# between people (a spread of 5.5 on photographs where the heads hardly differ), and people seldom
# pitch the head far from the line of sight.
_PITCH_TRUST = 0.6

# How far eyes turn in the head: people turn them by at most about 50 degrees, and seldom by more
# than 30, because then they turn the head. The prior of a turn is proportional to
# exp(-(turn / _USUAL_TURN)^8 / 2): flat up to 25 degrees. It matters where the iris is near the rim
# of the sphere: there it hardly moves in the image, so that a small error reads as a turn of 70 or
# 90 degrees. A frontal head reads at most 46 degrees. None of 1176 looks of 56 people (Columbia
# Gaze) and 200 of one person at a tablet reads above 34 degrees without the prior.
# ``_IRIS_ERROR`` is the iris' error as an angle about the eyeball for a look at the camera (56
# people of Columbia Gaze, not calibrated).
_USUAL_TURN, _IRIS_ERROR = math.radians(35), math.radians(4)
_HALVINGS = 16  # of an angle, to find the most probable one
# Radians taken away from the turn of an eye that halve its weight and confidence.
_COMPRESSED = math.radians(5)

_HALF_WIDTH = 12.0  # width of an eye, pixels, at which noise halves the confidence
_ONE_EYE = 0.7  # factor of confidence if only one eye is seen
_HIDDEN = 0.25  # below this visibility an eye is hidden by dark glasses, glare or a hand
# Errors that are added on each axis: radians times pixels, divided by the width of an eye (shrunken
# JAFFE pictures: 1.0 degree at 20 pixels, 3.3 at 6), and radians per radian of head turn (25 faces
# in unposed photographs).
_ERROR_OF_WIDTH, _ERROR_OF_TURN = math.radians(20), 0.12


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
class EyeReading:
    """What one eye says: its centre and direction, optical frame, and how well it is seen."""

    centre: FloatArray
    direction: FloatArray
    width: float  # canthus to canthus, pixels
    openness: float
    visibility: float  # how well the eye is seen, [0, 1]; NaN: unknown
    compressed: float = 0.0  # radians by which the prior of the eye's turn moved it

    @property
    def plausible(self) -> float:
        """Weight of the reading, [0, 1]: less for a turn that eyes seldom make."""
        return 1 / (1 + (self.compressed / _COMPRESSED) ** 2)


def usable_pose(face: Face) -> HeadPose | None:
    """The head pose of ``face`` where there is one and it is finite."""
    pose = face.pose
    if pose is None or not (np.isfinite(pose.position).all() and np.isfinite(pose.rotation).all()):
        return None
    return pose


def facing_cosine(pose: HeadPose) -> float:
    """Cosine between the head's x axis and the line from it to the camera."""
    distance = float(np.linalg.norm(pose.position))
    return max(0.0, float(-pose.rotation[:, 0] @ pose.position) / distance) if distance else 0.0


def read_eyes(camera: Camera, face: Face, pose: HeadPose) -> list[EyeReading]:
    """The look of each eye that is inside the image and not hidden."""
    sight = -pose.position / np.linalg.norm(pose.position)
    frame = faces.landmark_frame(pose)
    elevation = math.asin(max(-1.0, min(1.0, float(sight @ frame[:, 2]))))
    tilt = (1 - _PITCH_TRUST) * elevation
    c, s = math.cos(tilt), math.sin(tilt)
    openness = (face.left_eye_openness, face.right_eye_openness)
    visible = (face.left_eye_visibility, face.right_eye_visibility)
    size = np.array([camera.width, camera.height])
    found = []
    for eye, opened, seen in zip(_EYES, openness, visible, strict=True):
        if seen < _HIDDEN:
            continue
        points = face.landmarks[[eye.outer, eye.inner, *eye.iris], :2].astype(np.float64)
        if not np.isfinite(points).all() or (points < -0.5).any() or (points > size - 0.5).any():
            continue
        width = float(np.hypot(*(points[0] - points[1])))
        canthi, iris = faces.undistort_points(camera, [points[:2].mean(0), points[2:].mean(0)])
        sides = np.array([1.0, eye.side, 1.0])
        depth = float((pose.position + frame @ (_CANTHI * sides))[2])
        to_centre = np.array(
            [-EYEBALL_BEHIND * c - _ABOVE * s, _OUTWARDS, _ABOVE * c - EYEBALL_BEHIND * s]
        )
        centre = depth * np.array([*canthi, 1.0]) + frame @ (to_centre * sides)
        direction = _where_ray_meets(np.array([*iris, 1.0]), centre) - centre
        direction, excess = _within_reach(
            direction / np.linalg.norm(direction),
            frame @ (c, 0.0, s),
            -centre / np.linalg.norm(centre),
        )
        found.append(EyeReading(centre, direction, width, opened, seen, excess))
    return found


def _within_reach(
    direction: FloatArray, ahead: FloatArray, sight: FloatArray
) -> tuple[FloatArray, float]:
    """The most probable direction of an eye, and the angle, radians, by which it was moved.

    ``direction`` is the measured one, ``ahead`` straight ahead of the head and ``sight`` the line
    to the camera: unit vectors [3]. Of the directions between the first two, the found one
    maximises the likelihood of the iris' place in the image, times the prior of the eye's turn.
    """
    along = max(-1.0, min(1.0, float(direction @ ahead)))
    turn = math.acos(along)
    aside = direction - along * ahead
    length = float(np.linalg.norm(aside))
    if not length > 0:
        return direction, 0.0
    aside /= length
    ahead_of, aside_of = float(ahead @ sight), float(aside @ sight)
    depth = float(direction @ sight)
    low, high = 0.0, turn
    for _ in range(_HALVINGS):
        at = (low + high) / 2
        c, s = math.cos(at), math.sin(at)
        # Slope of the squared displacement of the iris in the image, and that of the prior.
        slope = -math.sin(turn - at)
        slope -= (ahead_of * c + aside_of * s - depth) * (aside_of * c - ahead_of * s)
        slope = slope / _IRIS_ERROR**2 + 4 * at**7 / _USUAL_TURN**8
        low, high = (low, at) if slope > 0 else (at, high)
    reached = (low + high) / 2
    found: FloatArray = math.cos(reached) * ahead + math.sin(reached) * aside
    return found, turn - reached


def _where_ray_meets(ray: FloatArray, centre: FloatArray) -> FloatArray:
    """The nearer point where a ray from the camera meets the eyeball about ``centre``.

    A ray that misses gives the point of the ray that is nearest to the eyeball: its limb.
    """
    ray = ray / np.linalg.norm(ray)
    nearest = float(ray @ centre)
    inside = nearest * nearest - float(centre @ centre) + _RADIUS * _RADIUS
    return ray * (nearest - math.sqrt(max(inside, 0.0)))


def select_open(looks: list[EyeReading], level: float) -> list[EyeReading]:
    """Those of open eyes: openness that is not known yet is no reason to think an eye closed."""
    return [look for look in looks if not look.openness < level]


def openness_weight(look: EyeReading) -> float:
    """Openness as a weight: unknown counts as open."""
    return 1.0 if math.isnan(look.openness) else max(0.05, min(1.0, look.openness))


def gaze_origin(looks: list[EyeReading], pose: HeadPose) -> FloatArray:
    """Between the centres of the eyeballs, [3] metres, optical frame."""
    if len(looks) == len(_EYES):
        return (looks[0].centre + looks[1].centre) / 2
    middle = _CANTHI * (1.0, 0.0, 1.0) + (-EYEBALL_BEHIND, 0.0, _ABOVE)
    origin: FloatArray = pose.position + faces.landmark_frame(pose) @ middle
    return origin


def visibility_of_eyes(looks: list[EyeReading]) -> float:
    """How well open eyes are seen, [0, 1]; less for small, closing, blurred or hidden eyes."""
    if not looks:
        return 0.0
    width = _width(looks)
    size = width * width / (width * width + _HALF_WIDTH * _HALF_WIDTH)
    share = float(np.mean([openness_weight(look) for look in looks]))
    clear = float(
        np.mean([1.0 if math.isnan(look.visibility) else look.visibility for look in looks])
    )
    return size * share * clear * (1.0 if len(looks) == len(_EYES) else _ONE_EYE)


def added_sigma(looks: list[EyeReading], front: float) -> float:
    """Standard deviation, radians on each axis, that small eyes and a turned head add to a gaze.

    ``front`` is the cosine of the angle between the head and the line to the camera.
    """
    if not looks:
        return math.nan
    one_eye = 1.0 if len(looks) == len(_EYES) else math.sqrt(2)
    turn = math.acos(max(-1.0, min(1.0, front)))
    return math.hypot(one_eye * _ERROR_OF_WIDTH / _width(looks), _ERROR_OF_TURN * turn)


def _width(looks: list[EyeReading]) -> float:
    return max(float(np.mean([look.width for look in looks])), 1.0)
