"""Loading networks in a node: with its parameters, and with progress in its log and diagnostics."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rclpy.executors import ExternalShutdownException

from face_perception import inference
from face_perception.inference import Model, Purpose

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


class NetworkLoader:
    """Loads networks in the ``setup`` of a node whose parameters are ``inference.NetworkSettings``.

    The node's log and diagnostics show the progress: building a TensorRT engine takes minutes.
    """

    def __init__(self, node: PerceptionNode[Any], precision: str = "") -> None:
        self._node = node
        self._precision = precision or node.values.precision

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments for ``inference.load``."""
        values = self._node.values
        return {
            "threads": values.threads,
            "backend": values.backend,
            "precision": self._precision,
            "fall_back": values.fall_back,
            "progress": self._show_progress,
        }

    def with_precision(self, precision: str) -> NetworkLoader:
        """Returns a loader that uses ``precision`` instead of the node's parameter."""
        return NetworkLoader(self._node, precision)

    def load(self, name: str | os.PathLike[str], purpose: Purpose = inference.ANY_NETWORK) -> Model:
        """Returns a network for ``purpose``.

        Raises inference.ModelError naming the model and the fix.
        """
        model = inference.load(name, purpose, **self.arguments())
        if not model.card.trained:
            self._node.get_logger().warning(f"model {model.name} has {inference.UNTRAINED}")
        if model.card.terms:
            self._node.get_logger().warning(model.card.terms)
        return model

    def _show_progress(self, name: str, step: str, share: float) -> None:
        if self._node.told_to_end:
            # The node was told to end; building an engine may take minutes more.
            raise ExternalShutdownException
        done = f" ({share:.0%})" if share else ""
        self._node.set_progress(f"model {name}: {step}{done}")


def network_diagnostics(models: Sequence[Model]) -> tuple[str, dict[str, str]]:
    """Returns the problems of networks and the values for the diagnostics.

    A problem is a network that does not run as requested, or whose weights are random. The values
    say which backend runs each network, and why.
    """
    problems = [f"model {m.name} is {m.why}" for m in models if m.fallen_back]
    problems += [f"model {m.name} has {inference.UNTRAINED}" for m in models if not m.card.trained]
    return "; ".join(problems), {
        "models": ", ".join(f"{m.name} on {m.backend} in {m.precision}" for m in models),
        "backend": "; ".join(dict.fromkeys(m.why for m in models)),
    }
