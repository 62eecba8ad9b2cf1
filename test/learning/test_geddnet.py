"""GEDDnet in PyTorch: its layers, its loss and its checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from geddnet_weights import Arrays, lively

from face_perception.learning.dilated_net.network import dilated_net
from face_perception.learning.geddnet.batch_renorm import BatchRenorm
from face_perception.learning.geddnet.loss import geddnet_loss
from face_perception.learning.geddnet.network import EYE_SIZE, FACE_SIZE, GEDDnet, initialise
from face_perception.learning.geddnet.tensorflow_variables import (
    geddnet_from_variables,
    variables_of,
)


def noise(count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(0, 256, (count, 1, *size), generator=generator).float()
        for size in (FACE_SIZE, EYE_SIZE, EYE_SIZE)
    ]


def test_variables_go_there_and_back() -> None:
    network = lively(GEDDnet(subjects=7))
    written = variables_of(network)
    assert len(written) == 131
    assert written["bias/Variable"].shape == (14, 2)
    assert written["face/Variable_10"].shape == (4608, 256)
    again = geddnet_from_variables(written)
    assert again.subjects == 7
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_renorm_agrees_with_itself_once_its_statistics_have_settled() -> None:
    x = torch.randn(40, 3, 5, 5) * torch.tensor([0.2, 1, 5]).view(1, 3, 1, 1) + 2
    norm = BatchRenorm(3, momentum=0.0)
    norm(x)
    trained = norm(x)
    torch.testing.assert_close(trained, norm.eval()(x), rtol=1e-4, atol=1e-4)
    assert trained.mean((0, 2, 3)).abs().max() < 1e-5
    assert (norm.moving_stddev - x.std((0, 2, 3), unbiased=False)).abs().max() < 1e-2


def test_no_gradient_through_the_correction() -> None:
    x = torch.randn(8, 4, requires_grad=True)
    norm = BatchRenorm(4)
    norm.renorm_mean += 0.5
    norm.renorm_stddev *= 3
    norm(x).square().sum().backward()
    assert x.grad is not None
    # As with plain batch normalization, adding a constant to a whole batch changes nothing.
    assert x.grad.sum(0).abs().max() < 1e-4
    assert norm.beta.grad is not None


def test_parts_of_a_batch_are_normalised_each_by_itself() -> None:
    one, two = torch.randn(6, 4), 5 + 3 * torch.randn(6, 4)
    both = BatchRenorm(4)(torch.cat((one, two)), groups=2)
    torch.testing.assert_close(both[:6], BatchRenorm(4)(one))
    torch.testing.assert_close(both[6:], BatchRenorm(4)(two))


@pytest.mark.parametrize("face", [True, False])
def test_the_ablation_has_the_same_weights(face: bool) -> None:
    with_dilation = GEDDnet(subjects=3, face=face).state_dict()
    without = GEDDnet(subjects=3, face=face, dilated=False)
    assert {k: v.shape for k, v in with_dilation.items()} == {
        k: v.shape for k, v in without.state_dict().items()
    }
    faces, *eyes = noise(2)
    assert lively(without)(faces if face else None, *eyes).shape == (2, 2)


@pytest.mark.parametrize(
    ("branch", "dilated", "seen"),
    [
        ("face", True, (43, 43)),
        ("face", False, (44, 44)),
        ("eye", True, (29, 43)),
        ("eye", False, (30, 44)),
    ],
)
def test_what_an_output_sees(branch: str, dilated: bool, seen: tuple[int, int]) -> None:
    stack = getattr(GEDDnet(dilated=dilated).eval(), branch)
    for axis in (0, 1):
        # Large enough for one output that is not affected by the borders.
        size = [*seen] if dilated else [8, 8]
        size[axis] = seen[axis] + 5 if dilated else 96
        lines = [*range(8), *range(size[axis] - 8, size[axis])] if dilated else [*range(96)]
        # Change one line of features at a time: does it affect an output in the middle?
        x = torch.zeros(len(lines), 128, *size)
        for sample, line in zip(x, lines, strict=True):
            sample.select(axis + 1, line)[:] = torch.nan
        with torch.no_grad():
            spoilt = stack(x).unflatten(1, (-1, 128)).isnan().any(2)
        # Join the outputs of the other axis, and keep those of this axis apart.
        shape = (
            [size[0] - seen[0] + 1, size[1] - seen[1] + 1] if dilated else [s // 8 for s in size]
        )
        along = spoilt.view(len(lines), *shape).any(2 - axis)
        middle = along[:, along.shape[1] // 2].nonzero().flatten()
        assert lines[middle[-1]] - lines[middle[0]] + 1 == seen[axis]


def test_dilated_net_has_no_face_and_no_biases() -> None:
    network = lively(dilated_net())
    assert not any(name.startswith(("face", "bias")) for name in network.state_dict())
    assert network.combine.linear.in_features == 512
    _, left, right = noise(3)
    t = network(None, left, right)
    assert t.shape == (3, 2)
    assert float(geddnet_loss(network, t, torch.zeros(3, 2), None).bias) == 0
    # Its eye layers are those of GEDDnet: the same weights give the same features.
    whole = lively(GEDDnet())
    shared_weights = {k: v for k, v in network.state_dict().items() if k.startswith("eye")}
    whole.load_state_dict(shared_weights | {
        k: v for k, v in network.state_dict().items() if k.startswith("trunk")
    }, strict=False)  # fmt: skip
    torch.testing.assert_close(whole.eye(whole.trunk(left)), network.eye(network.trunk(left)))


def vgg() -> Arrays:
    channels = {
        "conv1_1": (3, 64),
        "conv1_2": (64, 64),
        "conv2_1": (64, 128),
        "conv2_2": (128, 128),
    }
    random = np.random.default_rng(0)
    weights = {}
    for name, (before, after) in channels.items():
        deviation = (2 / (9 * before)) ** 0.5
        weights[f"{name}_W"] = random.normal(0, deviation, (3, 3, before, after)).astype("float32")
        weights[f"{name}_b"] = np.zeros(after, "float32")
    return weights


def test_training_starts_as_published() -> None:
    network = GEDDnet(subjects=4)
    initialise(network, vgg(), torch.Generator().manual_seed(3))
    kernel = network.trunk.conv2_2.weight.permute(2, 3, 1, 0).detach().numpy()
    np.testing.assert_array_equal(kernel, vgg()["conv2_2_W"])
    for layer, sigma in ((network.face.conv4_1, 0.08), (network.left_fc.linear, 0.026)):
        weight = layer.weight.detach()
        assert weight.abs().max() <= 2 * sigma
        assert float(weight.std()) == pytest.approx(0.88 * sigma, rel=0.02)  # cut at 2 sigma
        assert (layer.bias >= 0).all()
        assert layer.bias.max() > 0
    assert float(network.bias.detach().abs().max()) <= 0.25


def test_it_learns() -> None:
    # Without face crops, for speed.
    network = GEDDnet(subjects=4, face=False, dropout=0.0)
    initialise(network, vgg(), torch.Generator().manual_seed(3))
    (_, *images), subject = noise(4, seed=1), torch.tensor([0, 1, 2, 7])
    gaze = torch.tensor([[0.1, 0.2], [-0.1, 0.0], [0.0, -0.3], [0.2, 0.1]])
    step = torch.optim.Adam(network.parameters(), lr=1e-4)
    network.train()
    errors = []
    for _ in range(4):
        found = geddnet_loss(network, network(None, *images), gaze, subject)
        errors.append(float(found.error.detach().mean()))
        step.zero_grad()
        found.total.backward()
        step.step()
    assert all(p.grad is not None for p in network.parameters())
    assert errors[-1] < 0.5 * errors[0], errors


def test_vgg_of_another_shape_is_refused() -> None:
    wrong = vgg()
    wrong["conv2_1_b"] = wrong["conv2_1_b"][:-1]
    with pytest.raises(ValueError, match=r"conv2_1_W is \(3, 3, 64, 128\), conv2_1_b \(127,\)"):
        initialise(GEDDnet(), wrong)
