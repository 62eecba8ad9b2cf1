"""Makes triangle meshes on a polar grid, and writes meshes for the renderer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]


def polar_grid_triangles(rings: int, around: int) -> Triangles:
    """Returns the triangles [T, 3] between ``rings`` closed rings of ``around`` points each.

    Point k of ring r has the index r * around + k.
    """
    rows, columns = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    a = rows * around + columns
    b = rows * around + (columns + 1) % around
    return np.concatenate(
        [np.stack([a, a + around, b], -1), np.stack([b, a + around, b + around], -1)]
    ).reshape(-1, 3)


def write_ply(
    path: Path, points: Array, triangles: Triangles, normals: Array, colours: Array
) -> None:
    """Writes a mesh as a binary PLY file.

    ``points``, ``normals`` and ``colours`` (linear RGB) are [V, 3], ``triangles`` [T, 3].
    """
    names = ("x", "y", "z", "nx", "ny", "nz", "r", "g", "b")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    header += [f"property float {name}" for name in names]
    header += [f"element face {len(triangles)}", "property list uchar int vertex_indices"]
    header += ["end_header"]
    rows = np.empty(len(triangles), [("n", "u1"), ("i", "<i4", 3)])
    rows["n"], rows["i"] = 3, triangles
    values = np.hstack([points, normals, colours]).astype("<f4")
    path.write_bytes("\n".join(header).encode() + b"\n" + values.tobytes() + rows.tobytes())
