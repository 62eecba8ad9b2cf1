"""Decides which clips are already analysed with the same settings (``run --resume``)."""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_perception.errors import InputError
from face_perception.files import sha256_of
from face_perception.results import RunRecord, read_record, size_and_time

if TYPE_CHECKING:
    from face_perception.commands.clip_analysis import ClipTask


def result_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Returns all that the results of ``run`` depend on, besides the clip, as JSON types.

    Files count with their content: two settings are equal if the results are. Raises OSError if a
    file cannot be read, InputError for a wrong person id, and inference.ModelError for an unknown
    gaze network.
    """
    from face_perception.gaze import GEOMETRIC
    from face_perception.inference import catalogue, find_card
    from face_perception.people import CalibrationStore

    # Those of the package, and the imported one that is used.
    cards = [card for card in catalogue().values() if card.folder is None]
    cards += [] if args.gaze == GEOMETRIC else [find_card(args.gaze)]
    models = "".join(sorted(f"{card.name} {card.sha256}\n" for card in cards))
    person = CalibrationStore(args.people).get(args.person) if args.person else {}
    return {
        "version": _version(),
        "models": hashlib.sha256(models.encode()).hexdigest(),
        "image": args.image,
        "landmarks": args.landmarks,
        "camera_info": _content(args.camera_info),
        "gaze": args.gaze,
        "person": args.person,
        "calibration": hashlib.sha256(repr(sorted(person.items())).encode()).hexdigest(),
        "max_faces": args.max_faces,
        "neutral": _content(args.neutral),
        "blendshapes": args.blendshapes,
        "skip_frames": args.skip_frames,
    }


def record_of(task: ClipTask, settings: dict[str, Any], frames: int, drawn: str) -> RunRecord:
    """Returns the record of results that have just been written. Raises OSError.

    ``drawn`` is the path of the annotated picture or film; empty: not asked for.
    """
    size, modified = size_and_time(Path(task.input))
    return RunRecord(
        input=os.path.abspath(task.input),
        input_bytes=size,
        input_modified=modified,
        annotated=drawn and os.path.abspath(drawn),
        frames=frames,
        results_bytes=os.stat(str(task.output)).st_size,
        settings=settings,
    )


def is_done(task: ClipTask, settings: dict[str, Any]) -> bool:
    """Returns whether the results of a clip are complete, and would be the same again.

    They are not if the clip has changed, if the settings differ, if the results were changed, or if
    an annotated film is wanted that was not made.
    """
    try:
        record = read_record(Path(str(task.output)))
        if record is None or record != record_of(task, settings, record.frames, record.annotated):
            return False
    except (OSError, InputError):
        return False
    if task.annotated is None:
        return True
    drawn, wanted = Path(record.annotated), task.annotated.absolute()
    return bool(record.annotated) and drawn.exists() and wanted in (drawn, drawn.parent)


def _version() -> str:
    try:
        return importlib.metadata.version("face_perception")
    except importlib.metadata.PackageNotFoundError:  # a source tree that is not installed
        return ""


def _content(path: str | None) -> str:
    """Returns the hash of a file, or of the files of a bag; empty without a path."""
    if not path:
        return ""
    at = Path(path)
    files = sorted(file for file in at.rglob("*") if file.is_file()) if at.is_dir() else [at]
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()
