"""Installs imported and trained networks in the model cache, each with a card.

Writes the card last, and seals it, so that a file that does not belong to it is never loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import yaml

from face_perception import paths
from face_perception.files import add_seal, file_lock, move_atomically, write_atomically
from face_perception.inference.models.cards import FREE_AXES, Card, ModelError, Port, read_card
from face_perception.inference.models.catalogue import catalogue
from face_perception.inference.reference_inputs import shape_fits, write_reference_inputs

Array = npt.NDArray[Any]

_HEADER = "# Written by `face-perception`, sealed: a change here makes the model unusable.\n"
# What nodes and commands take these names for, whatever is in the model cache.
_GAZE_ESTIMATORS = ("geometric", "small_gaze")


@dataclass(frozen=True, slots=True)
class ModelBuild:
    """A network that was imported or trained, and the contents of its card.

    ``origin`` says where the weights came from. ``facts`` are plain YAML values that decoding
    needs, such as the order of classes and thresholds. The gate compares backends and variants on
    ``reference_inputs`` [K, ...], by input name. ``extra`` are weight files that ``onnx`` refers to
    by name, for weights above 2 GB; ``install_model`` moves them. ``parts`` are other models that
    this one needs; they are installed first.

    Installs a network that doubles its input:

    >>> import tempfile
    >>> import numpy as np
    >>> from face_perception.inference import load
    >>> from face_perception.inference.conversion.onnx_graph import Graph
    >>> graph = Graph("double")
    >>> x = graph.input("x", (3,))
    >>> graph.output("y", graph.node("Add", x, x), (3,))
    >>> build = ModelBuild(
    ...     name="double",
    ...     onnx=graph.serialise(),
    ...     task="doubles a vector",
    ...     licence="Apache-2.0",
    ...     origin="example",
    ...     inputs={"x": Port((None, 3), "float32", "any number")},
    ...     outputs={"y": Port((None, 3), "float32", "twice the number", tolerance=1e-6)},
    ...     reference_inputs={"x": np.ones((2, 3), np.float32)},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = install_model(build, Path(folder))
    ...     model = load(folder + "/double.yaml", backend="onnxruntime")
    ...     model.infer({"x": np.ones((1, 3), np.float32)})["y"].tolist()
    [[2.0, 2.0, 2.0]]
    """

    name: str
    onnx: bytes
    task: str
    licence: str
    origin: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    reference_inputs: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Path] = field(default_factory=dict)
    parts: Sequence[ModelBuild] = ()


def install_model(made: ModelBuild, folder: Path | None = None) -> Card:
    """Installs a network in the model cache (or in ``folder``), and returns its card.

    Replaces a network of the same name, whose variants then become invalid. An interruption leaves
    the old network, or a new one that is refused. Raises ModelError if the package uses the
    name, the reference inputs do not fit, or the folder cannot be written.
    """
    check_model_name(made.name, cache=folder is None)
    for part in made.parts:
        install_model(part, folder)
    for what, text in (("task", made.task), ("licence", made.licence), ("origin", made.origin)):
        if not text:
            raise ModelError(f"{made.name} has no {what}: give one, because a card needs it")
    for name, port in made.inputs.items():
        value = made.reference_inputs[name]
        if value.dtype != port.dtype or not shape_fits(value.shape[1:], port.shape[1:]):
            raise ModelError(
                f"reference input {name} of {made.name} is {value.dtype} {list(value.shape)}, but "
                f"the network takes {port.dtype} {_axes(port)}"
            )
    for name in made.extra:
        if name != f"{made.name}.onnx.data":
            raise ModelError(f"the weights of {made.name} must be in {made.name}.onnx.data")
    folder = folder or paths.models_dir()
    card = folder / f"{made.name}.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(folder / ".lock", lambda: None):
            hashes = {
                name: move_atomically(path, folder / name) for name, path in made.extra.items()
            }
            write_atomically(card.with_suffix(".onnx"), made.onnx)
            write_reference_inputs(card.with_suffix(".npz"), made.reference_inputs)
            write_atomically(card, add_seal(_HEADER + _text(made, hashes)).encode())
    except OSError as error:
        raise ModelError(
            f"cannot write {made.name} to {folder}: {error.strerror or error}; free some disk "
            "space, or set FACE_PERCEPTION_MODELS to a folder that you can write"
        ) from error
    return read_card(card, folder=folder)


def check_model_name(name: str, *, cache: bool = True) -> None:
    """Raises ModelError if no model can be installed under this name. Call it before long work.

    ``cache`` is false for another folder than the model cache.
    """
    if "." in name or not name.isidentifier():
        raise ModelError(f"{name!r} cannot be the name of a model: use letters, digits and _")
    taken = catalogue().get(name)
    if taken is not None and not taken.origin:
        raise ModelError(f"{name} is a {taken.kind} of the package: choose another name")
    if cache and name in _GAZE_ESTIMATORS:
        raise ModelError(f"{name} is a gaze estimator of the package: choose another name")


def _text(made: ModelBuild, extra: Mapping[str, str]) -> str:
    content: dict[str, Any] = {
        "kind": "model",
        "task": made.task,
        "licence": made.licence,
        "origin": made.origin,
        "file": f"{made.name}.onnx",
        "sha256": hashlib.sha256(made.onnx).hexdigest(),
        "inputs": {name: _port(port) for name, port in made.inputs.items()},
        "outputs": {name: _port(port) for name, port in made.outputs.items()},
    }
    if extra:
        content["extra"] = dict(extra)
    if made.facts:
        content["facts"] = dict(made.facts)
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return text


def _port(port: Port) -> dict[str, Any]:
    content: dict[str, Any] = {
        "shape": _axes(port),
        "dtype": port.dtype,
        "meaning": port.meaning,
    }
    if port.tolerance:
        content["tolerance"] = port.tolerance
    if port.relative_tolerance:
        content["relative_tolerance"] = port.relative_tolerance
    if port.most:
        content["most"] = list(port.most)
    if port.public:
        content["public"] = port.public
    return content


def _axes(port: Port) -> list[int | str]:
    """Returns the shape as a card states it, with names for free sizes: batch, then time."""
    free = iter((FREE_AXES[0], FREE_AXES[2], FREE_AXES[1]))
    return [next(free) if size is None else size for size in port.shape]
