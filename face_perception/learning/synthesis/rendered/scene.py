"""Renders a person in a view."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered import eyeballs
from face_perception.learning.synthesis.rendered.accessories import (
    Lens,
    Shell,
    Worn,
    make_shell,
    mask_region,
    place_glasses,
)
from face_perception.learning.synthesis.rendered.denoise import smooth_light
from face_perception.learning.synthesis.rendered.folds import fold_shade
from face_perception.learning.synthesis.rendered.human_parts import HumanParts
from face_perception.learning.synthesis.rendered.looks import Looks, make_looks
from face_perception.learning.synthesis.rendered.packages import need_renderer
from face_perception.learning.synthesis.rendered.person import Person
from face_perception.learning.synthesis.rendered.posed_head import (
    PosedHead,
    conjunctiva,
    lid_edges,
    pose_head,
)
from face_perception.learning.synthesis.rendered.regions import EYES_APART, HeadSurface
from face_perception.learning.synthesis.rendered.sensor import Image, take_picture
from face_perception.learning.synthesis.rendered.skin import brightness
from face_perception.learning.synthesis.rendered.soft_light import (
    SoftLight,
    seen_harmonics,
    shade_of_lids,
)
from face_perception.learning.synthesis.rendered.strands import (
    Strands,
    beard_hair,
    brow_hair,
    lashes,
)
from face_perception.learning.synthesis.rendered.surface import Subdivision, smooth_step, unit
from face_perception.learning.synthesis.rendered.surroundings import (
    Panorama,
    draw_surroundings,
    look_up,
)
from face_perception.learning.synthesis.rendered.triangle_mesh import write_ply
from face_perception.learning.synthesis.rendered.truth import Truth, make_truth
from face_perception.learning.synthesis.rendered.view import View

Array = npt.NDArray[np.float64]
_TEETH = (0.72, 0.68, 0.58)
_HIDES_EYES = 0.3  # lenses that pass less light are rendered as opaque
_SKETCHED_BALL = 64  # points on a circle of an eyeball in a sketch
# The part of a sketch around the eyes that has all pixels; the rest has every second one on both
# axes. Half its width and height in distances of the eyes.
_BAND = (1.0, 0.42)
# Share of the light that reaches teeth and tongue of a sketch, in which the lips make no shadow.
_IN_MOUTH = 0.45
_RANGE = 8.0  # largest radiance in a sketch; that of the surroundings is 1 on average


class Studio:
    """Renders people; keeps what all of them share.

    ``samples`` is the number of light paths a pixel. With ``sketch``, pictures take a tenth of the
    time: light is soft (``soft_light``), only the eyes shine, hair and beard are painted on the
    skin, and everything but the region of the eyes has half the resolution. With ``folds``, a
    sketch has the full resolution everywhere, and the folds that an expression makes are darker
    (``fold_shade``), which they are not in soft light.
    """

    def __init__(
        self, parts: HumanParts, samples: int = 32, *, sketch: bool = False, folds: bool = False
    ) -> None:
        self._mitsuba = need_renderer()
        self._head = head = HeadSurface.of(parts, levels=1 if sketch else 2, face_only=sketch)
        self._samples = samples
        self._sketch, self._folds = sketch, folds
        self._seen = None
        if sketch:
            self._seen = seen_harmonics(head.rest, head.surface.normals(head.rest))
        self._last: tuple[Person, Worn, Looks] | None = None
        self._eye = {side: Subdivision(head.parts.groups[f"helper-{side}-eye"], 2) for side in "lr"}
        self._groups = {
            name: Subdivision(head.parts.groups[name], 1)
            for name in ("helper-upper-teeth", "helper-lower-teeth", "helper-tongue")
        }

    def photograph(self, person: Person, view: View) -> tuple[Image, Truth]:
        """Returns the picture [H, W, 3] of a person, and the truth about it."""
        posed = pose_head(self._head, person, view, self._looks_of(person, view.worn).neutral)
        truth = make_truth(self._head, person, view, posed)
        random = np.random.default_rng([view.seed, 5])
        panorama = draw_surroundings(random, view.surroundings)
        light = None
        if self._sketch:
            key = view.key_light
            light = SoftLight.of(
                panorama, posed.turn, key and (posed.turn.T @ _key_direction(key), key[2])
            )
        with tempfile.TemporaryDirectory() as folder:
            stage = _Stage(self._mitsuba, Path(folder), posed, light)
            lenses = self._fill(stage, person, view, posed)
            radiance = self._render(stage, view, panorama)
        # Dark skin stays darker than pale skin, though exposure makes up for part of it.
        median = _median_of_face(radiance, truth) * (0.33 / brightness(person.skin)) ** 0.55
        for lens in lenses:
            _add_lens(radiance, lens, posed, view, panorama)
        if view.infrared:
            radiance = np.repeat(radiance.mean(2, keepdims=True), 3, axis=2)
        return take_picture(radiance, view.sensor, median), truth

    def _looks_of(self, person: Person, worn: Worn) -> Looks:
        """Returns the looks of a person. Keeps those of the last one."""
        if self._last is None or self._last[0] is not person or self._last[1] != worn:
            looks = make_looks(self._head, person, worn, with_hair=not self._sketch)
            self._last = (person, worn, looks)
        return self._last[2]

    def _fill(self, stage: _Stage, person: Person, view: View, posed: PosedHead) -> list[Lens]:
        """Adds everything to the stage, and returns the lenses that are added to the picture."""
        shape, head, worn = posed.shape, self._head, view.worn
        looks = self._looks_of(person, worn)
        colours = looks.colours
        if view.infrared:
            # Melanin hardly absorbs near infrared.
            grey = colours.mean(1, keepdims=True)
            colours = np.repeat(0.35 + 0.5 * grey, 3, axis=1)
        if self._folds:
            colours = colours * fold_shade(head.surface, shape.points, looks.neutral[0])[:, None]
        normals = unit(shape.normals + looks.relief)
        stage.mesh("skin", shape.points, head.surface.triangles, normals, colours,
                   roughness=person.skin.roughness, specular=0.45, seen=self._seen)  # fmt: skip
        strands = looks.hair + brow_hair(shape, person.hair)
        if worn.mask is None and not self._sketch:
            strands += beard_hair(shape, person.hair)
        self._add_eyes(stage, person, view, posed, strands)
        for name, surface in self._groups.items():
            points = _behind_lips(surface(posed.coarse))
            colour = np.array((0.30, 0.10, 0.09) if name.endswith("tongue") else _TEETH)
            if self._sketch:
                colour = _IN_MOUTH * colour
            stage.mesh(name, points, surface.triangles, surface.normals(points),
                       np.tile(colour, (len(points), 1)), roughness=0.25)  # fmt: skip
        for number, shell in enumerate(looks.shells):
            stage.shell(f"shell{number}", shell)
        if worn.mask is not None:
            mask = make_shell(shape, mask_region(head), 0.004, worn.mask, smoothing=40,
                              folds=0.0004)  # fmt: skip
            if mask is not None:
                stage.shell("mask", mask)
        lenses: list[Lens] = []
        if worn.glasses is not None:
            tubes, lenses = place_glasses(shape, worn.glasses)
            strands += tubes
            if worn.glasses.transmission < _HIDES_EYES:
                for number, lens in enumerate(lenses):
                    stage.opaque_lens(f"lens{number}", lens, worn.glasses.colour)
                lenses = []
        stage.strands("hair", [group for group in strands if group.roughness > 0.25])
        stage.strands("glossy", [group for group in strands if group.roughness <= 0.25])
        return lenses

    def _add_eyes(
        self, stage: _Stage, person: Person, view: View, posed: PosedHead, strands: list[Strands]
    ) -> None:
        eyes = person.eyes
        around = _SKETCHED_BALL if self._sketch else eyeballs.AROUND
        ball = eyeballs.make_ball(eyeballs.limbus_radius(eyes), around)
        random = np.random.default_rng([eyes.seed, 11])
        for k, (side, sign) in enumerate((("l", 1), ("r", -1))):
            axis, centre = posed.axes[k], posed.centres[k]
            aim = _aim(axis)
            camera = (posed.camera - centre) @ aim
            colours = eyeballs.paint_ball(ball, eyes, camera, sign)
            if view.infrared:
                colours = 0.15 + 0.8 * np.repeat(colours.mean(1, keepdims=True), 3, axis=1)
                dark = eyeballs.paint_ball(ball, eyes, camera, sign).max(1) < 0.006
                colours[dark] = 0.01
            upper, lower = lid_edges(self._head, posed, side)
            stage.mesh(f"ball_{side}", ball.points @ aim.T + centre, ball.triangles,
                       ball.normals @ aim.T, colours, roughness=0.06, specular=0.55,
                       lids=(upper, lower))  # fmt: skip
            surface = self._eye[side]
            points = surface(conjunctiva(self._head, posed, side))
            white = np.tile(np.array(eyes.white), (len(points), 1))
            nasal = sign * (points[:, 0] - centre[0])
            pink = smooth_step(nasal, -0.0095, -0.0125) + 0.5 * smooth_step(nasal, 0.010, 0.0135)
            white += pink[:, None] * (np.array([0.50, 0.24, 0.21]) - white)
            stage.mesh(f"corner_{side}", points, surface.triangles, surface.normals(points), white,
                       roughness=0.12, specular=0.5, lids=(upper, lower))  # fmt: skip
            strands += lashes(upper, lower, np.array([0.0, 0.0, 1.0]), person.lash_length,
                              person.skin.liner, random)  # fmt: skip
            strands += _wet_line(lower, person.skin.melanin)

    def _render(self, stage: _Stage, view: View, panorama: Panorama) -> Array:
        mi = self._mitsuba
        scene = dict(stage.parts)
        scene["type"] = "scene"
        if self._sketch:
            band = (0, 0, view.width, view.height) if self._folds else _eye_band(stage, view)
            return self._sketched(scene, view, band, panorama)
        scene["light"] = {
            "type": "envmap",
            "bitmap": mi.Bitmap(panorama),
            "scale": 1.0,
        }
        if view.key_light is not None:
            strength = view.key_light[2]
            far, size = key_light_geometry(view.position)
            place = np.array(view.position) + far * _key_direction(view.key_light)
            # As bright at the face as the surroundings, times its strength.
            bright = strength * np.pi * far**2 / (4 * size**2)
            scene["key"] = {
                "type": "rectangle",
                "to_world": _look_at(mi, place, np.array(view.position)).scale([size, size, 1]),
                "emitter": {"type": "area", "radiance": {"type": "rgb", "value": float(bright)}},
            }
        scene["sensor"] = _sensor(mi, view, {"type": "independent", "sample_count": self._samples})
        scene["integrator"] = {
            "type": "aov",
            "aovs": "albedo:albedo,normal:sh_normal",
            "light": {"type": "path", "max_depth": 3, "rr_depth": 3},
        }
        image: Array = np.array(mi.render(mi.load_dict(scene)), dtype=np.float64)
        # The channels are radiance (and alpha), albedo and normals.
        radiance = _without_fireflies(np.asarray(image[..., :3], float))
        return smooth_light(radiance, image[..., -6:-3], image[..., -3:], _eye_pixels(stage, view))

    def _sketched(
        self, scene: dict[str, Any], view: View, band: tuple[int, int, int, int],
        panorama: Panorama,
    ) -> Array:  # fmt: skip
        """Returns the radiance [H, W, 3] of surfaces whose colour is their radiance.

        The pixels of ``band`` (x0, y0, x1, y1) are rendered one by one, the others in fours.
        """
        mi = self._mitsuba
        sampler = {"type": "ldsampler", "sample_count": self._samples}
        coarse = replace(view, width=view.width // 2, height=view.height // 2, focal=view.focal / 2)
        scene["integrator"] = {"type": "aov", "aovs": "colour:albedo,normal:sh_normal"}
        scene["sensor"] = _sensor(mi, coarse, sampler)
        x0, y0, x1, y1 = band
        if x1 > x0 and y1 > y0:
            scene["sensor_of_band"] = _sensor(mi, view, sampler, band)
        loaded = mi.load_dict(scene)
        image = np.array(mi.render(loaded, sensor=0), np.float64)[..., -6:]
        image = np.asarray(cv2.resize(image, (view.width, view.height)), float)
        if "sensor_of_band" in scene:
            image[y0:y1, x0:x1] = np.array(mi.render(loaded, sensor=1), np.float64)[..., -6:]
        rows, columns = np.nonzero(np.linalg.norm(image[..., 3:], axis=2) < 0.3)
        ray = np.stack([(columns + 0.5 - view.width / 2) / view.focal,
                        -(rows + 0.5 - view.height / 2) / view.focal, -np.ones(len(rows))],
                       axis=1)  # fmt: skip
        radiance: Array = image[..., :3] * _RANGE
        radiance[rows, columns] = look_up(panorama, unit(ray))
        return radiance


class _Stage:
    """Collects the parts of a scene; points are in the head's frame."""

    def __init__(
        self, mitsuba: Any, folder: Path, posed: PosedHead, light: SoftLight | None
    ) -> None:
        self._mitsuba = mitsuba
        self._folder = folder
        self.posed = posed
        self._light = light
        self.parts: dict[str, Any] = {}

    def mesh(
        self, name: str, points: Array, triangles: npt.NDArray[np.int64], normals: Array,
        colours: Array, *, roughness: float, specular: float = 0.5, seen: Array | None = None,
        lids: tuple[Array, Array] | None = None,
    ) -> None:  # fmt: skip
        """Adds a surface.

        In a sketch, ``seen`` [V, 9] says what its points see (``seen_harmonics``), and a surface
        between ``lids`` (edges of the upper and the lower one) is wet and in their shade.
        """
        if self._light is not None:
            colours = colours * self._light.reflected(normals, seen)
            if lids is not None:
                wet = self._light.mirrored(points, normals, self.posed.camera)
                colours = (colours + wet) * shade_of_lids(points, *lids)[:, None]
            colours = np.clip(colours / _RANGE, 0, 1)
        path = self._folder / f"{name}.ply"
        world = self.posed.to_world(points)
        write_ply(path, world, triangles, normals @ self.posed.turn.T, colours)
        colour = {"type": "mesh_attribute", "name": "vertex_color"}
        material: dict[str, Any] = {
            "type": "principled",
            "roughness": float(roughness),
            "specular": float(specular),
            "base_color": colour,
        }
        if self._light is not None:
            material = {"type": "diffuse", "reflectance": colour}
        self.parts[name] = {
            "type": "ply",
            "filename": str(path),
            "bsdf": {"type": "twosided", "bsdf": material},
        }

    def shell(self, name: str, shell: Shell) -> None:
        colours = np.tile(np.array(shell.colour), (len(shell.points), 1))
        self.mesh(name, shell.points, shell.triangles, shell.normals, colours,
                  roughness=shell.roughness, specular=0.2)  # fmt: skip

    def opaque_lens(self, name: str, lens: Lens, colour: tuple[float, float, float]) -> None:
        points = np.concatenate([lens.centre[None] + 0.002 * lens.normal, lens.outline])
        count = len(lens.outline)
        ring = np.arange(count)
        triangles = np.stack([np.zeros(count, int), ring + 1, (ring + 1) % count + 1], axis=1)
        away = points - lens.centre
        normals = unit(lens.normal + 6.0 * (away - (away @ lens.normal)[:, None] * lens.normal))
        dark = np.tile(np.minimum(np.array(colour), 0.02), (len(points), 1))
        self.mesh(name, points, triangles, normals, dark, roughness=0.05, specular=0.6)

    def strands(self, name: str, groups: list[Strands]) -> None:
        """Adds hairs as ribbons that face the camera, shaded as if they were round."""
        if not groups:
            return
        parts = [_ribbons(group, self.posed.camera) for group in groups]
        starts = np.cumsum([0, *(len(part[0]) for part in parts[:-1])])
        points, normals, colours = (np.concatenate([part[k] for part in parts]) for k in (0, 1, 2))
        triangles = np.concatenate(
            [part[3] + start for part, start in zip(parts, starts, strict=True)]
        )
        roughness = groups[0].roughness
        self.mesh(name, points, triangles, normals, colours, roughness=roughness, specular=0.4)


def _ribbons(strands: Strands, camera: Array) -> tuple[Array, Array, Array, npt.NDArray[np.int64]]:
    """Points, normals and colours [V, 3] and triangles [T, 3] of ribbons along curves."""
    points = strands.points
    count, steps = points.shape[:2]
    along = np.gradient(points, axis=1)
    to_camera = unit(camera - points)
    across = unit(np.cross(along, to_camera))
    front = unit(np.cross(across, along))
    front *= np.sign((front * to_camera).sum(2, keepdims=True))
    offset = across * strands.radii[None, :, None]
    edges = np.stack([points - offset, points + offset], axis=2)
    normals = np.stack([unit(front - 0.8 * across), unit(front + 0.8 * across)], axis=2)
    row = np.arange(count)[:, None] * 2 * steps + 2 * np.arange(steps - 1)[None]
    triangles = np.concatenate(
        [np.stack([row, row + 1, row + 2], -1), np.stack([row + 1, row + 3, row + 2], -1)]
    ).reshape(-1, 3)
    colours = np.tile(np.array(strands.colour), (edges.size // 3, 1))
    return edges.reshape(-1, 3), normals.reshape(-1, 3), colours, triangles


def key_light_geometry(head: tuple[float, float, float]) -> tuple[float, float]:
    """Returns the distance of the key light from the ``head`` and half its width, metres.

    The camera is at the origin. The light is behind it, so that it never hides the face, and looks
    as large from every distance: 0.7 m wide at 1.6 m.
    """
    distance = max(1.6, float(np.linalg.norm(head)) + 0.3)
    return distance, 0.35 * distance / 1.6


def _key_direction(key: tuple[float, float, float]) -> Array:
    """Returns the unit vector [3] to the key light, in the world's frame."""
    azimuth, elevation, _ = key
    level = np.cos(elevation)
    return np.array([level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)])


def _sensor(
    mi: Any, view: View, sampler: dict[str, Any], part: tuple[int, int, int, int] | None = None
) -> dict[str, Any]:
    """Returns the camera of a view, or a ``part`` of its picture (x0, y0, x1, y1, pixels)."""
    film: dict[str, Any] = {
        "type": "hdrfilm",
        "width": view.width,
        "height": view.height,
        "rfilter": {"type": "gaussian", "stddev": 0.45},
    }
    if part is not None:
        x0, y0, x1, y1 = part
        film |= {
            "crop_offset_x": x0, "crop_offset_y": y0, "crop_width": x1 - x0, "crop_height": y1 - y0
        }  # fmt: skip
    return {
        "type": "perspective",
        "fov": float(2 * np.degrees(np.arctan(view.width / 2 / view.focal))),
        "fov_axis": "x",
        "near_clip": 0.02,
        "to_world": _look_at(mi, np.zeros(3), np.array([0.0, 0.0, -1.0])),
        "film": film,
        "sampler": sampler | {"seed": view.seed % (1 << 31)},
    }


def _eye_places(stage: _Stage, view: View) -> Array:
    """Returns the column and row of the middles of both eyeballs, pixels [2, 2]."""
    x, y, z = stage.posed.to_world(stage.posed.centres).T
    return np.stack([view.width / 2 - view.focal * x / z, view.height / 2 + view.focal * y / z], 1)


def _behind_lips(points: Array) -> Array:
    """Returns teeth or tongue [V, 3], smaller: the mesh's reach through the corners of a moving
    mouth.
    """
    middle = points.mean(0)
    return np.asarray(middle + (points - middle) * [0.84, 0.92, 0.92] - [0, 0, 0.003])


def _eye_band(stage: _Stage, view: View) -> tuple[int, int, int, int]:
    """Returns the part of the picture around the eyes: x0, y0, x1, y1, pixels; may be empty."""
    places = _eye_places(stage, view)
    apart = EYES_APART * view.focal / -float(view.position[2])
    half = np.multiply(_BAND, apart)
    size = np.array([view.width, view.height])
    x0, y0 = np.clip(np.floor(places.min(0) - half + [apart / 2, 0]), 0, size).astype(int)
    x1, y1 = np.clip(np.ceil(places.max(0) + half - [apart / 2, 0]), 0, size).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def _eye_pixels(stage: _Stage, view: View) -> Array:
    """Returns 1 on the eyeballs, 0 elsewhere, [H, W]."""
    out = np.zeros((view.height, view.width), np.uint8)
    places = _eye_places(stage, view)
    for at, z in zip(places, stage.posed.to_world(stage.posed.centres)[:, 2], strict=True):
        radius = 1.05 * eyeballs.RADIUS * view.focal / -z
        cv2.circle(out, (round(at[0]), round(at[1])), max(1, round(radius)), 1, -1)
    return out.astype(float)


def _wet_line(lower: Array, melanin: float) -> list[Strands]:
    """Returns the pink and shiny edge of the lower lid."""
    line = lower[2:-1] + np.array([0.0, 0.0002, -0.0009])
    red = np.array([0.60, 0.33, 0.28]) * (1 - 0.6 * melanin)
    return [Strands(line[None], np.full(len(line), 0.00045), (red[0], red[1], red[2]), 0.12)]


def _aim(axis: Array) -> Array:
    """Returns the rotation [3, 3] that turns a ball from z to ``axis`` and keeps it upright."""
    right = unit(np.cross([0.0, 1.0, 0.0], axis))
    return np.stack([right, np.cross(axis, right), axis], axis=1)


def _look_at(mi: Any, origin: Array, target: Array) -> Any:
    return mi.ScalarTransform4f().look_at(
        origin=origin.tolist(), target=target.tolist(), up=[0.0, 1.0, 0.0]
    )


def _without_fireflies(image: Array) -> Array:
    """Pixels much brighter than their neighbours get their neighbours' median."""
    single = image.astype(np.float32)
    middle = np.stack(
        [cv2.medianBlur(np.ascontiguousarray(single[..., k]), 3) for k in range(3)], 2
    )
    bright = single.max(2) > 3.0 * middle.max(2) + 0.2
    return np.asarray(np.where(bright[..., None], middle, single), float)


def _median_of_face(radiance: Array, truth: Truth) -> float:
    """Returns the median radiance from the brows to the chin."""
    height, width = radiance.shape[:2]
    x0, y0, x1, y1 = truth.face_box
    x0, x1 = int(np.clip(x0, 0, width - 1)), int(np.clip(x1, 1, width))
    y0, y1 = int(np.clip(y0, 0, height - 1)), int(np.clip(y1, 1, height))
    return float(np.median(radiance[y0:y1, x0:x1].mean(2)))


def _add_lens(
    radiance: Array, lens: Lens, posed: PosedHead, view: View, panorama: Panorama
) -> None:
    """Adds what a clear lens reflects, and dims what is behind it, in place."""
    glasses = view.worn.glasses
    assert glasses is not None
    outline = posed.to_world(lens.outline)
    pixels = np.stack(
        [view.width / 2 + view.focal * outline[:, 0] / -outline[:, 2],
         view.height / 2 - view.focal * outline[:, 1] / -outline[:, 2]], axis=1,
    )  # fmt: skip
    covered = np.zeros(radiance.shape[:2], np.uint8)
    cv2.fillPoly(covered, [np.round(pixels * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    rows, columns = np.nonzero(covered)
    if not len(rows):
        return
    ray = unit(
        np.stack([(columns + 0.5 - view.width / 2) / view.focal,
                  -(rows + 0.5 - view.height / 2) / view.focal, -np.ones(len(rows))], axis=1)
    )  # fmt: skip
    centre = posed.to_world(lens.centre[None])[0]
    normal = posed.turn @ lens.normal
    at = ray * (centre @ normal / (ray @ normal))[:, None]
    # The front of a lens is a sphere of about 12 cm.
    normals = unit(normal + (at - centre) / 0.12)
    facing = np.abs((ray * normals).sum(1))
    mirror = ray - 2 * (ray * normals).sum(1, keepdims=True) * normals
    fresnel = 0.04 + 0.96 * (1 - facing) ** 5
    share = covered[rows, columns, None] / 255
    reflected = look_up(panorama, mirror) * (2 * glasses.coating * fresnel)[:, None]
    behind = radiance[rows, columns]
    radiance[rows, columns] = behind + share * (glasses.transmission * behind + reflected - behind)
