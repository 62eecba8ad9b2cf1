"""Measures an installed model on a data set, and writes the results with what they depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from face_perception import paths
from face_perception.affect import AFFECT_NETWORKS
from face_perception.errors import InputError
from face_perception.files import write_atomically
from face_perception.gaze import GAZE_NETWORKS
from face_perception.inference import Card, Model, Purpose, load
from face_perception.learning.data import dataset
from face_perception.learning.data.dataset import Dataset, DatasetError
from face_perception.learning.protocols.affect import affect_figures
from face_perception.learning.protocols.affect_answers import answer_affect
from face_perception.learning.protocols.figures import Curve, Figures
from face_perception.learning.protocols.gaze import contact_figures, gaze_figures
from face_perception.learning.protocols.gaze_answers import (
    EYE_CONTACT,
    GAZE,
    answer_eye_contact,
    answer_gaze,
)
from face_perception.motion import MIMAMO_NETWORKS
from face_perception.report import curve_figure
from face_perception.statistics import Estimate

# What ``measure`` takes, of which only a gaze network can be one of the package's own.
_MEASURED = Purpose(
    lambda card: (
        EYE_CONTACT in card.outputs
        or any(known.fits(card) for known in (GAZE_NETWORKS, AFFECT_NETWORKS, MIMAMO_NETWORKS))
    ),
    "`face-perception import` or `train`",
    GAZE_NETWORKS.bundled,
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of a model on a part of a data set, and what they depend on.

    ``versions`` are those of Python and ONNX Runtime, and a hash of the package's code. ``hashes``
    are the SHA-256 of the network and of the table of samples.
    """

    model: Card
    data: Dataset
    split: str
    found: Figures
    versions: dict[str, str]
    hashes: dict[str, str]

    def lines(self) -> list[str]:
        """Returns the figures as text, one a line, with intervals and numbers of samples."""
        rows = [f"part: {self.split}"]
        rows += [f"{name}: {_text(value)}" for name, value in self.found.figures.items()]
        for name, curve in self.found.curves.items():
            rows += [f"{name}, {point.x:.3g}: {_text(point.y)}" for point in curve.points]
        return rows

    def save(self, path: Path) -> None:
        """Writes the results as JSON. Raises InputError if ``path`` cannot be written."""
        content = {
            "model": self.model.name,
            "licence": self.model.licence,
            "data": self.data.name,
            "data_licence": self.data.licence,
            "split": self.split,
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": self.versions,
            "sha256": self.hashes,
            "figures": {k: _plain(dataclasses.asdict(v)) for k, v in self.found.figures.items()},
            "curves": {k: _plain(dataclasses.asdict(v)) for k, v in self.found.curves.items()},
        }
        _write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def save_plots(self, folder: Path) -> list[Path]:
        """Writes each curve as an SVG file into ``folder``, and returns the files.

        Raises MissingDependencyError without Matplotlib, and InputError if the folder cannot be
        written.
        """
        files = []
        for name, curve in self.found.curves.items():
            path = folder / f"{name.replace(' ', '_')}.svg"
            title = f"{self.model.name} on {self.data.name}"
            _write(path, _svg(curve, title))
            files.append(path)
        return files


def measure(model_name: str, folder: Path, split: str | None) -> Measurement:
    """Measures a model on a data set: a shipped, an imported or a trained one.

    ``model_name`` is the name of a model, or the path of its card. ``split`` None means the whole
    data set; or the part ``test``, if the card says that the model was trained on this data set.
    The outputs of the model decide which protocol applies. Raises ModelError or DatasetError that
    names what does not fit.
    """
    model = load(model_name, _MEASURED)
    data = dataset.read(folder)
    if split is None and data.described in model.card.origin:
        split = "test"
    part = data if split is None else data.part(split)
    if not len(part):
        raise DatasetError(f"{folder} has no sample in the part {split or 'all'}: give --split")
    return Measurement(
        model=model.card,
        data=data,
        split=split or "all",
        found=_figures(model, part),
        versions={
            "python": platform.python_version(),
            "onnxruntime": metadata.version("onnxruntime"),
            "code_sha256": _hash_of_code(),
        },
        hashes={
            "model": model.card.sha256 or hashlib.sha256(model.card.path.read_bytes()).hexdigest(),
            "samples": hashlib.sha256((folder / dataset.TABLE).read_bytes()).hexdigest(),
        },
    )


def _figures(model: Model, data: Dataset) -> Figures:
    if GAZE in model.outputs:
        return gaze_figures(answer_gaze(model, data))
    if EYE_CONTACT in model.outputs:
        probability, labelled = answer_eye_contact(model, data)
        contact, people = labelled.labels(EYE_CONTACT)[:, 0], labelled.columns["subject"]
        return Figures(dict(contact_figures(probability, contact, people)))
    return affect_figures(answer_affect(model, data, load))


def _text(value: Estimate) -> str:
    number = f"{value.value:.4g}"
    if math.isfinite(value.low):
        number += f" [{value.low:.4g}, {value.high:.4g}]"
    people = f", {value.groups} people" if value.groups else ""
    return f"{number} (n={value.n}{people})"


def _plain(value: Any) -> Any:
    """Returns the value with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _hash_of_code() -> str:
    """Returns the SHA-256 of the package's Python files."""
    root = paths.package_dir()
    found = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        found.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): give another") from error


def _svg(curve: Curve, title: str) -> str:
    return curve_figure(
        [(point.x, point.y.value, point.y.low, point.y.high) for point in curve.points],
        x_label=curve.x_label,
        y_label=curve.y_label,
        title=title,
        diagonal=curve.diagonal,
    )
