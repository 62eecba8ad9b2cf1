"""Finds a model's TensorRT engine for this GPU in the cache, or builds it, and loads it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from face_perception.inference.model_progress import ModelProgress
from face_perception.inference.models.cards import Card, ModelError
from face_perception.inference.tensorrt import engine_cache
from face_perception.inference.tensorrt.api import MODULES, import_tensorrt
from face_perception.inference.tensorrt.backend import TensorRTBackend
from face_perception.inference.tensorrt.cuda import Gpu, find_gpu
from face_perception.inference.tensorrt.engine_build import build_engine, profiles


def engine_of(
    card: Card, onnx: bytes, *, precision: str, gpu: Gpu | None, progress: ModelProgress
) -> tuple[Path, bytes]:
    """Returns the path and the content of a model's engine, after building it if necessary.

    Without a GPU (None), only TensorRT-RTX can build. Such an engine has its own cache key. Raises
    ModelError.
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
        "profiles": str(profiles(card)),
    }
    # The timing cache of one build serves all builds with the same TensorRT and GPU.
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
    """Returns the reason why TensorRT cannot run here; empty if it can."""
    # Do not import TensorRT to find out, because that takes long and most machines have no GPU.
    if not any(importlib.util.find_spec(name) for name in MODULES):
        return "TensorRT is not installed"
    try:
        find_gpu()
        import_tensorrt()
    except ModelError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class LoadedEngine:
    """An engine that is ready to run, with its file and content."""

    backend: TensorRTBackend
    path: Path
    content: bytes


def load_tensorrt(card: Card, onnx: bytes, precision: str, progress: ModelProgress) -> LoadedEngine:
    """Loads a model on the first GPU.

    Builds its engine if it is not in the cache, which takes seconds to minutes. Raises ModelError,
    which names the model, file or device, and the fix.
    """
    import_tensorrt()
    path, engine = engine_of(card, onnx, precision=precision, gpu=find_gpu(), progress=progress)
    try:
        return LoadedEngine(TensorRTBackend(card, engine), path, engine)
    except ModelError as error:
        raise ModelError(f"{error} (the engine is {path})") from error
