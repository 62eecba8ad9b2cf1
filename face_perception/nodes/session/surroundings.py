"""Finds what a session was recorded with: versions, parameters of the nodes, models, the camera."""

from __future__ import annotations

import os
import platform
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import rclpy
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.parameter import parameter_value_to_python

from face_perception import inference, paths
from face_perception.bringup.graph import NODES
from face_perception.types import Camera

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_SECRET = "token"  # in the names of parameters with a password


def versions() -> dict[str, str]:
    """Returns the versions of this package, ROS, its middleware, Python and the system."""
    package = ET.parse(paths.resource("package.xml")).findtext("version") or ""
    return {
        "face_perception": package,
        "ros": os.environ.get("ROS_DISTRO", ""),
        "rmw": rclpy.get_rmw_implementation_identifier(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def models(parameters: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Returns the sha256 of each model of the package, and of the imported ones that nodes use.

    ``parameters`` are those of the nodes, by node.
    """
    named = {str(value) for values in parameters.values() for value in values.values()}
    return {
        name: card.sha256
        for name, card in sorted(inference.used_cards(named).items())
        if card.kind == "model"
    }


def camera_facts(camera: Camera, frame_id: str) -> dict[str, Any]:
    """Returns a camera as plain values."""
    return {
        "frame_id": frame_id,
        "width": camera.width,
        "height": camera.height,
        "fx": float(camera.fx),
        "fy": float(camera.fy),
        "cx": float(camera.cx),
        "cy": float(camera.cy),
        "distortion_model": camera.distortion_model,
        "distortion": [float(value) for value in camera.distortion],
        "assumed": bool(camera.assumed),
    }


class ParameterReading:
    """Asks the nodes of the graph in the namespace of ``node`` for their parameters.

    Calls ``done(name, values)`` for each that answers. Values of passwords are left out.
    """

    def __init__(
        self, node: PerceptionNode[Any], done: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._node, self._done = node, done
        self._clients: list[Any] = []
        ours = {one.name for one in NODES} - {node.get_name()}
        here = node.get_namespace()
        for name, namespace in node.get_node_names_and_namespaces():
            if name in ours and namespace == here:
                at = f"{here.rstrip('/')}/{name}"
                self._call(
                    ListParameters, f"{at}/list_parameters", ListParameters.Request(),
                    partial(self._listed, name, at),
                )  # fmt: skip

    def end(self) -> None:
        """Gives up on nodes that have not answered."""
        for client in self._clients:
            self._node.destroy_client(client)
        self._clients.clear()

    def _call(
        self, kind: type[Any], name: str, request: Any, answered: Callable[[Any], None]
    ) -> None:
        client = self._node.create_client(kind, name)
        self._clients.append(client)

        def received(future: Any) -> None:
            if client in self._clients and (answer := future.result()) is not None:
                self._node.guarded(answered)(answer)

        client.call_async(request).add_done_callback(received)

    def _listed(self, name: str, at: str, answer: Any) -> None:
        names = [one for one in answer.result.names if _SECRET not in one]
        self._call(
            GetParameters,
            f"{at}/get_parameters",
            GetParameters.Request(names=names),
            partial(self._got, name, names),
        )

    def _got(self, name: str, names: list[str], answer: Any) -> None:
        values = [_plain(parameter_value_to_python(value)) for value in answer.values]
        self._done(name, dict(zip(names, values, strict=True)))


def _plain(value: Any) -> Any:
    """Returns a value as YAML has it: arrays as lists."""
    return value if isinstance(value, bool | int | float | str) or value is None else list(value)
