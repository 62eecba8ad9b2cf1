"""Keeps the gate's verdict on an engine in a file, so that a start does not gate again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime

from face_perception.inference.accuracy_gate import GATE_REVISION, Deviation
from face_perception.inference.models.cards import Card, ModelError
from face_perception.inference.tensorrt import engine_cache

_log = logging.getLogger(__name__)


class KeptVerdict:
    """The file with the deviations of one engine from ONNX Runtime in FP32.

    It holds only for this engine, this FP32 network (``card`` and its file ``fp32``), these
    reference inputs [K, ...] by name, and this revision of the gate.
    """

    def __init__(
        self,
        path: Path,
        engine: bytes,
        card: Card,
        fp32: bytes,
        inputs: Mapping[str, npt.NDArray[Any]],
    ) -> None:
        samples = hashlib.sha256()
        for name, value in inputs.items():
            samples.update(f"{name} {value.shape}".encode() + value.tobytes())
        self._path = path.with_suffix(".gate")
        self._key = {
            "gate": f"{GATE_REVISION}",
            "engine": hashlib.sha256(engine).hexdigest(),
            "fp32": card.fingerprint(fp32),
            "onnxruntime": onnxruntime.__version__,
            "inputs": samples.hexdigest(),
            "tolerances": str(
                {name: (p.tolerance, p.relative_tolerance) for name, p in card.outputs.items()}
            ),
        }

    def read(self) -> list[Deviation] | None:
        """Returns the deviations, or None if there are none for this engine, or they are damaged.

        Raises ModelError if the file cannot be read.
        """
        data = engine_cache.read(self._path, self._key)
        return None if data is None else [Deviation(**each) for each in json.loads(data)]

    def write(self, found: list[Deviation]) -> None:
        """Writes the deviations. A failure goes to the log, and the next start gates again."""
        content = json.dumps([dataclasses.asdict(each) for each in found])
        try:
            engine_cache.write(self._path, self._key, content.encode())
        except ModelError as error:
            _log.warning("%s", error)
