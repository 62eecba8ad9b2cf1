"""Measures how well simulated people's named targets are told apart, by their distance in angle.

    python3 bench/named_targets.py [--looks 400]

A person 1.2 m from the camera looks at one of three targets of 5 cm radius that stand side by side
1 m in front of the person, 25 degrees below the lens, or at a random place (every fourth look). The
gaze has the error that the geometric estimator states: with a calibration on five targets, and
without one, when the gain of each person is drawn, too. The head pose alone is off by 15 degrees.
Each look is one image. The angle between two neighbours varies.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from face_perception.attention import AttentionSettings, AttentionTracker, Sphere
from face_perception.gaze.estimator_prior import GEOMETRIC_PRIOR
from face_perception.gaze_probability import GazeErrorModel
from face_perception.types import Eyes, Face, Gaze, HeadPose, Roi, Target

EYES = np.array([0.0, 0.0, 1.2])
RADIUS, DISTANCE = 0.05, 1.0
ANGLES_DEG = (5, 10, 15, 20, 30)
_YAW, _PITCH = GEOMETRIC_PRIOR.yaw, GEOMETRIC_PRIOR.pitch
ERRORS = {
    "calibrated": GazeErrorModel(math.radians(2.5), math.radians(2.5)),
    "not calibrated": GazeErrorModel(
        _YAW.sigma, _PITCH.sigma, _YAW.scale, _PITCH.scale, _YAW.scale_sigma, _PITCH.scale_sigma
    ),
    "head pose alone": GazeErrorModel(math.radians(15), math.radians(15)),
}


def direction(yaw: float, pitch: float) -> np.ndarray:
    """Returns the unit vector at these angles, radians, from the line to a point below the lens."""
    return np.array(
        [math.sin(yaw) * math.cos(pitch), -math.sin(pitch), -math.cos(yaw) * math.cos(pitch)]
    )


def measure(angle: float, error: GazeErrorModel, looks: int) -> list[float]:
    """Returns shares: right target, wrong target, of looks elsewhere taken for a target."""
    random = np.random.default_rng(round(1000 * angle))
    low = math.radians(-25)  # below the lens, such as on a table
    places = {name: (k * angle, low) for k, name in zip((-1, 0, 1), "abc", strict=True)}
    things = {
        name: Sphere(EYES + DISTANCE * direction(*place), RADIUS) for name, place in places.items()
    }
    settings = AttentionSettings(head_sigma=error.yaw_sigma)
    right = wrong = false = elsewhere = 0
    for k in range(looks):
        name = "abc-"[k % 4]
        while True:
            yaw, pitch = places.get(name) or random.normal((0, low), (0.5, 0.3))
            near = min(math.hypot(yaw - y, pitch - p) for y, p in places.values())
            if name != "-" or near > math.radians(6):
                break
        seen = direction(
            random.normal(error.yaw_gain, error.yaw_gain_sigma) * yaw
            + random.normal(0, error.yaw_sigma),
            random.normal(error.pitch_gain, error.pitch_gain_sigma) * pitch
            + random.normal(0, error.pitch_sigma),
        )
        left = np.cross([0.0, -1.0, 0.0], seen)
        left /= np.linalg.norm(left)
        pose = HeadPose(EYES, np.stack([seen, left, np.cross(seen, left)], 1))
        face = Face("a", 1.0, Roi(0, 0, 1, 1), np.zeros((478, 3), np.float32), pose)
        gaze = Gaze(
            "a", EYES, seen, 1.0, True, "simulated", eyes=Eyes.OPEN, **dataclasses.asdict(error)
        )
        gazes = [] if error == ERRORS["head pose alone"] else [gaze]
        (found,) = AttentionTracker(settings).update(0.0, [face], gazes, objects=things)
        said = found.target_name if found.target == Target.OBJECT else ""
        if name == "-":
            elsewhere += 1
            false += bool(said)
        else:
            right += said == name
            wrong += said not in ("", name)
    return [right / (looks - elsewhere), wrong / (looks - elsewhere), false / elsewhere]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--looks", type=int, default=400)
    looks = parser.parse_args().looks
    print(f"| gaze | {' | '.join(f'{angle}°' for angle in ANGLES_DEG)} |")
    print("|---|" + "---|" * len(ANGLES_DEG))
    for name, error in ERRORS.items():
        cells = [
            "{:.0%}, {:.0%}, {:.0%}".format(*measure(math.radians(angle), error, looks))
            for angle in ANGLES_DEG
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
