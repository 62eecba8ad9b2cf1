"""Checkpoints that do not fit: the error lists every fault, and nothing is installed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from affect_goldens import random_network

from face_perception import cli
from face_perception.learning.mimamo.checkpoint import UNUSED
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.torch_checkpoint import CheckpointError, load_weights, read_checkpoint

State = dict[str, Any]


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture(scope="module")
def two_stream() -> State:
    return dict(random_network("mimamo", 1).state_dict())


def marked(name: str) -> State:
    """Returns a checkpoint with only the tensor that identifies the network."""
    return {name: torch.zeros(1)}


CNN = marked("backbone.model.conv1_7x7_s2.weight")
RNN = marked("backbone.backbone.model.conv1_7x7_s2.weight")
TWO_STREAM = marked("rnns.weight_ih_l0")
RESNET = marked("conv1_7x7_s2.weight")


@pytest.mark.parametrize(
    ("command", "state", "message"),
    [
        ("multitask", RNN, r"x\.pth is not a multitask CNN .* but a multitask CNN-RNN .*-rnn`"),
        ("multitask", TWO_STREAM, r"but MIMAMO-Net's two-stream network .*import mimamo`"),
        ("multitask", RESNET, r"but the ResNet-50 of FER\+"),
        ("multitask-rnn", CNN, r"is not a multitask CNN-RNN .* but a multitask CNN \("),
        ("mimamo", CNN, r"is not MIMAMO-Net's .* but a multitask CNN"),
        ("mimamo", RESNET, r"is not MIMAMO-Net's .* but the ResNet-50 .*--appearance"),
        ("mimamo", marked("face/f_fc1/moving_mean"), r"but GEDDnet \(.*import geddnet"),
        ("mimamo", marked("x"), r"does not fit: missing: .*; unexpected: x"),
        ("mimamo", TWO_STREAM, r"is only the two-stream network: .*--appearance resnet50"),
        ("multitask", marked("linear.weight"), r"x\.pth does not fit: missing: .* and \d+ more"),
    ],
)
def test_another_systems_checkpoint_is_named(
    command: str,
    state: State,
    message: str,
    tmp_path: Path,
    models: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.save(state, tmp_path / "x.pth")
    assert cli.main(["import", command, str(tmp_path / "x.pth")]) == 1
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])
    assert not models.exists()


def test_appearance_must_be_the_resnet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(TWO_STREAM, tmp_path / "a.pth")
    torch.save(CNN, tmp_path / "b.pth")
    paths = [str(tmp_path / "a.pth"), "--appearance", str(tmp_path / "b.pth")]
    assert cli.main(["import", "mimamo", *paths]) == 1
    assert re.search(r"b\.pth is not the ResNet-50 .* but a mult", capsys.readouterr().err)


def test_a_folder_with_too_much_or_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert cli.main(["import", "mimamo", str(folder)]) == 1
    assert "folder has no checkpoint in it (.pth, .pt, .pth.tar, .npz)" in capsys.readouterr().err
    for name in ("a.pth", "b.pth"):
        torch.save(TWO_STREAM, folder / name)
    assert cli.main(["import", "mimamo", str(folder)]) == 1
    assert re.search(r"a\.pth and .*b\.pth are of the same kind", capsys.readouterr().err)
    for name in ("a.pth", "b.pth"):
        torch.save(RNN, folder / name)
    assert cli.main(["import", "multitask-rnn", str(folder)]) == 1
    assert "2 checkpoints (a.pth, b.pth), but each has its own trunk" in capsys.readouterr().err


def test_everything_wrong_is_listed(tmp_path: Path, two_stream: State) -> None:
    state = dict(two_stream)
    del state["transform.0.bias"], state["rnns.bias_hh_l1"]
    state["extra.weight"] = torch.zeros(3)
    state["classifier.1.weight"] = torch.zeros(1, 256)
    state["mlp.mlp.1.bias"] = torch.full((256,), torch.nan)
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "x.pth.tar")
    with pytest.raises(CheckpointError) as caught:
        load_weights(TwoStream(), read_checkpoint(tmp_path / "x.pth.tar"))
    assert str(caught.value) == (
        f"{tmp_path}/x.pth.tar does not fit: missing: transform.0.bias, rnns.bias_hh_l1; "
        "unexpected: extra.weight; of another shape: classifier.1.weight [1, 256] instead of "
        "[2, 256]; not all numbers: mlp.mlp.1.bias"
    )


def loads(state: object, path: Path) -> TwoStream:
    torch.save(state, path)
    network = TwoStream()
    load_weights(network, read_checkpoint(path), UNUSED)
    return network


def test_what_else_is_read(tmp_path: Path, two_stream: State) -> None:
    """Also reads names of DataParallel, float64, and files without counters or unused layers."""
    path = tmp_path / "x.pt"
    parallel = {f"module.{name}": value for name, value in two_stream.items()}
    lean = {
        name: value
        for name, value in two_stream.items()
        if not name.startswith(UNUSED) and not name.endswith("num_batches_tracked")
    }
    double = {k: v.double() if v.is_floating_point() else v for k, v in two_stream.items()}
    nested = {"iter": 3, "optimizer": {"state": {0: {}}}, "model": two_stream}
    for state in (two_stream, parallel, lean, double, nested):
        network = loads(state, path)
        assert not network.training
        for name, value in network.state_dict().items():
            if name in lean:
                assert value.dtype == two_stream[name].dtype
                assert torch.equal(value, two_stream[name])
    for absent in ("mlp.mlp.1.bias", "rnns.weight_hh_l0"):
        with pytest.raises(CheckpointError, match=f"missing: {absent}$"):
            loads({k: v for k, v in two_stream.items() if k != absent}, path)


class Evil:
    """An object whose pickle runs code when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def _html(path: Path) -> None:
    path.write_text("<html>Quota exceeded</html>")


def _empty(path: Path) -> None:
    path.touch()


def _cut(path: Path) -> None:
    torch.save({"a": torch.zeros(9999)}, path)
    path.write_bytes(path.read_bytes()[:20_000])


def _flipped(path: Path) -> None:
    _cut(path)
    path.write_bytes(b"PK\3\4" + path.read_bytes()[4:])


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
@pytest.mark.parametrize("damage", [_html, _empty, _cut, _flipped])
def test_damaged_files(tmp_path: Path, damage: Callable[[Path], None], suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    damage(path)
    with pytest.raises(
        CheckpointError, match=r"x\.\w+ (is damaged|cannot be read).*(again|browser)"
    ):
        read_checkpoint(path)


@pytest.mark.parametrize("new_format", [True, False])
def test_nothing_in_a_file_is_run(tmp_path: Path, new_format: bool) -> None:
    path, made_by_it = tmp_path / "x.pth", tmp_path / "made_by_it"
    content = {"state_dict": TWO_STREAM, "args": Evil(made_by_it)}
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(
        CheckpointError, match=r"has more than tensors in it \(posix\.mkdir\).*only its state"
    ):
        read_checkpoint(path)
    np.savez(tmp_path / "x.npz", a=np.array([Evil(made_by_it)], object))
    with pytest.raises(CheckpointError, match="array of objects, which is not read"):
        read_checkpoint(tmp_path / "x.npz")
    assert not made_by_it.exists()


def test_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "epoch.pth")
    for name in ("list.pth", "epoch.pth"):
        with pytest.raises(CheckpointError, match=f"{name} has no state dict in it"):
            read_checkpoint(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"there is no file .*none\.pth"):
        read_checkpoint(tmp_path / "none.pth")


def test_thresholds_are_probabilities(capsys: pytest.CaptureFixture[str]) -> None:
    for values in (["1.5"] * 8, ["0.5"] * 7, ["x"] * 8):
        with pytest.raises(SystemExit):
            cli.main(["import", "multitask", "x.pth", "--thresholds", *values])
    assert "a probability must be from 0 to 1, not 1.5" in capsys.readouterr().err
