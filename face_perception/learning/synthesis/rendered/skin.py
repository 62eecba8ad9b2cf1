"""Colours of skin, made by procedure: melanin and blood, freckles, lips, shadows and make-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered.regions import EYES_APART, HeadSurface
from face_perception.learning.synthesis.rendered.surface import bump, smooth_noise, smooth_step

Array = npt.NDArray[np.float64]

# Reflectance of skin by its melanin, linear RGB; between photographs of pale and of dark people.
_MELANIN = (0.0, 0.3, 0.6, 0.85, 1.0)
_REFLECTANCE = np.array(
    [
        (0.74, 0.50, 0.40),
        (0.58, 0.35, 0.25),
        (0.33, 0.17, 0.105),
        (0.14, 0.068, 0.043),
        (0.060, 0.033, 0.023),
    ]
)


@dataclass(frozen=True, slots=True)
class Skin:
    """What one person's skin looks like; all but ``melanin`` and ``roughness`` are 0 to about 1."""

    melanin: float  # 0 pale to 1 dark
    redness: float
    freckles: float
    blotches: float
    wrinkles: float
    eye_rings: float
    roughness: float
    undertone: tuple[float, float, float]  # multiplies the reflectance
    lipstick: tuple[float, float, float] | None  # linear RGB
    eye_shadow: float
    liner: float
    seed: int


def draw_skin(random: np.random.Generator, ancestry: Array, age: float, sex: str) -> Skin:
    """Draws a skin; ``ancestry`` [3] are the shares of african, asian and caucasian."""
    usual = float(ancestry @ [0.86, 0.36, 0.17])
    melanin = float(np.clip(random.normal(usual, 0.13), 0.0, 1.0))
    made_up = sex == "female" and age > 15 and random.random() < 0.5
    lipstick = None
    if made_up and random.random() < 0.7:
        red = np.array([0.42, 0.06, 0.07]) * random.uniform(0.5, 1.3)
        red[1:] *= random.uniform(0.6, 2.2)
        lipstick = (float(red[0]), float(red[1]), float(red[2]))
    undertone = 1 + random.normal(0, [0.03, 0.03, 0.07])
    return Skin(
        melanin=melanin,
        redness=float(random.uniform(0.3, 1.1)),
        freckles=float(random.beta(0.8, 2.0) * (1.3 - melanin)) if random.random() < 0.4 else 0.0,
        blotches=float(random.uniform(0.3, 1.0)),
        wrinkles=float(np.clip(np.interp(age, [22, 75], [0.0, 1.0]) + random.normal(0, 0.1), 0, 1)),
        eye_rings=float(random.beta(1.6, 2.5)),
        roughness=float(random.uniform(0.38, 0.62)),
        undertone=(float(undertone[0]), float(undertone[1]), float(undertone[2])),
        lipstick=lipstick,
        eye_shadow=float(random.uniform(0.2, 0.7)) if made_up and random.random() < 0.6 else 0.0,
        liner=float(random.uniform(0.3, 0.9)) if made_up else 0.0,
        seed=int(random.integers(1 << 31)),
    )


def brightness(skin: Skin) -> float:
    """Returns the mean reflectance of the skin, 0 to 1."""
    return float(np.mean([np.interp(skin.melanin, _MELANIN, one) for one in _REFLECTANCE.T]))


def paint_skin(head: HeadSurface, skin: Skin) -> Array:
    """Colours of the fine points, [V, 3], linear RGB, without hair."""
    random = np.random.default_rng(skin.seed)
    rest = head.rest
    x, y, z = rest.T
    melanin = np.full(len(rest), skin.melanin)
    melanin += 0.016 * skin.blotches * smooth_noise(rest, 0.02, random)
    melanin += 0.006 * smooth_noise(rest, 0.004, random)
    melanin += 0.03 * smooth_step(y, 0.0, 0.06)  # the forehead is tanned
    spots = smooth_noise(rest, 0.0011, random) + 0.7 * smooth_noise(rest, 0.012, random)
    face = bump(y, -0.025, 0.035) * (z > -0.03)
    melanin += 0.20 * skin.freckles * smooth_step(spots, 1.0, 1.8) * face
    for _ in range(random.poisson(1.5)):  # moles
        where = rest[random.integers(len(rest))]
        melanin += 0.45 * bump(np.linalg.norm(rest - where, axis=1), 0, 0.0009)
    folds = _eye_rings(x, y, z)
    melanin += 0.13 * skin.eye_rings * folds
    blood = _blood(x, y, z) * skin.redness + 0.35 * head.ears
    blood += 0.07 * skin.blotches * smooth_noise(rest, 0.008, random)
    colours = np.stack(
        [np.interp(melanin, _MELANIN, channel) for channel in _REFLECTANCE.T], axis=1
    )
    colours *= np.array(skin.undertone)
    shown = np.clip(1.15 - skin.melanin, 0.25, 1.0)
    colours *= 1 - shown * np.clip(blood, -0.3, 1.2)[:, None] * np.array([0.06, 0.30, 0.26])
    colours *= 1 + 0.015 * smooth_noise(rest, 0.0013, random)[:, None]
    colours *= 1 - 0.10 * skin.eye_rings * folds[:, None] * np.array([1.0, 0.8, 0.5])
    lip = head.lips[:, None]
    natural = colours * (
        1 - np.clip(1.05 - 0.5 * skin.melanin, 0, 1) * np.array([0.22, 0.55, 0.48])
    )
    if skin.lipstick is not None:
        natural = 0.15 * natural + 0.85 * np.array(skin.lipstick)
    lines = 1 + 0.10 * np.sin(x * 5200 + 2 * smooth_noise(rest, 0.004, random))
    colours += lip * (natural * lines[:, None] - colours)
    if skin.eye_shadow:
        lid = _upper_lid(x, y, z)[:, None] * skin.eye_shadow
        colours *= 1 - lid * random.uniform(0.3, 0.85, 3)
    colours *= 1 - (0.45 + 0.4 * skin.liner) * head.lash_line[:, None]
    inside = head.inside * (1 - 0.5 * head.lips) * (z > -0.02) * (np.abs(x) < 0.05)
    mouth = inside * (y < -0.03)
    colours += mouth[:, None] * (np.array([0.17, 0.05, 0.045]) - colours)
    return np.clip(colours, 0.004, 0.95)


def skin_relief(head: HeadSurface, skin: Skin) -> Array:
    """Returns what pores and fine lines of age add to the normals of the fine points, [V, 3]."""
    random = np.random.default_rng([skin.seed, 1])
    x, y, z = head.rest.T
    tilt = np.stack([smooth_noise(head.rest, 0.0013, random) for _ in range(3)], axis=1)
    out = (0.010 + 0.02 * skin.wrinkles) * tilt
    if skin.wrinkles > 0.15:
        wave = 0.25 * smooth_noise(head.rest, 0.03, random)
        forehead = bump(y, 0.045, 0.016) * (z > -0.01)
        lines = np.sin((y + 0.004 * wave) * 2 * np.pi / 0.0085)
        out[:, 1] += 0.20 * skin.wrinkles * forehead * lines
        beside = np.hypot(np.abs(x) - EYES_APART / 2 - 0.022, y + 0.002)
        turn = np.arctan2(y + 0.002, np.abs(x) - EYES_APART / 2 - 0.012)
        crow = bump(beside, 0.010, 0.008) * (np.abs(x) > EYES_APART / 2 + 0.015)
        out[:, 1] += 0.22 * skin.wrinkles * crow * np.sin(turn * 14 + wave)
    return np.asarray(out)


def _blood(x: Array, y: Array, z: Array) -> Array:
    cheek = bump(np.hypot(np.abs(x) - 0.042, y + 0.036), 0, 0.019) * (z > -0.05)
    nose = bump(np.hypot(np.hypot(x, y + 0.037), 0.6 * (z - 0.035)), 0, 0.012)
    chin = bump(np.hypot(x, y + 0.102), 0, 0.014) * (z > 0)
    rims = bump(np.hypot(1.0 * (np.abs(x) - EYES_APART / 2) / 1.6, y), 0, 0.009) * (z > -0.01)
    return np.asarray(0.75 * cheek + 0.9 * nose + 0.35 * chin + 0.45 * rims)


def _eye_rings(x: Array, y: Array, z: Array) -> Array:
    """Returns the darker skin of the lids and below the eyes."""
    along = (np.abs(x) - EYES_APART / 2) / 0.020
    below = bump(y + 0.013 - 0.004 * along**2, 0, 0.006) * bump(along, -0.25, 0.6)
    lid = bump(y, 0.008, 0.006) * bump(along, 0, 0.7)
    return np.asarray((below + 0.6 * lid) * (z > -0.01))


def _upper_lid(x: Array, y: Array, z: Array) -> Array:
    along = (np.abs(x) - EYES_APART / 2) / 0.018
    return np.asarray(bump(y, 0.010, 0.0045) * bump(along, 0.1, 0.7) * (z > -0.01))
