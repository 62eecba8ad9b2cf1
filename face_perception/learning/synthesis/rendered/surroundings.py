"""Rooms and skies around a person, painted by procedure: they light the scene and fill its back.

A panorama is [H, 2H, 3], linear RGB, in the renderer's layout: column u and row v, as shares of
width and height, show the direction (sin(2πu) sin(πv), cos(πv), -cos(2πu) sin(πv)); the camera
looks along -z (u = 0), with x to the right of the picture and y up.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Panorama = npt.NDArray[np.float32]

KINDS = ("room", "window behind", "dark room", "overcast", "sun", "studio")
_HEIGHT = 256


def draw_surroundings(random: np.random.Generator, kind: str) -> Panorama:
    """Paints surroundings of one of ``KINDS``; all of them have a mean radiance near 1."""
    height, width = _HEIGHT, 2 * _HEIGHT
    outdoors = kind in ("overcast", "sun")
    image = _outdoors(random, kind == "sun") if outdoors else _indoors(random, kind)
    blur = random.uniform(2.0, 9.0)
    # Depth of field: the back of the picture is out of focus, everywhere alike.
    wide = np.concatenate([image[:, -width // 4 :], image, image[:, : width // 4]], axis=1)
    wide = cv2.GaussianBlur(wide, (0, 0), blur)
    image = wide[:, width // 4 : width // 4 + width]
    if kind == "sun":
        _add_light(image, random.uniform(-1.3, 1.3) + np.pi, random.uniform(0.4, 1.1), 0.05,
                   np.array([1.0, 0.93, 0.82]) * random.uniform(80, 200))  # fmt: skip
    weight = np.sin((np.arange(height) + 0.5) / height * np.pi)[:, None, None]
    mean = float((image * weight).sum() / (3 * width * weight.sum()))
    return np.ascontiguousarray(image / mean, dtype=np.float32)


def _indoors(random: np.random.Generator, kind: str) -> Panorama:
    height, width = _HEIGHT, 2 * _HEIGHT
    image = np.zeros((height, width, 3), np.float32)
    wall = _tint(random, 0.15) * random.uniform(0.15, 0.7)
    ceiling = _tint(random, 0.05) * random.uniform(0.5, 1.2)
    floor = _tint(random, 0.25) * random.uniform(0.08, 0.4)
    top, bottom = int(height * random.uniform(0.25, 0.38)), int(height * random.uniform(0.56, 0.68))
    image[:top], image[top:bottom], image[bottom:] = ceiling, wall, floor
    shade = 1 + 0.35 * np.cos(
        np.arange(width) / width * 2 * np.pi * random.integers(1, 3) + random.uniform(0, 6)
    )
    image *= shade[None, :, None].astype(np.float32)
    for _ in range(random.integers(8, 40)):  # furniture, pictures, doors
        w, h = int(random.uniform(6, 70)), int(random.uniform(8, 90))
        x = int(random.uniform(0, width))
        y = int(np.clip(random.normal(0.55, 0.15) * height, 0, height - h - 1))
        colour = _tint(random, 0.6) * random.uniform(0.02, 0.8)
        _fill(image, x, y, w, h, colour)
    windows = {"dark room": 0, "studio": 0}.get(kind, int(random.integers(0, 4)))
    for _ in range(windows):
        _window(random, image, random.uniform(0, width), random.uniform(3, 14))
    if kind == "window behind":
        _window(random, image, random.uniform(-0.08, 0.08) * width, random.uniform(4, 9))
    for _ in range(int(random.integers(1, 5))):  # lamps
        colour = np.array([1.0, random.uniform(0.75, 1.0), random.uniform(0.5, 1.05)])
        _add_light(image, random.uniform(0, 2 * np.pi), random.uniform(0.3, 1.3),
                   random.uniform(0.05, 0.16), colour * random.uniform(6, 30))  # fmt: skip
    if kind == "dark room":
        image *= 0.25
        # A screen before the person.
        colour = _tint(random, 0.4) * random.uniform(2, 6)
        _fill(image, width // 2 - 25, int(0.5 * height), 50, 34, colour)
    if kind == "studio":
        image *= 0.5
        for _ in range(int(random.integers(1, 4))):  # soft boxes before the person
            at = int(width / 2 + random.uniform(-0.2, 0.2) * width)
            down = int(random.uniform(0.22, 0.5) * height)
            across, high = int(random.uniform(15, 50)), int(random.uniform(15, 50))
            _fill(image, at, down, across, high, _tint(random, 0.08) * random.uniform(6, 25))
        _fill(image, -80, 0, 160, height, _tint(random, 0.3) * random.uniform(0.1, 0.9))
    return image


def _outdoors(random: np.random.Generator, sun: bool) -> Panorama:
    height, width = _HEIGHT, 2 * _HEIGHT
    rows = (np.arange(height) + 0.5) / height
    zenith = np.array([0.25, 0.42, 0.85] if sun else [0.85, 0.9, 1.0])
    horizon = np.array([0.8, 0.85, 0.95]) * random.uniform(0.8, 1.1)
    share = np.clip(rows / 0.5, 0, 1)[:, None]
    image = np.repeat((zenith + share**2 * (horizon - zenith))[:, None], width, 1)
    ground = _tint(random, 0.4) * random.uniform(0.1, 0.4)
    image[rows > 0.5] = ground
    for _ in range(random.integers(10, 50)):  # houses, trees, cars
        w, h = int(random.uniform(6, 60)), int(random.uniform(6, 70))
        green = np.array([0.08, 0.16, 0.05]) * random.uniform(0.4, 2)
        colour = green if random.random() < 0.5 else _tint(random, 0.4) * random.uniform(0.05, 0.8)
        _fill(image, int(random.uniform(0, width)), int(0.53 * height - h), w, h, colour)
    return image.astype(np.float32)


def _window(random: np.random.Generator, image: Panorama, x: float, level: float) -> None:
    w, h = int(random.uniform(18, 60)), int(random.uniform(40, 80))
    y = int(random.uniform(0.28, 0.42) * len(image))
    colour = np.array([0.92, 0.97, 1.05]) * random.uniform(0.92, 1.08, 3) * level
    _fill(image, int(x), y, w, h, colour)
    _fill(image, int(x) + w // 2, y, 2, h, np.array([0.3, 0.3, 0.3]))


def _fill(image: Panorama, x: int, y: int, w: int, h: int, colour: npt.NDArray[np.float64]) -> None:
    columns = np.arange(x, x + w) % image.shape[1]
    image[max(y, 0) : max(y, 0) + h, columns] = colour


def _add_light(
    image: Panorama, azimuth: float, elevation: float, size: float,
    colour: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """Adds a round light; angles in radians, ``azimuth`` 0 is where the camera looks."""
    far = np.arccos(np.clip(directions(*image.shape[:2]) @ _direction(azimuth, elevation), -1, 1))
    image += (np.exp(-0.5 * (far / size) ** 2)[..., None] * colour).astype(np.float32)


def _direction(azimuth: float, elevation: float) -> npt.NDArray[np.float64]:
    level = np.cos(elevation)
    return np.array([level * np.sin(azimuth), np.sin(elevation), -level * np.cos(azimuth)])


def directions(height: int, width: int) -> npt.NDArray[np.float64]:
    """Returns unit directions [height, width, 3] of the pixels of a panorama."""
    u = (np.arange(width) + 0.5) / width * 2 * np.pi
    v = (np.arange(height) + 0.5) / height * np.pi
    level = np.sin(v)[:, None]
    x, z = level * np.sin(u), -level * np.cos(u)
    return np.stack([x, np.repeat(np.cos(v)[:, None], width, 1), z], axis=2)


def look_up(panorama: Panorama, direction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the radiance [N, 3] from unit directions [N, 3]."""
    height, width = panorama.shape[:2]
    u = np.arctan2(direction[:, 0], -direction[:, 2]) / (2 * np.pi) % 1
    v = np.arccos(np.clip(direction[:, 1], -1, 1)) / np.pi
    rows = np.minimum((v * height).astype(int), height - 1)
    return np.asarray(panorama[rows, (u * width).astype(int) % width], float)


def _tint(random: np.random.Generator, saturation: float) -> npt.NDArray[np.float64]:
    colour = random.uniform(0.2, 1.0, 3)
    grey = colour.mean()
    return np.asarray((grey + saturation * (colour - grey)) / grey)
