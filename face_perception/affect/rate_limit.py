"""Limits how often the expression network runs for each tracked face."""

from __future__ import annotations

import math
from collections.abc import Sequence

from face_perception.affect.expression import ExpressionNet, ExpressionSmoother
from face_perception.errors import InputError
from face_perception.types import Expression, FaceCrop

_EARLY = 0.95  # share of the period after which a face is due, because stamps jitter


class RateLimitedExpressions:
    """Estimates smoothed expressions; runs the network at most ``rate`` times a second per face.

    Between two runs a face keeps its last probabilities. For a new face the network runs at once.
    ``rate`` is in hertz; 0 runs the network on every image. Raises InputError if ``rate`` is
    negative or not finite.
    """

    def __init__(
        self, network: ExpressionNet, smooth: ExpressionSmoother, rate: float = 10.0
    ) -> None:
        if not 0 <= rate < math.inf:
            raise InputError(f"rate must be 0 or a positive number, in hertz, not {rate}")
        self._network = network
        self._smooth = smooth
        self._period = 1 / rate if rate else 0.0
        self._last: dict[str, tuple[float, Expression]] = {}  # stamp of the last run, its result

    def estimate(self, crops: Sequence[FaceCrop], stamp: float) -> list[Expression]:
        """Returns the expression of each crop from the image of ``stamp`` (seconds), in order.

        Raises InputError if a crop is not RGB uint8 [160, 160, 3].
        """
        due = [crop for crop in crops if self._is_due(crop.face_id, stamp)]
        for found in self._network.estimate(due):
            self._last[found.face_id] = (stamp, self._smooth.update(found, stamp))
        self._last = {crop.face_id: self._last[crop.face_id] for crop in crops}
        self._smooth.keep(self._last)
        return [self._last[crop.face_id][1] for crop in crops]

    def _is_due(self, face_id: str, stamp: float) -> bool:
        if face_id not in self._last:
            return True
        elapsed = stamp - self._last[face_id][0]
        return not 0 <= elapsed < _EARLY * self._period
