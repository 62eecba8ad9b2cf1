"""Conversion of values to messages and back."""

from __future__ import annotations

import dataclasses
import math
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from face_perception import geometry, msg, types
from face_perception.avatar import PerformerState
from face_perception.camera_messages import (
    camera_from_message,
    is_rectified,
    sensor_from_message,
    usable_camera,
)
from face_perception.errors import InputError
from face_perception.faces import project_points
from face_perception.media import ImageOrder
from face_perception.ros import messages
from face_perception.ros.phoneme_messages import phonemes_from_msg, phonemes_to_msg
from face_perception.ros.result_kinds import FACE_CROPS, FACES, Result
from face_perception.speech import Phone

RNG = np.random.default_rng(3)


def pose() -> types.HeadPose:
    up = np.array([math.sin(0.2), -math.cos(0.2), 0.0])
    forward = geometry.from_yaw_pitch(0.3, 0.0)
    forward = forward - (forward @ up) * up
    forward /= np.linalg.norm(forward)
    rotation = np.stack([forward, np.cross(up, forward), up], axis=1)
    return types.HeadPose(np.array([0.1, -0.2, 0.9]), rotation)


def face(**changes: Any) -> types.Face:
    values: dict[str, Any] = {
        "face_id": "face_7",
        "confidence": 0.75,
        "roi": types.Roi(1, 2, 30, 40),
        "landmarks": RNG.normal(size=(478, 3)).astype(np.float32),
        "pose": pose(),
        "left_eye_openness": 0.5,
        "right_eye_openness": math.nan,
    }
    return types.Face(**{**values, **changes})


def same(a: Any, b: Any) -> None:
    """Checks that both are equal in each field, to the precision of float32."""
    assert type(a) is type(b)
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if dataclasses.is_dataclass(x):
            same(x, y)
        elif isinstance(x, str | bool) or x is None:
            assert x == y, field.name
        elif isinstance(x, dict):
            assert x.keys() == y.keys()
            for key in x:
                same(x[key], y[key])
        else:
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7, err_msg=field.name)


def test_faces() -> None:
    camera = types.Camera(640, 480, 600, 601, 320, 240, (0.1, 0, 0, 0, 0), "plumb_bob")
    lost = face(face_id="face_8", pose=None, person_id="anna", person_confidence=0.75)
    message = FACES.write(Result(Header(frame_id="cam"), [face(), lost], camera))
    assert message.header.frame_id == message.camera_info.header.frame_id == "cam"
    assert message.faces[0].yaw == pytest.approx(pose().yaw, abs=1e-6)
    assert message.faces[0].roll == pytest.approx(pose().roll, abs=1e-6)
    assert math.isnan(message.faces[1].yaw)
    result = FACES.read(message)
    faces, back = result.values, result.camera
    same(camera, back)
    assert faces[1].pose is None
    assert (faces[1].person_id, faces[1].person_confidence) == ("anna", 0.75)
    message.faces[1].person_confidence = math.nan
    assert messages.face_from_msg(message.faces[1]).person_confidence == 0
    again = messages.face_from_msg(messages.face_to_msg(faces[0]))
    same(faces[0], again)
    assert np.array_equal(
        faces[0].landmarks, np.frombuffer(message.faces[0].landmarks, "f4").reshape(-1, 3)
    )


def test_landmarks_of_another_mesh_are_refused_and_none_are_unknown() -> None:
    message = messages.face_to_msg(face())
    message.landmarks = message.landmarks[: 68 * 3]
    with pytest.raises(ValueError, match=r"landmarks of face_7 are 204 numbers.* 478 points"):
        messages.face_from_msg(message)
    del message.landmarks[:]
    none = messages.face_from_msg(message)
    assert none.landmarks.shape == (478, 3)
    assert np.isnan(none.landmarks).all()
    same(none.pose, pose())


def test_an_assumed_camera_stays_assumed() -> None:
    message = FACES.write(Result(Header(), [], types.Camera.assume(320, 240)))
    camera = FACES.read(message).camera
    assert camera == types.Camera.assume(320, 240)


@pytest.mark.parametrize(
    ("binning", "roi", "size", "centre"),
    [
        ((0, 0), (0, 0, 0, 0), (640, 480), (300.0, 250.0)),
        ((1, 1), (0, 0, 640, 480), (640, 480), (300.0, 250.0)),
        ((2, 2), (0, 0, 0, 0), (320, 240), (149.75, 124.75)),
        ((2, 4), (0, 0, 0, 0), (320, 120), (149.75, 62.125)),
        ((0, 0), (100, 50, 200, 160), (200, 160), (200.0, 200.0)),
        ((2, 2), (100, 50, 200, 160), (100, 80), (99.75, 99.75)),
        ((2, 2), (100, 50, 201, 161), (100, 80), (99.75, 99.75)),
    ],
)
def test_binning_and_roi_of_a_camera_info(
    binning: tuple[int, int],
    roi: tuple[int, int, int, int],
    size: tuple[int, int],
    centre: tuple[float, float],
) -> None:
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.1, 0.0, 0.0, 0.0])
    info.k = [600.0, 0.0, 300.0, 0.0, 500.0, 250.0, 0.0, 0.0, 1.0]
    info.binning_x, info.binning_y = binning
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = roi
    camera = camera_from_message(info)
    assert (camera.width, camera.height) == size
    assert (camera.fx, camera.fy) == (600 / max(binning[0], 1), 500 / max(binning[1], 1))
    assert (camera.cx, camera.cy) == pytest.approx(centre)
    # A ray falls on the same place of the sensor: the centre of its block of pixels.
    point = np.array([0.2, -0.1, 2.0])
    sensor = project_points(sensor_from_message(info), point)[0]
    block = project_points(camera, point)[0]
    steps = np.maximum(binning, 1)
    assert block * steps + (steps - 1) / 2 + roi[:2] == pytest.approx(sensor)


@pytest.mark.parametrize("roi", [(600, 0, 640, 480), (0, 1, 640, 480), (8, 8, 0, 0)])
def test_a_roi_that_is_not_within_the_size_is_of_the_driver_s_sensor(
    roi: tuple[int, int, int, int],
) -> None:
    """Some drivers set ``roi``, but K, width and height for the images."""
    info = CameraInfo(width=640, height=480)
    info.k = [600.0, 0.0, 300.0, 0.0, 500.0, 250.0, 0.0, 0.0, 1.0]
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = roi
    camera = camera_from_message(info)
    assert (camera.width, camera.height, camera.cx, camera.cy) == (640, 480, 300, 250)


@pytest.mark.parametrize(
    ("topic", "rectified"),
    [
        ("/camera/image_raw", False),
        ("/camera/image_rect", True),
        ("/camera/image_rect_color/compressed", True),
        ("/rect_lab/image_raw", False),
        ("/infra1/image_rect_raw", True),
    ],
)
def test_rectified_images_have_p_and_no_distortion(topic: str, rectified: bool) -> None:
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.1, 0.0, 0.0, 0.0])
    info.k = [600.0, 0.0, 300.0, 0.0, 500.0, 250.0, 0.0, 0.0, 1.0]
    info.p = [450.0, 0.0, 310.0, 0.0, 0.0, 440.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.binning_x = info.binning_y = 2
    camera = usable_camera(info, 320, 240, is_rectified(topic))
    assert camera.fx == (225 if rectified else 300)
    assert any(camera.distortion) != rectified
    info.p, info.d = [0.0] * 12, []
    assert usable_camera(info, 320, 240, is_rectified(topic)).fx == 300, "P is not set"


@pytest.mark.parametrize(("place", "value"), [(0, 1.0), (4, 1.0), (0, 1e7), (2, 1e9), (5, -1e9)])
def test_a_matrix_of_no_lens_is_refused(place: int, value: float) -> None:
    """A driver that was not calibrated may send the identity: a face would be 1 mm away."""
    info = CameraInfo(width=640, height=480)
    info.k = [600.0, 0.0, 300.0, 0.0, 500.0, 250.0, 0.0, 0.0, 1.0]
    assert usable_camera(info, 640, 480).fx == 600
    info.k[place] = value
    with pytest.raises(InputError, match="are not those of a lens for 640x480 images: calibrate"):
        usable_camera(info, 640, 480)


_K = [600.0, 0.0, 300.0, 0.0, 600.0, 250.0, 0.0, 0.0, 1.0]
_P = [450.0, 0.0, 310.0, 0.0, 0.0, 450.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def _changed(numbers: list[float], **places: float) -> list[float]:
    return [places.get(f"at_{place}", value) for place, value in enumerate(numbers)]


# Fields of a camera info of 640x480 that is wrong, and what is said.
_WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "skew": ({"k": _changed(_K, at_1=30.0)}, "is not fx 0 cx, 0 fy cy, 0 0 1"),
    "K[8] is 0": ({"k": _changed(_K, at_8=0.0)}, "is not fx 0 cx, 0 fy cy, 0 0 1"),
    "columns first": (
        {"k": [600.0, 0.0, 0.0, 0.0, 600.0, 0.0, 300.0, 250.0, 1.0]},
        "is not fx 0 cx, 0 fy cy, 0 0 1",
    ),
    "negative": ({"k": _changed(_K, at_0=-600.0)}, "must be positive, not fx=-600"),
    "NaN": ({"k": _changed(_K, at_2=math.nan)}, "NaN"),
    "infinite": ({"k": _changed(_K, at_4=math.inf)}, "infinite"),
    "one focal length in mm": ({"k": _changed(_K, at_4=100.0)}, "are not those of a lens"),
    "outside": ({"k": _changed(_K, at_2=-100.0)}, "cx=-100, cy=250 is at the edge"),
    "twice the size": (
        {"k": [1200.0, 0.0, 630.0, 0.0, 1200.0, 470.0, 0.0, 0.0, 1.0]},
        "is at the edge of the 640x480 image",
    ),
    "no size": ({"width": 0, "height": 0}, "size must be positive, not 0x0"),
    "another size": ({"width": 1280, "height": 960, "k": [2 * v for v in _K[:-1]] + [1.0]},
                     "for 1280x960 images, but the images are 640x480"),
    "bends over": (
        {"distortion_model": "plumb_bob", "d": [-9.0, 0.0, 0.0, 0.0, 0.0]},
        "bend the image over",
    ),
    "fisheye bends over": (
        {"distortion_model": "equidistant", "d": [-9.0, 0.0, 0.0, 0.0]},
        "bend the image over",
    ),
    "fisheye of five": (
        {"distortion_model": "equidistant", "d": [0.0] * 5},
        "equidistant has 4 coefficients, not 5",
    ),
    "unknown model": (
        {"distortion_model": "kannala_brandt4", "d": [0.1] * 4},
        "unknown distortion model 'kannala_brandt4'",
    ),
    "no model": ({"d": [0.1] * 5}, "unknown distortion model ''"),
}  # fmt: skip
_WRONG_RECTIFIED: dict[str, tuple[dict[str, Any], str]] = {
    "P of another lens": ({"k": _K, "p": _changed(_P, at_0=45.0, at_5=45.0)}, "which disagree"),
    "P with skew": ({"k": _K, "p": _changed(_P, at_1=30.0)}, "is not fx 0 cx, 0 fy cy, 0 0 1"),
    "P of twice the size": ({"k": _K, "p": _changed(_P, at_2=639.0)}, "is at the edge"),
    "no P": ({"distortion_model": "plumb_bob", "d": [0.1] * 5}, "P is not set"),
}


@pytest.mark.parametrize("kind", [*_WRONG, *_WRONG_RECTIFIED])
def test_a_camera_info_that_contradicts_itself_is_refused(kind: str) -> None:
    fields, said = {**_WRONG, **_WRONG_RECTIFIED}[kind]
    info = CameraInfo(**{"width": 640, "height": 480, "k": _K, **fields})
    with pytest.raises(InputError) as error:
        usable_camera(info, 640, 480, rectified=kind in _WRONG_RECTIFIED)
    assert said in str(error.value)


def test_a_window_may_be_beside_the_principal_point() -> None:
    info = CameraInfo(width=640, height=480, k=_K)
    info.roi.x_offset, info.roi.width, info.roi.height = 540, 100, 480
    assert usable_camera(info, 100, 480).cx == -240


def test_a_fisheye_lens_bends_rays_with_all_coefficients_zero() -> None:
    info = CameraInfo(width=640, height=480, k=_K, distortion_model="equidistant", d=[0.0] * 4)
    camera = usable_camera(info, 640, 480)
    assert project_points(camera, [[1.0, 0.0, 1.0]])[0, 0] == pytest.approx(300 + 150 * math.pi)


def test_images_a_little_older_are_not_used_but_a_new_beginning_is() -> None:
    second = 1_000_000_000
    for stamps, want in (
        # Two swapped images, and one that is late.
        ([10.0, 10.1, 10.05, 10.2, 9.3, 10.3], [True, True, False, True, False, True]),
        # A bag that starts again.
        ([10.0, 10.1, 1.0, 1.1], [True] * 4),
        # No stamps, and standing stamps.
        ([0.0, 0.0, 0.0], [True] * 3),
        # Two cameras, one of which is 0.4 s behind.
        ([10.0, 9.6, 10.1, 9.7, 10.2, 9.8], [True, False] * 3),
        # A clock that was set back by 0.9 s.
        ([10.0, *(9.1 + 0.1 * k for k in range(12))], [True, *[False] * 9, *[True] * 3]),
        # A bag of half a second that starts again and again: the 30th image begins a new round.
        ([*(1 + 0.1 * (k % 5) for k in range(5)), *[1.0, 1.1] * 20], None),
    ):
        order = ImageOrder()
        used = [order.step_back(round(stamp * second)) == 0 for stamp in stamps]
        if want is None:
            assert used[:5] == [True] * 5
            assert used[5:34] == [False] * 29
            assert used[34]
        else:
            assert used == want, stamps


def test_crops() -> None:
    patch = RNG.integers(0, 255, (160, 160, 3), np.uint8)
    crop = types.FaceCrop("a", patch, np.array([[1, 0.1, 3], [-0.1, 1, 4]], np.float32))
    (back,) = FACE_CROPS.read(FACE_CROPS.write(Result(Header(), [crop]))).values
    assert np.array_equal(back.image, patch)
    assert np.array_equal(back.transform, crop.transform)


def test_a_crop_whose_data_lies_is_named() -> None:
    patch = types.FaceCrop("face_2", np.zeros((160, 160, 3), np.uint8), np.eye(2, 3))
    message = FACE_CROPS.write(Result(Header(), [patch]))
    message.crops[0].width = 161
    with pytest.raises(ValueError, match=r"face_2 has 76800 bytes, not 161x160x3"):
        FACE_CROPS.read(message)


@pytest.mark.parametrize(
    ("value", "there", "back"),
    [
        (
            types.Gaze("a", np.array([0.1, 0.2, 0.9]), geometry.from_yaw_pitch(0.2, -0.1), 0.5,
                       True, "geometric", "anna", True, 0.25),
            messages.gaze_to_msg,
            messages.gaze_from_msg,
        ),
        (
            types.ActionUnits("a", "landmarks", {
                45: types.ActionUnit(0.5, math.nan, 0.9), 1: types.ActionUnit(0.25, 0.5, 0.5)
            }, "anna", types.Neutral.LEARNED),
            messages.action_units_to_msg,
            messages.action_units_from_msg,
        ),
        (
            types.Expression("a", "net", np.array([0.1, 0.1, 0.1, 0.1, 0.4, 0.1, 0.1]), 0.4, "b"),
            messages.expression_to_msg,
            messages.expression_from_msg,
        ),
        (
            types.Blendshapes("a", "net", np.linspace(0, 1, 52, dtype=np.float32), 0.5, "anna"),
            messages.blendshapes_to_msg,
            messages.blendshapes_from_msg,
        ),
        (
            types.ValenceArousal("a", "derived", 0.5, -0.25, math.nan, "b"),
            messages.valence_arousal_to_msg,
            messages.valence_arousal_from_msg,
        ),
        (
            types.Recognition("a", "anna", 0.75),
            messages.recognition_to_msg,
            messages.recognition_from_msg,
        ),
        (
            types.Attention("a", "geometric", True, 0.1, 0.9, types.Target.FACE, "b", 12.5,
                            types.Engagement.ENGAGING, 3.25, math.nan, "anna",
                            speaking=0.75, speaking_source="lips"),
            messages.attention_to_msg,
            messages.attention_from_msg,
        ),
    ],
)  # fmt: skip
def test_round_trips(value: Any, there: Any, back: Any) -> None:
    result = back(there(value))
    if isinstance(value, types.Expression):
        np.testing.assert_allclose(result.probability, value.probability, atol=1e-7)
        assert result.label == "happy"
        return
    same(value, result)


def test_an_expression_that_is_not_estimated_has_no_label() -> None:
    nothing = types.Expression("a", "net", np.full(7, math.nan))
    assert messages.expression_to_msg(nothing).label == ""


def test_expressions_are_those_of_the_message() -> None:
    named = [getattr(msg.Expression, name.upper()) for name in types.EXPRESSIONS]
    assert named == list(types.EXPRESSIONS)


@pytest.mark.parametrize(
    ("states", "message", "prefix"),
    [
        (types.Neutral, msg.ActionUnits, "NEUTRAL"),
        (types.Eyes, msg.Gaze, "EYES"),
        (types.Target, msg.Attention, "TARGET"),
        (types.Engagement, msg.Attention, "ENGAGEMENT"),
        (PerformerState, msg.AvatarState, "STATE"),
    ],
)
def test_states_are_those_of_the_message(states: Any, message: Any, prefix: str) -> None:
    for state in states:
        assert getattr(message, f"{prefix}_{state.name}") == state
    assert getattr(message, f"{prefix}_UNKNOWN") == 0


def nothing_known(value: Any) -> None:
    """Checks that all numbers are NaN, texts empty, flags false, and states UNKNOWN."""
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if field.name in ("yaw_gain", "pitch_gain"):
            assert found == 1
        elif field.name in ("yaw_gain_sigma", "pitch_gain_sigma", "yaw_centre", "pitch_centre"):
            assert found == 0
        elif field.name in ("target_since", "engagement_since", "confidence"):
            assert found == 0 or math.isnan(found), field.name
        elif isinstance(found, str | bool | dict | IntEnum):
            assert not found, field.name
        else:
            assert np.isnan(found).all(), field.name


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (msg.Gaze(), messages.gaze_from_msg),
        (msg.ActionUnits(), messages.action_units_from_msg),
        (msg.Blendshapes(), messages.blendshapes_from_msg),
        (msg.Expression(), messages.expression_from_msg),
        (msg.ValenceArousal(), messages.valence_arousal_from_msg),
        (msg.Attention(), messages.attention_from_msg),
        (msg.Recognition(), messages.recognition_from_msg),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_that_nobody_filled_says_nothing(message: Any, read: Any) -> None:
    nothing_known(read(message))


def test_a_face_that_nobody_filled_has_no_pose_and_unknown_eyes() -> None:
    empty = messages.face_from_msg(msg.Face(face_id="face_1"))
    assert empty.pose is None
    for side in ("left", "right"):
        assert math.isnan(getattr(empty, f"{side}_eye_openness"))
        assert math.isnan(getattr(empty, f"{side}_eye_visibility"))


def test_flags_of_a_face_say_what_is_estimated() -> None:
    message = messages.face_to_msg(face())
    assert (message.head_pose_valid, message.eye_openness_valid) == (True, True)
    assert not message.eye_visibility_valid
    assert (message.person_id, message.person_confidence) == ("", 0.0)
    assert not messages.face_to_msg(face(pose=None)).head_pose_valid


def test_an_eye_contact_of_zero_is_known_where_the_eyes_are() -> None:
    closed = msg.Gaze(eyes=msg.Gaze.EYES_CLOSED)
    assert messages.gaze_from_msg(closed).eye_contact == 0


def test_a_neutral_face_is_not_an_unknown_one() -> None:
    """A network may be sure that valence and arousal are 0."""
    calm = messages.valence_arousal_from_msg(msg.ValenceArousal(confidence=0.5))
    assert (calm.valence, calm.arousal) == (0, 0)


def test_what_our_nodes_do_not_estimate_is_unknown() -> None:
    attention = types.Attention("a", "", False, math.nan, math.nan, types.Target.UNKNOWN, "", 0.0,
                                types.Engagement.UNKNOWN, 0.0)  # fmt: skip
    message = messages.attention_to_msg(attention)
    assert math.isnan(message.speaking)
    assert math.isnan(message.target_point.x)
    assert message.speaking_source == message.target_name == ""
    # A publisher that does not know these fields leaves them at 0.
    assert math.isnan(messages.attention_from_msg(msg.Attention()).speaking)


def test_a_list_of_action_units_may_be_empty_and_none_too_short() -> None:
    message = msg.ActionUnits(face_id="a", code=[1, 2], intensity=[0.25, 0.5])
    units = messages.action_units_from_msg(message).units
    assert [unit.intensity for unit in units.values()] == [0.25, 0.5]
    assert all(math.isnan(unit.probability) for unit in units.values())
    message.probability = [0.5]
    with pytest.raises(ValueError, match="2 codes, but 2 of intensity, 1 of probability"):
        messages.action_units_from_msg(message)


def test_a_state_of_a_newer_message_is_unknown() -> None:
    """Messages of a later version must not stop older readers."""
    attention = messages.attention_from_msg(msg.Attention(target=200, engagement=200, eyes=200))
    assert attention.target == types.Target.UNKNOWN
    assert attention.engagement == types.Engagement.UNKNOWN
    assert attention.eyes == types.Eyes.UNKNOWN
    assert messages.gaze_from_msg(msg.Gaze(eyes=200)).eyes == types.Eyes.UNKNOWN
    units = messages.action_units_from_msg(msg.ActionUnits(neutral=200))
    assert units.neutral == types.Neutral.UNKNOWN


def test_gaze_and_attention_keep_the_state_of_the_eyes_and_the_error() -> None:
    gaze = types.Gaze("a", np.array([0, 0, 0.9]), np.array([0.0, 0.0, -1.0]), 0.5, False, "x",
                      eyes=types.Eyes.BLINK, yaw_sigma=0.05, pitch_sigma=0.07, yaw_gain=0.94,
                      pitch_gain=0.39, yaw_gain_sigma=0.2, pitch_gain_sigma=0.15,
                      yaw_centre=-0.1, pitch_centre=0.3)  # fmt: skip
    same(gaze, messages.gaze_from_msg(messages.gaze_to_msg(gaze)))
    attention = types.Attention("a", "eyes_closed", False, math.nan, 0.9, types.Target.NONE, "",
                                12.5, types.Engagement.DISENGAGED, 3.25, 0.0, "anna",
                                types.Eyes.CLOSED, 0.75)  # fmt: skip
    same(attention, messages.attention_from_msg(messages.attention_to_msg(attention)))
    seen = face(left_eye_visibility=0.25, right_eye_visibility=math.nan)
    same(seen, messages.face_from_msg(messages.face_to_msg(seen)))


def test_stamps() -> None:
    stamp = messages.time(1_700_000_000.25)
    assert (stamp.sec, stamp.nanosec) == (1_700_000_000, 250_000_000)
    assert messages.nanoseconds(stamp) == 1_700_000_000_250_000_000
    assert messages.time(math.nan) == messages.time(-1.0) == messages.time(0.0)
    assert messages.time(0.9999999999).sec == 1, "rounded up to a whole second"


def test_phonemes_keep_their_times() -> None:
    said = [Phone("m", 0.25, 0.5), Phone("", 0.5, 1.0)]
    message = phonemes_to_msg(said, 1000.0)
    assert phonemes_from_msg(message) == [Phone("m", 1000.25, 1000.5), Phone("", 1000.5, 1001.0)]
    message.ends.pop()
    with pytest.raises(InputError, match="2 phonemes, 2 starts and 1 ends"):
        phonemes_from_msg(message)
