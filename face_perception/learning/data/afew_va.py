"""Converts AFEW-VA (Kossaifi et al., 2017) to the layout of ``dataset``.

Each clip is a folder 001 with pictures 00000.png and a file 001.json: ``actor``, and ``frames`` by
number, each with 68 ``landmarks``, and ``valence`` and ``arousal`` from -10 to 10.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from face_perception.errors import shortened
from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    affect_crop,
    every_nth,
    folders_of,
    splits_of,
)
from face_perception.learning.data.dataset import DatasetError, read_image
from face_perception.outside_files import one_error, read_json

_WANTED = "folders 001 to 600, each with its 001.json and pictures 00000.png, were expected"
_CONTENT = (
    "a text actor, and frames such as 00000 with landmarks [68, 2], valence and arousal from -10 "
    "to 10, were expected"
)
_MOST_BYTES = 8 << 20  # of a .json file
_FULL = 10.0  # published valence and arousal that stand for 1


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the clips in ``source`` to ``out``, as videos of crops with valence and arousal.

    The subject is the actor, so that no actor is in two splits; ``test`` are actors, and by default
    the last fifth of the actors in the order of their names. Every ``every``-th picture of a clip
    is used.
    """
    clips = folders_of(job.source, "[0-9][0-9][0-9]", _WANTED)
    contents = {clip: _read_clip(job.source / clip / f"{clip}.json") for clip in clips}
    actors = sorted({str(content["actor"]) for content in contents.values()})
    splits = splits_of(actors, job.source, job.test)
    with Conversion(
        job.out,
        job.report,
        name="AFEW-VA",
        licence="for non-commercial research only (end user licence agreement of iBUG)",
        module=__name__,
    ) as made:
        for clip, content in contents.items():
            actor = str(content["actor"])
            for name, frame in every_nth(sorted(content["frames"].items()), job.every):
                where = f"{job.source / clip / f'{clip}.json'}: frame {name}"
                points, valence, arousal = _frame(frame, where)
                image = read_image(job.source / clip / f"{name}.png", f"{where} names it")
                size = float(np.ptp(points[:, 0]))
                with made.unless_missing():
                    crop = affect_crop(job.tracker, image, points.mean(0), size)
                    made.add(
                        {"file": crop},
                        subject=actor,
                        split=splits[actor],
                        video=clip,
                        frame=int(name),
                        valence=valence,
                        arousal=arousal,
                    )
            made.report(f"{clip} ({splits[actor]})")
    return made.counts


def _read_clip(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing: {_WANTED}")
    with one_error(f"{path}", _CONTENT, DatasetError):
        content = read_json(path, _MOST_BYTES)
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("actor"), str)
        or not isinstance(content.get("frames"), dict)
        or not all(str(name).isdigit() for name in content["frames"])
    ):
        raise DatasetError(f"{path} has other content: {_CONTENT}")
    return content


def _frame(frame: Any, where: str) -> tuple[np.ndarray, float, float]:
    """Returns landmarks [68, 2], valence and arousal (-1 to 1)."""
    try:
        points = np.array(frame["landmarks"], np.float64)
        valence, arousal = (float(frame[name]) / _FULL for name in ("valence", "arousal"))
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{where} is {shortened(frame)}: {_CONTENT}") from error
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise DatasetError(f"{where} has landmarks {list(points.shape)}: {_CONTENT}")
    if not max(abs(valence), abs(arousal)) <= 1:
        raise DatasetError(
            f"{where} has valence {_FULL * valence:g} and arousal {_FULL * arousal:g}: {_CONTENT}"
        )
    return points, valence, arousal
