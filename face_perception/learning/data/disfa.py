"""Converts DISFA (Mavadati et al., 2013) to the layout of ``dataset``.

ActionUnit_Labels/SN001/SN001_au1.txt has the intensity (0 to 5) of one action unit in each frame;
Video_RightCamera/RightVideoSN001_comp.avi is the film (or the same of the left camera).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    affect_crop,
    every_nth,
    folders_of,
    numbers,
    read_rows,
    splits_of,
)
from face_perception.learning.data.dataset import DatasetError
from face_perception.media import FrameReader

UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
PRESENT = 2  # intensity from which the protocol counts a unit as present
_LABELS = "ActionUnit_Labels"
_WANTED = "folders SN001 to SN032 with files such as SN001_au1.txt were expected"
_ROWS = "lines such as 1,0 (frame from 1, intensity from 0 to 5) were expected"
_FILM = re.compile(r"(left|right)video(sn\d{3})_comp\.avi", re.IGNORECASE)


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the data set in ``source`` to ``out``: crops with 12 action units.

    ``au_<n>`` is 1 for an intensity of at least 2, and ``intensity_<n>`` the published intensity.
    The film of the right camera is used, or that of the left one if there is no other. ``test`` are
    people; by default the last fifth. The protocol has three folds: convert with each third of the
    people as ``test``. Every ``every``-th frame is used.
    """
    people = folders_of(job.source / _LABELS, "SN[0-9][0-9][0-9]", _WANTED)
    splits = splits_of(people, job.source, job.test)
    films = _films(job.source)
    with Conversion(
        job.out,
        job.report,
        name="DISFA",
        licence="for non-commercial research only (agreement with the University of Denver)",
        module=__name__,
    ) as made:
        for person in people:
            intensities = _intensities(job.source / _LABELS / person, person)
            film = films.get(person)
            if film is None:
                raise DatasetError(
                    f"{job.source} has no film of {person}: Video_RightCamera/RightVideo{person}"
                    "_comp.avi was expected"
                )
            frames = 0
            with FrameReader(film) as clip:
                for k, frame in every_nth(enumerate(clip), job.every):
                    frames = k + 1
                    levels = intensities.get(frames)
                    if levels is None:
                        made.counts["it has no labels"] += 1
                        continue
                    with made.unless_missing():
                        crop = affect_crop(job.tracker, frame.image)
                        labels = {f"au_{unit}": float(v >= PRESENT) for unit, v in levels.items()}
                        labels |= {f"intensity_{unit}": float(v) for unit, v in levels.items()}
                        made.add(
                            {"file": crop},
                            subject=person,
                            split=splits[person],
                            video=person,
                            frame=frames,
                            **labels,
                        )
                damage = clip.damage
            if damage:  # the numbers of the frames after a missing one are not known
                raise DatasetError(f"{film} is damaged: {damage}: copy the film again")
            if frames + job.every <= max(intensities):
                raise DatasetError(
                    f"{film} ends after {frames} frames, but {max(intensities)} have labels: copy "
                    "the film again"
                )
            made.report(f"{person} ({splits[person]})")
    return made.counts


def _films(source: Path) -> dict[str, Path]:
    """Returns the film of each person, of the right camera if there is one."""
    found: dict[str, Path] = {}
    for file in sorted(source.glob("*/*.[aA][vV][iI]")):
        name = _FILM.fullmatch(file.name)
        if name is not None:  # those of the left camera come first
            found[name[2].upper()] = file
    return found


def _intensities(folder: Path, person: str) -> dict[int, dict[int, int]]:
    """Returns the intensity of each unit, by the number of the frame, from 1."""
    found: dict[int, dict[int, int]] = {}
    for unit in UNITS:
        path = folder / f"{person}_au{unit}.txt"
        for row in read_rows(path, _ROWS, ","):
            frame, level = numbers(row, 2, _ROWS)
            if frame != int(frame) or frame < 1 or level not in range(6):
                raise DatasetError(f"{row.where}: {','.join(row.fields)}: {_ROWS}")
            found.setdefault(int(frame), {})[unit] = int(level)
    incomplete = next((frame for frame, units in found.items() if len(units) < len(UNITS)), None)
    if incomplete is not None:
        raise DatasetError(
            f"{folder}: frame {incomplete} has labels of {len(found[incomplete])} units: "
            f"{len(UNITS)} were expected"
        )
    if not found:
        raise DatasetError(f"{folder} has no labels: {_ROWS}")
    return found
