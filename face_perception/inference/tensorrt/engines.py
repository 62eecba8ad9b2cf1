"""A model's engine for this machine's GPU: found in the cache, else built, and loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from face_perception.inference.models.cards import Card, ModelError
from face_perception.inference.tensorrt import engine_cache
from face_perception.inference.tensorrt.api import MODULES, import_tensorrt
from face_perception.inference.tensorrt.backend import TensorRTBackend
from face_perception.inference.tensorrt.cuda import Gpu, find_gpu
from face_perception.inference.tensorrt.engine_build import batches, build_engine

# Called with a model's name, what is being done for it, and the share done, 0 to 1.
ModelProgress = Callable[[str, str, float], None]


def engine_of(
    card: Card, onnx: bytes, *, precision: str, gpu: Gpu | None, progress: ModelProgress
) -> tuple[Path, bytes]:
    """The engine of a model for a GPU, from the cache or built now, and where it is.

    Without a GPU (None) only TensorRT-RTX can build; such an engine is kept apart from those of
    real GPUs. Raises ModelError.
    """
    api = import_tensorrt()
    shared = {
        "tensorrt": f"{api.__name__} {api.__version__}",
        "gpu": f"{gpu.name} {gpu.capability}" if gpu else "none",
    }
    key = {
        "onnx": card.fingerprint(onnx),
        **shared,
        "precision": precision,
        "profile": str(batches(card.inputs)),
    }
    # What one build measured serves all others of the same TensorRT and GPU.
    timing_key = {**shared, "timing": "1"}
    timing_path = engine_cache.path_of("timing", timing_key).with_suffix(".cache")

    def make() -> bytes:
        built = build_engine(
            card,
            onnx,
            path.with_name(f".{path.stem}.build"),
            precision=precision,
            timing=engine_cache.read(timing_path, timing_key) or b"",
            progress=lambda seconds, share: progress(
                card.name, f"building engine, {seconds:.0f} s", share
            ),
        )
        if built.timing:
            engine_cache.write(timing_path, timing_key, built.timing)
        return built.engine

    def waiting() -> None:
        progress(card.name, "waiting for another process that builds the engine", 0.0)

    path = engine_cache.path_of(f"{card.name}-{precision}", key)
    return path, engine_cache.get_or_make(path, key, make, waiting)


def why_unavailable() -> str:
    """Why TensorRT cannot run here; empty where it can."""
    # Not by importing it, which takes long and is in vain on most machines without a GPU.
    if not any(importlib.util.find_spec(name) for name in MODULES):
        return "TensorRT is not installed"
    try:
        find_gpu()
        import_tensorrt()
    except ModelError as error:
        return str(error)
    return ""


def load_tensorrt(
    card: Card, onnx: bytes, precision: str, progress: ModelProgress
) -> TensorRTBackend:
    """The model on the first GPU; its engine is built now if it is not in the cache, which takes
    from seconds to minutes. Raises ModelError naming the model, file or device, and the fix.
    """
    import_tensorrt()
    path, engine = engine_of(card, onnx, precision=precision, gpu=find_gpu(), progress=progress)
    try:
        return TensorRTBackend(card, engine)
    except ModelError as error:
        raise ModelError(f"{error} (the engine is {path})") from error
