"""Builds an engine of a model with tensorrt_rtx in any precision, as the package does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from face_perception.inference import find_card, read_reference_inputs
from face_perception.inference.conversion.precision import to_fp16, to_int8
from face_perception.inference.models import store
from face_perception.inference.tensorrt.engine_build import build_engine

KINDS = ("fp32", "fp16", "int8-trt")


def engine(
    name: str,
    kind: str,
    folder: Path,
    progress: Callable[[float, float], None] = lambda seconds, share: None,
) -> bytes:
    """Returns the engine of the model ``name`` in one of KINDS; ``folder`` gets the files."""
    card = find_card(name)
    onnx = store.read(card)
    if kind == "fp16":
        onnx = to_fp16(onnx)
    elif kind == "int8-trt":
        onnx = to_int8(onnx, kind, read_reference_inputs(card))
    return build_engine(card, onnx, folder, precision=kind[:4], progress=progress).engine
