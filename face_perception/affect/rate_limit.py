"""Expressions of followed faces at a limited rate: not every image goes through the network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from face_perception.affect.expression import ExpressionNet, ExpressionSmoother
from face_perception.errors import InputError
from face_perception.types import Expression, FaceCrop

_EARLY = 0.95  # a face is due after this share of the period, because stamps jitter


class RateLimitedExpressions:
    """Smoothed expressions; the network runs for each face at most ``rate`` times a second.

    Between two runs a face keeps its last probabilities. They are smoothed over half a second
    anyway. For a new face the network runs at once. ``rate`` is in hertz; 0: every image. Raises
    InputError if ``rate`` is negative or not finite.
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
        """One expression for each crop of the image at ``stamp`` seconds, in order.

        Raises InputError for a patch that is not RGB uint8 [160, 160, 3].
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
