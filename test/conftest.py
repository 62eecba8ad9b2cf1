"""Real node processes over real DDS, each test in a domain of its own."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # More workers than cores: each computes with one thread, and so do the processes it starts.
    # Read by the libraries when they are loaded, so it comes before any of them.
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(_name, "1")

import contextlib
import io
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from built_once import built_once
from domains import locked_domain
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from waits import scaled

from face_perception import paths
from face_perception.bringup.graph import Options, merged_environment, processes
from face_perception.bringup.shared_memory import remove_orphans
from face_perception.inference import catalogue

# What must never be in a node's log, whatever it was given.
BAD_LOG_PATTERNS = ("Traceback", "requesting incompatible QoS", "terminate called", "core dumped")

ROOT = Path(__file__).parent.parent


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
    """How many workers `pytest -n auto` starts: most tests wait, so more than there are cores.

    Each takes up to 1.5 GB of memory.
    """
    return min(12, 2 * (os.cpu_count() or 1))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tells `--dist loadgroup` what must run in one worker, and puts that first.

    Tests marked `realtime` disturb one another: they run one after the other. Tests that share a
    fixture of their module stay together, so that it is built once. All others may run anywhere.
    """
    if getattr(config.option, "dist", "no") != "loadgroup":
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
        yield number


@pytest.fixture(scope="session")
def shared() -> Path:
    """What the developers' machines have beside the project: published goldens, a clip, speech."""
    named = os.environ.get("FACE_PERCEPTION_SHARED")
    for folder in filter(None, (named, ROOT.parent / "shared", "/work/shared")):
        if Path(folder).is_dir():
            return Path(folder)
    pytest.skip("no folder of goldens: FACE_PERCEPTION_SHARED names it")


@pytest.fixture(scope="session")
def geddnet_card(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GEDDnet with the weights of the goldens' seed, through the real import, once: its card."""
    from gaze_network import install_geddnet

    return built_once(tmp_path_factory, "geddnet", lambda folder: install_geddnet(shared, folder))


@pytest.fixture(scope="session")
def dilated_net_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dilated-Net with its golden's weights, through the real import, once: its card."""
    from gaze_network import install_dilated_net

    return install_dilated_net(tmp_path_factory.mktemp("dilated_net"))


def copy_models(folder: Path) -> Path:
    """A model cache in a new folder, with the package's own models and photographs as they are in
    the user's: nothing imported, no variant.
    """
    folder.mkdir(parents=True)
    for card in catalogue().values():
        for name in (card.file, f"{card.file}.json"):
            file = paths.models_dir() / name
            if card.folder is None and file.exists():
                shutil.copy(file, folder)
    return folder


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


def pytest_sessionfinish() -> None:
    """Removes what killed nodes of this run left in memory.

    Leaves what is younger than a few seconds to the next run: another worker's node may be about
    to lock it.
    """
    remove_orphans()


class NodeProcess:
    """One node in a process of its own, as `face-perception up` starts it."""

    def __init__(self, name: str, log: Path, arguments: list[str]) -> None:
        self.name = name
        self.log_file = log
        self._log = log.open("ab")
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "face_perception.nodes", name, *arguments],
            stdout=self._log,
            stderr=self._log,
            env=merged_environment(os.environ),
            cwd=log.parent,  # not the source tree, where Python would find the package by chance
        )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for_log(self, text: str, timeout: float = 60.0) -> str:
        """Waits until the log has ``text``; returns the log."""
        end = time.monotonic() + scaled(timeout)
        while time.monotonic() < end:
            if text in self.log:
                return self.log
            if self.popen.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{self.name} did not say {text!r}:\n{self.log}")

    def interrupt(self, timeout: float = 20.0) -> int:
        """Ctrl-C; returns the exit code."""
        self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(scaled(timeout))

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self._log.close()


@pytest.fixture
def start(domain: int, tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Starts nodes: ``start("gaze", remaps=("gaze:=/g",), model="geometric")``. Checks their logs
    at the end.
    """
    running: list[NodeProcess] = []

    def start_one(
        name: str,
        *,
        options: dict[str, Any] | None = None,
        remaps: tuple[str, ...] = (),
        **parameters: Any,
    ) -> NodeProcess:
        process = processes(
            Options(nodes=(name,), parameters={name: parameters}, **(options or {}))
        )[0]
        log = tmp_path / f"{len(running)}_{name}.log"
        arguments = [*process.ros_arguments(), *(a for r in remaps for a in ("-r", r))]
        node = NodeProcess(name, log, arguments)
        running.append(node)
        return node

    yield start_one
    for node in running:
        alive = node.popen.poll() is None
        if alive:
            assert node.interrupt() == 0, f"{node.name} ended badly:\n{node.log}"
        node.end()
    for node in running:
        for pattern in BAD_LOG_PATTERNS:
            assert pattern not in node.log, f"{node.name} said:\n{node.log}"


class Peer:
    """A node of the test's own in the same domain: publishes, listens, spins."""

    def __init__(self, domain: int) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = Node("test_peer", context=self._context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.received: dict[str, list[Any]] = {}

    def listen(self, message_type: type[Any], topic: str, best_effort: bool = False) -> list[Any]:
        """Messages of a topic, from now on, in a list that grows while spinning."""
        messages = self.received.setdefault(topic, [])
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=50, reliability=reliability)
        self.node.create_subscription(message_type, topic, messages.append, profile)
        return messages

    def publisher(
        self, message_type: type[Any], topic: str, best_effort: bool = False, *, depth: int = 10
    ) -> Any:
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability)
        return self.node.create_publisher(message_type, topic, profile)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], Any], timeout: float = 30.0, why: str = "") -> None:
        """Spins until ``condition()``; fails after ``timeout`` seconds."""
        end = time.monotonic() + scaled(timeout)
        while not condition():
            assert time.monotonic() < end, f"waited {scaled(timeout)} s in vain {why}"
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, service_type: type[Any], name: str, request: Any, timeout: float = 20.0) -> Any:
        client = self.node.create_client(service_type, name)
        self.until(client.service_is_ready, timeout, f"for the service {name}")
        future = client.call_async(request)
        self.until(future.done, timeout, f"for an answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def peer(domain: int) -> Iterator[Peer]:
    made = Peer(domain)
    yield made
    made.close()
