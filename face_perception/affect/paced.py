"""Expressions of followed faces at a limited rate: the network need not see every image."""

from __future__ import annotations

import math
from collections.abc import Sequence

from face_perception.affect.expression import ExpressionNet, SmoothExpressions
from face_perception.types import Expression, FaceCrop

_EARLY = 0.95  # share of the period after which a face is due: stamps jitter


class PacedExpressions:
    """Smoothed expressions; the network runs for each face at most ``rate`` times a second.

    Between two runs a face keeps its last probabilities: they are smoothed over half a second, and
    expressions do not change faster than that. A new face is looked at at once. ``rate`` 0: every
    image. Raises ValueError where ``rate`` is negative.
    """

    def __init__(
        self, network: ExpressionNet, smooth: SmoothExpressions, rate: float = 10.0
    ) -> None:
        if not 0 <= rate < math.inf:
            raise ValueError(f"rate must be 0 or a positive number of images a second, not {rate}")
        self._network = network
        self._smooth = smooth
        self._period = 1 / rate if rate else 0.0
        self._last: dict[str, tuple[float, Expression]] = {}  # stamp of the last run, its result

    def estimate(self, crops: Sequence[FaceCrop], stamp: float) -> list[Expression]:
        """One expression a crop of the image of ``stamp`` seconds, in order.

        Raises ValueError for a patch that is not RGB uint8 [160, 160, 3].
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
