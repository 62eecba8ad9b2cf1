"""What does not change from view to view of a person: painted skin, hair, clothes and headwear."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered.accessories import (
    Shell,
    Worn,
    cap_brim,
    cloth_region,
    headwear_region,
    make_shell,
)
from face_perception.learning.synthesis.rendered.hair_styles import HairStyle
from face_perception.learning.synthesis.rendered.person import Person
from face_perception.learning.synthesis.rendered.posed_head import neutral_points
from face_perception.learning.synthesis.rendered.regions import HeadSurface
from face_perception.learning.synthesis.rendered.skin import paint_skin, skin_relief
from face_perception.learning.synthesis.rendered.strands import Shape, Strands, scalp_hair

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Looks:
    """``neutral`` is what ``neutral_points`` returns.

    ``colours`` [V, 3] of the fine points are linear RGB, ``relief`` [V, 3] changes their normals.
    Hair and shells are made on the neutral face; they are in the head's frame.
    """

    neutral: tuple[Array, float]
    colours: Array
    relief: Array
    hair: list[Strands]
    shells: list[Shell]


def make_looks(head: HeadSurface, person: Person, worn: Worn, *, with_hair: bool = True) -> Looks:
    """Returns the looks of a person. Without hair, the scalp still has the colour of hair."""
    coarse, scale = neutral_points(head, person)
    fine = head.surface(coarse)
    shape = Shape(head, fine, head.surface.normals(fine), scale)
    style = person.hair
    scalp = head.scalp(style.recession, style.balding)
    if worn.headwear != "none":
        scalp = scalp * (1 - headwear_region(head, worn.headwear))
        style = _under(style, worn.headwear)
    hidden = worn.headwear == "scarf"
    hair = scalp_hair(shape, style, scalp) if with_hair and not hidden else []
    colours = paint_skin(head, person.skin)
    _paint_hair(head, style, colours, scalp * (not hidden))
    relief = skin_relief(head, person.skin)
    return Looks((coarse, scale), colours, relief, hair, _shells(shape, person, worn))


def _under(style: HairStyle, headwear: str) -> HairStyle:
    """Cuts hair short that would pierce a hat, unless it hangs out below the hat."""
    pierces = style.style in ("afro", "curly", "medium") and style.length < 0.15
    if not pierces:
        return replace(style, lift=0.0)
    return replace(style, length=min(style.length, 0.03), lift=0.0)


def _paint_hair(head: HeadSurface, style: HairStyle, colours: Array, scalp: Array) -> None:
    """Darkens the skin below hair, beard and brows, in place: few hairs must cover it."""
    colour = np.array(style.colour)
    share = (0.35 if style.style in ("shaved", "bald") else 0.75) * scalp[:, None]
    colours += np.clip(share, 0, 1) * (0.8 * colour - colours)
    if style.beard != "none":
        region = {
            "moustache": head.moustache,
            "goatee": np.maximum(head.chin, head.moustache),
        }.get(style.beard, head.beard)
        tone = {"stubble": 0.30, "full": 0.65}.get(style.beard, 0.5)
        below = 0.6 * np.array(style.beard_colour) + 0.25 * colours
        colours += (tone * region)[:, None] * (below - colours)
    brows = head.brows(*style.brows)
    below = np.array(style.brow_colour) + 0.2 * colours
    colours += (0.45 * style.brow_density * brows)[:, None] * (below - colours)


def _shells(shape: Shape, person: Person, worn: Worn) -> list[Shell]:
    head = shape.head
    neckline = 0.15 + 0.06 * float(np.random.default_rng([person.seed, 9]).random())
    cloth = cloth_region(head, neckline)
    shells = [make_shell(shape, cloth, 0.006, person.cloth, smoothing=12, folds=0.0008)]
    if worn.headwear != "none":
        scarf = worn.headwear == "scarf"
        region = headwear_region(head, worn.headwear)
        if worn.headwear == "cap":
            region = region * (1 - head.ears)
        shells.append(
            make_shell(
                shape, region, 0.010 if scarf else 0.008, worn.headwear_colour, smoothing=30,
                folds=0.0009 if scarf else 0.0003,
            )
        )  # fmt: skip
        if worn.headwear == "cap":
            shells.append(cap_brim(shape, worn.headwear_colour))
    return [shell for shell in shells if shell is not None]
