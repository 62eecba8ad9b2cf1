"""Networks that were made here, by import or training, put into the model cache with a card.

The card is written last and sealed: a file that does not belong to it is never loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import yaml

from face_perception import paths
from face_perception.files import add_seal, file_lock, move_atomically, write_atomically
from face_perception.inference.models.cards import (
    FREE_AXES,
    Card,
    ModelError,
    Port,
    catalogue,
    read_card,
)
from face_perception.inference.reference_inputs import shape_fits, write_reference_inputs

Array = npt.NDArray[Any]

_HEADER = "# Written by `face-perception`, sealed: a change here makes the model unusable.\n"


@dataclass(frozen=True, slots=True)
class ModelBuild:
    """A network and what its card is to say.

    ``origin`` says in words where the weights came from; ``facts`` is what decoding needs (the
    order of classes, thresholds), in plain YAML values; ``reference_inputs`` [K, ...] by input name is what
    backends and variants are compared on. ``extra`` are the files of weights that ``onnx`` refers
    to by their names, where it is too large to hold them (2 GB); ``install`` moves them.
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


def install_model(made: ModelBuild, folder: Path | None = None) -> Card:
    """Puts a network into the model cache (or ``folder``) and returns its card.

    One of the same name is replaced, and variants made of it no longer serve. Interrupted at any
    point, it leaves the old network, or one that is refused. Raises ModelError where the name is
    taken by the package, the reference inputs do not fit, or the folder cannot be written.
    """
    check_model_name(made.name)
    for what, text in (("task", made.task), ("licence", made.licence), ("origin", made.origin)):
        if not text:
            raise ModelError(f"{made.name} has no {what}: say it, a card must have one")
    for name, port in made.inputs.items():
        value = made.reference_inputs[name]
        if value.dtype != port.dtype or not shape_fits(value.shape[1:], port.shape[1:]):
            raise ModelError(
                f"reference input {name} of {made.name} is {value.dtype} {list(value.shape)}, "
                f"but the network takes {port.dtype} {_axes(port)}"
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
            f"cannot write {made.name} to {folder}: {error.strerror or error}; "
            "free it, or set FACE_PERCEPTION_MODELS to a folder that can be written"
        ) from error
    return read_card(card, folder=folder)


def check_model_name(name: str) -> None:
    """Raises ModelError where nothing can be installed under a name: ask before hours of work."""
    if "." in name or not name.isidentifier():
        raise ModelError(f"a model cannot be called {name!r}: use letters, digits and _")
    taken = catalogue().get(name)
    if taken is not None and not taken.origin:
        raise ModelError(f"{name} is a {taken.kind} of the package: choose another name")


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
    """Sizes as a card has them: the first free one is the batch, the next time."""
    free = iter((FREE_AXES[0], FREE_AXES[2], FREE_AXES[1]))
    return [next(free) if size is None else size for size in port.shape]
