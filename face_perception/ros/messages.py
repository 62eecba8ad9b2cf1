"""Converts values to messages. ``result_messages`` has the way back, and is offered here, too.

Numbers become plain Python numbers, because messages of ROS Humble accept no others.
"""

from __future__ import annotations

import math

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from face_perception import geometry, msg, types
from face_perception.result_messages import action_units_from_msg as action_units_from_msg
from face_perception.result_messages import attention_from_msg as attention_from_msg
from face_perception.result_messages import blendshapes_from_msg as blendshapes_from_msg
from face_perception.result_messages import camera_of as camera_of
from face_perception.result_messages import crop_from_msg as crop_from_msg
from face_perception.result_messages import expression_from_msg as expression_from_msg
from face_perception.result_messages import face_from_msg as face_from_msg
from face_perception.result_messages import gaze_from_msg as gaze_from_msg
from face_perception.result_messages import listed as listed
from face_perception.result_messages import nanoseconds as nanoseconds
from face_perception.result_messages import recognition_from_msg as recognition_from_msg
from face_perception.result_messages import seconds as seconds
from face_perception.result_messages import valence_arousal_from_msg as valence_arousal_from_msg
from face_perception.result_messages import valid_values as valid_values

_NAN = math.nan
_IDENTITY = np.eye(3).ravel()


def time(stamp: float) -> Time:
    """Returns the stamp of a time in seconds; zero if it is NaN or negative."""
    if not stamp >= 0:
        return Time()
    # Split off the fraction first: a float has too few digits for the product with 1e9.
    whole, fraction = divmod(stamp, 1.0)
    nanosec = round(fraction * 1e9)
    return Time(sec=int(whole) + nanosec // 1_000_000_000, nanosec=nanosec % 1_000_000_000)


def camera_to_msg(camera: types.Camera, header: Header) -> CameraInfo:
    """Returns the CameraInfo of a camera."""
    info = CameraInfo(header=header)
    _fill_camera(info, camera)
    return info


def _fill_camera(info: CameraInfo, camera: types.Camera) -> None:
    """Sets all fields but the header."""
    info.width, info.height = camera.width, camera.height
    info.distortion_model = camera.distortion_model
    info.d = [float(v) for v in camera.distortion]
    # Fields that exist are filled: making nested messages takes longer than setting their numbers.
    info.k[:] = camera.matrix.ravel()
    info.r[:] = _IDENTITY
    info.p[[0, 1, 2, 4, 5, 6, 8, 9, 10]] = info.k


def face_to_msg(face: types.Face) -> msg.Face:
    """Returns the message of a face; values that are not estimated become NaN."""
    out = msg.Face(face_id=face.face_id, confidence=float(face.confidence))
    box, roi = face.roi, out.roi
    roi.x_offset, roi.y_offset = int(box.x), int(box.y)
    roi.width, roi.height = int(box.width), int(box.height)
    out.landmarks.frombytes(np.ascontiguousarray(face.landmarks, np.float32).tobytes())
    left, right = float(face.left_eye_openness), float(face.right_eye_openness)
    out.left_eye_openness, out.right_eye_openness = left, right
    out.eye_openness_valid = not (math.isnan(left) and math.isnan(right))
    left, right = float(face.left_eye_visibility), float(face.right_eye_visibility)
    out.left_eye_visibility, out.right_eye_visibility = left, right
    out.eye_visibility_valid = not (math.isnan(left) and math.isnan(right))
    out.person_id, out.person_confidence = face.person_id, float(face.person_confidence)
    pose, position, orientation = face.pose, out.head_pose.position, out.head_pose.orientation
    out.head_pose_valid = pose is not None
    if pose is None:
        position.x = position.y = position.z = _NAN
        orientation.x = orientation.y = orientation.z = orientation.w = _NAN
        out.yaw = out.pitch = out.roll = _NAN
        return out
    position.x, position.y, position.z = map(float, pose.position)
    orientation.x, orientation.y, orientation.z, orientation.w = geometry.quaternion(pose.rotation)
    out.yaw, out.pitch, out.roll = pose.yaw, pose.pitch, pose.roll
    return out


def set_camera(message: msg.FaceArray, camera: types.Camera) -> None:
    """Sets the camera of faces, whose header is set."""
    message.camera_info.header = message.header
    _fill_camera(message.camera_info, camera)
    message.camera_info_assumed = camera.assumed


def recognition_to_msg(found: types.Recognition) -> msg.Recognition:
    """Returns the message of who a face is."""
    return msg.Recognition(
        face_id=found.face_id,
        person_id=found.person_id,
        confidence=float(found.confidence),
        reason=found.reason,
    )


def crop_to_msg(crop: types.FaceCrop) -> msg.FaceCrop:
    """Returns the message of a face crop."""
    height, width = crop.image.shape[:2]
    out = msg.FaceCrop(
        face_id=crop.face_id, person_id=crop.person_id, width=int(width), height=int(height)
    )
    out.data.frombytes(np.ascontiguousarray(crop.image).tobytes())
    out.transform = np.ascontiguousarray(crop.transform, np.float32).ravel()
    return out


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


def blendshapes_to_msg(found: types.Blendshapes) -> msg.Blendshapes:
    """Returns the message of blendshapes."""
    return msg.Blendshapes(
        face_id=found.face_id,
        person_id=found.person_id,
        source=found.source,
        strength=np.asarray(found.strength, np.float32),
        confidence=float(found.confidence),
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
