"""The attention node with sound, named targets and the robot's announced target, over DDS."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lips_scene import Lips, face_with_lips, heard, recorded, speaking_lips, still_lips
from model_caches import copy_models
from node_handlers import NodeHandlers
from node_processes import NodeProcess, Peer
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Float32, Header, String
from visualization_msgs.msg import Marker, MarkerArray

from face_perception import msg
from face_perception.inference import ModelBuild, Port, install_model
from face_perception.inference.conversion.onnx_graph import Graph
from face_perception.ros import messages
from face_perception.ros.result_kinds import FACE_CROPS, FACES, GAZES, Result
from face_perception.speech import MOUTH_RATE
from face_perception.types import Camera, Eyes, FaceCrop, Gaze

Start = Callable[..., NodeProcess]
FPS, BEGIN, SOUND_LATE = 25, 1000.0, 0.2
SIGMA = math.radians(2)


class People:
    """Replaces tracker, gaze node, microphone and voice activity, in stamps of the test's own."""

    def __init__(self, peer: Peer, lips: dict[str, Lips], samples: np.ndarray) -> None:
        self.peer, self.lips, self.samples = peer, lips, samples
        self.voice = heard(samples).voice
        self.faces = peer.publisher(msg.FaceArray, "faces")
        self.gaze = peer.publisher(msg.GazeArray, "gaze")
        self.audio = peer.publisher(msg.Audio, "audio")
        self.activity = peer.publisher(msg.VoiceActivity, "voice_activity")
        self.attention = peer.listen(msg.AttentionArray, "attention")
        self.time = 0.0

    def connect(self) -> None:
        publishers = self.audio, self.activity, self.faces, self.gaze
        self.peer.until(
            lambda: all(p.get_subscription_count() for p in publishers), why="for the node"
        )

    def before_faces(self, header: Header) -> None:
        """What is published before the faces of an image."""

    def show(self, here: bool = True) -> None:
        """Publishes the next image, and the sound since the last one; waits for the answer."""
        size = MOUTH_RATE // FPS
        first = round(self.time * MOUTH_RATE)
        late = messages.time(BEGIN + self.time + SOUND_LATE)
        piece = (self.samples[first : first + size] * 32767).astype(np.int16)
        chunk = msg.Audio(sample_rate=MOUTH_RATE, channels=1, samples=piece)
        chunk.header.stamp = late
        self.audio.publish(chunk)
        near = [p for t, p in self.voice if self.time <= t < self.time + 1 / FPS]
        activity = msg.VoiceActivity(valid=bool(near), probability=max(near, default=math.nan))
        activity.header.stamp = late
        self.activity.publish(activity)
        self.time += 1 / FPS
        header = Header(stamp=messages.time(BEGIN + self.time), frame_id="eye_optical_frame")
        found = [
            face_with_lips(name, lips(self.time), 0.4 * n)
            for n, (name, lips) in enumerate(self.lips.items())
            if here
        ]
        gazes = []
        for face in found:
            assert face.pose is not None
            eyes = face.pose.position
            gazes.append(
                Gaze(
                    face.face_id,
                    eyes,
                    -eyes / np.linalg.norm(eyes),
                    confidence=0.9,
                    valid=True,
                    source="test",
                    eyes=Eyes.OPEN,
                    yaw_sigma=SIGMA,
                    pitch_sigma=SIGMA,
                )
            )
        self.before_faces(header)
        self.gaze.publish(GAZES.write(Result(header, gazes)))
        self.faces.publish(FACES.write(Result(header, found, Camera.assume(640, 480))))
        self.peer.until(lambda: self.last_stamp() >= BEGIN + self.time - 1e-6, why="for attention")

    def last_stamp(self) -> float:
        return messages.seconds(self.attention[-1].header.stamp) if self.attention else 0.0


def latched(peer: Peer, kind: type[Any], topic: str) -> list[Any]:
    found: list[Any] = []
    qos = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_subscription(kind, topic, found.append, qos)
    return found


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


def marker(name: str, x: float, frame: str = "", **other: Any) -> Marker:
    made = Marker(ns=name, id=1, **other)
    made.header.frame_id = frame
    made.pose.position.x, made.pose.position.z = x, 1.0
    made.scale.x = made.scale.y = made.scale.z = 0.2
    return made


def test_who_speaks_what_they_look_at_and_who_was_here(start: Start, peer: Peer) -> None:
    node = start("attention", targets="lamp=0,0,0.5,0.05@lamp_link")
    seconds = 9.0
    samples = recorded(seconds)
    people = People(peer, {"anna": speaking_lips(samples), "bert": still_lips}, samples)
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    probabilities = peer.listen(DiagnosticArray, "target_probabilities")
    events = peer.listen(DiagnosticArray, "gaze_events")
    speakers = latched(peer, String, "speaker")
    departed = latched(peer, DiagnosticArray, "departed")
    markers = peer.publisher(MarkerArray, "targets")
    announced = peer.node.create_publisher(
        String, "robot_target", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    )
    announced.publish(String(data="anna"))
    people.connect()
    peer.until(lambda: markers.get_subscription_count(), why="for the subscription to targets")
    # Two markers of one name are refused with the whole message.
    twice = [marker("cup", 2.0), marker("other", 2.0, text="cup")]
    markers.publish(MarkerArray(markers=twice))
    node.wait_for_log("two targets are called cup")
    markers.publish(MarkerArray(markers=[marker("door", 2.0, "eye_optical_frame")]))

    said = []
    for _ in range(round(seconds * FPS)):
        people.show()
        said.append({a.face_id: a.speaking for a in people.attention[-1].attention})
    last = people.attention[-1].attention
    assert {a.speaking_source for a in last} == {"lips_voice_and_sound"}
    assert np.mean([s["anna"] >= 0.5 for s in said[-25:]]) > 0.8
    assert max(s["bert"] for s in said[-100:]) < 0.5
    peer.until(lambda: "anna" in [m.data for m in speakers], why="for the speaker")
    assert "bert" not in [m.data for m in speakers]
    # The sound is stamped 0.2 s late; the diagnostics say so.
    peer.until(
        lambda: any("later than those of the images" in m.status[0].message for m in diagnostics),
        why="for the warning about the clocks",
    )
    node.wait_for_log("target lamp is in the frame lamp_link, but")

    looks = {status.name: values(status) for status in probabilities[-1].status}
    assert set(looks) == {"anna", "bert"}
    assert float(looks["anna"]["probability robot"]) > 0.5
    assert float(looks["anna"]["probability door"]) < 0.1
    assert not any("lamp" in key or "cup" in key for key in looks["anna"])
    assert float(looks["anna"]["share robot"]) == pytest.approx(1, abs=0.01)
    mutual = events[0].status[0]
    assert (mutual.name, mutual.message) == ("mutual_gaze", "begins")
    assert values(mutual) == {"first": "anna", "second": "robot", "target": ""}

    for _ in range(round(2.5 * FPS)):
        people.show(here=False)
    peer.until(lambda: departed, why="for those who have left")
    gone = {status.name: values(status) for status in departed[-1].status}
    assert set(gone) == {"anna", "bert"}
    assert float(gone["bert"]["x"]) == pytest.approx(0.4)
    assert float(gone["anna"]["last_seen"]) == pytest.approx(BEGIN + seconds, abs=0.1)
    peer.until(lambda: speakers[-1].data == "", why="for silence")


class SeenPeople(People):
    """People of whom the network sees crops: anna bright, the others dark."""

    def connect(self) -> None:
        self.crops = self.peer.publisher(msg.FaceCrops, "face_crops")
        self.peer.until(self.crops.get_subscription_count, why="for the network")
        super().connect()

    def before_faces(self, header: Header) -> None:
        crops = [
            FaceCrop(name, np.full((160, 160, 3), level, np.uint8), np.eye(2, 3))
            for name, level in zip(self.lips, (230, 25), strict=False)
        ]
        self.crops.publish(FACE_CROPS.write(Result(header, crops)))


def install_bright_network() -> None:
    """Installs a network with the ports of LR-ASD for which bright faces speak."""
    graph = Graph("bright")
    faces = graph.input("faces", (25, 112, 112))
    mean = graph.node("ReduceMean", faces, axes=[2, 3], keepdims=0)
    sound = graph.node("ReduceMean", graph.input("mfcc", (100, 13)), axes=[1, 2], keepdims=0)
    column = graph.node("Unsqueeze", sound, graph.indices([1]))
    silent = graph.node("Mul", column, graph.constant(0))
    bright = graph.node("Mul", mean, graph.constant(1 / 255))
    graph.output("speaking", graph.node("Add", bright, silent), (25,))
    made = ModelBuild(
        name="bright",
        onnx=graph.serialise(),
        task="says that bright faces speak",
        licence="Apache-2.0",
        origin="test",
        inputs={
            "faces": Port((None, 25, 112, 112), "float32", "gray"),
            "mfcc": Port((None, 100, 13), "float32", "MFCC"),
        },
        outputs={"speaking": Port((None, 25), "float32", "probability", tolerance=0.01)},
        facts={"window": 25, "rate_hz": 25, "crop": [24, 24, 112]},
        reference_inputs={
            "faces": np.full((1, 25, 112, 112), 99, np.float32),
            "mfcc": np.zeros((1, 100, 13), np.float32),
        },
    )
    install_model(made)


def test_a_network_tells_who_speaks(
    start: Start, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both move their lips alike; only the network tells them apart."""
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(copy_models(tmp_path / "models")))
    install_bright_network()
    node = start("attention", speaker_model="bright", direction_topic="direction")
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    direction = peer.publisher(Float32, "direction")
    samples = recorded(6.0)
    lips = speaking_lips(samples)
    people = SeenPeople(peer, {"anna": lips, "bert": lips}, samples)
    people.connect()
    said: list[dict[str, float]] = []
    while not said or not said[-1]["anna"] > 0.8:
        people.show()
        last = people.attention[-1].attention
        said.append({one.face_id: one.speaking for one in last})
    assert math.isnan(said[0]["anna"])  # the network has not run yet
    assert said[-1]["bert"] < 0.15
    assert {one.speaking_source for one in last} == {"bright"}
    peer.until(
        lambda: any("bright on onnxruntime" in str(m) for m in diagnostics),
        why="for the diagnostics",
    )
    peer.until(direction.get_subscription_count, why="for the subscription to the direction")
    direction.publish(Float32(data=170.0))
    node.wait_for_log("the direction of the sound is 170, which is not in radians")
    peer.until(
        lambda: any("direction: the direction of the sound is 170" in str(m) for m in diagnostics),
        why="for the warning in the diagnostics",
    )


@pytest.mark.parametrize("topic", ["sound direction", "1st_direction", "direction/"])
def test_a_wrong_direction_topic_is_named(
    topic: str, domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match=f"direction_topic '{topic}' is not a ROS name"):
        NodeHandlers(
            "attention", monkeypatch.setattr, parameters={"direction_topic": topic}, timeout=1.0
        )


def test_wrong_targets_are_refused_while_it_runs(start: Start, peer: Peer) -> None:
    node = start("attention")
    node.wait_for_log("active")
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="cup=1,2,3")
    request = SetParametersAtomically.Request(parameters=[Parameter(name="targets", value=value)])
    result = peer.call(
        SetParametersAtomically, "/attention/set_parameters_atomically", request
    ).result
    assert not result.successful
    assert "'cup=1,2,3' is not a target" in result.reason
