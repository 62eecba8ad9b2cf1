"""Runs the GRID clips of ten speakers as streams: faces, blinks and lips."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.accuracy.context import Context, counted
from bench.accuracy.data_sets import GRID
from face_perception.faces import LEFT_OUTER_CANTHUS, RIGHT_OUTER_CANTHUS
from face_perception.media import FrameReader
from face_perception.pipeline import Perception
from face_perception.types import Face

NAME = "GRID"
_BLINK = 45
_UPPER_LIP, _LOWER_LIP = 13, 14  # inner middle of the lips


@dataclass(slots=True)
class Speaker:
    """One clip: for each frame its time, face ids, intensity of AU45 and opening of the lips.

    The opening is a share of the distance between the outer canthi. NaN without a face.
    """

    name: str
    file: Path
    stamps: list[float] = field(default_factory=list)
    ids: list[tuple[str, ...]] = field(default_factory=list)
    blink: list[float] = field(default_factory=list)
    opening: list[float] = field(default_factory=list)


def speakers(context: Context) -> list[Speaker]:
    files = context.files(GRID, "*.mpg")
    key = (context.use(GRID, files),)
    return context.remember("speakers", key, lambda: [_follow(f) for f in counted(files, NAME)])


def _follow(file: Path) -> Speaker:
    seen = Speaker(file.stem, file)
    perception = Perception.load(threads=1)
    with FrameReader(file) as clip:
        for frame in clip:
            result = perception.process(frame)
            seen.stamps.append(frame.stamp)
            seen.ids.append(tuple(face.face_id for face in result.faces))
            if not result.faces:
                seen.blink.append(math.nan)
                seen.opening.append(math.nan)
                continue
            unit = result.action_units[0].units.get(_BLINK)
            seen.blink.append(math.nan if unit is None else unit.intensity)
            seen.opening.append(_opening(result.faces[0]))
    return seen


def _opening(face: Face) -> float:
    points = face.landmarks
    lips = float(np.linalg.norm(points[_UPPER_LIP, :2] - points[_LOWER_LIP, :2]))
    corners = points[RIGHT_OUTER_CANTHUS, :2] - points[LEFT_OUTER_CANTHUS, :2]
    return lips / float(np.linalg.norm(corners))
