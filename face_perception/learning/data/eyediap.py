"""Converts EYEDIAP (Funes Mora, Monay and Odobez, ETRA 2014) to the layout of ``dataset``.

Data/1_A_CS_S is a session: person, conditions, target (DS, CS: a dot on a screen; FT: a ball), head
(S: still, M: moving). It has rgb_vga.mov, rgb_vga_calibration.txt, eye_tracking.txt, and
screen_coordinates.txt or ball_tracking.txt. Lines are ``frame;value;…`` after a line of names.
Points in space are in metres in a common frame, from which R and T of the calibration lead to the
camera: a point p there is R^T (p - T) in the camera's optical frame.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    Row,
    every_nth,
    folders_of,
    numbers,
    read_rows,
    splits_of,
)
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.data.labelled_gaze import (
    find_gaze_crops,
    gaze_images,
    gaze_labels,
)
from face_perception.media import FrameReader
from face_perception.types import Camera, FloatArray

_WANTED = "the folder Data with sessions such as 1_A_CS_S was expected"
_CALIBRATION = (
    "[resolution], [intrinsics], [R] and [T], each followed by its numbers, separated by ;, were "
    "expected"
)
_EYES = "lines of the frame and 18 numbers, the last 6 the eyes in metres, were expected"
_SCREEN = "lines of the frame and 5 numbers, the last 3 the dot in metres, were expected"
_BALL = "lines of the frame and 9 numbers, the last 3 the ball in metres, were expected"
_STATE = "lines of the frame and OK, or why it does not count, were expected"
_SESSION = re.compile(r"[0-9]{1,4}_[AB]_(DS|CS|FT)_[SM]")
_SHAPES = {"resolution": 2, "intrinsics": 9, "R": 9, "T": 3}


@dataclass(frozen=True)
class _Session:
    """A session: the ``camera``, and by frame from 0 the ``eyes`` [2, 3] and ``target`` [3].

    Points are in metres in the optical frame.
    """

    camera: Camera
    eyes: dict[int, FloatArray]
    target: dict[int, FloatArray]


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the sessions in ``source`` (which has the folder Data) to ``out``.

    The film of the VGA camera is used. The gaze runs from the middle of the two published eyes to
    the target. A frame without eyes or target is left out, and so is one that gaze_state.txt, if
    there is one, does not call OK. ``test`` are people such as 1 or 16; by default the last fifth.
    Every ``every``-th frame is used.
    """
    found = folders_of(job.source / "Data", "[0-9]*_[AB]_*_[SM]", _WANTED)
    sessions = [name for name in found if _SESSION.fullmatch(name)]
    if not sessions:
        raise DatasetError(f"{job.source / 'Data'} has no folder such as 1_A_CS_S: {_WANTED}")
    sessions.sort(key=lambda name: (int(name.split("_")[0]), name))
    people = list(dict.fromkeys(name.split("_")[0] for name in sessions))
    splits = splits_of(people, job.source, job.test)
    with Conversion(
        job.out,
        job.report,
        name="EYEDIAP",
        licence="for non-commercial research only (agreement with Idiap)",
        module=__name__,
    ) as made:
        for name in sessions:
            person = name.split("_")[0]
            session = _read_session(job.source / "Data" / name)
            left_out = _left_out(job.source, name)
            film = job.source / "Data" / name / "rgb_vga.mov"
            if not film.is_file():
                raise DatasetError(f"{film} is missing: {_WANTED}")
            with FrameReader(film, session.camera) as clip:
                for k, frame in every_nth(enumerate(clip), job.every):
                    if k in left_out or k not in session.eyes or k not in session.target:
                        made.counts["it has no labels"] += 1
                        continue
                    between = session.eyes[k].mean(0)
                    with made.unless_missing():
                        crops, pose = find_gaze_crops(job.tracker, frame.image, session.camera)
                        made.add(
                            gaze_images(crops),
                            person,
                            splits[person],
                            **gaze_labels(crops, session.target[k] - between, pose.rotation[:, 0]),
                            distance=float(np.linalg.norm(between)),
                            video=name,
                            frame=k,
                        )
            made.report(f"{name} ({splits[person]})")
    return made.counts


def _read_session(folder: Path) -> _Session:
    camera, rotation, origin = _read_camera(folder / "rgb_vga_calibration.txt")

    def points(file: str, count: int, wanted: str) -> dict[int, FloatArray]:
        return {
            frame: (values.reshape(-1, 3) - origin) @ rotation
            for frame, values in _read_track(folder / file, count, wanted).items()
        }

    if "_FT_" in folder.name:
        target = points("ball_tracking.txt", 9, _BALL)
    else:
        target = points("screen_coordinates.txt", 5, _SCREEN)
    return _Session(
        camera,
        points("eye_tracking.txt", 18, _EYES),
        {frame: point[0] for frame, point in target.items()},
    )


def _read_camera(path: Path) -> tuple[Camera, FloatArray, FloatArray]:
    """Returns the camera, and its rotation [3, 3] and place [3] in the common frame."""
    found: dict[str, list[float]] = {}
    name = ""
    for row in read_rows(path, _CALIBRATION, ";"):
        if row.fields[0].startswith("["):
            name = row.fields[0].strip("[]")
            found[name] = []
        elif name in _SHAPES:
            fields = _filled(row)
            found[name] += numbers(fields, len(fields.fields), _CALIBRATION).tolist()
    if any(len(found.get(part, ())) != count for part, count in _SHAPES.items()):
        raise DatasetError(f"{path} has other content: {_CALIBRATION}")
    (width, height), k = found["resolution"], found["intrinsics"]
    rotation = np.array(found["R"]).reshape(3, 3)
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=0.01) or min(k[0], k[4]) <= 0:
        raise DatasetError(
            f"{path}: R is not a rotation, or a focal length is not positive: {_CALIBRATION}"
        )
    camera = Camera(int(width), int(height), k[0], k[4], k[2], k[5])
    return camera, rotation, np.array(found["T"])


def _read_track(path: Path, count: int, wanted: str) -> dict[int, FloatArray]:
    """Returns the last numbers of each line, points in space, by frame.

    A line that has only a frame, because nothing was tracked, is left out.
    """
    found = {}
    for row in read_rows(path, wanted, ";")[1:]:
        filled = _filled(row)
        if len(filled.fields) <= 1:
            continue
        frame, *values = numbers(filled, count + 1, wanted)
        if frame != int(frame) or frame < 0:
            raise DatasetError(f"{row.where}: {frame:g}: {wanted}")
        found[int(frame)] = np.array(values[-6:] if count == 18 else values[-3:])
    if not found:
        raise DatasetError(f"{path} has no labels: {wanted}")
    return found


def _filled(row: Row) -> Row:
    """Returns the row without the empty fields at its end."""
    count = len(row.fields)
    while count and not row.fields[count - 1]:
        count -= 1
    return Row(row.number, row.where, row.fields[:count])


def _left_out(source: Path, session: str) -> set[int]:
    """Returns the frames that the published states of the gaze do not call OK."""
    files = sorted((source / "Annotations").rglob(f"{session}/gaze_state.txt"))
    if not files:
        return set()
    found = set()
    for row in read_rows(files[0], _STATE):
        if not row.fields[0].isdecimal():
            raise DatasetError(f"{row.where}: {row.fields[0]}: {_STATE}")
        if row.fields[1:] != ["OK"]:
            found.add(int(row.fields[0]))
    return found
