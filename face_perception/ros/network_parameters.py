"""What nodes that run networks share: their parameters, and loading that shows what it does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rclpy.executors import ExternalShutdownException

from face_perception import inference
from face_perception.inference import Model

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


class Loading:
    """Loads networks for a node that is being configured, and shows in its diagnostics and log
    what takes long: an engine that is built for minutes.
    """

    def __init__(self, node: PerceptionNode[Any]) -> None:
        self._node = node
        self._precision = ""

    def settings(self) -> dict[str, Any]:
        """The arguments of ``inference.load`` that the node's parameters give."""
        values = self._node.values
        return {
            "threads": values.threads,
            "backend": values.backend,
            "precision": self._precision or values.precision,
            "fall_back": values.fall_back,
            "progress": self._report,
        }

    def with_precision(self, precision: str) -> Loading:
        """The same for a network that has this precision, whatever the node's other ones have."""
        other = Loading(self._node)
        other._precision = precision
        return other

    def load(self, name: str | os.PathLike[str]) -> Model:
        """One network. Raises inference.ModelError naming the model and the fix."""
        model = inference.load(name, **self.settings())
        if not model.card.trained:
            self._node.get_logger().warning(f"model {model.name} has {inference.UNTRAINED}")
        return model

    def _report(self, name: str, step: str, share: float) -> None:
        if not self._node.context.ok():
            # The node is told to end: a build may go on for minutes.
            raise ExternalShutdownException
        done = f" ({share:.0%})" if share else ""
        self._node.doing(f"model {name}: {step}{done}")


def report(models: Sequence[Model]) -> tuple[str, dict[str, str]]:
    """For the diagnostics: which networks do not run as asked or mean nothing, and what runs each
    and why.
    """
    problems = [f"model {m.name} is {m.why}" for m in models if m.fallen_back]
    problems += [f"model {m.name} has {inference.UNTRAINED}" for m in models if not m.card.trained]
    return "; ".join(problems), {
        "models": ", ".join(f"{m.name} on {m.backend} in {m.precision}" for m in models),
        "backend": "; ".join(dict.fromkeys(m.why for m in models)),
    }
