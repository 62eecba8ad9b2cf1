"""``face-perception import lr_asd``: the numbers, the card, the parts of a face, wrong files."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tensorrt_builds

from face_perception import cli
from face_perception.attention import SPEAKER_NETWORKS, SpeakerNetwork
from face_perception.inference import find_card, load, read_reference_inputs
from face_perception.learning.lr_asd.export import FoldedLRASD
from face_perception.learning.lr_asd.network import LRASD
from face_perception.learning.random_weights import randomise, write_checkpoints

Array = np.ndarray


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lr_asd")
    write_checkpoints("lr_asd", 3, folder)
    return folder / "lr_asd.npz"


def conv(x: Array, kernel: Array, stride: int = 1) -> Array:
    """Convolves [C, T, H, W] with [O, C, t, h, w], padded by half of the kernel."""
    sizes = kernel.shape[2:]
    padded = np.pad(x, [(0, 0), *((size // 2, size // 2) for size in sizes)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, sizes, axis=(1, 2, 3))
    found = np.tensordot(windows[:, :, ::stride, ::stride], kernel, ((0, 4, 5, 6), (1, 2, 3, 4)))
    return np.moveaxis(found, -1, 0)


def pool(x: Array, axes: tuple[int, ...]) -> Array:
    """Takes the largest of three values, at every second place."""
    for axis in axes:
        edge = [(1, 1) if k == axis else (0, 0) for k in range(x.ndim)]
        padded = np.pad(x, edge, constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=axis).max(-1)
        x = np.take(windows, np.arange(0, windows.shape[axis], 2), axis)
    return x


def stated(weights: dict[str, Array], faces: Array, mfcc: Array) -> Array:
    """States the published forward pass in NumPy: faces [T, S, S] and mfcc [4T, 13] -> [T]."""

    def norm(x: Array, name: str) -> Array:
        mean, variance, gain, bias = (
            weights[f"{name}.{part}"].reshape(-1, *[1] * (x.ndim - 1))
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gain + bias

    def block(x: Array, name: str, first: str, stride: int = 1) -> Array:
        for kind, k in ((first, 1), (first, 2), ("t", 1), ("t", 2)):
            kernel = weights[f"{name}.{kind}_{k}.weight"]
            if kernel.ndim == 4:  # of the sound [O, C, coefficient, time]: as of pictures of 1 row
                kernel = kernel[:, :, None]
            x = conv(x, kernel, stride if (kind, k) == ("s", 1) else 1)
            x = np.maximum(norm(x, f"{name}.{kind}_norm_{k}"), 0)
        return x

    def sigmoid(x: Array) -> Array:
        return 1 / (1 + np.exp(-x))

    def weighted(x: Array, name: str) -> Array:  # [T, C]
        mixed = norm(weights[f"{name}.attention.weight"][:, :, 0] @ x.T, f"{name}.bn")
        return x * sigmoid(mixed).T

    def gru(x: Array, name: str) -> Array:
        of_input, of_state, bias_i, bias_s = (
            weights[f"model.detector.{name}.{part}_l0"]
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        state, found = np.zeros(64), []
        for row in x:
            r1, z1, n1 = np.split(of_input @ row + bias_i, 3)
            r2, z2, n2 = np.split(of_state @ state + bias_s, 3)
            reset, update = sigmoid(r1 + r2), sigmoid(z1 + z2)
            state = (1 - update) * np.tanh(n1 + reset * n2) + update * state
            found.append(state)
        return np.array(found)

    seen = ((faces / 255 - 0.4161) / 0.1688)[None]
    heard = mfcc.T[None, None]  # [1, 1, 13, 4T]
    for k in (1, 2, 3):
        seen = block(seen, f"model.visualEncoder.block{k}", "s", 2 if k == 1 else 1)
        heard = block(heard, f"model.audioEncoder.block{k}", "m")
        if k < 3:
            seen, heard = pool(seen, (2, 3)), pool(heard, (3,))
    both = np.concatenate([heard[:, 0].mean(1).T, seen.max((2, 3)).T], 1)
    both = weighted(both, "model.fusion")
    both = np.concatenate([gru(both, "gru_forward"), gru(both[::-1], "gru_backward")[::-1]], 1)
    both = weighted(both, "model.detector.attention")
    scores = both @ weights["lossAV.FC.weight"].T + weights["lossAV.FC.bias"]
    return sigmoid(scores[:, 1] - scores[:, 0])


def test_the_model_computes_the_published_forward_pass(
    checkpoint: Path, empty_models: Path
) -> None:
    assert cli.main(["import", "lr_asd", str(checkpoint), "--untrained"]) == 0
    card = find_card("lr_asd", SPEAKER_NETWORKS)
    assert card.facts["crop"] == [24, 24, 112]
    assert "MIT" in card.licence
    assert not card.trained
    given = read_reference_inputs(card)
    model = load("lr_asd", SPEAKER_NETWORKS, backend="onnxruntime")
    SpeakerNetwork(model)  # accepts the card
    found = model.infer(given)["speaking"]
    weights = {name: value.astype(float) for name, value in np.load(checkpoint).items()}
    wanted = stated(weights, given["faces"][1].astype(float), given["mfcc"][1].astype(float))
    assert np.ptp(wanted) > 1e-3  # the weights are lively enough for the comparison to mean much
    assert np.abs(found[1] - wanted).max() < 1e-5
    one = model.infer({name: value[1:] for name, value in given.items()})["speaking"]
    assert one == pytest.approx(found[1:], abs=1e-6)


def test_the_folded_network_is_the_network() -> None:
    network = LRASD()
    randomise(network, 5)
    network.eval()
    random = torch.Generator().manual_seed(1)
    faces = 255 * torch.rand(1, 25, 112, 112, generator=random)
    mfcc = 12 * torch.randn(1, 100, 13, generator=random)
    with torch.no_grad():
        off = (FoldedLRASD(network)(faces, mfcc) - network(faces, mfcc)).abs().max()
    assert float(off) < 1e-5


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w: w.pop("model.fusion.bn.weight"), "missing: model.fusion.bn.weight"),
        (lambda w: w.update(more=np.zeros(3)), "unexpected: more"),
        (lambda w: w["lossAV.FC.bias"].fill(np.nan), "not all numbers: lossAV.FC.bias"),
        (lambda w: w.update({"lossAV.FC.bias": np.zeros(3)}), "of another shape: lossAV.FC.bias"),
    ],
)
def test_every_tensor_is_checked(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: object,
    problem: str,
) -> None:
    weights = {name: value.copy() for name, value in np.load(checkpoint).items()}
    change(weights)  # type: ignore[operator]
    np.savez(tmp_path / "wrong.npz", **weights)
    assert cli.main(["import", "lr_asd", str(tmp_path / "wrong.npz")]) != 0
    assert problem in capsys.readouterr().err


def test_the_file_says_which_part_of_the_face_it_sees(
    checkpoint: Path, tmp_path: Path, empty_models: Path
) -> None:
    path = tmp_path / "finetuning_TalkSet.npz"
    path.write_bytes(checkpoint.read_bytes())
    for more, crop in (([], [41, 63, 78]), (["--crop", "face"], [24, 24, 112])):
        arguments = ["import", "lr_asd", str(path), "--name", "other", "--untrained", *more]
        assert cli.main(arguments) == 0
        assert find_card("other").facts["crop"] == crop


@pytest.mark.skipif(platform.machine() != "x86_64", reason="tensorrt_rtx is for x86-64 only")
@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_tensorrt_builds_it(
    kind: str, checkpoint: Path, empty_models: Path, tmp_path: Path
) -> None:
    if not (empty_models / "lr_asd.yaml").exists():
        assert cli.main(["import", "lr_asd", str(checkpoint), "--untrained"]) == 0
    assert len(tensorrt_builds.engine("lr_asd", kind, tmp_path / "build")) > 1_000_000
