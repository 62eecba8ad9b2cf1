"""Reads model cards: the description, source, inputs and outputs of each model.

A card is a YAML file that is named after its model. The cards of the package are in
``resources/models``. The cards of imported and trained networks are in the model cache, next to the
network's file.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from face_perception import paths
from face_perception.errors import FacePerceptionError, one_line, shortened
from face_perception.files import check_seal
from face_perception.outside_files import MOST_TEXT, one_error, parse_yaml, read_bytes

# Names of free sizes in a card: batch, batch of sequences, time.
FREE_AXES = ("N", "B", "T")
KINDS = ("model", "photograph", "library")
# Most values of one input or output. The largest of MuseTalk has a million.
_MOST_VALUES = 1 << 26
# Warning for models whose weights were never trained.
UNTRAINED = "random weights: for plumbing only"

RECIPES = (
    *("face_detector", "face_mesh", "expression", "expression_fer", "blendshapes"),
    "dlib_face_recognition",
)


class ModelError(FacePerceptionError, RuntimeError):
    """A model, card or model file cannot be used. The message names it and the fix."""


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a model is made from, and its sha256.

    ``member`` is a file in the wheel of ``package`` from the user's package index. If ``package``
    is empty, it is a file of this project in the folder of the cards. For a file inside a zip
    archive in the wheel, ``member`` is the archive's name, ``!``, and the name inside the archive.
    With ``registry`` "npm" it is the whole archive of an npm package, and ``member`` is empty.
    """

    package: str
    version: str
    member: str
    sha256: str
    registry: str = "pypi"

    @property
    def text(self) -> str:
        """Origin of the file for display: package and version, or this package."""
        return f"{self.package} {self.version}" if self.package else "this package"


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a network. An entry of ``shape`` is a size, or None for a free size.

    ``meaning`` gives unit, range, layout and colour order. The gate allows another backend to
    deviate by ``tolerance`` (in the output's unit) plus ``relative_tolerance`` times the value;
    both are 0 for inputs. ``most`` is the largest shape that a TensorRT engine is built for; it is
    empty if only the batch size is free. ``public`` is the name of an output in ``Model``, if it
    differs from that in the ONNX file (which cannot have an input and an output of the same name).

    >>> from face_perception.inference import find_card
    >>> outputs = find_card("face_mesh").outputs
    >>> outputs["landmarks"].shape, outputs["landmarks"].dtype
    ((None, 478, 3), 'float32')
    """

    shape: tuple[int | None, ...]
    dtype: str
    meaning: str
    tolerance: float = 0.0
    relative_tolerance: float = 0.0
    most: tuple[int, ...] = ()
    public: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """The description of one model or one sample photograph.

    ``recipe`` makes the file from ``source``; without a recipe, the file is ``source`` itself.
    Without a source, the file must exist and have the hash ``sha256``. ``revision`` counts changes
    of the recipe. ``folder`` is the folder of the file, None for the model cache. ``extra`` are
    further weight files in that folder, with their sha256, because an ONNX file holds at most 2 GB.
    An ``optional`` model is fetched only by its name.
    ``origin`` says where an imported or trained network came from. ``facts`` are plain YAML values
    that decoding needs, such as the order of classes and thresholds.

    >>> from face_perception.inference import find_card
    >>> card = find_card("face_mesh")
    >>> card.kind, card.licence, card.trained
    ('model', 'Apache-2.0', True)
    >>> card.inputs["image"].shape
    (None, 192, 192, 3)
    """

    name: str
    kind: str
    task: str
    licence: str
    file: str
    source: Source | None = None
    recipe: str = ""
    revision: int = 1
    optional: bool = False
    sha256: str = ""
    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    inputs: Mapping[str, Port] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, Port] = field(default_factory=lambda: MappingProxyType({}))
    folder: Path | None = None
    origin: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def path(self) -> Path:
        """Path of the file, whether or not it exists."""
        return (self.folder or paths.models_dir()) / self.file

    @property
    def left_out(self) -> bool:
        """Whether this is an optional model that was not fetched."""
        return self.optional and not self.path.exists()

    @property
    def trained(self) -> bool:
        """False if the weights are random, so that the outputs mean nothing."""
        return self.facts.get("trained") is not False

    @property
    def terms(self) -> str:
        """What the licence of an imported network forbids, for the log; empty if nothing."""
        if self.facts.get("commercial_use") is False:
            return f"model {self.name} is not for commercial use: {self.licence}"
        return ""

    def count_fact(self, name: str, default: int, most: int = 10_000) -> int:
        """Returns a fact that is a number of things, from 1 to ``most``.

        Raises ModelError, which names the model and the fact, for any other value.
        """
        value = self.facts.get(name, default)
        if type(value) is not int or not 1 <= value <= most:
            raise ModelError(
                f"the card of model {self.name} must have the fact {name}, a whole number from 1 "
                f"to {most}, not {shortened(value)}: import the model again"
            )
        return value

    @property
    def extra_paths(self) -> dict[str, Path]:
        """Paths of the extra weight files, by name."""
        return {name: self.path.with_name(name) for name in self.extra}

    def fingerprint(self, data: bytes) -> str:
        """Returns a hash of the file's content ``data`` and of the extra weight files."""
        found = hashlib.sha256(data)
        for name, sha256 in sorted(self.extra.items()):
            found.update(f"{name} {sha256}\n".encode())
        return found.hexdigest()

    @property
    def reference_inputs_path(self) -> Path:
        """Path of the reference inputs, in the folder of the card."""
        return (self.folder or paths.resource("resources/models")) / f"{self.name}.npz"


def read_card(path: Path, *, folder: Path | None = None) -> Card:
    """Reads a card. Raises ModelError, which names the file and the wrong field."""
    with one_error(f"model card {path}", "import the model again", ModelError):
        try:
            text = read_bytes(path, MOST_TEXT).decode()
        except FileNotFoundError as error:
            raise ModelError(
                f"there is no model card {path}: make one with `face-perception import` or "
                "`train`, or see `face-perception models list`"
            ) from error
    return _card_of(path, text, folder)


@functools.lru_cache(maxsize=64)  # reading the YAML of one card takes milliseconds
def _card_of(path: Path, text: str, folder: Path | None) -> Card:
    with one_error(f"model card {path}", "import the model again", ModelError):
        content = parse_yaml(text)
    fields = _Fields(path, "", content)
    if fields.has("seal"):
        fields.text("seal")
        if check_seal(text) is None:
            raise ModelError(f"model card {path} is damaged or was edited: import the model again")
    card = Card(
        name=path.stem,
        kind=fields.choice("kind", KINDS),
        task=fields.text("task"),
        licence=fields.text("licence"),
        file=fields.text("file"),
        source=_source(fields.child("source")) if fields.has("source") else None,
        recipe=fields.choice("recipe", RECIPES) if fields.has("recipe") else "",
        revision=fields.integer("revision") if fields.has("revision") else 1,
        optional=fields.flag("optional") if fields.has("optional") else False,
        sha256=fields.sha256("sha256") if fields.has("sha256") else "",
        extra=MappingProxyType(_extra(fields.child("extra")) if fields.has("extra") else {}),
        inputs=_ports(fields.child("inputs")) if fields.has("inputs") else MappingProxyType({}),
        outputs=_ports(fields.child("outputs")) if fields.has("outputs") else MappingProxyType({}),
        folder=folder,
        origin=fields.text("origin") if fields.has("origin") else "",
        facts=MappingProxyType(fields.mapping("facts") if fields.has("facts") else {}),
    )
    if Path(card.file).name != card.file:
        raise fields.wrong("file", "must be a file name without folders")
    if card.source is None and not card.sha256:
        raise fields.wrong("source", "is missing, and so is sha256: give one of them")
    if card.kind == "model" and not (card.inputs and card.outputs):
        raise fields.wrong("inputs", "and outputs must both be given for a model")
    fields.finish()
    return card


class _Fields:
    """Reads and checks the fields of a mapping in a card. ``finish`` reports unknown fields."""

    def __init__(self, path: Path, prefix: str, content: Any) -> None:
        self.path = path
        self._prefix = prefix
        if not isinstance(content, dict):
            field = one_line(prefix.rstrip("."), 80) or "the file"
            raise ModelError(f"model card {path}: {field} is not a mapping")
        self._content = content
        self._left = set(content)

    def names(self) -> list[str]:
        return [str(name) for name in self._content]

    def has(self, name: str) -> bool:
        return name in self._content

    def wrong(self, name: str, what: str) -> ModelError:
        field = one_line(f"{self._prefix}{name}", 80)
        return ModelError(f"model card {self.path}: field {field} {what}")

    def get(self, name: str) -> Any:
        if name not in self._content:
            raise self.wrong(name, "is missing")
        self._left.discard(name)
        return self._content[name]

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, f"must be a text, not {shortened(value)}")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.get(name)
        if value not in choices:
            raise self.wrong(name, f"must be one of {', '.join(choices)}, not {shortened(value)}")
        return str(value)

    def flag(self, name: str) -> bool:
        value = self.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, f"must be true or false, not {shortened(value)}")
        return value

    def integer(self, name: str) -> int:
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(name, f"must be a positive integer, not {shortened(value)}")
        return value

    def number(self, name: str) -> float:
        value = self.get(name)
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not 0 <= value < math.inf
        ):
            raise self.wrong(name, f"must be a finite number of at least 0, not {shortened(value)}")
        return float(value)

    def sha256(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise self.wrong(
                name, f"must be 64 lower-case hexadecimal digits, not {shortened(value)}"
            )
        return value

    def shape(self, name: str) -> tuple[int | None, ...]:
        value = self.get(name)
        if not isinstance(value, list) or not all(
            v in FREE_AXES or (type(v) is int and v > 0) for v in value
        ):
            axes = " or ".join(FREE_AXES)
            raise self.wrong(
                name, f"must be a list of sizes (free ones: {axes}), not {shortened(value)}"
            )
        shape = tuple(None if v in FREE_AXES else v for v in value)
        if math.prod(size or 1 for size in shape) > _MOST_VALUES:
            raise self.wrong(name, f"must have at most {_MOST_VALUES} values")
        return shape

    def sizes(self, name: str) -> tuple[int, ...]:
        value = self.shape(name)
        if None in value:
            raise self.wrong(name, f"must be a list of fixed sizes, not {shortened(value)}")
        return tuple(size for size in value if size)

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.get(name)
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.wrong(name, f"must be a mapping, not {shortened(value)}")
        return value

    def child(self, name: str) -> _Fields:
        return _Fields(self.path, f"{self._prefix}{name}.", self.get(name))

    def finish(self) -> None:
        for name in sorted(map(str, self._left)):
            raise self.wrong(name, "is unknown: remove it, or correct its name")


def _source(fields: _Fields) -> Source:
    if fields.has("file"):
        source = Source("", "", fields.text("file"), fields.sha256("sha256"))
        if Path(source.member).name != source.member:
            raise fields.wrong("file", "must be a file name without folders")
        fields.finish()
        return source
    if fields.has("npm"):
        package, version = fields.text("npm"), fields.text("version")
        source = Source(package, version, "", fields.sha256("sha256"), registry="npm")
        fields.finish()
        return source
    source = Source(
        package=fields.text("package"),
        version=fields.text("version"),
        member=fields.text("member"),
        sha256=fields.sha256("sha256"),
    )
    fields.finish()
    return source


def _extra(fields: _Fields) -> dict[str, str]:
    for name in fields.names():
        if Path(name).name != name:
            raise fields.wrong(name, "must be a file name without folders")
    return {name: fields.sha256(name) for name in fields.names()}


def _ports(fields: _Fields) -> Mapping[str, Port]:
    ports = {}
    for name in fields.names():
        port = fields.child(name)
        ports[name] = Port(
            shape=port.shape("shape"),
            dtype=port.choice("dtype", ("float32", "int64")),
            meaning=port.text("meaning"),
            tolerance=port.number("tolerance") if port.has("tolerance") else 0.0,
            relative_tolerance=port.number("relative_tolerance")
            if port.has("relative_tolerance")
            else 0.0,
            most=port.sizes("most") if port.has("most") else (),
            public=port.text("public") if port.has("public") else "",
        )
        if ports[name].most and len(ports[name].most) != len(ports[name].shape):
            raise port.wrong("most", "must have as many sizes as shape")
        port.finish()
    return MappingProxyType(ports)
