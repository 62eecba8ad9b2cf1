"""Eyes as geometry: eyeball, cornea, iris and pupil, seen through a cornea that refracts.

The surface is opaque to the renderer. The colour of each point of the cornea is found by tracing
the ray from the camera through it to the iris (Snell), so that iris and pupil are where a camera
sees them, and no path has to cross a lens. The highlights lie on the cornea.

Measures after Gullstrand's schematic eye: eyeball 12 mm, cornea 7.8 mm, index 1.336.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered.person import Eyes
from face_perception.learning.synthesis.rendered.surface import smooth_step, unit
from face_perception.learning.synthesis.rendered.triangle_mesh import polar_grid_triangles

Array = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]

RADIUS = 0.012  # of the eyeball, metres
_CORNEA = 0.0078  # radius of curvature of the cornea
_INDEX = 1.336
# Depth of the iris behind the apex of the cornea.
_IRIS_DEPTH = 0.0031
AROUND = 128  # points on each circle of an eyeball


@dataclass(frozen=True, slots=True)
class Ball:
    """An eyeball about the origin that looks along z: [V, 3], [T, 3] and [V, 3]."""

    points: Array
    triangles: Triangles
    normals: Array


@lru_cache(maxsize=8)
def make_ball(limbus_radius: float, around: int = AROUND) -> Ball:
    """Returns a sphere with the cap of the cornea on it, which starts at ``limbus_radius`` metres.

    ``around`` is the number of points on each circle.
    """
    angle = np.arcsin(limbus_radius / RADIUS)
    cap = np.arcsin(limbus_radius / _CORNEA)
    inner = np.linspace(0.002, 1, 44) ** 0.9 * cap
    outer = angle + np.concatenate([np.linspace(0.012, 0.2, 14), np.linspace(0.25, 1.9, 18)])
    base = RADIUS * np.cos(angle) - _CORNEA * np.cos(cap)
    radii = np.concatenate([_CORNEA * np.sin(inner), RADIUS * np.sin(outer)])
    depths = np.concatenate([base + _CORNEA * np.cos(inner), RADIUS * np.cos(outer)])
    slopes = np.concatenate([inner, outer])
    # The edge between cornea and white is rounded, over a millimetre.
    for _ in range(6):
        slopes[1:-1] = np.where(
            np.abs(radii[1:-1] - limbus_radius) < 0.0012,
            (slopes[:-2] + slopes[1:-1] + slopes[2:]) / 3,
            slopes[1:-1],
        )
    turn = np.arange(around) * 2 * np.pi / around
    points = np.stack(
        [np.outer(radii, np.cos(turn)), np.outer(radii, np.sin(turn)),
         np.repeat(depths[:, None], around, 1)], axis=2,
    )  # fmt: skip
    normals = np.stack(
        [np.outer(np.sin(slopes), np.cos(turn)), np.outer(np.sin(slopes), np.sin(turn)),
         np.repeat(np.cos(slopes)[:, None], around, 1)], axis=2,
    )  # fmt: skip
    triangles = polar_grid_triangles(len(radii), around)
    return Ball(points.reshape(-1, 3), triangles, normals.reshape(-1, 3))


def limbus_radius(eyes: Eyes) -> float:
    """Returns where the cornea ends, metres: a little outside the iris."""
    return eyes.iris_radius + 0.0001


def apex(eyes: Eyes) -> float:
    """Returns the distance from the centre of the eyeball to the apex of the cornea, metres."""
    edge = limbus_radius(eyes)
    return float(
        RADIUS * np.cos(np.arcsin(edge / RADIUS))
        - _CORNEA * np.cos(np.arcsin(edge / _CORNEA))
        + _CORNEA
    )


def paint_ball(ball: Ball, eyes: Eyes, camera: Array, side: int) -> Array:
    """Colours [V, 3], linear RGB, as a camera at ``camera`` [3] sees them.

    ``camera`` is in metres in the frame of the ball, which looks along z. ``side`` is 1 for the
    left eye, -1 for the right.
    """
    edge = limbus_radius(eyes)
    colours = _white(ball, eyes, side)
    front = (np.hypot(*ball.points[:, :2].T) <= edge + 1e-6) & (ball.points[:, 2] > 0)
    at, normal = ball.points[front], ball.normals[front]
    ray = unit(at - camera)
    facing = -(ray * normal).sum(1, keepdims=True)
    bent = 1 - (1 - facing**2) / _INDEX**2
    inside = ray / _INDEX + (facing / _INDEX - np.sqrt(np.maximum(bent, 0))) * normal
    plane = apex(eyes) - _IRIS_DEPTH
    # The iris is a shallow cone; a plane is close enough for where a ray meets it.
    far = (plane - at[:, 2]) / np.minimum(inside[:, 2], -1e-3)
    meets = at + np.maximum(far, 0)[:, None] * inside
    radius, turn = np.hypot(meets[:, 0], meets[:, 1]), np.arctan2(meets[:, 1], meets[:, 0])
    iris = _iris(eyes, radius, turn, side)
    outside = smooth_step(radius, eyes.iris_radius * 0.985, eyes.iris_radius * 1.06)[:, None]
    iris = iris + outside * (0.30 * np.array(eyes.white) - iris)
    # The rim of the cornea hides the edge of the iris. It is dark: with a lighter one, irises
    # looked a third smaller in their eyes than those of people.
    rim = smooth_step(np.hypot(at[:, 0], at[:, 1]), edge - eyes.limbus, edge + 0.0001)[:, None]
    grey = 0.45 * np.array(eyes.iris) + 0.05 * np.array(eyes.white)
    colours[front] = iris + 0.75 * rim * (grey - iris)
    return np.clip(colours, 0.002, 0.95)


def _iris(eyes: Eyes, radius: Array, turn: Array, side: int) -> Array:
    """Colours of the iris and the pupil at polar places, [N, 3]."""
    random = np.random.default_rng([eyes.seed, side + 1])
    share = np.clip((radius - eyes.pupil_radius) / (eyes.iris_radius - eyes.pupil_radius), 0, 1)
    fibres = np.zeros(len(turn))
    for waves in (7, 17, 29, 43, 61):
        warp = random.uniform(0, 2 * np.pi) + random.uniform(-1.5, 1.5) * share
        fibres += random.uniform(0.4, 1) * np.cos(waves * turn + warp)
    fibres /= 2.0
    border = 0.30 + 0.05 * np.cos(9 * turn + random.uniform(0, 6)) + 0.03 * fibres
    inner = smooth_step(share, border + 0.12, border - 0.08)[:, None]
    colour = np.array(eyes.iris) + inner * (np.array(eyes.collarette) - np.array(eyes.iris))
    shade = np.interp(share, [0, 0.08, 0.3, 0.7, 0.9, 1], [0.7, 1.1, 1.15, 1.0, 0.75, 0.45])
    colour = colour * (shade * np.clip(1 + 0.28 * fibres, 0.35, 1.7))[:, None]
    for _ in range(random.poisson(0.8)):  # freckles of the iris
        spot = random.uniform(0.4, 0.9), random.uniform(-np.pi, np.pi)
        far = np.hypot(share - spot[0], (turn - spot[1]) * spot[0])
        colour *= 1 - 0.5 * smooth_step(far, 0.12, 0.05)[:, None]
    pupil = smooth_step(radius, eyes.pupil_radius * 1.04, eyes.pupil_radius * 0.96)[:, None]
    return np.asarray(colour + pupil * (0.0035 - colour))


def _white(ball: Ball, eyes: Eyes, side: int) -> Array:
    random = np.random.default_rng([eyes.seed, 7, side + 1])
    x, y, _ = ball.points.T
    polar = np.arccos(np.clip(ball.points[:, 2] / np.linalg.norm(ball.points, axis=1), -1, 1))
    colours = np.tile(np.array(eyes.white), (len(x), 1))
    turn = np.arctan2(y, x)
    veins = np.zeros(len(x))
    for _ in range(9):
        start = random.choice([0.0, np.pi]) + random.normal(0, 0.5)
        path = start + 0.25 * np.sin(polar * random.uniform(6, 14) + random.uniform(0, 6))
        near = np.abs((turn - path + np.pi) % (2 * np.pi) - np.pi) * np.sin(polar)
        veins += smooth_step(near, 0.03, 0.0) * smooth_step(polar, 0.6, 1.1)
    red = np.clip(eyes.veins * (0.45 * veins + 0.35 * smooth_step(polar, 0.7, 1.4)), 0, 0.7)
    colours *= 1 - red[:, None] * np.array([0.10, 0.62, 0.62])
    return np.asarray(colours)
