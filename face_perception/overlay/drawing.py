"""Draws faces, head axes, gaze, attention and a panel of text for each face on an image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from face_perception import faces as mesh
from face_perception.errors import InputError
from face_perception.overlay.panel import draw_panel
from face_perception.overlay.primitives import (
    AT_ROBOT,
    GRAY,
    PERHAPS_AT_ROBOT,
    WHITE,
    Colour,
    Pen,
    Points,
)
from face_perception.types import (
    ActionUnits,
    Attention,
    Camera,
    Expression,
    Eyes,
    Face,
    Gaze,
    Image,
    Target,
    ValenceArousal,
)

# RGB
MESH = (175, 235, 250)
IRIS = (80, 220, 255)
GAZE = (255, 196, 40)
LINK = (255, 90, 200)
_AXES = ((255, 70, 60), (70, 210, 80), (70, 130, 255))  # x, y, z

OPEN_CURVES = (
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
EYES = (
    (mesh.RIGHT_IRIS_CENTRE, mesh.RIGHT_IRIS_RIM),
    (mesh.LEFT_IRIS_CENTRE, mesh.LEFT_IRIS_RIM),
)

_AXIS_LENGTH = 0.07  # metres
_GAZE_LENGTH = 0.22  # metres


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
    """Returns a copy of ``image`` (RGB uint8 [H, W, 3]) with the results drawn on it.

    Results are matched to ``faces`` by face id. A face may have action units, and valence and
    arousal, of several sources.

    - Corners: green if the face looks at the robot, amber if only its head pose suggests so, else
      gray.
    - Axes of the head: x (red) out of the face, y (green) to its left, z (blue) up.
    - Arrow from each eye: the gaze; gray while the last gaze is held during a blink.
    - Dashed line: from a face to the face that it looks at.
    - Panel: id, engagement, expression, strongest action units, and a dial of valence (right) and
      arousal (up) for each source.

    ``note`` is written along the bottom of the image. Raises InputError if the image has another
    type or shape, or is empty.

    >>> from face_perception.types import Roi
    >>> points = np.zeros((0, 3), np.float32)
    >>> face = Face("face_1", 0.9, Roi(20, 20, 60, 80), points, None, 1.0, 1.0)
    >>> image = np.zeros((120, 160, 3), np.uint8)
    >>> drawn = draw(image, Camera.assume(160, 120), [face])
    >>> drawn.shape, bool(drawn.any()), bool(image.any())
    ((120, 160, 3), True, False)
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(
            f"the image must be RGB uint8 [H, W, 3], not {image.dtype} {list(image.shape)}"
        )
    pen = Pen(np.array(image, order="C"))
    gaze_of = by_face(gazes)
    units_of = _all_by_face(action_units)
    expression_of = by_face(expressions)
    affects_of = _all_by_face(valence_arousal)
    attention_of = by_face(attention)
    for face in faces:
        if has_mesh(face):
            _mesh(pen, face)
        if face.pose is not None:
            _axes(pen, camera, face.pose.position, face.pose.rotation)
    _links(pen, faces, attention_of)
    for face in faces:
        if face.face_id in gaze_of and has_mesh(face):
            _gaze(pen, camera, face, gaze_of[face.face_id])
    for face in faces:
        face_attention = attention_of.get(face.face_id)
        _corners(pen, face, attention_colour(face_attention))
        draw_panel(
            pen,
            face,
            face_attention,
            units_of.get(face.face_id, []),
            expression_of.get(face.face_id),
            affects_of.get(face.face_id, []),
        )
    if note:
        _note(pen, note)
    return pen.image


def attention_colour(attention: Attention | None) -> Colour:
    """Returns the colour of a face: green if it looks at the robot, amber if perhaps, else gray."""
    if attention is None or attention.target != Target.ROBOT:
        return GRAY
    return AT_ROBOT if attention.looking_at_robot else PERHAPS_AT_ROBOT


def _note(pen: Pen, note: str) -> None:
    """Writes a line in white on black along the bottom, over what is drawn there."""
    height = min(round(18 * pen.scale), pen.height)
    pen.image[pen.height - height :] = 0
    pen.text(note, 6 * pen.scale, pen.height - 5 * pen.scale, WHITE)


def by_face(results: Iterable[_Result]) -> dict[str, _Result]:
    """Returns the results by face id."""
    return {result.face_id: result for result in results}


def _all_by_face(results: Iterable[_Result]) -> dict[str, list[_Result]]:
    found: dict[str, list[_Result]] = {}
    for result in results:
        found.setdefault(result.face_id, []).append(result)
    return found


def has_mesh(face: Face) -> bool:
    """Returns whether a face has all its landmarks."""
    points = face.landmarks
    return len(points) == mesh.LANDMARK_COUNT and bool(np.isfinite(points[:, :2]).all())


def _mesh(pen: Pen, face: Face) -> None:
    points = face.landmarks[:, :2]
    # Half-transparent dots show the whole mesh without hiding the face.
    size = pen.thin + 1 if face.roi.height > 100 * pen.scale else 1
    dy, dx = np.indices((size, size)).reshape(2, -1, 1)
    x, y = np.rint(points[:468, :, None] - (size - 1) / 2).astype(np.int64).transpose(1, 2, 0)
    x, y = (x + dx).ravel(), (y + dy).ravel()
    inside = (x >= 0) & (y >= 0) & (x < pen.width) & (y < pen.height)
    x, y = x[inside], y[inside]
    pen.image[y, x] = pen.image[y, x] // 2 + np.array(MESH, np.uint8) // 2
    pen.line(points[mesh.FACE_OVAL], MESH, closed=True)
    for curve in OPEN_CURVES:
        pen.line(points[curve], MESH)
    for centre, rim in EYES:
        radius = float(np.linalg.norm(points[rim] - points[centre], axis=1).mean())
        pen.circle(points[centre], max(radius, 1), IRIS)


def _axes(pen: Pen, camera: Camera, origin: Points, rotation: Points) -> None:
    ends = origin + _AXIS_LENGTH * rotation.T
    start, *tips = mesh.project_points(camera, np.vstack([origin, ends]))
    # Draw the axis that points away first, so that the others cover it.
    for i in sorted(range(3), key=lambda i: -float(ends[i, 2])):
        pen.line(np.stack([start, tips[i]]), _AXES[i], 2 * pen.thin)


def gaze_is_known(gaze: Gaze) -> bool:
    """Returns whether the eyes are open, or in a blink, during which the last gaze is held."""
    return gaze.valid or gaze.eyes == Eyes.BLINK


def gaze_colour(gaze: Gaze) -> Colour:
    """Returns the colour of a gaze: gray if it is held during a blink."""
    return GAZE if gaze.valid else GRAY


def gaze_end(gaze: Gaze) -> Points:
    """Returns the end [3] of the part of a gaze that is drawn, in front of the camera."""
    length = _GAZE_LENGTH
    if gaze.direction[2] < 0:
        length = min(length, 0.6 * float(gaze.origin[2]) / -float(gaze.direction[2]))
    return np.asarray(gaze.origin + length * gaze.direction)


def gaze_segment(camera: Camera, gaze: Gaze) -> Points | None:
    """Returns the pixels [2, 2] of the two ends of what is drawn of a gaze; None if unknown."""
    if not gaze_is_known(gaze) or not gaze.origin[2] > 0:
        return None
    pixels = mesh.project_points(camera, np.stack([gaze.origin, gaze_end(gaze)]))
    return pixels if np.isfinite(pixels).all() else None


def _gaze(pen: Pen, camera: Camera, face: Face, gaze: Gaze) -> None:
    """Draws an arrow from each iris.

    Both arrows are projected from the point between the eyes. A look into the lens then gives a dot
    on each iris; rays from the eyes themselves would diverge.
    """
    segment = gaze_segment(camera, gaze)
    if segment is None:
        return
    colour, along = gaze_colour(gaze), segment[1] - segment[0]
    distance = float(np.linalg.norm(along))
    depth, end = float(gaze.origin[2]), gaze_end(gaze)
    for centre, rim in EYES:
        eye = face.landmarks[centre, :2]
        # Make the arrow wider towards the camera.
        near = 0.2 * float(np.linalg.norm(face.landmarks[rim, :2] - eye, axis=1).mean())
        far = near * depth / float(end[2])
        tip = eye + along
        if distance > far:
            side = np.array([-along[1], along[0]]) / distance
            outline = [eye - near * side, eye + near * side, tip + far * side, tip - far * side]
            pen.area(np.stack(outline), colour)
        pen.circle(tip, max(1.6 * far, 1.5 * pen.scale), colour, -1)


def _links(pen: Pen, faces: Sequence[Face], attention: dict[str, Attention]) -> None:
    """Draws a dashed line from each face to the face that it looks at, with a dot at the end."""
    centres = {face.face_id: face.landmarks[mesh.SELLION, :2] for face in faces if has_mesh(face)}
    for face_id, start in centres.items():
        own = attention.get(face_id)
        if own is None or own.target != Target.FACE or own.target_id not in centres:
            continue
        end = centres[own.target_id]
        distance = float(np.linalg.norm(end - start))
        if not 0 < distance < math.inf:
            continue
        count = min(max(int(distance / (12 * pen.scale)), 1), 200)
        steps = np.linspace(0, 1, 2 * count + 1)[:, None]
        dots = start + steps * (end - start)
        for a, b in zip(dots[0:-1:2], dots[1::2], strict=True):
            pen.line(np.stack([a, b]), LINK, 2 * pen.thin)
        pen.circle(end, 5 * pen.scale, LINK, -1)


def _corners(pen: Pen, face: Face, colour: Colour) -> None:
    x0, y0 = face.roi.x, face.roi.y
    x1, y1 = x0 + face.roi.width - 1, y0 + face.roi.height - 1
    arm = 0.18 * min(face.roi.width, face.roi.height)
    thickness = 3 * pen.thin if colour is AT_ROBOT else 2 * pen.thin
    for x, y, dx, dy in ((x0, y0, 1, 1), (x1, y0, -1, 1), (x1, y1, -1, -1), (x0, y1, 1, -1)):
        bracket = np.array([[x + dx * arm, y], [x, y], [x, y + dy * arm]], np.float64)
        pen.line(bracket, colour, thickness)
