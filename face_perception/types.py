"""Frozen dataclasses of the values that the parts of this package exchange.

Positions and directions are in the camera's optical frame: x right, y down, z forward (REP-103).
Angles are in radians, lengths in metres, times in seconds. "Left" and "right" of a face are the
person's own. NaN stands for a value that is not known.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from face_perception import geometry
from face_perception.errors import InputError, shortened

FloatArray = npt.NDArray[np.floating]
Image = npt.NDArray[np.uint8]

# Classes of expression: names of hri_msgs, in the order of the multitask network (Aff-Wild2).
EXPRESSIONS = ("neutral", "angry", "disgusted", "scared", "happy", "sad", "surprised")

# Names of ARKit's blendshapes, in the order of MediaPipe's network.
BLENDSHAPES = (
    *("_neutral", "browDownLeft", "browDownRight", "browInnerUp"),
    *("browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft"),
    *("eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight"),
    *("eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight"),
    *("jawForward", "jawLeft", "jawOpen", "jawRight"),
    *("mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)

NAN = math.nan

# Distortion models of sensor_msgs/distortion_models.hpp, and the possible numbers of coefficients.
_COEFFICIENTS = {
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}
# Focal lengths as multiples of the size of the image: from a view of 169 degrees to that of a small
# window of a long lens. How far outside of such a window the principal point may be, likewise.
_FOCAL_LENGTHS = (0.05, 1000.0)
_FARTHEST_CENTRE = 1000.0
# Largest ratio of the two focal lengths. Drivers combine up to four pixels along one axis.
_LARGEST_ASPECT = 5.0
# Largest skew of the axes, as a share of the focal length: 0.3 degrees. Calibrations that estimate
# it find a tenth of this.
_LARGEST_SKEW = 0.005
# Share of the image, at each side, in which no lens has its principal point. Calibrations of twice
# the resolution have it at the right and lower edge.
_EDGE = 0.1
# Angles from the optical axis, radians, at which it is tested whether a lens bends the image over.
_LENS_ANGLES = np.radians(np.arange(0.5, 85.0, 0.5))


@functools.lru_cache(maxsize=16)
def _bends_over(model: str, coefficients: tuple[float, ...], half: float) -> bool:
    """Returns whether two rays meet the image in one point, at a distance of less than ``half``.

    The distance is that from the principal point, divided by the focal length. Only the radial
    coefficients are tested.
    """
    r = np.tan(_LENS_ANGLES)
    if model == "equidistant":
        powers = _LENS_ANGLES[:, None] ** [2, 4, 6, 8]
        seen = _LENS_ANGLES * (1 + powers @ coefficients)
    else:
        k1, k2, _, _, k3, k4, k5, k6 = (*coefficients, 0.0, 0.0, 0.0, 0.0)[:8]
        powers = r[:, None] ** [2, 4, 6]
        seen = r * (1 + powers @ (k1, k2, k3)) / (1 + powers @ (k4, k5, k6))
    reached = np.flatnonzero(seen >= half)
    return not len(reached) or bool((np.diff(seen[: reached[0] + 1], prepend=0.0) <= 0).any())


def check_camera_matrix(matrix: Sequence[float]) -> None:
    """Raises InputError if 9 numbers, row by row, are not fx 0 cx, 0 fy cy, 0 0 1.

    A very small skew, in the place of the first 0, is left out by ``Camera``.
    """
    fx, skew, _, below, _, _, *last = (float(value) for value in matrix)
    if (below, *last) != (0, 0, 0, 1) or not abs(skew) <= _LARGEST_SKEW * fx:
        values = ", ".join(f"{value:g}" for value in matrix)
        raise InputError(
            f"the camera matrix {values} is not fx 0 cx, 0 fy cy, 0 0 1, row by row: correct it, "
            "or calibrate the camera without skew"
        )


@dataclass(frozen=True, slots=True)
class Camera:
    """Intrinsics of a pinhole camera for one image size, in pixels, and its lens distortion.

    ``distortion_model`` and ``distortion`` are those of sensor_msgs/CameraInfo; empty means no
    distortion. Pixel centres are at integers. ``assumed`` is true if the values were guessed
    because no calibration was given. Raises InputError if a value is not finite, or if the image
    size or a focal length is not positive.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    distortion_model: str = ""
    assumed: bool = False

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"camera image size must be positive, not {self.width}x{self.height}")
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(math.isfinite(v) for v in values):
            raise InputError(
                "camera matrix or distortion has NaN or infinite values: calibrate the camera"
            )
        if self.fx <= 0 or self.fy <= 0:
            raise InputError(
                f"camera focal lengths must be positive, not fx={self.fx}, fy={self.fy}: "
                "calibrate the camera"
            )

    def check_distortion(self) -> None:
        """Raises InputError for an unknown distortion model or a wrong number of coefficients."""
        if not self.distorted:
            return
        known = _COEFFICIENTS.get(self.distortion_model)
        if known is None:
            model = shortened(self.distortion_model)
            raise InputError(
                f"the camera info has distortion coefficients and the unknown distortion model "
                f"{model}: use one of {', '.join(_COEFFICIENTS)}, or rectify the image"
            )
        if len(self.distortion) not in known:
            raise InputError(
                f"distortion model {self.distortion_model} has {' or '.join(map(str, known))} "
                f"coefficients, not {len(self.distortion)}: correct the camera info"
            )
        half = min(self.width / self.fx, self.height / self.fy) / 2
        if _bends_over(self.distortion_model, self.distortion, half):
            raise InputError(
                f"the distortion coefficients {', '.join(f'{v:g}' for v in self.distortion)} bend "
                "the image over inside of it, as no lens does: calibrate the camera again"
            )

    def check_calibration(self) -> None:
        """Raises InputError if this is no calibration of a lens: see also ``check_distortion``.

        Drivers that were not calibrated send the identity matrix, for example, with which a face
        would be a millimetre away.
        """
        self.check_distortion()
        shortest, longest = _FOCAL_LENGTHS
        if not (
            shortest <= self.fx / self.width <= longest
            and shortest <= self.fy / self.height <= longest
            and abs(self.cx) <= _FARTHEST_CENTRE * self.width
            and abs(self.cy) <= _FARTHEST_CENTRE * self.height
            and 1 / _LARGEST_ASPECT <= self.fx / self.fy <= _LARGEST_ASPECT
        ):
            raise InputError(
                f"fx={self.fx:g}, fy={self.fy:g}, cx={self.cx:g}, cy={self.cy:g} are not those of "
                f"a lens for {self.width}x{self.height} images: calibrate the camera"
            )

    def check_whole_image(self) -> None:
        """Raises InputError if the principal point is not in the middle part of the image.

        It is there unless the image is a window of a larger one. Otherwise it is the calibration of
        another resolution.
        """
        if not (
            _EDGE <= (self.cx + 0.5) / self.width <= 1 - _EDGE
            and _EDGE <= (self.cy + 0.5) / self.height <= 1 - _EDGE
        ):
            raise InputError(
                f"the principal point cx={self.cx:g}, cy={self.cy:g} is at the edge of the "
                f"{self.width}x{self.height} image, or outside: give the calibration of this "
                "resolution, or set roi if the image is a window of a larger one"
            )

    @property
    def distorted(self) -> bool:
        """Returns whether the lens has distortion. A fisheye has it with all coefficients 0."""
        return any(self.distortion) or (
            self.distortion_model == "equidistant" and bool(self.distortion)
        )

    @classmethod
    def assume(cls, width: int, height: int) -> Camera:
        """Returns a guess: focal length = ``width`` (a field of view of 53 degrees), centred."""
        return cls(width, height, width, width, (width - 1) / 2, (height - 1) / 2, assumed=True)

    def window(
        self, x: int, y: int, width: int, height: int, binning_x: int = 1, binning_y: int = 1
    ) -> Camera:
        """Returns the camera of a window of the image, of which blocks of pixels are combined.

        ``x``, ``y``, ``width`` and ``height`` are the window in pixels of this camera. Each pixel
        of the result is a block of ``binning_x`` by ``binning_y`` pixels. Lens distortion does not
        change, because it does not depend on pixels.

        >>> half = Camera.assume(640, 480).window(0, 0, 640, 480, 2, 2)
        >>> half.width, half.fx, half.cx
        (320, 320.0, 159.5)
        """
        return replace(
            self,
            width=width // binning_x,
            height=height // binning_y,
            fx=self.fx / binning_x,
            fy=self.fy / binning_y,
            # Pixel centres are at integers, so the first block has its centre at (binning - 1) / 2.
            cx=(self.cx - x + 0.5) / binning_x - 0.5,
            cy=(self.cy - y + 0.5) / binning_y - 0.5,
        )

    @property
    def matrix(self) -> FloatArray:
        """Camera matrix K, float64 [3, 3]."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)


@dataclass(frozen=True, slots=True)
class Frame:
    """One image, RGB uint8 [H, W, 3], the time it was taken (``stamp``, s) and its camera.

    ``frame_id`` is the name of the camera's optical frame in tf2.
    """

    image: Image
    stamp: float
    camera: Camera
    frame_id: str = ""


@dataclass(frozen=True, slots=True)
class Roi:
    """Box in pixels, clipped to the image: left and top edge, width and height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Pose of the face frame of REP-155 in the optical frame.

    ``position`` [3] is the sellion (the root of the nose, between the eyes), metres. The columns of
    ``rotation`` [3, 3] are the axes of the face: x out of the face, y to the person's left, z up.
    """

    position: FloatArray
    rotation: FloatArray

    @property
    def yaw(self) -> float:
        """Yaw of the face's x axis, radians, positive to the image's right."""
        return geometry.yaw_pitch(self.rotation[:, 0])[0]

    @property
    def pitch(self) -> float:
        """Pitch of the face's x axis, radians, positive up."""
        return geometry.yaw_pitch(self.rotation[:, 0])[1]

    @property
    def roll(self) -> float:
        """Roll of the face, radians, positive clockwise in the image."""
        return geometry.roll(self.rotation)


LANDMARK_COUNT = 478  # the 468 points of MediaPipe's mesh and 5 points of each iris


@dataclass(frozen=True, slots=True)
class Face:
    """One tracked face in one image.

    ``face_id`` names the track. A track ends when its face is lost, so one person may have several
    ids.

    ``confidence`` in [0, 1] is the presence that the mesh network gives in this image, times the
    score of the last detection of the face. It is lower if mesh and detector disagree about eyes,
    nose and mouth. Clear faces have 0.7 to 0.95; false ones seldom have more than 0.7.

    ``landmarks`` is float32 [478, 3]: x and y in pixels, z in the same scale, smaller is nearer to
    the camera. Eye openness is relative to this track's usual openness (1: as usual; NaN: not
    known). Eye visibility in [0, 1] is near 0 if dark glasses, glare or a hand hide the eye (NaN:
    not estimated).

    ``person_id`` is the person that was recognised, empty if nobody was, and ``person_confidence``
    in [0, 1] the probability that it is right.
    """

    face_id: str
    confidence: float
    roi: Roi
    landmarks: FloatArray
    pose: HeadPose | None
    left_eye_openness: float = NAN
    right_eye_openness: float = NAN
    left_eye_visibility: float = NAN
    right_eye_visibility: float = NAN
    person_id: str = ""
    person_confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Recognition:
    """Who a face is, by recognition among the enrolled persons.

    ``person_id`` is empty if the face is nobody known; ``reason`` then says why. ``confidence`` in
    [0, 1] is the probability that ``person_id`` is right, 0 if it is empty.
    """

    face_id: str
    person_id: str
    confidence: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """An upright picture of one face, RGB uint8 [160, 160, 3].

    ``transform`` [2, 3] is the similarity that maps pixels of the image to pixels of the crop.
    ``person_id`` is that of the face.
    """

    face_id: str
    image: Image
    transform: FloatArray
    person_id: str = ""


class Eyes(IntEnum):
    """State of a face's eyes, with the values of Gaze.msg.

    ``UNKNOWN``: the eyes cannot be seen (dark glasses, glare, head turned away, outside the image).
    ``BLINK``: closed, so far no longer than a blink lasts. ``CLOSED``: closed for longer.
    """

    UNKNOWN = 0
    OPEN = 1
    BLINK = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class Gaze:
    """Where one face looks, in the optical frame.

    ``origin`` [3] is the midpoint of the eyes, metres. ``direction`` [3] is a unit vector.
    ``valid`` is false while the eyes are closed or hidden; the last direction is then held.
    ``confidence`` in [0, 1] ranks gazes and is not a probability. ``source`` names the estimator.
    ``eye_contact`` is the probability that the eyes look into the lens.

    The fields from ``yaw_sigma`` on state the error, for yaw and for pitch, in radians from the
    line to the camera: estimate = centre + gain * (truth - centre) + a normal error with variance
    sigma^2 + (gain_sigma * (truth - centre))^2. So ``sigma`` is the error of a look at ``centre``,
    which is the mean of the calibration targets, or the camera if there is no calibration.
    """

    face_id: str
    origin: FloatArray
    direction: FloatArray
    confidence: float
    valid: bool
    source: str
    person_id: str = ""
    calibrated: bool = False
    eye_contact: float = NAN
    eyes: Eyes = Eyes.UNKNOWN
    yaw_sigma: float = NAN
    pitch_sigma: float = NAN
    yaw_gain: float = 1.0
    pitch_gain: float = 1.0
    yaw_gain_sigma: float = 0.0
    pitch_gain_sigma: float = 0.0
    yaw_centre: float = 0.0
    pitch_centre: float = 0.0

    @property
    def yaw(self) -> float:
        """Yaw of the direction, atan2(dx, -dz), radians: positive to the image's right."""
        return geometry.yaw_pitch(self.direction)[0]

    @property
    def pitch(self) -> float:
        """Pitch of the direction, asin(-dy), radians: positive up."""
        return geometry.yaw_pitch(self.direction)[1]


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """Intensity, probability and confidence of one action unit, each in [0, 1]; NaN: not estimated.

    ``threshold`` is the probability above which the unit counts as active; NaN: there is none.
    """

    intensity: float = NAN
    probability: float = NAN
    confidence: float = NAN
    threshold: float = NAN

    @property
    def active(self) -> bool:
        """Whether the probability is above the threshold; false if one of them is NaN."""
        return self.probability > self.threshold


class Neutral(IntEnum):
    """The neutral face that action units are relative to, with the values of ActionUnits.msg."""

    UNKNOWN = 0  # the publisher does not state it
    NONE = 1  # estimated by a network, which needs no neutral face
    POPULATION = 2  # the average of many people
    LEARNED = 3  # learned while this face was tracked
    SET = 4  # set by the user


@dataclass(frozen=True, slots=True)
class ActionUnits:
    """Action units of one face by FACS number. Units that are not estimated are absent."""

    face_id: str
    source: str
    units: Mapping[int, ActionUnit] = field(default_factory=lambda: MappingProxyType({}))
    person_id: str = ""
    neutral: Neutral = Neutral.NONE


@dataclass(frozen=True, slots=True)
class Blendshapes:
    """Strengths of one face's blendshapes, [52] in [0, 1]; NaN: not estimated.

    The order is that of ``BLENDSHAPES``.
    """

    face_id: str
    source: str
    strength: FloatArray
    confidence: float = NAN
    person_id: str = ""


@dataclass(frozen=True, slots=True)
class Expression:
    """Probabilities of one face's expressions, [7]; NaN: not estimated.

    The order is that of ``EXPRESSIONS``.
    """

    face_id: str
    source: str
    probability: FloatArray
    confidence: float = NAN
    person_id: str = ""

    @property
    def label(self) -> str:
        """Name of the most probable expression; empty if not estimated."""
        if not geometry.all_finite(self.probability):
            return ""
        values = list(self.probability)
        return EXPRESSIONS[values.index(max(values))]


@dataclass(frozen=True, slots=True)
class ValenceArousal:
    """Valence and arousal of one face, each in [-1, 1]; NaN: not estimated."""

    face_id: str
    source: str
    valence: float
    arousal: float
    confidence: float = NAN
    person_id: str = ""


class Target(IntEnum):
    """What a face looks at, with the values of Attention.msg."""

    UNKNOWN = 0
    NONE = 1
    ROBOT = 2
    FACE = 3
    OBJECT = 4


class Engagement(IntEnum):
    """State of engagement with the robot, with the meanings of hri_msgs/EngagementLevel."""

    UNKNOWN = 0
    DISENGAGED = 1
    ENGAGING = 2
    ENGAGED = 3
    DISENGAGING = 4


@dataclass(frozen=True, slots=True)
class Attention:
    """What one face attends to.

    ``angle`` is between its gaze and the line from its eyes to the robot, radians. ``distance`` is
    from its eyes to the robot, metres. ``target_id`` is the id of the face that it looks at, if
    ``target`` is FACE. ``target_name`` is the name of the named target that it looks at, and
    ``target_point`` its centre in the optical frame, metres, if ``target`` is OBJECT.
    ``target_since`` is the stamp, seconds, of the image in which the target began, and
    ``engagement_since`` that of the last change of engagement. ``confidence`` is the probability
    that ``target`` is right. ``source`` is the source of the gaze, "eyes_closed", or "head_pose" if
    only the head pose is known; ``looking_at_robot`` is then false and ``confidence`` at most 0.5.
    ``speaking`` is the probability that the person speaks, estimated by ``speaking_source`` (empty:
    by nothing).
    """

    face_id: str
    source: str
    looking_at_robot: bool
    angle: float
    distance: float
    target: Target
    target_id: str
    target_since: float
    engagement: Engagement
    engagement_since: float
    eye_contact: float = NAN
    person_id: str = ""
    eyes: Eyes = Eyes.UNKNOWN
    confidence: float = NAN
    speaking: float = NAN
    speaking_source: str = ""
    target_name: str = ""
    target_point: tuple[float, float, float] = (NAN, NAN, NAN)
