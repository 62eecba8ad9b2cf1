"""What a face measures at rest, learned while it is followed. Knows no action units."""

from __future__ import annotations

import numpy as np

from face_perception.affect.features import POPULATION, SPREAD, Features
from face_perception.types import FloatArray

_BROWS = ("inner_brow", "outer_brow", "brow_gap")
_LIDS = ("upper_lid",)
_MOUTH = ("corner_lift", "mouth_width", "mouth_opening", "jaw")
# What moves together is at rest together.
_GROUPS = tuple(
    np.array([Features._fields.index(name) for name in group]) for group in (_BROWS, _LIDS, _MOUTH)
)
# Beyond this many standard deviations of a population a face is rather moving than built so; of a
# face that is known, beyond fewer by this share.
_REST = 2.5
_KNOWN_BETTER = 0.6


class Neutral:
    """The features of one face at rest: a population's at first, then more and more its own.

    A mean of what was seen, each group of features weighted by how likely it is at rest: near what
    rest is thought to be, by the measure of how much people differ, and nearer the better it is
    known. So a held smile hardly counts, and a face that is built differently is learned in seconds
    to a minute.

    - ``prior``: seconds of the face's own that weigh as much as the population.
    - ``memory``: seconds after which what was seen fades.
    """

    def __init__(self, prior: float, memory: float) -> None:
        self._prior = prior
        self._memory = memory
        self._mean = np.array(POPULATION)
        self._seen = np.zeros(len(POPULATION))

    @property
    def features(self) -> Features:
        """Present estimate."""
        return Features(*(float(v) for v in self._mean))

    @property
    def known(self) -> FloatArray:
        """How far each feature is the face's own, [0, 1]: [8]."""
        return self._seen / (self._prior + self._seen)

    def update(self, features: Features, seconds: float, eyes_open: bool) -> None:
        """Learn from features that were seen for ``seconds``. Closing eyes pull at lids and brows:
        then only the mouth counts.
        """
        away = np.array(features) - self._mean
        near = _REST * (1 - _KNOWN_BETTER * self.known) * np.array(SPREAD)
        unlikely = (away / near) ** 4
        for group in _GROUPS if eyes_open else _GROUPS[-1:]:
            weight = seconds / (1 + float(unlikely[group].max()))
            self._seen[group] = np.minimum(self._seen[group] + weight, self._memory)
            self._mean[group] += weight / (self._prior + self._seen[group]) * away[group]
