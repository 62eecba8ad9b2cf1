"""The gaze node with networks, over DDS: real photographs and faces, real cards, and bad input."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gaze_network
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from faces_scene import frame, paste, wall
from node_processes import NodeProcess, Peer
from rclpy.action import ActionClient
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from waits import scaled

from face_perception import faces, geometry, msg
from face_perception.action import CalibrateGaze
from face_perception.gaze import NetworkGaze, from_normalized_angles, make_gaze_crops
from face_perception.inference import Model, install_model, load
from face_perception.people import CalibrationStore
from face_perception.ros import images, messages
from face_perception.ros.result_kinds import FACES, Result
from face_perception.types import Face, Frame

Start = Callable[..., NodeProcess]


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small gaze network."""
    folder = tmp_path_factory.mktemp("cards")
    gaze_network.install_sides("sides", folder)
    return folder


@pytest.fixture(scope="module")
def two(face_networks: tuple[Model, Model]) -> tuple[Frame, list[Face]]:
    """The people of both photographs in one image."""
    image = wall(960, 540)
    paste(image, "astronaut", 240, 270, 220)
    paste(image, "grace_hopper", 700, 270, 240)
    shot = frame(image)
    return shot, named(faces.FaceTracker(*face_networks).detect(shot))


@pytest.fixture(scope="module")
def one(photo_faces: dict[str, tuple[Frame, Face]]) -> tuple[Frame, list[Face]]:
    shot, face = photo_faces["astronaut"]
    return shot, named([face])


def named(found: list[Face]) -> list[Face]:
    return [dataclasses.replace(face, face_id=f"face_{i}") for i, face in enumerate(found)]


class Camera:
    """Replaces camera and face_tracker: publishes images and the faces in them."""

    def __init__(self, peer: Peer, seen: tuple[Frame, list[Face]]) -> None:
        self.peer = peer
        self.show(seen)
        self.images = peer.publisher(Image, "image")
        self.compressed = peer.publisher(CompressedImage, "image/compressed")
        self.faces = peer.publisher(msg.FaceArray, "faces")
        self.now = 100.0
        self.image_is_late_by = 0.0
        self.jpeg = False

    def show(self, seen: tuple[Frame, list[Face]]) -> None:
        self.shot, self.found = seen
        self.image: Any = images.from_array(self.shot.image)

    def step(self) -> None:
        self.now += 0.05
        header = Header(stamp=messages.time(self.now), frame_id="eye_optical_frame")
        late = Header(stamp=messages.time(self.now - self.image_is_late_by))
        if self.jpeg:
            image = images.to_compressed(self.shot.image)
            image.header = late
            self.compressed.publish(image)
        else:
            self.image.header = late
            self.images.publish(self.image)
        self.faces.publish(FACES.write(Result(header, self.found, self.shot.camera)))
        self.peer.spin(0.05)

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + scaled(30)
        while not condition():
            assert time.monotonic() < end, "nothing came of it"
            self.step()


@pytest.fixture
def camera(peer: Peer, one: tuple[Frame, list[Face]]) -> Camera:
    return Camera(peer, one)


def direction(gaze: Any) -> np.ndarray:
    return np.array([gaze.direction.x, gaze.direction.y, gaze.direction.z])


def of_gaze(said: list[Any]) -> dict[str, str]:
    found = [s for array in said for s in array.status if s.name == "gaze"]
    return {v.key: v.value for v in found[-1].values} if found else {}


@pytest.mark.parametrize("name", ["sides", "picture"])
def test_all_faces_of_an_image_by_a_network(
    start: Start, peer: Peer, two: tuple[Frame, list[Face]], cards: Path, name: str
) -> None:
    """By a network that takes gray crops, and by one that takes a colour picture of the face."""
    if name == "picture":
        gaze_network.install_picture(name, cards, commercial_use=False)
    node = start("gaze", model=str(cards / f"{name}.yaml"))
    camera = Camera(peer, two)
    heard = peer.listen(msg.GazeArray, "gaze")
    said = peer.listen(DiagnosticArray, "/diagnostics")
    camera.until(lambda: len(heard) > 5 and "models" in of_gaze(said))
    shot, found = two
    expected = NetworkGaze(load(cards / f"{name}.yaml")).estimate(shot, found)
    assert (f"model {name} is not for commercial use" in node.log) == (name == "picture")
    last = heard[-1]
    assert last.header.frame_id == "eye_optical_frame"
    assert [g.face_id for g in last.gazes] == ["face_0", "face_1"]
    for gaze, wanted in zip(last.gazes, expected, strict=True):
        assert gaze.valid
        assert gaze.source == name
        assert math.degrees(geometry.angle_between(direction(gaze), wanted.direction)) < 0.1
        assert (gaze.yaw, gaze.pitch) == pytest.approx((wanted.yaw, wanted.pitch), abs=0.002)
    values = of_gaze(said)
    assert values["models"] == f"{name} on onnxruntime in fp32"
    assert "onnxruntime" in values["backend"].lower().replace(" ", "")
    # The faces have left: an empty result is published for the same images.
    camera.found = []
    camera.until(lambda: not heard[-1].gazes)


@pytest.mark.parametrize("name", ["geddnet", "dilated_net"])
def test_the_published_networks(
    start: Start,
    camera: Camera,
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The node loads them by name if they are imported, and reports an error if not."""
    card: Path = request.getfixturevalue(f"{name}_card")
    folder = tmp_path / "models"
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    node = start("gaze", model=name)
    node.wait_for_log(f"there is no model '{name}'")
    shutil.copytree(card.parent, folder)
    heard = camera.peer.listen(msg.GazeArray, "gaze")
    camera.until(lambda: heard and heard[-1].gazes)
    gaze = heard[-1].gazes[0]
    (wanted,) = NetworkGaze(load(card)).estimate(camera.shot, camera.found)
    assert gaze.valid
    assert gaze.source == name
    assert direction(gaze) == pytest.approx(wanted.direction, abs=1e-3)
    assert 0 <= gaze.eye_contact <= 1


def test_a_network_that_was_trained_here(start: Start, camera: Camera, tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning")
    from face_perception.learning.geddnet import recipe as recipes
    from face_perception.learning.geddnet.recipe import GazeRecipe
    from face_perception.learning.synthesis.gaze_crops import GazeFaces, gaze_faces

    drawn = gaze_faces(3, 4, seed=0)
    recipe = GazeRecipe(width=0.03125, epochs=2, batch=6, people=3, images=4)
    network = recipes.train(drawn, recipe, quiet=True)
    made = recipes.model_build(
        "learnt", network, recipe, drawn, trained_on="drawings", licence="none"
    )
    card = install_model(made, tmp_path).path.with_suffix(".yaml")
    start("gaze", model=str(card))
    heard = camera.peer.listen(msg.GazeArray, "gaze")
    camera.until(lambda: len(heard) > 5)
    (gaze,) = heard[-1].gazes
    assert gaze.valid
    assert gaze.source == "learnt"
    # The node publishes what the network returned when it was trained.
    shot, (face,) = camera.shot, camera.found
    crops = make_gaze_crops(shot.image, shot.camera, face)
    images_of = (crops.face, crops.left_eye, crops.right_eye)
    one = GazeFaces(*(i[None] for i in images_of), *np.zeros((2, 1, 2)), np.zeros(1, int), [])
    pitch, yaw = recipes.predict(network, one)[0]
    wanted = from_normalized_angles(crops.rotation, yaw, pitch)
    assert math.degrees(geometry.angle_between(direction(gaze), wanted)) < 0.1


def test_compressed_images(start: Start, camera: Camera, cards: Path) -> None:
    start("gaze", options={"compressed": True}, model=str(cards / "sides.yaml"))
    heard = camera.peer.listen(msg.GazeArray, "gaze")
    camera.jpeg = True
    camera.until(lambda: heard and heard[-1].gazes[0].valid)


def test_half_a_face_is_not_looked_at(
    start: Start, camera: Camera, one: tuple[Frame, list[Face]], cards: Path
) -> None:
    node = start("gaze", model=str(cards / "sides.yaml"))
    heard = camera.peer.listen(msg.GazeArray, "gaze")
    said = camera.peer.listen(DiagnosticArray, "/diagnostics")
    camera.until(lambda: heard and heard[-1].gazes[0].valid)
    assert "no gaze from the network" not in node.log
    before = direction(heard[-1].gazes[0])
    shot, (face,) = one
    x = int(face.landmarks[:, 0].mean())
    half = np.ascontiguousarray(shot.image[:, x:])
    lens = dataclasses.replace(shot.camera, width=half.shape[1], cx=shot.camera.cx - x)
    landmarks = face.landmarks - np.float32((x, 0, 0))
    camera.show((Frame(half, 0.0, lens), [dataclasses.replace(face, landmarks=landmarks)]))
    camera.until(lambda: not heard[-1].gazes[0].valid)
    assert direction(heard[-1].gazes[0]) == pytest.approx(before, abs=0.01), "held"
    camera.until(lambda: "outside the image" in of_gaze(said).get("not seen", ""))
    told = re.findall(r"no gaze from the network: (.*)", node.log)
    assert len(told) == 1, "once, not for every image"
    assert re.match(r"face_0, (\d+% of its|its eyes) .*outside the image", told[0])
    camera.show(one)
    camera.until(lambda: heard[-1].gazes[0].valid)


def test_images_of_other_stamps_are_not_used(start: Start, camera: Camera, cards: Path) -> None:
    node = start("gaze", model=str(cards / "sides.yaml"))
    heard = camera.peer.listen(msg.GazeArray, "gaze")
    camera.image_is_late_by = 0.01
    camera.until(lambda: "/image has no images with the stamps of the faces" in node.log)
    assert not heard
    camera.image_is_late_by = 0.0
    camera.until(lambda: heard)


def test_images_that_are_not_the_trackers(
    start: Start, camera: Camera, one: tuple[Frame, list[Face]], cards: Path
) -> None:
    node = start("gaze", model=str(cards / "sides.yaml"))
    heard = camera.peer.listen(msg.GazeArray, "gaze")
    small = images.from_array(np.zeros((240, 320, 3), np.uint8))
    good, camera.image = camera.image, small
    camera.until(lambda: "is 320x240, but the faces were found in 512x512" in node.log)
    camera.image = images.from_array(camera.shot.image)
    camera.image.encoding = "nonsense"
    camera.until(lambda: "/image: " in node.log and "nonsense" in node.log)
    assert not heard
    camera.image = good
    camera.until(lambda: heard)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("no_such_network", "there is no model 'no_such_network'"),
        ("expression", "model expression is not a gaze network"),
    ],
)
def test_models_that_cannot_be_used(start: Start, peer: Peer, model: str, reason: str) -> None:
    node = start("gaze", model=model)
    assert "cannot be configured" in node.wait_for_log(reason)
    assert node.popen.poll() is None


def test_costs_its_sources_nothing_while_nobody_listens(
    start: Start, camera: Camera, cards: Path
) -> None:
    node = start("gaze", model=str(cards / "sides.yaml"))
    node.wait_for_log("active")
    for _ in range(20):
        camera.step()
    assert camera.images.get_subscription_count() == 0
    assert camera.faces.get_subscription_count() == 0
    heard = camera.peer.listen(msg.GazeArray, "gaze")
    camera.until(lambda: heard)
    assert camera.images.get_subscription_count() == 1


def test_the_geometric_estimator_reads_no_images(start: Start, camera: Camera) -> None:
    start("gaze")
    heard = camera.peer.listen(msg.GazeArray, "gaze")
    camera.until(lambda: heard and heard[-1].gazes[0].valid)
    assert heard[-1].gazes[0].source == "geometric"
    assert camera.images.get_subscription_count() == 0


@pytest.mark.parametrize("name", ["sides", "dilated_net"])
def test_a_person_is_calibrated_for_the_network(
    start: Start,
    peer: Peer,
    camera: Camera,
    cards: Path,
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    card: Path
    card = cards / "sides.yaml" if name == "sides" else request.getfixturevalue(f"{name}_card")
    start("gaze", model=str(card), people=str(tmp_path / "people"))
    heard = peer.listen(msg.GazeArray, "gaze")
    camera.until(lambda: heard and heard[-1].gazes[0].valid)
    client = ActionClient(peer.node, CalibrateGaze, "gaze/calibrate")
    camera.until(client.server_is_ready)
    sent = client.send_goal_async(CalibrateGaze.Goal(face_id="face_0", person_id="anna"))
    camera.until(sent.done)
    result = sent.result().get_result_async()
    camera.until(result.done)
    done = result.result().result
    assert done.success, done.message
    assert done.estimator == name
    if name == "sides":
        # The network always reports a look upwards; the astronaut looks at the lens.
        assert done.bias_pitch == pytest.approx(-gaze_network.PITCH, abs=0.005)
    camera.until(lambda: heard[-1].gazes[0].calibrated)
    gaze = messages.gaze_from_msg(heard[-1].gazes[0])
    assert math.degrees(geometry.angle_between(gaze.direction, -gaze.origin)) < 0.5
    assert gaze.eye_contact > 0.9
    calibration = CalibrationStore(tmp_path / "people").get("anna")[name]
    assert calibration.revision == load(card).card.sha256
