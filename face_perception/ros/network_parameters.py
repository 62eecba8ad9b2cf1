"""What nodes that run networks share: their parameters, and loading that shows what it does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from rclpy.executors import ExternalShutdownException

from face_perception import inference
from face_perception.inference import Model
from face_perception.ros.parameters import parameter

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


@dataclass(frozen=True)
class NetworkParameters:
    """Parameters of a node that runs networks."""

    threads: int = parameter(1, "Threads of a network on the CPU.", minimum=1, maximum=64)
    backend: str = parameter(
        "auto",
        "What runs the networks; auto: TensorRT where it and a GPU are there.",
        choices=("auto", "onnxruntime", "tensorrt"),
    )
    precision: str = parameter(
        "fp32",
        "Of the networks; the others are made by `face-perception models export|quantize` and must "
        "agree with fp32.",
        choices=("fp32", "fp16", "int8"),
    )
    fall_back: bool = parameter(
        False,
        "Where backend or precision cannot serve, use ONNX Runtime in fp32 and say so, instead of "
        "not starting.",
    )


NAMES = tuple(field.name for field in fields(NetworkParameters))


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
