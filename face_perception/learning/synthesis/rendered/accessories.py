"""Glasses, masks, hats, scarves and clothes: shells over the skin, and frames as tubes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from face_perception.learning.synthesis.rendered.regions import HeadSurface
from face_perception.learning.synthesis.rendered.strands import Shape, Strands
from face_perception.learning.synthesis.rendered.surface import smooth_step, unit

Array = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]
Colour = tuple[float, float, float]

HEADWEAR = ("none", "beanie", "cap", "scarf")


@dataclass(frozen=True, slots=True)
class Glasses:
    """``transmission`` is the share of light that passes the lenses; below 0.3 they hide the eyes.

    Sizes in metres. ``roundness`` 1 is a circle, 0 nearly a rectangle.
    """

    width: float
    height: float
    roundness: float
    rim: float  # radius of the frame's tube
    colour: Colour
    transmission: float
    coating: float  # share of the reflections that a coating leaves
    tilt: float  # radians, the lower edge towards the cheeks
    drop: float  # metres below the eyes


@dataclass(frozen=True, slots=True)
class Worn:
    glasses: Glasses | None = None
    mask: Colour | None = None
    headwear: str = "none"
    headwear_colour: Colour = (0.1, 0.1, 0.1)


def draw_worn(random: np.random.Generator, sex: str, age: float) -> Worn:
    glasses = None
    if random.random() < np.interp(age, [10, 60], [0.2, 0.45]):
        glasses = draw_glasses(random, dark=random.random() < 0.15)
    mask: Colour | None = None
    if random.random() < 0.04:
        mask = [(0.75, 0.8, 0.85), (0.35, 0.55, 0.7), (0.02, 0.02, 0.025)][int(random.integers(3))]
    headwear = "none"
    if random.random() < 0.14:
        names = HEADWEAR[1:] if sex == "female" else HEADWEAR[1:3]
        headwear = str(random.choice(names))
    colour = random.uniform(0.01, 0.5, 3) * random.uniform(0.3, 1)
    grey = colour.mean()
    colour = grey + random.uniform(0.1, 1) * (colour - grey)
    return Worn(glasses, mask, headwear, (float(colour[0]), float(colour[1]), float(colour[2])))


def draw_glasses(random: np.random.Generator, *, dark: bool) -> Glasses:
    colours: list[Colour] = [
        (0.012, 0.011, 0.011), (0.03, 0.016, 0.008), (0.16, 0.15, 0.14), (0.35, 0.26, 0.12),
        (0.12, 0.02, 0.02), (0.02, 0.03, 0.08),
    ]  # fmt: skip
    roundness = float(random.choice([0.15, 0.35, 0.6, 1.0]))
    width = float(random.uniform(0.046, 0.054))
    height = width * float(random.uniform(0.62, 0.85)) if roundness < 1 else 0.92 * width
    if dark:
        height = max(height, 0.76 * width)
    return Glasses(
        width=width,
        height=height,
        roundness=roundness,
        rim=float(random.choice([0.0005, 0.0009, 0.0016, 0.0022])),
        colour=colours[int(random.integers(len(colours)))],
        transmission=float(random.uniform(0.02, 0.12) if dark else random.uniform(0.86, 0.98)),
        coating=float(random.uniform(0.12, 0.6)),
        tilt=float(np.radians(random.uniform(4, 12))),
        drop=float(random.uniform(0.0, 0.004)),
    )


@dataclass(frozen=True, slots=True)
class Lens:
    """The outline of one lens, [N, 3] in the frame of the head, and its outward normal, [3]."""

    outline: Array
    normal: Array
    centre: Array


def place_glasses(shape: Shape, glasses: Glasses) -> tuple[list[Strands], list[Lens]]:
    """Returns the frame, and both lenses, the left one first. Points are metres from the eyes'
    midpoint.
    """
    rest, scale = shape.head.rest, shape.scale
    nose = (np.abs(rest[:, 0]) < 0.002) & (np.abs(rest[:, 1] + 0.004) < 0.003) & (rest[:, 2] > 0.01)
    bridge = float(shape.points[nose][:, 2].max()) + 0.002
    near = (np.abs(np.abs(rest[:, 0]) - 0.031) < 0.02) & (np.abs(rest[:, 1]) < 0.022)
    front = max(float(shape.points[near & (rest[:, 2] > 0)][:, 2].max()) - 0.002, bridge - 0.004)
    gap = 0.0165 * scale / 1.06
    frame: list[Array] = []
    lenses = []
    turn = np.linspace(0, 2 * np.pi, 49)
    power = 2.0 + 3.0 * (1 - glasses.roundness)
    for side in (1, -1):
        x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / power) * glasses.width / 2
        y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / power) * glasses.height / 2
        middle = side * (gap / 2 + glasses.width / 2)
        wrap = 0.0025 * ((np.abs(x + middle) / 0.05) ** 2)
        outline = np.stack(
            [x + middle, y - glasses.drop - 0.002, front + np.sin(glasses.tilt) * y - wrap], axis=1
        )
        frame.append(outline)
        normal = unit(np.array([0.10 * side, -np.sin(glasses.tilt), 1.0]))
        lenses.append(Lens(outline[:-1], normal, outline[:-1].mean(0)))
        ear = (side * rest[:, 0] > 0.06) & (np.abs(rest[:, 1] - 0.004) < 0.006)
        ear &= np.abs(rest[:, 2] + 0.075) < 0.008
        over = shape.points[ear]
        end = np.array([side * (np.abs(over[:, 0]).max() + 0.001) if len(over) else side * 0.075,
                        0.006 * scale, -0.085 * scale])  # fmt: skip
        outer = outline[np.argmax(side * outline[:, 0])] + [0, 0.3 * glasses.height, -0.001]
        hinge = np.array(
            [side * max(abs(outer[0]), 0.92 * abs(end[0])), outer[1], outer[2] - 0.012]
        )
        down = end + np.array([0.0, -0.025, -0.012])
        frame.append(np.array([outer, outer, hinge, 0.5 * (hinge + end), end, down, down]))
    high = -glasses.drop + 0.20 * glasses.height
    arch = np.linspace(-1, 1, 9)
    frame.append(
        np.stack([arch * (gap / 2 + 0.001), high + 0.003 * (1 - arch**2),
                  front + 0.0035 * (1 - arch**2)], axis=1)
    )  # fmt: skip
    tubes = [
        Strands(curve[None], np.full(len(curve), max(glasses.rim, 0.0005)), glasses.colour, 0.2)
        for curve in frame
    ]
    return tubes, lenses


@dataclass(frozen=True, slots=True)
class Shell:
    """A mesh over the skin: points and normals [V, 3], triangles [T, 3], and what it is made of."""

    points: Array
    normals: Array
    triangles: Triangles
    colour: Colour
    roughness: float


def make_shell(
    shape: Shape, region: Array, thickness: float, colour: Colour, *, smoothing: int,
    roughness: float = 0.8, folds: float = 0.0,
) -> Shell | None:  # fmt: skip
    """Lifts the skin where ``region`` [V] exceeds 0.5 by ``thickness`` metres, and smooths it."""
    quads = shape.head.surface.quads
    quads = quads[(region[quads] > 0.5).all(1)]
    if not len(quads):
        return None
    used, flat = np.unique(quads, return_inverse=True)
    quads = flat.reshape(-1, 4)
    points = shape.points[used] + thickness * shape.normals[used]
    first, second = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
    ones = np.ones(len(first))
    beside = sparse.csr_matrix((ones, (first, second)), shape=(len(used), len(used)))
    beside = beside + beside.T
    beside = sparse.diags(1 / np.maximum(np.asarray(beside.sum(1)).ravel(), 1)) @ beside
    for _ in range(smoothing):
        points = 0.4 * points + 0.6 * (beside @ points)
    # Smoothing shrinks: lift what sank into the skin again.
    sunk = ((points - shape.points[used]) * shape.normals[used]).sum(1)
    points = points + np.maximum(0.6 * thickness - sunk, 0)[:, None] * shape.normals[used]
    for _ in range(smoothing // 4):
        points = 0.5 * points + 0.5 * (beside @ points)
    if folds:
        rest = shape.head.rest[used]
        wave = np.sin(rest[:, 1] * 420 + 40 * np.abs(rest[:, 0]) + 3 * np.sin(rest[:, 0] * 130))
        points = points + folds * wave[:, None] * shape.normals[used]
    facing = np.cross(
        points[quads[:, 2]] - points[quads[:, 0]], points[quads[:, 3]] - points[quads[:, 1]]
    )
    normals = np.stack(
        [np.bincount(quads.ravel(), np.repeat(facing[:, k], 4), len(used)) for k in range(3)], 1
    )
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return Shell(points, unit(np.asarray(normals, float)), triangles, colour, roughness)


def cloth_region(head: HeadSurface, neckline: float) -> Array:
    """Returns the chest below a neckline, in front ``neckline`` metres below the eyes."""
    x, y, z = head.rest.T
    line = -neckline + 0.35 * np.abs(x) + 0.3 * np.clip(-0.03 - z, 0, 0.2)
    return smooth_step(y - np.minimum(line, -0.135), 0.003, -0.003)


def mask_region(head: HeadSurface) -> Array:
    """Returns what a surgical mask covers: from the nose's bridge to below the chin."""
    x, y, z = head.rest.T
    upper = -0.022 - 0.10 * np.clip(np.abs(x) - 0.012, 0, 1) * 1.6
    inside = smooth_step(y - upper, 0.001, -0.001) * smooth_step(y, -0.124, -0.120)
    inside *= smooth_step(z, -0.040, -0.036) * smooth_step(np.abs(x), 0.066, 0.063)
    return np.asarray(inside) * (z + 0.5 * (y + 0.09) > -0.06)


def headwear_region(head: HeadSurface, kind: str) -> Array:
    x, y, z = head.rest.T
    if kind == "scarf":
        # Everything but an oval face, and the neck.
        oval = np.hypot(x / 0.066, (y + 0.030) / 0.100)
        covered = np.where(z > -0.035, smooth_step(oval, 0.97, 1.03), 1.0)
        return np.asarray(covered * smooth_step(y, -0.26, -0.25) + 0.0)
    line = np.interp(z, [-0.16, -0.09, -0.03, 0.03], [-0.005, 0.022, 0.045, 0.052])
    if kind == "cap":
        line = line + 0.006
    return smooth_step(y - line, -0.001, 0.003)


def cap_brim(shape: Shape, colour: Colour) -> Shell:
    """Returns the peak of a cap, in front of the forehead."""
    rest = shape.head.rest
    at = (np.abs(rest[:, 1] - 0.058) < 0.004) & (rest[:, 2] > -0.012)
    row = shape.points[at]
    turn = np.linspace(-1, 1, 25)
    edge = np.stack([np.interp(turn, np.linspace(-1, 1, 25), turn) * np.abs(row[:, 0]).max(),
                     np.full(25, row[:, 1].mean()), np.zeros(25)], axis=1)  # fmt: skip
    order = np.argsort(row[:, 0])
    edge[:, 2] = np.interp(edge[:, 0], row[order, 0], row[order, 2])
    edge[:, 2] += 0.003
    points = []
    for share in np.linspace(0, 1, 8):
        out = edge.copy()
        out[:, 2] += share * 0.062 * np.sqrt(np.clip(1 - turn**2, 0, 1))
        out[:, 1] -= share * (0.010 + 0.010 * turn**2) * np.sqrt(np.clip(1 - turn**2, 0, 1))
        points.append(out)
    grid = np.stack(points)
    rows, columns = np.meshgrid(np.arange(7), np.arange(24), indexing="ij")
    a = rows * 25 + columns
    triangles = np.concatenate(
        [np.stack([a, a + 25, a + 1], -1), np.stack([a + 1, a + 25, a + 26], -1)]
    ).reshape(-1, 3)
    normals = np.tile([0.0, 1.0, 0.1], (8 * 25, 1))
    return Shell(grid.reshape(-1, 3), unit(normals), triangles, colour, 0.8)
