"""Holds the mean neutral face of many people, and learns that of one person during tracking.

Learns mouth, brows and lids separately, because somebody who talks can have neutral brows.
"""

from __future__ import annotations

import math

from face_perception.affect.face_measures import (
    APPEARANCE_UNITS,
    FaceMeasures,
    appearance_measure,
)
from face_perception.types import Neutral

# Mean and standard deviation between people of neutral faces with closed lips, turned less than 20
# degrees: 664 people, 1065 photographs, one mean for each person (Labeled Faces in the Wild as
# labelled in muxspace/facial_expressions, Apache-2.0; only these statistics are used). Computed by
# `bench/action_units.py --blendshapes --population`. The standard deviation includes differences
# between photographs of one person: .027, .021 and .015 for the measures of the brows. That of
# mouth_opening is chosen, because pictures with more than .02 were left out. On 15 people of the
# Yale face database the mean of each landmark measure is within 0.6 standard deviations of these.
# The appearance of each unit is 0 at the median of neutral faces by definition, and varies by 0.32
# to 0.45 between them (73 neutral press photographs, `learning.small_action_units.export`).
POPULATION = FaceMeasures(
    *(0.168, 0.160, 0.283, 0.045, 0.020, 0.553, 0.005, 0.769, 0.31, 0.09),
    *([0.0] * len(APPEARANCE_UNITS)),
)
SPREAD = FaceMeasures(
    *(0.034, 0.028, 0.017, 0.016, 0.018, 0.045, 0.008, 0.043, 0.26, 0.14),
    *([0.4] * len(APPEARANCE_UNITS)),
)

_BROWS = ("inner_brow", "outer_brow", "brow_gap")
_LIDS = ("upper_lid",)
_MOUTH = ("corner_lift", "mouth_width", "mouth_opening", "jaw")
_LAST_UPPER_UNIT = 9  # units up to this are of the upper face
_UPPER_APPEARANCE = tuple(
    appearance_measure(code) for code in APPEARANCE_UNITS if code <= _LAST_UPPER_UNIT
)
_LOWER_APPEARANCE = tuple(
    appearance_measure(code) for code in APPEARANCE_UNITS if code > _LAST_UPPER_UNIT
)
_UPPER_GROUPS = (_BROWS, _LIDS, ("brow_down",), _UPPER_APPEARANCE)
_LOWER_GROUPS = (_MOUTH, ("chin_raise",), _LOWER_APPEARANCE)
_GROUPS = tuple(
    tuple(FaceMeasures._fields.index(name) for name in group)
    for group in (*_UPPER_GROUPS, *_LOWER_GROUPS)
)
_UPPER_FACE = len(_UPPER_GROUPS)  # the first groups belong to the upper face
_OPENING = FaceMeasures._fields.index("mouth_opening")

# Distances at which a measure has half its weight, in standard deviations of the population: from
# the population's mean (further away the face is probably moving), and from a known neutral face.
_PLAUSIBLE, _SAME = 2.5, 0.6
# With a mouth that is open wider than this (outer-canthus distances) the brows move too: surprise,
# a yawn.
_WIDE_OPEN = 0.15
# Shortest time in seconds after which another posture becomes the neutral face.
_REPLACE_AFTER = 10.0


class NeutralFace:
    """Estimates the measures of one face when it is neutral.

    The first images count as neutral unless they clearly are not: closed eyes, parted lips, a
    smile, or measures that are rare on neutral faces. After ``learn_time`` seconds of such images
    the neutral face is known. Then only measures close to it update it, so that smiles and speech
    do not change it. Another posture replaces it if the face keeps that posture for more than 10 s
    and for longer than it has shown the present neutral face. This corrects a wrong start.

    - ``learn_time``: seconds of neutral images until the neutral face is known.
    - ``memory_time``: time constant in seconds with which older images lose weight.
    """

    def __init__(self, learn_time: float, memory_time: float) -> None:
        self._groups = tuple(_Group(indices, learn_time, memory_time) for indices in _GROUPS)
        self._set = False

    @property
    def measures(self) -> FaceMeasures:
        """Returns the present estimate; the population's means for what is not known."""
        values = [0.0] * len(POPULATION)
        for group in self._groups:
            for index, value in zip(group.indices, group.mean, strict=True):
                values[index] = value
        return FaceMeasures(*values)

    @property
    def known(self) -> FaceMeasures:
        """Returns for each measure 1 if it was learned or set, 0 if it is the population's mean."""
        values = [0.0] * len(POPULATION)
        for group in self._groups:
            for index in group.indices:
                values[index] = float(group.known)
        return FaceMeasures(*values)

    @property
    def state(self) -> Neutral:
        """Returns the kind of the neutral face; LEARNED as soon as brows or mouth are known."""
        if self._set:
            return Neutral.SET
        brows, mouth = self._groups[0], self._groups[_UPPER_FACE]
        return Neutral.LEARNED if brows.known or mouth.known else Neutral.POPULATION

    def set(self, measures: FaceMeasures) -> None:
        """Takes ``measures`` as neutral and stops learning."""
        self._set = True
        for group in self._groups:
            group.set(measures)

    def update(self, measures: FaceMeasures, seconds: float, eyes_open: bool) -> None:
        """Learns from the measures of an image that counts for ``seconds``.

        Learns only the mouth and the chin while the eyes close or the mouth is wide open, because
        both move lids and brows. Learns nothing from measures that are NaN.
        """
        if self._set:
            return
        still = eyes_open and not measures[_OPENING] >= _WIDE_OPEN  # NaN: the mouth is hidden
        for group in self._groups if still else self._groups[_UPPER_FACE:]:
            group.update(measures, seconds)


class _Group:
    """Learns the neutral values of measures that move together."""

    def __init__(self, indices: tuple[int, ...], learn_time: float, memory_time: float) -> None:
        self.indices = indices
        self.mean = [POPULATION[i] for i in indices]
        self.known = False
        self._spread = [SPREAD[i] for i in indices]
        self._population = tuple(self.mean)
        self._learn_time = learn_time
        self._memory_time = memory_time
        self._seen = 0.0  # seconds for which ``mean`` was seen
        # A candidate that may replace ``mean``, and the seconds for which it was seen.
        self._candidate = list(self.mean)
        self._candidate_seen = 0.0

    def set(self, measures: FaceMeasures) -> None:
        values = [measures[i] for i in self.indices]
        if not math.isnan(values[0]):
            self.mean, self.known = values, True

    def update(self, measures: FaceMeasures, seconds: float) -> None:
        values = [measures[i] for i in self.indices]
        if math.isnan(values[0]):  # not estimated
            return
        weight = seconds * self._likeness(values, self._population, _PLAUSIBLE)
        if not self.known:
            self._learn_first(values, weight)
            return
        same = weight * self._likeness(values, self.mean, _SAME)
        self._seen = min(self._seen + same, self._memory_time)
        self._follow(self.mean, values, same / self._seen)
        self._learn_candidate(values, weight - same, same)

    def _learn_first(self, values: list[float], weight: float) -> None:
        """Averages images until the neutral face is known."""
        self._candidate_seen += weight
        if self._candidate_seen > 0:
            self._follow(self._candidate, values, weight / self._candidate_seen)
        if self._candidate_seen >= self._learn_time:
            self.known = True
            self._accept_candidate(values)

    def _learn_candidate(self, values: list[float], different: float, same: float) -> None:
        """Measures for how long another posture is kept, and accepts it when that is long enough.

        ``different`` and ``same`` are the seconds for which this image differs from ``mean`` and
        agrees with it.
        """
        like = different * self._likeness(values, self._candidate, _SAME)
        self._candidate_seen += 2 * like - different - same
        if self._candidate_seen <= 0:
            self._candidate, self._candidate_seen = list(values), 0.0
            return
        self._follow(self._candidate, values, like / (self._candidate_seen + like))
        if self._candidate_seen > max(self._seen, _REPLACE_AFTER):
            self._accept_candidate(values)

    def _accept_candidate(self, values: list[float]) -> None:
        self.mean, self._seen = self._candidate, self._candidate_seen
        self._candidate, self._candidate_seen = list(values), 0.0

    def _likeness(
        self, values: list[float], mean: list[float] | tuple[float, ...], width: float
    ) -> float:
        """Returns how close values are to ``mean``: 1 at it, falling to 0.

        The result is 0.5 if the largest difference is ``width`` standard deviations.
        """
        off = max(
            abs(value - m) / spread
            for value, m, spread in zip(values, mean, self._spread, strict=True)
        )
        return 1 / (1 + (off / width) ** 8)

    @staticmethod
    def _follow(mean: list[float], values: list[float], share: float) -> None:
        """Moves ``mean`` towards ``values`` by this share of the way."""
        for i, value in enumerate(values):
            mean[i] += share * (value - mean[i])
