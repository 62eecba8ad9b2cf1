"""Draws the interior of the mouth: teeth, tongue and the dark cavity, lit like the picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.avatar.portrait.anatomy import Anatomy
from face_perception.avatar.portrait.deformations import JAW_DROP
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.float32]

_FINE = 4  # teeth are drawn this many times larger and then shrunk
_HALF_CM, _HIGH_CM = 3.4, 2.4  # half width and half height of what is drawn

# Width and height of the crowns as seen from the front, cm: half an arch, from the middle.
_UPPER = ((0.84, 0.98), (0.65, 0.88), (0.70, 0.96), (0.52, 0.84), (0.42, 0.74), (0.34, 0.64))
_LOWER = ((0.52, 0.80), (0.56, 0.82), (0.64, 0.88), (0.52, 0.80), (0.44, 0.72), (0.36, 0.64))
_UPPER_EDGE_CM = 0.22  # edge of the upper incisors below the line where the lips meet
_LOWER_EDGE_CM = 0.06  # edge of the lower incisors above that line
# Share of the jaw drop by which the lower teeth go down: they stay in sight above the lower lip.
_TEETH_DROP = 0.86

_THROAT = np.array([36.0, 12.0, 13.0])
_WALL = np.array([128.0, 58.0, 58.0])  # of cheeks and palate in full light
_GUM = np.array([186.0, 104.0, 104.0])
_TONGUE = np.array([204.0, 116.0, 112.0])
_ENAMEL = np.array([236.0, 228.0, 212.0])


class MouthInterior:
    """The interior of one face's mouth. It is drawn once and placed in each frame."""

    def __init__(self, image: Image, face: Anatomy) -> None:
        self._face = face
        light = _light(image, face)
        self._throat = (_THROAT * light).astype(np.float32)
        blur = 0.035 * face.cm * _FINE
        shine = _teeth_light(image, face)
        if shine is None:
            shine = light
        self._upper = _sprite(_arch(_UPPER, face, True), shine, face.cm, blur)
        self._lower = _sprite(_arch(_LOWER, face, False), shine, face.cm, blur)
        self._tongue = _sprite(_tongue(face.cm), light, face.cm, 0.05 * face.cm * _FINE)
        self._walls = _sprite(_walls(face.cm), light, face.cm, 0.08 * face.cm * _FINE)

    def draw_interior(
        self,
        size: tuple[int, int],
        origin: tuple[float, float],
        skull: FloatArray,
        chin: FloatArray,
        mask: Pixels,
        pushed: float = 0.0,
    ) -> Pixels:
        """Returns float32 RGB [H, W, 3] for a box of the frame.

        - ``size``: width and height of the box; ``origin``: its first pixel in the frame.
        - ``skull`` [2]: where the line between the closed lips would be in the frame, if only the
          head moved, pixels.
        - ``chin`` [2]: displacement of the jaw, pixels.
        - ``mask`` [H, W]: 1 inside the mouth opening, 0 outside.
        - ``pushed`` in [0, 1]: how far the lips are pushed forward. They hide and shade
          the teeth.
        """
        width, height = size
        out = np.empty((height, width, 3), np.float32)
        out[:] = self._throat
        at = skull - origin
        cm = self._face.cm
        drop = min(float(np.linalg.norm(chin)) / (JAW_DROP * cm), 1.0)
        # Cheeks and palate get light as the mouth opens; the throat behind the tongue stays dark.
        self._put(out, self._walls, at + 0.45 * chin, 0.25 + 0.75 * drop)
        self._put(out, self._tongue, at + (0.66 - 0.10 * drop) * chin)
        back = 0.16 * pushed * cm * self._face.axes[1]
        self._put(out, self._lower, at + _TEETH_DROP * chin + back)
        self._put(out, self._upper, at - back)
        # Light enters through the opening, mostly from above: the lips shade what is next to them,
        # the upper lip more than the lower one.
        deep = cv2.GaussianBlur(mask, (0, 0), max(0.13 * cm, 0.8))
        deep = cv2.warpAffine(
            deep,
            np.array([[1, 0, 0], [0, 1, 0.07 * cm]], np.float32),
            size,
            borderMode=cv2.BORDER_REPLICATE,
        )
        lit = np.clip(1.30 * deep + 0.10 * drop, 0.18, 1)[..., None] * (1 - 0.75 * pushed)
        return np.asarray(self._throat * (0.5 + 0.5 * lit) + lit * (out - self._throat))

    def _put(self, out: Pixels, sprite: Pixels, at: FloatArray, strength: float = 1.0) -> None:
        """Puts a sprite on ``out`` with its middle ``at`` [2], in pixels."""
        face = self._face
        middle = (np.array(sprite.shape[1::-1]) - 1) / 2
        turn = face.axes.T
        move = np.empty((2, 3))
        move[:, :2] = turn
        move[:, 2] = at - turn @ middle
        placed = cv2.warpAffine(sprite, move, (out.shape[1], out.shape[0]))
        if strength < 1:
            placed *= np.float32(strength)
        out *= 1 - placed[..., 3:]
        out += placed[..., :3]


def _light(image: Image, face: Anatomy) -> FloatArray:
    """Estimates the colour of the light, RGB [3], from the cheeks; 1 is full white light."""
    cheeks = face.points[[50, 280, 205, 425, 101, 330, 10, 151]]
    found = []
    for x, y in np.rint(cheeks).astype(int):
        patch = image[max(y - 3, 0) : max(y + 4, 0), max(x - 3, 0) : max(x + 4, 0)].reshape(-1, 3)
        if patch.size:
            found.append(np.median(patch, axis=0))
    skin = np.median(found, axis=0) if found else np.full(3, 180.0)
    # Dark skin does not mean dim light: below a medium tone only a part of the darkness counts.
    level = skin.mean() / 185
    level = level if level > 1 else 0.55 + 0.45 * level
    tint = skin / max(float(skin.mean()), 1.0) / np.array([1.20, 0.96, 0.84])
    return np.asarray(np.clip(level * tint**0.5, 0.35, 1.08))


def _teeth_light(image: Image, face: Anatomy) -> FloatArray | None:
    """Returns the colour of the light, RGB [3], on visible teeth; None if no teeth are visible."""
    if not face.parted:
        return None
    t = np.linspace(0.2, 0.8, 7)[:, None, None]
    middle = slice(len(face.upper_edge) // 4, -(len(face.upper_edge) // 4))
    upper, lower = face.upper_edge[middle], face.lower_edge[middle]
    x, y = np.rint((1 - t) * upper + t * lower).astype(int).reshape(-1, 2).T
    seen = image[np.clip(y, 0, image.shape[0] - 1), np.clip(x, 0, image.shape[1] - 1)]
    bright = seen[seen.mean(1) >= np.percentile(seen.mean(1), 70)]
    colour = np.median(bright, axis=0)
    if colour.mean() < 120 or np.ptp(colour) > 90:  # the dark cavity, or a tongue
        return None
    return np.asarray(np.clip(colour / _ENAMEL, 0.5, 1.08))


def _sprite(drawn: Pixels, light: FloatArray, cm: float, blur: float) -> Pixels:
    """Returns premultiplied RGBA from a fine drawing: lit, blurred like the picture, and shrunk."""
    lit = drawn.copy()
    lit[..., :3] *= light.astype(np.float32)
    lit[..., :3] *= lit[..., 3:]
    lit = cv2.GaussianBlur(lit, (0, 0), blur)
    width, height = _extent(cm)
    return np.asarray(cv2.resize(lit, (width, height), interpolation=cv2.INTER_AREA))


def _extent(cm: float) -> tuple[int, int]:
    """Returns width and height in pixels: odd numbers, so that there is a middle pixel."""
    return 2 * round(_HALF_CM * cm) + 1, 2 * round(_HIGH_CM * cm) + 1


def _canvas(cm: float) -> tuple[Pixels, FloatArray, FloatArray]:
    """Returns a fine RGBA canvas [H, W, 4], and x and y of its pixels, cm from the middle."""
    width, height = (_FINE * n for n in _extent(cm))
    x = (np.arange(width) - (width - 1) / 2) / (_FINE * cm)
    y = (np.arange(height) - (height - 1) / 2) / (_FINE * cm)
    u, v = np.meshgrid(x, y)
    return np.zeros((height, width, 4), np.float32), u, v


def _arch(teeth: tuple[tuple[float, float], ...], face: Anatomy, upper: bool) -> Pixels:
    """Draws a row of teeth and its gum: RGBA [H, W, 4], not premultiplied."""
    canvas, u, v = _canvas(face.cm)
    fit = min(1.15, face.half_mouth / 2.45)
    flip = 1.0 if upper else -1.0
    base = _UPPER_EDGE_CM if upper else -_LOWER_EDGE_CM
    side = np.abs(u) / fit
    # The arch curves back: its sides are seen higher up, smaller and darker.
    rise = (0.045 if upper else 0.03) * side**2
    y = flip * (base - v) - rise if upper else (v - base) - rise  # from the edge to the gum
    total = sum(width for width, _ in teeth)
    gum = np.clip((side < total + 0.1) & (y > 0.35), 0, 1).astype(np.float32)
    canvas[..., :3] = _GUM * np.clip(1.05 - 0.10 * side, 0.3, 1)[..., None]
    canvas[..., 3] = gum * np.clip((1.75 - y) / 0.4, 0, 1)
    # Between two crowns the side of a crown is seen, not the dark cavity.
    row = (side < total) & (y > 0.14) & (y < 0.75)
    canvas[..., :3][row] = 0.66 * _ENAMEL
    canvas[..., 3][row] = 1
    left = 0.0
    for width, tall in teeth:
        x = (side - left) / width * 2 - 1  # -1..1 over the crown
        left += width
        h = np.clip(y / tall, -1, 2)
        # Rounded corners at the edge, narrower at the gum.
        half = 0.97 - 0.10 * np.clip(h - 0.35, 0, 1) ** 2
        power = np.abs(x / half)
        bottom = 0.10 * np.clip(power, 0, 1.2) ** 4
        top = 1 - 0.14 * np.clip(power, 0, 1) ** 2
        crown = (power < 1) & (h > bottom) & (h < top)
        shade = 1.0 - 0.16 * np.clip(power, 0, 1) ** 3 - 0.10 * np.clip(h - 0.6, 0, 1)
        shade = shade * (1.0 - 0.035 * side**2) * (1 - 0.04 * (h < 0.12))
        canvas[..., :3][crown] = (_ENAMEL * np.clip(shade, 0.2, 1)[..., None])[crown]
        canvas[..., 3][crown] = 1
    return canvas


def _tongue(cm: float) -> Pixels:
    """Draws the tongue behind the lower teeth: RGBA [H, W, 4], not premultiplied."""
    canvas, u, v = _canvas(cm)
    y = v - 0.52
    body = (np.abs(u) / 1.62) ** 2.6
    inside = np.clip((1 - body - np.clip(-y / 0.66, 0, 2) ** 2) * 5, 0, 1)
    canvas[..., 3] = inside
    groove = 1 - 0.20 * np.exp(-((u / 0.13) ** 2)) * np.clip(0.9 + y, 0, 1)
    # The back of the tongue is dark; its front is lit and wet.
    shade = np.clip(0.92 + 0.62 * y, 0.35, 1.04) * (1 - 0.22 * body) * groove
    canvas[..., :3] = _TONGUE * shade[..., None]
    for side in (-0.55, 0.55):
        wet = np.exp(-(((u - side) / 0.30) ** 2) - ((y + 0.06) / 0.10) ** 2)
        canvas[..., :3] += 26 * wet[..., None].astype(np.float32)
    return canvas


def _walls(cm: float) -> Pixels:
    """Draws the cheeks and the palate around the throat: RGBA [H, W, 4], not premultiplied."""
    canvas, u, v = _canvas(cm)
    away = np.hypot(u / 1.45, (v - 0.05) / 0.80)
    canvas[..., 3] = np.clip(away - 0.35, 0, 1) ** 1.2
    canvas[..., :3] = _WALL * np.clip(0.45 + 0.35 * away, 0, 0.9)[..., None]
    return canvas
