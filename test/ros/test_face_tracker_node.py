"""The face_tracker node over DDS, on real photographs and on everything a camera can do wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_processes import NodeProcess, Peer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_srvs.srv import Trigger
from waits import scaled

from face_perception import msg
from face_perception.inference import sample_photo
from face_perception.ros import images, messages, qos

Start = Callable[..., NodeProcess]


def photo(name: str = "astronaut") -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(sample_photo(name))), cv2.COLOR_BGR2RGB)


def stamped(message: Any, stamp: float, frame: str = "camera_optical_frame") -> Any:
    message.header.stamp = messages.time(stamp)
    message.header.frame_id = frame
    return message


class Camera:
    """Publishes images at 20 Hz, with increasing stamps."""

    def __init__(self, peer: Peer, topic: str = "image", best_effort: bool = False) -> None:
        self.peer = peer
        self.publisher = peer.publisher(Image, topic, best_effort)
        self.now = 1000.0

    def show(self, message: Image, count: int = 5) -> None:
        for _ in range(count):
            self.now += 0.05
            self.publisher.publish(stamped(message, self.now))
            self.peer.spin(0.05)

    def show_until(self, message: Image, condition: Callable[[], Any], timeout: float = 30) -> None:
        end = time.monotonic() + scaled(timeout)
        while not condition():
            assert time.monotonic() < end, "nothing came of it"
            self.show(message, 1)


class Health:
    """The newest diagnostics of the node."""

    def __init__(self, peer: Peer) -> None:
        self._heard = peer.listen(DiagnosticArray, "/diagnostics")

    @property
    def level(self) -> bytes | None:
        return self._heard[-1].status[0].level if self._heard else None

    @property
    def message(self) -> str:
        return self._heard[-1].status[0].message if self._heard else ""


def with_faces(faces: list[Any]) -> Callable[[], bool]:
    return lambda: bool(faces) and len(faces[-1].faces) > 0


def test_a_photograph_gives_a_face(start: Start, peer: Peer) -> None:
    start("face_tracker", id_prefix="left_")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    crops = peer.listen(msg.FaceCrops, "face_crops")
    image = images.from_array(photo())
    camera.show_until(image, lambda: with_faces(faces)() and any(c.crops for c in crops))
    message = faces[-1]
    face = message.faces[0]
    assert face.face_id == "left_1"
    assert message.header.frame_id == "camera_optical_frame"
    assert 1000 < messages.seconds(message.header.stamp) < camera.now + 0.01
    assert message.camera_info_assumed
    assert (message.camera_info.width, message.camera_info.k[0]) == (512, 512.0)
    # The position of the astronaut's face in the photograph.
    assert face.roi.x_offset < 224 < face.roi.x_offset + face.roi.width
    assert face.roi.y_offset < 120 < face.roi.y_offset + face.roi.height
    assert len(face.landmarks) == 478 * 3
    assert abs(face.yaw) < math.radians(35)
    assert abs(face.roll) < math.radians(25)
    assert 0.2 < face.head_pose.position.z < 3
    crop = next(c for c in reversed(crops) if c.crops)
    patch = messages.crop_from_msg(crop.crops[0])
    assert patch.image.shape == (160, 160, 3)
    # The inverse of the transform maps the middle of the crop to the face in the image.
    centre = np.linalg.inv(np.vstack([patch.transform, [0, 0, 1]])) @ [79.5, 79.5, 1]
    assert np.hypot(centre[0] - 224, centre[1] - 120) < 40


def test_compressed_images_and_camera_info(start: Start, peer: Peer) -> None:
    start("face_tracker", compressed=True)
    publisher = peer.publisher(CompressedImage, "image/compressed")
    info_publisher = peer.publisher(CameraInfo, "camera_info")
    faces = peer.listen(msg.FaceArray, "faces")
    picture = photo()
    info = CameraInfo(width=512, height=512, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [700.0, 0.0, 255.5, 0.0, 700.0, 255.5, 0.0, 0.0, 1.0]
    now = 5.0
    end = time.monotonic() + scaled(30)
    while not (with_faces(faces)() and not faces[-1].camera_info_assumed):
        assert time.monotonic() < end
        now += 0.05
        info_publisher.publish(info)
        publisher.publish(stamped(images.to_compressed(picture), now))
        peer.spin(0.05)
    assert faces[-1].camera_info.k[0] == 700.0


def test_a_camera_info_that_was_sent_once(start: Start, peer: Peer) -> None:
    infos = peer.node.create_publisher(CameraInfo, "camera_info", qos.results(1, latched=True))
    k = [700.0, 0.0, 255.5, 0.0, 700.0, 255.5, 0.0, 0.0, 1.0]
    infos.publish(CameraInfo(width=512, height=512, k=k))
    start("face_tracker")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    known = with_faces(faces)
    camera.show_until(
        images.from_array(photo()), lambda: known() and not faces[-1].camera_info_assumed
    )
    assert faces[-1].camera_info.k[0] == 700.0


_USABLE = {"k": [600.0, 0.0, 256.0, 0.0, 600.0, 256.0, 0.0, 0.0, 1.0], "d": [0.0] * 5}
_UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"k": [0.0] * 9}, "calibrate the camera"),
    ({"k": [math.nan] * 9}, "calibrate the camera"),
    (
        {"distortion_model": "radtan", "d": [0.1, 0.01, 0.0, 0.0]},
        "unknown distortion model 'radtan'",
    ),
    ({"distortion_model": "plumb_bob", "d": [0.1, 0.01, 0.0]}, "4 or 5 coefficients, not 3"),
]


def test_an_unusable_camera_info_is_explained_and_not_used(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    infos = peer.publisher(CameraInfo, "camera_info")
    health = Health(peer)

    def show(fields: dict[str, Any], condition: Callable[[], bool]) -> None:
        info = CameraInfo(width=512, height=512, **{**_USABLE, **fields})

        def met() -> bool:
            infos.publish(info)
            return condition()

        camera.show_until(images.from_array(photo()), met)

    def used() -> bool:
        return with_faces(faces)() and not faces[-1].camera_info_assumed

    for fields, said in _UNUSABLE:
        show(fields, lambda said=said: said in node.log and said in health.message)  # type: ignore[misc]
        assert health.level == DiagnosticStatus.WARN
        show(fields, lambda: with_faces(faces)() and faces[-1].camera_info_assumed)
        show({}, used)
    assert "assuming focal length = image width" in node.log
    show({}, lambda: health.level == DiagnosticStatus.OK)


# Width, focal length and binning or region of a camera info, and the focal length of its images.
_BINNED = [
    (1024, 1400.0, {"binning_x": 2, "binning_y": 2}, 700.0),
    (
        1280,
        710.0,
        {"roi": RegionOfInterest(x_offset=300, y_offset=200, width=512, height=512)},
        710.0,
    ),
    # A driver that sets binning, but all else for its images.
    (512, 720.0, {"binning_x": 2, "binning_y": 2}, 720.0),
]


def test_binning_and_roi_of_the_camera_info(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    infos = peer.publisher(CameraInfo, "camera_info")
    for width, focal, extra, expected in _BINNED:
        info = CameraInfo(
            width=width, height=width, distortion_model="plumb_bob", d=[0.0] * 5, **extra
        )
        info.k = [focal, 0.0, width / 2, 0.0, focal, width / 2, 0.0, 0.0, 1.0]

        def used(info: CameraInfo = info, expected: float = expected) -> bool:
            infos.publish(info)
            return with_faces(faces)() and faces[-1].camera_info.k[0] == expected

        camera.show_until(images.from_array(photo()), used)
        assert faces[-1].camera_info.width == 512
        assert not faces[-1].camera_info_assumed
    assert "assuming focal length" not in node.log.partition("no /camera_info")[0]


def test_images_a_little_older_are_dropped(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    image = images.from_array(photo())
    camera.show_until(image, with_faces(faces))
    faces.clear()

    def older_seen() -> bool:
        camera.now -= 0.12  # one step back for two steps forward
        camera.show(image, 1)
        camera.now += 0.07
        return "older than the one before: dropped" in node.log and len(faces) > 10

    camera.show_until(image, older_seen)
    stamps = [messages.seconds(f.header.stamp) for f in faces]
    assert stamps == sorted(stamps)
    assert "restarting the tracker" not in node.log
    assert {face.face_id for f in faces for face in f.faces} == {"face_1"}


def test_stamps_that_go_back_start_again(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    image = images.from_array(photo())
    camera.show_until(image, with_faces(faces))
    camera.now = 10.0
    node_said = "stamps went back by"
    camera.show_until(image, lambda: node_said in node.log)
    faces.clear()
    camera.show_until(image, with_faces(faces))
    assert messages.seconds(faces[-1].header.stamp) < 100


def test_sizes_that_take_turns_are_named_once(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    large = images.from_array(photo())
    small = images.from_array(cv2.resize(photo(), (256, 256), interpolation=cv2.INTER_AREA))
    camera.show_until(large, lambda: len(faces) > 2)
    for _ in range(10):
        count = len(faces)
        for image in (small, large):
            camera.show_until(
                image, lambda w=image.width, c=count: w in [f.camera_info.width for f in faces[c:]]
            )
    log = node.wait_for_log("images on /image are 256x256 after 512x512")
    # The size changes twenty times. Two messages of each kind are logged if a busy computer takes
    # ten seconds.
    assert log.count("restarting the tracker") <= 4, log
    assert log.count("no /camera_info") <= 4, log


def test_images_without_a_stamp_of_their_own_are_named(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    peer.listen(msg.FaceArray, "faces")
    camera = Camera(peer)
    unstamped = images.from_array(np.zeros((48, 64, 3), np.uint8))
    said = "images have no stamp"

    def warned() -> bool:
        camera.publisher.publish(unstamped)
        peer.spin(0.05)
        return bool(diagnostics) and said in diagnostics[-1].status[0].message

    peer.until(warned, why="for diagnostics")
    assert node.log.count(said) == 1
    camera.show_until(unstamped, lambda: said not in diagnostics[-1].status[0].message)


def test_says_when_nothing_comes_and_why(
    start: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_DELAY_FACTOR", "0.2")
    node = start("face_tracker", options={"image": "/camera/image_raw"})
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    peer.listen(msg.FaceArray, "faces")
    node.wait_for_log("nothing on /camera/image_raw for", timeout=30)
    assert "it has no publisher; start the camera" in node.log
    peer.until(
        lambda: diagnostics and "nothing on /camera/image_raw" in diagnostics[-1].status[0].message
    )
    assert diagnostics[-1].status[0].level == b"\x01"


def test_two_cameras_on_one_topic_are_named(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    camera, second = Camera(peer), Camera(peer)
    peer.listen(msg.FaceArray, "faces")
    image = images.from_array(np.zeros((48, 64, 3), np.uint8))

    def told() -> bool:
        second.show(image, 1)
        return "2 publishers on /image" in node.log

    camera.show_until(image, told)


def test_a_best_effort_camera_is_heard(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    camera, faces = Camera(peer, best_effort=True), peer.listen(msg.FaceArray, "faces")
    camera.show_until(images.from_array(photo()), with_faces(faces))
    assert "incompatible" not in node.log


def test_asking_for_reliable_from_a_best_effort_camera_is_explained(
    start: Start, peer: Peer
) -> None:
    node = start("face_tracker", qos="reliable")
    camera = Camera(peer, best_effort=True)
    peer.listen(msg.FaceArray, "faces")
    image = images.from_array(np.zeros((48, 64, 3), np.uint8))
    camera.show_until(
        image, lambda: "its publisher is best effort, from which a reliable" in node.log
    )
    assert "set `qos` to auto" in node.log


def test_it_is_lazy(start: Start, peer: Peer) -> None:
    node = start("face_tracker")
    camera = Camera(peer)
    node.wait_for_log("active")
    camera.show(images.from_array(photo()), 10)
    assert camera.publisher.get_subscription_count() == 0, "nobody wants faces"
    health = Health(peer)
    peer.until(lambda: "active: nobody subscribes to its results" in health.message)
    assert health.level == DiagnosticStatus.OK
    faces = peer.listen(msg.FaceArray, "faces")
    camera.show_until(images.from_array(photo()), with_faces(faces))
    assert camera.publisher.get_subscription_count() == 1
    camera.show_until(
        images.from_array(photo()), lambda: "no /camera_info: assuming" in health.message
    )
    assert health.level == DiagnosticStatus.WARN


def test_it_works_while_simulated_time_stands_still(start: Start, peer: Peer) -> None:
    start("face_tracker", options={"use_sim_time": True})
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    camera.show_until(images.from_array(photo()), lambda: with_faces(faces)() and diagnostics)


def test_reset(start: Start, peer: Peer) -> None:
    start("face_tracker")
    camera, faces = Camera(peer), peer.listen(msg.FaceArray, "faces")
    image = images.from_array(photo())
    camera.show_until(image, with_faces(faces))
    assert peer.call(Trigger, "/face_tracker/reset", Trigger.Request()).success
    camera.show_until(image, lambda: faces[-1].faces and faces[-1].faces[0].face_id == "face_2")


def test_a_missing_model_is_named_and_the_node_recovers(
    start: Start, peer: Peer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = sample_photo("astronaut").parent
    empty = tmp_path / "models"
    empty.mkdir()
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(empty))
    node = start("face_tracker")
    log = node.wait_for_log("face-perception models fetch")
    assert str(empty) in log
    for file in good.iterdir():
        (empty / file.name).write_bytes(file.read_bytes())
    node.wait_for_log("active")


def test_a_truncated_model_is_named(
    start: Start, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "models"
    broken.mkdir()
    for file in sample_photo("astronaut").parent.iterdir():
        data = file.read_bytes()
        (broken / file.name).write_bytes(data[:-1000] if file.suffix == ".onnx" else data)
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(broken))
    node = start("face_tracker")
    log = node.wait_for_log("face-perception models fetch")
    assert ".onnx" in log
