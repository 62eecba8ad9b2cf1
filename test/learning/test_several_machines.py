"""Two hosts train the same network as two processes of one host.

The hosts are network namespaces of this computer, joined by a virtual cable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from face_perception.errors import InputError
from face_perception.learning import runs
from face_perception.learning.dilated_net import recipe as recipes
from face_perception.learning.several_machines import Launch, launched

# Gloo may add the gradients of two processes in another order.
TOLERANCE = 1e-6
SETTINGS = {"epochs": 2, "batch": 4, "width": 0.03, "people": 8, "images": 4}


TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "3"}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NNODES": "2",
    "SLURM_STEP_ID": "0",
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, None),
        ({"SLURM_NTASKS": "8"}, None),  # a shell of salloc
        (TORCHRUN, Launch(2, 2, 3)),
        (SLURM, Launch(2, 4, 5)),
        (SLURM | TORCHRUN, Launch(2, 2, 3)),
    ],
)
def test_the_launcher_is_known(environment: dict[str, str], expected: Launch | None) -> None:
    assert launched(environment) == expected


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        (SLURM | {"SLURM_NTASKS": "7"}, "process 5 of 7 does not fit machines of 4"),
        (SLURM | {"SLURM_NTASKS": "4", "SLURM_PROCID": "1"}, "process 1 of 4 does not fit"),
        (SLURM | {"SLURM_NTASKS": "many"}, "SLURM_NTASKS is 'many', not a whole number"),
        (SLURM | {"SLURM_JOB_NAME": "interactive"}, "the name interactive.*--job-name"),
        ({k: v for k, v in SLURM.items() if k != "SLURM_STEP_ID"}, "not started by srun"),
        ({k: v for k, v in SLURM.items() if not k.endswith("PER_NODE")}, "give --ntasks-per-node"),
        (TORCHRUN | {"WORLD_SIZE": "3"}, "process 3 of 3 does not fit machines of 2"),
        (TORCHRUN | {"RANK": "-1"}, "RANK is '-1', not a whole number"),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "0"}, "machines of 0"),
        ({"TORCHELASTIC_RUN_ID": "x"}, "WORLD_SIZE is '', not a whole number"),
    ],
)
def test_an_odd_start_is_named(environment: dict[str, str], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        launched(environment)


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [("multitask", "trains in one command on one machine"), ("geddnet", "give --data to share")],
)
def test_what_processes_cannot_share_is_refused(
    recipe: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=fault):
        runs.train(recipe, None, tmp_path, resume=False, name="x", report=print)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces with the addresses 10.77.37.1 and .2 on their interfaces ``wire``."""
    names = [f"fp{os.getpid()}_{k}" for k in range(2)]

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"network namespaces need iproute2 and root: {error}")
    try:
        ip(
            "link",
            "add",
            "wire",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "wire",
            "netns",
            names[1],
        )
        for k, name in enumerate(names):
            ip("-n", name, "address", "add", f"10.77.37.{k + 1}/24", "dev", "wire")
            for device in ("lo", "wire"):
                ip("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.mark.slow
def test_two_hosts_train_the_weights_of_one(hosts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump({"task": "dilated_net", **SETTINGS}))
    recipes.write_synthetic_people(tmp_path / "data", recipes.DilatedNetRecipe(**SETTINGS))
    environment = {
        **os.environ,
        "FACE_PERCEPTION_MODELS": str(tmp_path / "models"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }

    def command(out: str, *options: str) -> list[str]:
        train = [str(shutil.which("face-perception")), "train", str(file)]
        folders = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / out)]
        launcher = [sys.executable, "-m", "torch.distributed.run", *options]
        return [*launcher, *train, *folders, "--name", out]

    one = command("one_host", "--standalone", "--nproc-per-node", "2")
    subprocess.run(one, env=environment, check=True, timeout=600)
    meeting = ["--master-addr", "10.77.37.1", "--master-port", "29537"]
    running = [
        subprocess.Popen(
            ["ip", "netns", "exec", name]
            + command("two_hosts", "--nnodes", "2", "--node-rank", str(k), *meeting),
            env={**environment, "GLOO_SOCKET_IFNAME": "wire"},
        )
        for k, name in enumerate(hosts)
    ]
    try:
        assert [process.wait(600) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    kept = [
        torch.load(tmp_path / name / "last.ckpt", weights_only=True)
        for name in ("one_host", "two_hosts")
    ]
    assert kept[0]["global_step"] == kept[1]["global_step"] > 2
    for key, weights in kept[0]["state_dict"].items():
        torch.testing.assert_close(kept[1]["state_dict"][key], weights, rtol=0, atol=TOLERANCE)
    for name in ("one_host", "two_hosts"):
        assert list((tmp_path / "models").rglob(f"{name}*")), "the first process installs the model"
