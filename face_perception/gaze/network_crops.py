"""Crops of a face and its eyes as the published GEDDnet takes them, through its normalised camera.

Pixels and geometry; no network. Source: GEDDnet (Chen and Shi, TPAMI 2022), its released
preprocessing, to the level of gray; but not mirrored, and only the window that is needed is warped.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.errors import InputError
from face_perception.gaze.normalized_camera import eye_points, rotation_facing_eyes
from face_perception.types import Camera, Face, FloatArray, Image

# The virtual camera: 1920x1080 pixels with a focal length of 1536, whatever camera took the image.
_WIDTH, _HEIGHT = 1920, 1080
_VIRTUAL = np.array([[1536, 0, 960], [0, 1536, 540], [0, 0, 1]], np.float64)
_TO_RAYS = np.linalg.inv(_VIRTUAL)

# The face: scaled so that the eyes are this far apart, a square cut out this far below the middle
# of the picture, equalised, and its margin cut off.
_EYES_APART = 32.0
_FACE, _FACE_BELOW, _FACE_MARGIN = 120, 5, 12
# An eye: a square about the middle of its corners, turned and scaled so that these lie level and so
# far apart; a window cut out, equalised, and its margins cut off.
_SQUARE, _CORNERS_APART = 160, 96 * 0.7
_EYE_TOP, _EYE_LEFT, _EYE_HEIGHT, _EYE_WIDTH = 35, 20, 80, 120
_EYE_MARGIN_Y, _EYE_MARGIN_X = 8, 12
# The unit square to what is left of the window, in the levelled square.
_EYE_CROP = np.array(
    [
        [_EYE_WIDTH - 2 * _EYE_MARGIN_X - 1, 0, _EYE_LEFT + _EYE_MARGIN_X],
        [0, _EYE_HEIGHT - 2 * _EYE_MARGIN_Y - 1, _EYE_TOP + _EYE_MARGIN_Y],
        [0, 0, 1],
    ],
    np.float64,
)

FACE_SIDE = _FACE - 2 * _FACE_MARGIN
EYE_SHAPE = (_EYE_HEIGHT - 2 * _EYE_MARGIN_Y, _EYE_WIDTH - 2 * _EYE_MARGIN_X)

# Distance of the eyes in the virtual camera beyond which nothing is made of a face: at 8 m there is
# nothing to see, at 0.12 m the picture of the face alone would be larger than the camera's.
_FARTHEST, _NEAREST = 12.0, 800.0
_TAPS = 4  # of the bicubic that shrinks the face, on each axis
_A = -0.75  # its parameter
_STEPS, _OF_FOUR = np.arange(_FACE), np.arange(-1, _TAPS - 1)
# Added to a place in pixels, it makes the last bit of a float32 a 32nd of a pixel.
_FAR = 1.5 * 2**18
# Of the 120 that are sampled at a time: what is in work stays in the cache; OpenCV shares out what
# is no smaller than the second.
_LINES, _LINES_SHARED = 15, 60
_LEAST_CORNERS = 4.0  # of an eye: in a full profile they coincide
# The crops by name, and the share of each that may lie outside the image, where there is black, as
# published. Half of the face's crop is hair and background.
_MISSING = {"face": 0.2, "left_eye": 0.05, "right_eye": 0.05}
CROP_NAMES = tuple(_MISSING)


# Corners of an eye's window in its square.
_WINDOW = np.array(
    [
        (x, y)
        for x in (_EYE_LEFT, _EYE_LEFT + _EYE_WIDTH)
        for y in (_EYE_TOP, _EYE_TOP + _EYE_HEIGHT)
    ],
    np.float64,
)
_LEVELLED = (_EYE_LEFT + _EYE_WIDTH, _EYE_HEIGHT)
_BACKWARDS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

# Points evenly over the unit square: [100, 2].
_GRID = np.stack(np.meshgrid(np.linspace(0, 1, 10), np.linspace(0, 1, 10)), axis=-1).reshape(-1, 2)
_UNIT_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))


class CropsUnavailable(InputError):
    """A face of which no crops can be made; the message says why."""


@dataclass(frozen=True, slots=True)
class GazeCrops:
    """What a gaze network sees of one face: ``crops`` by name, gray, equalised, uint8.

    Names are those of ``CROPS``: ``face`` is [96, 96], ``left_eye`` and ``right_eye`` are [64, 96]
    and the person's own. Only the crops that were asked for are there. ``rotation`` [3, 3] has the
    axes of the normalised camera as its columns (see ``rotation_facing_eyes``). ``to_image`` [3, 3]
    takes pixels of the 1920x1080 virtual image to pixels of the image; for a lens that distorts it
    holds in the neighbourhood of the face only.
    """

    crops: Mapping[str, Image]
    rotation: FloatArray
    to_image: FloatArray

    @property
    def face(self) -> Image:
        """[96, 96]. Raises KeyError if it was not asked for."""
        return self.crops["face"]

    @property
    def left_eye(self) -> Image:
        """[64, 96]. Raises KeyError if it was not asked for."""
        return self.crops["left_eye"]

    @property
    def right_eye(self) -> Image:
        """[64, 96]. Raises KeyError if it was not asked for."""
        return self.crops["right_eye"]

    @property
    def warp(self) -> FloatArray:
        """[3, 3]: pixels of the image to pixels of the virtual image, as published."""
        return np.linalg.inv(self.to_image)


def make_gaze_crops(
    image: Image, camera: Camera, face: Face, names: Collection[str] = CROP_NAMES
) -> GazeCrops:
    """Makes the crops ``names`` of ``face`` from ``image`` (RGB uint8 [H, W, 3], taken by
    ``camera``).

    The 12 points about the eyes that the published code takes from 68 landmarks are taken from our
    478 (see ``eye_points``), not rounded to pixels. Raises NotSeen for a face that is too far, too
    near or turned to a full profile, and where too much of one of the crops lies outside the image.
    Raises InputError for an image of another size than its camera's or an unknown lens distortion.
    """
    return make_gaze_crops_from_points(image, camera, eye_points(face.landmarks), names)


def make_gaze_crops_from_points(
    image: Image, camera: Camera, points: npt.ArrayLike, names: Collection[str] = CROP_NAMES
) -> GazeCrops:
    """The same from the 12 points themselves, [12, 2] pixels, in the order of ``eye_points``.

    Crops equal those of the published code with OpenCV's float arithmetic (its Intel build), and so
    on every processor. Where the face's window reaches beyond the 1920x1080 virtual image, there is
    more of the camera's image, while the published code keeps the crop of an earlier frame.
    """
    if image.shape != (camera.height, camera.width, 3) or image.dtype != np.uint8:
        raise InputError(
            f"an RGB uint8 image of {camera.width}x{camera.height} is needed, as its camera has, "
            f"not {image.dtype} {list(image.shape)}"
        )
    plane = faces.undistort_points(camera, points)
    rotation = rotation_facing_eyes(plane)
    if not np.isfinite(rotation).all():
        raise CropsUnavailable("there are no landmarks about its eyes")
    rays = np.concatenate([plane, np.ones((12, 1))], axis=1)
    seen = rays @ (_VIRTUAL @ rotation.T).T
    # Whole pixels from here on, as published.
    eyes = np.trunc(seen[:, :2] / seen[:, 2:]).astype(np.int64)
    right, left = eyes[:6], eyes[6:]
    apart = abs(sum(left[:, 0].tolist()) - sum(right[:, 0].tolist())) / 6
    if not _FARTHEST <= apart <= _NEAREST:
        raise CropsUnavailable("it is too " + ("far away" if apart < _FARTHEST else "near"))
    scale = _EYES_APART / apart
    squares = {"left_eye": _EyeSquare.of(left), "right_eye": _EyeSquare.of(right)}
    columns, rows = _taps(
        (
            round(_WIDTH * scale) // 2 - _FACE // 2,
            round(_HEIGHT * scale) // 2 - _FACE // 2 + _FACE_BELOW,
        ),
        scale,
    )
    windows: dict[str, FloatArray] = {"face": _window(columns, rows, 0)}
    windows |= {name: square.window for name, square in squares.items()}
    to_image = {
        name: _to_image(camera, rotation, window)
        for name, window in windows.items()
        if name == "face" or name in names
    }
    (x, y), (right_end, bottom) = _window(columns, rows, _FACE_MARGIN).tolist()
    units: dict[str, FloatArray] = {
        "face": np.array([[right_end - x, 0, x], [0, bottom - y, y], [0, 0, 1]])
    }
    units |= {name: square.unit for name, square in squares.items()}
    _refuse_missing(camera, {name: to_image[name] @ units[name] for name in names})
    crops = {name: squares[name].crop(image, to_image[name]) for name in names if name in squares}
    if "face" in names:
        face = _scaled_face(image, to_image["face"], columns, rows)
        crops["face"] = _equalised(face, _FACE_MARGIN, _FACE_MARGIN)
    return GazeCrops(crops, rotation, to_image["face"])


@dataclass(frozen=True, slots=True)
class _Taps:
    """The 120 pixels of the face along one axis, and what pixels of the virtual image make each.

    Bicubic of four also where it shrinks, as published: ``four`` [120, 4] of the virtual image with
    ``weights`` float32 [120, 4]. ``middles`` [120] are the places in the virtual image.
    """

    middles: FloatArray
    four: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


def _taps(starts: tuple[int, int], scale: float) -> tuple[_Taps, _Taps]:
    """Of columns and rows; ``starts`` are the first of the 120 in the scaled image.

    OpenCV's own bicubic has 11 bits for a weight on some processors and all of a float's on others,
    where the published answers come from; histogram equalisation makes up to 7 levels of that.
    """
    middles = (np.array(starts)[:, None] + _STEPS + 0.5) / scale - 0.5
    below = np.floor(middles)
    four = below.astype(np.int64)[..., None] + _OF_FOUR
    t = middles - below
    u = 1 - t
    a = _A
    weights = np.empty((2, _FACE, _TAPS))
    weights[..., 0] = far = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a
    weights[..., 1] = near = ((a + 2) * t - (a + 3)) * t * t + 1
    weights[..., 2] = next_near = ((a + 2) * u - (a + 3)) * u * u + 1
    weights[..., 3] = 1 - far - near - next_near
    single = weights.astype(np.float32)
    return _Taps(middles[0], four[0], single[0]), _Taps(middles[1], four[1], single[1])


def _window(columns: _Taps, rows: _Taps, margin: int) -> FloatArray:
    """First and last of the face's pixels within a margin, in the virtual image: [2, 2]."""
    ends = [margin, _FACE - margin - 1]
    return np.array([columns.middles[ends], rows.middles[ends]]).T


@dataclass(frozen=True, slots=True)
class _EyeSquare:
    """The square about an eye in the virtual image, and what levels the eye in it."""

    corner: tuple[int, int]  # x, y
    back: FloatArray  # [2, 3], the levelled square to the square

    @classmethod
    def of(cls, eye: npt.NDArray[np.int64]) -> _EyeSquare:
        (x0, y0), (x1, y1) = eye[[0, 3]].tolist()
        length = math.hypot(x1 - x0, y1 - y0)
        if length < _LEAST_CORNERS:
            raise CropsUnavailable("it is turned away: the corners of an eye coincide")
        middle = (_SQUARE - 1) / 2
        angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
        levelling = cv2.getRotationMatrix2D((middle, middle), angle, _CORNERS_APART / length)
        corner = int((x0 + x1) / 2) - _SQUARE // 2, int((y0 + y1) / 2) - _SQUARE // 2
        return cls(corner, np.asarray(cv2.invertAffineTransform(levelling), np.float64))

    def crop(self, image: Image, to_image: FloatArray) -> Image:
        back = self.back.copy()
        # Only the part of the square that the window is made of, and of it whole pixels on.
        ends = (_WINDOW @ back[:, :2].T + back[:, 2]).tolist()
        (x, right), (y, bottom) = (_part(values) for values in zip(*ends, strict=True))
        origin = x + self.corner[0], y + self.corner[1]
        part = _warped(image, to_image, origin, (right - x, bottom - y))
        # Lines from the window's first on; columns from the square's, for OpenCV rounds from there.
        back[:, 2] += back[:, 1] * _EYE_TOP - (x, y)
        level = cv2.warpAffine(part, back, _LEVELLED, flags=_BACKWARDS)
        return _equalised(level[:, _EYE_LEFT:], _EYE_MARGIN_Y, _EYE_MARGIN_X)

    @property
    def window(self) -> FloatArray:
        """Its first and last corner in the virtual image: [2, 2]."""
        return np.array([self.corner, (self.corner[0] + _SQUARE - 1, self.corner[1] + _SQUARE - 1)])

    @property
    def unit(self) -> FloatArray:
        """[3, 3]: the unit square to the crop, in the virtual image."""
        back = np.array([*self.back, (0, 0, 1)])
        back[:2, 2] += self.corner
        found: FloatArray = back @ _EYE_CROP
        return found


def _part(values: Sequence[float]) -> tuple[int, int]:
    """First pixel, and the one behind the last, of a square's side that these places need."""
    low = min(max(math.floor(min(values)) - 2, 0), _SQUARE - 1)
    return low, min(max(math.ceil(max(values)) + 3, low + 1), _SQUARE)


def _scaled_face(image: Image, to_image: FloatArray, columns: _Taps, rows: _Taps) -> Image:
    """The face's window of the scaled virtual image: RGB uint8 [120, 120, 3]."""
    if _apart(columns, rows):
        return _sampled_face(image, to_image, columns, rows)
    x, y = int(columns.four[0, 0]), int(rows.four[0, 0])
    size = int(columns.four[-1, -1]) + 1 - x, int(rows.four[-1, -1]) + 1 - y
    lines = _warped(image, to_image, (x, y), size).reshape(size[1], -1)
    tall = _shrunk(lines, rows)
    across = cv2.transpose(tall.reshape(_FACE, -1, 3)).reshape(size[0], -1)
    small = _rounded(_shrunk(across, columns))
    return np.asarray(cv2.transpose(small.reshape(_FACE, _FACE, 3)), np.uint8)


def _shrunk(lines: npt.NDArray[Any], taps: _Taps) -> npt.NDArray[np.float32]:
    """Lines [m, n], the first of which is the first tap's, to 120: [120, n]."""
    four = taps.four - taps.four[0, 0]
    small = np.empty((_FACE, lines.shape[1]), np.float32)
    for first in range(0, _FACE, _LINES):
        part = slice(first, first + _LINES)
        _mixed(lines[four[part]], taps.weights[part], out=small[part])
    return small


def _apart(columns: _Taps, rows: _Taps) -> bool:
    """Whether no pixel is in two fours."""
    return all((taps.four[1:, 0] > taps.four[:-1, -1]).all() for taps in (columns, rows))


def _warped(
    image: Image, to_image: FloatArray, origin: tuple[int, int], size: tuple[int, int]
) -> Image:
    """A part of the virtual image, from ``origin`` (x, y) on, of ``size`` (width, height)."""
    shifted = to_image.copy()
    shifted[:, 2] = to_image @ (*origin, 1.0)
    return np.asarray(cv2.warpPerspective(image, shifted, size, flags=_BACKWARDS), np.uint8)


def _rounded(values: npt.NDArray[np.float32]) -> Image:
    return np.clip(np.rint(values, out=values), 0, 255, out=values).astype(np.uint8)


def _sampled_face(image: Image, to_image: FloatArray, columns: _Taps, rows: _Taps) -> Image:
    """The scaled face of ``columns`` and ``rows`` only, both apart: [120, 120, 3].

    The pixels are what ``_warped`` gives, but its cv2.warpPerspective has no grid with gaps, and a
    face nearby is made of every second pixel or fewer. OpenCV rounds a place to a 32nd of a pixel:
    far enough from the origin, float32 does the same, and what is subtracted again leaves no error.
    """
    far = np.array([[1, 0, _FAR], [0, 1, _FAR], [0, 0, 1]]) @ to_image
    # All columns' first of four, then their second, and so on: whole lines are mixed.
    across = np.repeat(columns.weights.T, 3, axis=1)
    width = columns.four.size
    # Written over by every part: fresh memory costs more than what is computed in it.
    lines = _LINES if cv2.getNumThreads() == 1 else _LINES_SHARED
    grid, places = np.empty((2, lines * _TAPS, width, 2), np.float32)
    grid[..., 0] = columns.four.T.ravel()
    pixels = np.empty((lines * _TAPS, width, 3), np.uint8)
    values = np.empty((lines, _TAPS, width * 3), np.float32)
    tall = np.empty((lines, width * 3), np.float32)
    small = np.empty((_FACE, _FACE * 3), np.float32)
    for first in range(0, _FACE, lines):
        part = slice(first, first + lines)
        grid[..., 1] = rows.four[part].reshape(-1, 1)
        cv2.perspectiveTransform(grid, far, dst=places)  # in double
        places -= np.float32(_FAR)
        cv2.remap(image, places, None, cv2.INTER_LINEAR, dst=pixels)
        values[:] = pixels.reshape(values.shape)
        _mixed(values, rows.weights[part], out=tall)
        np.einsum("ykn,kn->yn", tall.reshape(lines, _TAPS, -1), across, out=small[part])
    return _rounded(small).reshape(_FACE, _FACE, 3)


def _mixed(
    fours: npt.NDArray[Any], weights: npt.NDArray[np.float32], out: npt.NDArray[np.float32]
) -> None:
    """Each four of lines [m, 4, n] by its weights [m, 4]: [m, n]."""
    # einsum, not matmul: BLAS starts threads for this little, which then wait for each other.
    np.einsum("yk,ykn->yn", weights, fours, out=out)


def _equalised(patch: Image, margin_y: int, margin_x: int) -> Image:
    gray = np.asarray(cv2.equalizeHist(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)), np.uint8)
    return np.ascontiguousarray(gray[margin_y:-margin_y, margin_x:-margin_x])


def _to_image(camera: Camera, rotation: FloatArray, window: FloatArray) -> FloatArray:
    """[3, 3]: pixels of the virtual image to pixels of the image.

    Where the lens distorts, the homography that is nearest to it within the ``window`` (first and
    last corner): what is cropped is small against the bending of a lens.
    """
    turn = rotation @ _TO_RAYS
    if not any(camera.distortion):
        straight: FloatArray = camera.matrix @ turn
        return straight
    grid = window[0] + _GRID * (window[1] - window[0])
    rays = np.concatenate([grid, np.ones((len(grid), 1))], axis=1) @ turn.T
    bent = faces.project_points(camera, rays)
    usable = np.isfinite(bent).all(axis=1)
    found, _ = cv2.findHomography(grid[usable], bent[usable]) if usable.sum() >= 4 else (None, None)
    if found is None:
        raise CropsUnavailable("the lens distortion cannot be undone where it is")
    return np.asarray(found, np.float64)


def _refuse_missing(camera: Camera, crops: Mapping[str, FloatArray]) -> None:
    """Raises NotSeen where more than a share of a crop is not in the image.

    ``crops`` are [3, 3] by name: the unit square to pixels of the image.
    """
    for name, crop in crops.items():
        share = 0.0 if _is_inside(camera, crop) else _missing(camera, crop)
        if share > _MISSING[name]:
            what = name.replace("_", " ")
            raise CropsUnavailable(f"{share:.0%} of its {what} is outside the image")


def _is_inside(camera: Camera, crop: FloatArray) -> bool:
    """Whether all of it is in the image, as its corners tell. Numbers: this is every face."""
    (a, b, c), (d, e, f), (g, h, i) = crop.tolist()
    return all(
        _inside(camera, a * u + b * v + c, d * u + e * v + f, g * u + h * v + i)
        for u, v in _UNIT_CORNERS
    )


def _missing(camera: Camera, crop: FloatArray) -> float:
    """The share of points all over the crop that are not in the image."""
    inside = _inside(camera, *(crop[:, :2] @ _GRID.T + crop[:, 2:]))
    return 1 - np.count_nonzero(inside) / len(_GRID)


def _inside(camera: Camera, x: Any, y: Any, z: Any) -> Any:
    """Whether points, or one, homogeneous, are in front of the camera and in its image."""
    inside = (z > 0) & (x >= -0.5 * z) & (x <= (camera.width - 0.5) * z)
    return inside & (y >= -0.5 * z) & (y <= (camera.height - 0.5) * z)
