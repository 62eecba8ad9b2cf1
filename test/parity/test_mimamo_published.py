"""MIMAMO-Net gives the published answers on a clip of 70 frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import Golden, golden
from motion_crops import run, values

torch = pytest.importorskip("torch")


from affect_goldens import state_dict, tensors

from face_perception import motion
from face_perception.inference import Model, load
from face_perception.learning.mimamo.network import TwoStream
from face_perception.motion import Mimamo, load_mimamo
from face_perception.types import FaceCrop


@pytest.fixture(scope="module")
def published(published_affect_models: Path) -> Iterator[Golden]:
    """The published answers; the imported networks with the same weights are in use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(published_affect_models))
        yield golden("mimamo")


class Remembered:
    """A model that computes each input once, because two tests show it the same images."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._answers: dict[bytes, dict[str, np.ndarray]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        key = inputs["face"].tobytes()
        if key not in self._answers:
            self._answers[key] = self._model.infer(inputs)
        return self._answers[key]


@pytest.fixture(scope="module")
def appearance(published: Golden) -> Any:
    return Remembered(load("mimamo_appearance", threads=2))


def test_published_clip_end_to_end(published: Golden, appearance: Any) -> None:
    """Streams 70 frames through appearance, phases and recurrence, and compares with offline."""
    border = ((24, 24), (24, 24), (0, 0))
    crops = [
        FaceCrop("face_1", np.pad(frame, border), np.eye(2, 3))
        for frame in published["e2e_frames_u8"]
    ]
    networks = load_mimamo(
        "mimamo_released",
        lambda name: appearance if name == "mimamo_appearance" else load(name, threads=2),
    )
    found = run(Mimamo(networks), crops)
    np.testing.assert_allclose(values(found), published["e2e_out_clipwise"], atol=1e-5)


def test_published_batch_of_both_clips(published: Golden, appearance: Any) -> None:
    """Runs the clips of a video as one batch, as the published program does.

    Where clips overlap, the estimates of the last one count.
    """
    frames = published["e2e_frames_u8"]
    grays = np.stack([motion.gray_image(frame) for frame in frames])
    moved = motion.clip_phase_differences(grays)
    images = map(motion.appearance_image, frames)
    features = [appearance.infer({"face": image[None]})["features"][0] for image in images]
    np.testing.assert_allclose(features[::14], published["e2e_features"], atol=1e-4)
    streams = (np.stack(features), *moved)
    clips = [slice(first, end) for first, end in published["e2e_ranges"]]
    inputs = {
        name: np.stack([stream[clip] for clip in clips])
        for name, stream in zip(motion.STREAM_INPUTS, streams, strict=True)
    }
    network = TwoStream("clips").eval()
    network.load_state_dict(tensors(state_dict("mimamo")))
    with torch.inference_mode():
        by_torch = network(*map(torch.from_numpy, inputs.values())).numpy()
    by_onnx = load("mimamo_released", threads=2).infer(inputs)["valence_arousal"]
    for out in (by_torch, by_onnx):
        found = np.empty((len(frames), 2), np.float32)
        for clip, values_ in zip(clips, out, strict=True):
            found[clip] = values_
        np.testing.assert_allclose(found, published["e2e_out_batched"], atol=1e-5)
    apart = np.abs(published["e2e_out_batched"] - published["e2e_out_clipwise"]).max()
    assert apart > 0.02, "a batch of one would not show that clips are seen together"


def test_published_recurrence_over_time(published: Golden) -> None:
    networks = load_mimamo("mimamo")
    assert networks.frame is not None, "the import made both parts"
    assert networks.recurrence is not None
    streams = {
        "appearance": published["net_b1t8_rgb"],
        **{name: published[f"net_b1t8_{name}"] for name in ("phase0", "phase1")},
    }
    features = networks.frame.infer({name: value[0] for name, value in streams.items()})["features"]
    out = networks.recurrence.infer({"features": features[None]})["valence_arousal"]
    np.testing.assert_allclose(out, published["net_b1t8_out_time_axis"], atol=1e-5)
