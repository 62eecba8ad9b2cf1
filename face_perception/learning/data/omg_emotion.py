"""Converts OMG-Emotion (Barros et al., 2018) to the layout of ``dataset``.

omg_TrainVideos.csv (and Validation, Test) has a line for each utterance: ``video``, ``utterance``,
``arousal`` from 0 to 1, ``valence`` from -1 to 1, ``EmotionMaxVote`` from 0 to 6. The films are
VIDEO/UTTERANCE, such as abc123/utterance_1.mp4, in any folder of the source.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from face_perception.errors import shortened
from face_perception.files import read_regular
from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    affect_crop,
    every_nth,
    refuse_test,
)
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.data.labelled_pictures import expression_of
from face_perception.media import FrameReader
from face_perception.outside_files import one_error

_TABLES = {
    "omg_TrainVideos.csv": "train",
    "omg_ValidationVideos.csv": "validation",
    "omg_TestVideos_WithLabels.csv": "test",
}
_COLUMNS = ("video", "utterance", "arousal", "valence", "EmotionMaxVote")
_ROWS = (
    "a line of names and lines with video, utterance, arousal from 0 to 1, valence from -1 to 1 "
    "and EmotionMaxVote from 0 to 6 were expected"
)
_WANTED = f"{', '.join(_TABLES)} and the films, such as VIDEO/utterance_1.mp4, were expected"
_ORDER = ("angry", "disgusted", "scared", "happy", "neutral", "sad", "surprised")


@dataclass(frozen=True)
class _Utterance:
    """A film of one person, and its labels."""

    video: str
    name: str
    split: str
    valence: float
    arousal: float  # -1 to 1
    expression: str


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the utterances in ``source`` to ``out``, with the published split.

    Each frame has the labels of its utterance. Arousal a from 0 to 1 becomes 2 a - 1, which leaves
    CCC as it is. The subject is the video. An utterance without a film is counted and left out: the
    set is a list of web videos, and some are gone. ``test`` must be empty. Every ``every``-th frame
    is used.
    """
    refuse_test(job.test, "OMG-Emotion")
    utterances = list(_utterances(job.source))
    films = {(film.parent.name, film.name): film for film in sorted(job.source.rglob("*.mp4"))}
    if not any((one.video, one.name) in films for one in utterances):
        raise DatasetError(f"{job.source} has no film of the utterances: {_WANTED}")
    with Conversion(
        job.out,
        job.report,
        name="OMG-Emotion",
        licence="CC BY-NC-SA 3.0 (labels); the web videos are their owners'",
        module=__name__,
    ) as made:
        for one in utterances:
            film = films.get((one.video, one.name))
            if film is None:
                made.counts["the film of the utterance is missing"] += 1
                continue
            clip = f"{one.video}/{Path(one.name).stem}"
            with FrameReader(film) as frames:
                for k, frame in every_nth(enumerate(frames), job.every):
                    with made.unless_missing():
                        crop = affect_crop(job.tracker, frame.image)
                        made.add(
                            {"file": crop},
                            subject=one.video,
                            split=one.split,
                            video=clip,
                            frame=k,
                            valence=one.valence,
                            arousal=one.arousal,
                            expression=one.expression,
                        )
            made.report(f"{clip} ({one.split})")
    return made.counts


def _utterances(source: Path) -> Iterator[_Utterance]:
    tables = [source / name for name in _TABLES if (source / name).is_file()]
    if not tables:
        raise DatasetError(f"{source} has no {next(iter(_TABLES))}: {_WANTED}")
    for table in tables:
        with one_error(f"{table}", _ROWS, DatasetError):
            lines = read_regular(table).decode("utf-8-sig", errors="replace").splitlines()
            rows = list(csv.DictReader(lines))
        for number, row in enumerate(rows, 2):
            yield _utterance(row, f"{table}:{number}", _TABLES[table.name])


def _utterance(row: dict[str, str | None], where: str, split: str) -> _Utterance:
    missing = [name for name in _COLUMNS if not row.get(name)]
    if missing:
        raise DatasetError(f"{where} lacks {', '.join(missing)}: {_ROWS}")
    video, name, *texts = (str(row[column]).strip() for column in _COLUMNS)
    try:
        arousal, valence, label = (float(text) for text in texts)
    except ValueError as error:
        raise DatasetError(f"{where}: {shortened(texts)}: {_ROWS}") from error
    if not (0 <= arousal <= 1 and -1 <= valence <= 1):
        raise DatasetError(f"{where}: arousal {arousal:g}, valence {valence:g}: {_ROWS}")
    expression = expression_of(label, _ORDER, where, _ROWS)
    return _Utterance(video, name, split, valence, 2 * arousal - 1, expression)
