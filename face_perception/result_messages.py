"""Converts messages to values: messages of rclpy, or of a bag, which is read without ROS.

``ros/messages`` converts values to messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableSequence, Sequence
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from face_perception import geometry, types
from face_perception.camera_messages import camera_from_message
from face_perception.errors import InputError, one_line

_NAN = math.nan

# The field of each array message that lists its values.
_LISTS = {
    "FaceArray": "faces",
    "FaceCrops": "crops",
    "RecognitionArray": "recognitions",
    "GazeArray": "gazes",
    "ActionUnitsArray": "action_units",
    "BlendshapesArray": "blendshapes",
    "ExpressionArray": "expressions",
    "ValenceArousalArray": "values",
    "AttentionArray": "attention",
}

_State = TypeVar("_State", bound=IntEnum)
_Value = TypeVar("_Value")


def type_name(message: Any) -> str:
    """Returns the name of the type of a message, such as FaceArray."""
    # rosbags names its classes face_perception__msg__FaceArray.
    return type(message).__name__.rpartition("__")[2]


def seconds(stamp: Any) -> float:
    """Returns the seconds of a stamp."""
    return float(stamp.sec + stamp.nanosec * 1e-9)


def nanoseconds(stamp: Any) -> int:
    """Returns the nanoseconds of a stamp, exact, to match messages."""
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)


def listed(message: Any) -> MutableSequence[Any]:
    """Returns the list in an array message. Raises KeyError for a message of another type."""
    values: MutableSequence[Any] = getattr(message, _LISTS[type_name(message)])
    return values


def valid_values(
    message: Any,
    from_msg: Callable[[Any], _Value],
    refuse: Callable[[ValueError], None] | None = None,
) -> list[_Value]:
    """Returns the values in an array message, converted by ``from_msg``.

    Calls ``refuse`` for each invalid value, and leaves it out. Without ``refuse``, raises
    InputError instead.
    """
    values = []
    for item in listed(message):
        try:
            values.append(from_msg(item))
        except ValueError as error:
            if refuse is None:
                raise
            refuse(error)
    return values


def face_from_msg(face: Any) -> types.Face:
    """Returns the face of a message; landmarks and eyes without an estimate become NaN.

    Raises InputError for a wrong number of landmarks, and for an orientation of length 0.
    """
    position, orientation = face.head_pose.position, face.head_pose.orientation
    pose = None
    if face.head_pose_valid and math.isfinite(position.x) and math.isfinite(orientation.w):
        pose = types.HeadPose(
            np.array([position.x, position.y, position.z]),
            geometry.rotation_matrix(orientation.x, orientation.y, orientation.z, orientation.w),
        )
    landmarks = np.frombuffer(face.landmarks, np.float32)
    if landmarks.size == 0:
        landmarks = np.full(3 * types.LANDMARK_COUNT, np.nan, np.float32)
    if landmarks.size != 3 * types.LANDMARK_COUNT:
        raise InputError(
            f"the landmarks of {one_line(face.face_id, 80)} are {landmarks.size} numbers, not x, y "
            f"and z of the {types.LANDMARK_COUNT} points of Face.msg: send all of them, or none"
        )
    roi = face.roi
    return types.Face(
        face_id=face.face_id,
        confidence=face.confidence,
        roi=types.Roi(roi.x_offset, roi.y_offset, roi.width, roi.height),
        landmarks=landmarks.reshape(-1, 3),
        pose=pose,
        left_eye_openness=face.left_eye_openness if face.eye_openness_valid else _NAN,
        right_eye_openness=face.right_eye_openness if face.eye_openness_valid else _NAN,
        left_eye_visibility=face.left_eye_visibility if face.eye_visibility_valid else _NAN,
        right_eye_visibility=face.right_eye_visibility if face.eye_visibility_valid else _NAN,
        person_id=face.person_id,
        person_confidence=_probability(face.person_confidence),
    )


def recognition_from_msg(found: Any) -> types.Recognition:
    """Returns who a face is, from a message."""
    confidence = _probability(found.confidence)
    return types.Recognition(found.face_id, found.person_id, confidence, found.reason)


def _probability(value: float) -> float:
    """Returns a probability of a message; 0 if it is not from 0 to 1."""
    return value if 0 <= value <= 1 else 0.0


def camera_of(message: Any) -> types.Camera | None:
    """Returns the camera in a message of faces, or None for results of another type.

    Raises InputError if the camera is invalid.
    """
    if not hasattr(message, "camera_info_assumed"):
        return None
    return camera_from_message(message.camera_info, message.camera_info_assumed)


def crop_from_msg(crop: Any) -> types.FaceCrop:
    """Returns the crop of a message. Raises InputError if data does not fit its size."""
    data = np.frombuffer(crop.data, np.uint8)
    if data.size != crop.width * crop.height * 3:
        raise InputError(
            f"the crop of {one_line(crop.face_id, 80)} has {data.size} bytes, not "
            f"{crop.width}x{crop.height}x3"
        )
    return types.FaceCrop(
        crop.face_id,
        data.reshape(crop.height, crop.width, 3),
        np.asarray(crop.transform, np.float32).reshape(2, 3),
        crop.person_id,
    )


def gaze_from_msg(gaze: Any) -> types.Gaze:
    """Returns the gaze of a message.

    A field that its publisher left at 0 is unknown (see Gaze.msg): a gain becomes 1, others NaN.
    """
    o, d = gaze.origin, gaze.direction
    eyes = _state(gaze.eyes, types.Eyes.UNKNOWN)
    return types.Gaze(
        face_id=gaze.face_id,
        origin=_known([o.x, o.y, o.z]),
        direction=_known([d.x, d.y, d.z]),
        confidence=gaze.confidence,
        valid=gaze.valid,
        source=gaze.source,
        person_id=gaze.person_id,
        calibrated=gaze.calibrated,
        eye_contact=_eye_contact(gaze.eye_contact, eyes),
        eyes=eyes,
        yaw_sigma=gaze.yaw_sigma if gaze.yaw_sigma > 0 else _NAN,
        pitch_sigma=gaze.pitch_sigma if gaze.pitch_sigma > 0 else _NAN,
        yaw_gain=gaze.yaw_gain if gaze.yaw_gain > 0 else 1.0,
        pitch_gain=gaze.pitch_gain if gaze.pitch_gain > 0 else 1.0,
        yaw_gain_sigma=gaze.yaw_gain_sigma,
        pitch_gain_sigma=gaze.pitch_gain_sigma,
        yaw_centre=gaze.yaw_centre,
        pitch_centre=gaze.pitch_centre,
    )


def _state(value: int, unknown: _State) -> _State:
    """Returns the state of a value; ``unknown`` for a value that this version does not define."""
    return type(unknown)(value) if value in tuple(type(unknown)) else unknown


def _known(values: Sequence[float] | npt.NDArray[np.floating]) -> types.FloatArray:
    """Returns the values, or NaN if all are 0, because then nobody has set the field."""
    found = np.asarray(values, np.float64)
    return found if found.any() else np.full(found.shape, np.nan)


def _eye_contact(probability: float, eyes: types.Eyes) -> float:
    """Returns NaN for a probability of 0 if the state of the eyes is unknown: it was not set."""
    return _NAN if probability == 0 and eyes == types.Eyes.UNKNOWN else probability


def action_units_from_msg(units: Any) -> types.ActionUnits:
    """Returns the action units of a message; an empty list becomes NaN for every unit.

    Raises InputError if another list is not as long as the list of codes.
    """
    count = len(units.code)
    lists = {
        name: list(getattr(units, name)) or [_NAN] * count
        for name in ("intensity", "probability", "confidence", "threshold")
    }
    if any(len(values) != count for values in lists.values()):
        raise InputError(
            f"the action units of {one_line(units.face_id, 80)} have {count} codes, but "
            + ", ".join(f"{len(values)} of {name}" for name, values in lists.items())
            + ": each list must be as long as code (NaN: not estimated), or empty"
        )
    values = zip(*lists.values(), strict=True)
    return types.ActionUnits(
        face_id=units.face_id,
        source=units.source,
        units={
            code: types.ActionUnit(*value) for code, value in zip(units.code, values, strict=True)
        },
        person_id=units.person_id,
        neutral=_state(units.neutral, types.Neutral.UNKNOWN),
    )


def blendshapes_from_msg(found: Any) -> types.Blendshapes:
    """Returns the blendshapes of a message; strengths that are all 0 become NaN."""
    return types.Blendshapes(
        face_id=found.face_id,
        source=found.source,
        strength=_known(found.strength),
        confidence=found.confidence,
        person_id=found.person_id,
    )


def expression_from_msg(expression: Any) -> types.Expression:
    """Returns the expression of a message; probabilities that are all 0 become NaN."""
    return types.Expression(
        face_id=expression.face_id,
        source=expression.source,
        probability=_known(expression.probability),
        confidence=expression.confidence,
        person_id=expression.person_id,
    )


def valence_arousal_from_msg(value: Any) -> types.ValenceArousal:
    """Returns valence and arousal of a message; NaN if all its values are 0."""
    valence, arousal, confidence = _known([value.valence, value.arousal, value.confidence]).tolist()
    return types.ValenceArousal(
        face_id=value.face_id,
        source=value.source,
        valence=valence,
        arousal=arousal,
        confidence=confidence,
        person_id=value.person_id,
    )


def attention_from_msg(attention: Any) -> types.Attention:
    """Returns the attention of a message; fields that were not set become NaN or UNKNOWN."""
    eyes = _state(attention.eyes, types.Eyes.UNKNOWN)
    angle, distance = _known([attention.angle, attention.distance]).tolist()
    place, is_object = attention.target_point, attention.target == types.Target.OBJECT
    return types.Attention(
        face_id=attention.face_id,
        source=attention.source,
        looking_at_robot=attention.looking_at_robot,
        angle=angle,
        distance=distance,
        target=_state(attention.target, types.Target.UNKNOWN),
        target_id=attention.target_id,
        target_since=seconds(attention.target_since),
        engagement=_state(attention.engagement, types.Engagement.UNKNOWN),
        engagement_since=seconds(attention.engagement_since),
        eye_contact=_eye_contact(attention.eye_contact, eyes),
        person_id=attention.person_id,
        eyes=eyes,
        confidence=attention.confidence,
        speaking=attention.speaking if attention.speaking_source else _NAN,
        speaking_source=attention.speaking_source,
        target_name=attention.target_name,
        target_point=(place.x, place.y, place.z) if is_object else (_NAN, _NAN, _NAN),
    )
