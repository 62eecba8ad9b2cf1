"""Parameters as data: coercion, reasons, and what a node does with them (over real rclpy)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from face_perception.ros.parameters import Parameters, fields, parameter


@dataclass(frozen=True)
class Example:
    rate: float = parameter(30.0, "Rate.", minimum=1.0, maximum=240.0, dynamic=True)
    count: int = parameter(3, "Count.", minimum=1, maximum=10)
    kind: str = parameter("auto", "Kind.", choices=("auto", "other"))
    name: str = parameter("sample", "Name.")
    on: bool = parameter(True, "On.")
    point: tuple[float, ...] = parameter((0.0, 0.0, 0.0), "Point.", length=3)


FIELDS = {f.name: f for f in fields(Example)}


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("rate", 30, 30.0),
        ("rate", 1.0, 1.0),
        ("count", 10, 10),
        ("kind", "other", "other"),
        ("name", 0, "0"),
        ("on", False, False),
        ("point", [1, 2.5, 3], (1.0, 2.5, 3.0)),
    ],
)
def test_good_values(name: str, value: Any, want: Any) -> None:
    got = FIELDS[name].coerce(value)
    assert got == want
    assert type(got) is type(want)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("rate", 0.5, "from 1 to 240"),
        ("rate", float("nan"), "a number"),
        ("rate", "30", "a number"),
        ("rate", True, "a number"),
        ("count", 3.0, "a whole number"),
        ("count", 11, "from 1 to 10"),
        ("kind", "none", "one of auto, other"),
        ("name", 1.5, "a text"),
        ("name", True, "a text"),
        ("on", 1, "true or false"),
        ("point", [1.0, 2.0], "3 numbers"),
        ("point", [1.0, 2.0, float("inf")], "list of numbers"),
        ("point", "123", "list of numbers"),
    ],
)
def test_bad_values_say_what_is_allowed(name: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        FIELDS[name].coerce(value)
    assert str(error.value).startswith(f"{name}: ")


@pytest.fixture
def context() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.shutdown()


def make(**overrides: Any) -> tuple[Node, Parameters[Example]]:
    node = Node(
        "example",
        parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
    )
    return node, Parameters(node, Example)


def test_overrides_are_taken(context: None) -> None:
    node, parameters = make(rate=15, point=[0.0, 0.1, 0.2])
    assert parameters.values == Example(rate=15.0, point=(0.0, 0.1, 0.2))
    assert parameters.problems == {}
    assert node.describe_parameter("rate").additional_constraints == "from 1 to 240"
    node.destroy_node()


def test_a_refused_override_is_kept_as_a_problem_until_mended(context: None) -> None:
    node, parameters = make(count=99)
    assert "from 1 to 10" in parameters.problems["count"]
    assert parameters.values.count == 3
    assert node.set_parameters([Parameter("count", value=4)])[0].successful
    assert parameters.problems == {}
    assert parameters.values.count == 4
    node.destroy_node()


def test_only_dynamic_parameters_change_while_configured(context: None) -> None:
    node, parameters = make()
    parameters.configured = True
    refused = node.set_parameters([Parameter("count", value=4)])[0]
    assert not refused.successful
    assert "restart the node" in refused.reason
    assert node.set_parameters([Parameter("rate", value=60.0)])[0].successful
    assert parameters.values == Example(rate=60.0)
    node.destroy_node()


def test_generated_files_are_up_to_date() -> None:
    tool = Path(__file__).parents[2] / "tools" / "generate.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_defaults_of_nodes_are_those_of_what_they_run() -> None:
    """A node says its defaults itself, to document them: they must not drift from the class's."""
    import inspect

    from face_perception.attention import AttentionTracker
    from face_perception.faces import FaceTracker
    from face_perception.gaze import GeometricGaze
    from face_perception.nodes import attention, face_tracker
    from face_perception.nodes.gaze import node as gaze

    for parameters, made in (
        (attention.AttentionParameters, AttentionTracker),
        (face_tracker.FaceTrackerParameters, FaceTracker),
        (gaze.GazeParameters, GeometricGaze),
    ):
        defaults = {k: p.default for k, p in inspect.signature(made).parameters.items()}
        shared = [f for f in fields(parameters) if f.name in defaults]
        assert len(shared) >= 5
        for field in shared:
            assert field.default == defaults[field.name], f"{made.__name__}.{field.name}"
