"""The subprocess that builds one engine: ``python -m … FOLDER``, started by ``engine_build``.

Reads ``request.json``, ``model.onnx`` and ``timing.in`` in the folder, and writes ``engine`` and
``timing.out``. Reports its progress on stdout, as lines of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from face_perception.inference.models.cards import ModelError
from face_perception.inference.tensorrt.api import (
    Config,
    ErrorLog,
    TensorRT,
    TimingCache,
    import_tensorrt,
)
from face_perception.inference.tensorrt.engine_cache import unwritable


class PhaseProgress:
    """Computes the finished share of nested phases from the events of a progress monitor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[list[Any]] = []  # name, steps, steps done; outermost first
        self._done = 0.0

    def start(self, name: str, steps: int) -> None:
        with self._lock:
            self._open.append([name, max(steps, 1), 0])

    def step(self, name: str, step: int) -> None:
        with self._lock:
            for phase in self._open:
                if phase[0] == name:
                    phase[2] = step + 1

    def finish(self, name: str) -> None:
        with self._lock:
            self._open = [phase for phase in self._open if phase[0] != name]

    def value(self) -> float:
        """Returns the finished share, 0 to 1.

        It never decreases. Overlapping phases make it rough.
        """
        with self._lock:
            share, width = 0.0, 1.0
            for _, steps, done in self._open:
                width /= steps
                share += width * min(done, steps - 1)
            self._done = max(self._done, share)
            return self._done


def build(api: TensorRT, folder: Path, request: Mapping[str, Any], share: PhaseProgress) -> None:
    """Builds the requested engine into files in ``folder``. Raises ModelError with the reason."""
    log = ErrorLog(api)
    what = f"TensorRT {api.__version__}"
    try:
        builder = api.Builder(log.sink)
    except (TypeError, RuntimeError) as error:  # raised if there is no GPU
        raise ModelError(f"{what} cannot build engines here: {log.first_error()}") from error
    network = builder.create_network(_network_flags(api))
    parser = api.OnnxParser(network, log.sink)
    # The parser may read a file that is not ONNX as an empty network.
    if request["in_place"]:
        parsed = parser.parse_from_file(request["file"])
    else:
        parsed = parser.parse((folder / "model.onnx").read_bytes())
    if not parsed or not network.num_layers:
        errors = [str(parser.get_error(k)) for k in range(parser.num_errors)] or [log.first_error()]
        raise ModelError(f"{what} cannot parse {request['file']}: {errors[0].splitlines()[0]}")
    config = builder.create_builder_config()
    for wanted in request["profiles"]:
        profile = builder.create_optimization_profile()
        for name, least in wanted["least"].items():
            profile.set_shape(name, least, wanted["usual"][name], wanted["most"][name])
        if config.add_optimization_profile(profile) < 0:
            raise ModelError(f"{what} rejects the shapes {wanted}: {log.first_error()}")
    _share_profiles(api, config)
    _set_precision(api, config, request["precision"])
    # Keep a reference until the end of the build, because the configuration does not own it.
    timing = _set_timing(config, (folder / "timing.in").read_bytes())
    if hasattr(api, "IProgressMonitor"):
        config.progress_monitor = _monitor(api, share)
    data = builder.build_serialized_network(network, config)
    if data is None:
        raise ModelError(f"{what} cannot build {request['file']}: {log.first_error()}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        cache = config.get_timing_cache() or timing
        measured = bytes(cache.serialize()) if cache else b""
    (folder / "timing.out").write_bytes(measured)
    (folder / "engine").write_bytes(bytes(data))


def _network_flags(api: TensorRT) -> int:
    """Returns the flags for networks whose types are those of the ONNX file.

    TensorRT 10 needs STRONGLY_TYPED. 11 has no other mode, and no flag. 8.6 needs EXPLICIT_BATCH.
    """
    for name in ("STRONGLY_TYPED", "EXPLICIT_BATCH"):
        flag = getattr(api.NetworkDefinitionCreationFlag, name, None)
        if flag is not None:
            return 1 << int(flag)
    return 0


def _share_profiles(api: Any, config: Any) -> None:
    """Lets several execution contexts use the same profile at the same time.

    The backend needs one context for each CUDA graph. TensorRT 8.6 must be told; 10 and later
    always allow it; with older versions the backend has one context and no graphs.
    """
    feature = getattr(getattr(api, "PreviewFeature", None), "PROFILE_SHARING_0806", None)
    if feature is not None:
        config.set_preview_feature(feature, True)


def _set_precision(api: TensorRT, config: Config, precision: str) -> None:
    if precision == "fp32" or hasattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        return
    flag = getattr(api.BuilderFlag, precision.upper(), None)
    if flag is not None:
        config.set_flag(flag)


def _set_timing(config: Config, timing: bytes) -> TimingCache | None:
    with warnings.catch_warnings():
        # TensorRT-RTX has no timing cache, and warns about it.
        warnings.simplefilter("ignore", DeprecationWarning)
        cache = config.create_timing_cache(timing)
        if cache is not None:
            config.set_timing_cache(cache, False)
        return cache


def _monitor(api: Any, share: PhaseProgress) -> Any:
    class Monitor(api.IProgressMonitor):
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            share.start(name, steps)

        def step_complete(self, name: str, step: int) -> bool:
            share.step(name, step)
            return True

        def phase_finish(self, name: str) -> None:
            share.finish(name)

    return Monitor()


def _report(share: float, error: str | None = None) -> None:
    # Write with one call, because two threads report.
    sys.stdout.write(json.dumps({"share": share, "error": error}) + "\n")
    sys.stdout.flush()


def _report_regularly(share: PhaseProgress) -> None:
    while True:
        time.sleep(0.5)
        _report(share.value())


def _end_with_parent() -> None:
    """Exits when the parent process ends, because that closes stdin."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    folder = Path(sys.argv[1])
    share = PhaseProgress()
    for task, arguments in ((_end_with_parent, ()), (_report_regularly, (share,))):
        threading.Thread(target=task, args=arguments, daemon=True).start()
    error: str | None = None
    try:
        request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        build(import_tensorrt(), folder, request, share)
    except ModelError as problem:
        error = str(problem)
    except OSError as problem:
        error = unwritable(folder.parent, problem)
    except Exception as problem:  # the parent does not read stderr
        error = f"{type(problem).__name__}: {problem}"
    _report(share.value(), error)
    # Exit without joining the threads, because one of them waits for stdin.
    os._exit(0 if error is None else 1)


if __name__ == "__main__":
    main()
