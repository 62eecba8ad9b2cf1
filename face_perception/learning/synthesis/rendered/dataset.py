"""Renders a folder of people: one job a person, on all cores, resumable.

``OUT/settings.json`` has the settings, ``OUT/images/PPPPPP_VV.jpg`` the pictures of person P, and
``OUT/people/PPPPPP.jsonl`` one line of truth for each of them (``Truth.as_json`` and ``file``). A
person's truth is written last, so a folder of an interrupted run has no half a person.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2

from face_perception.errors import InputError, shortened
from face_perception.files import read_regular, write_atomically
from face_perception.learning.processes import results_in_order
from face_perception.learning.synthesis.rendered.human_parts import HumanParts, fetch_parts
from face_perception.learning.synthesis.rendered.packages import need_renderer
from face_perception.learning.synthesis.rendered.person import draw_person
from face_perception.learning.synthesis.rendered.scene import Studio
from face_perception.learning.synthesis.rendered.view import (
    View,
    draw_expression_view,
    draw_gaze_view,
    draw_view,
)
from face_perception.outside_files import one_error, read_json

Progress = Callable[[int, int], None]
_SETTINGS, _PEOPLE, _IMAGES = "settings.json", "people", "images"
_FIX = "remove the file, and render its person again with the same settings"
_JPEG = 95  # quality of the files; the camera's own JPEG is in the pictures already


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """How many pictures are rendered, and how.

    ``images`` is the number of all pictures, ``views`` that of each person. ``size`` is the side of
    a picture in pixels, ``samples`` the number of light paths for each pixel.

    With ``gaze``, the pictures are for the training of gaze networks (``draw_gaze_view``); with
    ``expressions``, for that of networks for action units (``draw_expression_view``). Both are
    sketched, which takes a tenth of the time (``Studio``).
    """

    seed: int = 1
    images: int = 2000
    views: int = 8
    size: int = 224
    samples: int = 12
    gaze: bool = False
    expressions: bool = False

    @property
    def people(self) -> int:
        return -(-self.images // self.views)

    @property
    def draw(self) -> Callable[..., View]:
        """The function that draws a view of a person."""
        if self.gaze:
            return draw_gaze_view
        return draw_expression_view if self.expressions else draw_view


def render_dataset(
    out: Path, settings: DatasetSettings, *, processes: int = 1, progress: Progress | None = None
) -> None:
    """Renders what is missing in ``out``.

    ``progress`` is called with the number of images done and wanted. Raises InputError if the
    folder has people of other settings (a larger ``images`` continues it), and
    MissingDependencyError without a renderer.
    """
    need_renderer()
    _check(out, settings)
    wheel = fetch_parts()
    todo = [person for person in range(settings.people) if not _truth(out, person).exists()]
    done = settings.images - sum(_views(settings, person) for person in todo)
    report = progress or (lambda done, wanted: None)
    report(done, settings.images)
    calls = [(out, settings, wheel, person, max(1, processes)) for person in todo]
    with closing(results_in_order(_render_person, calls, processes)) as counts:
        for count in counts:
            done += count
            report(done, settings.images)


def read_truths(out: Path) -> Iterator[dict[str, Any]]:
    """Yields the truth of each picture, in the order of people; ``file`` is relative to ``out``.

    Raises InputError, which names the file and the line, if it cannot be read.
    """
    for path in sorted((out / _PEOPLE).glob("*.jsonl")):
        with one_error(f"{path}", _FIX):
            lines = read_regular(path).splitlines()
        for number, line in enumerate(lines, 1):
            with one_error(f"{path}, line {number}", _FIX):
                truth = json.loads(line)
                if not isinstance(truth, dict) or not isinstance(truth.get("file"), str):
                    raise InputError("it is not the truth of a picture")
            yield truth


def read_settings(out: Path) -> DatasetSettings:
    """Raises InputError if ``out`` has no rendered people."""
    with one_error(f"{out / _SETTINGS}", "give a folder of rendered people"):
        found = DatasetSettings(**read_json(out / _SETTINGS))
        for name, default in asdict(DatasetSettings()).items():
            if type(getattr(found, name)) is not type(default):
                raise InputError(f"{name} is {shortened(getattr(found, name))}")
        return found


def _check(out: Path, settings: DatasetSettings) -> None:
    if (out / _SETTINGS).exists():
        earlier = asdict(read_settings(out)) | {"images": settings.images}
        if earlier != asdict(settings):
            raise InputError(
                f"{out} was made with {earlier}, not with {asdict(settings)}: choose another folder"
            )
    for folder in (_PEOPLE, _IMAGES):
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_atomically(out / _SETTINGS, json.dumps(asdict(settings)).encode())


def _truth(out: Path, person: int) -> Path:
    return out / _PEOPLE / f"{person:06d}.jsonl"


def _views(settings: DatasetSettings, person: int) -> int:
    return min(settings.views, settings.images - person * settings.views)


@cache
def _studio(
    wheel: Path, samples: int, sketch: bool, folds: bool, processes: int
) -> tuple[HumanParts, Studio]:
    if processes > 1:
        # One thread each: the processes share the cores already.
        importlib.import_module("drjit").set_thread_count(1)
    parts = HumanParts(wheel)
    return parts, Studio(parts, samples, sketch=sketch, folds=folds)


def _render_person(
    out: Path, settings: DatasetSettings, wheel: Path, number: int, processes: int
) -> int:
    """Renders all views of a person, and returns their number."""
    sketch = settings.gaze or settings.expressions
    parts, studio = _studio(wheel, settings.samples, sketch, settings.expressions, processes)
    person = draw_person(parts, settings.seed * 1_000_000 + number)
    lines = []
    for index in range(_views(settings, number)):
        view = settings.draw(person, settings.seed, index, size=settings.size)
        image, truth = studio.photograph(person, view)
        file = f"{_IMAGES}/{number:06d}_{index:02d}.jpg"
        _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG])
        write_atomically(out / file, data.tobytes())
        lines.append(json.dumps({"file": file, **truth.as_json()}))
    write_atomically(_truth(out, number), ("\n".join(lines) + "\n").encode())
    return len(lines)
