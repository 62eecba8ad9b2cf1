"""Reads and writes the reference inputs of a network, on which the gate compares backends.

They are stored in an .npz file in the folder of the card, with one array for each input; the first
axis is the samples. Images are stored with 8 bits: ``name`` is uint8, and ``name.scale`` holds
factor and offset.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.files import write_atomically
from face_perception.inference.models.cards import Card, ModelError
from face_perception.outside_files import one_error, read_arrays

Array = npt.NDArray[Any]

# Factor and offset of the ranges in which networks take 8-bit images.
_SCALES = ((1 / 255, 0.0), (1 / 127.5, -1.0), (1.0, 0.0))


def read_reference_inputs(card: Card) -> dict[str, Array]:
    """Returns the reference inputs of a card [K, ...] by input name.

    Raises ModelError, which names the file and the fix.

    >>> from face_perception.inference import find_card, read_reference_inputs
    >>> inputs = read_reference_inputs(find_card("face_mesh"))
    >>> inputs["image"].shape, inputs["image"].dtype.name
    ((4, 192, 192, 3), 'float32')
    """
    path = card.reference_inputs_path
    fix = f"run `face-perception models capture {card.name}`"
    if not path.exists():
        raise ModelError(
            f"model {card.name} has no reference inputs for the accuracy gate ({path}): {fix}"
        )
    with one_error(f"{path}", fix, ModelError):
        kept = read_arrays(path)
        inputs = {name: _restored(kept, name) for name in card.inputs}
    for name, port in card.inputs.items():
        value = inputs[name]
        if (
            value.dtype != port.dtype
            or not shape_fits(value.shape[1:], port.shape[1:])
            or not len(value)
            or not np.isfinite(value).all()
        ):
            raise ModelError(
                f"{path} does not fit its card: {name} is {value.dtype} {list(value.shape)}: {fix}"
            )
    return inputs


def zero_inputs(card: Card) -> dict[str, Array]:
    """Returns inputs of zeros by name, of size 1 where a size is free."""
    return {
        name: np.zeros([size or 1 for size in port.shape], port.dtype)
        for name, port in card.inputs.items()
    }


def write_reference_inputs(path: Path, inputs: Mapping[str, Array]) -> None:
    """Writes arrays [K, ...] by input name to an .npz file. Raises OSError."""
    kept: dict[str, Array] = {}
    for name, value in inputs.items():
        kept[name] = value
        for factor, offset in _SCALES:
            levels = (value - offset) / factor
            if levels.min() > -0.01 and levels.max() < 255.01 and _whole(levels):
                kept[name] = np.rint(levels).astype(np.uint8)
                kept[f"{name}.scale"] = np.array([factor, offset])
                break
    content = io.BytesIO()
    np.savez_compressed(content, **kept)  # type: ignore[arg-type]
    write_atomically(path, content.getvalue())


def shape_fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    """Returns True if a shape fits a port's shape, in which None stands for any size except 0."""
    return len(shape) == len(wanted) and all(
        got == size or (size is None and got > 0) for got, size in zip(shape, wanted, strict=True)
    )


def _whole(levels: Array) -> bool:
    # Allow for rounding in float32.
    return bool(np.abs(levels - np.rint(levels)).max() < 0.01)


def _restored(kept: Mapping[str, Array], name: str) -> Array:
    if f"{name}.scale" not in kept:
        return kept[name]
    factor, offset = kept[f"{name}.scale"]
    restored: Array = (kept[name] * factor + offset).astype(np.float32)
    return restored
