"""Draws random expressions with the matching action units (EMFACS), valence and arousal.

``actor`` renders them. Intensities from 0 to 1 stand for FACS's five levels, A to E.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import EXPRESSIONS

FloatArray = npt.NDArray[np.float64]

# Action units that an actor can show. Those with labels are the ones of the multitask network.
UNITS = (1, 2, 4, 5, 6, 7, 9, 12, 15, 20, 24, 25, 26)
LABELLED = (1, 2, 4, 6, 12, 15, 20, 25)
PRESENT = 0.4  # level B and above is labelled as present (convention of DISFA)

# EMFACS (Friesen and Ekman 1983): action units of each expression at full intensity. Those of
# ``_OPTIONAL`` are left out with a probability of 1/3.
_PROTOTYPES: Mapping[str, Mapping[int, float]] = {
    "neutral": {},
    "angry": {4: 1.0, 5: 0.5, 7: 0.7, 24: 0.8},
    "disgusted": {9: 1.0, 15: 0.6, 4: 0.4, 7: 0.4},
    "scared": {1: 0.9, 2: 0.7, 4: 0.5, 5: 0.9, 20: 0.9, 25: 0.7},
    "happy": {6: 0.8, 12: 1.0, 25: 0.6},
    "sad": {1: 0.9, 4: 0.5, 15: 0.9},
    "surprised": {1: 0.9, 2: 1.0, 5: 0.8, 25: 0.9, 26: 0.8},
}
_OPTIONAL = {5, 7, 25}

# Valence and arousal of each expression at full intensity (circumplex, after Russell 1980).
CIRCUMPLEX: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "angry": (-0.65, 0.70),
    "disgusted": (-0.70, 0.30),
    "scared": (-0.60, 0.85),
    "happy": (0.85, 0.45),
    "sad": (-0.75, -0.50),
    "surprised": (0.20, 0.80),
}

# Frequency of each expression, as in everyday pictures: mostly neutral, sometimes happy.
FREQUENCY = (0.36, 0.08, 0.06, 0.05, 0.22, 0.13, 0.10)

_MOOD = 0.15  # standard deviation of valence and arousal around those of the expression
_STRAY = 0.06  # probability of an action unit without an expression, as in speech
_BLENDED = 0.25  # probability of a second expression
_BLEND = 0.5  # largest strength of the second expression, relative to the first


@dataclass(frozen=True, slots=True)
class Act:
    """What a face shows in one picture, and its labels.

    ``units`` [13] are intensities in the order of ``UNITS``; ``lids`` is in [-1, 1], negative for
    narrowed eyes; ``gaze`` and ``head`` are in radians.
    """

    units: FloatArray
    lids: float
    gaze: FloatArray
    head: FloatArray
    expression: str
    valence: float
    arousal: float

    def present(self) -> dict[int, int]:
        """Returns 1 or 0 for each unit of ``LABELLED``."""
        return {code: int(self.units[UNITS.index(code)] >= PRESENT) for code in LABELLED}


def draw_act(random: np.random.Generator, expression: str | None = None) -> Act:
    """Draws a random display of ``expression``, or of a random expression by ``FREQUENCY``.

    Raises InputError for an unknown expression.
    """
    if expression is None:
        expression = EXPRESSIONS[int(random.choice(len(EXPRESSIONS), p=FREQUENCY))]
    if expression not in _PROTOTYPES:
        raise InputError(f"expression must be one of {', '.join(EXPRESSIONS)}, not {expression}")
    strength = float(random.uniform(0.45, 1.0))
    units = strength * _units(expression, random)
    affect = strength * np.array(CIRCUMPLEX[expression])
    if expression != "neutral" and random.random() < _BLENDED:
        other = EXPRESSIONS[1 + int(random.integers(len(EXPRESSIONS) - 1))]
        share = strength * _BLEND * float(random.random())
        units = np.maximum(units, share * _units(other, random))
        affect = affect + 0.5 * share * (np.array(CIRCUMPLEX[other]) - affect)
    # A mood in addition to the expression, which mouth and lids show.
    mood = _MOOD * random.standard_normal(2)
    affect = np.clip(affect + mood, -1, 1)
    units[UNITS.index(12 if mood[0] > 0 else 15)] += abs(mood[0])
    stray = random.random(len(UNITS)) < _STRAY
    units = np.maximum(units, stray * random.uniform(0.3, 0.8, len(UNITS)))
    units = np.clip(units + 0.05 * random.standard_normal(len(UNITS)) * (units > 0), 0, 1)
    # A jaw that drops parts the lips.
    parted, jaw = UNITS.index(25), UNITS.index(26)
    units[parted] = max(units[parted], min(1.0, 1.2 * units[jaw]))
    of = dict(zip(UNITS, units, strict=True))
    lids = float(np.clip(of[5] - of[7] + 0.55 * affect[1] + 0.5 * mood[1], -1, 1))
    return Act(
        units=units,
        lids=lids,
        gaze=random.uniform((-0.3, -0.15), (0.3, 0.15)),
        head=random.uniform((-0.14, -0.10, -0.05), (0.14, 0.10, 0.05)),
        expression=expression,
        valence=float(affect[0]),
        arousal=float(affect[1]),
    )


def _units(expression: str, random: np.random.Generator) -> FloatArray:
    found = np.zeros(len(UNITS))
    for code, most in _PROTOTYPES[expression].items():
        if code in _OPTIONAL and random.random() < 1 / 3:
            continue
        found[UNITS.index(code)] = most * random.uniform(0.7, 1.15)
    return found
