"""Writes checkpoints with random weights in the published formats.

They test import, variants and nodes without a download. The outputs of such networks mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from face_perception.learning.dilated_net.network import dilated_net
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.tensorflow_variables import variables_of
from face_perception.learning.lr_asd.network import LRASD
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.multitask.network import Multitask, RecurrentMultitask
from face_perception.learning.resnet50_ferplus import CLASSES, ResNet50FERPlus

State = dict[str, Any]  # name of a tensor -> array

# Name of the first layer's normalisation, and the scale of its variance: its input is pixels, 0 to
# 255.
_PIXELS = ("conv1_7x7_s2_bn", 4000.0)


def _published(network: nn.Module) -> State:
    """Returns the weights with the names and layouts of the published checkpoint."""
    if isinstance(network, GEDDnet):
        return variables_of(network)
    return {name: value.numpy() for name, value in network.state_dict().items()}


# System -> (option of its import command, file, function that makes the network) of each file.
_FILES: dict[str, tuple[tuple[str, str, Callable[[], nn.Module]], ...]] = {
    "geddnet": (("", "geddnet.npz", lambda: GEDDnet(subjects=50)),),
    "dilated-net": (("", "dilated_net.npz", dilated_net),),
    "multitask": (("", "multitask.npz", Multitask),),
    "multitask-rnn": (("", "multitask_rnn.npz", RecurrentMultitask),),
    "lr_asd": (("", "lr_asd.npz", LRASD),),
    "mimamo": (
        ("", "mimamo.npz", TwoStream),
        ("--appearance", "resnet50_ferplus.npz", lambda: ResNet50FERPlus(CLASSES)),
    ),
}

SYSTEMS = tuple(_FILES)


def import_arguments(system: str, folder: Path) -> list[str]:
    """Returns the arguments that import what ``write_checkpoints`` writes, for one of SYSTEMS."""
    found = []
    for option, file, _ in _FILES[system]:
        found += [option] if option else []
        found.append(str(folder / file))
    return found


def write_checkpoints(system: str, seed: int, folder: Path) -> None:
    """Writes the checkpoints of a system (.npz). The same seed gives the same files."""
    for _, file, make in _FILES[system]:
        network = make()
        randomise(network, seed)
        np.savez(folder / file, **_published(network))


@torch.no_grad()
def randomise(network: nn.Module, seed: int) -> None:
    """Sets random weights and statistics, scaled so that signals neither vanish nor grow.

    They vary from channel to channel as those of a trained network do.
    """
    random = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        kind = name.rpartition(".")[2]
        if not value.is_floating_point():
            value.zero_()
        elif kind in ("running_var", "moving_variance", "moving_stddev", "renorm_stddev"):
            value.uniform_(0.5, 1.5, generator=random)
            if _PIXELS[0] in name:
                value.mul_(_PIXELS[1])
        elif kind in ("running_mean", "moving_mean", "renorm_mean"):
            value.normal_(0, 0.1, generator=random)
        elif value.dim() >= 2 and kind != "bias":
            value.normal_(0, (1 / value[0].numel()) ** 0.5, generator=random)
        elif kind.startswith("weight"):
            value.normal_(1, 0.1, generator=random)
        else:
            value.normal_(0, 0.05, generator=random)
