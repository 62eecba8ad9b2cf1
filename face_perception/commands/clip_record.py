"""Decides which clips are already analysed with the same settings (``run --resume``)."""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from face_perception.commands.clip_task import ClipTask
from face_perception.errors import InputError
from face_perception.files import sha256_of
from face_perception.results import RunRecord, read_record

# Options of ``run`` that change no line of the results.
_NO_EFFECT = {"input", "output", "annotated", "jobs", "threads", "resume", "ray", "people", "run"}


def result_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Returns all that the results of ``run`` depend on, besides the clip, as JSON types.

    These are all options but ``_NO_EFFECT``, so that a new option counts at once. A file counts
    with its content, a person with the calibration, and a model with its card. Raises OSError if a
    file cannot be read, and InputError for a wrong person id.
    """
    from face_perception.inference import used_cards
    from face_perception.people import CalibrationStore

    options = {name: value for name, value in vars(args).items() if name not in _NO_EFFECT}
    texts = {name: str(value) for name, value in options.items() if value}
    contents = {name: _content(text) for name, text in texts.items() if _is_input(text)}
    used = used_cards(texts.values()).values()
    person = CalibrationStore(args.people).get(args.person) if args.person else {}
    return {
        **{name: texts.get(name, "") for name in options},
        "contents": contents,
        "version": _version(),
        "models": _hash("".join(sorted(f"{card.name} {card.sha256}\n" for card in used))),
        "calibration": _hash(repr(sorted(person.items()))),
    }


def size_and_time(path: Path) -> tuple[int, int]:
    """Returns the size and the time of modification, nanoseconds, of a file or bag.

    Results in the folder of a bag do not count. Raises OSError if it is missing.
    """
    from face_perception.media import bag_files

    found = [os.stat(file) for file in (bag_files(path) if path.is_dir() else [path])]
    return sum(one.st_size for one in found), max((one.st_mtime_ns for one in found), default=0)


def record_of(
    task: ClipTask,
    clip: tuple[int, int],
    settings: dict[str, Any],
    frames: int,
    drawn: str,
) -> RunRecord:
    """Returns the record of results that have just been written. Raises OSError.

    ``clip`` is the size and time of the clip (``size_and_time``) when it was opened. ``drawn`` is
    the path of the annotated picture or film; empty: not asked for.
    """
    size, modified = clip
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
        if record is None:
            return False
        clip = size_and_time(Path(task.input))
        if record != record_of(task, clip, settings, record.frames, record.annotated):
            return False
    except (OSError, InputError):
        return False
    if task.annotated is None:
        return True
    drawn, wanted = Path(record.annotated), Path(os.path.abspath(task.annotated))
    return bool(record.annotated) and drawn.exists() and wanted in (drawn, drawn.parent)


def _version() -> str:
    try:
        return importlib.metadata.version("face_perception")
    except importlib.metadata.PackageNotFoundError:  # a source tree that is not installed
        return ""


def _is_input(text: str) -> bool:
    """Returns whether the value of an option is a file or a bag.

    Other folders do not count: results of ``--person ada`` may go into a folder ``ada``.
    """
    from face_perception.media import is_bag

    # Not Path.is_file, which raises OSError for a text that is too long for a name.
    return os.path.isfile(text) or (os.path.isdir(text) and is_bag(Path(text)))


def _content(text: str) -> str:
    """Returns the hash of a file; of a bag, the size and time of its files."""
    path = Path(text)
    return sha256_of(path) if path.is_file() else str(size_and_time(path))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
