"""Who a rendered person is: shape, colours, hair and eyes, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from face_perception.learning.synthesis.rendered.hair_styles import HairStyle, draw_hair_style
from face_perception.learning.synthesis.rendered.human_parts import HumanParts
from face_perception.learning.synthesis.rendered.skin import Skin, draw_skin

# Distance between the pupils of adults, metres: mean and standard deviation (Dodgson, "Variation
# and extrema of human interpupillary distance", 2004: 63.4 and 3.8 mm). The base mesh has 57.5 mm.
_PUPILS, _PUPILS_SD = 0.0634, 0.0036
# Targets that leave the face of a person, or that make it one of a fairy tale.
_LEFT_OUT = (
    "head-trans", "neck-double", "cleft", "ear-shape-pointed", "ear-trans", "head-age", "push",
    "nose-trans", "eye-trans", "eye-scale",
)  # fmt: skip
_OPPOSITES = {
    "decr": "incr", "down": "up", "in": "out", "concave": "convex", "backward": "forward",
    "compress": "uncompress",
}  # fmt: skip
# Folder of shape targets, and the standard deviation of their weights.
_FOLDERS = {
    "head": 0.17, "forehead": 0.25, "eyebrows": 0.35, "nose": 0.22, "mouth": 0.20, "chin": 0.20,
    "cheek": 0.25, "ears": 0.25, "eyes": 0.13, "neck": 0.15,
}  # fmt: skip
_MOST = 0.75
# Height of the eyeballs above the eyes of the base mesh, metres: mean and standard deviation.
# Without it, pupils lie lower between the corners of their eyes than those of people
# (docs/rendered_people.md). The spread, and that of kappa, make the pitch of gaze differ more
# between persons; it is a guess.
_RISE, _RISE_SD = 0.0010, 0.0006
# Share of a person's difference from this mean that the lids follow; a guess.
_LIDS_FOLLOW = 0.6
_ASYMMETRY = 0.10


@dataclass(frozen=True, slots=True)
class Eyes:
    """Colours (linear RGB) and measures of both eyes of a person.

    ``iris_radius`` and ``pupil_radius`` are metres, without the magnification of the cornea.
    ``visual_axis`` [2] is how far the axis of the left eye points away from what the person looks
    at, radians: to the temple, and up (angle kappa). ``droop`` is how far the upper lids hang at
    rest, as a share of a blink. ``rise`` and ``advance`` are how far the eyeballs lie above and in
    front of the eyes of the base mesh, metres.
    """

    iris: tuple[float, float, float]
    collarette: tuple[float, float, float]
    white: tuple[float, float, float]
    veins: float
    iris_radius: float
    pupil_radius: float
    limbus: float  # width of the dark rim, metres
    visual_axis: tuple[float, float]
    droop: float
    seed: int
    rise: float
    advance: float

    @property
    def lids_rise(self) -> float:
        """How far the lids lie above those of the base mesh, metres."""
        return _LIDS_FOLLOW * (self.rise - _RISE)


@dataclass(frozen=True, slots=True)
class Person:
    """One person. ``targets`` are weights of shape targets, ``scale`` resizes the base mesh."""

    seed: int
    sex: str
    age: float  # years
    ancestry: tuple[float, float, float]  # shares of african, asian, caucasian
    targets: dict[str, float]
    pupils_apart: float  # metres
    skin: Skin
    eyes: Eyes
    hair: HairStyle
    lash_length: float  # metres
    cloth: tuple[float, float, float]


def draw_person(parts: HumanParts, seed: int) -> Person:
    """Draws a person; the same seed gives the same person."""
    random = np.random.default_rng([seed, 1])
    sex = str(random.choice(["female", "male"]))
    age = float(np.clip(random.gamma(4.5, 8.5) + 4, 9, 85))
    ancestry = random.dirichlet([0.35, 0.35, 0.45])
    targets = _body(random, sex, age, ancestry)
    for folder, spread in _FOLDERS.items():
        _add_features(random, parts.targets_in(folder), spread, targets)
    for name in parts.targets_in("asym"):
        if "breast" not in name and "trunk" not in name:
            targets[name] = abs(float(random.normal(0, _ASYMMETRY)))
    grown = float(np.interp(age, [9, 17], [0.90, 1.0]))
    apart = grown * random.normal(_PUPILS * (0.985 if sex == "female" else 1.015), _PUPILS_SD)
    skin = draw_skin(random, ancestry, age, sex)
    hair = draw_hair_style(random, sex, age, ancestry, skin.melanin)
    return Person(
        seed=seed,
        sex=sex,
        age=age,
        ancestry=(float(ancestry[0]), float(ancestry[1]), float(ancestry[2])),
        targets=targets,
        pupils_apart=float(apart),
        skin=skin,
        eyes=_draw_eyes(random, ancestry, age),
        hair=hair,
        lash_length=float(random.uniform(0.006, 0.010) * (1.15 if sex == "female" else 0.95)),
        cloth=_colour(random.uniform(0.02, 0.6, 3), random.uniform(0, 1)),
    )


def _body(
    random: np.random.Generator, sex: str, age: float, ancestry: np.ndarray
) -> dict[str, float]:
    """Weights of the targets that make sex, age and ancestry."""
    child = float(np.interp(age, [9, 18], [0.65, 0.0]))
    old = float(np.interp(age, [25, 80], [0.0, 1.0]))
    ages = {"child": child, "young": (1 - child) * (1 - old), "old": (1 - child) * old}
    # Some faces are between the sexes.
    share = float(np.clip(random.normal(0.08, 0.12), 0, 0.4))
    other = "male" if sex == "female" else "female"
    weight = float(np.clip(random.normal(0, 0.5), -1, 1))
    builds = {"averageweight": 1 - abs(weight)}
    builds["maxweight" if weight > 0 else "minweight"] = abs(weight)
    targets: dict[str, float] = {}
    for sex_name, sex_share in ((sex, 1 - share), (other, share)):
        for age_name, age_share in ages.items():
            for people, people_share in zip(
                ("african", "asian", "caucasian"), ancestry, strict=True
            ):
                name = f"macrodetails/{people}-{sex_name}-{age_name}"
                targets[name] = float(sex_share * age_share * people_share)
            for build, build_share in builds.items():
                name = f"macrodetails/universal-{sex_name}-{age_name}-averagemuscle-{build}"
                targets[name] = float(sex_share * age_share * build_share)
    return targets


def _add_features(
    random: np.random.Generator, names: list[str], spread: float, targets: dict[str, float]
) -> None:
    """Adds weights for the pairs of opposite targets and the single ones of a folder.

    Targets of the left and of the right side get nearly the same weight.
    """
    known = set(names)
    for name in names:
        if any(word in name for word in _LEFT_OUT):
            continue
        stem, _, last = name.rpartition("-")
        if last in _OPPOSITES.values() and f"{stem}-{_decreased(last)}" in known:
            continue  # drawn with its opposite
        folder, _, feature = name.partition("/")
        if feature.startswith("r-"):
            continue  # drawn with the left one
        opposite = f"{stem}-{_OPPOSITES.get(last, '')}"
        drawn = float(random.normal(0, spread))
        single = opposite not in known
        if single:
            drawn = abs(drawn) if random.random() < 0.4 else 0.0
        sides = ("l-", "r-") if feature.startswith("l-") else ("",)
        for side in sides:
            weight = float(np.clip(drawn + (random.normal(0, 0.04) if side else 0), -_MOST, _MOST))
            chosen = name if weight < 0 or single else opposite
            plain = chosen.partition("/")[2]
            plain = plain[2:] if side else plain
            targets[f"{folder}/{side}{plain}"] = abs(weight)


def _decreased(word: str) -> str:
    return next(low for low, high in _OPPOSITES.items() if high == word)


# Colours of irises, linear RGB: of the outer part, and about the pupil.
_IRISES = {
    "black": ((0.018, 0.010, 0.006), (0.022, 0.012, 0.007)),
    "brown": ((0.065, 0.030, 0.013), (0.090, 0.040, 0.015)),
    "amber": ((0.150, 0.075, 0.022), (0.180, 0.085, 0.022)),
    "hazel": ((0.095, 0.085, 0.035), (0.160, 0.080, 0.025)),
    "green": ((0.110, 0.150, 0.075), (0.150, 0.110, 0.045)),
    "grey": ((0.170, 0.200, 0.210), (0.200, 0.190, 0.160)),
    "blue": ((0.100, 0.190, 0.320), (0.180, 0.220, 0.260)),
}


def _draw_eyes(random: np.random.Generator, ancestry: np.ndarray, age: float) -> Eyes:
    dark = float(random.random()) < ancestry[0] + ancestry[1] * 0.95
    names = ["black", "brown", "brown", "amber"] if dark else list(_IRISES)[1:]
    outer, inner = _IRISES[str(random.choice(names))]
    change = random.uniform(0.75, 1.3) * random.uniform(0.92, 1.08, 3)
    yellow = (
        np.interp(age, [20, 80], [0.0, 0.10]) + 0.06 * ancestry[0] + abs(random.normal(0, 0.03))
    )
    white = random.uniform(0.46, 0.66) * np.array([1.0, 0.95, 0.92 - yellow])
    return Eyes(
        iris=_triple(np.array(outer) * change),
        collarette=_triple(np.array(inner) * change),
        white=_triple(white),
        veins=float(random.beta(1.5, 4)),
        iris_radius=float(random.normal(0.00585, 0.00022)),
        pupil_radius=float(np.clip(random.normal(0.0019, 0.0005), 0.0011, 0.0033)),
        limbus=float(random.uniform(0.0004, 0.0010)),
        visual_axis=(
            float(np.radians(random.normal(4.5, 1.8))),
            float(np.radians(random.normal(-1.3, 1.8))),
        ),
        droop=float(np.clip(random.normal(0.07, 0.05), 0, 0.2)),
        seed=int(random.integers(1 << 31)),
        rise=float(np.clip(random.normal(_RISE, _RISE_SD), -0.0005, 0.0025)),
        advance=float(np.clip(random.normal(0, 0.0004), -0.0006, 0.0006)),
    )


def _triple(colour: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in np.clip(colour, 0.003, 0.95))
    return red, green, blue


def _colour(colour: np.ndarray, saturation: float) -> tuple[float, float, float]:
    grey = colour.mean()
    return _triple(grey + saturation * (colour - grey))
