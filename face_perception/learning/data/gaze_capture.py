"""Converts GazeCapture (Krafka et al., CVPR 2016) to the layout of ``dataset``.

A folder 00002 of one person has frames/00000.jpg, frames.json (names of the pictures), info.json
(``Dataset``: train, val or test) and dotInfo.json (``XCam``, ``YCam``: where the dot is, in
centimetres from the lens; x is to the right of a person who faces the screen, y is up).
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
    every_nth,
    folders_of,
    refuse_test,
)
from face_perception.learning.data.dataset import DatasetError, read_image
from face_perception.learning.data.labelled_gaze import (
    find_gaze_crops,
    gaze_images,
    gaze_labels,
)
from face_perception.outside_files import one_error, read_json
from face_perception.types import Camera, FloatArray

_WANTED = "folders such as 00002, each with frames, info.json and dotInfo.json, were expected"
_CONTENT = (
    "frames.json with names, dotInfo.json with as many XCam and YCam in centimetres, and info.json "
    "with Dataset (train, val or test) were expected"
)
_MOST_BYTES = 16 << 20
_FARTHEST = 50.0  # centimetres from the lens of a phone or tablet to a dot on its screen
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the people in ``source`` to ``out``, with the published split.

    The gaze runs from the eyes, whose distance the tracker estimates with an assumed camera
    (``Camera.assume``), to the dot. ``test`` must be empty. Every ``every``-th picture of a person
    is used.
    """
    refuse_test(job.test, "GazeCapture")
    people = folders_of(job.source, "[0-9][0-9][0-9][0-9][0-9]", _WANTED)
    with Conversion(
        job.out,
        job.report,
        name="GazeCapture",
        licence="for non-commercial research only (Massachusetts Institute of Technology)",
        module=__name__,
    ) as made:
        for person in people:
            split, dots = _read_person(job.source / person)
            for name, dot in every_nth(dots.items(), job.every):
                image = read_image(
                    job.source / person / "frames" / name, f"{person}/frames.json names it"
                )
                height, width = image.shape[:2]
                camera = Camera.assume(width, height)
                with made.unless_missing():
                    crops, pose = find_gaze_crops(job.tracker, image, camera)
                    # The normalized camera faces the point between the eyes.
                    distance = float(np.linalg.norm(pose.position))
                    line = dot - distance * crops.rotation[:, 2]
                    made.add(
                        gaze_images(crops),
                        person,
                        split,
                        **gaze_labels(crops, line, pose.rotation[:, 0]),
                        distance=distance,
                        photograph=f"{person}/frames/{name}",
                    )
            made.report(f"{person} ({split})")
    return made.counts


def _read_person(folder: Path) -> tuple[str, dict[str, FloatArray]]:
    """Returns the split, and where each picture's dot is [3], metres, in the optical frame."""
    info, dots, names = (_json(folder / f"{name}.json") for name in ("info", "dotInfo", "frames"))
    try:
        split = _SPLITS[info["Dataset"]]
        places = np.array([dots["XCam"], dots["YCam"]], np.float64).T
        names = [str(name) for name in names]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{folder} has other content: {_CONTENT}") from error
    if places.shape != (len(names), 2) or not (np.abs(places) < _FARTHEST).all():
        raise DatasetError(f"{folder / 'dotInfo.json'}: {shortened(dots)}: {_CONTENT}")
    wrong = next((name for name in names if Path(name).name != name), None)
    if wrong is not None:
        raise DatasetError(f"{folder / 'frames.json'}: {shortened(wrong)} is not a file name")
    # The right of a person who faces the camera is the image's left; the image's y axis is down.
    flat = np.c_[-places / 100, np.zeros(len(places))]
    return split, dict(zip(names, flat, strict=True))


def _json(path: Path) -> Any:
    if not path.is_file():
        raise DatasetError(f"{path} is missing: {_WANTED}")
    with one_error(f"{path}", _CONTENT, DatasetError):
        return read_json(path, _MOST_BYTES)
