"""Hairs as curves: of the head, the beard, the brows and the lashes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from face_perception.learning.synthesis.rendered.hair_styles import HairStyle
from face_perception.learning.synthesis.rendered.regions import HeadSurface
from face_perception.learning.synthesis.rendered.surface import smooth_noise, unit

Array = npt.NDArray[np.float64]

_SHADES = (0.7, 1.0, 1.3)  # of the strands of one head


@dataclass(frozen=True, slots=True)
class Strands:
    """Curves of one colour: ``points`` [N, P, 3] and ``radii`` [P], metres; colour linear RGB."""

    points: Array
    radii: Array
    colour: tuple[float, float, float]
    roughness: float = 0.35


@dataclass(frozen=True, slots=True)
class Shape:
    """The skin that hairs grow on: fine points and normals, [V, 3]."""

    head: HeadSurface
    points: Array
    normals: Array
    scale: float  # size of this head against the base mesh


def _roots(
    random: np.random.Generator, shape: Shape, density: Array, count: int
) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Points, normals and fine points of ``count`` random places, as ``density`` [V] says."""
    head = shape.head
    corners = head.rest[head.surface.quads]
    area = np.linalg.norm(
        np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]), axis=1
    )
    weight = area * density[head.surface.quads].mean(1)
    if weight.sum() <= 0:
        return np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, np.int64)
    quads = random.choice(len(weight), count, p=weight / weight.sum())
    u, v = random.random((2, count, 1))
    at = head.surface.quads[quads]
    shares = np.concatenate([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], axis=1)
    points = np.einsum("nk,nkc->nc", shares, shape.points[at])
    normals = unit(np.einsum("nk,nkc->nc", shares, shape.normals[at]))
    return points, normals, at[:, 0]


def _radii(count: int, root: float, tip: float) -> Array:
    return np.linspace(root, tip, count)


def _shaded(
    random: np.random.Generator, points: Array, radii: Array, colour: tuple[float, float, float]
) -> list[Strands]:
    """Returns the strands in groups of different brightness."""
    group = random.integers(0, len(_SHADES), len(points))
    out = []
    for k, shade in enumerate(_SHADES):
        red, green, blue = (min(0.9, value * shade) for value in colour)
        if (group == k).any():
            out.append(Strands(points[group == k], radii, (red, green, blue)))
    return out


def scalp_hair(
    shape: Shape, style: HairStyle, density: Array, detail: float = 1.0
) -> list[Strands]:
    """Returns hair of the head; ``density`` [V] says where, ``detail`` multiplies the number of
    hairs.
    """
    random = np.random.default_rng(style.seed)
    # Fewer and thicker hairs than people have: a picture of 256 pixels shows no single one.
    many = {"shaved": 9000, "bald": 7000, "short": 9000, "afro": 9000}.get(style.style, 5500)
    root, normal, index = _roots(random, shape, density, int(many * detail))
    if not len(root):
        return []
    rest = shape.head.rest[index]
    length = style.length * random.uniform(0.75, 1.1, len(root))
    steps = 4 if style.length < 0.012 else 9 if style.length < 0.1 else 14
    comb = _combed(style, rest, random)
    lift = {"shaved": 0.6, "bald": 0.6, "afro": 1.0}.get(style.style, 0.25 + 0.4 * style.lift)
    if style.style == "tied":
        lift = 0.05
    along = unit(comb - (comb * normal).sum(1, keepdims=True) * normal)
    direction = unit(along * (1 - lift) + normal * lift)
    # Every third point is near enough to keep hair off the skin.
    skin, outwards = shape.points[::3], shape.normals[::3]
    tree = cKDTree(skin)
    step = length[:, None] / (steps - 1)
    points = [root]
    at = root.copy()
    clumps = smooth_noise(rest, 0.006, random)[:, None] * 0.10
    side = unit(np.cross(normal, along))
    gravity = {"short": 0.10, "medium": 0.35, "tied": 0.0, "curly": 0.25}.get(style.style, 0.55)
    if style.style in ("afro", "shaved", "bald"):
        gravity = 0.0
    gap = 0.0012 + 0.011 * style.lift * min(1.0, style.length / 0.08)
    if style.style == "tied":
        gap = 0.0035
    tie = np.array([0.0, 0.035, -0.155]) * shape.scale
    parted = np.where(rest[:, 0] > style.parting, 1.0, -1.0)
    turns = random.uniform(0, 2 * np.pi, len(root))
    phase = 2 * np.pi * smooth_noise(rest, 0.012, random)
    layer = random.random(len(root))[:, None]
    for k in range(1, steps):
        if style.style == "tied":
            direction = unit(direction + 0.6 * unit(tie - at))
        if style.length > 0.1 and style.style != "tied":
            # Hair that comes over the forehead is parted to the sides of the face.
            here = at / shape.scale
            over = (here[:, 2] > -0.035) & (np.abs(here[:, 0]) < 0.066)
            over &= here[:, 1] < (0.035 if style.fringe else 0.075)
            aside = np.stack([parted, 0 * parted, -0.9 + 0 * parted], axis=1)
            direction = unit(direction + 1.2 * over[:, None] * aside)
        direction = unit(direction + gravity * np.array([0.0, -1.0, -0.05]) + clumps * side)
        at = at + direction * step
        if style.style not in ("afro", "shaved", "bald"):
            _, near = tree.query(at)
            out = at - skin[near]
            high = (out * outwards[near]).sum(1, keepdims=True)
            wanted = gap * (0.15 + 0.85 * layer) * min(1.0, k / 3)
            low = high < wanted
            at = np.where(low, at + (wanted - high) * outwards[near], at)
            inward = np.minimum((direction * outwards[near]).sum(1, keepdims=True), 0)
            direction = unit(np.where(low, direction - inward * outwards[near], direction))
        if style.style == "afro":
            direction = unit(direction + random.normal(0, 0.55, direction.shape))
        wave = style.curl * min(1.0, k / 4)
        size = 0.0035 + 0.006 * (1 - style.curl)
        angle = turns * (style.curl > 0.7) + phase + k * (0.8 + 1.6 * style.curl)
        offset = (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * normal) * size * wave
        points.append(at + offset)
    curves = np.stack(points, axis=1)
    thick = {"shaved": 0.00025, "bald": 0.00012, "short": 0.00034, "afro": 0.00040}.get(
        style.style, 0.00042
    )
    return _shaded(random, curves, _radii(steps, thick, 0.6 * thick), style.colour)


def _combed(style: HairStyle, rest: Array, random: np.random.Generator) -> Array:
    """Directions [N, 3] in which hair is combed, before it is laid on the head."""
    x, y, z = rest.T
    parted = np.where(x > style.parting, 1.0, -1.0)
    front = np.clip((z + 0.05) / 0.06, 0, 1)
    if style.style == "tied":
        return np.array([0.0, 0.035, -0.155]) - rest
    if style.style in ("bob", "long", "curly"):
        # From the parting to the sides, and back from the forehead.
        forward = 0.7 if style.fringe else -0.5
        high = np.clip((y - 0.02) / 0.06, 0, 1)
        comb = np.stack([parted * (0.4 + 0.8 * high), -0.9 + 0 * y, forward * front * high], axis=1)
    elif style.style == "medium":
        forward = 0.9 if style.fringe else -0.7
        comb = np.stack([parted * 0.7, 0.1 - 0.8 * (1 - front), forward * front - 0.3], axis=1)
    else:
        # Short hair: forward over the forehead or to the side, down at the sides and the nape.
        high = np.clip((y - 0.03) / 0.05, 0, 1)
        forward = 0.7 if style.fringe else -0.2
        comb = np.stack([0.6 * np.sign(style.parting + 1e-6) * high, -1.1 * (1 - high) + 0.2 * high,
                         forward * high], axis=1)  # fmt: skip
    return np.asarray(comb + random.normal(0, 0.12, comb.shape))


def beard_hair(shape: Shape, style: HairStyle, detail: float = 1.0) -> list[Strands]:
    """Returns the beard, or none."""
    if style.beard == "none":
        return []
    random = np.random.default_rng([style.seed, 1])
    head = shape.head
    region = {
        "stubble": head.beard, "full": head.beard, "moustache": head.moustache,
        "goatee": np.maximum(head.chin, 0.8 * head.moustache),
    }[style.beard]  # fmt: skip
    many = {"stubble": 5000, "full": 6500, "moustache": 900, "goatee": 2200}[style.beard]
    root, normal, index = _roots(random, shape, region, int(many * detail))
    rest = head.rest[index]
    down = np.stack([0.5 * np.sign(rest[:, 0]) * (rest[:, 1] > -0.062), -np.ones(len(root)),
                     0.1 * np.ones(len(root))], axis=1)  # fmt: skip
    down = down - (down * normal).sum(1, keepdims=True) * normal
    direction = unit(unit(down) * 0.8 + 0.55 * normal + random.normal(0, 0.18, down.shape))
    length = style.beard_length * random.uniform(0.5, 1.15, len(root))
    curves = _grown(root, direction, length, 5, curl=0.25, random=random)
    thick = 0.00011 if style.beard == "stubble" else 0.00020
    return _shaded(random, curves, _radii(5, thick, 0.6 * thick), style.beard_colour)


def brow_hair(shape: Shape, style: HairStyle) -> list[Strands]:
    random = np.random.default_rng([style.seed, 2])
    region = shape.head.brows(*style.brows)
    root, normal, index = _roots(random, shape, region, int(900 * style.brow_density))
    x, y, _ = shape.head.rest[index].T
    along = np.abs(x) - 0.012
    # Upwards at the nose, along the brow at the temple.
    rise = np.clip(1.2 - along / 0.014, -0.35, 1.2) + 0.25 * np.sign(0.020 - y)
    comb = np.stack([np.sign(x), rise, np.zeros(len(x))], axis=1)
    comb = comb - (comb * normal).sum(1, keepdims=True) * normal
    direction = unit(unit(comb) + 0.22 * normal + random.normal(0, 0.16, comb.shape))
    length = random.uniform(0.004, 0.008, len(root)) * (0.75 + 0.25 * style.brows[1])
    curves = _grown(root, direction, length, 4, curl=0.1, random=random)
    curves[:, 1:] += 0.0002 * normal[:, None]
    return _shaded(random, curves, _radii(4, 0.00010, 0.00005), style.brow_colour)


def lashes(
    upper: Array, lower: Array, outwards: Array, length: float, liner: float,
    random: np.random.Generator,
) -> list[Strands]:  # fmt: skip
    """Lashes on the edges of one eye's lids.

    ``upper`` and ``lower`` [N, 3] are points along the edges from the nose to the temple, and
    ``outwards`` [3] is where the eye socket faces.
    """
    out = []
    for edge, up, many, long in ((upper, 1.0, 75, length), (lower, -1.0, 40, 0.55 * length)):
        share = np.sort(random.uniform(0.05, 1, many))
        places = np.linspace(0, 1, len(edge))
        root = np.stack([np.interp(share, places, edge[:, axis]) for axis in range(3)], axis=1)
        across = unit(edge[-1] - edge[0])
        fan = (share - 0.45)[:, None] * 1.1 * across
        lift = np.array([0.0, up, 0.0])
        start = unit(outwards + 0.15 * lift + fan + random.normal(0, 0.08, (many, 3)))
        bend = unit(lift * 1.0 + 0.5 * outwards + fan)
        size = long * (0.55 + 0.45 * np.sin(np.pi * share**0.7)) * random.uniform(0.7, 1.1, many)
        curves = [root]
        for k in range(1, 5):
            direction = unit(start * (1 - k / 5) + bend * (k / 5))
            curves.append(curves[-1] + direction * (size / 4)[:, None])
        thick = 0.000075 * (1 + 0.9 * liner)
        dark = (0.010, 0.008, 0.007)
        out.append(Strands(np.stack(curves, axis=1), _radii(5, thick, 0.35 * thick), dark, 0.5))
    return out


def _grown(
    root: Array, direction: Array, length: Array, steps: int, *, curl: float,
    random: np.random.Generator,
) -> Array:  # fmt: skip
    """Curves [N, steps, 3] that start in ``direction`` and bend a little at random."""
    points = [root - 0.0003 * direction]
    for _ in range(1, steps):
        points.append(points[-1] + direction * (length / (steps - 1))[:, None])
        direction = unit(direction + curl * random.normal(0, 0.5, direction.shape))
    return np.stack(points, axis=1)
