"""Limits how often the expression network runs for each tracked face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from face_perception.affect.expression import SMOOTHING, ExpressionNet, ExpressionSmoother
from face_perception.errors import InputError
from face_perception.settings import setting
from face_perception.types import Expression, FaceCrop, ValenceArousal

_EARLY = 0.95  # share of the period after which a face is due, because stamps jitter


@dataclass(frozen=True)
class ExpressionSettings:
    """Settings of the expression estimate: smoothing, and the rate of the network.

    >>> from face_perception.inference import load
    >>> settings = ExpressionSettings(expression_rate=5.0, expression_smoothing=0.5)
    >>> expressions = RateLimitedExpressions(
    ...     ExpressionNet(load("expression")),
    ...     ExpressionSmoother(settings.expression_smoothing),
    ...     settings.expression_rate,
    ... )
    >>> expressions.estimate([], stamp=0.0)  # no faces
    []
    """

    expression_smoothing: float = setting(
        -1.0,
        "Time constant with which expression probabilities are smoothed. A larger value is "
        f"steadier and slower. 0: no smoothing. -1: {SMOOTHING:g} s for an expression network, and "
        "no smoothing for a multitask network, whose outputs should all be for the same image.",
        minimum=-1.0,
        maximum=60.0,
        unit="s",
        dynamic=True,
    )
    expression_rate: float = setting(
        10.0,
        "Highest rate at which an expression network runs for each face. Images in between repeat "
        "the last probabilities. A larger value needs more computing time. 0: on every image. Has "
        "no effect on multitask networks.",
        minimum=0.0,
        maximum=1000.0,
        unit="Hz",
        dynamic=True,
    )


class RateLimitedExpressions:
    """Estimates smoothed expressions; runs the network at most ``rate`` times a second per face.

    Between two runs a face keeps its last probabilities. For a new face the network runs at once.
    ``rate`` is in hertz; 0 runs the network on every image. Raises InputError if ``rate`` is
    negative or not finite.

    >>> import numpy as np
    >>> from face_perception.inference import load
    >>> from face_perception.types import FaceCrop
    >>> expressions = RateLimitedExpressions(
    ...     ExpressionNet(load("expression")), ExpressionSmoother(0.0), rate=10.0
    ... )
    >>> black = FaceCrop("face_1", np.zeros((160, 160, 3), np.uint8), np.eye(2, 3))
    >>> white = FaceCrop("face_1", np.full((160, 160, 3), 255, np.uint8), np.eye(2, 3))
    >>> first, second, third = (
    ...     expressions.estimate([crop], stamp)[0]
    ...     for crop, stamp in ((black, 0.0), (white, 0.03), (white, 0.1))
    ... )
    >>> second is first, third is first  # after 0.03 s the network does not run
    (True, False)
    """

    def __init__(
        self,
        network: ExpressionNet,
        smooth: ExpressionSmoother,
        rate: float = ExpressionSettings.expression_rate,
    ) -> None:
        self.change_rate(rate)
        self._network = network
        self._smooth = smooth
        # Stamp of the last run of each face, and its results.
        self._last: dict[str, tuple[float, tuple[Expression, ValenceArousal]]] = {}

    def change_rate(self, rate: float) -> None:
        """Uses another rate from the next image on. Raises InputError as the class does."""
        if not 0 <= rate < math.inf:
            raise InputError(f"rate must be 0 or a positive number, in hertz, not {rate}")
        self._period = 1 / rate if rate else 0.0

    def estimate(self, crops: Sequence[FaceCrop], stamp: float) -> list[Expression]:
        """Returns the expression of each crop from the image of ``stamp`` (seconds), in order.

        Raises InputError if a crop is not RGB uint8 [160, 160, 3].
        """
        return [expression for expression, _ in self.estimate_affect(crops, stamp)]

    def estimate_affect(
        self, crops: Sequence[FaceCrop], stamp: float
    ) -> list[tuple[Expression, ValenceArousal]]:
        """Returns what ``estimate`` does, and valence and arousal of each crop."""
        due = [crop for crop in crops if self._is_due(crop.face_id, stamp)]
        for found, affect in self._network.estimate_affect(due):
            smoothed = self._smooth.update_affect(found, affect, stamp)
            self._last[found.face_id] = (stamp, smoothed)
        self._last = {crop.face_id: self._last[crop.face_id] for crop in crops}
        self._smooth.keep(self._last)
        return [self._last[crop.face_id][1] for crop in crops]

    def _is_due(self, face_id: str, stamp: float) -> bool:
        if face_id not in self._last:
            return True
        elapsed = stamp - self._last[face_id][0]
        return not 0 <= elapsed < _EARLY * self._period
