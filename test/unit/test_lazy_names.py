"""Tests the packages that import each of their names when it is first used."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from face_perception.lazy_names import names_for_type_checkers

PACKAGE = Path(__file__).resolve().parents[2] / "face_perception"
LAZY = sorted(
    path.parent for path in PACKAGE.glob("*/__init__.py") if "lazy_names(" in path.read_text()
)


def test_most_rooms_are_lazy() -> None:
    assert {"faces", "inference", "media"} <= {folder.name for folder in LAZY}


@pytest.mark.parametrize("folder", LAZY, ids=lambda folder: folder.name)
def test_a_lazy_package_has_all_of_its_names(folder: Path) -> None:
    source = (folder / "__init__.py").read_text()
    package = importlib.import_module(f"face_perception.{folder.name}")
    for name in package.__all__:
        getattr(package, name)  # raises AttributeError if there is no such name
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        package.no_such_name  # noqa: B018
    # Once a module is loaded, it would hide a name that is the same.
    for name, module in names_for_type_checkers(source).items():
        is_module = (folder / f"{name}.py").exists() or (folder / name).is_dir()
        assert not is_module or module == package.__name__, f"import {name} at once"


def test_a_name_stays_what_it_is_when_its_module_is_loaded() -> None:
    from face_perception import faces
    from face_perception.faces.head_pose import NEUTRAL_PITCH

    assert callable(faces.head_pose)
    assert faces.NEUTRAL_PITCH == NEUTRAL_PITCH


def test_a_module_loads_only_what_it_uses() -> None:
    """The library of pictures, and decimal numbers for films, take 0.1 s to load."""
    program = (
        "import sys, face_perception.faces.tracker, face_perception.media.image_messages\n"
        "from face_perception.media import image_from_message\n"
        "print([m for m in ('PIL', 'decimal', 'face_perception.media.film') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
