"""Tests that examples in docstrings run, and that each public class has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest
from affect_models import install_multitask
from gaze_network import install_sides
from model_caches import copy_models
from musetalk_standins import install_musetalk_standins

import face_perception

PACKAGE = Path(face_perception.__file__).parent

MODULES = ("types", "geometry", "errors", "settings", "pipeline")
ROOMS = (
    *("faces", "gaze", "people", "affect", "motion", "attention", "speech", "avatar"),
    *("inference", "media", "overlay", "results", "sessions", "web"),
)
# The folders and modules whose public classes must have an example.
EXPLAINED = ("pipeline", "errors", "faces", "gaze", "people", "affect", "avatar", "inference")

# Modules whose examples need a package that `pip install .` does not bring.
OPTIONAL = {
    "avatar.screens.web_page": "websockets",
    "avatar.screens.window": "pygame",
    "web.dashboard_page": "websockets",
}


def with_examples() -> list[str]:
    """Returns the modules of the package that have an example in a docstring."""
    files = [PACKAGE / f"{name}.py" for name in MODULES if (PACKAGE / f"{name}.py").exists()]
    files += [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]
    found = [path.relative_to(PACKAGE) for path in files if ">>> " in path.read_text()]
    names = [".".join(path.with_suffix("").parts) for path in found]
    return [name.removesuffix(".__init__") for name in names]


def public_classes(room: str) -> dict[str, type]:
    """Returns the public classes of a folder, except exceptions: the code that raises them shows
    them.
    """
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


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache with small networks under the names of those that a user imports."""
    folder = copy_models(tmp_path_factory.mktemp("examples") / "models")
    install_sides("geddnet", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(folder))
        install_multitask()
        install_musetalk_standins()
    return folder


@pytest.mark.parametrize("name", with_examples())
def test_examples_of_a_module_run(
    name: str,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(models))
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # windows open on no display
    module = importlib.import_module(f"face_perception.{name}")
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted, "an example that doctest does not find: is it in a docstring?"
    assert not result.failed, capsys.readouterr().out


@pytest.mark.parametrize("room", EXPLAINED)
def test_public_classes_have_an_example(room: str) -> None:
    classes = public_classes(room)
    assert classes
    assert not [name for name, value in classes.items() if ">>> " not in (value.__doc__ or "")]
