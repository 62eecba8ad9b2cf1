"""Random changes of training faces: what real pictures have and rendered ones do not."""

from __future__ import annotations

import torch
from torch.nn import functional

from face_perception.learning.image_changes import (
    Images,
    blurred,
    covered,
    in_other_tones,
    lit_from_a_side,
    moved,
    noisy,
)

# Standard deviations of the errors of the landmarks that place a crop: turn (radians), size, and
# place (share of half the width).
_TURN, _SIZE, _PLACE = 0.05, 0.07, 0.05
_SMALLEST = 22  # pixels of the smallest face, before it is enlarged


def changed_faces(faces: Images) -> Images:
    """Changes side, place, size, sharpness, tone, light and noise of each face [N, 1, 56, 56]."""
    count = len(faces)
    flip = torch.rand(count) < 0.5
    faces = torch.where(flip.view(-1, 1, 1, 1), faces.flip(-1), faces)
    random = torch.randn(4, count)
    faces = moved(
        faces,
        _TURN * random[0],
        torch.exp(_SIZE * random[1]),
        _PLACE * random[2],
        _PLACE * random[3],
    )
    faces = blurred(_seen_from_afar(faces), torch.rand(count))
    faces = in_other_tones(faces, torch.exp(0.4 * torch.randn(count)), contrast=0.2, level=0.15)
    faces = covered(lit_from_a_side(_shaded(faces)))
    return noisy(faces, 0.12 * torch.rand(count)).clamp(-1, 1)


def _seen_from_afar(faces: Images) -> Images:
    """Shrinks half of the batches to a random size and enlarges them again."""
    side = faces.shape[-1]
    if float(torch.rand(())) < 0.5:
        return faces
    small = int(torch.randint(_SMALLEST, side, ()))
    shrunk = functional.interpolate(faces, size=small, mode="bilinear", antialias=True)
    return functional.interpolate(shrunk, size=side, mode="bicubic")


def _shaded(faces: Images) -> Images:
    """Adds smooth random shade, as hair, headwear and uneven light make it."""
    coarse = 0.2 * torch.randn(len(faces), 1, 4, 4)
    return faces + functional.interpolate(coarse, size=faces.shape[-1], mode="bicubic")
