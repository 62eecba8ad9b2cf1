"""What all tests share: how pytest runs them, model caches, and node processes where ROS is."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # More workers than cores: each computes with one thread, and so do the processes it starts.
    # Read by the libraries when they are loaded, so it comes before any of them.
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(_name, "1")

import contextlib
import importlib.util
import io
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

ROOT = str(Path(__file__).parents[1])
if importlib.util.find_spec("face_perception") is None:
    sys.path.insert(0, ROOT)  # not installed: the source tree's

import pytest
from built_once import built_once, remove_built
from domains import locked_domain
from model_caches import copy_models

from face_perception.bringup.shared_memory import remove_orphans
from face_perception.inference import Model, load

# For bench/ and tools/. The package is loaded by now: the installed one, if there is one.
sys.path.insert(0, ROOT)

if TYPE_CHECKING:
    from node_processes import NodeProcess, Peer  # needs ROS

    from face_perception.faces import FaceTracker
    from face_perception.types import Face, Frame


def pytest_configure() -> None:
    """Prepares this process for the hundreds of processes that the tests start."""
    # Without bytecode each would compile the package again (0.3 s).
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # A shell that starts pytest with `&` has it ignore Ctrl-C, which child processes inherit.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Returns how many workers `pytest -n auto` starts: two more than there are cores, since some
    wait.

    Each takes up to 1.5 GB of memory.
    """
    return min(12, 2 + (os.cpu_count() or 1))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tells `--dist loadgroup` what must run in one worker, and puts that first.

    Tests marked `realtime` disturb one another: they run one after the other. Tests that share a
    fixture of their module stay together, so that it is built once. All others may run anywhere.
    """
    if not getattr(config.option, "loadgroup", False):  # what xdist tells its workers
        return
    order = {}
    for item in items:
        group = ""
        if item.get_closest_marker("realtime"):
            group = "realtime"
        elif shares_module_fixture(item):
            group = item.path.stem
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
        order[item] = 0 if group == "realtime" else 1 if group else 2
    items.sort(key=order.__getitem__)


def shares_module_fixture(item: pytest.Item) -> bool:
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009
    return any(fixture.scope == "module" for found in fixtures for fixture in found)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Lets the tests that watch the clock go first: a worker that has none left is nice to them."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.get_closest_marker("realtime"):
        os.nice(max(0, 10 - os.nice(0)))


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain that no other test on this machine uses, for this machine only."""
    if os.environ.get("ROS_DISTRO") == "humble":
        monkeypatch.setenv("ROS_LOCALHOST_ONLY", "1")
    else:
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with locked_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        if importlib.util.find_spec("rclpy") is not None:
            from node_processes import use_profile_of_nodes

            use_profile_of_nodes()
        yield number


@pytest.fixture
def rep155(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the optional interface packages importable in the processes that the test starts."""
    pytest.importorskip("rclpy")
    from interface_packages import add_to_python_path, interface_packages

    add_to_python_path(interface_packages(), monkeypatch)


@pytest.fixture
def start(domain: int, tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Starts nodes: ``start("gaze", remaps=("gaze:=/g",), model="geometric")``.

    Checks their logs at the end.
    """
    pytest.importorskip("rclpy")
    from node_processes import started_nodes

    with started_nodes(tmp_path) as start_one:
        yield start_one


@pytest.fixture
def peer(domain: int) -> Iterator[Peer]:
    """A node of the test in the same domain."""
    pytest.importorskip("rclpy")
    from node_processes import Peer

    made = Peer(domain)
    yield made
    made.close()


@pytest.fixture
def call_here(capfd: pytest.CaptureFixture[str]) -> Callable[..., CompletedProcess[str]]:
    """Runs ``face-perception`` in this process: ``call_here("run", path, "--output", "-")``.

    It saves the second in which ``command_line.call`` loads the libraries again. Use that where the
    process itself is tested: its environment, its signals, its closed streams.
    """
    from face_perception import cli

    def call(*arguments: object) -> CompletedProcess[str]:
        capfd.readouterr()
        line = [str(argument) for argument in arguments]
        try:
            code = cli.main(line)
        except SystemExit as end:  # wrong usage
            code = int(end.code or 0)
        said = capfd.readouterr()
        return CompletedProcess(line, code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def geddnet_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GEDDnet with its golden's weights, through the real import: its card."""
    from gaze_network import install_geddnet

    return built_once(tmp_path_factory, "geddnet", install_geddnet)


@pytest.fixture(scope="session")
def dilated_net_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dilated-Net with its golden's weights, through the real import: its card."""
    from gaze_network import install_dilated_net

    return built_once(tmp_path_factory, "dilated_net", install_dilated_net)


@pytest.fixture(scope="session")
def published_affect_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache with the multitask networks and MIMAMO-Net, with the weights of the goldens."""
    pytest.importorskip("torch")
    from affect_goldens import import_networks

    return built_once(tmp_path_factory, "affect", import_networks)


@pytest.fixture(scope="module")
def empty_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty model cache, in use in all tests of the module after the first that asks for it."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def face_networks() -> tuple[Model, Model]:
    """The networks of a FaceTracker: detector and mesh, in FP32 with one thread."""
    return load("face_detector", backend="onnxruntime"), load("face_mesh", backend="onnxruntime")


@pytest.fixture
def tracker(face_networks: tuple[Model, Model]) -> FaceTracker:
    """A tracker that has seen nothing yet."""
    from face_perception.faces import FaceTracker

    return FaceTracker(*face_networks)


@pytest.fixture(scope="session")
def photo_faces(face_networks: tuple[Model, Model]) -> dict[str, tuple[Frame, Face]]:
    """The two sample photographs by name: the image, and the face in it."""
    from faces_scene import frame, photo

    from face_perception.faces import FaceTracker

    tracker = FaceTracker(*face_networks)
    frames = {name: frame(photo(name)) for name in ("astronaut", "grace_hopper")}
    return {name: (shot, tracker.detect(shot)[0]) for name, shot in frames.items()}


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model cache of the test's own, in use here and in the processes that it starts."""
    folder = copy_models(tmp_path / "models")
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    return folder


@pytest.fixture(scope="session")
def narrow_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache with MuseTalk's networks, narrow, beside the package's own models."""
    from musetalk_models import install_narrow

    return built_once(tmp_path_factory, "narrow", install_narrow)


@pytest.fixture(scope="session")
def narrow_avatar(narrow_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut for a fifth of a second, prepared by the command with the narrow networks, in
    the file that it chooses and names.
    """
    return built_once(
        tmp_path_factory, "avatar", lambda folder: prepare_narrow_avatar(narrow_models, folder)
    )


def prepare_narrow_avatar(models: Path, folder: Path) -> Path:
    from face_perception import cli

    file = folder / "astronaut.avatar"
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setenv("FACE_PERCEPTION_MODELS", str(models))
        patch.chdir(folder)
        assert cli.main(["avatar", "prepare", "astronaut", "--seconds", "0.2"]) == 0
    assert said.getvalue().startswith(f"{file}: 5 pictures")
    return file


def pytest_sessionstart() -> None:
    """Removes what killed nodes of an earlier run left in memory, which would fill it."""
    remove_orphans()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Removes the shared memory of killed nodes, and the models that were built once (1 GB).

    Leaves shared memory that is younger than a few seconds to the next run: another worker's node
    may be about to lock it.
    """
    remove_orphans()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        remove_built(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]
