"""Tests the folders of the tests, and what the tests of each folder may need."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FOLDERS = {"unit", "ros", "parity", "learning", "system"}

# What the tests of a folder may not import when they are collected.
ROS = {"rclpy", "node_processes", "sensor_msgs", "std_msgs", "std_srvs", "lifecycle_msgs"}
UNAVAILABLE = {"unit": ROS | {"torch"}, "parity": ROS, "learning": ROS}


def imported_at_once(path: Path) -> set[str]:
    """Returns the modules that a file imports when it is imported itself."""
    found = set()
    for node in statements(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements that run on import: not those of functions and of ``if
    TYPE_CHECKING``.
    """
    for node in body:
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from statements(node.body + node.orelse)


def test_every_test_file_is_in_one_of_the_folders() -> None:
    found = {path.relative_to(TESTS).parts[:-1] for path in TESTS.rglob("test_*.py")}
    assert found == {(folder,) for folder in FOLDERS}


def test_names_of_test_files_differ() -> None:
    """Pytest imports test files and helpers by their name alone."""
    names = [path.name for path in TESTS.rglob("*.py") if path.name != "conftest.py"]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("folder", sorted(UNAVAILABLE))
def test_folders_are_collected_without_what_they_may_not_need(folder: str) -> None:
    """Only test/ros and test/system import ROS at once. Nor does test/unit import PyTorch."""
    for path in (TESTS / folder).glob("*.py"):
        for module in imported_at_once(path):
            package, _, rest = module.partition(".")
            assert package not in UNAVAILABLE[folder], f"{path.name} imports {module}"
            messages = package == "face_perception" and rest in ("msg", "srv", "action")
            assert not messages, f"{path.name} imports {module}"


def test_tests_read_nothing_outside_of_the_source_tree() -> None:
    outside = re.compile(r"[F]ACE_PERCEPTION_SHARED|[/]work/|[.][.]/shared")
    for path in TESTS.rglob("*.py"):
        found = outside.search(path.read_text())
        assert found is None, f"{path.name} names {found and found[0]!r}"
