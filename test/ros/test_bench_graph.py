"""bench/graph.py runs the graph with a given backend of the networks."""

from __future__ import annotations

import pytest
import yaml

from face_perception import paths
from face_perception.bringup import graph


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt"])
def test_nodes_with_networks_get_the_backend(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "77")  # as the bench sets it, and undone after the test
    from bench import graph as bench_graph

    given: list[graph.GraphOptions] = []
    monkeypatch.setattr(bench_graph, "Supervisor", lambda processes, respawn: processes)
    monkeypatch.setattr(graph, "node_processes", given.append)
    nodes = ("face_tracker", "gaze", "affect", "attention")
    bench_graph.Way("composed", True, backend=backend).supervisor(nodes)
    for name, parameters in given[0].parameters.items():
        (settings,) = yaml.safe_load(paths.resource(f"config/{name}.yaml").read_text()).values()
        wanted = backend if "backend" in settings["ros__parameters"] else None
        assert parameters.get("backend") == wanted
    assert "backend" not in given[0].parameters["attention"]
