"""The geometry of a person in a view: skin, eyes, hair and what is worn, in the head's frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered import eyeballs
from face_perception.learning.synthesis.rendered.expression import lid_units
from face_perception.learning.synthesis.rendered.person import Eyes, Person
from face_perception.learning.synthesis.rendered.regions import HeadSurface
from face_perception.learning.synthesis.rendered.strands import Shape
from face_perception.learning.synthesis.rendered.surface import smooth_step
from face_perception.learning.synthesis.rendered.view import View, angles, rotation

Array = npt.NDArray[np.float64]

# Metres: how far the apex of the cornea stands before the mesh's own eye; that eye stays as the
# conjunctiva of the corners: how far it is drawn back in front, and pushed out at the sides.
_STANDS_OUT, _RECESS, _MEETS = 0.0004, 0.0016, 0.0013


@dataclass(frozen=True)
class PosedHead:
    """All in the head's frame, metres; left eye first.

    ``coarse`` [19158, 3] are the points of the base mesh. ``centres`` [2, 3] are the centres of the
    eyeballs; ``axes`` [2, 3] are where the balls point, ``visual_axes`` [2, 3] where they look.
    ``turn`` [3, 3] and ``position`` [3] map the head's frame to the world's.
    """

    shape: Shape
    coarse: Array
    centres: Array
    axes: Array
    visual_axes: Array
    turn: Array
    position: Array

    @property
    def camera(self) -> Array:
        """The camera, [3]."""
        return np.asarray(-self.turn.T @ self.position)

    def to_world(self, points: Array) -> Array:
        return np.asarray(points @ self.turn.T + self.position)


def neutral_points(head: HeadSurface, person: Person) -> tuple[Array, float]:
    """Returns a person's base mesh at rest: points [19158, 3] and the scale that was applied."""
    points = head.parts.points.copy()
    head.parts.add(points, person.targets)
    left, right = (_mesh_eye(head, points, side)[0] for side in "lr")
    scale = person.pupils_apart / float(np.linalg.norm(left - right))
    points = (points - (left + right) / 2) * scale
    for side in "lr":
        _fit_lids(head, points, side, person.eyes)
    return points, scale


def _fit_lids(head: HeadSurface, points: Array, side: str, eyes: Eyes) -> None:
    """Fits the lids to an eyeball that does not lie where the eye of the base mesh does.

    Changes ``points`` [19158, 3], metres, in place. The lids move ``eyes.lids_rise`` up between the
    corners, and forward or back as far as the raised ball pushes them.
    """
    centre, radius = _mesh_eye(head, points, side)
    x, y, z = (points - centre).T
    near = smooth_step(np.linalg.norm(points - centre, axis=1) / radius, 1.7, 1.2) * (z > 0)
    risen = near * eyes.lids_rise * np.clip(1 - (x / radius) ** 2, 0, None)
    # The front of a ball; at its rim, where the corners of the lids are, it is cut off.
    before, now = (
        np.sqrt(np.maximum(radius**2 - x**2 - height**2, (0.3 * radius) ** 2))
        for height in (y, y + risen - eyes.rise)
    )
    points[:, 1] += risen
    points[:, 2] += near * (now - before)


def _mesh_eye(head: HeadSurface, points: Array, side: str) -> tuple[Array, float]:
    """Returns the centre [3] and radius of the base mesh's own eye."""
    ball = points[np.unique(head.parts.groups[f"helper-{side}-eye"])]
    centre = ball.mean(0)
    return centre, float(np.linalg.norm(ball - centre, axis=1).mean())


def pose_head(
    head: HeadSurface, person: Person, view: View, neutral: tuple[Array, float] | None = None
) -> PosedHead:
    """Builds the head of a person as a view shows it; ``neutral`` is that of ``neutral_points``."""
    at_rest, scale = neutral or neutral_points(head, person)
    turn = rotation(*view.head)
    position = np.array(view.position)
    apex = eyeballs.apex(person.eyes)
    centres = []
    for side in "lr":
        centre, radius = _mesh_eye(head, at_rest, side)
        ahead = radius + _STANDS_OUT + person.eyes.advance - apex
        centres.append(centre + [0.0, person.eyes.rise, ahead])
    target = turn.T @ (np.array(view.target) - position)
    visual = target - np.array(centres)
    visual /= np.linalg.norm(visual, axis=1, keepdims=True)
    outward, up = person.eyes.visual_axis
    axes = []
    for sign, axis in zip((1, -1), visual, strict=True):
        yaw, pitch = angles(axis)
        axes.append(rotation(yaw + sign * outward, pitch + up) @ [0, 0, 1])
    yaw, pitch = (float(np.degrees(angle)) for angle in angles(visual.mean(0)))
    weights = dict(view.expression.units)
    for name, weight in lid_units(yaw, pitch, view.blink).items():
        weights[name] = weights.get(name, 0.0) + weight
    droop = person.eyes.droop * (1 - view.blink)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        weights[name] += droop * (1 - min(1.0, weights.get(name.replace("Blink", "Wide"), 0.0)))
    if view.blink:
        for name in ("eyeWideLeft", "eyeWideRight"):
            weights[name] = weights.get(name, 0.0) * (1 - view.blink)
    points = at_rest.copy()
    for name, weight in weights.items():
        indices, offsets = head.parts.target(name)
        points[indices] += weight * scale * offsets
    fine = head.surface(points)
    shape = Shape(head, fine, head.surface.normals(fine), scale)
    return PosedHead(shape, points, np.array(centres), np.array(axes), visual, turn, position)


def conjunctiva(head: HeadSurface, posed: PosedHead, side: str) -> Array:
    """Returns the base mesh's eye [19158, 3], drawn back; only the points of its group have a
    meaning.
    """
    centre, radius = _mesh_eye(head, posed.coarse, side)
    away = posed.coarse - centre
    # Not at the sides, where it must meet the corners of the lids.
    ahead = away[:, 2] / np.maximum(np.linalg.norm(away, axis=1), 1e-9)
    depth = _RECESS * smooth_step(ahead, 0.62, 0.80) - _MEETS * smooth_step(ahead, 0.75, 0.55)
    return np.asarray(centre + (1 - depth / radius)[:, None] * away)


def lid_edges(head: HeadSurface, posed: PosedHead, side: str) -> tuple[Array, Array]:
    """Edges of the upper and the lower lid, [20, 3] each, from the nose to the temple."""
    centre, _ = _mesh_eye(head, posed.coarse, side)
    out = []
    for group in (2, 1):
        lash = posed.coarse[np.unique(head.parts.groups[f"helper-{side}-eyelashes-{group}"])]
        x = lash[:, 0] * (1 if side == "l" else -1)
        bins = np.linspace(x.min() + 0.0015, x.max() - 0.004, 12)
        edge = []
        for low, high in pairwise(bins):
            inside = lash[(x >= low) & (x <= high)]
            if len(inside):
                edge.append(inside[np.argmin(np.linalg.norm(inside - centre, axis=1))])
        line = np.array(edge)
        share = np.linspace(0, 1, len(line))
        # A smooth line through them.
        fit = [np.polynomial.Polynomial.fit(share, line[:, k], 4) for k in range(3)]
        out.append(np.stack([one(np.linspace(0, 1, 20)) for one in fit], axis=1))
    return out[0], out[1]
