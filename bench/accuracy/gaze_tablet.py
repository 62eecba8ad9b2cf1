"""Measures the gaze of one person who looks at a tablet of known camera, screen and depth.

The person's eyes are 0.28 m from the camera, and the targets 6 to 39 degrees below it.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.accuracy import product
from bench.accuracy.context import Context, Findings, Measure, Row, counted
from bench.accuracy.data_sets import TABLET, Missing
from bench.accuracy.looking import (
    Look,
    Told,
    calibrate,
    contact_row,
    error_row,
    gain_rows,
    raw,
    robot_rows,
    see,
    sigma_rows,
)
from bench.accuracy.pictures import read_picture
from face_perception.faces import (
    LEFT_INNER_CANTHUS,
    LEFT_OUTER_CANTHUS,
    RIGHT_INNER_CANTHUS,
    RIGHT_OUTER_CANTHUS,
)
from face_perception.gaze import EYEBALL_BEHIND
from face_perception.statistics import mean
from face_perception.types import Camera, Face, FloatArray

NAME = "tablet"
_CANTHI = (RIGHT_OUTER_CANTHUS, RIGHT_INNER_CANTHUS, LEFT_INNER_CANTHUS, LEFT_OUTER_CANTHUS)
_NEAR = 3  # pixels around a canthus whose depth is used
_MIDDLE = (0.5, 0.5)


@dataclass(frozen=True, slots=True)
class _Geometry:
    camera: Camera
    width: float  # of the screen, metres
    height: float
    gap: float  # from the camera down to the screen's upper edge, metres

    @classmethod
    def read(cls, folder: Path) -> _Geometry:
        lens = json.loads((folder / "intrinsics.json").read_text())
        screen = json.loads((folder / "display.json").read_text())
        pixel = 0.0254 / screen["ppi"]
        return cls(
            Camera(480, 640, lens["fx"], lens["fy"], lens["cx"], lens["cy"]),
            screen["width_px"] * pixel,
            screen["height_px"] * pixel,
            screen["camera_to_screen_distance_mm"] / 1000,
        )

    def target(self, x: float, y: float) -> FloatArray:
        """Returns the point [3] in the optical frame, metres, from shares of the screen's width and
        height.

        The shares count from the upper left corner as the person sees it. The screen lies in the
        camera's plane; its left is the image's right.
        """
        return np.array([(0.5 - x) * self.width, self.gap + y * self.height, 0.0])


def run(context: Context) -> Findings:
    folder = TABLET.folder(context.data)
    files = sorted(
        [*context.files(TABLET, "pog.csv"), *context.files(TABLET, "*.json")]
        + [f for s in ("training", "test") for f in (folder / s).rglob("*.*") if f.suffix != ".csv"]
    )
    if not (folder / "test").is_dir() or not (folder / "training").is_dir():
        raise Missing(f"not measured: {folder} needs the folders training and test")
    key = (context.use(TABLET, files), product.gaze_name())
    found = context.remember("gaze_tablet", key, lambda: _look(folder))
    test, training, tried = found["test"], found["training"], found["tried"]
    share = mean([i < len(test) + len(training) for i in range(tried)])
    rows = [Row("gaze", "face found and gaze valid", share, "share", NAME, "", "")]
    findings = Findings(rows)
    if not test:
        return findings
    told = raw(test, NAME, "target")
    rows += [error_row(told), *gain_rows_of_one(told), *sigma_rows(told)]
    rows += [contact_row(told, "looks at the tablet"), *robot_rows(told)]
    middle = [[k for k in training if k.name == str(_MIDDLE)]]
    five = [
        [k for k in training if k.name == name] for name in dict.fromkeys(k.name for k in training)
    ]
    for condition, targets in (("one target", middle), ("five targets", five)):
        if not all(targets) or not targets:
            continue
        after = calibrate(targets, test)
        told = Told(test, after.gazes, condition, NAME, "target")
        rows += [error_row(told), *gain_rows_of_one(told), *sigma_rows(told)]
        refused = mean([bool(after.refused)])
        rows.append(dataclasses.replace(told.row("calibration refused", refused, "share"), per=""))
        if not after.refused:
            promised = mean([math.degrees(after.promised)])
            row = told.row("error that the calibration expected", promised, "°")
            rows.append(dataclasses.replace(row, per=""))
        rows.append(contact_row(told, "looks at the tablet"))
        findings.details[f"refused, {condition}"] = after.refused
    return findings


def gain_rows_of_one(told: Told) -> list[Row]:
    """Returns the gain of one person over all targets."""
    together = Told(
        [dataclasses.replace(look, group="") for look in told.looks],
        told.gazes,
        told.condition,
        told.data,
        "person",
    )
    return gain_rows(together)


def _look(folder: Path) -> dict[str, Any]:
    geometry = _Geometry.read(folder / "camera")
    made: dict[str, Any] = {"tried": 0}
    for split in ("training", "test"):
        made[split] = []
        with (folder / split / "pog.csv").open() as file:
            rows = list(csv.DictReader(file))
        made["tried"] += len(rows)
        for row in counted(rows, NAME):
            look = _see_one(geometry, folder / split, row)
            if look is not None:
                made[split].append(look)
    return made


def _see_one(geometry: _Geometry, folder: Path, row: dict[str, str]) -> Look | None:
    number, x, y = int(row["frame"]), float(row["x"]), float(row["y"])
    image = read_picture(folder / "rgb" / f"{number:03d}.png")
    with np.load(folder / "depth" / f"{number:03d}.npz", allow_pickle=False) as file:
        depth = file[file.files[0]]
    seen = see(image, geometry.camera)
    if seen is None or not seen[1].valid or not np.isfinite(seen[1].direction).all():
        return None
    face, gaze, looking = seen
    eyes = _eyes(face, depth, geometry.camera)
    if eyes is None:
        return None
    line = geometry.target(x, y) - eyes
    name = str((x, y))
    truth = line / np.linalg.norm(line)
    return Look(name, name, geometry.camera, face, gaze, looking, truth)


def _eyes(face: Face, depth: FloatArray, camera: Camera) -> FloatArray | None:
    """Returns the midpoint of the eyes [3], metres, from the depth map in millimetres; None without
    depth.
    """
    points = np.asarray(face.landmarks[list(_CANTHI), :2], np.float64)
    distances = []
    for x, y in points.astype(int):
        near = depth[max(y - _NEAR, 0) : y + _NEAR + 1, max(x - _NEAR, 0) : x + _NEAR + 1]
        if (near > 0).any():
            distances.append(float(np.median(near[near > 0])))
    if not distances:
        return None
    z = float(np.median(distances)) / 1000 + EYEBALL_BEHIND
    x, y = points.mean(axis=0)
    return np.array([(x - camera.cx) / camera.fx * z, (y - camera.cy) / camera.fy * z, z])


MEASURE = Measure("gaze_tablet", (TABLET,), run)
