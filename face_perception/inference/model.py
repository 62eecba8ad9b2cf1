"""A loaded model: arrays in, arrays out, on whichever backend runs it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from face_perception.inference import store
from face_perception.inference.catalogue import Card, ModelError, Port, find

Array = npt.NDArray[Any]

BACKENDS = ("auto", "onnxruntime", "tensorrt")


class Backend(Protocol):
    """What runs a network. ``run`` may be called from several threads at once."""

    @property
    def description(self) -> str:
        """Name and version, and where it runs."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs as the card says (already checked) -> all outputs."""


class Model:
    """A network ready to run, from ``load``; safe to use from several threads.

    ``inputs`` and ``outputs`` are the card's ports by name (shape with None for any size, dtype,
    meaning); ``why`` is one sentence saying which backend runs and why.
    """

    def __init__(self, card: Card, backend: Backend, *, name: str, why: str) -> None:
        self.name = card.name
        self.backend = name
        self.why = why
        self.inputs: Mapping[str, Port] = card.inputs
        self.outputs: Mapping[str, Port] = card.outputs
        self._run = backend.run

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the network on arrays by input name and returns all outputs by name.

        Raises ModelError for a name, shape or type that the model does not take, and where the
        backend fails.
        """
        if inputs.keys() != self.inputs.keys():
            raise ModelError(
                f"model {self.name} takes the inputs {', '.join(self.inputs)}, "
                f"not {', '.join(inputs) or 'none'}"
            )
        arrays = {name: np.asarray(inputs[name]) for name in self.inputs}
        for name, port in self.inputs.items():
            self._check(name, port, arrays[name])
        return self._run(arrays)

    def _check(self, name: str, port: Port, value: Array) -> None:
        fits = len(value.shape) == len(port.shape) and all(
            got == wanted or (wanted is None and got > 0)
            for got, wanted in zip(value.shape, port.shape, strict=True)
        )
        if not fits or value.dtype != port.dtype:
            shape = ", ".join("N" if size is None else str(size) for size in port.shape)
            raise ModelError(
                f"model {self.name}: input {name} must be {port.dtype} [{shape}], "
                f"not {value.dtype} {list(value.shape)}"
            )


def load(name: str | os.PathLike[str], *, threads: int = 1, backend: str = "auto") -> Model:
    """Loads a model of the catalogue, or of a card at a path, and runs it once to warm it up.

    ``threads`` is for one call of ``infer``. ``backend`` is ``auto``, ``onnxruntime`` or
    ``tensorrt``; what is asked for is used or refused, never replaced. Raises ModelError naming the
    model or file and the fix.
    """
    if backend not in BACKENDS:
        raise ModelError(f"there is no backend {backend!r}: use one of {', '.join(BACKENDS)}")
    if threads < 1:
        raise ModelError(f"threads must be at least 1, not {threads}")
    card = find(Path(name))
    if card.kind != "model":
        raise ModelError(f"{card.name} is a {card.kind}, not a model")
    if backend == "tensorrt":
        raise ModelError(
            f"model {card.name}: this version of face_perception has no TensorRT backend: "
            "use onnxruntime or auto"
        )
    data = store.read(card)
    # Heavy, and not needed to list or fetch models.
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    runtime = OnnxRuntime(card, data, threads)
    reason = "asked for" if backend == "onnxruntime" else "auto: the only backend in this version"
    model = Model(card, runtime, name="onnxruntime", why=f"{runtime.description}, {reason}")
    model.infer(
        {
            name: np.zeros([size or 1 for size in port.shape], port.dtype)
            for name, port in card.inputs.items()
        }
    )
    return model
