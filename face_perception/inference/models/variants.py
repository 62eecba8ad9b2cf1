"""Finds and writes the FP16 and INT8 variants of a model, each a file with a sealed card.

A variant has the inputs, outputs and tolerances of the model's card. ``derive`` makes variants.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from face_perception import paths
from face_perception.files import add_seal, check_seal, move_atomically, write_atomically
from face_perception.inference.accuracy_gate import Deviation
from face_perception.inference.models.cards import Card, ModelError
from face_perception.outside_files import MOST_TEXT, parse_yaml, read_bytes, reason_of

PRECISIONS = ("fp32", "fp16", "int8")
VARIANTS = ("fp16", "int8-cpu", "int8-trt")

_HEADER = (
    "# Written by `face-perception models`, sealed: a change here makes the variant unusable.\n"
)


@dataclass(frozen=True, slots=True)
class Variant:
    """The description of a variant of the model ``of``.

    ``base`` is the fingerprint of the FP32 model that it was made from, ``sha256`` the hash of its
    own file. ``extra`` are extra weight files with their sha256. ``deviations`` from FP32 were
    measured with ONNX Runtime on the reference inputs when the variant was made.

    >>> from face_perception.inference import make_variant
    >>> variant = make_variant("expression", "fp16")  # writes expression.fp16.onnx
    >>> variant.kind, all(deviation.within for deviation in variant.deviations)
    ('fp16', True)
    """

    of: str
    kind: str
    base: str
    sha256: str
    made_by: str
    deviations: tuple[Deviation, ...]
    extra: Mapping[str, str] = field(default_factory=dict)


def kind_of(precision: str, backend: str) -> str:
    """Returns the kind of variant that a backend runs for a precision; empty for FP32."""
    if precision == "int8":
        return "int8-trt" if backend == "tensorrt" else "int8-cpu"
    return "" if precision == "fp32" else precision


def how_to_make(name: str, kind: str) -> str:
    """Returns the command that makes a variant."""
    if kind == "fp16":
        return f"run `face-perception models export {name} --precision fp16`"
    return f"run `face-perception models quantize {name} --recipe {kind}`"


def card_of(card: Card, kind: str) -> Path:
    """Returns the path of a variant's card."""
    return _folder(card) / f"{card.name}.{kind}.yaml"


def _folder(card: Card) -> Path:
    """Returns the folder of a model's variants.

    It is that of the model's file, or the model cache for a model in the package: nothing is
    written there.
    """
    folder = card.path.parent
    return paths.models_dir() if folder.is_relative_to(paths.resource("resources")) else folder


def find_variant(card: Card, kind: str, base: bytes) -> tuple[Card, Variant]:
    """Returns the card that loads a variant, and the variant's description.

    ``base`` is the content of the FP32 file. Raises ModelError, with the fix, if the variant is
    missing, damaged, or made from another FP32 file.
    """
    variant = describe_variant(card, kind)
    if variant.base != card.fingerprint(base):
        raise ModelError(
            f"{card_of(card, kind)} was made from another version of {card.name}: "
            f"{how_to_make(card.name, kind)}"
        )
    return _card(card, variant), variant


def describe_variant(card: Card, kind: str) -> Variant:
    """Returns the description of a variant, which may be of another FP32 file.

    Raises ModelError, with the fix, if the variant is missing or damaged.
    """
    path = card_of(card, kind)
    fix = how_to_make(card.name, kind)
    try:
        text = read_bytes(path, MOST_TEXT).decode()
    except FileNotFoundError as error:
        raise ModelError(
            f"model {card.name} has no {kind} variant in {path.parent}: {fix}"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {reason_of(error)}: {fix}") from error
    variant = _parse(text)
    if variant is None or (variant.of, variant.kind) != (card.name, kind):
        raise ModelError(f"{path} is damaged: {fix}")
    return variant


def write_variant(
    card: Card,
    kind: str,
    base: bytes,
    data: bytes,
    measured: Sequence[Deviation],
    made_by: str,
    extra: Mapping[str, Path] | None = None,
) -> Variant:
    """Writes the files of a variant, the card last, because a file without a card is not used.

    ``extra`` are extra weight files by the names that the ONNX file uses; they are moved. Raises
    OSError.
    """
    card_of(card, kind).unlink(missing_ok=True)
    folder = _folder(card)
    moved = {name: move_atomically(path, folder / name) for name, path in (extra or {}).items()}
    variant = Variant(
        card.name,
        kind,
        card.fingerprint(base),
        hashlib.sha256(data).hexdigest(),
        made_by,
        tuple(measured),
        moved,
    )
    content = yaml.safe_dump(dataclasses.asdict(variant), sort_keys=False)
    write_atomically(_card(card, variant).path, data)
    write_atomically(card_of(card, kind), add_seal(_HEADER + content).encode())
    return variant


def _card(card: Card, variant: Variant) -> Card:
    return dataclasses.replace(
        card,
        file=f"{card.name}.{variant.kind}.onnx",
        source=None,
        recipe="",
        sha256=variant.sha256,
        extra=MappingProxyType(dict(variant.extra)),
        folder=_folder(card),
    )


def _parse(text: str) -> Variant | None:
    """Returns the description, or None for a text that is not a valid card of a variant."""
    body = check_seal(text)
    if body is None or not body.startswith(_HEADER):
        return None
    try:
        fields: dict[str, Any] = parse_yaml(body)
        measured = tuple(Deviation(**each) for each in fields.pop("deviations"))
        variant = Variant(**fields, deviations=measured)
        text_fields = (variant.of, variant.kind, variant.base, variant.sha256, variant.made_by)
        if not all(isinstance(value, str) for value in text_fields):
            return None
        hashes = {Path(name).name: str(sha256) for name, sha256 in variant.extra.items()}
        return dataclasses.replace(variant, extra=hashes) if hashes == variant.extra else None
    except Exception:  # a wrong seal can be recomputed, so the content may be anything
        return None
