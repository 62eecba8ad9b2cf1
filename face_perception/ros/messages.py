"""Converts values to messages and back.

Numbers become plain Python numbers, because messages of ROS Humble accept no others.
"""

from __future__ import annotations

import math
from collections.abc import MutableSequence, Sequence
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from face_perception import geometry, msg, types
from face_perception.camera_messages import camera_from_message
from face_perception.errors import InputError, one_line

_NAN = math.nan
_SIDES = ("left", "right")

# The field of each array message that lists its values.
_LISTS: dict[type[Any], str] = {
    msg.FaceArray: "faces",
    msg.FaceCrops: "crops",
    msg.GazeArray: "gazes",
    msg.ActionUnitsArray: "action_units",
    msg.BlendshapesArray: "blendshapes",
    msg.ExpressionArray: "expressions",
    msg.ValenceArousalArray: "values",
    msg.AttentionArray: "attention",
}

_State = TypeVar("_State", bound=IntEnum)


def seconds(stamp: Time) -> float:
    """Returns the seconds of a stamp."""
    return float(stamp.sec + stamp.nanosec * 1e-9)


def nanoseconds(stamp: Time) -> int:
    """Returns the nanoseconds of a stamp, exact, to match messages."""
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)


def time(stamp: float) -> Time:
    """Returns the stamp of a time in seconds; zero if it is NaN or negative."""
    if not stamp >= 0:
        return Time()
    # Split off the fraction first: a float has too few digits for the product with 1e9.
    whole, fraction = divmod(stamp, 1.0)
    nanosec = round(fraction * 1e9)
    return Time(sec=int(whole) + nanosec // 1_000_000_000, nanosec=nanosec % 1_000_000_000)


def listed(message: Any) -> MutableSequence[Any]:
    """Returns the list in an array message. Raises KeyError for a message of another type."""
    values: MutableSequence[Any] = getattr(message, _LISTS[type(message)])
    return values


def camera_to_msg(camera: types.Camera, header: Header) -> CameraInfo:
    """Returns the CameraInfo of a camera."""
    info = CameraInfo(header=header, width=camera.width, height=camera.height)
    info.distortion_model = camera.distortion_model
    info.d = [float(v) for v in camera.distortion]
    info.k = camera.matrix.ravel()
    info.r = np.eye(3).ravel()
    info.p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel()
    return info


def face_to_msg(face: types.Face) -> msg.Face:
    """Returns the message of a face; values that are not estimated become NaN."""
    out = msg.Face(face_id=face.face_id, confidence=float(face.confidence))
    roi = face.roi
    out.roi = RegionOfInterest(
        x_offset=int(roi.x), y_offset=int(roi.y), width=int(roi.width), height=int(roi.height)
    )
    out.landmarks.frombytes(np.ascontiguousarray(face.landmarks, np.float32).tobytes())
    for quantity in ("openness", "visibility"):
        values = [float(getattr(face, f"{side}_eye_{quantity}")) for side in _SIDES]
        for side, value in zip(_SIDES, values, strict=True):
            setattr(out, f"{side}_eye_{quantity}", value)
        setattr(out, f"eye_{quantity}_valid", not all(math.isnan(value) for value in values))
    out.head_pose_valid = face.pose is not None
    if face.pose is None:
        out.head_pose = Pose(
            position=Point(x=_NAN, y=_NAN, z=_NAN),
            orientation=Quaternion(x=_NAN, y=_NAN, z=_NAN, w=_NAN),
        )
        out.yaw = out.pitch = out.roll = _NAN
        return out
    x, y, z, w = geometry.quaternion(face.pose.rotation)
    out.head_pose = Pose(
        position=_point(face.pose.position), orientation=Quaternion(x=x, y=y, z=z, w=w)
    )
    out.yaw, out.pitch, out.roll = face.pose.yaw, face.pose.pitch, face.pose.roll
    return out


def face_from_msg(face: msg.Face) -> types.Face:
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
    )


def set_camera(message: msg.FaceArray, camera: types.Camera) -> None:
    """Sets the camera of faces, whose header is set."""
    message.camera_info = camera_to_msg(camera, message.header)
    message.camera_info_assumed = camera.assumed


def camera_of(message: Any) -> types.Camera | None:
    """Returns the camera in a message of faces, or None for results of another type.

    Raises InputError if the camera is invalid.
    """
    if not isinstance(message, msg.FaceArray):
        return None
    return camera_from_message(message.camera_info, message.camera_info_assumed)


def crop_to_msg(crop: types.FaceCrop) -> msg.FaceCrop:
    """Returns the message of a face crop."""
    height, width = crop.image.shape[:2]
    out = msg.FaceCrop(face_id=crop.face_id, width=int(width), height=int(height))
    out.data.frombytes(np.ascontiguousarray(crop.image).tobytes())
    out.transform = np.ascontiguousarray(crop.transform, np.float32).ravel()
    return out


def crop_from_msg(crop: msg.FaceCrop) -> types.FaceCrop:
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
    )


def _point(v: types.FloatArray) -> Point:
    return Point(x=float(v[0]), y=float(v[1]), z=float(v[2]))


def gaze_to_msg(gaze: types.Gaze) -> msg.Gaze:
    """Returns the message of a gaze."""
    d = gaze.direction
    return msg.Gaze(
        face_id=gaze.face_id,
        person_id=gaze.person_id,
        source=gaze.source,
        valid=bool(gaze.valid),
        eyes=int(gaze.eyes),
        calibrated=bool(gaze.calibrated),
        confidence=float(gaze.confidence),
        yaw_sigma=float(gaze.yaw_sigma),
        pitch_sigma=float(gaze.pitch_sigma),
        yaw_gain=float(gaze.yaw_gain),
        pitch_gain=float(gaze.pitch_gain),
        yaw_gain_sigma=float(gaze.yaw_gain_sigma),
        pitch_gain_sigma=float(gaze.pitch_gain_sigma),
        yaw_centre=float(gaze.yaw_centre),
        pitch_centre=float(gaze.pitch_centre),
        origin=_point(gaze.origin),
        direction=Vector3(x=float(d[0]), y=float(d[1]), z=float(d[2])),
        yaw=gaze.yaw,
        pitch=gaze.pitch,
        eye_contact=float(gaze.eye_contact),
    )


def gaze_from_msg(gaze: msg.Gaze) -> types.Gaze:
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


def action_units_to_msg(units: types.ActionUnits) -> msg.ActionUnits:
    """Returns the message of action units, sorted by code."""
    out = msg.ActionUnits(
        face_id=units.face_id,
        person_id=units.person_id,
        source=units.source,
        neutral=int(units.neutral),
    )
    for code, unit in sorted(units.units.items()):
        out.code.append(int(code))
        out.intensity.append(float(unit.intensity))
        out.probability.append(float(unit.probability))
        out.confidence.append(float(unit.confidence))
        out.threshold.append(float(unit.threshold))
    return out


def action_units_from_msg(units: msg.ActionUnits) -> types.ActionUnits:
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


def blendshapes_to_msg(found: types.Blendshapes) -> msg.Blendshapes:
    """Returns the message of blendshapes."""
    return msg.Blendshapes(
        face_id=found.face_id,
        person_id=found.person_id,
        source=found.source,
        strength=np.asarray(found.strength, np.float32),
        confidence=float(found.confidence),
    )


def blendshapes_from_msg(found: msg.Blendshapes) -> types.Blendshapes:
    """Returns the blendshapes of a message; strengths that are all 0 become NaN."""
    return types.Blendshapes(
        face_id=found.face_id,
        source=found.source,
        strength=_known(found.strength),
        confidence=found.confidence,
        person_id=found.person_id,
    )


def expression_to_msg(expression: types.Expression) -> msg.Expression:
    """Returns the message of an expression."""
    return msg.Expression(
        face_id=expression.face_id,
        person_id=expression.person_id,
        source=expression.source,
        label=expression.label,
        probability=np.asarray(expression.probability, np.float32),
        confidence=float(expression.confidence),
    )


def expression_from_msg(expression: msg.Expression) -> types.Expression:
    """Returns the expression of a message; probabilities that are all 0 become NaN."""
    return types.Expression(
        face_id=expression.face_id,
        source=expression.source,
        probability=_known(expression.probability),
        confidence=expression.confidence,
        person_id=expression.person_id,
    )


def valence_arousal_to_msg(value: types.ValenceArousal) -> msg.ValenceArousal:
    """Returns the message of valence and arousal."""
    return msg.ValenceArousal(
        face_id=value.face_id,
        person_id=value.person_id,
        source=value.source,
        valence=float(value.valence),
        arousal=float(value.arousal),
        confidence=float(value.confidence),
    )


def valence_arousal_from_msg(value: msg.ValenceArousal) -> types.ValenceArousal:
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


def attention_to_msg(attention: types.Attention) -> msg.Attention:
    """Returns the message of attention."""
    return msg.Attention(
        face_id=attention.face_id,
        person_id=attention.person_id,
        source=attention.source,
        eyes=int(attention.eyes),
        looking_at_robot=bool(attention.looking_at_robot),
        confidence=float(attention.confidence),
        angle=float(attention.angle),
        distance=float(attention.distance),
        eye_contact=float(attention.eye_contact),
        target=int(attention.target),
        target_id=attention.target_id,
        target_name=attention.target_name,
        target_point=Point(**dict(zip("xyz", map(float, attention.target_point), strict=True))),
        target_since=time(attention.target_since),
        engagement=int(attention.engagement),
        engagement_since=time(attention.engagement_since),
        speaking=float(attention.speaking),
        speaking_source=attention.speaking_source,
    )


def attention_from_msg(attention: msg.Attention) -> types.Attention:
    """Returns the attention of a message; fields that were not set become NaN or UNKNOWN."""
    eyes = _state(attention.eyes, types.Eyes.UNKNOWN)
    angle, distance = _known([attention.angle, attention.distance]).tolist()
    place, is_object = attention.target_point, attention.target == msg.Attention.TARGET_OBJECT
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
