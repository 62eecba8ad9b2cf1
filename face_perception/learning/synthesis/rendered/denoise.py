"""Smooths the noise of few light paths, guided by colour and normals, which have none."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_REACH = 3  # pixels
_NORMALS, _ALBEDO = 0.10, 0.10  # differences that end the smoothing


def smooth_light(radiance: Array, albedo: Array, normals: Array, glossy: Array) -> Array:
    """Returns radiance [H, W, 3] whose noise is smoothed.

    The light that falls on a surface is smoothed, not its colour (``albedo`` [H, W, 3]), and only
    between pixels of like ``normals`` [H, W, 3] and like colour. Where ``glossy`` [H, W] is 1, as
    on eyes, highlights stay. The background has no albedo and does not change.
    """
    height, width = radiance.shape[:2]
    solid = albedo.max(2, keepdims=True) > 0.003
    light = np.where(solid, radiance / np.maximum(albedo, 0.01), 0).astype(np.float32)
    guide = np.concatenate([normals / _NORMALS, albedo / (_ALBEDO * (0.15 + albedo))], axis=2)
    guide = guide.astype(np.float32)
    total = np.zeros_like(light)
    weights = np.zeros((height, width, 1), np.float32)
    pad = _REACH
    edges = ((pad, pad), (pad, pad), (0, 0))
    far_light, far_guide = np.pad(light, edges, "edge"), np.pad(guide, edges, "edge")
    far_solid = np.pad(solid.astype(np.float32), edges)
    for dy in range(-pad, pad + 1):
        for dx in range(-pad, pad + 1):
            at = (slice(pad + dy, pad + dy + height), slice(pad + dx, pad + dx + width))
            off = ((far_guide[at] - guide) ** 2).sum(2, keepdims=True)
            near = np.exp(-0.5 * off - (dx * dx + dy * dy) / 9) * far_solid[at]
            total += near * far_light[at]
            weights += near
    smooth = total / np.maximum(weights, 1e-6) * np.maximum(albedo, 0.01)
    median = np.stack(
        [cv2.medianBlur(radiance[..., k].astype(np.float32), 3) for k in range(3)], axis=2
    )
    smooth += glossy[..., None] * np.maximum(median - 1.8 * smooth, 0)
    return np.asarray(np.where(solid, smooth, radiance), float)
