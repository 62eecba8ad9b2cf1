"""Mutual gaze and joint attention: when they begin and end, among people and with the robot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from face_perception.attention.attention_tracker import HEAD_POSE
from face_perception.attention.named_targets import ROBOT_NAME
from face_perception.attention.time_shares import looked_at_name
from face_perception.types import Attention, Target

MUTUAL_GAZE, JOINT_ATTENTION = "mutual_gaze", "joint_attention"
_HOLD = 0.5  # seconds for which a state may be missing, such as while a face is lost for an image
_LONGEST_GAP = 2.0  # seconds without any image, after which nothing is known to have gone on


class Shared(NamedTuple):
    """What two share: ``kind``, who they are (ids of faces, or "robot") in order, and ``target``.

    ``target`` is the name of what both look at in joint attention; empty in mutual gaze.
    """

    kind: str
    who: tuple[str, str]
    target: str = ""


@dataclass(frozen=True, slots=True)
class GazeEvent:
    """The beginning (``begins``) or the end of something shared, and its stamp in seconds."""

    shared: Shared
    begins: bool
    stamp: float


class GazeEvents:
    """Tells when mutual gaze and joint attention begin and end.

    Two look at each other: mutual gaze. Two look at the same third face, or at the same named
    target: joint attention. The robot looks at what it has announced; without an announcement it
    takes no part. Targets are those of ``Attention``, which have hysteresis. A target that rests on
    the head pose alone does not count. Something shared ends when it was missing for 0.5 s. It also
    ends with the first image after 2 s without images, and begins again if that image shows it.

    >>> events = GazeEvents()
    >>> events.update(0.0, [])
    []
    """

    def __init__(self) -> None:
        self._seen: dict[Shared, float] = {}  # stamp of the last image that showed it
        self._stamp = -math.inf

    @property
    def now(self) -> tuple[Shared, ...]:
        """What is shared now, in order."""
        return tuple(sorted(self._seen))

    def update(
        self, stamp: float, attention: Sequence[Attention], robot_target: str = ""
    ) -> list[GazeEvent]:
        """Returns the events in the image of ``stamp`` seconds, ends before beginnings.

        ``robot_target`` is what the robot has announced that it looks at: the id of a face or the
        name of a named target; empty: nothing. After a stamp that goes back, everything that was
        shared ends.
        """
        reset = not 0 <= stamp - self._stamp <= _LONGEST_GAP
        self._stamp = stamp
        seen = set(_shared(attention, robot_target))
        ended = sorted(
            shared
            for shared, last in self._seen.items()
            if reset or (shared not in seen and stamp - last > _HOLD)
        )
        for shared in ended:
            del self._seen[shared]
        begun = sorted(seen - self._seen.keys())
        self._seen.update(dict.fromkeys(seen, stamp))
        return [GazeEvent(shared, False, stamp) for shared in ended] + [
            GazeEvent(shared, True, stamp) for shared in begun
        ]


def _shared(attention: Sequence[Attention], robot_target: str) -> Iterator[Shared]:
    """Yields what is shared in one image."""
    looks = {
        item.face_id: looked_at_name(item)
        for item in attention
        if item.source != HEAD_POSE and item.target in (Target.ROBOT, Target.FACE, Target.OBJECT)
    }
    if robot_target:
        looks[ROBOT_NAME] = robot_target
    for pair in itertools.combinations(sorted(looks), 2):
        a, b = pair
        if looks[a] == b and looks[b] == a:
            yield Shared(MUTUAL_GAZE, pair)
        elif looks[a] == looks[b] != ROBOT_NAME:
            yield Shared(JOINT_ATTENTION, pair, looks[a])
