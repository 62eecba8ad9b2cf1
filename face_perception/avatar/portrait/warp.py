"""Warps a picture: interpolates landmark displacements to dense fields and inverts them.

There are two layers, one with the upper and one with the lower lip. Each is smooth; they separate
where the mouth opens.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.portrait.anatomy import LIP_ROWS, Anatomy
from face_perception.avatar.portrait.deformations import HEAD, displacements, head_turns
from face_perception.geometry import smoothstep

FloatArray = npt.NDArray[np.floating]
Maps = npt.NDArray[np.float32]

STEP = 4  # pixels between two nodes of the grid of the fields
_ITERATIONS = 5  # of Newton's method, at most
_NEAR = 0.004  # nodes; no iteration is needed where the result is as near as this
_LONGEST = 1.5  # longest step of one iteration, nodes

# The mesh ends at the face oval. Outside, the motion of its rim fades out: distance from the middle
# of the face as a multiple of the rim's distance, and the share of the rim's motion there.
_RINGS = ((1.12, 0.70), (1.28, 0.36), (1.5, 0.10), (1.8, 0.0), (2.3, 0.0))
_STILL = 1.8  # multiple of the rim's distance from which nothing moves
_SMOOTHING = 1e-3


@dataclass(frozen=True, slots=True)
class WarpRegion:
    """The part of the frame that the warp changes: x, y, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        return slice(self.y, self.y + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.x, self.x + self.width)


class Warp:
    """The displacement fields of one face.

    - ``size``: width and height of the picture.

    K below is the number of ``SHAPES``; rows and columns count the nodes of a grid over ``region``.
    """

    def __init__(self, face: Anatomy, size: tuple[int, int]) -> None:
        self._face = face
        self._middle = face.points[faces.FACE_OVAL].mean(0)
        self._rim = rim = _rounded(face.points[faces.FACE_OVAL], self._middle)
        outer = self._middle + _STILL * (rim - self._middle)
        low = np.clip(np.floor(outer.min(0)).astype(int) - STEP, 0, None)
        high = np.minimum(np.ceil(outer.max(0)).astype(int) + STEP, size)
        self.region = WarpRegion(int(low[0]), int(low[1]), *(int(v) for v in high - low))
        columns = -(-self.region.width // STEP)
        rows = -(-self.region.height // STEP)
        # Nodes are in the middle of STEP x STEP pixels, as cv2.resize expects.
        x = self.region.x + np.arange(columns) * STEP + (STEP - 1) / 2
        y = self.region.y + np.arange(rows) * STEP + (STEP - 1) / 2
        self.nodes = np.stack(np.meshgrid(x, y), 2)
        self._origin = np.array([x[0], y[0]])
        self._basis = self._fields()  # [2, K, rows, columns, 2] pixels
        grid = (self.nodes - self._origin) / STEP
        self._grid = np.ascontiguousarray(grid, np.float32)

    def _fields(self) -> npt.NDArray[np.float32]:
        face, nodes = self._face, self.nodes
        moves = displacements(face) @ face.axes * face.cm  # pixels
        rim = face.points[faces.FACE_OVAL]
        ring_points = np.concatenate([self._middle + k * (rim - self._middle) for k, _ in _RINGS])
        ring_moves = np.concatenate([k * moves[:, faces.FACE_OVAL] for _, k in _RINGS], 1)
        still = _fade(nodes, self._rim, self._middle)
        layers = []
        for dropped in (LIP_ROWS[1][:, 1:-1], LIP_ROWS[0][:, 1:-1]):
            kept = np.setdiff1d(np.arange(468), dropped)
            points = np.concatenate([face.points[kept], ring_points])
            values = np.concatenate([moves[:, kept], ring_moves], 1)
            layers.append(_interpolate(points, values, nodes))
        upper, lower = layers
        # Next to the mouth there is only skin: both layers are the same there.
        local = face.local(nodes)
        beside = np.clip((np.abs(local[..., 0]) - face.half_mouth - 0.2) / 1.2, 0, 1)[..., None]
        mean = (upper + lower) / 2
        fields = np.stack([layer + beside * (mean - layer) for layer in layers])
        fields[:, list(HEAD)] = head_turns(local) @ face.axes * face.cm
        # Contiguous: each frame would copy it otherwise.
        return np.ascontiguousarray(fields * still[..., None], np.float32)

    def displacement_at(self, points: FloatArray, layer: int) -> FloatArray:
        """Returns how points [N, 2] of the picture move at weight 1 of each shape: [K, N, 2].

        ``layer`` is 0 for the upper lip and 1 for the lower.
        """
        where = ((points - self._origin) / STEP).astype(np.float32)[None]
        found = [
            cv2.remap(field, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
            for field in self._basis[layer]
        ]
        return np.array(found, np.float64)

    def forward_field(self, weights: FloatArray) -> npt.NDArray[np.float32]:
        """Returns how the nodes of the picture move in each layer at ``weights`` [K] of the shapes.

        The result is [2, rows, columns, 2], pixels.
        """
        flat = self._basis.reshape(*self._basis.shape[:2], -1)
        return np.asarray(weights.astype(np.float32) @ flat).reshape(2, *self._grid.shape)

    def backward_map(self, field: Maps, rows: slice) -> Maps:
        """Returns the offset from each pixel of the frame to its source in the picture.

        ``field`` is one layer of ``forward_field``. ``rows`` are the rows of the region to compute,
        with a start and a stop. The result is float32 [rows, width, 2], pixels.
        """
        first = max(rows.start // STEP - 1, 0)
        last = min(-(-rows.stop // STEP) + 1, len(self._grid))
        back = self._invert(field, slice(first, last))
        height, width = back.shape[:2]
        fine = cv2.resize(back, (width * STEP, height * STEP), interpolation=cv2.INTER_LINEAR)
        begin = rows.start - first * STEP
        return np.asarray(fine[begin : begin + rows.stop - rows.start, : self.region.width])

    def area_scale(self, weights: FloatArray) -> FloatArray:
        """Returns how much the picture is enlarged at each node, as a ratio of areas.

        The result is [2, rows, columns]. A value of zero or less means that the picture folds over.
        """
        found = []
        for field in self.forward_field(weights):
            dy, dx = np.gradient(field / STEP, axis=(0, 1))
            found.append((1 + dx[..., 0]) * (1 + dy[..., 1]) - dx[..., 1] * dy[..., 0])
        return np.array(found)

    def _invert(self, field: Maps, rows: slice) -> Maps:
        """Inverts a displacement field with Newton's method.

        ``field`` is given at the nodes of the picture. The result is the displacement back to the
        picture at some rows of nodes of the frame.
        """
        field = field / np.float32(STEP)  # nodes
        slope = np.empty((*field.shape[:2], 4), np.float32)
        slope[..., :2] = np.gradient(field, axis=1)
        slope[..., 2:] = np.gradient(field, axis=0)
        grid = self._grid[rows]
        x = grid - field[rows]
        for _ in range(_ITERATIONS):
            missed_x, missed_y = cv2.split(x + _sample(field, x) - grid)
            if max(np.abs(missed_x).max(), np.abs(missed_y).max()) < _NEAR:
                break
            a, b, c, d = cv2.split(_sample(slope, x))
            a += 1
            d += 1
            det = np.maximum(a * d - b * c, 0.25)
            step_x = (d * missed_x - c * missed_y) / det
            step_y = (a * missed_y - b * missed_x) / det
            # The field is steep where the lips part; full steps might not converge there.
            x -= cv2.merge([step_x, step_y]).clip(-_LONGEST, _LONGEST)
        return (x - grid) * np.float32(STEP)


def _sample(field: Maps, where: Maps) -> Maps:
    return np.asarray(
        cv2.remap(field, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def _rounded(rim: FloatArray, middle: FloatArray) -> FloatArray:
    """Returns the rim [N, 2] with its narrow sides widened.

    The middle of a turned face is close to the rim on one side; the motion needs space there to
    fade out.
    """
    radii = np.linalg.norm(rim - middle, axis=1)
    wanted = np.maximum(radii, 0.9 * radii.mean())
    return np.asarray(middle + (rim - middle) * (wanted / radii)[:, None])


def _fade(nodes: FloatArray, rim: FloatArray, middle: FloatArray) -> FloatArray:
    """Returns weights [rows, columns]: 1 on and around the face, 0 where nothing may move."""
    angles = np.arctan2(*(rim - middle).T[::-1])
    order = np.argsort(angles)
    radii = np.linalg.norm(rim - middle, axis=1)
    offset = nodes - middle
    radius = np.interp(
        np.arctan2(offset[..., 1], offset[..., 0]), angles[order], radii[order], period=2 * np.pi
    )
    far = np.linalg.norm(offset, axis=-1) / radius
    near = np.clip((_STILL - 0.06 - far) / (_STILL - 1.2), 0, 1)
    edges = np.stack(
        [nodes[..., 0] - nodes[0, 0, 0], nodes[0, -1, 0] - nodes[..., 0],
         nodes[..., 1] - nodes[0, 0, 1], nodes[-1, 0, 1] - nodes[..., 1]]
    ).min(0)  # fmt: skip
    # Fades out towards an edge of the picture that cuts off the hair or the neck, too.
    return smoothstep(near * np.clip(edges / (6 * STEP), 0, 1))


def _interpolate(points: FloatArray, values: FloatArray, nodes: FloatArray) -> FloatArray:
    """Interpolates ``values`` [K, N, 2] at ``points`` [N, 2] with a thin-plate spline.

    The result is [K, rows, columns, 2] at the ``nodes``.
    """
    scale = np.ptp(points, axis=0).max()
    centre = points.mean(0)
    p = (points - centre) / scale
    q = (nodes.reshape(-1, 2) - centre) / scale
    n = len(p)
    matrix = np.zeros((n + 3, n + 3))
    matrix[:n, :n] = _kernel(p, p) + _SMOOTHING * 0.01 * np.eye(n)
    matrix[:n, n:] = np.column_stack([np.ones(n), p])
    matrix[n:, :n] = matrix[:n, n:].T
    right = np.zeros((n + 3, len(values) * 2))
    right[:n] = values.transpose(1, 0, 2).reshape(n, -1)
    solved = np.linalg.solve(matrix, right)
    out = np.column_stack([np.ones(len(q)), q]) @ solved[n:]
    for begin in range(0, len(q), 2000):  # in parts, since all at once takes 100 MB
        part = slice(begin, begin + 2000)
        out[part] += _kernel(q[part], p) @ solved[:n]
    rows, columns = nodes.shape[:2]
    return np.asarray(out.reshape(rows, columns, len(values), 2).transpose(2, 0, 1, 3))


def _kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    squared = (a[:, None, 0] - b[None, :, 0]) ** 2
    squared += (a[:, None, 1] - b[None, :, 1]) ** 2
    return np.asarray(squared * np.log(np.maximum(squared, 1e-12)) / 2)
