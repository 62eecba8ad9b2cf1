"""The nodes affect and motion_affect over DDS.

Their results equal those computed offline, and carry the stamp of the image that they describe.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import affect_models
import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from model_caches import copy_models
from motion_crops import offline
from node_processes import NodeProcess, Peer
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from waits import scaled

from face_perception import faces, msg
from face_perception.affect import ExpressionNet, MultitaskNet
from face_perception.affect.multitask import MultitaskDecoder, multitask_input
from face_perception.faces import load_tracker
from face_perception.inference import load
from face_perception.ros import messages
from face_perception.ros.result_kinds import FACE_CROPS, Result
from face_perception.types import Camera, FaceCrop, Frame

Start = Callable[..., NodeProcess]
CLIP = Path(__file__).parents[1] / "data" / "yongen.mp4"
FRAMES, RATE = 40, 25
BEGIN = 1000.0


@pytest.fixture(scope="module")
def crops() -> list[list[FaceCrop]]:
    """Crops of the face in each frame of the clip, as face_tracker publishes them."""
    clip, tracker, found = cv2.VideoCapture(str(CLIP)), load_tracker(), []
    for t in range(FRAMES):
        read, bgr = clip.read()
        assert read
        image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        camera = Camera.assume(image.shape[1], image.shape[0])
        tracked = tracker.track(Frame(image, t / RATE, camera))
        named = [dataclasses.replace(face, person_id="anna") for face in tracked]
        found.append([faces.crop_face(image, face) for face in named])
    clip.release()
    assert sum(map(len, found)) >= FRAMES - 5
    return found


@pytest.fixture(scope="module")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache with the package's models and small ones that replace the imported ones."""
    folder = copy_models(tmp_path_factory.mktemp("small") / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(folder))
        affect_models.install_multitask()
        affect_models.install_mimamo()
    return folder


@pytest.fixture(autouse=True)
def models(small_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``small_models`` for the test, in use here and in the nodes that it starts."""
    folder = Path(shutil.copytree(small_models, tmp_path / "models"))
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    return folder


def publish(
    peer: Peer, crops: list[list[FaceCrop]], ready: Callable[[], Any], rate: float = RATE
) -> Any:
    """Publishes empty images until ``ready()``, then the crops of the whole clip.

    The stamps of the clip start at BEGIN, ``rate`` images a second. Returns the publisher.
    """
    publisher = peer.publisher(msg.FaceCrops, "face_crops")
    stamp, end = 1.0, time.monotonic() + scaled(30)
    while not ready():
        assert time.monotonic() < end, "nothing came of it"
        publisher.publish(msg.FaceCrops(header=Header(stamp=messages.time(stamp))))
        stamp += 0.05
        peer.spin(0.05)
    for t, of_image in enumerate(crops):
        header = Header(stamp=messages.time(BEGIN + t / rate), frame_id="eye")
        publisher.publish(FACE_CROPS.write(Result(header, of_image)))
        peer.spin(0.03)
    return publisher


def about_clip(heard: list[Any]) -> list[Any]:
    return [m for m in heard if messages.seconds(m.header.stamp) >= BEGIN - 0.001]


def affects(found: list[Any]) -> np.ndarray:
    """Returns valence and arousal [T, 2] of the first face of each message."""
    return np.array([[m.values[0].valence, m.values[0].arousal] for m in found])


def over_time(faces_: list[FaceCrop], look_ahead: int) -> np.ndarray:
    """Returns results of the recurrent network [T - look_ahead, 10], computed offline.

    The columns are the probabilities of the units, valence and arousal. The trunk runs on the whole
    clip at once, the heads on each window of 8 images.
    """
    features = load("multitask_rnn_trunk").infer({"face": multitask_input(faces_)})["features"]
    heads, rows = load("multitask_rnn"), []
    decode = MultitaskDecoder(heads).decode
    for t in range(len(faces_) - look_ahead):
        newest = t + look_ahead
        first = max(0, newest - 7)
        logits = heads.infer({"features": features[None, first : newest + 1]})
        found = decode("", {name: value[0, t - first] for name, value in logits.items()})
        units = [unit.probability for unit in found.units.units.values()]
        rows.append([*units, found.valence_arousal.valence, found.valence_arousal.arousal])
    return np.array(rows)


@pytest.mark.parametrize(
    ("model", "look_ahead"), [("mimamo", 6), ("mimamo", 0), ("mimamo", 9), ("mimamo_released", 6)]
)
def test_motion_affect_is_as_offline(
    start: Start, peer: Peer, crops: list[list[FaceCrop]], model: str, look_ahead: int
) -> None:
    """Compares with one batch of the whole clip that uses the same windows."""
    shown = [c for c in crops if c]
    faces_ = [face for (face,) in shown]
    # The node also publishes the last images: when no more arrive, it publishes those that waited
    # for the look-ahead.
    wanted = offline(faces_, model, look_ahead, 16)
    assert len(wanted) == len(shown)
    assert np.ptp(wanted, axis=0).min() > 0.001, "the estimates differ from image to image"
    start("motion_affect", model=model, look_ahead=look_ahead, window=16, appearance_every=1)
    heard = peer.listen(msg.ValenceArousalArray, "motion_affect")
    said = peer.listen(DiagnosticArray, "/diagnostics")
    publish(peer, shown, lambda: heard, rate=30)
    peer.until(lambda: len(about_clip(heard)) >= len(wanted))
    found = about_clip(heard)
    stamps = [messages.seconds(m.header.stamp) for m in found]
    np.testing.assert_allclose(stamps, BEGIN + np.arange(len(wanted)) / 30, atol=1e-6)
    for message, crop in zip(found, faces_, strict=False):
        assert message.header.frame_id == "eye"
        about = [(f.source, f.face_id, f.person_id) for f in message.values]
        assert about == [(model, crop.face_id, "anna")]
    np.testing.assert_allclose(affects(found), np.clip(wanted, -1, 1), atol=1e-5)
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
    assert "a face crop must be RGB uint8 [160, 160, 3], not uint8 [100, 100, 3]" in node.log
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
    publisher = publish(peer, [], lambda: all(heard.values()))
    for t, of_image in enumerate(shown):
        header = Header(stamp=messages.time(BEGIN + t / RATE), frame_id="eye")
        publisher.publish(FACE_CROPS.write(Result(header, of_image)))
        # One by one, because the node skips an image if a newer one arrives.
        peer.until(lambda n=t + 1: all(len(about_clip(m)) == n for m in heard.values()))
    net = MultitaskNet(load("multitask"))
    for message in about_clip(heard["action_units"]):
        t = round((messages.seconds(message.header.stamp) - BEGIN) * RATE)
        (wanted,) = net.estimate(shown[t])
        (face,) = message.action_units
        assert (face.source, face.person_id) == ("multitask", "anna")
        assert list(face.code) == affect_models.AU
        probability = [u.probability for u in wanted.units.units.values()]
        assert list(face.probability) == pytest.approx(probability, abs=1e-5)
        assert list(face.threshold) == pytest.approx(affect_models.THRESHOLDS)
        assert np.isnan(face.intensity).all()
    last = about_clip(heard["valence_arousal"])[-1]
    t = round((messages.seconds(last.header.stamp) - BEGIN) * RATE)
    (wanted,) = net.estimate(shown[t])
    assert last.values[0].valence == pytest.approx(wanted.valence_arousal.valence, abs=1e-5)
    for result in (last.values[0], about_clip(heard["expressions"])[-1].expressions[0]):
        assert (result.source, result.person_id) == ("multitask", "anna")
    listening = {
        name for name, _ in peer.node.get_subscriber_names_and_types_by_node("affect", "/")
    }
    assert ("/faces" in listening) == (units == "both"), "landmarks are read only where asked for"


def test_affect_publishes_valence_and_arousal_of_an_expression_network(
    start: Start, peer: Peer, models: Path, crops: list[list[FaceCrop]]
) -> None:
    """As `face-perception import onnx` makes one; not derived from the expression."""
    affect_models.install_expression("emotions")
    start("affect", model="emotions", expression_smoothing=0.0, expression_rate=0.0)
    expressions = peer.listen(msg.ExpressionArray, "expressions")
    affect = peer.listen(msg.ValenceArousalArray, "valence_arousal")
    shown = next(c for c in crops if c)
    publish(peer, [shown], lambda: expressions and affect)
    peer.until(lambda: about_clip(expressions) and about_clip(affect))
    ((wanted, values),) = ExpressionNet(load("emotions")).estimate_affect(shown)
    (found,) = about_clip(affect)[-1].values
    assert (found.source, found.face_id) == ("emotions", shown[0].face_id)
    assert (found.valence, found.arousal) == pytest.approx(
        (values.valence, values.arousal), abs=1e-5
    )
    assert about_clip(expressions)[-1].expressions[0].source == wanted.source == "emotions"


def test_untrained_weights_are_said_everywhere(
    start: Start, peer: Peer, crops: list[list[FaceCrop]]
) -> None:
    """In the log, in the diagnostics, and on every image with results of these weights."""
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
            # A new stamp, so that the result of the node itself is too old to be drawn.
            found.header.stamp = messages.time(messages.seconds(found.header.stamp) + 0.1)
            for expression in found.expressions:
                expression.source = source
            gray = Image(header=found.header, height=120, width=160, step=480, encoding="rgb8")
            gray.data = np.full(120 * 480, 60, np.uint8).tobytes()
            images.publish(gray)
            again.publish(found)
            peer.spin(0.1)
            return bool(pictures) and (pictures[-1].data[-480] == 0) == (source == "multitask")

        return bar

    peer.until(show("multitask"))
    peer.until(show("expression"))


@pytest.mark.parametrize("look_ahead", [0, 3])
def test_recurrent_affect_is_as_offline(
    start: Start, peer: Peer, crops: list[list[FaceCrop]], look_ahead: int
) -> None:
    """Compares with the trunk on the whole clip at once, and the heads on each window."""
    start("affect", model="multitask_rnn", look_ahead=look_ahead, expression_smoothing=0.0)
    heard = {
        "units": peer.listen(msg.ActionUnitsArray, "action_units"),
        "affects": peer.listen(msg.ValenceArousalArray, "valence_arousal"),
    }
    shown = [c for c in crops if c]
    publish(peer, shown, lambda: all(heard.values()))
    last = BEGIN + (len(shown) - 1) / RATE
    peer.until(
        lambda: all(messages.seconds(m[-1].header.stamp) > last - 1e-6 for m in heard.values()),
        why="for the last image, in both",
    )
    found = [about_clip(m) for m in heard.values()]
    assert len(found[1]) >= 30, "enough to tell"
    assert {f.source for messages_ in found for m in messages_ for f in messages.listed(m)} == {
        "multitask_rnn"
    }
    # On a slow computer the node skips images. Its results tell which ones it has seen.
    seen = [round((messages.seconds(m.header.stamp) - BEGIN) * RATE) for m in found[1]]
    assert seen == sorted(set(seen))
    assert max(seen) <= len(shown) - 1
    wanted = over_time([shown[t][0] for t in seen], look_ahead)
    assert np.ptp(wanted, axis=0).max() > 0.003, "the estimates differ from image to image"
    got = [
        [*units.action_units[0].probability, affect.values[0].valence, affect.values[0].arousal]
        for units, affect in zip(*found, strict=True)
    ]
    count = len(seen) - look_ahead
    np.testing.assert_allclose(got[:count], wanted, atol=1e-5)


@pytest.mark.parametrize("node", ["affect", "motion_affect"])
def test_interruptions_begin_anew(
    start: Start, peer: Peer, crops: list[list[FaceCrop]], node: str
) -> None:
    """After each interruption the results are those of a node that has seen nothing before.

    Interruptions: a gap, an image without the face, another id, a stamp that goes back.
    """
    faces_ = [c[0] for c in crops if c]
    model = {"affect": "multitask_rnn", "motion_affect": "mimamo"}[node]
    more = {"appearance_every": 1} if node == "motion_affect" else {}
    start(node, model=model, look_ahead=0, window=8, **more)
    topic = {"affect": "valence_arousal"}.get(node, node)
    heard = peer.listen(msg.ValenceArousalArray, topic)
    publisher = publish(peer, [], lambda: heard)
    # First image of each part -> id of its face. A gap of 30 images precedes image 40; image 50 has
    # no face.
    begins = {0: "face_1", 40: "face_1", 51: "face_1", 61: "face_2", -2000: "face_2"}
    for begin, face_id in begins.items():
        part = faces_[begin % 7 :: 3][:10]
        if begin == 51:
            before = len(heard)
            publisher.publish(
                msg.FaceCrops(header=Header(stamp=messages.time(BEGIN + 50 / 30), frame_id="eye"))
            )
            # Wait until it was processed, because affect skips an image if a newer one arrives.
            peer.until(lambda n=before: len(heard) > n)
        for k, crop in enumerate(part):
            of_id = dataclasses.replace(crop, face_id=face_id)
            header = Header(stamp=messages.time(BEGIN + (begin + k) / 30), frame_id="eye")
            before = len(heard)
            publisher.publish(FACE_CROPS.write(Result(header, [of_id])))
            # One by one, so that the node skips none.
            peer.until(lambda n=before: any(m.values for m in heard[n:]))
        found = [m for m in heard[-12:] if m.values][-10:]
        stamps = [messages.seconds(m.header.stamp) for m in found]
        np.testing.assert_allclose(stamps, BEGIN + (begin + np.arange(10)) / 30, atol=1e-6)
        assert {f.face_id for m in found for f in m.values} == {face_id}
        values = over_time(part, 0)[:, -2:], offline(part, "mimamo", 0, 8)
        wanted = values[node == "motion_affect"]
        np.testing.assert_allclose(affects(found), np.clip(wanted, -1, 1), atol=1e-5)
