"""Values to messages and back; every number is made a plain Python one (Humble insists)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import IntEnum
from typing import TypeVar

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from face_perception import geometry, msg, types

_NAN = math.nan

_State = TypeVar("_State", bound=IntEnum)


def seconds(stamp: Time) -> float:
    """Seconds of a stamp."""
    return float(stamp.sec + stamp.nanosec * 1e-9)


def nanoseconds(stamp: Time) -> int:
    """Nanoseconds of a stamp: exact, to pair messages by."""
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)


def time(stamp: float) -> Time:
    """The stamp of seconds, zero where they are NaN or negative."""
    if not stamp >= 0:
        return Time()
    # The fraction by itself: a product with 1e9 has no room for the nanoseconds.
    whole, fraction = divmod(stamp, 1.0)
    nanosec = round(fraction * 1e9)
    return Time(sec=int(whole) + nanosec // 1_000_000_000, nanosec=nanosec % 1_000_000_000)


def camera_to_msg(camera: types.Camera, header: Header) -> CameraInfo:
    info = CameraInfo(header=header, width=camera.width, height=camera.height)
    info.distortion_model = camera.distortion_model
    info.d = [float(v) for v in camera.distortion]
    info.k = camera.matrix.ravel()
    info.r = np.eye(3).ravel()
    info.p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel()
    return info


def camera_from_msg(info: CameraInfo, assumed: bool = False) -> types.Camera:
    """The camera of a CameraInfo. Raises ValueError where it is not calibrated (K zero or NaN)."""
    k = info.k
    return types.Camera(
        width=info.width,
        height=info.height,
        fx=float(k[0]),
        fy=float(k[4]),
        cx=float(k[2]),
        cy=float(k[5]),
        distortion=tuple(float(v) for v in info.d),
        distortion_model=info.distortion_model,
        assumed=assumed,
    )


def face_to_msg(face: types.Face) -> msg.Face:
    out = msg.Face(id=face.id, confidence=float(face.confidence))
    roi = face.roi
    out.roi = RegionOfInterest(
        x_offset=int(roi.x), y_offset=int(roi.y), width=int(roi.width), height=int(roi.height)
    )
    out.landmarks.frombytes(np.ascontiguousarray(face.landmarks, np.float32).tobytes())
    out.left_eye_openness = float(face.left_eye_openness)
    out.right_eye_openness = float(face.right_eye_openness)
    out.left_eye_visibility = float(face.left_eye_visibility)
    out.right_eye_visibility = float(face.right_eye_visibility)
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
    """Where a tracker sends no landmarks they are NaN. Raises ValueError for landmarks of another
    mesh, and for an orientation that is none.
    """
    position, orientation = face.head_pose.position, face.head_pose.orientation
    pose = None
    if math.isfinite(position.x) and math.isfinite(orientation.w):
        pose = types.HeadPose(
            np.array([position.x, position.y, position.z]),
            geometry.rotation_matrix(orientation.x, orientation.y, orientation.z, orientation.w),
        )
    landmarks = np.frombuffer(face.landmarks, np.float32)
    if landmarks.size == 0:
        landmarks = np.full(3 * types.LANDMARKS, np.nan, np.float32)
    if landmarks.size != 3 * types.LANDMARKS:
        raise ValueError(
            f"the landmarks of {face.id} are {landmarks.size} numbers, not x, y and z of each of "
            f"the {types.LANDMARKS} points that Face.msg asks for (send none where there are none)"
        )
    roi = face.roi
    return types.Face(
        id=face.id,
        confidence=face.confidence,
        roi=types.Roi(roi.x_offset, roi.y_offset, roi.width, roi.height),
        landmarks=landmarks.reshape(-1, 3),
        pose=pose,
        left_eye_openness=face.left_eye_openness,
        right_eye_openness=face.right_eye_openness,
        left_eye_visibility=face.left_eye_visibility,
        right_eye_visibility=face.right_eye_visibility,
    )


def faces_to_msg(
    faces: Iterable[types.Face], camera: types.Camera, header: Header
) -> msg.FaceArray:
    return msg.FaceArray(
        header=header,
        camera_info=camera_to_msg(camera, header),
        camera_info_assumed=camera.assumed,
        faces=[face_to_msg(face) for face in faces],
    )


def faces_from_msg(message: msg.FaceArray) -> tuple[list[types.Face], types.Camera]:
    """Faces and the camera that saw them. Raises ValueError where the camera or a face is none."""
    camera = camera_from_msg(message.camera_info, message.camera_info_assumed)
    return [face_from_msg(face) for face in message.faces], camera


def crops_to_msg(crops: Iterable[types.FaceCrop], header: Header) -> msg.FaceCrops:
    out = msg.FaceCrops(header=header)
    for crop in crops:
        height, width = crop.image.shape[:2]
        item = msg.FaceCrop(face_id=crop.face_id, width=int(width), height=int(height))
        item.data.frombytes(np.ascontiguousarray(crop.image).tobytes())
        item.transform = np.ascontiguousarray(crop.transform, np.float32).ravel()
        out.crops.append(item)
    return out


def crops_from_msg(message: msg.FaceCrops) -> list[types.FaceCrop]:
    """Raises ValueError where a crop's data does not have its size."""
    out = []
    for crop in message.crops:
        data = np.frombuffer(crop.data, np.uint8)
        if data.size != crop.width * crop.height * 3:
            raise ValueError(
                f"the crop of {crop.face_id} has {data.size} bytes, not "
                f"{crop.width}x{crop.height}x3"
            )
        out.append(
            types.FaceCrop(
                crop.face_id,
                data.reshape(crop.height, crop.width, 3),
                np.asarray(crop.transform, np.float32).reshape(2, 3),
            )
        )
    return out


def _point(v: types.FloatArray) -> Point:
    return Point(x=float(v[0]), y=float(v[1]), z=float(v[2]))


def gaze_to_msg(gaze: types.Gaze) -> msg.Gaze:
    d = gaze.direction
    return msg.Gaze(
        face_id=gaze.face_id,
        person_id=gaze.person_id,
        source=gaze.source,
        valid=bool(gaze.valid),
        eyes=int(gaze.eyes),
        calibrated=bool(gaze.calibrated),
        confidence=float(gaze.confidence),
        # The message has no centre: it states the error of a look at the camera.
        yaw_sigma=math.hypot(gaze.yaw_sigma, gaze.yaw_gain_sigma * gaze.yaw_centre),
        pitch_sigma=math.hypot(gaze.pitch_sigma, gaze.pitch_gain_sigma * gaze.pitch_centre),
        yaw_gain=float(gaze.yaw_gain),
        pitch_gain=float(gaze.pitch_gain),
        origin=_point(gaze.origin),
        direction=Vector3(x=float(d[0]), y=float(d[1]), z=float(d[2])),
        yaw=gaze.yaw,
        pitch=gaze.pitch,
        eye_contact=float(gaze.eye_contact),
    )


def gaze_from_msg(gaze: msg.Gaze) -> types.Gaze:
    """A field that another publisher left at 0 is unknown: a sigma becomes NaN, a gain 1."""
    o, d = gaze.origin, gaze.direction
    return types.Gaze(
        face_id=gaze.face_id,
        origin=np.array([o.x, o.y, o.z]),
        direction=np.array([d.x, d.y, d.z]),
        confidence=gaze.confidence,
        valid=gaze.valid,
        source=gaze.source,
        person_id=gaze.person_id,
        calibrated=gaze.calibrated,
        eye_contact=gaze.eye_contact,
        eyes=_state(gaze.eyes, types.Eyes.UNKNOWN),
        yaw_sigma=gaze.yaw_sigma if gaze.yaw_sigma > 0 else _NAN,
        pitch_sigma=gaze.pitch_sigma if gaze.pitch_sigma > 0 else _NAN,
        yaw_gain=gaze.yaw_gain if gaze.yaw_gain > 0 else 1.0,
        pitch_gain=gaze.pitch_gain if gaze.pitch_gain > 0 else 1.0,
    )


def _state(value: int, unknown: _State) -> _State:
    """The state of that value; ``unknown`` for a value of a newer version of the message."""
    return type(unknown)(value) if value in tuple(type(unknown)) else unknown


def action_units_to_msg(units: types.ActionUnits) -> msg.ActionUnits:
    out = msg.ActionUnits(
        face_id=units.face_id,
        person_id=units.person_id,
        source=units.source,
        neutral=int(units.neutral),
    )
    for code, unit in sorted(units.units.items()):
        out.codes.append(int(code))
        out.intensity.append(float(unit.intensity))
        out.probability.append(float(unit.probability))
        out.confidence.append(float(unit.confidence))
        out.threshold.append(float(unit.threshold))
    return out


def action_units_from_msg(units: msg.ActionUnits) -> types.ActionUnits:
    """Raises ValueError where a unit lacks one of its values."""
    of_each = ("intensity", "probability", "confidence", "threshold")
    counts = [len(getattr(units, name)) for name in of_each]
    if any(count != len(units.codes) for count in counts):
        raise ValueError(
            f"the action units of {units.face_id} have {len(units.codes)} codes, but "
            + ", ".join(f"{count} of {name}" for count, name in zip(counts, of_each, strict=True))
            + ": one of each for every code is needed, NaN where it is not estimated"
        )
    values = zip(*(getattr(units, name) for name in of_each), strict=True)
    return types.ActionUnits(
        face_id=units.face_id,
        source=units.source,
        units={
            code: types.ActionUnit(*value) for code, value in zip(units.codes, values, strict=True)
        },
        person_id=units.person_id,
        neutral=_state(units.neutral, types.Neutral.NONE),
    )


def blendshapes_to_msg(found: types.Blendshapes) -> msg.Blendshapes:
    return msg.Blendshapes(
        face_id=found.face_id,
        person_id=found.person_id,
        source=found.source,
        strength=np.asarray(found.strength, np.float32),
        confidence=float(found.confidence),
    )


def blendshapes_from_msg(found: msg.Blendshapes) -> types.Blendshapes:
    return types.Blendshapes(
        face_id=found.face_id,
        source=found.source,
        strength=np.asarray(found.strength, np.float32),
        confidence=found.confidence,
        person_id=found.person_id,
    )


def expression_to_msg(expression: types.Expression) -> msg.Expression:
    label = expression.label
    return msg.Expression(
        face_id=expression.face_id,
        person_id=expression.person_id,
        source=expression.source,
        expression=types.EXPRESSIONS.index(label) if label else msg.Expression.UNKNOWN,
        probability=np.asarray(expression.probability, np.float32),
        confidence=float(expression.confidence),
    )


def expression_from_msg(expression: msg.Expression) -> types.Expression:
    return types.Expression(
        face_id=expression.face_id,
        source=expression.source,
        probability=np.asarray(expression.probability, np.float32),
        confidence=expression.confidence,
        person_id=expression.person_id,
    )


def valence_arousal_to_msg(value: types.ValenceArousal) -> msg.ValenceArousal:
    return msg.ValenceArousal(
        face_id=value.face_id,
        person_id=value.person_id,
        source=value.source,
        valence=float(value.valence),
        arousal=float(value.arousal),
        confidence=float(value.confidence),
    )


def valence_arousal_from_msg(value: msg.ValenceArousal) -> types.ValenceArousal:
    return types.ValenceArousal(
        face_id=value.face_id,
        source=value.source,
        valence=value.valence,
        arousal=value.arousal,
        confidence=value.confidence,
        person_id=value.person_id,
    )


def attention_to_msg(attention: types.Attention) -> msg.Attention:
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
        target_since=time(attention.target_since),
        engagement=int(attention.engagement),
        engagement_since=time(attention.engagement_since),
    )


def attention_from_msg(attention: msg.Attention) -> types.Attention:
    return types.Attention(
        face_id=attention.face_id,
        source=attention.source,
        looking_at_robot=attention.looking_at_robot,
        angle=attention.angle,
        distance=attention.distance,
        target=_state(attention.target, types.Target.UNKNOWN),
        target_id=attention.target_id,
        target_since=seconds(attention.target_since),
        engagement=_state(attention.engagement, types.Engagement.UNKNOWN),
        engagement_since=seconds(attention.engagement_since),
        eye_contact=attention.eye_contact,
        person_id=attention.person_id,
        eyes=_state(attention.eyes, types.Eyes.UNKNOWN),
        confidence=attention.confidence,
    )
