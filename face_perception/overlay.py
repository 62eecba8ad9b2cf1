"""Draws what was perceived onto an image. Values and pixels in, pixels out: no network, no ROS.

Everything is optional: what is missing or NaN is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces as mesh
from face_perception.types import (
    ActionUnits,
    Attention,
    Camera,
    Engagement,
    Expression,
    Face,
    Gaze,
    Image,
    Target,
    ValenceArousal,
)

Points = npt.NDArray[np.floating]
Colour = tuple[int, int, int]

# RGB
_WHITE = (245, 245, 245)
_GREY = (170, 176, 182)
_MESH = (175, 235, 250)
_IRIS = (80, 220, 255)
_GAZE = (255, 196, 40)
_LINK = (255, 90, 200)
_AT_ROBOT = (70, 220, 110)
_AXES = ((255, 70, 60), (70, 210, 80), (70, 130, 255))  # x, y, z
_ENGAGEMENT: dict[Engagement, Colour] = {
    Engagement.DISENGAGED: _GREY,
    Engagement.ENGAGING: (255, 220, 90),
    Engagement.ENGAGED: _AT_ROBOT,
    Engagement.DISENGAGING: (255, 160, 70),
}

_OPEN_CURVES = (
    mesh.RIGHT_BROW_UPPER,
    mesh.LEFT_BROW_UPPER,
    mesh.RIGHT_EYE_UPPER,
    mesh.RIGHT_EYE_LOWER,
    mesh.LEFT_EYE_UPPER,
    mesh.LEFT_EYE_LOWER,
    mesh.LIPS_OUTER_UPPER,
    mesh.LIPS_OUTER_LOWER,
    mesh.LIPS_INNER_UPPER,
    mesh.LIPS_INNER_LOWER,
)
_EYES = (
    (mesh.RIGHT_IRIS_CENTRE, mesh.RIGHT_IRIS_RIM),
    (mesh.LEFT_IRIS_CENTRE, mesh.LEFT_IRIS_RIM),
)

_AXIS_LENGTH = 0.07  # m
_GAZE_LENGTH = 0.22  # m
_WEAKEST_UNIT = 0.15
_MOST_UNITS = 3
_TEXT, _SMALL_TEXT = 0.40, 0.30  # sizes of letters


class _OfFace(Protocol):
    @property
    def face_id(self) -> str: ...


_Result = TypeVar("_Result", bound=_OfFace)


def draw(
    image: Image,
    camera: Camera,
    faces: Sequence[Face],
    *,
    gazes: Iterable[Gaze] = (),
    action_units: Iterable[ActionUnits] = (),
    expressions: Iterable[Expression] = (),
    valence_arousal: Iterable[ValenceArousal] = (),
    attention: Iterable[Attention] = (),
    note: str = "",
) -> Image:
    """A copy of ``image`` (RGB uint8 [H, W, 3]) with everything drawn on it.

    Results are matched to ``faces`` by their face id. Of a face, action units may be of several
    sources, and so may valence and arousal, which have a dial each, named by its source. Green
    corners: looks at the robot. Axes: x (red) out of the face, y green, z (blue) up. ``note`` is a
    line along the bottom. Raises ValueError for another kind of image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"overlay needs an RGB uint8 image [H, W, 3], not {image.dtype} {list(image.shape)}"
        )
    pen = _Pen(np.array(image, order="C"))
    gaze_of = _by_face(gazes)
    units_of = _all_by_face(action_units)
    expression_of = _by_face(expressions)
    affects_of = _all_by_face(valence_arousal)
    attention_of = _by_face(attention)
    for face in faces:
        if _has_mesh(face):
            _mesh(pen, face)
        if face.pose is not None:
            _axes(pen, camera, face.pose.position, face.pose.rotation)
    _links(pen, faces, attention_of)
    for face in faces:
        if face.id in gaze_of and _has_mesh(face):
            _gaze(pen, camera, face, gaze_of[face.id])
    for face in faces:
        attends = attention_of.get(face.id)
        _corners(pen, face, _AT_ROBOT if attends and attends.looking_at_robot else _GREY)
        _panel(
            pen,
            face,
            attends,
            units_of.get(face.id, []),
            expression_of.get(face.id),
            affects_of.get(face.id, []),
        )
    if note:
        _note(pen, note)
    return pen.image


class _Pen:
    """Draws with subpixel positions, in sizes that suit the image; skips what is not finite."""

    _SHIFT = 4

    def __init__(self, image: Image) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]
        self.scale = max(min(self.height / 480, self.width / 640), 0.5)
        self.thin = max(1, round(0.8 * self.scale))
        self._reach = 4 * max(self.height, self.width)

    def line(
        self, points: Points, colour: Colour, thickness: int = 0, closed: bool = False
    ) -> None:
        """A line through ``points`` [N, 2] in pixels."""
        fixed = self._fixed(points)
        if fixed is not None:
            cv2.polylines(
                self.image,
                [fixed],
                closed,
                colour,
                thickness or self.thin,
                cv2.LINE_AA,
                self._SHIFT,
            )

    def area(self, points: Points, colour: Colour) -> None:
        """A filled convex polygon."""
        fixed = self._fixed(points)
        if fixed is not None:
            cv2.fillConvexPoly(self.image, fixed, colour, cv2.LINE_AA, self._SHIFT)

    def circle(self, centre: Points, radius: float, colour: Colour, thickness: int = 0) -> None:
        """A circle; thickness -1 fills it."""
        fixed = self._fixed(np.reshape(centre, (1, 2)))
        if fixed is not None and 0 < radius < self._reach:
            x, y = (int(v) for v in fixed[0])
            r = round(radius * (1 << self._SHIFT))
            weight = thickness or self.thin
            cv2.circle(self.image, (x, y), r, colour, weight, cv2.LINE_AA, self._SHIFT)

    def text(self, text: str, x: float, y: float, colour: Colour, size: float = _TEXT) -> None:
        """One line of text; ``y`` is its base line."""
        cv2.putText(
            self.image,
            text,
            (round(x), round(y)),
            cv2.FONT_HERSHEY_SIMPLEX,
            size * self.scale,
            colour,
            self.thin,
            cv2.LINE_AA,
        )

    def text_width(self, text: str, size: float = _TEXT) -> int:
        """Pixels across."""
        (width, _), _ = cv2.getTextSize(
            text, cv2.FONT_HERSHEY_SIMPLEX, size * self.scale, self.thin
        )
        return int(width)

    def _fixed(self, points: Points) -> npt.NDArray[np.int32] | None:
        if not np.isfinite(points).all():
            return None
        # Far outside nothing shows, and OpenCV's integers would overflow.
        near = np.clip(points, -self._reach, self._reach)
        return np.rint(near * (1 << self._SHIFT)).astype(np.int32)


def _note(pen: _Pen, note: str) -> None:
    """White on black, over whatever is there: it says how far the rest can be trusted."""
    height = min(round(18 * pen.scale), pen.height)
    pen.image[pen.height - height :] = 0
    pen.text(note, 6 * pen.scale, pen.height - 5 * pen.scale, _WHITE)


def _by_face(results: Iterable[_Result]) -> dict[str, _Result]:
    return {result.face_id: result for result in results}


def _all_by_face(results: Iterable[_Result]) -> dict[str, list[_Result]]:
    found: dict[str, list[_Result]] = {}
    for result in results:
        found.setdefault(result.face_id, []).append(result)
    return found


def _has_mesh(face: Face) -> bool:
    points = face.landmarks
    return len(points) == mesh.LANDMARK_COUNT and bool(np.isfinite(points[:, :2]).all())


def _mesh(pen: _Pen, face: Face) -> None:
    points = face.landmarks[:, :2]
    # Dots, half transparent: the whole mesh without hiding the face.
    size = pen.thin + 1 if face.roi.height > 100 * pen.scale else 1
    dy, dx = np.indices((size, size)).reshape(2, -1, 1)
    x, y = np.rint(points[:468, :, None] - (size - 1) / 2).astype(np.int64).transpose(1, 2, 0)
    x, y = (x + dx).ravel(), (y + dy).ravel()
    inside = (x >= 0) & (y >= 0) & (x < pen.width) & (y < pen.height)
    x, y = x[inside], y[inside]
    pen.image[y, x] = pen.image[y, x] // 2 + np.array(_MESH, np.uint8) // 2
    pen.line(points[mesh.FACE_OVAL], _MESH, closed=True)
    for curve in _OPEN_CURVES:
        pen.line(points[curve], _MESH)
    for centre, rim in _EYES:
        radius = float(np.linalg.norm(points[rim] - points[centre], axis=1).mean())
        pen.circle(points[centre], max(radius, 1), _IRIS)


def _axes(pen: _Pen, camera: Camera, origin: Points, rotation: Points) -> None:
    ends = origin + _AXIS_LENGTH * rotation.T
    start, *tips = mesh.project(camera, np.vstack([origin, ends]))
    # The axis that points away first, so that it is behind the others.
    for i in sorted(range(3), key=lambda i: -float(ends[i, 2])):
        pen.line(np.stack([start, tips[i]]), _AXES[i], 2 * pen.thin)


def _gaze(pen: _Pen, camera: Camera, face: Face, gaze: Gaze) -> None:
    """An arrow from each iris, in the perspective of the point between the eyes: who looks at the
    lens has a dot on each, which rays from the eyes themselves would spread.
    """
    colour = _GAZE if gaze.valid else _GREY
    depth = float(gaze.origin[2])
    if not depth > 0:
        return
    length = _GAZE_LENGTH
    if gaze.direction[2] < 0:
        # The tip stays well before the camera.
        length = min(length, 0.6 * depth / -float(gaze.direction[2]))
    end = gaze.origin + length * gaze.direction
    start_pixel, end_pixel = mesh.project(camera, np.stack([gaze.origin, end]))
    along = end_pixel - start_pixel
    distance = float(np.linalg.norm(along))
    if not distance < math.inf:
        return
    for centre, rim in _EYES:
        eye = face.landmarks[centre, :2]
        # What comes nearer gets wider.
        near = 0.2 * float(np.linalg.norm(face.landmarks[rim, :2] - eye, axis=1).mean())
        far = near * depth / float(end[2])
        tip = eye + along
        if distance > far:
            side = np.array([-along[1], along[0]]) / distance
            outline = [eye - near * side, eye + near * side, tip + far * side, tip - far * side]
            pen.area(np.stack(outline), colour)
        pen.circle(tip, max(1.6 * far, 1.5 * pen.scale), colour, -1)


def _links(pen: _Pen, faces: Sequence[Face], attention: dict[str, Attention]) -> None:
    """From each face to the face that it looks at, dashed, with a dot at the far end."""
    centres = {face.id: face.landmarks[mesh.SELLION, :2] for face in faces if _has_mesh(face)}
    for face_id, start in centres.items():
        attends = attention.get(face_id)
        if attends is None or attends.target != Target.FACE or attends.target_id not in centres:
            continue
        end = centres[attends.target_id]
        distance = float(np.linalg.norm(end - start))
        if not 0 < distance < math.inf:
            continue
        count = min(max(int(distance / (12 * pen.scale)), 1), 200)
        steps = np.linspace(0, 1, 2 * count + 1)[:, None]
        dots = start + steps * (end - start)
        for a, b in zip(dots[0:-1:2], dots[1::2], strict=True):
            pen.line(np.stack([a, b]), _LINK, 2 * pen.thin)
        pen.circle(end, 5 * pen.scale, _LINK, -1)


def _corners(pen: _Pen, face: Face, colour: Colour) -> None:
    x0, y0 = face.roi.x, face.roi.y
    x1, y1 = x0 + face.roi.width - 1, y0 + face.roi.height - 1
    arm = 0.18 * min(face.roi.width, face.roi.height)
    thickness = 3 * pen.thin if colour is _AT_ROBOT else 2 * pen.thin
    for x, y, dx, dy in ((x0, y0, 1, 1), (x1, y0, -1, 1), (x1, y1, -1, -1), (x0, y1, 1, -1)):
        bracket = np.array([[x + dx * arm, y], [x, y], [x, y + dy * arm]], np.float64)
        pen.line(bracket, colour, thickness)


def _panel(
    pen: _Pen,
    face: Face,
    attends: Attention | None,
    units: Sequence[ActionUnits],
    expression: Expression | None,
    affects: Sequence[ValenceArousal],
) -> None:
    """Who, engagement, expression and strongest action units, with valence and arousal as dots."""
    lines: list[list[tuple[str, Colour]]] = [[(face.id, _WHITE)]]
    if attends and attends.engagement in _ENGAGEMENT:
        lines[0].append((attends.engagement.name.lower(), _ENGAGEMENT[attends.engagement]))
    if expression and expression.label:
        share = float(expression.probability.max())
        lines.append([(expression.label, _WHITE), (f"{share:.0%}", _GREY)])
    for of_source in units:
        strongest = _strongest(of_source)
        if strongest:
            lines.append(
                [(f"AU{code} {value:.1f}".replace(" 0.", " ."), _GREY) for code, value in strongest]
            )
            if len(units) > 1:
                lines[-1].append((of_source.source, _WHITE))
    affects = [a for a in affects if math.isfinite(a.valence + a.arousal)]

    pitch, gap, word_gap = 15 * pen.scale, 6 * pen.scale, 9 * pen.scale
    dial, name = 17 * pen.scale, 10 * pen.scale
    dials = [max(2 * dial, pen.text_width(a.source, _SMALL_TEXT)) + gap for a in affects]
    text = max(sum(pen.text_width(word) + word_gap for word, _ in line) for line in lines)
    height = max(len(lines) * pitch, (2 * dial + name) * bool(dials)) + gap
    width = text + gap + sum(dials)
    x, y = _beside(pen, face, width, height)
    region = pen.image[
        max(round(y), 0) : max(round(y + height), 0), max(round(x), 0) : max(round(x + width), 0)
    ]
    if region.size:
        cv2.convertScaleAbs(region, dst=region, alpha=0.35)
    for row, line in enumerate(lines):
        left = x + gap
        for word, colour in line:
            pen.text(word, left, y + gap / 2 + (row + 0.75) * pitch, colour)
            left += pen.text_width(word) + word_gap
    left = x + gap + text
    for affect, across in zip(affects, dials, strict=True):
        middle = left + (across - gap) / 2
        _dial(pen, affect, middle, y + gap / 2 + dial, dial - pen.scale)
        start = middle - pen.text_width(affect.source, _SMALL_TEXT) / 2
        pen.text(affect.source, start, y + gap / 2 + 2 * dial + 0.8 * name, _GREY, _SMALL_TEXT)
        left += across


def _dial(pen: _Pen, affect: ValenceArousal, x: float, y: float, radius: float) -> None:
    """The circumplex: valence to the right, arousal up."""
    centre = np.array([x, y])
    pen.circle(centre, radius, _GREY)
    for across in (np.array([radius, 0.0]), np.array([0.0, radius])):
        pen.line(np.stack([centre - across, centre + across]), (90, 94, 98))
    dot = np.clip([affect.valence, -affect.arousal], -1, 1) * radius
    warm = (
        _AT_ROBOT if affect.valence > 0.1 else (255, 110, 90) if affect.valence < -0.1 else _WHITE
    )
    pen.circle(centre + dot, 3.2 * pen.scale, warm, -1)


def _beside(pen: _Pen, face: Face, width: float, height: float) -> tuple[float, float]:
    """Where a face's panel goes: below it, else above, inside the image where that is possible."""
    margin = 5 * pen.scale
    x = face.roi.x + face.roi.width / 2 - width / 2
    y = face.roi.y + face.roi.height + margin
    if y + height > pen.height:
        y = face.roi.y - height - margin
    return max(min(x, pen.width - width), 0), max(min(y, pen.height - height), 0)


def _strongest(units: ActionUnits) -> list[tuple[int, float]]:
    """Code and intensity of what moves most, as far as it can be trusted; where there is only a
    probability, that of what is active.
    """
    active = []
    for code, unit in units.units.items():
        # NaN compares false, so what is not estimated drops out.
        if unit.intensity >= _WEAKEST_UNIT:
            trust = unit.confidence if math.isfinite(unit.confidence) else 1.0
            active.append((unit.intensity * trust, code, unit.intensity))
        elif unit.active:
            active.append((unit.probability - unit.threshold, code, unit.probability))
    return [(code, intensity) for _, code, intensity in sorted(active, reverse=True)[:_MOST_UNITS]]
