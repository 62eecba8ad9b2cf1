"""Reads the results in the recording of a session, as ``face-perception run`` writes them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from face_perception import result_messages
from face_perception.errors import InputError
from face_perception.media import BagReader
from face_perception.outside_files import reason_of
from face_perception.results.schema import FrameResult

_LATEST = 2_000_000_000  # nanoseconds after the first message of an image for its other results
_FACES = "faces"
_FIX = "record the session again"
Warn = Callable[[str], None]
_TYPE = "face_perception/msg/"
# The fields of FrameResult, by the type of their messages, and what makes their values.
_FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    f"{_TYPE}FaceArray": (_FACES, result_messages.face_from_msg),
    f"{_TYPE}GazeArray": ("gazes", result_messages.gaze_from_msg),
    f"{_TYPE}ActionUnitsArray": ("action_units", result_messages.action_units_from_msg),
    f"{_TYPE}BlendshapesArray": ("blendshapes", result_messages.blendshapes_from_msg),
    f"{_TYPE}ExpressionArray": ("expressions", result_messages.expression_from_msg),
    f"{_TYPE}ValenceArousalArray": ("valence_arousal", result_messages.valence_arousal_from_msg),
    f"{_TYPE}AttentionArray": ("attention", result_messages.attention_from_msg),
}


@dataclass
class _Image:
    """What is known of one image so far; ``since`` is when its first message was recorded."""

    since: int
    camera: Any = None
    results: dict[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass
class _Damage:
    """Counts what cannot be read in a recording; keeps the first reason."""

    count: int = 0
    reason: str = ""

    def refuse(self, topic: str, error: Exception) -> None:
        self.count += 1
        self.reason = self.reason or f"{topic}: {reason_of(error)}"


def session_lines(
    path: str | os.PathLike[str], warn: Warn | None = None
) -> Iterator[dict[str, Any]]:
    """Yields the results of each image of a session, as the JSON line of ``run`` has them.

    Stamps are those of the images. A result that was recorded more than two seconds after the faces
    of its image is left out. So is an invalid message or an invalid value in one: at the end,
    ``warn`` is told how many. Raises InputError, which names the session and the reason, if it has
    no valid faces, or those of several cameras; OSError; and MissingDependencyError without
    rosbags.
    """
    reader, damage, count = BagReader(Path(path)), _Damage(), 0
    try:
        for count, result in enumerate(_results(reader, _topics(reader), damage), 1):
            yield result.to_json(count - 1)
    finally:
        reader.close()
    if damage.count and not count:
        raise InputError(f"{reader.name} has no valid faces: {damage.reason}: {_FIX}")
    if warn is not None and damage.count:
        warn(
            f"{reader.name}: {damage.count} messages or values in them are invalid and left out; "
            f"the first is {damage.reason}"
        )
    if warn is not None and reader.damage:
        warn(f"{reader.name} is damaged: {reader.damage}")
    if warn is not None and reader.unfinished:
        warn(f"{reader.name} has no end, as after a power cut: it is read as far as it goes")


def _topics(reader: BagReader) -> dict[str, str]:
    """Returns the type of each topic that is read."""
    by_field: dict[str, list[str]] = {}
    for topic in sorted(reader.topics, key=_is_second_choice):
        kind = reader.topics[topic]
        if kind in _FIELDS and reader.counts[topic]:
            by_field.setdefault(_FIELDS[kind][0], []).append(topic)
    if _FACES not in by_field and reader.damage:
        raise InputError(f"{reader.name} has no faces that can be read: {reader.damage}: {_FIX}")
    if _FACES not in by_field:
        raise InputError(
            f"{reader.name} has no faces: run face_tracker while a session is recorded, and leave "
            "`faces` in the parameter topics of the session node"
        )
    if len(by_field[_FACES]) > 1:
        raise InputError(
            f"{reader.name} has faces of several cameras ({', '.join(by_field[_FACES])}): record a "
            "session for each camera"
        )
    return {topics[0]: reader.topics[topics[0]] for topics in by_field.values()}


def _is_second_choice(topic: str) -> tuple[bool, str]:
    """Sorts valence and arousal of motion_affect behind that of affect, which has more images."""
    return topic.endswith("/motion_affect"), topic


def _results(
    reader: BagReader, topics: Mapping[str, str], damage: _Damage
) -> Iterator[FrameResult]:
    # By stamp, nanoseconds, in the order of recording: stamps may go back.
    waiting: dict[int, _Image] = {}
    for topic, time, message in reader.messages(*topics, refuse=damage.refuse):
        name, convert = _FIELDS[topics[topic]]
        stamp = result_messages.nanoseconds(message.header.stamp)
        refuse = functools.partial(damage.refuse, topic)
        while waiting and time - waiting[first := next(iter(waiting))].since > _LATEST:
            yield from _made(first, waiting.pop(first))
        try:
            camera = result_messages.camera_of(message)
            values = tuple(result_messages.valid_values(message, convert, refuse))
        except Exception as error:  # such as a field that an older version did not have
            refuse(error)
            continue
        image = waiting.setdefault(stamp, _Image(time))
        image.results[name] = values
        if name == _FACES:
            image.camera = camera
    for stamp, image in waiting.items():
        yield from _made(stamp, image)


def _made(stamp: int, image: _Image) -> Iterator[FrameResult]:
    """Yields the result of an image, if its faces were recorded."""
    if _FACES in image.results:
        yield FrameResult(stamp * 1e-9, image.camera, **image.results)
