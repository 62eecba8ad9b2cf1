"""GEDDnet in PyTorch, against the answers of the published TensorFlow graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from geddnet_weights import Arrays, goldens, inputs, variables

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
def published(shared: Path) -> list[tuple[Arrays, Arrays]]:
    """Answers and variables of every golden that is there."""
    return [(golden, variables(shared, seed)) for seed, golden in goldens(shared)]


def tensors(golden: Arrays) -> list[torch.Tensor]:
    return [torch.from_numpy(value) for value in inputs(golden).values()]


def off(ours: torch.Tensor, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours.detach().numpy() - theirs).max())


def test_gaze_and_bias_as_published(published: list[tuple[Arrays, Arrays]]) -> None:
    for golden, values in published:
        network = geddnet_from_variables(values)
        subject = torch.from_numpy(golden["subject_ids"])
        with torch.no_grad():
            assert off(network.gaze(*tensors(golden)), golden["infer_gaze"]) < 1e-5
            assert off(network.gaze(*tensors(golden), subject), golden["gaze_with_bias"]) < 1e-5
            one = network.gaze(*(x[2:3] for x in tensors(golden)))
            assert off(one, golden["infer_gaze"][2:3]) < 1e-5
            face, left, right = tensors(golden)
            # The golden can tell the eyes from each other.
            assert off(network.gaze(face, right, left), golden["infer_gaze"]) > 1e-3


def test_layers_as_published(published: list[tuple[Arrays, Arrays]]) -> None:
    for golden, values in published:
        network = geddnet_from_variables(values)
        seen: dict[str, torch.Tensor] = {}
        for name, module in network.named_modules():
            if isinstance(module, BatchRenorm):
                module.register_forward_hook(
                    lambda m, i, out, name=name, seen=seen: seen.update({name: out})
                )
        with torch.no_grad():
            network(*(x[:2] for x in tensors(golden)))
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
        assert {key.removeprefix("act_") for key in golden if key.startswith("act_")} == set(ours)
        for name, value in ours.items():
            channels_last = value.permute(0, 2, 3, 1) if value.dim() == 4 else value
            assert off(channels_last, golden[f"act_{name}"]) < 1e-4, name


def test_loss_as_published(published: list[tuple[Arrays, Arrays]]) -> None:
    for golden, values in published:
        network = geddnet_from_variables(values)
        label, subject = torch.from_numpy(golden["label"]), torch.from_numpy(golden["subject_ids"])
        with torch.no_grad():
            t = network(*tensors(golden))
            found = geddnet_loss(network, t, label, subject)
        assert off(t, golden["t_hat10"]) < 1e-4
        assert off(found.error, golden["est_loss"][:, 0]) < 1e-4
        assert float(found.squares) == pytest.approx(float(golden["l2_loss"]), rel=1e-6)
        assert float(found.total) == pytest.approx(float(golden["total_loss"]), rel=1e-6)


def test_training_forward_and_moved_statistics_as_published(
    published: list[tuple[Arrays, Arrays]],
) -> None:
    for golden, values in published:
        network = geddnet_from_variables(values).train()
        network.dropout.p = 0.0
        with torch.no_grad():
            t = network(*tensors(golden))
        assert off(t, golden["train_t_hat10"]) < 2e-5
        # No layer before these is shared, so that their order cannot matter.
        for layer in MOVED[:2]:
            for statistic in STATISTICS:
                assert moved(network, layer, statistic, golden) < 2e-6, (layer, statistic)


def test_moved_statistics_in_the_recorded_order(published: list[tuple[Arrays, Arrays]]) -> None:
    for golden, values in published:
        network = geddnet_from_variables(values).train()
        network.dropout.p = 0.0
        for module in network.modules():
            if isinstance(module, BatchRenorm):
                module.reads_moved = True
        with torch.no_grad():
            network(*tensors(golden))
        for layer in MOVED:
            for statistic in STATISTICS:
                assert moved(network, layer, statistic, golden) < 2e-6, (layer, statistic)
                before = values[f"{layer.replace('.', '/')}/{statistic}"]
                assert np.abs(before - golden[f"after_update_{layer}.{statistic}"]).max() > 1e-3


def moved(network: GEDDnet, layer: str, statistic: str, golden: Arrays) -> float:
    name = tensor_names(network)[f"{layer.replace('.', '/')}/{statistic}"]
    return off(network.state_dict()[name], golden[f"after_update_{layer}.{statistic}"])
