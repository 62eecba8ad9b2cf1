"""How far rendered people are from real ones, seen by the product: a table for docs.

    python3 bench/rendered_people.py FOLDER

FOLDER is what ``python -m face_perception.learning.synthesis.rendered FOLDER`` wrote. Each picture
is read as a still. The figures of real people come from docs/trust.md and from the statistics that
``affect`` keeps of neutral faces.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np

from bench.accuracy import product
from face_perception import geometry
from face_perception.affect import measure_face
from face_perception.affect.face_measures import FaceMeasures
from face_perception.affect.neutral import POPULATION, SPREAD
from face_perception.faces.eye_openness import eye_aspect_ratios
from face_perception.gaze import normalized_camera_rotation, to_normalized_angles
from face_perception.learning.synthesis.rendered.dataset import read_truths
from face_perception.statistics import slope
from face_perception.types import Camera, Frame

# Columbia Gaze, 56 people, docs/trust.md.
_REAL_GAIN_YAW, _REAL_GAIN_PITCH = 0.99, 0.38
# The same people, looks level with the eyes: 392 pictures.
_REAL_APERTURE = "0.259 ± 0.026"
_CALM = 0.15  # action units below this intensity count as absent
_TURNED = math.radians(20)


@dataclass(frozen=True)
class Seen:
    """A picture, its truth, and what the product says of the face nearest to the true one."""

    truth: dict[str, Any]
    confidence: float
    gaze: tuple[float, float]  # yaw and pitch in the normalized camera, radians
    true_gaze: tuple[float, float]
    valid: bool
    head: tuple[float, float, float]  # yaw, pitch, roll, radians
    aperture: float
    measures: FaceMeasures | None
    units: dict[int, float]


def see(folder: Path, truth: dict[str, Any]) -> Seen | None:
    """Returns None if no face was found where the true one is."""
    image = cv2.imread(str(folder / truth["file"]), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{folder / truth['file']} is missing or damaged")
    about = truth["camera"]
    camera = Camera(
        int(about["width"]),
        int(about["height"]),
        about["fx"],
        about["fy"],
        about["cx"],
        about["cy"],
    )
    frame = Frame(np.ascontiguousarray(image[..., ::-1]), 0.0, camera)
    result = product.still().process(frame)
    x0, y0, x1, y1 = truth["face_box"]
    for k, face in enumerate(result.faces):
        middle = face.landmarks[:, :2].mean(0)
        if not (x0 <= middle[0] <= x1 and y0 <= middle[1] <= y1) or face.pose is None:
            continue
        rotation = normalized_camera_rotation(camera, face)
        level = math.radians(truth["gaze_yaw_deg"]), math.radians(truth["gaze_pitch_deg"])
        return Seen(
            truth=truth,
            confidence=face.confidence,
            gaze=to_normalized_angles(rotation, result.gazes[k].direction),
            true_gaze=to_normalized_angles(rotation, geometry.from_yaw_pitch(*level)),
            valid=result.gazes[k].valid,
            head=(face.pose.yaw, face.pose.pitch, face.pose.roll),
            aperture=float(np.mean(eye_aspect_ratios(face.landmarks, face.pose))),
            measures=measure_face(face),
            units={n: u.intensity for n, u in result.action_units[k].units.items()},
        )
    return None


def plain(truth: dict[str, Any]) -> bool:
    """Returns whether nothing covers the face."""
    worn = truth["worn"]
    return not (worn["mask"] or worn["sunglasses"])


def report(
    truths: list[dict[str, Any]], seen: list[Seen | None]
) -> list[tuple[str, str, str, int]]:
    """Rows of the table: what, on rendered people, on real people, number of pictures."""
    rows = []
    bare = [s for t, s in zip(truths, seen, strict=True) if plain(t)]
    found = [s for s in bare if s is not None]
    rows.append(
        ("face found, nothing covers it", f"{len(found) / len(bare):.3f}", "0.989", len(bare))
    )
    confidence = np.mean([s.confidence for s in found])
    rows.append(("confidence of found faces", f"{confidence:.2f}", "0.77", len(found)))
    open_eyes = [s for s in found if s.truth["blink"] == 0 and not s.truth["worn"]["infrared"]]
    looks = [s for s in open_eyes if s.valid and np.isfinite(s.gaze).all()]
    estimate, true = (np.array([getattr(s, name) for s in looks]) for name in ("gaze", "true_gaze"))
    heads = np.array([_head_truth(s) for s in looks])
    for axis, name, real in ((0, "yaw", _REAL_GAIN_YAW), (1, "pitch", _REAL_GAIN_PITCH)):
        # The head's own share is told apart: gaze = a head + b (gaze - head) + c.
        design = np.stack([heads[:, axis], true[:, axis] - heads[:, axis], np.ones(len(true))], 1)
        fit = np.linalg.lstsq(design, estimate[:, axis], rcond=None)[0]
        what = f"gain of gaze, {name}"
        rows.append((f"{what}: eyes turn in the head", f"{fit[1]:.2f}", f"{real}", len(looks)))
        rows.append((f"{what}: eyes turn with the head", f"{fit[0]:.2f}", "", len(looks)))
        r = np.corrcoef(true[:, axis], estimate[:, axis])[0, 1]
        rows.append((f"correlation of {name}", f"{r:.2f}", "", len(looks)))
    off = np.degrees(np.hypot(*(estimate - true).T))
    rows.append(("error of gaze", f"{off.mean():.1f}°", "6.8° (frontal, ±15°)", len(looks)))
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        true_head = np.array([math.radians(s.truth[f"head_{name}_deg"]) for s in found])
        said = np.array([s.head[axis] for s in found])
        error = np.degrees(said - true_head)
        figures = f"{slope(true_head, said):.2f}, {error.mean():+.1f}°, {np.abs(error).mean():.1f}°"
        rows.append((f"head {name}: slope, bias, mean error", figures, "", len(found)))
    frontal = [s for s in open_eyes if max(map(abs, _head_truth(s))) < _TURNED]
    apertures = [s.aperture for s in frontal if abs(s.truth["gaze_pitch_deg"]) < 12]
    closed = [s.aperture for s in found if s.truth["blink"] == 1]
    rows.append(("eye aspect ratio, open", f"{np.mean(apertures):.3f} ± {np.std(apertures):.3f}",
                 _REAL_APERTURE, len(apertures)))  # fmt: skip
    if closed:
        rows.append(("eye aspect ratio, closed", f"{np.mean(closed):.3f}", "", len(closed)))
    neutral = [s for s in frontal if _calm(s.truth) and s.measures is not None]
    for k, name in enumerate(FaceMeasures._fields[:8]):
        values = [s.measures[k] for s in neutral if s.measures is not None]
        if values:
            rows.append((f"neutral face: {name}", f"{np.mean(values):.3f} ± {np.std(values):.3f}",
                         f"{POPULATION[k]:.3f} ± {SPREAD[k]:.3f}", len(values)))  # fmt: skip
    for number in (1, 2, 4, 12, 15, 20, 25, 26):
        pairs = [(s.truth["action_units"].get(str(number), 0.0), s.units.get(number, math.nan))
                 for s in frontal]  # fmt: skip
        pairs = [(t, e) for t, e in pairs if math.isfinite(e)]
        if len({t for t, _ in pairs}) > 2:
            shown, said = np.array(pairs).T
            r = np.corrcoef(shown, said)[0, 1]
            rows.append((f"AU{number}: correlation with the truth", f"{r:.2f}", "", len(pairs)))
    return rows


def _head_truth(seen: Seen) -> tuple[float, float]:
    """Returns yaw and pitch of the true head against the line to the camera, radians."""
    x, y, z = seen.truth["eyes"]
    yaw = math.radians(seen.truth["head_yaw_deg"]) - math.atan2(-x, z)
    pitch = math.radians(seen.truth["head_pitch_deg"]) - math.atan2(y, math.hypot(x, z))
    return yaw, pitch


def _calm(truth: dict[str, Any]) -> bool:
    return all(value < _CALM for value in truth["action_units"].values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="rendered people")
    parser.add_argument("--cache", type=Path, help="file that keeps what the product said")
    args = parser.parse_args()
    known: dict[str, Seen | None] = {}
    if args.cache and args.cache.exists():
        known = pickle.loads(args.cache.read_bytes())
    truths = list(read_truths(args.folder))
    for truth in truths:
        if truth["file"] not in known:
            known[truth["file"]] = see(args.folder, truth)
    if args.cache:
        args.cache.write_bytes(pickle.dumps(known))
    print("| what | rendered | real | n |\n|---|---|---|---|")
    for row in report(truths, [known[truth["file"]] for truth in truths]):
        print("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()
