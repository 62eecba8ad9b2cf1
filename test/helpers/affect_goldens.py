"""Affect networks with generated or random weights, and the published preprocessing of faces."""

from __future__ import annotations

from pathlib import Path

import generated_weights
import numpy as np
import pytest
import torch
from torch import nn

from face_perception import cli
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.multitask.network import Multitask, RecurrentMultitask
from face_perception.learning.resnet50_ferplus import CLASSES, ResNet50FERPlus

State = generated_weights.State

NETWORKS = {
    "multitask": Multitask,
    "multitask-rnn": RecurrentMultitask,
    "resnet50_ferplus": lambda: ResNet50FERPlus(CLASSES),
    "mimamo": TwoStream,
}


def state_dict(system: str, seed: int = 1) -> State:
    """Returns the tensors of the golden by their published names."""
    return generated_weights.weights(system.replace("-", "_"), seed)


def load_networks() -> dict[str, nn.Module]:
    """Returns the networks in PyTorch, with the weights of the goldens."""
    networks = {system: network().eval() for system, network in NETWORKS.items()}
    for system, network in networks.items():
        network.load_state_dict(tensors(state_dict(system)), strict=True)
    return networks


def import_networks(folder: Path) -> Path:
    """Imports the networks with the weights of the goldens; returns the model cache.

    Uses the command, once with each kind of file: an .npz, PyTorch's two formats, and a folder.
    """
    states = {system: network.state_dict() for system, network in load_networks().items()}
    np.savez(folder / "cnn.npz", **{k: v.numpy() for k, v in states["multitask"].items()})
    old_format = {"_use_new_zipfile_serialization": False}
    torch.save(states["multitask-rnn"], folder / "rnn.pth", **old_format)
    (folder / "both").mkdir()
    state = {"epoch": 7, "state_dict": states["mimamo"]}
    torch.save(state, folder / "both" / "model_weights.pth.tar")
    torch.save(states["resnet50_ferplus"], folder / "both" / "resnet50_ferplus_dag.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(folder / "models"))
        for system, path, *options in (
            ("multitask", "cnn.npz"),
            ("multitask-rnn", "rnn.pth", "--window", "16"),
            ("mimamo", "both"),
        ):
            assert cli.main(["import", system, str(folder / path), *options]) == 0
    return folder / "models"


def random_network(system: str, seed: int) -> nn.Module:
    """Returns a network with random weights, whose statistics differ from 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = NETWORKS[system]()
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            noise = torch.rand(buffer.shape, generator=random)
            buffer.copy_(0.5 + noise if name.endswith("var") else 0.2 * noise)
        if name.endswith("conv1_7x7_s2_bn.running_var"):
            buffer.mul_(4000)  # it sees 0..255
    return network.eval()


def tensors(state: State) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def published_face(aligned: np.ndarray, enlarged: int, size: int) -> np.ndarray:
    """Converts aligned faces, RGB uint8 [N, h, w, 3], to float32 [N, 3, size, size] in 0..255.

    Enlarges as Pillow does (bilinear, in integers, one axis after the other), and cuts out the
    middle.
    """
    weights = _weights_of_axis(aligned.shape[1], enlarged)
    x = aligned.astype(np.float64)
    for axis in (2, 1):
        along = np.moveaxis(x, axis, -1) @ weights.T
        x = np.moveaxis(np.floor((along + (1 << 21)) / (1 << 22)), -1, axis)
    edge = (enlarged - size) // 2
    return x[:, edge : edge + size, edge : edge + size].transpose(0, 3, 1, 2).astype(np.float32)


def _weights_of_axis(size: int, enlarged: int) -> np.ndarray:
    weights = np.zeros((enlarged, size))
    for k in range(enlarged):
        centre = (k + 0.5) * size / enlarged
        for j in range(max(0, int(centre - 0.5)), min(size, int(centre + 1.5))):
            weights[k, j] = max(0.0, 1 - abs(j + 0.5 - centre))
    weights /= weights.sum(1, keepdims=True)
    return np.floor(weights * (1 << 22) + 0.5)
