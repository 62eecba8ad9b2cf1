"""Paints the eyes into the picture before it is warped: closes lids and moves irises.

Each eye is separated once into its white, its iris and the skin of its lids. Parts that the picture
does not show are filled in from those that it shows.
"""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.portrait.anatomy import Anatomy, smooth_curve
from face_perception.geometry import smoothstep
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

MAX_YAW, MAX_PITCH = 0.5, 0.35  # of an eye in the head, radians

_RADIUS_CM = 1.2  # from the centre of the eyeball to the iris
# Effective radius with which the landmarks are read, horizontal and vertical. The horizontal one
# fits the irises of the mesh network (see gaze/eyeballs.py), the vertical one is anatomical. With
# the constants of gaze/eyeballs.py (0.8 both ways, eyeball 0.7 behind the canthi) the mean error
# over the 27 looks of test_portrait.py falls from 4.0 to 3.4 degrees, but the largest rises from
# 7.1 to 8.0 (grace_hopper, who wears glasses).
_SEEN_RADIUS_CM = np.array([0.8, 1.2])
# Default factors on the movement of the irises to the image's right and left, and down and up,
# until they are measured. The mesh network places irises closer to the middle of the eye than they
# are.
_DEFAULT_IRIS_GAIN = np.array([[1.0, 1.0], [1.5, 1.5]])
_FARTHEST_CM = 0.95  # largest horizontal movement: the iris is then in the corner of the eye
_BEHIND_CM = 0.9  # centre of the eyeball behind the canthi
_ABOVE_CM = 0.24  # iris of an eye that looks straight ahead, above the canthi
_VISIBLE_IRIS_CM = 0.59
_PITCH_TRUST = 0.6  # share of the head's pitch that is used
# Yaw and pitch, radians, that may be the error of reading eyes that look into the lens.
_LOOKS_AT_VIEWER = np.array([0.1, 0.07])

# Shares of the eye opening:
_LID_FOLLOWS = 0.85  # how far the upper lid goes down per radian of downward gaze
_WIDEST = -0.18  # upper lid at ``lids`` 1
_NARROWED = 0.35  # upper lid at ``lids`` -1
_MEETS_AT = 0.14  # where closed lids meet, above the lower lid
_PAINTED_AT = 0.1  # closing from which a painted lid has replaced the one of the picture

# Centimetres:
_CREASE_CM = 0.30  # fold of the upper lid above its edge, in the middle of the eye
_CORNER_CM = 0.50  # how far lashes reach beyond the landmarks of the corners
_LID_CM = 0.62  # how far lashes and fold reach above the landmarks of the upper lid
_LASH_LINE_CM = 0.06  # half the thickness of the line of lashes along the edge of the lid
_LASH_CM = 0.24  # length of a lash
_LASHES = 17  # drawn lashes of an eye


def iris_offset(face: Anatomy, landmarks: FloatArray) -> FloatArray:
    """Returns the offset of the irises from the middle between the canthi, mean of both eyes.

    ``landmarks`` are [478, 3] in pixels. The result is [2], cm to the image's right and down.
    """
    found = []
    for outer, inner, centre in (
        (faces.RIGHT_OUTER_CANTHUS, faces.RIGHT_INNER_CANTHUS, faces.RIGHT_IRIS_CENTRE),
        (faces.LEFT_OUTER_CANTHUS, faces.LEFT_INNER_CANTHUS, faces.LEFT_IRIS_CENTRE),
    ):
        middle = (landmarks[outer, :2] + landmarks[inner, :2]) / 2
        found.append((landmarks[centre, :2] - middle) @ face.axes.T / face.cm)
    return np.asarray(np.mean(found, 0))


def iris_shift(turn: FloatArray, gaze: FloatArray) -> FloatArray:
    """Returns how far an iris moves when an eye turns from ``gaze`` to ``turn``.

    Both are yaw and pitch [2] in radians. The result is [2], cm to the image's right and down.
    """
    return np.asarray(_RADIUS_CM * (np.sin(turn) - np.sin(gaze)) * (1, -1))


def read_gaze(face: Anatomy, landmarks: FloatArray, head: tuple[float, float]) -> FloatArray:
    """Returns yaw and pitch [2] of the eyes, radians, from the landmarks [478, 3] (pixels).

    A simplified form of ``gaze/geometric.py``. ``head`` is the yaw and pitch of the head, radians.
    """
    x, y = iris_offset(face, landmarks)
    pitch = _PITCH_TRUST * head[1]
    sines = (
        x + _BEHIND_CM * math.sin(head[0]),
        -y - _ABOVE_CM + _BEHIND_CM * math.sin(pitch),
    ) / _SEEN_RADIUS_CM
    return np.asarray(np.arcsin(np.clip(sines, -0.9, 0.9)))


def picture_gaze(face: Anatomy, landmarks: FloatArray, head: tuple[float, float]) -> FloatArray:
    """Returns where the eyes of the picture look, yaw and pitch [2], radians.

    As ``read_gaze``, but angles that may be the error of eyes that look into the lens are zero.
    """
    angles = read_gaze(face, landmarks, head)
    return np.asarray(angles - np.clip(angles, -_LOOKS_AT_VIEWER, _LOOKS_AT_VIEWER))


class PaintedEye:
    """One eye of a picture. It changes only the pixels of its patch, ``rows`` and ``columns``.

    ``iris_gain`` [2, 2]: factor on the movement of the iris relative to that of an eyeball, so that
    the landmarks show the gaze angle: to the image's right and left, and down and up.
    """

    def __init__(
        self, image: Image, face: Anatomy, landmarks: FloatArray, left: bool, gaze: FloatArray
    ) -> None:
        upper, lower, centre, rim, brow = _parts(left)
        cm = face.cm
        points = landmarks[:, :2].astype(np.float64)
        lids = [smooth_curve(points[index]) for index in (upper, lower)]
        if lids[0][0, 0] > lids[0][-1, 0]:
            lids = [curve[::-1] for curve in lids]
        ends = lids[0][[0, -1]]
        brow_y = float(points[brow, 1].mean())
        self._opening = float((lids[1][:, 1] - lids[0][:, 1]).max())
        opening = max(self._opening, 0.15 * cm)
        top = min(brow_y, float(lids[0][:, 1].min()) - 0.5 * cm)
        margin = _CORNER_CM * cm
        height, width = image.shape[:2]
        x0 = int(np.clip(ends[0, 0] - margin, 0, width - 2))
        x1 = int(np.clip(ends[1, 0] + margin, x0 + 2, width))
        y0 = int(np.clip(top, 0, height - 2))
        y1 = int(np.clip(float(lids[1][:, 1].max()) + 0.8 * cm, y0 + 2, height))
        self.rows, self.columns = slice(y0, y1), slice(x0, x1)
        self._picture = image[self.rows, self.columns].astype(np.float32)
        x = np.arange(x1 - x0, dtype=np.float64)
        # Height of the lids in each column; beyond the canthi both are the same.
        self._upper, self._lower = (
            np.interp(x, curve[:, 0] - x0, curve[:, 1] - y0) for curve in lids
        )
        left_end, right_end = ends[:, 0] - x0
        beyond = np.maximum(np.maximum(left_end - x, x - right_end), 0)
        meet = (self._upper + self._lower) / 2
        outside = beyond > 0
        self._upper[outside] = self._lower[outside] = meet[outside]
        self._fade = smoothstep(1 - beyond / margin)
        self._lower = np.maximum(self._lower, self._upper)
        self._cm = cm
        self._gaze = gaze
        self.iris_gain = _DEFAULT_IRIS_GAIN
        self._axes = face.axes
        self._grid_x, self._grid_y = np.meshgrid(
            x.astype(np.float32), np.arange(y1 - y0, dtype=np.float32)
        )
        self._feathered = self._edge()
        self._centre = points[centre] - (x0, y0)
        radius = float(np.linalg.norm(points[rim] - points[centre], axis=1).mean())
        self._radius = max(radius, 0.6 * _VISIBLE_IRIS_CM * cm)
        height = self._lower - self._upper
        self._bulge = np.sqrt(np.clip(height / max(float(height.max()), 1.0), 0, 1))
        self._ends = float(left_end), float(right_end)
        self._outer_right = left  # the person's left eye is on the right of the picture
        self._prepare_lid()
        self._separate_parts(opening)

    def _edge(self) -> Pixels:
        """Returns weights [H, W, 1]: 1 inside the patch, 0 at its border, to avoid a seam."""
        height, width = self._grid_x.shape
        near = np.minimum(
            np.minimum(self._grid_x, width - 1 - self._grid_x),
            np.minimum(self._grid_y, height - 1 - self._grid_y),
        )
        return np.asarray(np.clip(near / 3, 0, 1)[..., None], np.float32)

    def _separate_parts(self, opening: float) -> None:
        """Extracts the white without the iris, and the iris without the lids."""
        picture = self._picture
        x, y = self._grid_x, self._grid_y
        inset = max(1.0, 0.07 * opening)
        inside = (y > self._upper + inset) & (y < self._lower - inset)
        distance = np.hypot(x - self._centre[0], y - self._centre[1])
        radius = self._radius
        gray = picture.mean(2)
        white = inside & (distance > 1.18 * radius)
        if white.sum() > 8:
            # Leaves out lashes and make-up inside the opening.
            white &= gray > np.percentile(gray[white], 30)
        skin = np.median(picture[: max(2, picture.shape[0] // 3)].reshape(-1, 3), axis=0)
        if white.sum() < 8:
            white_colour = 0.5 * skin + 0.5 * skin.mean() + 25
            self._white = np.broadcast_to(
                np.clip(white_colour, 0, 235).astype(np.float32), picture.shape
            ).copy()
        else:
            self._white = _filled(picture, white, 0.12 * self._cm)
            shown = _filled(picture, white, 0.03 * self._cm)
            share = cv2.GaussianBlur(white.astype(np.float32), (0, 0), 0.05 * self._cm)
            self._white += np.minimum(share * 1.5, 1)[..., None] * (shown - self._white)
        # Where the lids hide the iris, each ring of it gets one colour.
        visible = inside & (distance < 1.12 * radius)
        size = math.ceil(1.3 * radius)
        sx, sy = np.meshgrid(np.arange(-size, size + 1), np.arange(-size, size + 1))
        reach = np.hypot(sx, sy).astype(np.float32)
        rings = np.linspace(0, 1.12, 15)
        colours, at = [], []
        for low, high in itertools.pairwise(rings):
            ring = visible & (distance >= low * radius) & (distance < high * radius)
            if ring.sum() >= 3:
                colours.append(np.median(picture[ring], axis=0))
                at.append((low + high) / 2)
        if not colours:
            colours, at = [np.array([60.0, 45.0, 38.0])], [0.5]
        profile = np.array(colours)
        radial = np.stack([np.interp(reach / radius, at, profile[:, c]) for c in range(3)], 2)
        cx, cy = (round(float(v)) for v in self._centre)
        self._iris_at = np.array([cx - size, cy - size], np.float64)
        shown = cv2.copyMakeBorder(picture, size, size, size, size, cv2.BORDER_REPLICATE)
        seen = cv2.copyMakeBorder(
            visible.astype(np.float32), size, size, size, size, cv2.BORDER_CONSTANT
        )
        window = (slice(cy, cy + 2 * size + 1), slice(cx, cx + 2 * size + 1))
        soft = np.minimum(cv2.GaussianBlur(seen, (0, 0), 0.8), seen)[window][..., None]
        colour = radial + soft * (shown[window] - radial)
        edge = max(1.0, 0.10 * radius)
        alpha = np.clip((radius * 1.04 - reach) / edge + 0.5, 0, 1)[..., None]
        self._iris = np.concatenate([colour * alpha, alpha], 2).astype(np.float32)

    def paint(self, blink: float, lids: float, gaze: FloatArray, cheek: float = 0.0) -> Pixels:
        """Returns the patch with the eye painted, float32 [H, W, 3].

        - ``blink`` in [0, 1], ``lids`` in [-1, 1]: as in ``FaceState``.
        - ``gaze`` [2]: yaw and pitch of the eye relative to the head, radians.
        - ``cheek`` in [0, 1]: how far a smile raises the lower lid.
        """
        turn = np.clip(gaze, (-MAX_YAW, -MAX_PITCH), (MAX_YAW, MAX_PITCH))
        follow = -_LID_FOLLOWS * float(turn[1] - self._gaze[1])
        set_ = _WIDEST * lids if lids > 0 else -_NARROWED * lids
        open_ = min(max(set_ + follow, _WIDEST), 0.75)
        closing = open_ + blink * (1 - open_)
        squint = min(1.0, 0.35 * max(-lids, 0.0) + 0.30 * cheek)
        raised = 1 - (1 - _MEETS_AT * max(blink, 0.0)) * (1 - 0.5 * squint)
        height = self._lower - self._upper
        lower = self._lower - raised * height
        upper = np.minimum(self._upper + closing * height, lower)
        if closing > 0.999:
            upper = lower
        skin = self._skin(upper, lower, closing, raised)
        if (lower - upper).max() > 0.3:
            ball = self._ball(turn, upper, self._upper + open_ * height, closing)
            cover = np.clip(self._grid_y - upper.astype(np.float32) + 0.5, 0, 1)
            cover = np.minimum(cover, np.clip(lower.astype(np.float32) - self._grid_y + 0.5, 0, 1))
            inside = cv2.GaussianBlur(cover, (0, 0), 0.7)[..., None]
            skin += inside * (ball - skin)
        return np.asarray(self._picture + self._feathered * (skin - self._picture))

    def _skin(self, upper: FloatArray, lower: FloatArray, closing: float, raised: float) -> Pixels:
        """Returns the patch with the lids moved to new heights in each column, pixels.

        - ``closing``: how far the upper lid is down, as a share of the opening; may be negative.
        - ``raised``: how far the lower lid is up, as a share of the opening.
        """
        y = self._grid_y
        above = _stretched(y, 0.0, upper, self._upper)
        bottom = float(y[-1, 0])
        below = bottom - _stretched(bottom - y, 0.0, bottom - lower, bottom - self._lower)
        middle = (upper + lower) / 2
        # Inside the opening the lid margins are repeated; they are painted over later.
        lid = self._resampled(np.minimum(above, self._upper))
        under = self._resampled(np.maximum(below, self._lower))
        share = np.clip(y - middle + 0.5, 0, 1).astype(np.float32)[..., None]
        skin = np.asarray(lid + share * (under - lid))
        down, up = smoothstep(closing / _PAINTED_AT), smoothstep(raised / _MEETS_AT)
        if down > 0:
            self._paint_lid(skin, upper, closing, float(down), float(up))
        return skin

    def _paint_lid(
        self, skin: Pixels, upper: FloatArray, closing: float, down: float, up: float
    ) -> None:
        """Paints the unfolded upper lid, its fold and its lashes over ``skin`` [H, W, 3].

        Skin and lashes of the picture, stretched over the eye, would look like smudges.
        ``down`` and ``up`` in [0, 1]: how much of the picture's upper and lower lid is replaced.
        """
        cm, y = np.float32(self._cm), self._grid_y
        edge = upper.astype(np.float32)
        over = np.clip(edge - y + 0.5, 0, 1)
        cover = self._unfolded * (down * over + up * (1 - over))
        # A lid is round: it is brightest in the middle, and the ball below shades its edge.
        at = np.clip((y - self._crease) / np.maximum(edge - self._crease, 1), 0, 1)
        round_ = 0.95 + 0.09 * np.sin(np.pi * np.clip(at, 0.1, 1)) * self._bulge
        fold = np.exp(-(((y - self._crease) / (0.07 * cm)) ** 2)) * self._bulge
        shade = round_ - (0.05 + 0.09 * closing) * fold
        skin += cover[..., None] * (self._bare * shade[..., None].astype(np.float32) - skin)
        thick = _LASH_LINE_CM * cm * (0.45 + 0.55 * self._bulge)
        line = np.clip(1.2 - np.abs(y - edge) / thick, 0, 1) * self._at_lashes
        lashes = np.maximum(line, self._lashes_at(edge, closing)) if closing > 0.3 else line
        alpha = (np.float32(0.85 * down) * lashes)[..., None]
        skin += alpha * (self._lash_colour - skin)

    def _lashes_at(self, edge: Pixels, closing: float) -> Pixels:
        """Returns the lashes of a lid whose edge is at ``edge`` [W]: [H, W] in [0, 1]."""
        left, right = self._ends
        along = np.linspace(0.06, 0.97, _LASHES)
        x = left + along * (right - left)
        base = np.interp(x, self._grid_x[0], edge)
        # They fan out from the middle, and those towards the temple are the longest.
        outward = along if self._outer_right else 1 - along
        length = _LASH_CM * self._cm * (0.45 + 0.55 * outward) * min(1.0, closing)
        lean = (along - 0.5) * 1.5
        tips = np.stack([x + length * np.sin(lean), base + length * np.cos(lean)], -1)
        mask: npt.NDArray[np.uint8] = np.zeros(self._grid_x.shape, np.uint8)
        ends = np.rint(np.stack([np.stack([x, base], -1), tips], 1) * 16).astype(np.int32)
        thick = max(1, round(0.03 * self._cm))
        cv2.polylines(mask, list(ends), False, 255, thick, cv2.LINE_AA, 4)
        return np.asarray(mask.astype(np.float32) * np.float32(0.40 / 255))

    def _prepare_lid(self) -> None:
        """Computes what ``_paint_lid`` needs: colours of lid and lashes, and where the eye is."""
        cm, x, y = self._cm, self._grid_x[0], self._grid_y
        left, right = self._ends
        beside = np.minimum(x - left, right - x) / cm  # cm, negative beside the eye
        self._at_eye = smoothstep((beside + _CORNER_CM) / 0.35).astype(np.float32)
        self._at_lashes = smoothstep((beside + 0.15) / 0.2).astype(np.float32)
        self._crease = (self._upper - _CREASE_CM * cm * self._bulge).astype(np.float32)
        # The lid that is painted covers the lashes of the picture, also beside the corners.
        top = self._upper - _LID_CM * cm * (0.7 + 0.3 * self._bulge)
        bottom = self._lower + 0.09 * cm
        inside = smoothstep((y - top) / (0.30 * cm)) * smoothstep((bottom - y) / (0.10 * cm) + 0.5)
        self._unfolded = np.asarray(inside * self._at_eye, np.float32)
        # From the colour of the skin above the eye to that below it.
        above = self._skin_colour(np.linspace(0.40, 0.62, 7)[:, None] * self._upper[None])
        below = self._skin_colour(self._lower[None] + np.linspace(0.22, 0.42, 5)[:, None] * cm)
        # Glasses, hair and shadow are no skin: the darker of the two counts less.
        bright = np.clip(above.mean(2) / np.maximum(below.mean(2), 1), 0.5, 2)[..., None]
        trust = np.clip(0.62 * bright**2 / (bright**2 + 1) * 2, 0.1, 0.8)
        lid = below + trust * (above - below)
        t = np.clip((y - self._crease) / np.maximum(self._lower - self._crease, 1), 0, 1)[..., None]
        self._bare = np.asarray(lid + smoothstep(t, 0.5, 1.0) * (below - lid), np.float32)
        # At its upper end, the lid has the colour of the picture there.
        near = self._skin_colour(top[None] + np.linspace(-0.20, 0.06, 6)[:, None] * cm)
        t = (y - top) / np.maximum(self._lower - top, 1)
        upper_end = (1 - smoothstep(t, 0.1, 0.7))[..., None].astype(np.float32)
        self._bare += upper_end * (near - self._bare)
        heights = self._upper[None] + np.linspace(-0.10, 0.06, 7)[:, None] * cm
        # Eyes that are shut in the picture have no bulge.
        middle = self._bulge >= 0.6 * self._bulge.max()
        seen = self._columns_at(heights)[:, middle].reshape(-1, 3)
        dark = seen[seen.mean(1) <= np.percentile(seen.mean(1), 15)].mean(0)
        skin = self._bare[:, middle].reshape(-1, 3).mean(0)
        self._lash_colour = np.asarray(np.minimum(dark, 0.40 * skin), np.float32)

    def _columns_at(self, heights: FloatArray) -> Pixels:
        """Returns the picture at heights [N, W] in each column: [N, W, 3]."""
        columns = np.broadcast_to(self._grid_x[0], heights.shape).astype(np.float32)
        return np.asarray(
            cv2.remap(
                self._picture,
                columns,
                heights.astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

    def _skin_colour(self, heights: FloatArray, percentile: float = 70) -> Pixels:
        """Returns the colour of the skin at heights [N, W], smoothed along the lid: [1, W, 3].

        It is the ``percentile`` of each column: folds and make-up are darker than the skin.
        """
        row = np.percentile(self._columns_at(heights), percentile, axis=0)[None].astype(np.float32)
        return np.asarray(cv2.GaussianBlur(row, (0, 0), 0.35 * self._cm), np.float32)

    def _resampled(self, source: FloatArray) -> Pixels:
        """Returns the patch with each pixel taken from the height ``source`` [H, W]."""
        heights = self._grid_y + self._fade * (source - self._grid_y)
        return np.asarray(
            cv2.remap(
                self._picture,
                self._grid_x,
                heights.astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

    def _ball(
        self, turn: FloatArray, upper: FloatArray, opened: FloatArray, closing: float
    ) -> Pixels:
        """Returns the patch with white and iris only.

        ``turn`` [2] is the gaze; ``upper`` the height of the upper lid, ``opened`` its height
        without the blink, in each column.
        """
        ball = self._white.copy()
        across, down = iris_shift(turn, self._gaze)
        across *= self.iris_gain[0, int(across < 0)]
        down *= self.iris_gain[1, int(down < 0)]
        across = min(max(across, -_FARTHEST_CM), _FARTHEST_CM)
        shift = self._cm * (self._axes.T @ (across, down))
        # In narrow eyes the pupil would be hidden by a lid, and with it the gaze direction.
        column = int(np.clip(self._centre[0] + shift[0], 0, len(opened) - 1))
        low, high = opened[column], self._lower[column]
        room = min(0.25 * self._radius, (high - low) / 2)
        y = np.clip(self._centre[1] + shift[1], low + room, high - room)
        # A pupil that a lid hides in the picture itself stays where it is.
        up, down = min(0.0, float(shift[1])), max(0.0, float(shift[1]))
        shift[1] = min(max(float(y - self._centre[1]), up), down)
        move = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        move[:, 2] = self._iris_at + shift
        iris = cv2.warpAffine(self._iris, move, (ball.shape[1], ball.shape[0]))
        ball *= 1 - iris[..., 3:]
        ball += iris[..., :3]
        # A moved lid casts a shadow.
        deep = (self._grid_y - upper.astype(np.float32)) / (0.16 * self._cm)
        shade = 0.45 * min(1.0, 3 * abs(closing)) * np.exp(-np.maximum(deep, 0))
        ball *= (1 - shade)[..., None]
        return ball


def _parts(left: bool) -> tuple[Indices, Indices, int, Indices, Indices]:
    """Returns landmark indices: upper lid, lower lid, iris centre, iris rim, lower edge of brow."""
    if left:
        return (
            faces.LEFT_EYE_UPPER,
            faces.LEFT_EYE_LOWER,
            faces.LEFT_IRIS_CENTRE,
            faces.LEFT_IRIS_RIM,
            faces.LEFT_BROW_LOWER,
        )
    return (
        faces.RIGHT_EYE_UPPER,
        faces.RIGHT_EYE_LOWER,
        faces.RIGHT_IRIS_CENTRE,
        faces.RIGHT_IRIS_RIM,
        faces.RIGHT_BROW_LOWER,
    )


def _stretched(y: Pixels, top: float, new: FloatArray, old: FloatArray) -> Pixels:
    """Returns the height in the picture for each height ``y`` when ``old`` is moved to ``new``.

    Nothing moves at ``top``. The scale is 1 at both ends, so that lashes keep their thickness; the
    skin in between unfolds. All heights are in pixels.
    """
    room_new = np.maximum(new - top, 1.0)
    room_old = np.maximum(old - top, 1.0)
    t = np.clip((y - top) / room_new, 0, 1)
    bend = np.clip(room_new / room_old, 0.4, 2.6) - 1
    t = t + bend * t * (1 - t) * (1 - 2 * t)
    return np.asarray(top + room_old * t + np.maximum(y - np.maximum(new, top), 0), np.float32)


def _filled(picture: Pixels, valid: npt.NDArray[np.bool_], sigma: float) -> Pixels:
    """Smooths the valid pixels of a picture and continues them into the others.

    ``sigma`` is the width of the Gaussian, pixels.
    """
    weight = valid.astype(np.float32)
    total = picture * weight[..., None]
    filled: Pixels = np.zeros_like(picture)
    done = np.zeros(valid.shape, np.float32)
    for scale in (1, 2, 4, 8):
        share = cv2.GaussianBlur(weight, (0, 0), scale * sigma) + 1e-6
        mean = cv2.GaussianBlur(total, (0, 0), scale * sigma) / share[..., None]
        sure = np.clip(share * 8, 0, 1) * (1 - done)
        filled += mean * sure[..., None]
        done += sure
    return filled + np.median(picture[valid], axis=0).astype(np.float32) * (1 - done)[..., None]
