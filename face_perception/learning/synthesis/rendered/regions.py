"""Where brows, lips, scalp and beard are on the head, as weights on the fine mesh.

All places are stated on the base mesh at rest, whose points are the same on every person: metres
from the midpoint of its eyes, x to the person's left, y up, z out of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from face_perception.learning.synthesis.rendered.human_parts import HumanParts
from face_perception.learning.synthesis.rendered.surface import Subdivision, bump, smooth_step

Array = npt.NDArray[np.float64]

EYES_APART = 0.06155  # of the base mesh at rest


@dataclass(frozen=True)
class HeadSurface:
    """The fine mesh of head and chest: its subdivision, and its points at rest, [V, 3]."""

    parts: HumanParts
    surface: Subdivision
    rest: Array

    @classmethod
    def of(cls, parts: HumanParts, levels: int = 2, *, face_only: bool = False) -> HeadSurface:
        """Returns the surface of a head; with ``face_only``, without chest and back of the head."""
        eyes = np.concatenate([parts.groups[f"helper-{side}-eye"].ravel() for side in "lr"])
        rest = parts.points - parts.points[np.unique(eyes)].mean(0)
        quads = parts.groups["body"]
        middles = rest[quads].mean(1)
        near = (middles[:, 1] > -0.34) & (np.abs(middles[:, 0]) < 0.24)
        if face_only:
            near &= (middles[:, 1] > -0.17) & (middles[:, 2] > -0.09)
        surface = Subdivision(quads[near], levels)
        return cls(parts, surface, surface(rest))

    def carried(self, target: str) -> Array:
        """Returns how far a target moves each fine point, [V], as a share of the most."""
        return self.surface(self.parts.strength(target))

    @cached_property
    def lips(self) -> Array:
        both = np.maximum(
            self.parts.strength("mouthRollUpper"), self.parts.strength("mouthRollLower")
        )
        x, y, z = self.rest.T
        # The units move the chin as well: the lips end where they do on the mesh at rest.
        open_share = np.clip(np.abs(x) / 0.026, 0, 1) ** 1.6
        top = -0.0570 - 0.0088 * open_share - 0.0012 * bump(x, 0, 0.0025)
        bottom = -0.0772 + 0.0104 * open_share
        inside = smooth_step(y - top, 0.0010, -0.0010) * smooth_step(y - bottom, -0.0012, 0.0010)
        return inside * smooth_step(self.surface(both), 0.05, 0.2) * (z > 0.008)

    @cached_property
    def lash_line(self) -> Array:
        """The edges of the lids, where lashes grow: 1 on the roots, less around them."""
        groups = [f"helper-{side}-eyelashes-{number}" for side in "lr" for number in (1, 2)]
        lashes = np.unique(np.concatenate([self.parts.groups[name].ravel() for name in groups]))
        eyes = np.concatenate([self.parts.groups[f"helper-{side}-eye"].ravel() for side in "lr"])
        middle = self.parts.points[np.unique(eyes)].mean(0)
        points = self.parts.points[lashes] - middle
        near, _ = cKDTree(self.rest).query(points)
        away, _ = cKDTree(points[near < 0.0008]).query(self.rest)
        return bump(away, 0, 0.0011)

    @cached_property
    def ears(self) -> Array:
        both = np.maximum(*(self.carried(f"ears/{side}-ear-scale-incr") for side in "lr"))
        return smooth_step(both, 0.02, 0.12)

    @cached_property
    def inside(self) -> Array:
        """The lining of mouth, nostrils and eye sockets: what faces into the head."""
        facing = self.surface.normals(self.rest)
        outwards = self.rest - [0, -0.02, -0.06]
        return smooth_step((facing * outwards).sum(1) / np.linalg.norm(outwards, axis=1), 0.1, -0.2)

    def brows(self, height: float, thickness: float, arch: float, length: float) -> Array:
        """Returns where the hair of both brows grows, [V], 0 to 1.

        Usual values of ``height``, ``thickness``, ``arch`` and ``length`` are 0, 1, 1 and 1.
        """
        out = np.zeros(len(self.rest))
        for side in (1, -1):
            along = side * self.rest[:, 0] - EYES_APART / 2  # towards the temple
            start, end = -0.0205, -0.0205 + 0.044 * length
            share = np.clip((along - start) / (end - start), 0, 1)
            middle = 0.0148 + height + arch * 0.0042 * np.sin(np.pi * share**0.85)
            middle -= 0.0020 * share**2
            thick = thickness * 0.0026 * (1 - 0.65 * share)
            ends = smooth_step(along, start - 0.002, start + 0.003)
            ends *= smooth_step(along, end + 0.002, end - 0.006)
            inside = smooth_step(np.abs(self.rest[:, 1] - middle) / thick, 1.35, 0.65)
            out += inside * ends * (self.rest[:, 2] > -0.02)
        return np.clip(out, 0, 1)

    def scalp(self, recession: float, balding: float) -> Array:
        """Returns where hair grows. ``recession`` moves the temples back, ``balding`` clears the
        top; 0, 1.

        Hamilton's scale of baldness runs from (0, 0) to (1, 1).
        """
        x, y, z = self.rest.T
        line = np.interp(
            z,
            [-0.165, -0.12, -0.100, -0.085, -0.050, -0.042, -0.028, -0.005, 0.015, 0.03],
            [-0.068, -0.062, -0.035, -0.020, -0.015, 0.010, 0.038, 0.058, 0.066, 0.069],
        )
        corner = bump(np.abs(x), 0.040, 0.014) * (z > -0.06)
        line = line + 0.03 * recession * corner + 0.010 * recession * (z > -0.03)
        line = line + 0.0022 * np.sin(x * 900) * (z > -0.03)
        hair = smooth_step(y - line, -0.003, 0.008)
        top = smooth_step(y, 0.052 + 0.05 * (1 - balding), 0.070 + 0.05 * (1 - balding))
        hair *= 1 - top * min(1.0, 2 * balding)
        return hair * (1 - self.ears) * smooth_step(y, -0.075, -0.06)

    @cached_property
    def beard(self) -> Array:
        """Where a full beard grows: cheeks, jaw and chin, and the moustache."""
        x, y, z = self.rest.T
        top = np.interp(
            z,
            [-0.075, -0.05, -0.02, 0.005, 0.02, 0.035],
            [0.0, -0.018, -0.048, -0.058, -0.058, -0.06],
        )
        jaw = smooth_step(y - top, 0.002, -0.008) * smooth_step(y, -0.128, -0.112)
        jaw *= smooth_step(z, -0.075, -0.065)
        # The skin beside the lower lip is bare.
        jaw *= 1 - 0.8 * bump(np.abs(x), 0.013, 0.005) * bump(y, -0.083, 0.005) * (z > 0.01)
        return np.clip(np.maximum(jaw, self.moustache), 0, 1) * (1 - self.lips) * (1 - self.ears)

    @cached_property
    def moustache(self) -> Array:
        x, y, z = self.rest.T
        lower = -0.061 - 0.012 * smooth_step(np.abs(x), 0.014, 0.034)
        upper = -0.0465 - 0.012 * smooth_step(np.abs(x), 0.008, 0.03)
        inside = smooth_step(y - upper, 0.001, -0.003) * smooth_step(y - lower, -0.001, 0.002)
        out = inside * smooth_step(np.abs(x), 0.036, 0.030) * (z > 0.008)
        return out * (1 - self.lips) * (1 - self.inside)

    @cached_property
    def chin(self) -> Array:
        x, y, z = self.rest.T
        return self.beard * smooth_step(np.abs(x), 0.027, 0.021) * (z > -0.03) * (y < -0.066)
