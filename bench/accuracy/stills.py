"""Returns the results of ``product.still`` for labelled pictures: one JSON face for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.accuracy import product
from bench.accuracy.context import Context, counted
from bench.accuracy.data_sets import CK, MUXSPACE, DataSet
from bench.accuracy.labelled import Labelled, ck_plus, press
from bench.accuracy.pictures import read_picture, with_margin, with_width
from face_perception.types import Camera, Frame

_CK_SCALE = 4  # CK+48 is enlarged, and set into a gray picture of twice the size


@dataclass(frozen=True, slots=True)
class Still:
    """``name`` is that of the picture's file. ``face`` is the largest face as `FrameResult.to_json`
    has it; None: none was found.
    """

    name: str
    label: str
    person: str
    face: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Source:
    """One labelled set: how its pictures are listed."""

    name: str
    data_set: DataSet
    pictures: Callable[[Context], list[Labelled]]
    scale: int


SOURCES = (
    Source("CK+ peaks", CK, ck_plus, _CK_SCALE),
    Source("press photographs A-H", MUXSPACE, press, 1),
)


def stills(context: Context, source: Source) -> list[Still]:
    """Returns the results for all pictures of the set. Raises Missing."""
    chosen = source.pictures(context)
    files = [one.file for one in chosen]
    key = (context.use(source.data_set, files), *(one.label for one in chosen))
    name = f"stills-{source.data_set.name}"
    return context.remember(name, key, lambda: _look(chosen, source))


def _look(chosen: Sequence[Labelled], source: Source) -> list[Still]:
    seen = []
    for one in counted(chosen, source.name):
        image = read_picture(one.file)
        # Add a margin: `faces.py` measures faces that fill the picture separately.
        image = with_margin(with_width(image, image.shape[1] * source.scale))
        height, width = image.shape[:2]
        frame = Frame(np.ascontiguousarray(image), 0.0, Camera.assume(width, height))
        faces = product.still().process(frame).to_json(0)["faces"]
        largest = max(faces, key=lambda face: face["roi"][2], default=None)
        seen.append(Still(one.file.name, one.label, one.person, largest))
    return seen
