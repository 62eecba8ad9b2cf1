"""Measures of a face when it is neutral: the population's, learned, or set. Knows no action units.

Mouth, brows and lids are learned separately: somebody who talks still has neutral brows.
"""

from __future__ import annotations

import math

from face_perception.affect.face_measures import POPULATION, SPREAD, FaceMeasures
from face_perception.types import Neutral

_BROWS = ("inner_brow", "outer_brow", "brow_gap")
_LIDS = ("upper_lid",)
_MOUTH = ("corner_lift", "mouth_width", "mouth_opening", "jaw")
_GROUPS = tuple(
    tuple(FaceMeasures._fields.index(name) for name in group)
    for group in (_BROWS, _LIDS, ("brow_down",), _MOUTH, ("chin_raise",))
)
_UPPER_FACE = 3  # of these groups
_OPENING = FaceMeasures._fields.index("mouth_opening")

# Distances at which a measure has half its weight, in spreads of the population. The first is from
# the population's mean: further away the face is more likely moving than neutral. The second is
# from a known neutral.
_PLAUSIBLE, _SAME = 2.5, 0.6
# A mouth this wide open, in outer-canthus distances, comes with moving brows: surprise, a yawn.
_WIDE_OPEN = 0.15
# Least time, seconds, that a face must keep another posture before that becomes its neutral.
_DOUBT = 10.0


class NeutralFace:
    """The features of one face when it is neutral.

    The first images count as neutral unless they plainly are not: closed eyes, parted lips, a
    smile, measures that hardly anybody has at rest. After ``believe`` seconds of them the neutral
    is known. From then on it follows only measures that are close to it, so neither a smile nor
    speech moves it. Another posture replaces it if the face keeps that posture for more than 10 s
    and for longer than it showed the present neutral. This corrects a start that was not neutral.

    - ``believe``: seconds of neutral images until the neutral is known.
    - ``memory``: time constant, seconds, with which older images lose weight.
    """

    def __init__(self, believe: float, memory: float) -> None:
        self._groups = tuple(_Group(indices, believe, memory) for indices in _GROUPS)
        self._set = False

    @property
    def features(self) -> FaceMeasures:
        """Present estimate."""
        values = [0.0] * len(POPULATION)
        for group in self._groups:
            for index, value in zip(group.indices, group.mean, strict=True):
                values[index] = value
        return FaceMeasures(*values)

    @property
    def known(self) -> FaceMeasures:
        """For each measure 1 if it is this face's own, 0 if it is the population's."""
        values = [0.0] * len(POPULATION)
        for group in self._groups:
            for index in group.indices:
                values[index] = float(group.known)
        return FaceMeasures(*values)

    @property
    def state(self) -> Neutral:
        """Kind of the neutral; LEARNED as soon as brows or mouth are known."""
        if self._set:
            return Neutral.SET
        brows, mouth = self._groups[0], self._groups[_UPPER_FACE]
        return Neutral.LEARNED if brows.known or mouth.known else Neutral.POPULATION

    def set(self, features: FaceMeasures) -> None:
        """Take ``features`` as neutral and learn nothing more."""
        self._set = True
        for group in self._groups:
            group.set(features)

    def update(self, features: FaceMeasures, seconds: float, eyes_open: bool) -> None:
        """Learn from features that were seen for ``seconds``.

        Closing eyes and a wide-open mouth move lids and brows: then only the mouth is learned.
        """
        if self._set:
            return
        still = eyes_open and features[_OPENING] < _WIDE_OPEN
        for group in self._groups if still else self._groups[_UPPER_FACE:]:
            group.update(features, seconds)


class _Group:
    """Measures that move together, and are neutral together."""

    def __init__(self, indices: tuple[int, ...], believe: float, memory: float) -> None:
        self.indices = indices
        self.mean = [POPULATION[i] for i in indices]
        self.known = False
        self._spread = [SPREAD[i] for i in indices]
        self._population = tuple(self.mean)
        self._believe = believe
        self._memory = memory
        self._seen = 0.0
        # A posture other than ``mean``, and how many seconds it was kept. Until the neutral is
        # known: the neutral so far.
        self._other = list(self.mean)
        self._other_seen = 0.0

    def set(self, features: FaceMeasures) -> None:
        values = [features[i] for i in self.indices]
        if not math.isnan(values[0]):
            self.mean, self.known = values, True

    def update(self, features: FaceMeasures, seconds: float) -> None:
        values = [features[i] for i in self.indices]
        if math.isnan(values[0]):  # not estimated
            return
        weight = seconds * self._likeness(values, self._population, _PLAUSIBLE)
        if not self.known:
            self._believe_in(values, weight)
            return
        same = weight * self._likeness(values, self.mean, _SAME)
        self._seen = min(self._seen + same, self._memory)
        self._follow(self.mean, values, same / self._seen)
        self._doubt(values, weight - same, same)

    def _believe_in(self, values: list[float], weight: float) -> None:
        self._other_seen += weight
        if self._other_seen > 0:
            self._follow(self._other, values, weight / self._other_seen)
        if self._other_seen >= self._believe:
            self.known = True
            self._take_other(values)

    def _doubt(self, values: list[float], against: float, same: float) -> None:
        """Counts how long another posture is kept, and takes it once that is longer."""
        like = against * self._likeness(values, self._other, _SAME)
        self._other_seen += 2 * like - against - same
        if self._other_seen <= 0:
            self._other, self._other_seen = list(values), 0.0
            return
        self._follow(self._other, values, like / (self._other_seen + like))
        if self._other_seen > max(self._seen, _DOUBT):
            self._take_other(values)

    def _take_other(self, values: list[float]) -> None:
        self.mean, self._seen = self._other, self._other_seen
        self._other, self._other_seen = list(values), 0.0

    def _likeness(
        self, values: list[float], mean: list[float] | tuple[float, ...], width: float
    ) -> float:
        """1 at ``mean``, a half if one measure is ``width`` spreads off, then quickly 0."""
        off = max(
            abs(value - m) / spread
            for value, m, spread in zip(values, mean, self._spread, strict=True)
        )
        return 1 / (1 + (off / width) ** 8)

    @staticmethod
    def _follow(mean: list[float], values: list[float], share: float) -> None:
        for i, value in enumerate(values):
            mean[i] += share * (value - mean[i])
