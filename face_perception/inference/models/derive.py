"""Makes FP16 and INT8 variants, TensorRT engines and copies of a model."""

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
from face_perception.inference.accuracy_gate import deviations
from face_perception.inference.model_progress import ModelProgress
from face_perception.inference.models import store
from face_perception.inference.models.cards import Card, ModelError
from face_perception.inference.models.catalogue import find_card
from face_perception.inference.models.variants import (
    Variant,
    describe_variant,
    find_variant,
    kind_of,
    write_variant,
)
from face_perception.inference.reference_inputs import read_reference_inputs

Array = npt.NDArray[Any]


def make_variant(
    name: str | os.PathLike[str], kind: str, samples: Mapping[str, Array] | None = None
) -> Variant:
    """Makes the variant ``fp16``, ``int8-cpu`` or ``int8-trt`` next to the model's FP32 file.

    ``samples`` [K, ...] by input name set the ranges of INT8. Measures and stores the deviation
    from FP32 on the reference inputs. The gate accepts or refuses the variant later, when it is
    loaded. Raises ModelError if a file or package is missing, or a file cannot be written.
    """
    return make_variant_of(find_card(Path(name)), kind, samples)


def make_variant_of(card: Card, kind: str, samples: Mapping[str, Array] | None = None) -> Variant:
    """Makes a variant of the model of a card, as ``make_variant`` does."""
    data = store.read(card)
    inputs = read_reference_inputs(card)
    # Import here, because running models does not need onnx.
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
            raise ModelError(
                f"making {kind} of {card.name} needs samples for the calibration: give --images or "
                "--inputs"
            )
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
    """Makes a variant of a model with extra weight files: FP16, or INT8 matrix products.

    Needs no calibration. Loads the FP32 model only after the converted weights have left memory.
    """
    from face_perception.inference.conversion import precision
    from face_perception.inference.onnxruntime_backend import OnnxRuntime

    convert = {"fp16": precision.to_fp16_external, "int8-cpu": precision.to_int8_products}.get(kind)
    if convert is None:
        raise ModelError(
            f"{kind} of {card.name} cannot be made, because its weights exceed the 2 GB that can "
            "be calibrated: use fp16 or int8-cpu"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".variant-", dir=card.path.parent) as folder:
            path = Path(folder) / f"{card.name}.{kind}.onnx"
            convert(card.path, path)
            beside = path.with_name(f"{path.name}.data")
            extra = {}
            if beside.exists():  # onnx writes it only for large weights
                beside.chmod(path.stat().st_mode)  # onnx makes it readable for its owner only
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
        f"cannot write {kind} of {card.name} to {card.path.parent}: {error.strerror or error}: "
        "free some disk space, or change the permissions"
    )


def read_variant(name: str | os.PathLike[str], kind: str) -> Variant:
    """Returns the description of a variant. Raises ModelError if it is missing or unusable."""
    card = find_card(Path(name))
    describe_variant(card, kind)  # most are missing: find out before the model is read and hashed
    return find_variant(card, kind, store.read(card))[1]


def build_tensorrt_engine(
    name: str | os.PathLike[str], precision: str = "fp32", progress: ModelProgress | None = None
) -> Path:
    """Builds the TensorRT engine of a model, unless it is in the cache, and returns its path.

    The engine is for the GPU of this machine. Without a GPU, TensorRT-RTX builds an engine that
    cannot run here. Raises ModelError, with the reason, if TensorRT cannot build it.
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
    """Copies the ONNX file of a model or of its variant ``kind`` to a folder; returns the copy.

    An empty ``kind`` stands for FP32. Raises ModelError, or OSError if the copy cannot be written.
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
