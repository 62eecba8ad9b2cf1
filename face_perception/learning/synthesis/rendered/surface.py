"""Smooth surfaces: Catmull-Clark subdivision as a matrix, normals, and noise on a surface."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[np.float64]
Quads = npt.NDArray[np.int64]


class Subdivision:
    """A mesh of quads, divided ``levels`` times; a linear map, made once for all shapes.

    Catmull and Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes",
    1978; borders follow their own edges. ``quads`` [Q, 4] are those of the divided mesh and
    ``used`` are the points of the coarse mesh that it depends on.
    """

    def __init__(self, quads: Quads, levels: int) -> None:
        self.used, flat = np.unique(quads, return_inverse=True)
        quads = flat.reshape(-1, 4)
        matrix = sparse.identity(len(self.used), format="csr")
        for _ in range(levels):
            step, quads = _divide(quads, matrix.shape[0])
            matrix = (step @ matrix).tocsr()
        self._matrix = matrix
        self.quads: Quads = quads
        self.triangles: Quads = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])

    def __call__(self, values: Array) -> Array:
        """Values [V] or [V, C] of the coarse mesh's points, at the fine points."""
        return np.asarray(self._matrix @ values[self.used])

    def normals(self, points: Array) -> Array:
        """Returns unit normals [V, 3] at the fine points [V, 3], outwards."""
        corners = points[self.quads]
        facing = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        out = np.stack(
            [
                np.bincount(self.quads.ravel(), np.repeat(facing[:, axis], 4), len(points))
                for axis in range(3)
            ],
            axis=1,
        )
        return unit(np.asarray(out, float))


def _divide(quads: Quads, count: int) -> tuple[sparse.csr_matrix, Quads]:
    """Returns the matrix to the new points (old, then edge, then face points) and the quads of one
    step.
    """
    faces = len(quads)
    starts, ends = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    keys, edge_of = np.unique(low * count + high, return_inverse=True)
    first, second = keys // count, keys % count
    edges = len(keys)
    sides = np.bincount(edge_of, minlength=edges)
    face_of = np.repeat(np.arange(faces), 4)

    def matrix(rows: Quads, columns: Quads, weights: Array, shape: tuple[int, int]) -> sparse.csr:
        return sparse.csr_matrix((weights, (rows, columns)), shape=shape)

    to_faces = matrix(face_of, starts, np.full(4 * faces, 0.25), (faces, count))
    ends_of = matrix(
        np.tile(np.arange(edges), 2), np.r_[first, second], np.full(2 * edges, 0.5), (edges, count)
    )
    beside = matrix(edge_of, face_of, 1 / sides[edge_of], (edges, faces))
    inner = sparse.diags((sides == 2).astype(float))
    to_edges = ends_of + 0.5 * inner @ (beside @ to_faces - ends_of)
    # A point moves to (F + 2 E + (n - 3) P) / n; on a border to 1/8, 3/4, 1/8 along it.
    border = np.zeros(count, bool)
    open_edges = sides == 1
    border[first[open_edges]] = border[second[open_edges]] = True
    valence = np.bincount(starts, minlength=count).astype(float)
    valence[valence == 0] = 1
    around = matrix(starts, face_of, 1 / valence[starts], (count, faces)) @ to_faces
    degree = np.bincount(np.r_[first, second], minlength=count).astype(float)
    degree[degree == 0] = 1
    near = matrix(
        np.r_[first, second],
        np.tile(np.arange(edges), 2),
        1 / degree[np.r_[first, second]],
        (count, edges),
    )
    identity = sparse.identity(count, format="csr")
    inside = sparse.diags(1 / valence) @ (
        around + 2 * near @ ends_of + sparse.diags(valence - 3) @ identity
    )
    rim = np.r_[first[open_edges], second[open_edges]]
    along = matrix(
        rim,
        np.r_[second[open_edges], first[open_edges]],
        np.full(len(rim), 0.125),
        (count, count),
    )
    at_border = sparse.diags(border.astype(float))
    to_points = (identity - at_border) @ inside + at_border @ (0.75 * identity + along)
    edge_points = (count + edge_of).reshape(-1, 4)
    centre = count + edges + np.arange(faces)
    new = np.concatenate(
        [
            np.stack([quads[:, k], edge_points[:, k], centre, edge_points[:, (k + 3) % 4]], axis=1)
            for k in range(4)
        ]
    )
    return sparse.vstack([to_points, to_edges, to_faces]).tocsr(), new


def unit(vectors: Array) -> Array:
    """Vectors [..., 3] of length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12))


def smooth_noise(points: Array, scale: float, random: np.random.Generator) -> Array:
    """Returns noise [V], mean 0, variance 1: a sum of waves, smooth over ``scale`` metres."""
    count = 20
    waves = random.normal(size=(3, count)) / scale
    phases = random.uniform(0, 2 * np.pi, count)
    turns = (points @ waves + phases).astype(np.float32)
    return np.cos(turns).sum(1).astype(float) * np.sqrt(2 / count)


def smooth_step(values: Array, start: float | Array, end: float | Array) -> Array:
    """Returns 0 up to ``start`` and 1 from ``end``, smooth between them; ``start`` may be the
    larger.
    """
    share = np.clip((values - start) / (end - start), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def bump(values: Array, middle: float, width: float) -> Array:
    """Returns a bell of height 1 about ``middle``; ``width`` is its standard deviation."""
    return np.asarray(np.exp(-0.5 * ((values - middle) / width) ** 2))
