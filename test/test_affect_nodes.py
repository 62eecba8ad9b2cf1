"""affect with the multitask networks and motion_affect, over DDS: as offline, with the stamp of
the image that an estimate is about.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import affect_models
import cv2
import numpy as np
import pytest
from conftest import NodeProcess, Peer
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from face_perception import faces, msg, paths
from face_perception.affect import MultitaskNet
from face_perception.faces import load_tracker
from face_perception.inference import load
from face_perception.motion import Mimamo, load_networks
from face_perception.nodes import messages
from face_perception.types import Camera, FaceCrop, Frame

Start = Callable[..., NodeProcess]
CLIP = Path(__file__).parent / "data" / "yongen.mp4"
FRAMES, RATE = 60, 25
BEGIN = 1000.0


@pytest.fixture(scope="module")
def crops() -> list[list[FaceCrop]]:
    """The face of the clip, frame by frame, as face_tracker would publish it."""
    clip, tracker, found = cv2.VideoCapture(str(CLIP)), load_tracker(), []
    for t in range(FRAMES):
        read, bgr = clip.read()
        assert read
        image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        camera = Camera.assume(image.shape[1], image.shape[0])
        tracked = tracker.track(Frame(image, t / RATE, camera))
        found.append([faces.crop_face(image, face) for face in tracked])
    clip.release()
    assert sum(map(len, found)) >= FRAMES - 5
    return found


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's own, and small ones in place of those that are imported."""
    folder = tmp_path / "models"
    shutil.copytree(paths.models_dir(), folder, ignore=shutil.ignore_patterns("*.yaml", ".*"))
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    affect_models.install_multitask()
    affect_models.install_mimamo()
    return folder


def publish(peer: Peer, crops: list[list[FaceCrop]], ready: Callable[[], Any]) -> None:
    """An empty image until somebody answers, then all of the clip, by its own clock."""
    publisher = peer.publisher(msg.FaceCrops, "face_crops")
    stamp, end = 1.0, time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end, "nothing came of it"
        publisher.publish(msg.FaceCrops(header=Header(stamp=messages.time(stamp))))
        stamp += 0.05
        peer.spin(0.05)
    for t, of_image in enumerate(crops):
        header = Header(stamp=messages.time(BEGIN + t / RATE), frame_id="eye")
        publisher.publish(messages.crops_to_msg(of_image, header))
        peer.spin(0.03)


def about_clip(heard: list[Any]) -> list[Any]:
    return [m for m in heard if messages.seconds(m.header.stamp) >= BEGIN - 0.001]


@pytest.mark.parametrize(
    ("model", "look_ahead"), [("mimamo", 6), ("mimamo", 0), ("mimamo_released", 6)]
)
def test_motion_affect_is_as_offline(
    start: Start, peer: Peer, crops: list[list[FaceCrop]], model: str, look_ahead: int
) -> None:
    wanted, mimamo = [], Mimamo[int](load_networks(model), look_ahead=look_ahead, window=16)
    for t, of_image in enumerate(crops):
        wanted += mimamo.estimate(t, BEGIN + t / RATE, of_image)
    start("motion_affect", model=model, look_ahead=look_ahead, window=16, appearance_every=1)
    heard = peer.listen(msg.ValenceArousalArray, "motion_affect")
    said = peer.listen(DiagnosticArray, "/diagnostics")
    publish(peer, crops, lambda: heard)
    peer.until(lambda: len(about_clip(heard)) >= len(wanted))
    found = about_clip(heard)
    stamps = [messages.seconds(m.header.stamp) for m in found]
    np.testing.assert_allclose(stamps, [BEGIN + t / RATE for t, _ in wanted], atol=1e-6)
    assert len(wanted) > FRAMES - 10
    for message, (_, values) in zip(found, wanted, strict=True):
        assert message.header.frame_id == "eye"
        assert [f.source for f in message.faces] == [model] * len(values)
        got = [(f.face_id, f.valence, f.arousal) for f in message.faces]
        assert got == [
            (v.face_id, pytest.approx(v.valence, abs=1e-5), pytest.approx(v.arousal, abs=1e-5))
            for v in values
        ]
    peer.until(lambda: any("delay (s)" in str(m) for m in said))
    status = next(m.status[0] for m in reversed(said) if "delay (s)" in str(m))
    values = {v.key: v.value for v in status.values}
    assert values["delay (s)"] == f"{look_ahead / 30:.3f}"
    assert "mimamo_appearance on onnxruntime" in values["models"]


def test_motion_affect_waits_for_its_model(start: Start, peer: Peer, models: Path) -> None:
    (models / "mimamo.yaml").rename(models / "away")
    node = start("motion_affect")
    node.wait_for_log("cannot be configured: there is no model 'mimamo'")
    (models / "away").rename(models / "mimamo.yaml")
    node.wait_for_log("active")


def test_motion_affect_refuses_bad_patches_and_goes_on(
    start: Start, peer: Peer, crops: list[list[FaceCrop]]
) -> None:
    node = start("motion_affect", look_ahead=0)
    heard = peer.listen(msg.ValenceArousalArray, "motion_affect")
    good = [c for c in crops if c][:4]
    small = [FaceCrop("face_1", np.zeros((100, 100, 3), np.uint8), np.eye(2, 3))]
    publish(peer, [*good[:2], small, *good[2:]], lambda: heard)
    peer.until(lambda: len(about_clip(heard)) >= 4)
    assert "a face patch must be RGB uint8 [160, 160, 3], not uint8 [100, 100, 3]" in node.log
    assert messages.seconds(about_clip(heard)[-1].header.stamp) == pytest.approx(BEGIN + 4 / RATE)


@pytest.mark.parametrize("units", ["network", "both"])
def test_affect_runs_the_multitask_network(
    start: Start, peer: Peer, crops: list[list[FaceCrop]], units: str
) -> None:
    start("affect", model="multitask", expression_smoothing=0.0, action_units=units)
    heard = {
        "action_units": peer.listen(msg.ActionUnitsArray, "action_units"),
        "expressions": peer.listen(msg.ExpressionArray, "expressions"),
        "valence_arousal": peer.listen(msg.ValenceArousalArray, "valence_arousal"),
    }
    shown = [c for c in crops if c][:10]
    publish(peer, shown, lambda: all(heard.values()))
    peer.until(lambda: all(len(about_clip(m)) >= 5 for m in heard.values()))
    net = MultitaskNet(load("multitask"))
    for message in about_clip(heard["action_units"]):
        t = round((messages.seconds(message.header.stamp) - BEGIN) * RATE)
        (wanted,) = net.estimate(shown[t])
        (face,) = message.faces
        assert face.source == "multitask"
        assert list(face.codes) == affect_models.AU
        probability = [u.probability for u in wanted.units.units.values()]
        assert list(face.probability) == pytest.approx(probability, abs=1e-5)
        assert list(face.threshold) == pytest.approx(affect_models.THRESHOLDS)
        assert np.isnan(face.intensity).all()
    last = about_clip(heard["valence_arousal"])[-1]
    t = round((messages.seconds(last.header.stamp) - BEGIN) * RATE)
    (wanted,) = net.estimate(shown[t])
    assert last.faces[0].valence == pytest.approx(wanted.valence_arousal.valence, abs=1e-5)
    assert last.faces[0].source == "multitask"
    assert about_clip(heard["expressions"])[-1].faces[0].source == "multitask"
    listening = {
        name for name, _ in peer.node.get_subscriber_names_and_types_by_node("affect", "/")
    }
    assert ("/faces" in listening) == (units == "both"), "landmarks are read only where asked for"


def test_untrained_weights_are_said_everywhere(
    start: Start, peer: Peer, crops: list[list[FaceCrop]]
) -> None:
    """In the node's log and diagnostics, and on every picture with what they gave."""
    affect_models.install_multitask(trained=False)
    said = peer.listen(DiagnosticArray, "/diagnostics")
    label = "random weights: for plumbing only"
    node, _ = start("affect", model="multitask"), start("overlay")
    pictures = peer.listen(Image, "overlay")
    expressions = peer.listen(msg.ExpressionArray, "expressions")
    shown = [c for c in crops if c][:3]
    publish(peer, shown, lambda: expressions)
    peer.until(lambda: about_clip(expressions))
    node.wait_for_log(f"model multitask has {label}")
    assert node.log.count(label) == 1, "once is enough"
    peer.until(
        lambda: any(
            f"model multitask has {label}" in status.message and status.level == status.WARN
            for array in said
            for status in array.status
            if status.name == "affect"
        )
    )
    found = about_clip(expressions)[0]
    images = peer.publisher(Image, "image")
    again = peer.publisher(msg.ExpressionArray, "expressions")

    def show(source: str) -> Callable[[], bool]:
        def bar() -> bool:
            # What the node itself said becomes too old to be drawn.
            found.header.stamp = messages.time(messages.seconds(found.header.stamp) + 0.1)
            for face in found.faces:
                face.source = source
            grey = Image(header=found.header, height=120, width=160, step=480, encoding="rgb8")
            grey.data = np.full(120 * 480, 60, np.uint8).tobytes()
            images.publish(grey)
            again.publish(found)
            peer.spin(0.1)
            return bool(pictures) and (pictures[-1].data[-480] == 0) == (source == "multitask")

        return bar

    peer.until(show("multitask"))
    peer.until(show("expression"))


def test_affect_runs_the_recurrent_network_late(
    start: Start, peer: Peer, crops: list[list[FaceCrop]]
) -> None:
    start("affect", model="multitask_rnn", look_ahead=2)
    heard = peer.listen(msg.ValenceArousalArray, "valence_arousal")
    shown = [c for c in crops if c][:12]
    publish(peer, shown, lambda: heard)
    peer.until(lambda: len(about_clip(heard)) >= 5)
    stamps = [messages.seconds(m.header.stamp) - BEGIN for m in about_clip(heard)]
    assert max(stamps) <= (len(shown) - 3) / RATE + 1e-6
    assert {f.source for m in about_clip(heard) for f in m.faces} == {"multitask_rnn"}
