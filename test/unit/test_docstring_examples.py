"""The examples in docstrings run as they stand, and the public classes have one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import face_perception

PACKAGE = Path(face_perception.__file__).parent

MODULES = ("types", "geometry", "errors", "settings", "pipeline", "results")
ROOMS = (
    *("faces", "gaze", "people", "affect", "motion", "attention", "speech", "avatar"),
    *("inference", "media", "overlay"),
)
# Whose public classes must have an example.
EXPLAINED = ("pipeline", "errors", "faces", "gaze", "people", "affect", "avatar", "inference")

# Modules whose examples need a package that `pip install .` does not bring.
OPTIONAL = {"avatar.screens.web_page": "websockets"}

# How many of them have none yet. Lower a number when an example is written, and then delete this.
MISSING = {
    **{"pipeline": 1, "errors": 4, "faces": 1, "gaze": 7, "people": 9, "affect": 10},
    **{"avatar": 30, "inference": 11},
}


def with_examples() -> list[str]:
    """The modules of the package that have an example in a docstring."""
    files = [PACKAGE / f"{name}.py" for name in MODULES if (PACKAGE / f"{name}.py").exists()]
    files += [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]
    found = [path.relative_to(PACKAGE) for path in files if ">>> " in path.read_text()]
    names = [".".join(path.with_suffix("").parts) for path in found]
    return [name.removesuffix(".__init__") for name in names]


def public_classes(room: str) -> dict[str, type]:
    """What a room offers, without its exceptions: what raises them shows them."""
    module = importlib.import_module(f"face_perception.{room}")
    names = getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]
    found = {name: getattr(module, name) for name in names}
    return {
        name: value
        for name, value in found.items()
        if inspect.isclass(value)
        and value.__module__.startswith(module.__name__)
        and (room == "errors" or not issubclass(value, Exception))
    }


@pytest.mark.parametrize("name", with_examples())
def test_examples_of_a_module_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"face_perception.{name}")
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted, "an example that doctest does not find: is it in a docstring?"
    assert not result.failed, capsys.readouterr().out


@pytest.mark.parametrize("room", EXPLAINED)
def test_public_classes_have_an_example(room: str) -> None:
    classes = public_classes(room)
    assert classes
    without = [name for name, value in classes.items() if ">>> " not in (value.__doc__ or "")]
    assert len(without) <= MISSING.get(room, 0), without
