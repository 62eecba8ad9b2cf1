"""Trains with PyTorch Lightning so that an interrupted run gives the same bits as a whole one.

The order of samples is a function of seed and epoch, dropout one of seed and step, and checkpoints
are written after whole epochs. This holds on a CPU, on one machine with one number of threads; the
order of additions on a GPU is not fixed.
"""

from __future__ import annotations

import ctypes
import logging
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import Sampler

from face_perception.errors import InputError
from face_perception.learning.machine_share import MachineShare, own_share
from face_perception.learning.several_machines import Launch, launched
from face_perception.learning.torch_checkpoint import read_torch_file

_Network = TypeVar("_Network", bound=torch.nn.Module)

LAST = "last.ckpt"  # checkpoint of the last epoch, in the folder of a run
_TRAIN_AGAIN = "train again into another folder"

# From malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_SEED_STRIDE = 1_000_003  # a prime, so that seeds of runs and steps rarely coincide


class EpochOrder(Sampler[int]):
    """Yields ``count`` indices in an order that depends on seed and epoch only.

    With several devices, each gets an equal share and no index twice; ``trainer`` says which device
    this is. A module's ``train_dataloader`` makes a new sampler for each epoch, with its
    ``current_epoch``: Lightning takes the first batch before it tells a sampler which epoch is
    resumed. Raises InputError if there are more devices than indices.
    """

    def __init__(self, count: int, seed: int, epoch: int, trainer: lightning.Trainer) -> None:
        self._count, self._seed = count, seed * _SEED_STRIDE + epoch
        self._first: int = trainer.global_rank
        self._devices: int = trainer.world_size
        if not len(self):
            raise InputError(f"{count} samples or steps are too few for {self._devices} devices")

    def __len__(self) -> int:
        return self._count // self._devices

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed)
        order = torch.randperm(self._count, generator=generator).tolist()
        yield from order[self._first :: self._devices][: len(self)]


class _StepSeed(Callback):
    """Seeds PyTorch's random numbers before each step, differently in each process."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, number: int) -> None:
        seed = self._seed * _SEED_STRIDE + trainer.global_step
        torch.manual_seed(seed + 1_000_000_007 * trainer.global_rank)


def has_checkpoint(folder: Path | None) -> bool:
    """Returns True if a run's folder has a checkpoint to resume from."""
    return folder is not None and (folder / LAST).exists()


def finite(network: _Network) -> _Network:
    """Returns ``network``. Raises InputError if a weight is not finite: the training diverged."""
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise InputError("the weights are no longer finite: train again with a lower rate")
    return network


def keep_freed_memory() -> None:
    """Makes glibc keep memory that this process frees; does nothing with other C libraries.

    A training step frees and allocates the same amounts again. Mapping new pages took a tenth of
    the time of a step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest value that glibc accepts
        mallopt(_M_TRIM_THRESHOLD, -1)


def network_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Returns the weights of the module's ``network``, on the CPU.

    Raises InputError if the file is missing, damaged, or not a checkpoint of a run.
    """
    return _weights(_read(checkpoint))


def trained_weights(
    checkpoint: Path, epochs: int, report: Callable[[str], None]
) -> dict[str, torch.Tensor]:
    """Returns what ``network_weights`` returns; reports if the run has fewer than ``epochs``."""
    found = _read(checkpoint)
    done = int(found["epoch"]) + 1
    if done < epochs:
        report(f"{checkpoint} has {done} of {epochs} epochs: `train --resume` finishes the run")
    return _weights(found)


def _weights(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {key.removeprefix("network."): v for key, v in checkpoint["state_dict"].items()}


def _read(checkpoint: Path) -> dict[str, Any]:
    found = read_torch_file(checkpoint, InputError, fix=_TRAIN_AGAIN)
    if not isinstance(found, dict) or {"state_dict", "epoch"} - found.keys():
        raise InputError(f"{checkpoint} was not written by `train`: {_TRAIN_AGAIN}")
    return found


def _single(accelerator: str, devices: int | str | list[int]) -> bool:
    """Returns True if these settings select a single device."""
    if isinstance(devices, list):
        return len(devices) == 1
    if accelerator == "cpu" or not torch.cuda.is_available():
        return devices in (1, "auto")
    return devices == 1 or (devices == "auto" and torch.cuda.device_count() == 1)


def _own_device(share: MachineShare) -> int | list[int]:
    """Returns Lightning's name of the GPU, or CPU, of a process that trains beside others."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [share.number % count] if count else 1


def _strategy(accelerator: str, devices: int | str | list[int], together: Launch | None) -> str:
    """Returns Lightning's name of the way in which processes train together."""
    if together is not None:
        return "ddp"  # the processes are there
    # Not "ddp", whose processes run the command line again: each would paint and write data.
    return "auto" if _single(accelerator, devices) else "ddp_spawn"


def fit_module(
    module: lightning.LightningModule,
    *,
    epochs: int,
    seed: int,
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    most_gradient: float | None = None,
    devices: int | str | list[int] = "auto",
    accelerator: str = "auto",
) -> None:
    """Trains ``module``, which has data loaders, until ``epochs`` epochs are done in all.

    With ``out``, writes a checkpoint after each epoch (``last.ckpt``) and TensorBoard's log; with
    ``resume``, continues from that checkpoint. Uses all GPUs of this computer, one process each, or
    the CPU, and shows a progress bar on a terminal; with ``quiet``, uses one CPU process and shows
    nothing. A process that has a share of the machine (``machine_share``) uses one GPU or the CPU,
    and shows no progress bar. Started by torchrun or SLURM, it is one of their processes instead,
    on one or more machines; ``out`` must then be a folder that all machines share. Gradients are
    clipped to the norm ``most_gradient``. ``devices`` and ``accelerator`` are Lightning's. Raises
    InputError if there is no run to resume, or a run would be overwritten.
    """
    last = out / LAST if out else None
    if resume and (last is None or not last.exists()):
        raise InputError(f"{last or 'no folder'}: no run to resume, train without --resume")
    if not resume and last is not None and last.exists():
        raise InputError(f"{last} is of an earlier run: --resume, or choose another --out")
    if last is not None and resume:
        network_weights(last)  # raises an error with a fix if the file is damaged
    callbacks: list[Callback] = [_StepSeed(seed)]
    if out is not None:
        callbacks.append(
            # Without save_last: if no other checkpoint is kept, it is written only at the end.
            ModelCheckpoint(
                out,
                filename=Path(LAST).stem,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
    together = None if quiet else launched()
    if together is not None:
        devices = together.processes
    share = own_share()
    if share is not None and devices == "auto":
        devices = _own_device(share)
    if quiet:
        accelerator, devices = "cpu", 1
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # One process for reading data, and no validation between, are intended.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*isinstance.*LeafSpec.*")
        trainer = lightning.Trainer(
            max_epochs=epochs,
            gradient_clip_val=most_gradient,
            accelerator=accelerator,
            devices=devices,
            num_nodes=together.machines if together else 1,
            strategy=_strategy(accelerator, devices, together),
            use_distributed_sampler=False,  # EpochOrder distributes the samples
            logger=TensorBoardLogger(out, name="", version="log") if out else False,
            callbacks=callbacks,
            enable_checkpointing=out is not None,
            enable_progress_bar=not quiet and share is None and sys.stderr.isatty(),
            enable_model_summary=False,
            log_every_n_steps=10,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
        )
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(module, ckpt_path=str(last) if resume else None)
        except SystemExit as ended:
            # Lightning ignores Ctrl-C from the first one on, and exits as if it had failed.
            if not isinstance(ended.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
