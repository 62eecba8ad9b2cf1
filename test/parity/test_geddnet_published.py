"""GEDDnet in PyTorch gives the answers of the published TensorFlow graph."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from geddnet_weights import inputs
from generated_weights import State, weights
from goldens import Golden, golden

from face_perception.learning.geddnet.batch_renorm import BatchRenorm
from face_perception.learning.geddnet.loss import geddnet_loss
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.tensorflow_variables import (
    geddnet_from_variables,
    tensor_names,
)

MOVED = ("face.f_conv2_3", "eye.e_conv2_3", "combine.c_fc2")
STATISTICS = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("geddnet")


@pytest.fixture(scope="module")
def values() -> State:
    """The variables that the golden was made with."""
    return weights("geddnet")


def tensors(published: Golden) -> list[torch.Tensor]:
    return [torch.from_numpy(value) for value in inputs(published).values()]


def off(ours: torch.Tensor, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours.detach().numpy() - theirs).max())


def test_gaze_and_bias_as_published(published: Golden, values: State) -> None:
    network = geddnet_from_variables(values)
    subject = torch.from_numpy(published["subject_ids"])
    with torch.no_grad():
        assert off(network.gaze(*tensors(published)), published["infer_gaze"]) < 1e-5
        assert off(network.gaze(*tensors(published), subject), published["gaze_with_bias"]) < 1e-5
        one = network.gaze(*(x[2:3] for x in tensors(published)))
        assert off(one, published["infer_gaze"][2:3]) < 1e-5
        face, left, right = tensors(published)
        # The golden distinguishes the eyes from each other.
        assert off(network.gaze(face, right, left), published["infer_gaze"]) > 1e-3


def test_layers_as_published(published: Golden, values: State) -> None:
    network = geddnet_from_variables(values)
    seen: dict[str, torch.Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, BatchRenorm):
            module.register_forward_hook(
                lambda m, i, out, name=name, seen=seen: seen.update({name: out})
            )
    with torch.no_grad():
        network(*(x[:2] for x in tensors(published)))
    ours = {
        "face.f_conv2_3": seen["face.norm2_3"],
        "face.f_conv3_1": seen["face.norm3_1"],
        "face.f_conv4_2": seen["face.norm4_2"],
        "face.f_fc1": seen["face_fc1.norm"],
        "face.f_fc2": seen["face_fc2.norm"],
        "eye.e_conv2_3": seen["eye.norm2_3"][:2],
        "eye.e_conv4_2": seen["eye.norm4_2"][:2],
        "eye.e_conv4_2_1": seen["eye.norm4_2"][2:],
        "eye.e1_fc1": seen["left_fc.norm"],
        "eye.e2_fc1": seen["right_fc.norm"],
        "combine.c_fc2": seen["combine.norm"],
    }
    assert {key.removeprefix("act_") for key in published if key.startswith("act_")} == set(ours)
    for name, value in ours.items():
        if value.dim() == 4:
            value = value.permute(0, 2, 3, 1)
            # The golden has every third pixel and eighth channel of large layers, and every second
            # channel of the others.
            value = value[:, ::3, ::3, ::8] if value.shape[1] > 30 else value[..., ::2]
        assert off(value, published[f"act_{name}"]) < 1e-4, name


def test_loss_as_published(published: Golden, values: State) -> None:
    network = geddnet_from_variables(values)
    label, subject = (
        torch.from_numpy(published["label"]),
        torch.from_numpy(published["subject_ids"]),
    )
    with torch.no_grad():
        t = network(*tensors(published))
        found = geddnet_loss(network, t, label, subject)
    assert off(t, published["t_hat10"]) < 1e-4
    assert off(found.error, published["est_loss"][:, 0]) < 1e-4
    assert float(found.squares) == pytest.approx(float(published["l2_loss"]), rel=1e-6)
    assert float(found.total) == pytest.approx(float(published["total_loss"]), rel=1e-6)


def test_training_forward_and_moved_statistics_as_published(
    published: Golden, values: State
) -> None:
    network = geddnet_from_variables(values).train()
    network.dropout.p = 0.0
    with torch.no_grad():
        t = network(*tensors(published))
    assert off(t, published["train_t_hat10"]) < 2e-5
    # No shared layer precedes these, so the order of updates does not matter.
    for layer in MOVED[:2]:
        for statistic in STATISTICS:
            assert moved(network, layer, statistic, published) < 2e-6, (layer, statistic)


def test_moved_statistics_in_the_recorded_order(published: Golden, values: State) -> None:
    network = geddnet_from_variables(values).train()
    network.dropout.p = 0.0
    for module in network.modules():
        if isinstance(module, BatchRenorm):
            module.reads_moved = True
    with torch.no_grad():
        network(*tensors(published))
    for layer in MOVED:
        for statistic in STATISTICS:
            assert moved(network, layer, statistic, published) < 2e-6, (layer, statistic)
            before = values[f"{layer.replace('.', '/')}/{statistic}"]
            assert np.abs(before - published[f"after_update_{layer}.{statistic}"]).max() > 1e-3


def moved(network: GEDDnet, layer: str, statistic: str, published: Golden) -> float:
    name = tensor_names(network)[f"{layer.replace('.', '/')}/{statistic}"]
    return off(network.state_dict()[name], published[f"after_update_{layer}.{statistic}"])
