"""Tests the tools of the tests: one ROS domain per test, and things that workers build once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import waits
from built_once import built_once
from domains import DOMAINS, locked_domain


def test_a_domain_is_locked_while_it_is_in_use(tmp_path: Path) -> None:
    with locked_domain(tmp_path) as first, locked_domain(tmp_path) as second:
        assert first != second
        assert {first, second} <= set(DOMAINS)
        # In another process, whatever domain that begins with.
        program = (
            "from pathlib import Path; from contextlib import ExitStack; import domains, sys\n"
            "stack = ExitStack()\n"
            "for _ in range(int(sys.argv[2])):\n"
            "    print(stack.enter_context(domains.locked_domain(Path(sys.argv[1]), 0.0)))\n"
        )

        def lock(count: int) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", program, str(tmp_path), str(count)],
                capture_output=True,
                text=True,
                cwd=Path(__file__).parents[1] / "helpers",
                timeout=waits.scaled(60),
            )

        found = lock(98)
        assert {int(n) for n in found.stdout.split()} == set(DOMAINS) - {first, second}
        assert "all ROS domains are locked" in lock(99).stderr
    assert lock(100).returncode == 0, "free after the block and after the end of a process"


def test_what_workers_share_is_built_once(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    name = f"shared_{id(request)}"
    folders: list[Path] = []

    def build(folder: Path) -> Path:
        folders.append(folder)
        if len(folders) == 1:
            raise OSError("no space")
        return folder / "file"

    with pytest.raises(OSError, match="no space"):
        built_once(tmp_path_factory, name, build)
    file = built_once(tmp_path_factory, name, build)
    assert built_once(tmp_path_factory, name, build) == file
    assert len(set(folders)) == 2


def test_timeouts_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(waits.FACTOR_NAME, "2.5")
    assert waits.scaled(4.0) == 10.0
