"""Face units, the action units that they show, and how lids follow the eyes.

The 52 units are ARKit's. FACS (Ekman, Friesen and Hager 2002) numbers what a muscle does to a face;
the table says which action unit each unit shows. Where two units show one, the stronger side
counts. Units without a counterpart in the table (the jaw to a side, for example) have no label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from face_perception.learning.synthesis.emfacs import UNITS, draw_act

SIDES = ("Left", "Right")
# Looks at which the units of the lids have their full weight, degrees: the upper lid then moves by
# 1.6 mm for 10 degrees, with the rim of the iris (1.8 mm).
_LOOK_DOWN_DEG, _LOOK_UP_DEG, _LOOK_SIDE_DEG = 23.0, 16.0, 35.0

# Action unit -> face units that show it, each with the weight of full intensity. A name ending in
# "*" is a unit of both sides. These are the ones that a rendered person may show.
FACS: dict[int, dict[str, float]] = {
    1: {"browInnerUp": 1.0},
    2: {"browOuterUp*": 1.0},
    4: {"browDown*": 1.0},
    5: {"eyeWide*": 1.0},
    6: {"cheekSquint*": 1.0},
    7: {"eyeSquint*": 1.0},
    9: {"noseSneer*": 1.0},
    10: {"mouthUpperUp*": 1.0},
    12: {"mouthSmile*": 1.0},
    14: {"mouthDimple*": 1.0},
    15: {"mouthFrown*": 1.0},
    16: {"mouthLowerDown*": 1.0},
    17: {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.35},
    18: {"mouthPucker": 1.0},
    20: {"mouthStretch*": 1.0},
    22: {"mouthFunnel": 1.0},
    24: {"mouthPress*": 1.0},
    26: {"jawOpen": 0.55},
    27: {"jawOpen": 1.0},
    28: {"mouthRollLower": 1.0, "mouthRollUpper": 1.0},
    29: {"jawForward": 1.0},
    43: {"eyeBlink*": 1.0},
}
# Action units that are shown in other ways, or by units that have no number:
# 25 (lips part) is what jawOpen, mouthLowerDown, mouthUpperUp and mouthFunnel do to the lips; 45
# (blink) is 43 for a moment. 11, 13, 21, 23 and 33 to 36 have no face unit except cheekPuff (34).
PARTS_LIPS = {"jawOpen": 3.0, "mouthLowerDown*": 0.9, "mouthUpperUp*": 0.9, "mouthFunnel": 0.7}


@dataclass(frozen=True, slots=True)
class Expression:
    """What a face does besides looking: weights of face units, and the labels that follow.

    ``units`` are weights of single face units. ``action_units`` are intensities from 0 to 1 by
    number. ``valence`` and ``arousal`` follow ``emfacs``.
    """

    units: dict[str, float] = field(default_factory=dict)
    name: str = "neutral"
    valence: float = 0.0
    arousal: float = 0.0

    @property
    def action_units(self) -> dict[int, float]:
        return action_units(self.units)


def both(name: str) -> tuple[str, ...]:
    """Names of the face units that ``name`` stands for; one that ends in "*" stands for two."""
    return tuple(name[:-1] + side for side in SIDES) if name.endswith("*") else (name,)


def units_of(intensities: dict[int, float], asymmetry: float = 0.0) -> dict[str, float]:
    """Weights of the face units that show action units.

    ``asymmetry`` from -1 to 1 weakens the units of one side: of the right side if positive.
    """
    units: dict[str, float] = {}
    for number, intensity in intensities.items():
        for name, weight in FACS.get(number, {}).items():
            for single in both(name):
                weaker = max(0.0, asymmetry if single.endswith("Right") else -asymmetry)
                strength = intensity * weight * (1 - weaker if name.endswith("*") else 1.0)
                units[single] = max(units.get(single, 0.0), strength)
    return units


def action_units(units: dict[str, float]) -> dict[int, float]:
    """Intensities of the action units, 0 to 1, that weights of face units show."""
    out = {}
    for number, names in FACS.items():
        first, weight = next(iter(names.items()))
        shown = max(units.get(single, 0.0) for single in both(first)) / weight
        out[number] = float(np.clip(shown, 0, 1))
    parted = sum(
        weight * max(units.get(single, 0.0) for single in both(name))
        for name, weight in PARTS_LIPS.items()
    )
    closed = units.get("mouthClose", 0.0) * 3.0
    out[25] = float(np.clip(parted - closed, 0, 1))
    out[45] = out[43]
    return dict(sorted(out.items()))


def draw_expression(random: np.random.Generator) -> Expression:
    """Draws an expression of ``emfacs`` or, as in speech, a random movement of the mouth."""
    act = draw_act(random)
    shown = {
        code: float(value) for code, value in zip(UNITS, act.units, strict=True) if value > 0.02
    }
    shown.pop(25, None)
    units = units_of(shown, float(np.clip(random.normal(0, 0.2), -0.8, 0.8)))
    if act.units[UNITS.index(25)] > 0.02 and units.get("jawOpen", 0) < 0.05:
        for name in ("mouthLowerDown*", "mouthUpperUp*"):
            for single in both(name):
                units[single] = 0.5 * float(act.units[UNITS.index(25)])
    if random.random() < 0.25:
        name = str(random.choice(["mouthFunnel", "mouthPucker", "jawOpen", "mouthShrugLower",
                                  "mouthRollLower", "jawLeft", "cheekPuff"]))  # fmt: skip
        units[name] = max(units.get(name, 0.0), float(random.uniform(0.1, 0.6)))
    return Expression(units, act.expression, act.valence, act.arousal)


# Action units of the upper and the lower face. Those that part the lips are not drawn together with
# those that close them.
_UPPER, _LOWER = (1, 2, 4, 6, 7, 9), (10, 12, 14, 15, 16, 17, 18, 20, 22, 24, 26, 27, 28)
_PARTING, _CLOSING = {10, 16, 22, 26, 27}, {17, 24, 28}


def draw_units(random: np.random.Generator) -> Expression:
    """Draws a neutral face (15 %), an expression of ``draw_expression`` (30 %), or any units.

    The units of an expression come together. Units that are drawn by themselves tell a network
    which part of the face belongs to which unit.
    """
    chance = random.random()
    if chance < 0.15:
        return Expression()
    if chance < 0.45:
        return draw_expression(random)
    upper = random.choice(_UPPER, int(random.integers(0, 4)), replace=False)
    lower = random.choice(_LOWER, int(random.integers(0, 3)), replace=False)
    codes = {int(code) for code in (*upper, *lower)}
    if codes & _PARTING:
        codes -= _CLOSING
    shown = {code: float(random.uniform(0.15, 1.0)) for code in sorted(codes)}
    units = units_of(shown, float(np.clip(random.normal(0, 0.2), -0.8, 0.8)))
    return Expression(units, "mixed", math.nan, math.nan)


def lid_units(yaw_deg: float, pitch_deg: float, blink: float) -> dict[str, float]:
    """Weights of the units of the lids for a look in the head's frame, and a blink from 0 to 1.

    Positive yaw is a look to the person's left, positive pitch one up.
    """
    units: dict[str, float] = {}
    vertical = "eyeLookUp*" if pitch_deg > 0 else "eyeLookDown*"
    full = _LOOK_UP_DEG if pitch_deg > 0 else _LOOK_DOWN_DEG
    for single in both(vertical):
        units[single] = abs(pitch_deg) / full * (1 - blink)
    left, right = ("Out", "In") if yaw_deg > 0 else ("In", "Out")
    units[f"eyeLook{left}Left"] = abs(yaw_deg) / _LOOK_SIDE_DEG
    units[f"eyeLook{right}Right"] = abs(yaw_deg) / _LOOK_SIDE_DEG
    for single in both("eyeBlink*"):
        units[single] = blink
    return units
