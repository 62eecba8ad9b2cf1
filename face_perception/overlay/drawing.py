"""Faces, their axes, gaze and attention drawn on an image, and the panel beside each."""

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
    GREY,
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
_MESH = (175, 235, 250)
_IRIS = (80, 220, 255)
_GAZE = (255, 196, 40)
_LINK = (255, 90, 200)
_AXES = ((255, 70, 60), (70, 210, 80), (70, 130, 255))  # x, y, z

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
    corners: looks at the robot; amber corners: perhaps, by the head pose alone. Axes: x (red) out
    of the face, y green, z (blue) up. ``note`` is a line along the bottom. Raises InputError for
    another kind of image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(
            f"overlay needs an RGB uint8 image [H, W, 3], not {image.dtype} {list(image.shape)}"
        )
    pen = Pen(np.array(image, order="C"))
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
        _corners(pen, face, _attention_colour(attends))
        draw_panel(
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


def _attention_colour(attention: Attention | None) -> Colour:
    if attention is None or attention.target != Target.ROBOT:
        return GREY
    return AT_ROBOT if attention.looking_at_robot else PERHAPS_AT_ROBOT


def _note(pen: Pen, note: str) -> None:
    """White on black, over whatever is there: it says how far the rest can be trusted."""
    height = min(round(18 * pen.scale), pen.height)
    pen.image[pen.height - height :] = 0
    pen.text(note, 6 * pen.scale, pen.height - 5 * pen.scale, WHITE)


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


def _mesh(pen: Pen, face: Face) -> None:
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


def _axes(pen: Pen, camera: Camera, origin: Points, rotation: Points) -> None:
    ends = origin + _AXIS_LENGTH * rotation.T
    start, *tips = mesh.project_points(camera, np.vstack([origin, ends]))
    # The axis that points away first, so that it is behind the others.
    for i in sorted(range(3), key=lambda i: -float(ends[i, 2])):
        pen.line(np.stack([start, tips[i]]), _AXES[i], 2 * pen.thin)


def _gaze(pen: Pen, camera: Camera, face: Face, gaze: Gaze) -> None:
    """An arrow from each iris, in the perspective of the point between the eyes: who looks at the
    lens has a dot on each, which rays from the eyes themselves would spread.
    """
    if not gaze.valid and gaze.eyes != Eyes.BLINK:
        return  # closed or hidden eyes: the gaze is unknown
    colour = _GAZE if gaze.valid else GREY
    depth = float(gaze.origin[2])
    if not depth > 0:
        return
    length = _GAZE_LENGTH
    if gaze.direction[2] < 0:
        # The tip stays well before the camera.
        length = min(length, 0.6 * depth / -float(gaze.direction[2]))
    end = gaze.origin + length * gaze.direction
    start_pixel, end_pixel = mesh.project_points(camera, np.stack([gaze.origin, end]))
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


def _links(pen: Pen, faces: Sequence[Face], attention: dict[str, Attention]) -> None:
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


def _corners(pen: Pen, face: Face, colour: Colour) -> None:
    x0, y0 = face.roi.x, face.roi.y
    x1, y1 = x0 + face.roi.width - 1, y0 + face.roi.height - 1
    arm = 0.18 * min(face.roi.width, face.roi.height)
    thickness = 3 * pen.thin if colour is AT_ROBOT else 2 * pen.thin
    for x, y, dx, dy in ((x0, y0, 1, 1), (x1, y0, -1, 1), (x1, y1, -1, -1), (x0, y1, 1, -1)):
        bracket = np.array([[x + dx * arm, y], [x, y], [x, y + dy * arm]], np.float64)
        pen.line(bracket, colour, thickness)
