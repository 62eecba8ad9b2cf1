"""Loads published checkpoints (.pth, .pt, .pth.tar, or an .npz of the state dict) into networks.

No code in a file is run. Errors list everything that does not fit.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from face_perception.errors import (
    FacePerceptionError,
    InputError,
    MissingDependencyError,
    one_line,
)
from face_perception.files import open_regular, sha256_of
from face_perception.outside_files import (
    StandInError,
    check_archive,
    named_os_errors,
    read_arrays,
    reason_of,
    refuse_stand_in,
    stands_in,
)

SUFFIXES = (".pth", ".pt", ".pth.tar", ".npz")

# Name of a tensor -> system whose checkpoints have it. The first match counts.
_SYSTEMS = {
    "backbone.backbone.model.conv1_7x7_s2.weight": "multitask-rnn",
    "backbone.model.conv1_7x7_s2.weight": "multitask",
    "rnns.weight_ih_l0": "mimamo",
    "conv1_7x7_s2.weight": "resnet50_ferplus",
    "face/f_fc1/moving_mean": "geddnet",
    "eye/e1_fc1/moving_mean": "dilated-net",
    "model.visualEncoder.block1.s_1.weight": "lr_asd",
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
    "lr_asd": "LR-ASD (`face-perception import lr_asd`)",
    "musetalk": "MuseTalk's UNet (`face-perception import musetalk`)",
}

_MOST_LISTED = 8
# What the tensors of a file may take: so many bytes in any case, and so many times its size.
_FREE_MEMORY, _LARGEST_RATIO = 64 << 20, 4

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
        return f"{self.path.name} (sha256 {sha256_of(self.path)})"


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a file. Raises CheckpointError if it is missing, damaged, or has no state dict."""
    tensors = _state_dict(read_torch_file(path, CheckpointError))
    if not tensors:
        raise CheckpointError(f"{path} has no state dict in it")
    return Checkpoint(path, tensors, system_of(tensors))


def read_torch_file(
    path: Path,
    kind: type[FacePerceptionError],
    *,
    memory_map: bool = False,
    fix: str = "download it again",
) -> object:
    """Returns the content of a file that torch, safetensors or NumPy wrote, without running code.

    ``memory_map`` maps the weights into memory, where the format allows it. Raises ``kind``, which
    says what is wrong with the file, and ``fix``, how to get another.
    """
    with named_os_errors(path, kind):
        try:
            return _read(path, memory_map)
        except OSError:
            raise
        except MissingDependencyError as error:
            raise kind(f"reading {path} {error}") from error
        except StandInError as error:
            raise kind(f"{path} cannot be read: {error}") from error
        except InputError as error:
            raise kind(f"{path} cannot be read: {error}: {fix}") from error
        except (zipfile.BadZipFile, zlib.error) as error:
            raise kind(f"{path} cannot be read: {reason_of(error)}: {fix}") from error
        except Exception as error:  # torch raises many types for a damaged file
            raise kind(why_unread(path, error, fix)) from error


def system_of(tensors: Collection[str]) -> str:
    """Returns the system that has tensors of these names; empty if it is not known."""
    return next((name for key, name in _SYSTEMS.items() if key in tensors), "")


def why_unread(path: Path, error: Exception, fix: str) -> str:
    """Returns why torch or numpy could not read a file, and the ``fix``.

    Their own messages are not shown, because torch recommends running the code in the file.
    """
    refused = _REFUSED.search(str(error))
    if refused:
        what = one_line(refused[1] or "objects", 80)
        return (
            f"{path} has more than tensors in it ({what}), which is not loaded for "
            "safety: if you trust the file, load it elsewhere and save only its state dict, with "
            "torch.save(model.state_dict(), …)"
        )
    return f"{path} is damaged or not a checkpoint ({type(error).__name__}): {fix}"


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


def check_start(path: Path, kind: type[FacePerceptionError]) -> None:
    """Checks the first bytes of a checkpoint, before minutes are spent on other files.

    Raises ``kind``, with the fix, if it is missing, no regular file, a stand-in or no checkpoint.
    """
    with named_os_errors(path, kind, "name the file itself"), open_regular(path) as file:
        start = file.read(100)
    problem = stands_in(start)
    if problem:
        raise kind(f"{path} cannot be read: {problem}")
    # torch 1.6 and later write zip files, earlier versions wrote pickles.
    of_torch = zipfile.is_zipfile(path) or start.startswith(b"\x80")
    if path.suffix != ".safetensors" and not of_torch:
        raise kind(f"{path} is incomplete or not a checkpoint: download it again")


def check_system(path: Path, found: str, wanted: str) -> None:
    """Raises CheckpointError if ``found``, as ``system_of`` returns it, is not ``wanted``.

    An unknown system (empty) passes.
    """
    if found not in (wanted, ""):
        raise CheckpointError(f"{path} is not {_WHAT[wanted]} but {_WHAT[found]}")


def _read(path: Path, memory_map: bool) -> object:
    with open_regular(path) as file:
        start = file.read(100)
        size = file.seek(0, os.SEEK_END)
        if not start:
            raise InputError("it is empty")
        refuse_stand_in(start)
        if path.suffix == ".npz":
            return {name: torch.from_numpy(array) for name, array in read_arrays(path).items()}
        if path.suffix == ".safetensors":
            return _safetensors(path)
        of_zip = start.startswith(b"PK")  # files from before torch 1.6 are plain pickles
        if of_zip:
            with zipfile.ZipFile(file) as archive:
                check_archive(archive, size)
        file.seek(0)
        given = path if memory_map and of_zip else file
        content = torch.load(
            given, map_location="cpu", weights_only=True, mmap=memory_map and of_zip
        )
    _check_memory(content, size)
    return content


def _safetensors(path: Path) -> object:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingDependencyError("needs safetensors: pip install safetensors") from error
    return load_file(path)


def _check_memory(content: object, size: int) -> None:
    """Raises InputError if tensors are much larger than their file of ``size`` bytes.

    A tensor with a stride of 0 can have any number of values in a few bytes.
    """
    needed = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content))
    if needed > _FREE_MEMORY + _LARGEST_RATIO * size:
        raise InputError(f"its tensors would take {needed >> 20} MB")


def _tensors(content: object) -> Iterator[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, Mapping):
        for entry in content.values():
            yield from _tensors(entry)


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
    listed = ", ".join(one_line(name, 120) for name in names[:_MOST_LISTED])
    return [f"{what}: {listed}{more}"]
