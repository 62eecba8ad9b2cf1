"""Shades the folds that action units make in the skin: forehead, glabella, nose, cheeks, eyes."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.portrait.anatomy import Anatomy
from face_perception.avatar.portrait.deformations import SHAPES
from face_perception.geometry import smoothstep
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.float32]

# Action unit that folds the skin -> darkness of its folds at full intensity.
FOLDS = {1: 0.22, 2: 0.22, 4: 0.45, 6: 0.35, 9: 0.45, 12: 0.30}
_STEPS = 24  # strengths of a fold that are told apart; steps of 2 % of the brightness at most
# Weight of each shape at which an action unit is at full intensity.
_SHAPE_UNITS = {1: "inner_up", 2: "outer_up", 6: "cheek", 9: "nose", 12: "smile"}
# Darkness of the folds of an avatar, as a share of ``FOLDS``. Those next to the mouth look drawn
# sooner than the others.
_SHARE = {1: 0.75, 2: 0.75, 4: 0.75, 6: 0.75, 9: 0.65, 12: 0.5}
# Light inside a fold has passed through skin: it is redder.
_TINT = np.array([0.80, 1.03, 1.12], np.float32)
_NOSE_KNITS = 0.4  # share of AU4's folds that a wrinkled nose makes


def unit_strengths(amounts: FloatArray) -> dict[int, float]:
    """Returns how far each action unit folds the skin, for weights [K] of ``SHAPES``."""
    weight = dict(zip(SHAPES, (float(a) for a in amounts), strict=True))
    found = {code: weight[name] for code, name in _SHAPE_UNITS.items()}
    found[4] = max(weight["brow_down"], weight["knit"], _NOSE_KNITS * weight["nose"])
    return {code: _SHARE[code] * min(max(value, 0.0), 1.0) for code, value in found.items()}


class SkinFolds:
    """The folds in a picture of one face.

    ``picture`` is RGB uint8 [H, W, 3]. Strengths are rounded to a 24th, so that the shaded picture
    is computed only while an expression changes.
    """

    def __init__(self, picture: Image, face: Anatomy) -> None:
        height, width = picture.shape[:2]
        low = np.maximum(np.floor(face.points.min(0)).astype(int), 0)
        high = np.minimum(np.ceil(face.points.max(0)).astype(int) + 1, (width, height))
        self._box = (slice(low[1], high[1]), slice(low[0], high[0]))
        self._picture = picture[self._box].astype(np.float32)
        skin = _skin_share(self._picture, face, low)
        maps = fold_maps(face, (int(low[0]), int(low[1])), (int(high[0]), int(high[1])))
        self._maps = {code: fold * skin for code, fold in maps.items()}
        self._shown: tuple[int, ...] = (0,) * len(self._maps)
        self._shade: Pixels | None = None

    def shade(self, canvas: Image, strengths: Mapping[int, float]) -> None:
        """Shades the face in ``canvas``, an image of the picture's size.

        ``strengths`` in [0, 1] of the action units in ``FOLDS``. The canvas must be the picture, or
        what the last call left.
        """
        wanted = tuple(round(_STEPS * strengths.get(code, 0.0)) for code in self._maps)
        if wanted == self._shown:
            return
        shade: Pixels | None = None
        for steps, (code, fold) in zip(wanted, self._maps.items(), strict=True):
            if steps:
                factor = 1 - (steps / _STEPS * FOLDS[code] * _TINT) * fold[..., None]
                shade = factor if shade is None else shade * factor
        self._shown, self._shade = wanted, shade
        shaded = self._picture if shade is None else self._picture * shade
        canvas[self._box] = np.clip(shaded + 0.5, 0, 255)

    def shade_patch(self, patch: Pixels, rows: slice, columns: slice) -> None:
        """Shades a part of the picture that was painted again, float32 [H, W, 3], as ``shade`` did.

        ``rows`` and ``columns`` are those of the picture.
        """
        if self._shade is None:
            return
        top, left = self._box[0].start, self._box[1].start
        height, width = self._shade.shape[:2]
        first, last = max(rows.start - top, 0), min(rows.stop - top, height)
        begin, end = max(columns.start - left, 0), min(columns.stop - left, width)
        part = patch[
            first + top - rows.start : last + top - rows.start,
            begin + left - columns.start : end + left - columns.start,
        ]
        part *= self._shade[first:last, begin:end]


def fold_maps(face: Anatomy, low: tuple[int, int], high: tuple[int, int]) -> dict[int, Pixels]:
    """Returns a map [H, W] of the folds of each unit, 1 in the middle of a fold.

    Skin next to a fold bulges, and is a little lighter: the map is negative there. ``low`` and
    ``high`` are x and y of the first pixel of the map, and of the first one behind it.
    """
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    u, v = np.moveaxis(face.local(np.stack([x, y], -1)), -1, 0)
    side = np.abs(u)

    def at(index: int) -> FloatArray:
        found = face.local(face.points[index][None])[0]
        return np.array([abs(found[0]), found[1]])

    brow = float(face.local(face.points[faces.RIGHT_BROW_UPPER]).mean(0)[1])
    outer = (at(faces.RIGHT_OUTER_CANTHUS) + at(faces.LEFT_OUTER_CANTHUS)) / 2
    root, tip = at(faces.SELLION)[1], at(faces.NOSE_TIP)[1]
    # Above the mesh may be hair, or a hat.
    top = float(face.local(face.points[faces.FACE_OVAL])[:, 1].min())
    forehead = smoothstep(v - top, 0.1, 0.7)

    def stroke(distance: FloatArray, width: float, window: FloatArray) -> FloatArray:
        near = (distance / width) ** 2
        return np.asarray((np.exp(-near) - 0.2 * np.exp(-((np.sqrt(near) - 2.1) ** 2))) * window)

    rows = sum(stroke(v - brow + d, 0.14, forehead) for d in (1.3, 2.0, 2.7))
    crow = sum(
        stroke(
            v - outer[1] - slope * (side - outer[0]), 0.09,
            np.exp(-(((side - outer[0] - 0.9) / 0.5) ** 2)),
        )
        for slope in (-0.35, 0.05, 0.45)
    )  # fmt: skip
    across = sum(stroke(v - root - d, 0.16, np.exp(-((u / 0.8) ** 2))) for d in (0.1, 0.65, 1.2))
    between = np.exp(-(((v - brow - 0.6) / 0.9) ** 2))
    # From the wing of the nose to a point next to the corner of the mouth.
    t = np.clip((v - tip) / max(-tip, 0.5), -0.5, 1.5)
    fold = stroke(side - 1.6 - (face.half_mouth - 0.9) * t, 0.24, np.exp(-(((t - 0.5) / 0.5) ** 2)))
    found = {
        1: rows * np.exp(-((u / 1.8) ** 2)),
        2: rows * np.exp(-(((side - 3.6) / 1.4) ** 2)),
        4: stroke(side - 0.45, 0.17, between),
        6: crow,
        9: across + 0.5 * fold,
        12: fold,
    }
    return {code: np.asarray(np.clip(value, -0.5, 1), np.float32) for code, value in found.items()}


def _skin_share(picture: Pixels, face: Anatomy, low: npt.NDArray[np.intp]) -> Pixels:
    """Returns 1 where a picture [H, W, 3] shows skin, and 0 where hair, a hat or glasses: [H, W].

    ``low`` is where its first pixel is in the frame.
    """
    smooth = cv2.GaussianBlur(picture, (0, 0), max(0.10 * face.cm, 0.8))
    at = np.rint(face.points[[50, 280, 205, 425, 101, 330, 9]] - low).astype(int)
    at = np.clip(at, 0, np.array(picture.shape[1::-1]) - 1)
    skin = np.median(smooth[at[:, 1], at[:, 0]], axis=0)

    def tint(colours: Pixels) -> Pixels:
        return np.asarray(colours / np.maximum(colours.sum(-1, keepdims=True), 1))

    other = np.abs(tint(smooth) - tint(skin)).sum(-1)
    dark = smooth.mean(-1) / max(float(skin.mean()), 1.0)
    share = np.clip(2 - other / 0.07, 0, 1) * np.clip((dark - 0.45) / 0.2, 0, 1)
    return np.asarray(cv2.GaussianBlur(share, (0, 0), max(0.15 * face.cm, 0.8)), np.float32)
