"""Nodes use the requested backend and precision, or report why not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_processes import NodeProcess, Peer
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from tensorrt_standin import install
from waits import scaled

from face_perception.inference import make_variant
from face_perception.inference.tensorrt import engines
from face_perception.inference.tensorrt.engine_build import Built
from face_perception.nodes.affect.node import AffectNode

Start = Callable[..., NodeProcess]


@pytest.fixture(autouse=True)
def models(own_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate model cache, without variants that the developer has made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return own_models


def of(node: str, arrays: list[DiagnosticArray]) -> list[DiagnosticStatus]:
    return [status for array in arrays for status in array.status if status.name == node]


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


def level(status: DiagnosticStatus) -> bytes:
    return status.level


def test_what_cannot_serve_is_refused_or_replaced_as_asked(start: Start, peer: Peer) -> None:
    said = peer.listen(DiagnosticArray, "/diagnostics")
    node = start("affect", backend="tensorrt")
    node.wait_for_log("cannot be configured: model expression: TensorRT cannot run here: ")
    peer.until(lambda: any(level(s) == DiagnosticStatus.ERROR for s in of("affect", said)))
    fall_back = Parameter(
        name="fall_back", value=ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True)
    )
    request = SetParametersAtomically.Request(parameters=[fall_back])
    answer = peer.call(SetParametersAtomically, "/affect/set_parameters_atomically", request)
    assert answer.result.successful, answer.result.reason
    peer.until(lambda: any("cannot be used" in s.message for s in of("affect", said)))
    last = of("affect", said)[-1]
    assert level(last) == DiagnosticStatus.WARN
    assert values(last)["models"] == "expression on onnxruntime in fp32"
    assert "used because tensorrt cannot be used" in values(last)["backend"]


def test_a_variant_is_used_where_it_was_made(start: Start, peer: Peer) -> None:
    said = peer.listen(DiagnosticArray, "/diagnostics")
    node = start("affect", precision="fp16")
    node.wait_for_log("run `face-perception models export expression --precision fp16`")
    make_variant("expression", "fp16")
    node.wait_for_log("active")
    peer.until(lambda: any("models" in values(s) for s in of("affect", said)))
    assert values(of("affect", said)[-1])["models"] == "expression on onnxruntime in fp16"


def test_the_tracker_names_the_network_without_a_variant(start: Start) -> None:
    node = start("face_tracker", precision="int8")
    node.wait_for_log("face_detector has no int8-cpu variant")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A simulated GPU (see test_tensorrt_standin).

    Building an engine waits until the returned event is set.
    """
    go = threading.Event()

    def build(card: Any, onnx: bytes, folder: Path, *, progress: Any, **_: Any) -> Built:
        end = time.monotonic() + scaled(20)
        while not go.wait(0.1):
            assert time.monotonic() < end, "nobody let it go on"
            progress(0.0, 0.0)
        for second in range(1, 12):
            progress(float(second), second / 12)
            time.sleep(0.1)
        return Built(onnx, b"")

    install(monkeypatch.setattr)
    monkeypatch.setattr(engines, "build_engine", build)
    return go


def spun(domain: int, run: Callable[[Context, AffectNode], None]) -> None:
    """Calls ``run`` while the node spins in this process, where the stand-in is."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = AffectNode(context=context, use_global_arguments=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set() and context.ok():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        run(context, node)
    finally:
        stop.set()
        thread.join()
        node.close()
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


def test_an_engine_being_built_is_shown(domain: int, peer: Peer, standin: threading.Event) -> None:
    said = peer.listen(DiagnosticArray, "/diagnostics")

    def watch(context: Context, node: AffectNode) -> None:
        # No message is lost from the first one on.
        peer.until(lambda: of("affect", said))
        standin.set()
        peer.until(lambda: node.active)
        peer.until(lambda: "models" in values(of("affect", said)[-1]))

    spun(domain, watch)
    building = [s for s in of("affect", said) if "building engine, 6 s (50%)" in s.message]
    assert len(building) == 1
    assert building[0].message.startswith("model expression: ")
    assert level(building[0]) == DiagnosticStatus.WARN
    last = of("affect", said)[-1]
    assert last.message == "active: nobody subscribes to its results, so it publishes none"
    assert values(last)["models"] == "expression on tensorrt in fp16"


@pytest.mark.usefixtures("standin")
def test_a_node_told_to_end_does_not_wait_for_the_engine(
    domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after SIGTERM: the build ends at its next progress report."""
    steps: list[float] = []

    def build(card: Any, onnx: bytes, folder: Path, *, progress: Any, **_: Any) -> Built:
        for second in range(600):
            steps.append(second)
            progress(float(second), 0.0)
            time.sleep(0.05)
        raise AssertionError("nobody ended it")

    monkeypatch.setattr(engines, "build_engine", build)

    def end(context: Context, node: AffectNode) -> None:
        while len(steps) < 3:
            time.sleep(0.01)
        context.try_shutdown()

    spun(domain, end)
    assert len(steps) < 60
