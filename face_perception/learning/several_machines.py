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

    Raises InputError if the machines have different numbers of processes.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        names = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK")
        total, processes, rank = (int(environment[name]) for name in names)
    elif "SLURM_PROCID" in environment and int(environment.get("SLURM_NTASKS", "1")) > 1:
        total, rank = int(environment["SLURM_NTASKS"]), int(environment["SLURM_PROCID"])
        machines = int(environment.get("SLURM_NNODES", "1"))
        processes = int(environment.get("SLURM_NTASKS_PER_NODE") or total // machines)
    else:
        return None
    if total % processes or not processes:
        raise InputError(
            f"{total} processes cannot be spread over machines of {processes} each: start the same "
            "number on each machine (torchrun --nproc-per-node, SLURM --ntasks-per-node)"
        )
    return Launch(total // processes, processes, rank)
