"""The values that flow between the rooms: frozen dataclasses, no behaviour beyond derived views.

Optical frame everywhere: x right, y down, z forward (REP-103). Angles in radians, lengths in
metres, times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from face_perception import geometry
from face_perception.errors import InputError

FloatArray = npt.NDArray[np.floating]
Image = npt.NDArray[np.uint8]

# hri_msgs names in the published order of classes (Aff-Wild2, multitask network).
EXPRESSIONS = ("neutral", "angry", "disgusted", "scared", "happy", "sad", "surprised")

# Names of ARKit's blendshapes in the order of MediaPipe's network; left and right are those of the
# person.
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


@dataclass(frozen=True, slots=True)
class Camera:
    """Pinhole intrinsics of one image size, in pixels, with optional lens distortion.

    ``distortion_model`` and ``distortion`` are those of sensor_msgs/CameraInfo. ``assumed`` is true
    where no calibration was given. Raises InputError where the values cannot be a camera (NaN, zero
    focal length).
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

    @classmethod
    def assume(cls, width: int, height: int) -> Camera:
        """A camera without calibration: focal length = image width (53 degrees across), centred."""
        return cls(width, height, width, width, (width - 1) / 2, (height - 1) / 2, assumed=True)

    @property
    def matrix(self) -> FloatArray:
        """[3, 3] float64 camera matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)


@dataclass(frozen=True, slots=True)
class Frame:
    """One image, RGB uint8 [H, W, 3], with the time it was taken and the camera that took it."""

    image: Image
    stamp: float
    camera: Camera
    frame_id: str = ""


@dataclass(frozen=True, slots=True)
class Roi:
    """Box in pixels, clipped to the image."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class HeadPose:
    """REP-155's face frame (x out of the face, z up, origin at the sellion), in the optical frame.

    ``position`` [3] metres; ``rotation`` [3, 3], its columns the face's axes.
    """

    position: FloatArray
    rotation: FloatArray

    @property
    def yaw(self) -> float:
        """Of the face's x axis, positive towards image right."""
        return geometry.yaw_pitch(self.rotation[:, 0])[0]

    @property
    def pitch(self) -> float:
        """Of the face's x axis, positive up."""
        return geometry.yaw_pitch(self.rotation[:, 0])[1]

    @property
    def roll(self) -> float:
        """Positive clockwise in the image."""
        return geometry.roll(self.rotation)


LANDMARKS = 478  # MediaPipe's mesh of 468, and 5 of each iris


@dataclass(frozen=True, slots=True)
class Face:
    """One tracked face in one image.

    ``confidence`` in [0, 1] is the mesh's presence in this image, times the score of the last
    search that found the face. It is lower if the two disagree about eyes, nose and mouth. Clear
    faces have 0.7 to 0.95; false ones seldom more than 0.7.

    ``landmarks`` float32 [478, 3]: x, y in pixels, z in the same scale, smaller is nearer. Eye
    openness is relative to the track's own open level (1 = open as usual, NaN = not known yet).
    Eye visibility, in [0, 1], is near 0 if the eye is hidden by dark glasses, glare or a hand
    (NaN = not estimated). Left and right are those of the person.
    """

    id: str
    confidence: float
    roi: Roi
    landmarks: FloatArray
    pose: HeadPose | None
    left_eye_openness: float = NAN
    right_eye_openness: float = NAN
    left_eye_visibility: float = NAN
    right_eye_visibility: float = NAN


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """An aligned face patch, RGB uint8 [160, 160, 3], and the similarity that made it.

    ``transform`` [2, 3] maps image pixels to patch pixels.
    """

    face_id: str
    image: Image
    transform: FloatArray


class Eyes(IntEnum):
    """State of a face's eyes; values as in Gaze.msg.

    ``UNKNOWN``: the eyes cannot be seen (dark glasses, glare, head turned away, outside the image).
    ``BLINK``: closed, but not yet for longer than a blink. ``CLOSED``: closed for longer.
    """

    UNKNOWN = 0
    OPEN = 1
    BLINK = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class Gaze:
    """Where one face looks, in the optical frame.

    ``origin`` [3] in metres is the midpoint of the eyes, ``direction`` [3] a unit vector. The error
    model, for yaw and for pitch, in radians from the line to the camera: estimate = centre + gain *
    (truth - centre) + a normal error, whose variance is sigma^2 + (gain_sigma * (truth -
    centre))^2. So ``sigma`` is the error of a look at ``centre``: at the calibration's targets, or
    at the camera without a calibration. ``valid`` is false while the eyes are closed or hidden; the
    last direction is then held.
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
        """atan2(dx, -dz): zero along the optical axis to the camera, positive to image right."""
        return geometry.yaw_pitch(self.direction)[0]

    @property
    def pitch(self) -> float:
        """asin(-dy): positive up."""
        return geometry.yaw_pitch(self.direction)[1]


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """Intensity, probability and confidence, each in [0, 1]; NaN where not estimated.

    ``threshold`` is the probability above which the unit counts as active, NaN where there is none.
    """

    intensity: float = NAN
    probability: float = NAN
    confidence: float = NAN
    threshold: float = NAN

    @property
    def active(self) -> bool:
        """Whether the probability is above the threshold; false where either is not known."""
        return self.probability > self.threshold


class Neutral(IntEnum):
    """The neutral face that action units are relative to; values as in ActionUnits.msg."""

    UNKNOWN = 0  # another publisher does not say
    NONE = 1  # a network, which needs no neutral face
    POPULATION = 2  # the average of many people
    LEARNED = 3  # learned while this face was tracked
    SET = 4  # set by the user


@dataclass(frozen=True, slots=True)
class ActionUnits:
    """Action units of one face by FACS number; what is not estimated is absent."""

    face_id: str
    source: str
    units: Mapping[int, ActionUnit] = field(default_factory=lambda: MappingProxyType({}))
    person_id: str = ""
    neutral: Neutral = Neutral.NONE


@dataclass(frozen=True, slots=True)
class Blendshapes:
    """Strengths [52], [0, 1], of one face in the order of ``BLENDSHAPES``; NaN: not estimated."""

    face_id: str
    source: str
    strength: FloatArray
    confidence: float = NAN
    person_id: str = ""


@dataclass(frozen=True, slots=True)
class Expression:
    """Probabilities [7] in the order of ``EXPRESSIONS``; NaN where not estimated."""

    face_id: str
    source: str
    probability: FloatArray
    confidence: float = NAN
    person_id: str = ""

    @property
    def label(self) -> str:
        """Name of the most probable class, empty where not estimated."""
        if not np.isfinite(self.probability).all():
            return ""
        return EXPRESSIONS[int(np.argmax(self.probability))]


@dataclass(frozen=True, slots=True)
class ValenceArousal:
    """Valence and arousal in [-1, 1], NaN where not estimated."""

    face_id: str
    source: str
    valence: float
    arousal: float
    confidence: float = NAN
    person_id: str = ""


class Target(IntEnum):
    """What a face looks at; values as in Attention.msg."""

    UNKNOWN = 0
    NONE = 1
    ROBOT = 2
    FACE = 3


class Engagement(IntEnum):
    """State of engagement with the robot, with the meaning of hri_msgs/EngagementLevel."""

    UNKNOWN = 0
    DISENGAGED = 1
    ENGAGING = 2
    ENGAGED = 3
    DISENGAGING = 4


@dataclass(frozen=True, slots=True)
class Attention:
    """What one face attends to.

    ``angle`` is between its gaze and the line from its eyes to the robot, radians. ``confidence``
    is the probability that ``target`` is right. ``source`` is the source of the gaze, "head_pose"
    if only the head pose is known (``looking_at_robot`` is then false and ``confidence`` at most
    0.5), or "eyes_closed".
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
