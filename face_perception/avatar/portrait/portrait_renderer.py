"""Renders a face state on a picture of one face: the renderer that needs no GPU and no weights.

``deformations`` defines what a face can do; ``idle_motion`` decides when it does it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.interfaces import FaceState
from face_perception.avatar.portrait.anatomy import Anatomy, measure_anatomy
from face_perception.avatar.portrait.default_face import synthetic_face
from face_perception.avatar.portrait.deformations import HEAD, JAW_DROP, SHAPES, shape_weights
from face_perception.avatar.portrait.eye_painting import PaintedEye, picture_gaze
from face_perception.avatar.portrait.iris_and_head_gain import measure_head_gain, measure_iris_gain
from face_perception.avatar.portrait.mouth_interior import MouthInterior
from face_perception.avatar.portrait.skin_folds import SkinFolds, unit_strengths
from face_perception.avatar.portrait.source_picture import (
    PortraitError,
    frame_picture,
    read_picture,
    to_rgb,
)
from face_perception.avatar.portrait.warp import Warp, WarpRegion
from face_perception.errors import InputError
from face_perception.faces import FaceTracker, load_tracker
from face_perception.inference import sample_photo
from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.float32]

MIN_SIDE, MAX_SIDE = 128, 2048  # pixels
SAMPLES = ("astronaut", "grace_hopper")

_JAW, _CLOSE = SHAPES.index("jaw"), SHAPES.index("close")
_ROUND, _SMILE, _CHEEK = (SHAPES.index(name) for name in ("round", "smile", "cheek"))
_HEAD_GAIN = 0.5  # share of a head turn that a flat picture shows, if it cannot be measured
# How often the iris gain is measured: the measured movement is not quite proportional to it.
_GAIN_ROUNDS = 2
_SEAM_DARK = 0.45  # darkness of the line between lips that are parted in the picture


class PortraitRenderer:
    """Renders ``FaceState`` on a picture of one face. Not thread-safe: one thread calls it.

    - ``picture``: gray [H, W], RGB or RGBA [H, W, 3 or 4], uint8.
    - ``size``: width and height of the frames, pixels.
    - ``whole``: show as much of the picture as fits, instead of the face and shoulders.

    ``warnings`` say what will not look right and what to do, for example if the head is turned.
    Raises PortraitError if the picture cannot be animated, for example without exactly one face,
    and InputError if ``size`` is out of range.

    >>> portrait = load_portrait(size=(128, 128))  # the synthetic face of the package
    >>> rest, blink = portrait.render(FaceState()), portrait.render(FaceState(blink=1.0))
    >>> rest.shape, rest.dtype.name, bool((rest != blink).any())
    ((128, 128, 3), 'uint8', True)
    """

    def __init__(
        self,
        picture: npt.NDArray[np.generic],
        *,
        size: tuple[int, int] = (512, 512),
        whole: bool = False,
        tracker: FaceTracker | None = None,
    ) -> None:
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
            raise InputError(
                f"width and height of the frames must be from {MIN_SIDE} to {MAX_SIDE} pixels, "
                f"not {size[0]}x{size[1]}"
            )
        self.size = (int(size[0]), int(size[1]))
        tracker = tracker or load_tracker()
        framed = frame_picture(to_rgb(picture), tracker, self.size, whole)
        self.warnings = framed.warnings
        self.picture = framed.image
        self.face = framed.face
        landmarks = framed.face.landmarks
        self._face = measure_anatomy(self.picture, landmarks)
        pose = framed.face.pose
        head = faces.landmark_yaw_pitch(pose) if pose is not None else (0.0, 0.0)
        gaze = picture_gaze(self._face, landmarks, head)
        self._eyes = [
            PaintedEye(self.picture, self._face, landmarks, left, gaze) for left in (False, True)
        ]
        self._warp = Warp(self._face, self.size)
        self._interior = MouthInterior(self.picture, self._face)
        region = self._warp.region
        self._canvas = self.picture.copy()
        self._folds = SkinFolds(self.picture, self._face)
        x, y = np.meshgrid(
            np.arange(region.width, dtype=np.float32) + region.x,
            np.arange(region.height, dtype=np.float32) + region.y,
        )
        self._pixels = np.stack([x, y], 2)
        self._edges = [
            self._warp.displacement_at(edge, layer)
            for layer, edge in enumerate((self._face.upper_edge, self._face.lower_edge))
        ]
        # The gap that the smoothing of the fields leaves between closed lips.
        shut = [
            edge + moved[_CLOSE]
            for edge, moved in zip(
                (self._face.upper_edge, self._face.lower_edge), self._edges, strict=True
            )
        ]
        self._shut_gap = np.maximum((shut[1] - shut[0]) @ self._face.axes[1], 0)
        self._anchor = self._warp.displacement_at(self._face.mouth[None], 0)[:, 0]
        self._timer: Callable[[str, float], None] | None = None
        self._head_gain = np.array([_HEAD_GAIN, _HEAD_GAIN])
        shares = measure_head_gain(self.render, tracker)
        if shares is not None:
            self._head_gain = shares
        for _ in range(_GAIN_ROUNDS):
            found = measure_iris_gain(
                self.render, tracker, self._face, gaze, self._head_gain, self._eyes[0].iris_gain
            )
            for eye in self._eyes:
                eye.iris_gain = found

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        size: tuple[int, int] = (512, 512),
        whole: bool = False,
        tracker: FaceTracker | None = None,
    ) -> PortraitRenderer:
        """Reads an image file. Raises PortraitError if it cannot be read, or as the constructor."""
        picture = read_picture(path)
        try:
            return cls(picture, size=size, whole=whole, tracker=tracker)
        except PortraitError as error:
            raise PortraitError(f"{path}: {error}") from error

    def render(self, state: FaceState) -> Image:
        """Returns a new RGB image, uint8 [height, width, 3].

        Values of ``state`` out of range are limited; values that are not finite count as 0.
        """
        blink, lids = (
            float(np.clip(np.nan_to_num(value), low, 1))
            for value, low in ((state.blink, 0), (state.lids, -1))
        )
        amounts = shape_weights(state)
        gaze = np.array([state.gaze_yaw, state.gaze_pitch])
        return self.render_shapes(
            amounts, blink=blink, lids=lids, gaze=gaze, folds=unit_strengths(amounts)
        )

    def render_shapes(
        self,
        amounts: FloatArray,
        *,
        blink: float = 0.0,
        lids: float = 0.0,
        gaze: FloatArray | None = None,
        folds: Mapping[int, float] = MappingProxyType({}),
    ) -> Image:
        """Renders from the weights of the shapes instead of a state.

        - ``amounts`` [K]: weights of ``deformations.SHAPES``.
        - ``gaze`` [2]: yaw and pitch of the gaze, radians.
        - ``folds``: how far action units fold the skin, [0, 1] each; see ``skin_folds.FOLDS``.
        """
        mark = self._stopwatch()
        turned = np.nan_to_num(
            (np.zeros(2) if gaze is None else gaze) - self._head_gain * amounts[list(HEAD[:2])]
        )
        self._folds.shade(self._canvas, folds)
        # A smile raises the cheeks, and with them the lower lids.
        cheek = min(1.0, float(amounts[_CHEEK] + 0.5 * amounts[_SMILE]))
        for eye in self._eyes:
            patch = eye.paint(blink, lids, turned, cheek)
            self._folds.shade_patch(patch, eye.rows, eye.columns)
            self._canvas[eye.rows, eye.columns] = np.clip(patch + 0.5, 0, 255)
        mark("eyes")
        edges = self._edges_at(amounts)
        line, rows = self._mouth_line(edges)
        region = self._warp.region
        upper, lower = self._warp.forward_field(amounts)
        above = slice(0, rows.stop)
        below = slice(rows.start, region.height)
        upper, lower = self._warp.backward_map(upper, above), self._warp.backward_map(lower, below)
        mark("fields")
        image = self.picture.copy()
        window = image[region.rows, region.columns]
        self._sample(upper, above, window[above])
        under = np.empty_like(window[below])
        self._sample(lower, below, under)
        _cover_below(
            window[below], under, line - (region.x, region.y + rows.start), self._face.axes
        )
        mark("warp")
        self._draw_between_lips(image, amounts, *edges)
        mark("mouth")
        return image

    @property
    def anatomy(self) -> Anatomy:
        """Returns where the parts of the face are in ``picture``."""
        return self._face

    @property
    def region(self) -> WarpRegion:
        """Returns the part of the frame that the renderer changes."""
        return self._warp.region

    def _area_scale(self, state: FaceState) -> FloatArray:
        """Returns how much the picture is enlarged at each node of the warp, as a ratio of areas.

        The result is [rows, columns]. A value of zero or less means that the picture folds over.
        NaN between parted lips, where the picture is not shown.
        """
        amounts = shape_weights(state)
        upper, lower = self._warp.area_scale(amounts)
        middle = self._face.local((self._face.upper_edge + self._face.lower_edge) / 2)
        local = self._face.local(self._warp.nodes)
        line = np.interp(local[..., 0], middle[:, 0], middle[:, 1])
        found = np.where(local[..., 1] < line, upper, lower)
        if self._face.parted:
            edges = (self._face.local(e) for e in (self._face.upper_edge, self._face.lower_edge))
            top, bottom = (np.interp(local[..., 0], e[:, 0], e[:, 1]) for e in edges)
            found[(local[..., 1] > top) & (local[..., 1] < bottom)] = np.nan
        return np.asarray(found)

    def set_stage_timer(self, report: Callable[[str, float], None] | None) -> None:
        """Calls ``report(stage, seconds)`` for each stage of each frame; None stops that.

        The seconds are CPU time of the thread.
        """
        self._timer = report

    def _stopwatch(self) -> Callable[[str], None]:
        report = self._timer
        if report is None:
            return lambda stage: None
        began = [time.thread_time()]

        def mark(stage: str) -> None:
            now = time.thread_time()
            report(stage, now - began[0])
            began[0] = now

        return mark

    def _sample(self, back: Pixels, rows: slice, into: Image) -> None:
        cv2.remap(
            self._canvas,
            self._pixels[rows] + back,
            None,
            cv2.INTER_LINEAR,
            dst=into,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _edges_at(self, amounts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns the inner edges of upper and lower lip in the frame, [N, 2] each, pixels.

        They never cross.
        """
        upper = self._face.upper_edge + np.tensordot(amounts, self._edges[0], 1)
        lower = self._face.lower_edge + np.tensordot(amounts, self._edges[1], 1)
        for end in (0, -1):
            upper[end] = lower[end] = (upper[end] + lower[end]) / 2
        down = self._face.axes[1]
        gap = np.maximum((lower - upper) @ down - self._shut_gap, 0)
        middle = (upper + lower) / 2
        half = gap[:, None] * down / 2
        return middle - half, middle + half

    def _mouth_line(self, edges: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, slice]:
        """Returns the line between the two layers, from cheek to cheek, and its rows.

        The line is [N, 2] in pixels; the rows count from the top of the region.
        """
        face, region = self._face, self._warp.region
        middle = (edges[0] + edges[1]) / 2
        margin = 1.5 * face.cm * face.axes[0]
        line = np.concatenate([[middle[0] - margin], middle, [middle[-1] + margin]])
        top = int(line[:, 1].min()) - 3 - region.y
        bottom = int(line[:, 1].max()) + 4 - region.y
        top = min(max(top, 0), region.height - 2)
        return line, slice(top, min(max(bottom, top + 1), region.height))

    def _draw_between_lips(
        self, image: Image, amounts: FloatArray, upper: FloatArray, lower: FloatArray
    ) -> None:
        """Draws the mouth interior between parted lips, or the line between closed ones."""
        face = self._face
        gap = (lower - upper) @ face.axes[1]
        cm = face.cm
        both = np.concatenate([upper, lower])
        margin = 0.35 * cm
        low = np.maximum(np.floor(both.min(0) - margin).astype(int), 0)
        high = np.minimum(np.ceil(both.max(0) + margin).astype(int), self.size)
        if (high <= low).any():
            return
        box = image[low[1] : high[1], low[0] : high[0]]
        outline = np.concatenate([upper, lower[::-1]]) - low
        mask = _filled(box.shape[:2], outline).astype(np.float32) * np.float32(1 / 255)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.035 * cm, 0.5))
        out = box.astype(np.float32)
        if face.parted:
            # The picture has no line between closed lips, so one is drawn.
            shut = np.clip(1 - gap / (0.10 * cm), 0, 1)
            shade = _line(box.shape[:2], (upper + lower) / 2 - low, shut, 0.05 * cm)
            out *= (1 - _SEAM_DARK * shade)[..., None]
        if gap.max() > 0.4:
            head = np.zeros_like(amounts)
            head[list(HEAD)] = amounts[list(HEAD)]
            skull = face.mouth + head @ self._anchor
            jaw = float(amounts[_JAW])
            chin = face.axes[1] * jaw * JAW_DROP * cm
            inside = self._interior.draw_interior(
                (box.shape[1], box.shape[0]),
                (float(low[0]), float(low[1])),
                skull,
                chin,
                mask,
                pushed=float(np.clip(amounts[_ROUND], 0, 1)),
            )
            out += mask[..., None] * (inside - out)
        box[:] = np.clip(out + 0.5, 0, 255)


def load_portrait(
    source: str | Path = "",
    *,
    size: tuple[int, int] = (512, 512),
    whole: bool = False,
    tracker: FaceTracker | None = None,
) -> PortraitRenderer:
    """Loads a portrait by name, at a frame ``size`` of width and height in pixels.

    "" is the synthetic face of the package, ``astronaut`` or ``grace_hopper`` a sample photograph;
    anything else is the path of an image file.

    Raises PortraitError if the picture cannot be animated, InputError if ``size`` is out of range,
    and inference.ModelError if a sample photograph is not installed. See ``PortraitRenderer`` for
    an example.
    """
    if str(source) == "":
        return PortraitRenderer(synthetic_face(), size=size, whole=whole, tracker=tracker)
    file = sample_photo(str(source)) if str(source) in SAMPLES else Path(source)
    return PortraitRenderer.from_file(file, size=size, whole=whole, tracker=tracker)


def _cover_below(image: Image, lower: Image, line: FloatArray, axes: FloatArray) -> None:
    """Copies the part of ``lower`` below a line over ``image``, with a smooth edge."""
    far = 4.0 * image.shape[1] * axes
    outline = np.concatenate(
        [
            [line[0] - far[0]],
            line,
            [line[-1] + far[0]],
            [line[-1] + far[0] + far[1]],
            [line[0] - far[0] + far[1]],
        ]
    )
    solid = min(max(int(line[:, 1].max()) + 4, 0), len(image))
    part = _filled(image[:solid].shape, outline)[..., None].astype(np.float32) * np.float32(1 / 255)
    mixed = image[:solid] + part * (lower[:solid].astype(np.float32) - image[:solid])
    image[:solid] = mixed + 0.5
    image[solid:] = lower[solid:]


def _filled(shape: tuple[int, ...], outline: FloatArray) -> npt.NDArray[np.uint8]:
    """Returns a mask with a smooth edge: 255 inside a polygon [N, 2], 0 outside."""
    mask: npt.NDArray[np.uint8] = np.zeros(shape[:2], np.uint8)
    points = np.rint(np.clip(outline, -8000, 8000) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_AA, shift=4)
    return mask


def _line(shape: tuple[int, ...], curve: FloatArray, strength: FloatArray, sigma: float) -> Pixels:
    """Returns a soft line along a curve [N, 2], as strong as ``strength`` [N]: [H, W] in [0, 1]."""
    mask: npt.NDArray[np.uint8] = np.zeros(shape[:2], np.uint8)
    points = np.rint(curve * 16).astype(np.int32)
    for a, b, s in zip(points[:-1], points[1:], (strength[:-1] + strength[1:]) / 2, strict=True):
        if s > 0:
            cv2.line(mask, a.tolist(), b.tolist(), int(255 * s), 1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(sigma, 0.6))
    peak = 1 / (255 * 0.4 / max(sigma, 0.6))
    return np.asarray(np.clip(soft * np.float32(peak), 0, 1))
