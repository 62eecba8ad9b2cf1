"""Light without light paths: smooth and free of noise, for pictures that must be quick.

The light of the surroundings is described by nine numbers a colour, its spherical harmonics up to
the second order. A point's irradiance is their product with nine numbers of the point: those of its
normal (Ramamoorthi and Hanrahan, "An efficient representation for irradiance environment maps",
2001), or of the part of the surroundings that it sees (Sloan, Kautz and Snyder, "Precomputed
radiance transfer", 2002). There are neither sharp shadows nor light that surfaces reflect.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered.surface import smooth_step, unit
from face_perception.learning.synthesis.rendered.surroundings import (
    Panorama,
    directions,
    look_up,
)

Array = npt.NDArray[np.float64]

_ROWS = 32  # of the panorama from which the harmonics are computed
_COSINE = np.pi * np.array([1, *[2 / 3] * 3, *[1 / 4] * 5])  # of the cosine lobe about a normal
_DIRECTIONS = 120  # from which the visibility is computed
# Of the maps that find what a surface hides: the size of a cell, and the difference in depth that
# does not hide, metres. A surface that is seen at a slant differs in depth within a cell.
_CELL, _SLACK = 0.004, 0.003
_MIRROR = 0.025  # share of light that the wet eye reflects, seen from the front
# Share of the light that reaches an eye in its socket. Without it, eyes were brighter than the skin
# about them, which those of people seldom are.
_SOCKET = 0.6
_LAMP = 0.22  # half the angle of a key light as the eye sees it, radians


def harmonics(vectors: Array) -> Array:
    """Returns real spherical harmonics [N, 9] up to the second order, in unit directions [N, 3]."""
    x, y, z = vectors.T
    return np.stack(
        [np.full(len(x), 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x,
         1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z,
         0.546274 * (x * x - y * y)], axis=1,
    )  # fmt: skip


def seen_harmonics(points: Array, normals: Array) -> Array:
    """Numbers [V, 9] of the points of a surface whose parts hide the surroundings of others.

    ``points`` [V, 3] are metres and dense: nothing is hidden by less than some millimetres.
    """
    k = np.arange(_DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * k / _DIRECTIONS), np.pi * (1 + 5**0.5) * k
    rays = np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1
    )
    values = harmonics(rays)
    total = np.zeros((len(points), 9))
    for ray, value in zip(rays, values, strict=True):
        facing = np.maximum(normals @ ray, 0)
        across = unit(np.cross(ray, [0.31, 0.83, 0.47]))
        flat = np.stack([points @ across, points @ np.cross(ray, across)], axis=1)
        cells = np.floor((flat - flat.min(0)) / _CELL).astype(int)
        size = cells.max(0) + 1
        nearest = np.full(size[0] * size[1], -np.inf)
        at = cells[:, 0] * size[1] + cells[:, 1]
        depth = points @ ray
        np.maximum.at(nearest, at, depth)
        slant = np.sqrt(1 - np.minimum(facing, 1) ** 2) / np.maximum(facing, 0.05)
        visible = depth > nearest[at] - _SLACK - 1.5 * _CELL * slant
        total += (facing * visible)[:, None] * value
    return total * (4 * np.pi / _DIRECTIONS)


@dataclass(frozen=True, slots=True)
class SoftLight:
    """The light on a head; directions are in the head's frame.

    ``turn`` [3, 3] maps the head's frame to that of the ``panorama``. ``key`` is the direction [3]
    of a key light in the head's frame, and its strength against the surroundings.
    """

    panorama: Panorama
    turn: Array
    key: tuple[Array, float] | None
    _numbers: Array  # [9, 3]

    @classmethod
    def of(cls, panorama: Panorama, turn: Array, key: tuple[Array, float] | None) -> SoftLight:
        small = cv2.resize(panorama, (2 * _ROWS, _ROWS), interpolation=cv2.INTER_AREA)
        area = np.sin((np.arange(_ROWS) + 0.5) / _ROWS * np.pi) * (np.pi / _ROWS) ** 2
        rays = directions(_ROWS, 2 * _ROWS).reshape(-1, 3) @ turn
        weighted = (small * area[:, None, None]).reshape(-1, 3)
        numbers = harmonics(rays).T @ weighted
        if key is not None:
            numbers = numbers + np.pi * key[1] * harmonics(key[0][None]).T
        return cls(panorama, turn, key, np.asarray(numbers, float))

    def reflected(self, normals: Array, seen: Array | None = None) -> Array:
        """Returns the radiance [V, 3] of a white surface with these normals [V, 3].

        ``seen`` [V, 9] is what its points see (``seen_harmonics``); None for all that they face.
        """
        numbers = harmonics(normals) * _COSINE if seen is None else seen
        return np.asarray(np.maximum(numbers @ self._numbers, 0.02) / np.pi)

    def mirrored(self, points: Array, normals: Array, camera: Array) -> Array:
        """Returns the radiance [V, 3] that a wet surface shows a camera at ``camera`` [3] like a
        mirror.
        """
        ray = unit(points - camera)
        facing = (ray * normals).sum(1, keepdims=True)
        mirror = ray - 2 * facing * normals
        light = look_up(self.panorama, mirror @ self.turn.T)
        if self.key is not None:
            direction, strength = self.key
            inside = np.arccos(np.clip(mirror @ direction, -1, 1))
            light = light + (strength * 16 * smooth_step(inside, _LAMP * 1.1, _LAMP * 0.9))[:, None]
        share = _MIRROR + (1 - _MIRROR) * (1 - np.abs(facing)) ** 5
        return np.asarray(share * light)


def shade_of_lids(points: Array, upper: Array, lower: Array) -> Array:
    """Returns the share [V] of the light that the socket and the lids leave to the points of an
    eye.

    ``upper`` and ``lower`` [N, 3] are the edges of the lids. All are in the head's frame.
    """
    x, y = points[:, 0], points[:, 1]

    def height(edge: Array) -> Array:
        order = np.argsort(edge[:, 0])
        return np.interp(x, edge[order, 0], edge[order, 1])

    below, above = height(upper) - y, y - height(lower)
    upper_share = 0.30 + 0.70 * smooth_step(below, -0.0003, 0.0045)
    lower_share = 0.65 + 0.35 * smooth_step(above, -0.0003, 0.0030)
    return np.asarray(_SOCKET * upper_share * lower_share)
