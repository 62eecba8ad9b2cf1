"""Makes docs/images/landmarks_70.svg: REP-155's 70 landmarks on the face of the astronaut.

    python3 tools/draw_landmarks.py

It needs the models of the face tracker.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from face_perception.faces import load_tracker
from face_perception.hri import LANDMARKS_70
from face_perception.inference import sample_photo
from face_perception.types import Camera, FloatArray, Frame

FILE = Path(__file__).resolve().parent.parent / "docs" / "images" / "landmarks_70.svg"
_WIDTH, _BORDER = 800, 30  # pixels
# First and last landmark of each line; closed lines end where they begin.
_OPEN = ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35))
_CLOSED = ((36, 41), (42, 47), (48, 59), (60, 67))


def drawing(places: FloatArray) -> str:
    """Returns the SVG of landmarks at ``places`` [70, 2], in any unit, y down."""
    low, high = places.min(axis=0), places.max(axis=0)
    at = (places - low) * (_WIDTH - 2 * _BORDER) / (high - low)[0] + _BORDER
    height = round(at[:, 1].max()) + _BORDER
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for kind, parts in (("polyline", _OPEN), ("polygon", _CLOSED)):
        for first, last in parts:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at[first : last + 1])
            lines.append(f'<{kind} points="{points}" fill="none" stroke="#9ab"/>')
    for code, (x, y) in enumerate(at):
        lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="#124"/>')
        lines.append(f'<text x="{x + 4:.1f}" y="{y - 4:.1f}" fill="#b30">{code}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    image = cv2.cvtColor(cv2.imread(str(sample_photo("astronaut"))), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    (face,) = load_tracker().detect(Frame(image, 0.0, Camera.assume(width, height)))
    FILE.write_text(drawing(face.landmarks[LANDMARKS_70, :2].astype(np.float64)))
    print(FILE)


if __name__ == "__main__":
    main()
