"""Parameters of a node in real rclpy: declared, checked and changed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from bench.fault_requests import beyond, is_allowed, limits
from face_perception.bringup import graph
from face_perception.errors import InputError
from face_perception.nodes import node_class, parameters_class
from face_perception.nodes.talking_face.node import TalkingFaceParameters, call_servers
from face_perception.nodes.talking_face.renderer_choice import RendererChoice
from face_perception.ros.parameters import Parameters
from face_perception.settings import changed_settings, setting, settings_of


@dataclass(frozen=True)
class Example:
    rate: float = setting(30.0, "Rate.", minimum=1.0, maximum=240.0, dynamic=True)
    count: int = setting(3, "Count.", minimum=1, maximum=10)
    kind: str = setting("auto", "Kind.", choices=("auto", "other"))
    name: str = setting("sample", "Name.")
    on: bool = setting(True, "On.")
    point: tuple[float, ...] = setting((0.0, 0.0, 0.0), "Point.", length=3)


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


def renderer_choice(renderer: str, *, musetalk: bool = False, avatar: str = "") -> Any:
    """Returns a talking face with a chosen renderer, without its pictures and networks."""
    choice: Any = object.__new__(RendererChoice)
    choice._node = SimpleNamespace(values=SimpleNamespace(renderer=renderer, avatar=avatar))
    choice._networks = object() if musetalk else None
    return SimpleNamespace(_renderer_choice=choice)


@pytest.mark.parametrize(
    ("renderer", "servers"),
    [("portrait", [{"urls": "stun:a"}]), ("auto", [{"urls": "stun:a"}]), ("head", None)],
)
def test_a_call_is_offered_with_pictures_only(renderer: str, servers: Any) -> None:
    values = TalkingFaceParameters(renderer=renderer, web_calls=True, web_ice="stun:a")
    assert call_servers(values) == servers
    assert call_servers(replace(values, web_calls=False)) is None


@pytest.mark.parametrize(
    ("node", "state", "changed", "said"),
    [
        ("talking_face", renderer_choice("portrait"), {"avatar": "a", "width": 800}, ["avatar"]),
        ("talking_face", renderer_choice("auto"), {"batch": 2}, ["batch"]),
        ("talking_face", renderer_choice("auto", avatar="a"), {"batch": 2, "avatar": "a"}, []),
        (
            "talking_face",
            renderer_choice("auto", avatar="a", musetalk=True),
            {"avatar": "a", "portrait": "b", "height": 300, "batch": 2},
            ["portrait", "height"],
        ),
        ("talking_face", renderer_choice("head"), {"whole": True, "seed": 3}, ["whole"]),
        ("talking_face", renderer_choice("none"), {"follow": "speaker"}, ["follow"]),
        ("talking_face", renderer_choice("portrait"), {"barge_in_time": 1.0}, ["barge_in_time"]),
        ("talking_face", renderer_choice("none"), {"barge_in": "stop", "barge_in_time": 1.0}, []),
        ("talking_face", renderer_choice("portrait"), {"web_host": "::"}, ["web_host"]),
        ("talking_face", renderer_choice("portrait"), {"web_host": "::", "web_port": 80}, []),
        ("talking_face", renderer_choice("portrait"), {"web_calls": True, "web_ice": "stun:a"},
         ["web_calls", "web_ice"]),
        ("talking_face", renderer_choice("portrait"), {"web_port": 80, "web_ice": "stun:a"},
         ["web_ice"]),
        ("talking_face", renderer_choice("head"),
         {"web_port": 80, "web_calls": True, "web_ice": "stun:a"}, ["web_calls", "web_ice"]),
        (
            "talking_face",
            renderer_choice("portrait"),
            {"audio_out": "none", "audio_device": "usb"},
            ["audio_device"],
        ),
        ("attention", None, {"direction_sigma": 0.5, "speaker_model_period": 0.5},
         ["speaker_model_period", "direction_sigma"]),
        ("attention", None, {"direction_sigma": 0.5, "direction_topic": "doa"}, []),
        ("session", None, {"lsl_name": "lab"}, ["lsl_name"]),
        ("dashboard", None, {"picture": False, "width": 320, "compressed": True},
         ["compressed"]),
        ("hri", None, {"publish_tf": False, "frame_prefix": "left_"}, ["frame_prefix"]),
        ("affect", SimpleNamespace(_multitask=None), {"window": 8}, ["window"]),
        ("affect", SimpleNamespace(_multitask=1), {"expression_rate": 5.0}, ["expression_rate"]),
        ("camera", None, {"source": "a.mp4", "width": 320, "loop": False}, ["width"]),
        ("camera", None, {"source": "0", "width": 320, "loop": False}, ["loop"]),
        ("microphone", SimpleNamespace(_recording=None), {"rate": 8000, "loop": False}, ["loop"]),
        ("microphone", SimpleNamespace(_recording=1), {"rate": 8000, "loop": False}, ["rate"]),
    ],
)  # fmt: skip
def test_parameters_without_effect_are_named(
    node: str, state: Any, changed: dict[str, Any], said: list[str]
) -> None:
    values = parameters_class(node)(**changed)
    found = list(node_class(node).without_effect(state, values))
    assert [name for _, names in found for name in changed_settings(values, names)] == said


def test_generated_files_are_up_to_date() -> None:
    tool = Path(__file__).parents[2] / "tools" / "generate.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_change_that_the_node_refuses_is_not_made(context: None) -> None:
    node = Node("example")
    seen: list[Example] = []

    def change(values: Example) -> None:
        if values.rate > 100:
            raise InputError("too fast for this camera")
        seen.append(values)

    parameters = Parameters(node, Example, change)
    assert node.set_parameters([Parameter("rate", value=20.0)])[0].successful
    assert seen == [], "read when the node is configured"
    parameters.configured = True
    (result,) = node.set_parameters([Parameter("rate", value=120.0)])
    assert (result.successful, result.reason) == (False, "too fast for this camera")
    assert node.set_parameters([Parameter("rate", value=50.0)])[0].successful
    assert parameters.values.rate == 50.0
    assert [values.rate for values in seen] == [50.0]
    node.destroy_node()


@pytest.mark.parametrize("name", [node.name for node in graph.NODES])
def test_every_parameter_at_its_limits_and_beyond(name: str, context: None) -> None:
    """What is allowed is taken if it may change now; all else is refused with a reason."""
    node = Node(name)
    parameters = Parameters(node, parameters_class(name))
    for parameters.configured in (False, True):
        for declared in settings_of(parameters_class(name)):
            for value in (*limits(declared), *beyond(declared)):
                (result,) = node.set_parameters([Parameter(declared.name, value=value)])
                may_change = declared.dynamic or not parameters.configured
                wanted = is_allowed(declared, value) and may_change
                assert result.successful is wanted, (declared.name, value)
                assert result.successful or result.reason
                found = getattr(parameters.values, declared.name)
                assert is_allowed(declared, found), (declared.name, value)
    node.destroy_node()


@pytest.mark.parametrize("name", [node.name for node in graph.NODES])
def test_every_dynamic_parameter_reaches_something(name: str) -> None:
    """A node either reads it each time, or hands it on in ``change_values``."""
    source = inspect.getsource(node_class(name))
    for declared in settings_of(parameters_class(name)):
        if declared.dynamic:
            assert f"values.{declared.name}" in source or ".change_settings(values)" in source
