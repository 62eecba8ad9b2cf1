"""Loads published checkpoints (.pth, .pt, .pth.tar, or an .npz of the state dict) into networks.

No code in a file is run. Errors list everything that does not fit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from face_perception.errors import InputError

SUFFIXES = (".pth", ".pt", ".pth.tar", ".npz")

# Name of a tensor -> system whose checkpoints have it. The first match counts.
_SYSTEMS = {
    "backbone.backbone.model.conv1_7x7_s2.weight": "multitask-rnn",
    "backbone.model.conv1_7x7_s2.weight": "multitask",
    "rnns.weight_ih_l0": "mimamo",
    "conv1_7x7_s2.weight": "resnet50_ferplus",
    "face/f_fc1/moving_mean": "geddnet",
    "eye/e1_fc1/moving_mean": "dilated-net",
    "down_blocks.0.attentions.0.norm.weight": "musetalk",
}
_WHAT = {
    "multitask": "a multitask CNN (`face-perception import multitask`)",
    "multitask-rnn": "a multitask CNN-RNN (`face-perception import multitask-rnn`)",
    "mimamo": "MIMAMO-Net's two-stream network (`face-perception import mimamo`)",
    "resnet50_ferplus": (
        "the ResNet-50 of FER+ (`face-perception import mimamo … --appearance` takes it)"
    ),
    "geddnet": "GEDDnet (`face-perception import geddnet`)",
    "dilated-net": "Dilated-Net (`face-perception import dilated-net`)",
    "musetalk": "MuseTalk's UNet (`face-perception import musetalk`)",
}

_MOST_LISTED = 8

# Messages of torch and numpy that refuse to run code in a file.
_REFUSED = re.compile(r"GLOBAL (\S+)|Object arrays cannot be loaded")

# Counts training steps. Older files lack it, and inference does not read it.
_COUNTER = "num_batches_tracked"


class CheckpointError(InputError):
    """Raised for an unusable checkpoint; the message names the file, the problem and the fix."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a file by their published names; ``system`` is empty if it is not known."""

    path: Path
    tensors: Mapping[str, torch.Tensor]
    system: str

    @property
    def origin(self) -> str:
        """Name and sha256 of the file, for a card."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return f"{self.path.name} (sha256 {digest.hexdigest()})"


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a file. Raises CheckpointError if it is missing, damaged, or has no state dict."""
    try:
        content = _read(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder: name the file in it") from error
    except PermissionError:
        raise
    except Exception as error:  # torch and numpy raise many types for a damaged file
        raise CheckpointError(why_unread(path, error)) from error
    tensors = _state_dict(content)
    if not tensors:
        raise CheckpointError(f"{path} has no state dict in it")
    return Checkpoint(path, tensors, system_of(tensors))


def system_of(tensors: Collection[str]) -> str:
    """Returns the system that has tensors of these names; empty if it is not known."""
    return next((name for key, name in _SYSTEMS.items() if key in tensors), "")


def why_unread(path: Path, error: Exception) -> str:
    """Returns why torch or numpy could not read a file, and the fix.

    Their own messages are not shown, because torch recommends running the code in the file.
    """
    refused = _REFUSED.search(str(error))
    if refused:
        return (
            f"{path} has more than tensors in it ({refused[1] or 'objects'}), which is not loaded "
            "for safety: if you trust the file, load it elsewhere and save only its state dict, "
            "with torch.save(model.state_dict(), …)"
        )
    return f"{path} is damaged or no checkpoint ({type(error).__name__}): download it again"


def checkpoint_files_in(path: Path) -> list[Path]:
    """Returns the file itself, or the checkpoints of a folder, sorted by name.

    Raises CheckpointError for a folder without a checkpoint.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES))
    if not found:
        raise CheckpointError(f"{path} has no checkpoint in it ({', '.join(SUFFIXES)})")
    return found


def load_weights(network: nn.Module, checkpoint: Checkpoint, unused: Collection[str] = ()) -> None:
    """Loads every tensor of a checkpoint into a network and sets it to inference mode.

    ``unused`` are prefixes of tensors that inference does not need: they may be absent. Raises
    CheckpointError that lists missing, unexpected, mis-shaped and non-finite tensors.
    """
    wanted = network.state_dict()
    given = dict(checkpoint.tensors)
    may_lack = tuple(unused)
    for name, value in wanted.items():
        if name not in given and (name.endswith(_COUNTER) or name.startswith(may_lack or ("\0",))):
            given[name] = value
    problems = [
        *_listed("missing", [name for name in wanted if name not in given]),
        *_listed("unexpected", [name for name in given if name not in wanted]),
        *_listed(
            "of another shape",
            [
                f"{name} {list(given[name].shape)} instead of {list(value.shape)}"
                for name, value in wanted.items()
                if name in given and given[name].shape != value.shape
            ],
        ),
        *_listed(
            "not all numbers",
            [name for name in wanted if name in given and not given[name].isfinite().all()],
        ),
    ]
    if problems:
        raise CheckpointError(f"{checkpoint.path} does not fit: {'; '.join(problems)}")
    network.load_state_dict(given, strict=True)
    network.eval()


def require_system(checkpoint: Checkpoint, system: str) -> Checkpoint:
    """Returns the checkpoint. Raises CheckpointError if it is of another system."""
    check_system(checkpoint.path, checkpoint.system, system)
    return checkpoint


def check_system(path: Path, found: str, wanted: str) -> None:
    """Raises CheckpointError if ``found``, as ``system_of`` returns it, is not ``wanted``.

    An unknown system (empty) passes.
    """
    if found not in (wanted, ""):
        raise CheckpointError(f"{path} is not {_WHAT[wanted]} but {_WHAT[found]}")


def _read(path: Path) -> object:
    if path.is_dir():
        raise IsADirectoryError(path)
    with path.open("rb") as file:
        if path.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
        return torch.load(file, map_location="cpu", weights_only=True)


def _state_dict(content: object) -> dict[str, torch.Tensor]:
    """Returns the mapping with the most tensors: the content itself, or an entry of it.

    Removes the prefix that DataParallel adds to all names, and converts numbers to float32.
    """
    if not isinstance(content, Mapping):
        return {}
    own = {str(name): v for name, v in content.items() if isinstance(v, torch.Tensor)}
    entries = [own, *(_state_dict(entry) for entry in content.values())]
    found = max(entries, key=len)
    if found and all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): value for name, value in found.items()}
    return {name: v.float() if v.is_floating_point() else v for name, v in found.items()}


def _listed(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return [f"{what}: {', '.join(names[:_MOST_LISTED])}{more}"]
