"""Sessions of scripted people, as the JSON lines of ``face-perception run``, with known truth."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_perception.attention import AttentionTracker
from face_perception.geometry import from_yaw_pitch, yaw_pitch
from face_perception.results import Event, FrameResult
from face_perception.types import (
    ActionUnit,
    ActionUnits,
    Camera,
    Expression,
    Eyes,
    Face,
    Gaze,
    HeadPose,
    Neutral,
    Roi,
)

ROBOT, AWAY = "robot", "away"
CAMERA = Camera.assume(1280, 720)
Point = tuple[float, float, float]
_POINTS: Mapping[str, Point] = {ROBOT: (0.0, 0.0, 0.0), AWAY: (0.3, 1.5, 0.0)}
_BLINK_TIME = 0.4  # seconds, from which shut eyes are `closed`, as in gaze/eye_state.py
_NO_LANDMARKS = np.zeros((478, 3), np.float32)
_SIGMA = 0.05  # radians, of the gaze

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Script:
    """What a person does. Times in seconds; an interval begins with its first time.

    ``looks`` has (begin, end, target): ``robot``, ``away``, the name of another person, or a point
    in metres. Outside of these the person looks away. ``bias`` is added to yaw and pitch of the
    gaze, radians.
    """

    name: str
    at: Point = (0.05, -0.05, 0.8)
    looks: Sequence[tuple[float, float, str | Point]] = ()
    shut: Sequence[Interval] = ()
    smiles: Sequence[Interval] = ()
    speech: Sequence[Interval] = ()
    hidden: Sequence[Interval] = ()
    unseen_eyes: Sequence[Interval] = ()
    person_id: str = ""
    calibrated: bool = False
    bias: tuple[float, float] = (0.0, 0.0)

    def target(self, t: float) -> str | Point:
        return next((target for a, b, target in self.looks if a <= t < b), AWAY)


def _during(intervals: Iterable[Interval], t: float) -> bool:
    return any(a <= t < b for a, b in intervals)


def lines(scripts: Sequence[Script], seconds: float, rate: float = 30.0) -> list[dict[str, Any]]:
    """Returns the lines of a session, through the attention tracker."""
    out = []
    for number, result in enumerate(frames(scripts, seconds, rate)):
        line = result.to_json(number)
        here = {script.name: script for script in scripts}
        for face in line["faces"]:
            script = here[face["face_id"]]
            if script.speech:
                speaks = _during(script.speech, result.stamp)
                face["attention"]["speaking"] = 0.9 if speaks else 0.1
        out.append(line)
    return out


def frames(
    scripts: Sequence[Script], seconds: float, rate: float = 30.0, begin: float = 0.0
) -> Iterator[FrameResult]:
    """Yields the results of each frame, from the stamp ``begin`` on; nobody speaks in them."""
    places = {script.name: script.at for script in scripts}
    tracker = AttentionTracker()
    for number in range(round(seconds * rate)):
        t = number / rate
        here = [script for script in scripts if not _during(script.hidden, t)]
        faces = [_face(script) for script in here]
        gazes = [_gaze(script, _place(script.target(t), places), t) for script in here]
        yield FrameResult(
            begin + t,
            CAMERA,
            tuple(faces),
            tuple(gazes),
            tuple(_units(script, t) for script in here),
            tuple(_expression(script, t) for script in here),
            (),
            tuple(tracker.update(begin + t, faces, gazes)),
        )


def write(path: Path, found: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in found))
    return path


def _face(script: Script) -> Face:
    """Returns a face that is turned to the camera; its landmarks are not used."""
    pose = HeadPose(np.array(script.at), np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]))
    return Face(script.name, 0.9, Roi(500, 200, 120, 160), _NO_LANDMARKS, pose)


def _place(target: str | Point, persons: Mapping[str, Point]) -> Point:
    return {**_POINTS, **persons}[target] if isinstance(target, str) else target


def _gaze(script: Script, target: Point, t: float) -> Gaze:
    shut = next((t - a for a, b in script.shut if a <= t < b), None)
    eyes = Eyes.OPEN if shut is None else Eyes.CLOSED if shut > _BLINK_TIME else Eyes.BLINK
    if _during(script.unseen_eyes, t):
        eyes = Eyes.UNKNOWN
    ray = np.subtract(target, script.at)
    yaw, pitch = np.add(yaw_pitch(ray / np.linalg.norm(ray)), script.bias)
    return Gaze(
        script.name,
        np.array(script.at),
        from_yaw_pitch(yaw, pitch),
        0.9,
        eyes == Eyes.OPEN,
        "scripted",
        person_id=script.person_id,
        calibrated=script.calibrated,
        eyes=eyes,
        yaw_sigma=_SIGMA,
        pitch_sigma=_SIGMA,
    )


def _units(script: Script, t: float) -> ActionUnits:
    smile = 0.8 if _during(script.smiles, t) else 0.02
    shut = 1.0 if _during(script.shut, t) else 0.0
    units = {
        12: ActionUnit(smile, confidence=0.9),
        45: ActionUnit(shut, confidence=0.9),
        9: ActionUnit(confidence=0.0),
    }
    return ActionUnits(script.name, "landmarks", units, neutral=Neutral.LEARNED)


def _expression(script: Script, t: float) -> Expression:
    probability = np.full(7, 0.05)
    probability[4 if _during(script.smiles, t) else 0] = 0.7
    return Expression(script.name, "scripted", probability, 0.6)


def f1(found: Iterable[Event], truth: Iterable[Interval], tolerance: float) -> float:
    """Returns the F1 of events whose onset and offset are both within ``tolerance`` seconds."""
    left = list(truth)
    total, hits = len(left), 0
    events = list(found)
    for event in events:
        for a, b in left:
            if abs(event.onset - a) <= tolerance and abs(event.offset - b) <= tolerance:
                left.remove((a, b))
                hits += 1
                break
    return 2 * hits / (len(events) + total)
