"""Tests that only the shared memory of killed processes is removed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from face_perception.bringup import dds_profile, shared_memory
from face_perception.bringup.shared_memory import other_users, remove_orphans


def make(folder: Path, name: str, age: float = 60.0) -> tuple[Path, Path]:
    segment, lock = folder / name, folder / f"{name}_el"
    segment.write_bytes(bytes(100))
    lock.touch()
    then = os.stat(lock).st_mtime - age
    os.utime(lock, (then, then))
    return segment, lock


def test_only_what_nobody_holds(tmp_path: Path) -> None:
    dead = make(tmp_path, "fastdds_0123456789abcdef")
    old_name = make(tmp_path, "fastrtps_0123456789abcdef")
    alive = make(tmp_path, "fastdds_fedcba9876543210")
    young = make(tmp_path, "fastdds_00000000000000aa", age=0.0)
    port = make(tmp_path, "fastdds_port7411")
    other = make(tmp_path, "somebody_elses")
    with open(alive[1]) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert remove_orphans(folder=tmp_path) == 2
    for path in (*dead, *old_name):
        assert not path.exists()
    for path in (*alive, *young, *port, *other):
        assert path.exists()


def test_a_system_without_it(tmp_path: Path) -> None:
    assert remove_orphans(folder=tmp_path / "nowhere") == 0


def test_running_processes_of_other_users_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, lock = make(tmp_path, "fastdds_0123456789abcdef")
    make(tmp_path, "fastdds_fedcba9876543210")  # of a process that has ended
    me = os.getuid()
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert other_users(tmp_path) == []
        monkeypatch.setattr(os, "getuid", lambda: me + 1)
        (name,) = other_users(tmp_path)
    assert other_users(tmp_path) == []
    monkeypatch.setattr(dds_profile, "other_users", lambda: [name])
    assert f"{name} also runs ROS nodes" in dds_profile.advice_on_users()
    for variable, value in (
        (dds_profile.BUILTIN_TRANSPORTS, "UDPv4"),
        ("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp"),
    ):
        with monkeypatch.context() as set_for_now:
            set_for_now.setenv(variable, value)
            assert dds_profile.advice_on_users() == ""
    monkeypatch.setattr(shared_memory.pwd, "getpwuid", {}.__getitem__)
    assert shared_memory._user_name(12345) == "12345"
