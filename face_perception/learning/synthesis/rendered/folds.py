"""Shade of the folds that an expression makes, such as those from the nose to the mouth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered.surface import Subdivision, smooth_step

Array = npt.NDArray[np.float64]

# Growth of the curvature, 1/m, from which skin darkens and at which it is darkest, and by how much.
_BEGINS, _FULL, _DARK = 5.0, 80.0, 0.55

_SMOOTHED = 2  # times that the curvature is averaged with that of the neighbours


def concavity(surface: Subdivision, points: Array) -> Array:
    """Returns the curvature [V] at points [V, 3], 1/m: positive in a fold, negative on a ridge."""
    normals = surface.normals(points)
    start, end = surface.quads.ravel(), np.roll(surface.quads, -1, axis=1).ravel()
    here, there = np.r_[start, end], np.r_[end, start]
    way = points[there] - points[here]
    bend = 2 * (way * normals[here]).sum(1) / np.maximum((way * way).sum(1), 1e-7)
    found = _mean_of_edges(bend, here, len(points))
    for _ in range(_SMOOTHED):
        found = (found + _mean_of_edges(found[there], here, len(points))) / 2
    return found


def fold_shade(surface: Subdivision, points: Array, at_rest: Array) -> Array:
    """Returns the factor [V] of the colour at the points [V, 3].

    ``at_rest`` are the points of the coarse mesh of the neutral face.
    """
    deeper = concavity(surface, points) - concavity(surface, surface(at_rest))
    return np.asarray(1 - _DARK * smooth_step(deeper, _BEGINS, _FULL))


def _mean_of_edges(values: Array, here: npt.NDArray[np.int64], count: int) -> Array:
    """Returns the mean [V] of the values of the edges that begin at each of ``count`` points."""
    edges = np.maximum(np.bincount(here, minlength=count), 1)
    return np.asarray(np.bincount(here, values, count) / edges)
