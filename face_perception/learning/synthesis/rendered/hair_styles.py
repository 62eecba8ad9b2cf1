"""Which hair, brows and beard a person has, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Colour = tuple[float, float, float]

# Colours of hair, linear RGB.
COLOURS: dict[str, Colour] = {
    "black": (0.010, 0.008, 0.007),
    "dark brown": (0.030, 0.017, 0.010),
    "brown": (0.075, 0.040, 0.021),
    "light brown": (0.15, 0.088, 0.045),
    "blond": (0.36, 0.24, 0.12),
    "red": (0.20, 0.065, 0.022),
    "grey": (0.26, 0.25, 0.24),
    "white": (0.55, 0.54, 0.52),
}


@dataclass(frozen=True, slots=True)
class HairStyle:
    """Lengths in metres. ``brows`` are height (metres), thickness, arch and length (about 1)."""

    style: str  # shaved, short, medium, bob, long, tied, afro, curly, bald
    colour: Colour
    length: float
    curl: float  # 0 straight to 1
    lift: float  # how far hair stands off the head, 0 to 1
    parting: float  # metres to the person's left
    fringe: bool
    recession: float
    balding: float
    beard: str  # none, stubble, moustache, goatee, full
    beard_length: float
    beard_colour: Colour
    brows: tuple[float, float, float, float]
    brow_density: float
    brow_colour: Colour
    seed: int


def draw_hair_style(
    random: np.random.Generator,
    sex: str,
    age: float,
    ancestry: npt.NDArray[np.float64],
    melanin: float,
) -> HairStyle:
    """Draws a style; ``ancestry`` [3] are the shares of african, asian and caucasian."""
    african, asian, _ = ancestry
    dark = random.random() < african + asian
    names = ["black", "black", "dark brown"] if dark else list(COLOURS)[1:6]
    colour = np.array(COLOURS[str(random.choice(names))]) * random.uniform(0.7, 1.3)
    grey = float(np.clip(np.interp(age, [35, 75], [0.0, 1.0]) + random.normal(0, 0.15), 0, 1))
    if age < 35:
        grey = 0.0
    ashen = np.array(COLOURS["grey"]) + random.random() * (
        np.array(COLOURS["white"]) - np.array(COLOURS["grey"])
    )
    top = colour + grey * (ashen - colour)
    male = sex == "male"
    if african > 0.5:
        weights = {"shaved": 2, "afro": 3, "tied": 1, "curly": 2, "bald": 1} if male else {
            "shaved": 0.6, "afro": 3, "tied": 2, "curly": 3, "long": 1}  # fmt: skip
    elif male:
        weights = {"shaved": 1, "short": 5, "medium": 2, "curly": 0.8, "bald": 0.6, "long": 0.3}
    else:
        weights = {"short": 0.6, "medium": 1, "bob": 2, "long": 3.5, "tied": 1.5, "curly": 1}
    shares = np.array(list(weights.values()), float)
    style = str(random.choice(list(weights), p=shares / shares.sum()))
    recession = balding = 0.0
    if male and age > 22:
        recession = float(np.clip(random.normal(np.interp(age, [22, 70], [0.1, 0.8]), 0.3), 0, 1))
        if random.random() < np.interp(age, [30, 75], [0.05, 0.5]):
            balding = float(random.uniform(0.3, 1.0))
    length = {
        "shaved": (0.002, 0.006), "short": (0.015, 0.04), "medium": (0.05, 0.09),
        "bob": (0.16, 0.22), "long": (0.28, 0.42), "tied": (0.10, 0.14), "afro": (0.016, 0.045),
        "curly": (0.06, 0.16), "bald": (0.0015, 0.003),
    }[style]  # fmt: skip
    curl = {"afro": 1.0, "curly": 0.75}.get(style, float(random.beta(1.2, 3.0) * 0.6))
    beards = ["none", "stubble", "moustache", "goatee", "full"]
    chosen = "none"
    if male and age > 17:
        chosen = str(random.choice(beards, p=[0.42, 0.25, 0.07, 0.10, 0.16]))
    darker = top * random.uniform(0.6, 1.0)
    thick = random.normal(1.1 if male else 0.8, 0.2)
    return HairStyle(
        style=style,
        colour=_triple(top),
        length=float(random.uniform(*length)),
        curl=curl,
        lift=float(random.uniform(0.1, 0.8)),
        parting=float(random.choice([-0.03, -0.02, 0.0, 0.02, 0.03])),
        fringe=bool(random.random() < (0.1 if male else 0.3)),
        recession=recession,
        balding=1.0 if style == "bald" else balding,
        beard=chosen,
        beard_length=float({"stubble": 0.0018, "full": 0.012}.get(chosen, 0.006))
        * float(random.uniform(0.6, 1.6)),
        beard_colour=_triple(darker * random.uniform(0.7, 1.2)),
        brows=(
            float(random.normal(0.0, 0.0012)),
            float(np.clip(thick, 0.45, 1.7)),
            float(random.uniform(0.3, 1.5)),
            float(random.uniform(0.88, 1.08)),
        ),
        brow_density=float(random.uniform(0.45, 1.0)),
        brow_colour=_triple(0.75 * darker * (1 - 0.2 * melanin)),
        seed=int(random.integers(1 << 31)),
    )


def _triple(colour: npt.NDArray[np.float64]) -> Colour:
    red, green, blue = (float(value) for value in np.clip(colour, 0.003, 0.9))
    return red, green, blue
