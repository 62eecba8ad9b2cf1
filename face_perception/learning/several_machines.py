"""Says how torchrun or SLURM started this process, if one of them did.

Both start the same command on each machine, once for each process that trains.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from face_perception.errors import InputError


@dataclass(frozen=True, slots=True)
class Launch:
    """``machines`` with ``processes`` each; ``rank`` is the number of this process among all."""

    machines: int
    processes: int
    rank: int


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Returns how this process was started together with others, or None if it runs alone.

    Raises InputError if the variables of torchrun or SLURM are missing, odd or contradictory, or if
    SLURM was asked for several processes in a way that Lightning does not support.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        total, processes, rank = (
            _number(environment, name) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK")
        )
        machines = total // processes if processes else 0
    elif "SLURM_PROCID" in environment and environment.get("SLURM_NTASKS", "1") != "1":
        _check_slurm(environment)
        total, processes, rank, machines = (
            _number(environment, f"SLURM_{name}")
            for name in ("NTASKS", "NTASKS_PER_NODE", "PROCID", "NNODES")
        )
    else:
        return None
    if not total or total != machines * processes or rank >= total:
        raise InputError(
            f"process {rank} of {total} does not fit machines of {processes} processes each: start "
            "the same number on each machine (torchrun --nproc-per-node, SLURM --ntasks-per-node)"
        )
    return Launch(machines, processes, rank)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not (text.isascii() and text.isdecimal()):
        raise InputError(
            f"the environment variable {name} is {text!r}, not a whole number: start the command "
            "with torchrun or srun, which set it"
        )
    return int(text)


def _check_slurm(environment: Mapping[str, str]) -> None:
    """Raises InputError for starts of SLURM in which processes would wait for each other forever.

    Lightning takes a job with the name bash or interactive for a shell.
    """
    name = environment.get("SLURM_JOB_NAME")
    if "SLURM_STEP_ID" not in environment:
        raise InputError(
            "the SLURM job has several tasks, but this command is not started by srun: put srun "
            "before it, or ask for one task"
        )
    if name in ("bash", "interactive"):
        raise InputError(
            f"the SLURM job has the name {name}, in which processes do not train together: give it "
            "another one with --job-name"
        )
    if "SLURM_NTASKS_PER_NODE" not in environment:
        raise InputError(
            "the SLURM job has several tasks without a number for each machine: give "
            "--ntasks-per-node instead of --ntasks"
        )
