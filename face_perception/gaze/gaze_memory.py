"""Memory of gaze estimators for a face: state of the eyes, smoothing, last gaze before a blink."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from face_perception.errors import InputError
from face_perception.faces import ID_EXPIRES_AFTER
from face_perception.smoothing import OneEuro
from face_perception.types import Eyes, Face, FloatArray

BLINK_TIME = 0.4  # seconds; a blink lasts 0.1 to 0.4 s
_LOWERED_TIME = 0.6  # seconds; the lids of a slow blink also open slowly


@dataclass(slots=True)
class _State:
    """What is remembered of one face; times are stamps."""

    first: float
    last: float
    smooth: OneEuro
    direction: FloatArray | None = field(default=None)
    lowered_since: float = math.nan  # since when both eyes are below the blink level
    closed_since: float = math.nan  # since when both eyes are below the closed level
    shut_since: float = math.nan  # since when no eye that is seen is open
    seen_open: bool = False


class GazeMemory:
    """Memory of a gaze estimator for each face id; the base class of all estimators.

    - ``blink_level``: eye openness, relative to this person's usual, below which the eye counts as
      blinking; the last gaze is then held.
    - ``first_blink_level``: the same during the first ``settle_time`` seconds of a face. Until then
      its usual openness is the average of many people, whose eyes differ by a quarter.
    - ``closed_level``: eyes that stay below this openness for longer than a blink (0.4 s) are
      closed. Eyes that stay between the two levels for 0.6 s are lowered for a look down, not
      blinking.
    - ``max_turn``: turn of the head against the line of sight, radians, beyond which no eye is
      used.
    - ``min_cutoff``, ``beta``: of the one-euro filter on the direction (hertz; hertz a unit/s).
    - ``max_gap``: seconds between two images of a face after which smoothing starts afresh and no
      direction is held. The state of the eyes is remembered for as long as a face keeps its id.

    Raises InputError where a setting is out of range.
    """

    def __init__(
        self,
        *,
        blink_level: float = 0.75,
        first_blink_level: float = 0.5,
        closed_level: float = 0.5,
        settle_time: float = 1.0,
        max_turn: float = 1.05,
        min_cutoff: float = 1.0,
        beta: float = 3.0,
        max_gap: float = 0.5,
    ) -> None:
        for name, value, high in (
            ("blink_level", blink_level, 1.0),
            ("first_blink_level", first_blink_level, 1.0),
            ("closed_level", closed_level, 1.0),
            ("settle_time", settle_time, math.inf),
            ("max_turn", max_turn, math.pi / 2),
            ("max_gap", max_gap, math.inf),
        ):
            if not 0 <= value <= high:
                raise InputError(f"{name} must be in 0 to {high:.3g}, not {value}")
        OneEuro(min_cutoff, beta)  # refuses what is out of range
        self._blink_level = blink_level
        self._first_blink_level = first_blink_level
        self._closed_level = closed_level
        self._settle_time = settle_time
        self.min_facing = math.cos(max_turn)
        self._filter = (min_cutoff, beta)
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._states: dict[str, _State] = {}

    def keep(self, ids: Collection[str], stamp: float) -> None:
        """Forget the faces that are not among ``ids``, those in the image of ``stamp``, once their
        ids cannot come back (``faces.ID_EXPIRES_AFTER``).
        """
        self._states = {
            i: state
            for i, state in self._states.items()
            if i in ids or 0 <= stamp - state.last <= ID_EXPIRES_AFTER
        }

    def update_openness(self, face: Face, stamp: float) -> float:
        """The openness below which an eye of ``face`` is not used. Call it once for each image."""
        state = self._states.get(face.id)
        if state is None or not 0 <= stamp - state.last <= ID_EXPIRES_AFTER:
            state = _State(stamp, stamp, OneEuro(*self._filter))
            self._states[face.id] = state
        elif stamp - state.last > self._max_gap:
            state.smooth, state.direction = OneEuro(*self._filter), None
        state.last = stamp
        settled = stamp - state.first >= self._settle_time
        level = self._blink_level if settled else self._first_blink_level
        openness = [face.left_eye_openness, face.right_eye_openness]
        known = [value for value in openness if math.isfinite(value)]
        opened = max(known) if known else math.inf
        state.lowered_since = _since(state.lowered_since, opened < level, stamp)
        closed_level = min(level, self._closed_level)
        state.closed_since = _since(state.closed_since, opened < closed_level, stamp)
        return closed_level if stamp - state.lowered_since > _LOWERED_TIME else level

    def eye_state(self, face_id: str, stamp: float, *, seen: bool, opened: bool) -> Eyes:
        """State of the eyes; ``seen``: an eye is visible, ``opened``: a visible eye is open.

        Eyes that have never been open in any image of the face count as closed at once.
        """
        state = self._states[face_id]
        state.shut_since = _since(state.shut_since, seen and not opened, stamp)
        if not seen:
            return Eyes.UNKNOWN
        if opened:
            state.seen_open = True
            return Eyes.OPEN
        # An eye outside the image or behind glare may count as open all the time, so the visible
        # eye decides.
        closed = stamp - state.closed_since > BLINK_TIME or stamp - state.shut_since > _LOWERED_TIME
        return Eyes.CLOSED if closed or not state.seen_open else Eyes.BLINK

    def smooth_direction(self, face_id: str, stamp: float, direction: FloatArray) -> FloatArray:
        """The direction, a unit vector [3], smoothed with those before; after ``meet``."""
        state = self._states[face_id]
        smooth = state.smooth(direction, stamp)
        state.direction = smooth / np.linalg.norm(smooth)
        return state.direction

    def last_direction(self, face_id: str) -> FloatArray | None:
        """The last direction that was seen of a face; None where there was none."""
        return self._states[face_id].direction


def _since(before: float, holds: bool, stamp: float) -> float:
    """Time since when a condition holds; ``before`` is the previous time (NaN: it did not hold)."""
    if not holds:
        return math.nan
    return stamp if math.isnan(before) else before
