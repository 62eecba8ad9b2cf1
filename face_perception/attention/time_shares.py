"""How a person's looks are shared out among the targets, over about the last half minute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from face_perception.attention.looking_at_robot import Choice
from face_perception.attention.named_targets import NONE_NAME, ROBOT_NAME
from face_perception.types import Attention, Target

SHARE_TIME = 30.0  # seconds; the weight of a look falls to 37 % in this time
_LONGEST_STEP = 1.0  # seconds between two images that count as looked at
_SMALLEST = 1e-3  # share that is forgotten


@dataclass(slots=True)
class _Shares:
    seen: float
    weights: dict[str, float] = field(default_factory=dict)


class TimeShares:
    """The share of each target in the looks of each face.

    A look counts by its duration, and less the longer ago it was (``SHARE_TIME``). Looks whose
    target is not known do not count.

    >>> shares = TimeShares()
    >>> shares.of("face_1")
    {}
    """

    def __init__(self) -> None:
        self._faces: dict[str, _Shares] = {}
        self._stamp = -math.inf

    def update(self, stamp: float, attention: Sequence[Attention]) -> None:
        """Takes the attention of all faces in the image of ``stamp`` seconds.

        Forgets a face that was not seen for ``SHARE_TIME``. A stamp that goes back forgets all.
        """
        if stamp < self._stamp:
            self._faces = {}
        self._stamp = stamp
        self._faces = {k: v for k, v in self._faces.items() if stamp - v.seen <= SHARE_TIME}
        for item in attention:
            own = self._faces.setdefault(item.face_id, _Shares(stamp))
            step = stamp - own.seen
            own.seen = stamp
            kept = math.exp(-step / SHARE_TIME)
            total = sum(own.weights.values()) * kept
            own.weights = {
                name: weight * kept
                for name, weight in own.weights.items()
                if weight * kept > _SMALLEST * total
            }
            if item.target != Target.UNKNOWN:
                name = looked_at_name(item)
                own.weights[name] = own.weights.get(name, 0.0) + min(step, _LONGEST_STEP)

    def of(self, face_id: str) -> Mapping[str, float]:
        """Returns the share of each target by name (see ``target_name``); the sum is 1.

        Empty if nothing is known of the face.
        """
        own = self._faces.get(face_id)
        total = sum(own.weights.values()) if own is not None else 0.0
        if own is None or not total > 0:
            return {}
        return {name: weight / total for name, weight in own.weights.items()}


def target_name(choice: Choice) -> str:
    """Returns the name of a known target: "robot", "none", the id of a face or an object's name."""
    kind, name = choice
    return {Target.ROBOT: ROBOT_NAME, Target.NONE: NONE_NAME}.get(kind, name)


def looked_at_name(attention: Attention) -> str:
    """Returns the name of what a face looks at (see ``target_name``)."""
    return target_name((attention.target, attention.target_id or attention.target_name))
