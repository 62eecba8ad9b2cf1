"""Reads the card that describes somebody's ONNX file: what it takes, what it returns, its licence.

docs/onnx_import.md explains the card; ``config/onnx_cards`` has examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from face_perception import paths
from face_perception.errors import InputError, one_line, shortened
from face_perception.faces import CROP_SIDE
from face_perception.gaze import FacePicture
from face_perception.outside_files import one_error, read_yaml
from face_perception.settings import did_you_mean, from_mapping, setting
from face_perception.types import EXPRESSIONS

ESTIMATES = ("gaze", "expression")
# Class of an expression network that has no counterpart in ``types.EXPRESSIONS``.
LEFT_OUT = "none"
_MISSING: Any = dataclasses.MISSING
_Section = TypeVar("_Section")


@dataclass(frozen=True, kw_only=True)
class InputContract:
    """The tensor that the network takes. A value v from 0 to 255 enters as
    (low + (high - low) v / 255 - mean) / std, where ``range`` is (low, high)."""

    colour: str = setting(_MISSING, "Order of the channels.", choices=("RGB", "BGR", "gray"))
    range: tuple[float, ...] = setting(
        _MISSING, "Values of black and white before mean and std.", length=2
    )
    name: str = setting("", "Name of the input; empty: the only one.")
    layout: str = setting("NCHW", "Order of the axes.", choices=("NCHW", "NHWC"))
    mean: tuple[float, ...] = setting((0.0,), "Subtracted: one value, or one for each channel.")
    std: tuple[float, ...] = setting(
        (1.0,), "Divided by: one value, or one for each channel.", above=0.0
    )


@dataclass(frozen=True, kw_only=True)
class AngleContract:
    """Where an angle is, and how it is encoded.

    ``positive`` is where a positive angle points, in the picture as the camera sees it.

    With ``form: angle`` it is the value at ``index``. With ``form: bins`` it is the mean of
    ``offset_deg + width_deg * k`` over the bins k from 0, weighted by the softmax of ``bins``
    logits from ``index`` on.
    """

    positive: str = setting(
        _MISSING, "Direction of positive angles.", choices=("left", "right", "up", "down")
    )
    output: str = setting("", "Name of the output; empty: the only one.")
    form: str = setting("angle", "Encoding.", choices=("angle", "bins"))
    index: int = setting(0, "First value of the output that is used.", minimum=0, maximum=10_000)
    unit: str = setting(
        "radians", "Unit of an angle; bins are in degrees.", choices=("radians", "degrees")
    )
    bins: int = setting(0, "Number of bins.", minimum=0, maximum=10_000)
    width_deg: float = setting(0.0, "Width of a bin.", minimum=0.0, maximum=90.0, unit="degrees")
    offset_deg: float = setting(
        0.0, "Angle of bin 0.", minimum=-360.0, maximum=360.0, unit="degrees"
    )


@dataclass(frozen=True, kw_only=True)
class VectorContract:
    """A gaze vector of any length; each axis says where its positive values point."""

    output: str = setting("", "Name of the output, which has three values; empty: the only one.")
    x: str = setting(_MISSING, "Direction of the first value.", choices=("right", "left"))
    y: str = setting(_MISSING, "Direction of the second value.", choices=("down", "up"))
    z: str = setting(
        _MISSING,
        "Direction of the third value: away from the camera, or towards it.",
        choices=("away", "towards"),
    )


@dataclass(frozen=True, kw_only=True)
class CropContract:
    """The part of the aligned face that an expression network sees."""

    size: int = setting(
        _MISSING, "Side of the input picture.", minimum=16, maximum=1024, unit="pixels"
    )
    window: tuple[float, ...] = setting(
        (0.0, 0.0, float(CROP_SIDE)),
        "First row, first column and side of a square in the aligned face of "
        f"{CROP_SIDE}x{CROP_SIDE} pixels.",
        length=3,
        minimum=0.0,
        maximum=float(CROP_SIDE),
    )


@dataclass(frozen=True, kw_only=True)
class ClassesContract:
    """Where the classes of expression are."""

    output: str = setting("", "Name of the output; empty: the only one.")
    form: str = setting(_MISSING, "Encoding.", choices=("logits", "probabilities"))
    index: int = setting(0, "First value of the output that is used.", minimum=0, maximum=10_000)


@dataclass(frozen=True, kw_only=True)
class ValueContract:
    """Where valence or arousal is."""

    output: str = setting("", "Name of the output; empty: the only one.")
    index: int = setting(0, "Value of the output.", minimum=0, maximum=10_000)
    range: tuple[float, ...] = setting(
        (-1.0, 1.0), "Output values that mean -1 and 1. Others are limited to them.", length=2
    )


@dataclass(frozen=True)
class Contract:
    """What a card states. ``file`` is the card. Gaze networks have ``picture``, and either
    ``vector`` or ``angles`` (pitch, yaw); expression networks have ``crop``, ``expression`` with
    ``classes``, and perhaps ``affect`` (valence, arousal)."""

    file: Path
    estimates: str
    source: str
    licence: str
    commercial_use: bool
    input: InputContract
    picture: FacePicture | None = None
    angles: tuple[AngleContract, AngleContract] | None = None
    vector: VectorContract | None = None
    crop: CropContract | None = None
    expression: ClassesContract | None = None
    classes: tuple[str, ...] = ()
    affect: tuple[ValueContract, ValueContract] | None = None


def card_file(name: str) -> Path:
    """Returns the card of the package with this name, or ``name`` itself if it is a YAML file.

    Raises InputError for any other name.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    cards = {file.stem: file for file in sorted(paths.resource("config/onnx_cards").glob("*.yaml"))}
    if name not in cards:
        raise InputError(
            f"there is no card {shortened(name)}{did_you_mean(name, cards)}: use one of "
            f"{', '.join(cards)}, or your own YAML file"
        )
    return cards[name]


def read_contract(file: Path) -> Contract:
    """Reads a card. Raises InputError that names the file, the field and what is expected."""
    with one_error(f"card {file}", "see docs/onnx_import.md", InputError):
        content = read_yaml(file)
    reader = _Reader(file, "", content)
    estimates = reader.text("estimates")
    if estimates not in ESTIMATES:
        raise reader.wrong("estimates", f"must be {' or '.join(ESTIMATES)}, not {estimates!r}")
    common: dict[str, Any] = {
        "file": file,
        "estimates": estimates,
        "source": reader.text("source"),
        "licence": reader.text("licence"),
        "commercial_use": reader.truth("commercial_use"),
        "input": reader.section("input", InputContract),
    }
    channels = 1 if common["input"].colour == "gray" else 3
    for name in ("mean", "std"):
        count = len(getattr(common["input"], name))
        if count not in (1, channels):
            raise reader.wrong(f"input.{name}", f"must have 1 or {channels} values, not {count}")
    low, high = common["input"].range
    if low == high:
        raise reader.wrong("input.range", "must have different values for black and white")
    outputs = reader.child("outputs")
    if estimates == "gaze":
        contract = Contract(**common, picture=_picture(reader), **_gaze_outputs(outputs))
    else:
        contract = Contract(**common, crop=_crop(reader), **_expression_outputs(outputs))
    outputs.finish()
    reader.finish()
    return contract


def _picture(reader: _Reader) -> FacePicture:
    picture = reader.section("picture", FacePicture)
    try:
        picture.check()
    except InputError as error:
        raise reader.wrong("picture", f"is inconsistent: {error}") from error
    return picture


def _gaze_outputs(outputs: _Reader) -> dict[str, Any]:
    if outputs.has("vector"):
        return {"vector": outputs.section("vector", VectorContract)}
    angles = []
    for name, directions in (("pitch", ("up", "down")), ("yaw", ("left", "right"))):
        angle = outputs.section(name, AngleContract)
        if angle.positive not in directions:
            raise outputs.wrong(
                f"{name}.positive", f"must be {' or '.join(directions)}, not {angle.positive}"
            )
        has_bins = angle.bins > 0 and angle.width_deg > 0
        if (angle.form == "bins") != has_bins:
            raise outputs.wrong(
                f"{name}.bins", "and width_deg must be positive with form: bins, and 0 without"
            )
        angles.append(angle)
    return {"angles": tuple(angles)}


def _crop(reader: _Reader) -> CropContract:
    crop = reader.section("crop", CropContract)
    row, column, side = crop.window
    if any(value != int(value) for value in crop.window) or side < 1:
        raise reader.wrong("crop.window", "must be three whole numbers, with a side of at least 1")
    if max(row, column) + side > CROP_SIDE:
        raise reader.wrong("crop.window", f"must lie within the {CROP_SIDE} pixels of a crop")
    return crop


def _expression_outputs(outputs: _Reader) -> dict[str, Any]:
    expression = outputs.child("expression")
    classes = expression.texts("classes")
    found = expression.rest(ClassesContract)
    allowed = (*EXPRESSIONS, LEFT_OUT)
    for name in classes:
        if name not in allowed:
            raise expression.wrong(
                "classes", f"has {shortened(name)}: each must be one of {', '.join(allowed)}"
            )
    absent = [name for name in EXPRESSIONS if name not in classes]
    if absent:
        raise expression.wrong(
            "classes",
            f"has no {', '.join(absent)}: a network for the affect node must know all of "
            f"{', '.join(EXPRESSIONS)}",
        )
    affect = None
    if outputs.has("valence") or outputs.has("arousal"):
        affect = tuple(outputs.section(name, ValueContract) for name in ("valence", "arousal"))
        for name, value in zip(("valence", "arousal"), affect, strict=True):
            if value.range[0] == value.range[1]:
                raise outputs.wrong(f"{name}.range", "must have two different values")
    return {"expression": found, "classes": tuple(classes), "affect": affect}


class _Reader:
    """Reads the fields of a mapping in a card. ``finish`` refuses those that were not read."""

    def __init__(self, file: Path, prefix: str, content: Any) -> None:
        self._file, self._prefix = file, prefix
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            name = prefix.rstrip(".") or "the file"
            raise InputError(f"card {file}: {name} must be a mapping, not {shortened(content)}")
        self._content: Mapping[str, Any] = content
        self._read: set[str] = set()

    def wrong(self, name: str, what: str) -> InputError:
        return InputError(f"card {self._file}: field {self._prefix}{name} {what}")

    def has(self, name: str) -> bool:
        return name in self._content

    def get(self, name: str) -> Any:
        if name not in self._content:
            raise self.wrong(name, "is missing: see docs/onnx_import.md")
        self._read.add(name)
        return self._content[name]

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, f"must be a text, not {shortened(value)}")
        return value.strip()

    def truth(self, name: str) -> bool:
        value = self.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, f"must be true or false, not {shortened(value)}")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, f"must be a list of texts, not {shortened(value)}")
        return value

    def child(self, name: str) -> _Reader:
        return _Reader(self._file, f"{self._prefix}{name}.", self.get(name))

    def section(self, name: str, kind: type[_Section]) -> _Section:
        return self.child(name).rest(kind)

    def rest(self, kind: type[_Section]) -> _Section:
        """Returns the settings of ``kind`` from the fields that were not read yet."""
        values = {name: value for name, value in self._content.items() if name not in self._read}
        try:
            return from_mapping(kind, values)
        except InputError as error:
            place = self._prefix.rstrip(".")
            raise InputError(f"card {self._file}: in {place}, {error}") from error

    def finish(self) -> None:
        for name in self._content:
            if name not in self._read:
                known = did_you_mean(name, self._read)
                raise self.wrong(one_line(name, 80), f"is not known{known}: remove it")
