"""MIMAMO-Net on a clip of 70 frames, against the published code."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from generated_weights import weights
from goldens import Golden, golden
from motion_crops import Array

torch = pytest.importorskip("torch")


from face_perception import motion, paths
from face_perception.inference import install_model, load
from face_perception.learning.mimamo import checkpoint
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.torch_checkpoint import load_weights, read_checkpoint
from face_perception.motion import Mimamo, load_mimamo
from face_perception.types import FaceCrop, ValenceArousal

Found = list[tuple[Any, list[ValenceArousal]]]


def run(mimamo: Mimamo[int], crops: list[FaceCrop], begin: float = 50.0) -> Found:
    found: Found = []
    for t, crop in enumerate(crops):
        found += mimamo.estimate(t, begin + t / 30, [crop])
    return found + mimamo.finish()


def values(found: Found) -> Array:
    return np.array([[v[0].valence, v[0].arousal] for _, v in found])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    """The published answers; the networks with their weights are imported by the real import."""
    folder = tmp_path_factory.mktemp("published")
    np.savez(folder / "two_stream.npz", **weights("mimamo"))
    np.savez(folder / "ferplus.npz", **weights("resnet50_ferplus"))
    parser = argparse.ArgumentParser()
    checkpoint.add_arguments(parser)
    args = parser.parse_args(
        [str(folder / "two_stream.npz"), "--appearance", str(folder / "ferplus.npz")]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(folder / "models"))
        for made in checkpoint.make(args, lambda step: None):
            install_model(made)
        yield golden("mimamo")


def test_published_clip_end_to_end(published: Golden) -> None:
    """Seventy frames through appearance, phases and recurrence, streamed, as computed offline."""
    border = ((24, 24), (24, 24), (0, 0))
    crops = [
        FaceCrop("face_1", np.pad(frame, border), np.eye(2, 3))
        for frame in published["e2e_frames_u8"]
    ]
    networks = load_mimamo("mimamo_released", lambda name: load(name, threads=2))
    found = run(Mimamo(networks), crops)
    np.testing.assert_allclose(values(found), published["e2e_out_clipwise"], atol=1e-5)


def test_published_batch_of_both_clips(published: Golden) -> None:
    """As the published program runs it: the clips of a video as one batch, whose last estimates
    stand where they overlap.
    """
    frames = published["e2e_frames_u8"]
    grays = np.stack([motion.gray_image(frame) for frame in frames])
    moved = motion.clip_phase_differences(grays)
    appearance, images = load("mimamo_appearance", threads=2), map(motion.appearance_image, frames)
    features = [appearance.infer({"face": image[None]})["features"][0] for image in images]
    np.testing.assert_allclose(features[::14], published["e2e_features"], atol=1e-4)
    streams = (np.stack(features), *moved)
    clips = [slice(first, end) for first, end in published["e2e_ranges"]]
    inputs = {
        name: np.stack([stream[clip] for clip in clips])
        for name, stream in zip(motion.STREAM_INPUTS, streams, strict=True)
    }
    network = TwoStream("clips")
    load_weights(
        network, read_checkpoint(paths.models_dir().parent / "two_stream.npz"), checkpoint.UNUSED
    )
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
