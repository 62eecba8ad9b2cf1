"""Reads the JSON lines of one clip into samples: one for each face in each frame, by person."""

from __future__ import annotations

import itertools
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from face_perception.errors import InputError
from face_perception.markers import Marker
from face_perception.outside_files import one_error
from face_perception.results.clip_markers import read_markers
from face_perception.results.frame_table import FIX, clip_name, read_rows
from face_perception.results.session_reading import Warn
from face_perception.results.table_reading import (
    frame_table_in,
    markers_beside,
    read_table_rows,
)

# A frame that is followed by a longer gap does not fill the gap: nobody knows what happened there.
_LONGEST_FRAME = 0.5  # seconds
_LONGEST_OF_USUAL = 3.0  # times the usual time between frames, for clips of a low rate


@dataclass(frozen=True, slots=True)
class Sample:
    """What one frame says about one face. Angles in radians, NaN or empty if unknown.

    - ``start``, ``end``: from the stamp of the frame to that of the next one, seconds.
    - ``gaze_yaw``, ``gaze_pitch``: of the gaze, in the camera's optical frame.
    - ``eyes_at``: origin [3] of the gaze, metres.
    - ``eyes``: as in ``Gaze``; ``closed`` from the first frame of an eye closure on.
    - ``target``, ``target_id``, ``target_name``, ``target_since``, ``target_confidence``: of the
      attention; ``attention_source`` is its source.
    - ``action_units``, ``unit_probability``, ``unit_confidence``: by FACS number, of units whose
      confidence is not 0.
    """

    frame: int
    start: float
    end: float
    face_id: str
    person_id: str
    confidence: float
    face_width: float
    head_yaw: float
    head_pitch: float
    gaze_valid: bool
    gaze_yaw: float
    gaze_pitch: float
    eyes_at: tuple[float, ...]
    calibrated: bool
    eyes: str
    target: str
    target_id: str
    target_name: str
    target_since: float
    target_confidence: float
    attention_source: str
    engagement: str
    distance: float
    speaking: float
    action_units: Mapping[int, float]
    unit_probability: Mapping[int, float]
    unit_confidence: Mapping[int, float]
    neutral: str
    expression: str
    valence: float
    arousal: float

    @property
    def seconds(self) -> float:
        """How long the frame lasts, seconds."""
        return self.end - self.start

    @property
    def is_shut(self) -> bool:
        """Whether the eyes are shut, in a blink or for longer."""
        return self.eyes in ("blink", "closed")


@dataclass(frozen=True)
class Clip:
    """The results of one clip.

    - ``starts``, ``ends``: of all frames, also of those without a face, seconds.
    - ``persons``: the samples of each person in the order of time. The key is the id of the person;
      of a face that is not linked to a person it is the id of the face. A face belongs to one
      person for all its frames: to that of its last link.
    - ``person_of``: the person of each face id.
    - ``camera_assumed``: whether the camera of any frame was not calibrated.
    - ``markers``: of the experiment, in the order of time.
    """

    name: str
    starts: Sequence[float]
    ends: Sequence[float]
    persons: Mapping[str, Sequence[Sample]]
    person_of: Mapping[str, str]
    camera_assumed: bool
    markers: Sequence[Marker] = ()

    @property
    def interval(self) -> float:
        """The usual time between two frames, seconds; 0 for a picture."""
        return _usual_interval(self.starts)

    @property
    def begin(self) -> float:
        """The smallest stamp: not ``starts[0]`` if the clock was set back. 0 without a frame."""
        return min(self.starts, default=0.0)

    @property
    def end(self) -> float:
        """The largest end of a frame; 0 without a frame."""
        return max(self.ends, default=0.0)

    @property
    def seconds(self) -> float:
        """The time that the frames fill, seconds."""
        return sum(end - start for start, end in zip(self.starts, self.ends, strict=True))


@dataclass
class _Frames:
    numbers: list[int] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)
    faces: list[list[Sample]] = field(default_factory=list)
    assumed: bool = False


def read_clip(path: str | os.PathLike[str], warn: Warn | None = None) -> Clip:
    """Reads the results of one clip, a .jsonl file or a session, and its markers.

    A frame lasts until the next one. Before a gap of more than half a second, or of three times the
    usual time between frames if that is longer, it lasts the usual time; so does the last frame.
    ``warn`` is that of ``read_rows``. Raises what ``read_rows`` and ``read_markers`` raise.
    """
    clip = _clip(clip_name(path), path, read_rows(path, warn))
    return replace(clip, markers=read_markers(path))


def read_clips(path: str | os.PathLike[str], warn: Warn | None = None) -> list[Clip]:
    """Reads the clips of a table of frames, of a folder of tables, of one .jsonl file or session.

    ``warn`` is that of ``read_rows``. Raises what ``read_rows`` and ``read_table_rows`` raise.
    """
    table = frame_table_in(path)
    if table is None:
        return [read_clip(path, warn)]
    markers = markers_beside(table)
    by_clip = itertools.groupby(read_table_rows(table), lambda row: str(row["clip"]))
    clips = [
        replace(_clip(name, table, rows), markers=markers.get(name, ())) for name, rows in by_clip
    ]
    if not clips:
        raise InputError(f"{table} has no rows: make it again with `face-perception table`")
    return clips


def _clip(name: str, path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]]) -> Clip:
    frames = _Frames()
    for row in rows:
        number, face = row["frame"], row["face"]
        with one_error(f"{os.fspath(path)}, frame {number}", FIX):
            if not frames.numbers or frames.numbers[-1] != number:
                frames.numbers.append(number)
                frames.stamps.append(float(row["stamp"]))
                frames.faces.append([])
                frames.assumed |= bool(row["camera"]["assumed"])
            if face is not None:
                frames.faces[-1].append(_sample(number, float(row["stamp"]), face))
    ends = _ends(frames.stamps)
    linked: dict[str, str] = {}
    for faces in frames.faces:
        linked.update({sample.face_id: sample.person_id for sample in faces if sample.person_id})
    persons: dict[str, list[Sample]] = {}
    person_of: dict[str, str] = {}
    for faces, end in zip(frames.faces, ends, strict=True):
        for sample in faces:
            person = linked.get(sample.face_id, "")
            person_of[sample.face_id] = person or sample.face_id
            persons.setdefault(person or sample.face_id, []).append(
                replace(sample, end=end, person_id=person)
            )
    return Clip(
        name,
        tuple(frames.stamps),
        tuple(ends),
        {person: _with_whole_closures(samples) for person, samples in persons.items()},
        person_of,
        frames.assumed,
    )


def _with_whole_closures(samples: Sequence[Sample]) -> list[Sample]:
    """Returns the samples with eyes that are closed from the first frame in which they were shut.

    In a frame it is not yet known that the eyes will stay shut for longer than a blink.
    """
    out: list[Sample] = []
    for shut, group in itertools.groupby(samples, lambda sample: sample.is_shut):
        run = list(group)
        if shut and any(sample.eyes == "closed" for sample in run):
            run = [replace(sample, eyes="closed") for sample in run]
        out += run
    return out


def _usual_interval(stamps: Sequence[float]) -> float:
    steps = [b - a for a, b in itertools.pairwise(stamps) if b > a]
    return statistics.median(steps) if steps else 0.0


def _ends(stamps: Sequence[float]) -> list[float]:
    usual = _usual_interval(stamps)
    longest = max(_LONGEST_FRAME, _LONGEST_OF_USUAL * usual)
    follows = [*stamps[1:], math.inf][: len(stamps)]
    return [
        after if 0 < after - stamp <= longest else stamp + usual
        for stamp, after in zip(stamps, follows, strict=True)
    ]


def _sample(frame: int, stamp: float, face: Mapping[str, Any]) -> Sample:
    pose, gaze = face["head_pose"] or {}, face["gaze"] or {}
    attention = face["attention"] or {}
    sure = {code for code, value in face["action_unit_confidence"].items() if value}
    return Sample(
        frame=frame,
        start=stamp,
        end=stamp,
        face_id=str(face["face_id"]),
        person_id=str(gaze.get("person_id") or ""),
        confidence=_number(face["confidence"]),
        face_width=_number(face["roi"][2]),
        head_yaw=_number(pose.get("yaw")),
        head_pitch=_number(pose.get("pitch")),
        gaze_valid=bool(gaze.get("valid")),
        gaze_yaw=_number(gaze.get("yaw")),
        gaze_pitch=_number(gaze.get("pitch")),
        eyes_at=_vector(gaze.get("origin")),
        calibrated=bool(gaze.get("calibrated")),
        eyes=str(gaze.get("eyes") or "unknown"),
        target=str(attention.get("target") or "unknown"),
        target_id=str(attention.get("target_id") or ""),
        target_name=str(attention.get("target_name") or ""),
        target_since=_number(attention.get("target_since")),
        target_confidence=_number(attention.get("confidence")),
        attention_source=str(attention.get("source") or ""),
        engagement=str(attention.get("engagement") or "unknown"),
        distance=_number(attention.get("distance")),
        speaking=_number(attention.get("speaking")),
        action_units=_codes(face["action_units"], sure),
        unit_probability=_codes(face["action_unit_probability"], sure),
        unit_confidence=_codes(face["action_unit_confidence"], sure),
        neutral=str(face["action_unit_neutral"] or ""),
        expression=str(face["expression_label"] or ""),
        valence=_number(face["valence"]),
        arousal=_number(face["arousal"]),
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _vector(values: Any) -> tuple[float, ...]:
    return tuple(map(_number, values or (None, None, None)))


def _codes(values: Mapping[str, Any] | None, sure: set[str]) -> dict[int, float]:
    return {
        int(code): float(value)
        for code, value in (values or {}).items()
        if value is not None and code in sure
    }
