"""Makes the inputs of gaze networks: crops of a face and its eyes from the normalized camera.

The crops follow the published preprocessing of GEDDnet (Chen and Shi, TPAMI 2022). Every gray level
is equal, but the crops are not mirrored. For speed, only the parts of the virtual image that are
needed are computed.
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

# The virtual camera has 1920x1080 pixels and a focal length of 1536 for every real camera.
_WIDTH, _HEIGHT = 1920, 1080
_VIRTUAL = np.array([[1536, 0, 960], [0, 1536, 540], [0, 0, 1]], np.float64)
_TO_RAYS = np.linalg.inv(_VIRTUAL)

# The face crop, in pixels: the virtual image is scaled until the eyes are _EYES_APART apart. A
# square of _FACE is cut out _FACE_BELOW below the middle, equalised, and _FACE_MARGIN is cut off
# each side.
_EYES_APART = 32.0
_FACE, _FACE_BELOW, _FACE_MARGIN = 120, 5, 12
# An eye crop, in pixels: a square of _SQUARE around the midpoint of the canthi is rotated and
# scaled until the canthi are level and _CORNERS_APART apart. A window is cut out of this levelled
# square and equalised, and its margins are cut off.
_SQUARE, _CORNERS_APART = 160, 96 * 0.7
_EYE_TOP, _EYE_LEFT, _EYE_HEIGHT, _EYE_WIDTH = 35, 20, 80, 120
_EYE_MARGIN_Y, _EYE_MARGIN_X = 8, 12
# Maps the unit square to the crop, in pixels of the levelled square.
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

# Limits of the distance between the eyes in the virtual image, pixels. At 8 m (the lower limit) the
# eyes cannot be seen; at 0.12 m the face is larger than the virtual image.
_FARTHEST, _NEAREST = 12.0, 800.0
_TAPS = 4  # pixels on each axis that bicubic interpolation weights
_A = -0.75  # parameter of the bicubic kernel
_STEPS, _OF_FOUR = np.arange(_FACE), np.arange(-1, _TAPS - 1)
# A float32 near this number has a resolution of a 32nd.
_FAR = 1.5 * 2**18
# Rows that are sampled at a time, with one thread and with several. Few rows stay in the cache;
# OpenCV gives work to several threads only if there is enough of it.
_LINES, _LINES_SHARED = 15, 60
_LEAST_CORNERS = 4.0  # distance of the canthi, pixels; in a full profile they coincide
# Names of the crops, and the share of each that may lie outside the image (black, as published).
# Half of the face crop is hair and background.
_MISSING = {"face": 0.2, "left_eye": 0.05, "right_eye": 0.05}
CROP_NAMES = tuple(_MISSING)


# Corners of the window of an eye in the levelled square.
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

# Points that cover the unit square evenly: [100, 2].
_GRID = np.stack(np.meshgrid(np.linspace(0, 1, 10), np.linspace(0, 1, 10)), axis=-1).reshape(-1, 2)
_UNIT_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))


class CropsUnavailable(InputError):
    """The crops of a face cannot be made; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class GazeCrops:
    """Crops of one face for a gaze network.

    ``crops`` has the requested crops by name (see ``CROP_NAMES``): ``face`` [96, 96], ``left_eye``
    and ``right_eye`` [64, 96], gray, histogram equalised, uint8. The columns of ``rotation`` [3, 3]
    are the axes of the normalized camera in the optical frame (see ``rotation_facing_eyes``).
    ``to_image`` [3, 3] is the homography from pixels of the 1920x1080 virtual image to pixels of
    the image. If the lens has distortion, it is only correct near the face.

    >>> from face_perception.faces import load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> (face,) = load_tracker().detect(frame)
    >>> made = make_gaze_crops(frame.image, frame.camera, face)
    >>> made.face.shape, made.left_eye.shape, made.left_eye.dtype.name
    ((96, 96), (64, 96), 'uint8')
    """

    crops: Mapping[str, Image]
    rotation: FloatArray
    to_image: FloatArray

    @property
    def face(self) -> Image:
        """The face crop [96, 96]. Raises KeyError if it was not requested."""
        return self.crops["face"]

    @property
    def left_eye(self) -> Image:
        """The crop of the left eye [64, 96]. Raises KeyError if it was not requested."""
        return self.crops["left_eye"]

    @property
    def right_eye(self) -> Image:
        """The crop of the right eye [64, 96]. Raises KeyError if it was not requested."""
        return self.crops["right_eye"]

    @property
    def warp(self) -> FloatArray:
        """Homography [3, 3] from the image to the virtual image, as the published code has it."""
        return np.linalg.inv(self.to_image)


def make_gaze_crops(
    image: Image, camera: Camera, face: Face, names: Collection[str] = CROP_NAMES
) -> GazeCrops:
    """Makes the crops of ``face`` that ``names`` lists, from an image.

    ``image`` is RGB uint8 [H, W, 3], taken by ``camera``. The points of the eyes are those of
    ``eye_points``, not rounded to pixels. Raises CropsUnavailable if the face is too far away, too
    near or in full profile, or if too much of a crop lies outside the image. Raises InputError if
    the image does not have the size of its camera or for an unknown distortion model of the lens.
    """
    return make_gaze_crops_from_points(image, camera, eye_points(face.landmarks), names)


def make_gaze_crops_from_points(
    image: Image, camera: Camera, points: npt.ArrayLike, names: Collection[str] = CROP_NAMES
) -> GazeCrops:
    """Makes the crops from the 12 ``points`` [12, 2] of the eyes, pixels, as in ``eye_points``.

    On every processor the crops equal those of the published code with the float arithmetic of
    OpenCV's Intel build. If the face crop reaches beyond the 1920x1080 virtual image, it is filled
    from the image; the published code returns the crop of an earlier frame instead. Raises as
    ``make_gaze_crops`` does.
    """
    if image.shape != (camera.height, camera.width, 3) or image.dtype != np.uint8:
        raise InputError(
            f"the image must be RGB uint8 of {camera.width}x{camera.height} pixels, as its camera, "
            f"not {image.dtype} {list(image.shape)}"
        )
    plane = faces.undistort_points(camera, points)
    rotation = rotation_facing_eyes(plane)
    if not np.isfinite(rotation).all():
        raise CropsUnavailable("it has no landmarks at its eyes")
    rays = np.concatenate([plane, np.ones((12, 1))], axis=1)
    seen = rays @ (_VIRTUAL @ rotation.T).T
    # Whole pixels, as published.
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
    turn = rotation @ _TO_RAYS
    to_image = {
        name: map_to_image(camera, turn, window)
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
    """Bicubic interpolation of the 120 pixels of the face along one axis.

    ``middles`` [120] are their positions in the virtual image, pixels. Each is the sum of the
    pixels ``four`` [120, 4] of the virtual image times ``weights`` float32 [120, 4]. As published,
    these are four pixels also if the image is shrunk.
    """

    middles: FloatArray
    four: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


def _taps(starts: tuple[int, int], scale: float) -> tuple[_Taps, _Taps]:
    """Returns the taps of columns and of rows.

    ``starts`` are the first column and row of the face in the scaled virtual image. OpenCV's own
    bicubic interpolation has 11-bit weights on some processors and float weights on others.
    Histogram equalisation can turn that difference into 7 gray levels, so the weights of the
    published results (float) are computed here.
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
    """Returns first and last pixel of the face without a margin, in the virtual image [2, 2]."""
    ends = [margin, _FACE - margin - 1]
    return np.array([columns.middles[ends], rows.middles[ends]]).T


@dataclass(frozen=True, slots=True)
class _EyeSquare:
    """The square around an eye in the virtual image.

    ``corner`` is its top left pixel (x, y). ``back`` [2, 3] maps the levelled square to the square.
    """

    corner: tuple[int, int]
    back: FloatArray

    @classmethod
    def of(cls, eye: npt.NDArray[np.int64]) -> _EyeSquare:
        """Returns the square of an ``eye``: its six points [6, 2] in the virtual image."""
        (x0, y0), (x1, y1) = eye[[0, 3]].tolist()
        length = math.hypot(x1 - x0, y1 - y0)
        if length < _LEAST_CORNERS:
            raise CropsUnavailable("it is in profile: the corners of an eye coincide")
        middle = (_SQUARE - 1) / 2
        angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
        levelling = cv2.getRotationMatrix2D((middle, middle), angle, _CORNERS_APART / length)
        corner = int((x0 + x1) / 2) - _SQUARE // 2, int((y0 + y1) / 2) - _SQUARE // 2
        return cls(corner, np.asarray(cv2.invertAffineTransform(levelling), np.float64))

    def crop(self, image: Image, to_image: FloatArray) -> Image:
        """Returns the crop of the eye, gray uint8 [64, 96]; ``to_image`` as in ``GazeCrops``."""
        back = self.back.copy()
        # Warp only the part of the square that the window needs, in whole pixels.
        ends = (_WINDOW @ back[:, :2].T + back[:, 2]).tolist()
        (x, right), (y, bottom) = (_part(values) for values in zip(*ends, strict=True))
        origin = x + self.corner[0], y + self.corner[1]
        part = _warped(image, to_image, origin, (right - x, bottom - y))
        # Start at the first row of the window, but at the first column of the square, because
        # OpenCV's rounding depends on the column.
        back[:, 2] += back[:, 1] * _EYE_TOP - (x, y)
        level = cv2.warpAffine(part, back, _LEVELLED, flags=_BACKWARDS)
        return _equalised(level[:, _EYE_LEFT:], _EYE_MARGIN_Y, _EYE_MARGIN_X)

    @property
    def window(self) -> FloatArray:
        """First and last pixel of the square in the virtual image [2, 2]."""
        return np.array([self.corner, (self.corner[0] + _SQUARE - 1, self.corner[1] + _SQUARE - 1)])

    @property
    def unit(self) -> FloatArray:
        """Map [3, 3] from the unit square to the crop, in pixels of the virtual image."""
        back = np.array([*self.back, (0, 0, 1)])
        back[:2, 2] += self.corner
        found: FloatArray = back @ _EYE_CROP
        return found


def _part(values: Sequence[float]) -> tuple[int, int]:
    """Returns the range of pixels of a square's side that these positions need, end excluded."""
    low = min(max(math.floor(min(values)) - 2, 0), _SQUARE - 1)
    return low, min(max(math.ceil(max(values)) + 3, low + 1), _SQUARE)


def _scaled_face(image: Image, to_image: FloatArray, columns: _Taps, rows: _Taps) -> Image:
    """Returns the face in the scaled virtual image, RGB uint8 [120, 120, 3]."""
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
    """Shrinks ``lines`` [m, n], which begin at the first tap, to 120 lines: [120, n]."""
    four = taps.four - taps.four[0, 0]
    small = np.empty((_FACE, lines.shape[1]), np.float32)
    for first in range(0, _FACE, _LINES):
        part = slice(first, first + _LINES)
        _mixed(lines[four[part]], taps.weights[part], out=small[part])
    return small


def _apart(columns: _Taps, rows: _Taps) -> bool:
    """Returns whether no pixel is used twice, on either axis."""
    return all((taps.four[1:, 0] > taps.four[:-1, -1]).all() for taps in (columns, rows))


def _warped(
    image: Image, to_image: FloatArray, origin: tuple[int, int], size: tuple[int, int]
) -> Image:
    """Returns a part of the virtual image, with corner ``origin`` (x, y) and ``size`` (w, h)."""
    shifted = to_image.copy()
    shifted[:, 2] = to_image @ (*origin, 1.0)
    return np.asarray(cv2.warpPerspective(image, shifted, size, flags=_BACKWARDS), np.uint8)


def _rounded(values: npt.NDArray[np.float32]) -> Image:
    return np.clip(np.rint(values, out=values), 0, 255, out=values).astype(np.uint8)


def _sampled_face(image: Image, to_image: FloatArray, columns: _Taps, rows: _Taps) -> Image:
    """Returns the scaled face [120, 120, 3], sampling only the pixels of ``columns`` and ``rows``.

    A near face needs every second pixel of the virtual image or fewer. cv2.warpPerspective cannot
    skip pixels, so cv2.remap is used, with equal results: cv2.warpPerspective rounds positions to a
    32nd of a pixel, and so does float32 after ``_FAR`` was added. Subtracting it again is exact.
    """
    far = np.array([[1, 0, _FAR], [0, 1, _FAR], [0, 0, 1]]) @ to_image
    # The first tap of all columns, then the second, and so on, so that whole rows are summed.
    across = np.repeat(columns.weights.T, 3, axis=1)
    width = columns.four.size
    # All parts share these buffers, because allocating memory takes longer than the arithmetic.
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
        cv2.perspectiveTransform(grid, far, dst=places)  # computes in float64
        places -= np.float32(_FAR)
        cv2.remap(image, places, None, cv2.INTER_LINEAR, dst=pixels)
        values[:] = pixels.reshape(values.shape)
        _mixed(values, rows.weights[part], out=tall)
        np.einsum("ykn,kn->yn", tall.reshape(lines, _TAPS, -1), across, out=small[part])
    return _rounded(small).reshape(_FACE, _FACE, 3)


def _mixed(
    fours: npt.NDArray[Any], weights: npt.NDArray[np.float32], out: npt.NDArray[np.float32]
) -> None:
    """Sums each four of lines [m, 4, n], times their ``weights`` [m, 4], into ``out`` [m, n]."""
    # matmul would let BLAS start threads, which is slower for so little work.
    np.einsum("yk,ykn->yn", weights, fours, out=out)


def _equalised(patch: Image, margin_y: int, margin_x: int) -> Image:
    """Returns the patch gray and histogram equalised, without its margins."""
    gray = np.asarray(cv2.equalizeHist(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)), np.uint8)
    return np.ascontiguousarray(gray[margin_y:-margin_y, margin_x:-margin_x])


def map_to_image(camera: Camera, turn: FloatArray, window: FloatArray) -> FloatArray:
    """Returns the map [3, 3] from pixels of a virtual image to pixels of the image.

    ``turn`` [3, 3] maps pixels of the virtual image to rays in the optical frame. If the lens has
    distortion, returns the homography that fits best in ``window`` (first and last corner, [2, 2]);
    in so small a part of the image the distortion is nearly a homography. Raises CropsUnavailable
    if it cannot be undone there.
    """
    if not camera.distorted:
        straight: FloatArray = camera.matrix @ turn
        return straight
    grid = window[0] + _GRID * (window[1] - window[0])
    rays = np.concatenate([grid, np.ones((len(grid), 1))], axis=1) @ turn.T
    bent = faces.project_points(camera, rays)
    usable = np.isfinite(bent).all(axis=1)
    found, _ = cv2.findHomography(grid[usable], bent[usable]) if usable.sum() >= 4 else (None, None)
    if found is None:
        raise CropsUnavailable("the lens distortion cannot be undone at its position")
    return np.asarray(found, np.float64)


def _refuse_missing(camera: Camera, crops: Mapping[str, FloatArray]) -> None:
    """Raises CropsUnavailable if too much of a crop is outside the image.

    ``crops`` has maps [3, 3] by name from the unit square to pixels of the image.
    """
    for name, crop in crops.items():
        share = share_outside(camera, crop)
        if share > _MISSING[name]:
            what = name.replace("_", " ")
            raise CropsUnavailable(f"{share:.0%} of its {what} is outside the image")


def _is_inside(camera: Camera, crop: FloatArray) -> bool:
    """Returns whether all corners of a crop are in the image. Avoids numpy, which is slower."""
    (a, b, c), (d, e, f), (g, h, i) = crop.tolist()
    return all(
        _inside(camera, a * u + b * v + c, d * u + e * v + f, g * u + h * v + i)
        for u, v in _UNIT_CORNERS
    )


def share_outside(camera: Camera, crop: FloatArray) -> float:
    """Returns the share of a crop that is outside the image.

    ``crop`` [3, 3] maps the unit square to pixels of the image.
    """
    if _is_inside(camera, crop):
        return 0.0
    inside = _inside(camera, *(crop[:, :2] @ _GRID.T + crop[:, 2:]))
    return 1 - np.count_nonzero(inside) / len(_GRID)


def _inside(camera: Camera, x: Any, y: Any, z: Any) -> Any:
    """Returns whether homogeneous points are in front of the camera and in its image."""
    inside = (z > 0) & (x >= -0.5 * z) & (x <= (camera.width - 0.5) * z)
    return inside & (y >= -0.5 * z) & (y <= (camera.height - 0.5) * z)
