"""bench/graph.py: the images that it shows, the latencies that it reads, and its ways."""

from __future__ import annotations

import itertools
from types import ModuleType

import numpy as np
import pytest
import yaml
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from bench.steady_faces import render, stamp_of
from face_perception import faces, msg, paths
from face_perception.bringup import graph
from face_perception.ros import messages
from face_perception.types import Camera, Frame


@pytest.fixture
def bench_graph(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("ROS_DOMAIN_ID", "77")  # as the bench sets it, and undone after the test
    from bench import graph as bench_graph

    return bench_graph


@pytest.mark.parametrize("number", [1, 8])
def test_every_image_has_all_faces(number: int) -> None:
    """So that any second of a measurement costs as much as any other."""
    tracker = faces.load_tracker()
    images = render(number, 640, 480, 10)
    camera = Camera.assume(640, 480)
    found = [tracker.track(Frame(images[n % 10], n / 10, camera)) for n in range(16)]
    assert {len(each) for each in found[12:]} == {number}
    assert len({face.face_id for each in found for face in each}) == number
    points = [np.mean([face.landmarks for face in each], axis=1) for each in found[12:]]
    steps = [abs(a - b).max() for a, b in itertools.pairwise(points)]
    assert min(steps) > 0.5, "they move"


def test_latency_is_read_from_the_serialised_message() -> None:
    header = Header(stamp=messages.time(1234.5), frame_id="a camera of any name")
    sent = serialize_message(msg.AttentionArray(header=header))
    assert stamp_of(sent) == 1234.5


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt"])
def test_nodes_with_networks_get_the_backend(
    backend: str, bench_graph: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[graph.GraphOptions] = []
    monkeypatch.setattr(bench_graph, "Supervisor", lambda processes, respawn: processes)
    monkeypatch.setattr(graph, "node_processes", given.append)
    nodes = ("face_tracker", "gaze", "affect", "overlay")
    bench_graph.Way("composed", True, backend=backend).supervisor(nodes)
    for name, parameters in given[0].parameters.items():
        (settings,) = yaml.safe_load(paths.resource(f"config/{name}.yaml").read_text()).values()
        wanted = backend if "backend" in settings["ros__parameters"] else None
        assert parameters.get("backend") == wanted
    assert "backend" not in given[0].parameters["overlay"]
