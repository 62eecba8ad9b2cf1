"""Renders test/data/rendered_people: three people whose looks and action units are known.

    python3 tools/render_test_people.py

Needs what ``python -m face_perception.learning.synthesis.rendered`` needs; neither the product nor
its tests need it. The parts are CC0 1.0 (``rendered/human_parts.py``), and so are the pictures.
Pictures that exist already are kept: remove the folder to render all of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from face_perception.learning.synthesis.rendered.accessories import Glasses, Worn
from face_perception.learning.synthesis.rendered.expression import Expression, units_of
from face_perception.learning.synthesis.rendered.human_parts import HumanParts, fetch_parts
from face_perception.learning.synthesis.rendered.person import draw_person
from face_perception.learning.synthesis.rendered.scene import Studio
from face_perception.learning.synthesis.rendered.view import View, simple_view

OUT = ROOT / "test" / "data" / "rendered_people"
PEOPLE = (7000002, 7000020, 7000015)  # seeds, chosen for different skin, sex and age
SIZE, SAMPLES, JPEG = 192, 6, 90

SUNGLASSES = Glasses(
    width=0.052,
    height=0.044,
    roundness=0.6,
    rim=0.0012,
    colour=(0.012, 0.011, 0.011),
    transmission=0.05,
    coating=0.5,
    tilt=float(np.radians(8)),
    drop=0.001,
)


def showing(**intensities: float) -> View:
    """Returns a view of action units: au12=0.9 and so on."""
    units = units_of({int(name[2:]): value for name, value in intensities.items()})
    return dataclasses.replace(simple_view(size=SIZE), expression=Expression(units))


def turned(yaw: float, pitch: float, roll: float) -> View:
    """Returns the head turned, with the eyes straight in it."""
    return simple_view(size=SIZE, head_deg=(yaw, pitch, roll), look_deg=(yaw, pitch))


VIEWS: dict[str, View] = {
    "lens": simple_view(size=SIZE),
    "look_right": simple_view(size=SIZE, look_deg=(15, 0)),
    "look_left": simple_view(size=SIZE, look_deg=(-15, 0)),
    "look_up": simple_view(size=SIZE, look_deg=(0, 12)),
    "look_down": simple_view(size=SIZE, look_deg=(0, -12)),
    "smile": showing(au12=0.9, au6=0.6),
    "jaw": showing(au26=0.9),
    "brows_up": showing(au1=0.9, au2=0.9),
    "brows_down": showing(au4=0.9),
    "closed": dataclasses.replace(simple_view(size=SIZE), blink=1.0),
    "sunglasses": dataclasses.replace(simple_view(size=SIZE), worn=Worn(glasses=SUNGLASSES)),
    "head_right": turned(25, 0, 0),
    "head_up": turned(0, 15, 0),
    "head_rolled": turned(0, 0, 15),
    # New views come last: the number of a view is part of its seed.
    "nose_wrinkled": showing(au9=0.9),
    "corners_down": showing(au15=0.9),
}


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    about = OUT / "truth.json"
    truths = json.loads(about.read_text()) if about.exists() else {}
    parts = HumanParts(fetch_parts())
    studio = Studio(parts, SAMPLES)
    for letter, seed in zip("abc", PEOPLE, strict=True):
        person = draw_person(parts, seed)
        for number, (name, view) in enumerate(VIEWS.items()):
            file = f"{letter}_{name}.jpg"
            if file in truths:
                continue
            view = dataclasses.replace(view, seed=seed + number)
            image, truth = studio.photograph(person, view)
            cv2.imwrite(str(OUT / file), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG])
            truths[file] = truth.as_json()
            lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in truths.items())
            about.write_text(f"{{\n{lines}\n}}\n")
            print(file, flush=True)


if __name__ == "__main__":
    main()
