"""Training by Lightning: a run that was interrupted ends in the same bits as one that was not.

Chance is a function of seed and epoch (order) or step (dropout), and checkpoints are whole epochs.
On a CPU, that is, and on one machine and number of threads; a GPU adds in the order that it likes.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import Sampler

from face_perception.errors import InputError

LAST = "last.ckpt"  # of the last epoch, in a run's folder

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_APART = 1_000_003  # a prime, so that seeds of runs and steps hardly meet


class EpochOrder(Sampler[int]):
    """All of ``count`` indices in an order that depends on seed and epoch only; of several devices
    each has as many of them, and none has another's (``trainer`` says which is ours).

    A module's ``train_dataloader`` makes one with its ``current_epoch``, each epoch anew: Lightning
    takes the first batch before it would tell a sampler the epoch that is resumed. Raises
    InputError where there are more devices than indices.
    """

    def __init__(self, count: int, seed: int, epoch: int, trainer: lightning.Trainer) -> None:
        self._count, self._seed = count, seed * _APART + epoch
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
    """Seeds the chance of a step, apart for each process."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, number: int) -> None:
        seed = self._seed * _APART + trainer.global_step
        torch.manual_seed(seed + 1_000_000_007 * trainer.global_rank)


def has_checkpoint(folder: Path | None) -> bool:
    """Whether a run's folder has an epoch to go on from."""
    return folder is not None and (folder / LAST).exists()


def keep_freed_memory() -> None:
    """Makes glibc keep what this process frees: a step frees and asks for the same again, and
    pages anew took a tenth of its time. Elsewhere nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
        mallopt(_M_TRIM_THRESHOLD, -1)


def network_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Those of the module's ``network``, on the CPU. Raises FileNotFoundError, and InputError where
    the file is damaged or of something else.
    """
    return _weights(_read(checkpoint))


def trained_weights(
    checkpoint: Path, epochs: int, report: Callable[[str], None]
) -> dict[str, torch.Tensor]:
    """The same of a run that is measured; reported where it has not all its ``epochs`` yet."""
    found = _read(checkpoint)
    done = int(found["epoch"]) + 1
    if done < epochs:
        report(f"{checkpoint} has {done} of {epochs} epochs: `train --resume` does the others")
    return _weights(found)


def _weights(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {key.removeprefix("network."): v for key, v in checkpoint["state_dict"].items()}


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if {"state_dict", "epoch"} - found.keys():
            raise InputError("not of Lightning")
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InputError(
            f"{checkpoint} is damaged or no checkpoint of `train` ({type(error).__name__}): train "
            "again into another folder"
        ) from error
    return found


def _single(accelerator: str, devices: int | str) -> bool:
    """Whether that is one device."""
    if accelerator == "cpu" or not torch.cuda.is_available():
        return devices in (1, "auto")
    return devices == 1 or (devices == "auto" and torch.cuda.device_count() == 1)


def fit_module(
    module: lightning.LightningModule,
    *,
    epochs: int,
    seed: int,
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    most_gradient: float | None = None,
    devices: int | str = "auto",
    accelerator: str = "auto",
) -> None:
    """Trains ``module`` (with its data loaders) for ``epochs`` in all; a run that has them is only
    read. Gradients are cut to a norm of ``most_gradient``.

    With ``out`` there are a checkpoint of the last epoch (``last.ckpt``) and TensorBoard's log. On
    all GPUs of this computer (each has its part of an epoch; a process each, which ends with the
    call) or the CPU, a progress bar on a terminal; ``quiet``: neither. ``devices`` and
    ``accelerator`` are Lightning's. Raises InputError where there is nothing to resume, or a run
    would be overwritten.
    """
    last = out / LAST if out else None
    if resume and (last is None or not last.exists()):
        raise InputError(f"{last or 'no folder'}: no run to resume, train without --resume")
    if not resume and last is not None and last.exists():
        raise InputError(f"{last} is of an earlier run: --resume, or choose another --out")
    if last is not None and resume:
        network_weights(last)  # refuses what is damaged, which Lightning would raise as it comes
    callbacks: list[Callback] = [_StepSeed(seed)]
    if out is not None:
        callbacks.append(
            # Not its save_last: without others to keep, that is written at the very end only.
            ModelCheckpoint(
                out,
                filename=Path(LAST).stem,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
    if quiet:
        accelerator, devices = "cpu", 1
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # One process that reads, and no validation in between, are on purpose.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*isinstance.*LeafSpec.*")
        trainer = lightning.Trainer(
            max_epochs=epochs,
            gradient_clip_val=most_gradient,
            accelerator=accelerator,
            devices=devices,
            # Not processes that begin the command line again: they would draw and write as well.
            strategy="auto" if _single(accelerator, devices) else "ddp_spawn",
            use_distributed_sampler=False,  # EpochOrder is one
            logger=TensorBoardLogger(out, name="", version="log") if out else False,
            callbacks=callbacks,
            enable_checkpointing=out is not None,
            enable_progress_bar=not quiet and sys.stderr.isatty(),
            enable_model_summary=False,
            log_every_n_steps=10,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
        )
        trainer.fit(module, ckpt_path=str(last) if resume else None)
