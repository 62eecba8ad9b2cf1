"""Makes what is derived from a model: lower-precision variants, engines, copies to take away."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from face_perception.files import write_atomically
from face_perception.inference.gate import deviations
from face_perception.inference.model import ModelProgress
from face_perception.inference.models import store
from face_perception.inference.models.cards import Card, ModelError, find_card
from face_perception.inference.models.variants import Variant, find_variant, kind_of, write_variant
from face_perception.inference.reference_inputs import read_reference_inputs

Array = npt.NDArray[Any]


def make_variant(
    name: str | os.PathLike[str], kind: str, samples: Mapping[str, Array] | None = None
) -> Variant:
    """Makes ``fp16``, ``int8-cpu`` or ``int8-trt`` of a model and puts it beside the FP32 file.

    ``samples`` [K, ...] by input name set the ranges of INT8. The deviation from FP32 on the
    reference inputs is measured and kept, whatever it is: whether a variant serves is decided when
    it is loaded. Raises ModelError where a file or package is missing or cannot be written.
    """
    card = find_card(Path(name))
    data = store.read(card)
    inputs = read_reference_inputs(card)
    # Heavy, and onnx is not needed where models are only run.
    try:
        import onnxruntime

        from face_perception.inference.conversion import precision
    except ImportError as error:
        raise ModelError(
            f"making {kind} of {card.name} needs {error.name}: pip install onnx"
        ) from error
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    made_by = f"onnxruntime {onnxruntime.__version__}"
    if card.extra:
        return _make_external_variant(card, data, kind, inputs, made_by)
    if kind == "fp16":
        made = precision.to_fp16(data)
    else:
        if samples is None:
            raise ModelError(f"making {kind} of {card.name} needs samples to calibrate on")
        made = precision.to_int8(data, kind, samples)
    fp32 = OnnxRuntime(card, data, 1)
    try:
        measured = deviations(card, fp32, OnnxRuntime(card, made, 1), inputs)
        return write_variant(card, kind, data, made, measured, made_by)
    except OSError as error:
        raise _unwritten(card, kind, error) from error


def _make_external_variant(
    card: Card, data: bytes, kind: str, inputs: Mapping[str, Array], made_by: str
) -> Variant:
    """Of a model with its weights beside it, which the variant has too: FP16, or matrix products
    in INT8, nothing calibrated. FP32 is loaded once the weights are converted and out of memory.
    """
    from face_perception.inference.conversion import precision
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    convert = {"fp16": precision.to_fp16_beside, "int8-cpu": precision.to_int8_products}.get(kind)
    if convert is None:
        raise ModelError(
            f"{kind} of {card.name} cannot be made: its weights are over 2 GB, more than can be "
            "calibrated; fp16 and int8-cpu can be made"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".variant-", dir=card.path.parent) as folder:
            path = Path(folder) / f"{card.name}.{kind}.onnx"
            convert(card.path, path)
            beside = path.with_name(f"{path.name}.data")
            extra = {}
            if beside.exists():  # some weight is large enough for it
                beside.chmod(path.stat().st_mode)  # onnx writes it for its owner only
                extra[beside.name] = beside
            made = path.read_bytes()
            lying = dataclasses.replace(
                card,
                file=path.name,
                folder=path.parent,
                extra=MappingProxyType(dict.fromkeys(extra, "")),
            )
            fp32 = OnnxRuntime(card, data, 1)
            measured = deviations(card, fp32, OnnxRuntime(lying, made, 1), inputs)
            return write_variant(card, kind, data, made, measured, made_by, extra)
    except OSError as error:
        raise _unwritten(card, kind, error) from error


def _unwritten(card: Card, kind: str, error: OSError) -> ModelError:
    return ModelError(
        f"cannot write {kind} of {card.name} to {card.path.parent}: {error.strerror or error}"
    )


def read_variant(name: str | os.PathLike[str], kind: str) -> Variant:
    """What is known about a variant. Raises ModelError where it is missing or unusable."""
    card = find_card(Path(name))
    return find_variant(card, kind, store.read(card))[1]


def build_tensorrt_engine(
    name: str | os.PathLike[str], precision: str = "fp32", progress: ModelProgress | None = None
) -> Path:
    """Builds the engine of a model for this machine's GPU, unless it is in the cache, and returns
    where it is. Without a GPU, TensorRT-RTX builds one that nothing here can run. Raises ModelError
    with the reason where TensorRT cannot.
    """
    from face_perception.inference.tensorrt.cuda import find_gpu
    from face_perception.inference.tensorrt.engines import engine_of

    card, data = _of_precision(find_card(Path(name)), kind_of(precision, "tensorrt"))
    try:
        gpu = find_gpu()
    except ModelError:
        gpu = None
    report = progress or (lambda name, step, share: None)
    return engine_of(card, data, precision=precision, gpu=gpu, progress=report)[0]


def export_onnx_file(name: str | os.PathLike[str], kind: str, folder: Path) -> Path:
    """Copies a model's ONNX file to a folder, FP32 (``kind`` empty) or a variant, for other
    programs; returns the copy. Raises ModelError, and OSError where it cannot be written.
    """
    card, data = _of_precision(find_card(Path(name)), kind)
    for extra, path in card.extra_paths.items():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / extra)
    write_atomically(folder / card.file, data)
    return folder / card.file


def _of_precision(card: Card, kind: str) -> tuple[Card, bytes]:
    data = store.read(card)
    if not kind:
        return card, data
    variant, _ = find_variant(card, kind, data)
    return variant, store.read(variant)
