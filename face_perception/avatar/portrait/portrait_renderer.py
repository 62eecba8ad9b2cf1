"""A picture of one face that speaks, looks and blinks: the renderer that needs no GPU and no
trained shape_weights. What a face does is in ``shapes``; when it does it, in ``life``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.interfaces import FaceState
from face_perception.avatar.portrait.anatomy import Anatomy, measure_anatomy
from face_perception.avatar.portrait.default_face import synthetic_face
from face_perception.avatar.portrait.deformations import HEAD, JAW_DROP, SHAPES, shape_weights
from face_perception.avatar.portrait.eye_painting import PaintedEye, picture_gaze
from face_perception.avatar.portrait.gaze_amplitude import measure_head_gain, measure_iris_gain
from face_perception.avatar.portrait.mouth_interior import MouthInterior
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

MIN_SIDE, MAX_SIDE = 128, 2048
SAMPLES = ("astronaut", "grace_hopper")

_JAW, _CLOSE = SHAPES.index("jaw"), SHAPES.index("close")
_HEAD_SEEN = 0.5  # how much of a turn of the head a flat picture conveys, where it is not measured
_LOOKS_READ = 2  # times: how far an iris is read to go is not quite proportional to how far it goes
_SEAM_DARK = 0.45  # of the line between lips that the picture shows parted


class PortraitRenderer:
    """Renders ``FaceState`` on a picture. For one thread; depends on the state alone.

    ``extra`` gives what the face can do beside ``shapes.SHAPES``, as displacements [E, 468, 2] like
    those. Raises PortraitError for a picture without a face, with several, or with one that is too
    small, and InputError for a size out of range.
    """

    def __init__(
        self,
        picture: npt.NDArray[np.generic],
        *,
        size: tuple[int, int] = (512, 512),
        whole: bool = False,
        tracker: FaceTracker | None = None,
        extra: Callable[[Anatomy], FloatArray] | None = None,
    ) -> None:
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
            raise InputError(
                f"size of the avatar must be {MIN_SIDE} to {MAX_SIDE} pixels a side, "
                f"not {size[0]}x{size[1]}"
            )
        self.size = (int(size[0]), int(size[1]))
        tracker = tracker or load_tracker()
        framed = frame_picture(to_rgb(picture), tracker, self.size, whole)
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
        self._warp = Warp(self._face, self.size, extra(self._face) if extra else None)
        self._interior = MouthInterior(self.picture, self._face)
        region = self._warp.region
        self._canvas = self.picture.copy()
        x, y = np.meshgrid(
            np.arange(region.width, dtype=np.float32) + region.x,
            np.arange(region.height, dtype=np.float32) + region.y,
        )
        self._pixels = np.stack([x, y], 2)
        self._edges = [
            self._warp.displacement_at(edge, layer)
            for layer, edge in enumerate((self._face.upper_edge, self._face.lower_edge))
        ]
        # What the smoothing of the fields leaves open at rest.
        shut = [
            edge + moved[_CLOSE]
            for edge, moved in zip(
                (self._face.upper_edge, self._face.lower_edge), self._edges, strict=True
            )
        ]
        self._shut_gap = np.maximum((shut[1] - shut[0]) @ self._face.axes[1], 0)
        self._anchor = self._warp.displacement_at(self._face.mouth[None], 0)[:, 0]
        self._timer: Callable[[str, float], None] | None = None
        self._head_seen = np.array([_HEAD_SEEN, _HEAD_SEEN])
        shares = measure_head_gain(self.render, tracker)
        if shares is not None:
            self._head_seen = shares
        for _ in range(_LOOKS_READ):
            found = measure_iris_gain(
                self.render, tracker, self._face, gaze, self._head_seen, self._eyes[0].iris_gain
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
        """From an image file. Raises PortraitError also where it cannot be read."""
        picture = read_picture(path)
        try:
            return cls(picture, size=size, whole=whole, tracker=tracker)
        except PortraitError as error:
            raise PortraitError(f"{path}: {error}") from error

    def render(self, state: FaceState) -> Image:
        """RGB uint8 [height, width, 3], a new array. What is out of range is limited, what is not
        finite is as in the picture.
        """
        blink, lids, cheek = (
            float(np.clip(np.nan_to_num(value), low, 1))
            for value, low in ((state.blink, 0), (state.lids, -1), (state.smile, 0))
        )
        gaze = np.array([state.gaze_yaw, state.gaze_pitch])
        return self.render_shapes(
            shape_weights(state), blink=blink, lids=lids, gaze=gaze, cheek=cheek
        )

    def render_shapes(
        self,
        amounts: FloatArray,
        *,
        blink: float = 0.0,
        lids: float = 0.0,
        gaze: FloatArray | None = None,
        cheek: float = 0.0,
        shade: Pixels | None = None,
    ) -> Image:
        """The same, from how much there is of each of ``shapes.SHAPES``, then of ``extra``: [K], or
        only of the first.

        ``gaze`` [2] is yaw and pitch of the look, ``cheek`` in [0, 1] how far the cheeks raise the
        lower lids; ``shade`` [H, W] is what the skin of the picture is multiplied with (folds).
        """
        mark = self._stopwatch()
        amounts = np.pad(amounts, (0, self._warp.shape_count - len(amounts)))
        turned = np.nan_to_num(
            (np.zeros(2) if gaze is None else gaze) - self._head_seen * amounts[list(HEAD[:2])]
        )
        if shade is not None:
            self._canvas[:] = np.clip(self.picture * shade[..., None] + 0.5, 0, 255)
        for eye in self._eyes:
            eye.paint(self._canvas, blink, lids, turned, cheek)
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
        _lay(window[below], under, line - (region.x, region.y + rows.start), self._face.axes)
        mark("warp")
        self._between(image, amounts, *edges)
        mark("mouth")
        if shade is not None:
            self._canvas[:] = self.picture
        return image

    @property
    def anatomy(self) -> Anatomy:
        """Where the parts of the face are in ``picture``."""
        return self._face

    @property
    def region(self) -> WarpRegion:
        """The part of the image that ever changes."""
        return self._warp.region

    def _area_scale(self, state: FaceState) -> FloatArray:
        """How many times larger a small part of the picture gets, on a grid over the region.

        At or below zero the picture would fold over. NaN in between the lips, where nothing of it
        is seen.
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
        """Call ``report(stage, seconds)`` for each stage of each image, for measurements."""
        self._timer = report

    def _stopwatch(self) -> Callable[[str], None]:
        report = self._timer
        if report is None:
            return lambda stage: None
        began = [time.perf_counter()]

        def mark(stage: str) -> None:
            now = time.perf_counter()
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
        """Edges of the upper and the lower lip in the image, [N, 2] each; they never cross."""
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
        """The line at which the lower layer begins, from cheek to cheek, [N, 2] pixels; and the
        rows of the region that it is in.
        """
        face, region = self._face, self._warp.region
        middle = (edges[0] + edges[1]) / 2
        margin = 1.5 * face.cm * face.axes[0]
        line = np.concatenate([[middle[0] - margin], middle, [middle[-1] + margin]])
        top = int(line[:, 1].min()) - 3 - region.y
        bottom = int(line[:, 1].max()) + 4 - region.y
        top = min(max(top, 0), region.height - 2)
        return line, slice(top, min(max(bottom, top + 1), region.height))

    def _between(
        self, image: Image, amounts: FloatArray, upper: FloatArray, lower: FloatArray
    ) -> None:
        """What parted lips show, or the line between closed ones."""
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
            # The picture's own line between the lips is missing.
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
                (box.shape[1], box.shape[0]), (float(low[0]), float(low[1])), skull, chin, mask
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
    """The portrait that a name stands for: "" the drawn face of the package, ``astronaut`` or
    ``grace_hopper`` a sample photograph, anything else an image file.

    Raises as ``PortraitRenderer.read``, and inference.ModelError for a sample photograph that is missing.
    """
    if str(source) == "":
        return PortraitRenderer(synthetic_face(), size=size, whole=whole, tracker=tracker)
    file = sample_photo(str(source)) if str(source) in SAMPLES else Path(source)
    return PortraitRenderer.from_file(file, size=size, whole=whole, tracker=tracker)


def _lay(image: Image, lower: Image, line: FloatArray, axes: FloatArray) -> None:
    """Puts what is below a line over an image of the same size, with a smooth edge."""
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
    """A polygon with smooth edges: 255 inside, 0 outside."""
    mask: npt.NDArray[np.uint8] = np.zeros(shape[:2], np.uint8)
    points = np.rint(np.clip(outline, -8000, 8000) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_AA, shift=4)
    return mask


def _line(shape: tuple[int, ...], curve: FloatArray, strength: FloatArray, sigma: float) -> Pixels:
    """A soft line along a curve [N, 2], as dark as ``strength`` [N] says: [H, W]."""
    mask: npt.NDArray[np.uint8] = np.zeros(shape[:2], np.uint8)
    points = np.rint(curve * 16).astype(np.int32)
    for a, b, s in zip(points[:-1], points[1:], (strength[:-1] + strength[1:]) / 2, strict=True):
        if s > 0:
            cv2.line(mask, a.tolist(), b.tolist(), int(255 * s), 1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(sigma, 0.6))
    peak = 1 / (255 * 0.4 / max(sigma, 0.6))
    return np.asarray(np.clip(soft * np.float32(peak), 0, 1))
