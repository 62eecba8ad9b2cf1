"""MuseTalk's losses, samplers, discriminator and SyncNet give the answers of the released code."""

from __future__ import annotations

import random

import numpy as np
import pytest
from generated_weights import normals, parameter_shapes, weights
from goldens import Golden, golden

torch = pytest.importorskip("torch")

from face_perception.learning.musetalk import frame_sampling, losses, syncnet
from face_perception.learning.musetalk.image_pyramid import SCALES, image_pyramid
from face_perception.learning.musetalk.patch_discriminator import PatchDiscriminator
from face_perception.learning.musetalk.sync_mel import sync_mel


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("musetalk_training")


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    """The random image that the released code was run on."""
    return torch.from_numpy(normals(1, "mt.img", (1, 3, 224, 224)).astype(np.float32))


def test_pyramid_of_an_image(published: Golden, image: torch.Tensor) -> None:
    found = dict(zip(SCALES, image_pyramid(image), strict=True))
    assert found.pop(1.0) is image
    for scale, reduced in found.items():
        assert reduced.shape[2:] == (round(224 * scale), round(224 * scale))
        wanted = published[f"pyr_{scale}"]
        np.testing.assert_allclose(reduced[:, :, :28:2, :28:2], wanted, atol=1e-5)


@torch.no_grad()
def test_discriminator(published: Golden, image: torch.Tensor) -> None:
    """Values are up to 7: the deviation of 2e-4 is that of the processor's convolutions."""
    network = PatchDiscriminator()
    state = {k.removeprefix("discs.1."): v for k, v in weights("musetalk_discriminator").items()}
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    answer, features = network.eval()(image)
    np.testing.assert_allclose(answer, published["disc_map"], atol=1e-3)
    sizes = [float(one.square().mean().sqrt()) for one in features]
    np.testing.assert_allclose(sizes, published["disc_feat_rms"], rtol=1e-5)


def test_adversarial_losses() -> None:
    real, made = torch.tensor([[0.5, 1.0]]), torch.tensor([[0.0, 2.0]])
    assert float(losses.generator_loss(made)) == pytest.approx((1 + 1) / 2)
    assert float(losses.discriminator_loss(real, made)) == pytest.approx((0.25 + 0 + 0 + 4) / 2)
    found = losses.feature_matching_loss([real, real], [made, real])
    assert float(found) == pytest.approx(0.75)


def test_sync_loss(published: Golden) -> None:
    sound, lips = (torch.tensor(published[f"syncnet_{of}_embed"]) for of in ("audio", "visual"))
    assert float(losses.agreement(sound, lips)) == pytest.approx(
        float(published["sync_score"]), abs=1e-6
    )
    assert float(losses.sync_loss(sound, lips)) == pytest.approx(
        float(published["sync_loss"]), abs=1e-6
    )
    against = losses.sync_loss(sound, lips, torch.zeros(1))
    assert float(against) == pytest.approx(-np.log(1 - float(published["sync_score"])), abs=1e-6)
    assert float(losses.agreement(sound, -lips)) == 0


def test_spectrogram_of_syncnet(published: Golden) -> None:
    mel = sync_mel(golden("musetalk")["wav"])
    assert mel.shape == (80, 161)
    np.testing.assert_allclose(mel.T[::4], published["sync_mel"], atol=1e-4)
    window = syncnet.sound_windows(torch.from_numpy(mel), [7])[0, 0]
    np.testing.assert_allclose(window.T, published["sync_mel_crop7"], atol=1e-4)


def test_syncnet_has_the_published_parameters() -> None:
    with torch.device("meta"):
        network = syncnet.SyncNet()
    state = network.state_dict()
    found = {name: list(value.shape) for name, value in state.items()}
    assert found == parameter_shapes("musetalk_syncnet")
    assert syncnet.channels_of(state) == (syncnet.SOUND_CHANNELS, syncnet.LIPS_CHANNELS)
    assert syncnet.scaled_channels(1.0) == syncnet.channels_of(state)


@pytest.mark.slow
@torch.no_grad()
def test_syncnet_hears_as_published(published: Golden) -> None:
    """Making the 75 million parameters takes 10 s. The images of the golden were not kept."""
    with torch.device("meta"):
        network = syncnet.SyncNet().audio_encoder
    network.load_state_dict(
        {
            name.removeprefix("audio_encoder."): torch.from_numpy(value)
            for name, value in weights("musetalk_syncnet", part="audio_encoder.").items()
        },
        assign=True,
    )
    found = network(torch.from_numpy(published["sync_mel_crop7"].T.copy())[None, None])
    np.testing.assert_allclose(found, published["syncnet_audio_embed"], atol=1e-5)


def test_face_boxes_cover_the_points(published: Golden) -> None:
    pairs = zip(published["smp_faces"], published["smp_landmarks"], strict=True)
    boxes = np.array([frame_sampling.union_box(box, points) for box, points in pairs])
    np.testing.assert_array_equal(boxes, published["smp_union"])
    np.testing.assert_array_equal(boxes[:, 2:] - boxes[:, :2], published["smp_shapes"])


@pytest.fixture(scope="module")
def points(published: Golden) -> np.ndarray:
    """The points of 60 frames in faces of 256 x 256."""
    inside = published["smp_landmarks"] - published["smp_union"][:, None, :2]
    scaled: np.ndarray = inside / published["smp_shapes"][:, None] * 256
    return scaled


def test_similar_poses_and_other_mouths(published: Golden, points: np.ndarray) -> None:
    for frame in range(5):
        similar = frame_sampling.similar_poses(points, frame)
        np.testing.assert_array_equal(similar, published["smp_pose_sim"][frame])
        others = frame_sampling.other_mouths(points, frame)
        np.testing.assert_array_equal(others, published["smp_mouth_dis"][frame])


def test_references_are_those_of_the_released_sampler(
    published: Golden, points: np.ndarray
) -> None:
    """The golden is of frames 10 to 29, and of Python's random numbers with seed 1."""
    draw = random.Random(1)
    found = [frame_sampling.reference_frame(points, frame, 16, draw) for frame in range(10, 30)]
    assert found == published["smp_src_idx"].tolist()
    apart = [frame_sampling.reference_frame(points, 30, 2, draw, similar=False) for _ in range(50)]
    assert {abs(one - 30) for one in apart} == {5, 6, 7, 8, 9, 10}
    assert frame_sampling.reference_frame(points[:3], 1, 1, draw) in (0, 2)


def test_mouth_boxes(published: Golden, points: np.ndarray) -> None:
    """The golden gives top, bottom, left and right of frames 0, 1 and 2, with these margins."""
    for frame, margin in enumerate((0, 5, 9)):
        size = published["smp_shapes"][frame]
        found = frame_sampling.mouth_box(points[frame], margin, limits=size)
        left, top, right, bottom = found
        wanted = published["mouth_mask_box"][frame]
        np.testing.assert_array_equal((top, bottom, left, right), wanted)
        # In the face, which is 256 x 256, the mouth reaches further.
        whole = frame_sampling.mouth_box(points[frame], margin)
        assert whole[2] > right
        assert (whole[2] - whole[0]) / (whole[3] - whole[1]) == pytest.approx(2, abs=0.05)
