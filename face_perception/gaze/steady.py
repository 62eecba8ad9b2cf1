"""What gaze estimators remember of a face: smoothing, and the last gaze while eyes are closed."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from face_perception.smoothing import OneEuro
from face_perception.types import FloatArray


@dataclass(slots=True)
class _State:
    """What is remembered of one face; times are stamps."""

    first: float
    last: float
    smooth: OneEuro
    direction: FloatArray | None = field(default=None)


class SteadyGaze:
    """Memory of a gaze estimator, by face id; what all estimators have in common.

    - ``blink_level``: share of its usual openness below which an eye says nothing.
    - ``first_blink_level``: the same before ``settle_time`` seconds of a face, while its usual
      openness is a population's: eyes differ by a quarter.
    - ``max_turn``: of the head against the line of sight, radians, beyond which no eye is used.
    - ``min_cutoff``, ``beta``: of the one-euro filter on the direction (hertz; hertz a unit/s).
    - ``max_gap``: seconds between two images of a face after which its memory starts afresh.

    Raises ValueError where a setting is out of range.
    """

    def __init__(
        self,
        *,
        blink_level: float = 0.75,
        first_blink_level: float = 0.5,
        settle_time: float = 1.0,
        max_turn: float = 1.05,
        min_cutoff: float = 1.0,
        beta: float = 3.0,
        max_gap: float = 0.5,
    ) -> None:
        for name, value, high in (
            ("blink_level", blink_level, 1.0),
            ("first_blink_level", first_blink_level, 1.0),
            ("settle_time", settle_time, math.inf),
            ("max_turn", max_turn, math.pi / 2),
            ("max_gap", max_gap, math.inf),
        ):
            if not 0 <= value <= high:
                raise ValueError(f"{name} must be in 0 to {high:.3g}, not {value}")
        OneEuro(min_cutoff, beta)  # refuses what is out of range
        self._blink_level = blink_level
        self._first_blink_level = first_blink_level
        self._settle_time = settle_time
        self.min_facing = math.cos(max_turn)
        self._filter = (min_cutoff, beta)
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._states: dict[str, _State] = {}

    def keep(self, ids: Collection[str]) -> None:
        """Forget the faces that are not among ``ids``."""
        self._states = {i: state for i, state in self._states.items() if i in ids}

    def meet(self, face_id: str, stamp: float) -> float:
        """To be called once for each image of a face: the openness below which an eye is closed."""
        state = self._states.get(face_id)
        if state is None or not 0 <= stamp - state.last <= self._max_gap:
            state = _State(stamp, stamp, OneEuro(*self._filter))
            self._states[face_id] = state
        state.last = stamp
        settled = stamp - state.first >= self._settle_time
        return self._blink_level if settled else self._first_blink_level

    def smoothed(self, face_id: str, stamp: float, direction: FloatArray) -> FloatArray:
        """The direction, a unit vector [3], smoothed with those before; after ``meet``."""
        state = self._states[face_id]
        smooth = state.smooth(direction, stamp)
        state.direction = smooth / np.linalg.norm(smooth)
        return state.direction

    def held(self, face_id: str) -> FloatArray | None:
        """The last direction that was seen of a face; None where there was none."""
        return self._states[face_id].direction
