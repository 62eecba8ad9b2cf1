"""The model cards: what each model is, where it comes from, what it takes and gives.

A card is a YAML file; its file name is the model's name. Those of the package are in
``resources/models``, those of imported and trained networks beside their files in the model cache.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from face_perception import paths
from face_perception.errors import FacePerceptionError
from face_perception.files import check_seal

_log = logging.getLogger(__name__)

# How a card writes a size that is free: a batch, a batch of sequences, time.
FREE_AXES = ("N", "B", "T")
KINDS = ("model", "photograph")
# What is said wherever a model runs whose weights were never trained.
UNTRAINED = "random weights: for plumbing only"

RECIPES = ("face_detector", "face_mesh", "expression", "expression_fer", "blendshapes")


class ModelError(FacePerceptionError, RuntimeError):
    """A model, card or model file that cannot be used; the message names it and the fix."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that a model is made from, and the sha256 of the file.

    ``member`` is a file in the wheel of ``package`` on the user's package index. If ``package`` is
    empty, it is a file of this project in the folder of the cards. For a file inside a zip archive
    in the wheel, ``member`` is the archive's name, ``!`` and the name inside it.
    """

    package: str
    version: str
    member: str
    sha256: str

    @property
    def text(self) -> str:
        """Where the file comes from, for people: package and version, or this package."""
        return f"{self.package} {self.version}" if self.package else "this package"


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output. A shape entry is a size, or None for any (the batch).

    ``meaning`` says unit, range, layout and colour order. Another backend may be off by
    ``tolerance`` in the output's own unit, plus ``relative_tolerance`` times the value itself
    (inputs have none: 0). ``most`` is the largest shape that an engine is built for; empty where
    only the first size is free. ``public`` is the name that ``Model`` gives an output, where that
    is not the one in the ONNX file, which cannot have an input and an output of one name.
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
    """What is known about one model, or one sample photograph.

    The file is made from ``source`` by ``recipe``, or is ``source`` itself where there is no
    recipe; without a source it is expected to be there, with the hash ``sha256``. ``revision``
    counts changes to the recipe. ``folder`` is where the file is, None for the model cache.
    ``extra`` are files beside it with their sha256: weights that an ONNX file cannot hold itself
    (2 GB). ``origin`` says in words where an imported or trained network came from; ``facts`` is
    what its user must know (the order of classes, thresholds), plain YAML values by name.
    """

    name: str
    kind: str
    task: str
    licence: str
    file: str
    source: Source | None = None
    recipe: str = ""
    revision: int = 1
    sha256: str = ""
    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    inputs: Mapping[str, Port] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, Port] = field(default_factory=lambda: MappingProxyType({}))
    folder: Path | None = None
    origin: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def path(self) -> Path:
        """Where the file is, or will be."""
        return (self.folder or paths.models_dir()) / self.file

    @property
    def trained(self) -> bool:
        """False where the weights are known to be random: its answers mean nothing."""
        return self.facts.get("trained") is not False

    @property
    def extra_paths(self) -> dict[str, Path]:
        """Where the extra files are, by name."""
        return {name: self.path.with_name(name) for name in self.extra}

    def fingerprint(self, data: bytes) -> str:
        """Hash of the file's content and of the extra files that it needs."""
        found = hashlib.sha256(data)
        for name, sha256 in sorted(self.extra.items()):
            found.update(f"{name} {sha256}\n".encode())
        return found.hexdigest()

    @property
    def reference_inputs_path(self) -> Path:
        """Where the inputs are that backends are compared on; beside the card."""
        return (self.folder or paths.resource("resources/models")) / f"{self.name}.npz"


def read_card(path: Path, *, folder: Path | None = None) -> Card:
    """Reads a card. Raises ModelError naming the file and the field that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except FileNotFoundError as error:
        raise ModelError(
            f"there is no model card {path}: `face-perception import` and `train` write one, "
            "`face-perception models list` names those that are there"
        ) from error
    except OSError as error:
        raise ModelError(f"model card {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{path} is no model card (a YAML file): {error}") from error
    fields = _Fields(path, "", content)
    if fields.has("seal"):
        fields.text("seal")
        if check_seal(text) is None:
            raise ModelError(f"model card {path} is damaged or was changed: import the model again")
    card = Card(
        name=path.stem,
        kind=fields.choice("kind", KINDS),
        task=fields.text("task"),
        licence=fields.text("licence"),
        file=fields.text("file"),
        source=_source(fields.child("source")) if fields.has("source") else None,
        recipe=fields.choice("recipe", RECIPES) if fields.has("recipe") else "",
        revision=fields.integer("revision") if fields.has("revision") else 1,
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
        raise fields.wrong("inputs", "and outputs of a model must be listed")
    fields.finish()
    return card


def catalogue() -> dict[str, Card]:
    """All cards by name: the package's, then what was imported. Raises ModelError for a broken one
    of the package; a broken one in the model cache is left out with a warning.
    """
    cards = {path.stem: read_card(path) for path in _package_cards().values()}
    for name, path in imported_cards().items():
        try:
            cards[name] = read_card(path, folder=path.parent)
        except ModelError as error:
            _log.warning("%s", error)
    return cards


def imported_cards() -> dict[str, Path]:
    """The cards in the model cache by name, unread; those of variants (``NAME.KIND.yaml``) not."""
    found = {path.stem: path for path in sorted(paths.models_dir().glob("*.yaml"))}
    ours = _package_cards()
    return {name: path for name, path in found.items() if "." not in name and name not in ours}


def _package_cards() -> dict[str, Path]:
    return {path.stem: path for path in sorted(paths.resource("resources/models").glob("*.yaml"))}


def find_card(name: str | Path) -> Card:
    """The card of a name in the catalogue, or of a path to a card (its file lies beside it).

    Raises ModelError, listing the names, where there is none.
    """
    path = Path(name)
    if path.suffix == ".yaml" or len(path.parts) > 1:
        return read_card(path, folder=path.absolute().parent)
    ours, imported = _package_cards(), imported_cards()
    if str(name) in ours:
        return read_card(ours[str(name)])
    if str(name) not in imported:
        known = ", ".join((*ours, *imported))
        raise ModelError(
            f"there is no model {str(name)!r}: use one of {known}, the path of a model card, or "
            "`face-perception import`"
        )
    return read_card(imported[str(name)], folder=imported[str(name)].parent)


class _Fields:
    """A mapping of a card, read field by field; what is left over is a mistake."""

    def __init__(self, path: Path, prefix: str, content: Any) -> None:
        self.path = path
        self._prefix = prefix
        if not isinstance(content, dict):
            raise ModelError(f"model card {path}: {prefix.rstrip('.') or 'the file'} is no mapping")
        self._content = content
        self._left = set(content)

    def names(self) -> list[str]:
        return [str(name) for name in self._content]

    def has(self, name: str) -> bool:
        return name in self._content

    def wrong(self, name: str, what: str) -> ModelError:
        return ModelError(f"model card {self.path}: field {self._prefix}{name} {what}")

    def get(self, name: str) -> Any:
        if name not in self._content:
            raise self.wrong(name, "is missing")
        self._left.discard(name)
        return self._content[name]

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, f"must be a text, not {value!r}")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.get(name)
        if value not in choices:
            raise self.wrong(name, f"must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    def integer(self, name: str) -> int:
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(name, f"must be a positive whole number, not {value!r}")
        return value

    def number(self, name: str) -> float:
        value = self.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
            raise self.wrong(name, f"must be a number from 0 on, not {value!r}")
        return float(value)

    def sha256(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise self.wrong(name, f"must be 64 lower-case hexadecimal digits, not {value!r}")
        return value

    def shape(self, name: str) -> tuple[int | None, ...]:
        value = self.get(name)
        if not isinstance(value, list) or not all(
            v in FREE_AXES or (isinstance(v, int) and v > 0) for v in value
        ):
            axes = " or ".join(FREE_AXES)
            raise self.wrong(name, f"must be a list of sizes, {axes} for any, not {value!r}")
        return tuple(None if v in FREE_AXES else v for v in value)

    def sizes(self, name: str) -> tuple[int, ...]:
        value = self.shape(name)
        if None in value:
            raise self.wrong(name, f"must be a list of sizes, not {value!r}")
        return tuple(size for size in value if size)

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.get(name)
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.wrong(name, f"must be a mapping, not {value!r}")
        return value

    def child(self, name: str) -> _Fields:
        return _Fields(self.path, f"{self._prefix}{name}.", self.get(name))

    def finish(self) -> None:
        for name in sorted(map(str, self._left)):
            raise self.wrong(name, "is not known")


def _source(fields: _Fields) -> Source:
    if fields.has("file"):
        source = Source("", "", fields.text("file"), fields.sha256("sha256"))
        if Path(source.member).name != source.member:
            raise fields.wrong("file", "must be a file name without folders")
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
