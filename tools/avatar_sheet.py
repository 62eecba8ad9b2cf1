#!/usr/bin/env python3
"""Draws a sheet of the talking face: 24 states of five pictures.

    python3 tools/avatar_sheet.py [-o docs/avatar_sheet.jpg] [--side 512] [--blind SEED]

With ``--blind``, the seven expressions of each picture come in a random order and without names;
the order is written to a text file next to the sheet, to be looked up after naming them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from face_perception.avatar import (
    FaceState,
    FaceStyle,
    IdleMotionAnimator,
    PortraitRenderer,
    load_portrait,
    synthetic_face,
)
from face_perception.speech import REST, MouthShape
from face_perception.types import EXPRESSIONS, Image

_EASED = 5.0  # seconds after which an expression is shown in full
_COLUMNS, _CELL = 12, (104, 112)  # columns of the sheet; width and height of a face, pixels
_DARK = FaceStyle(
    skin=(0.50, 0.42, 0.38), lip=(0.80, 0.60, 0.65), hair=(0.35, 0.35, 0.40),
    iris=(0.60, 0.40, 0.25), fringe=False, long=False, brow=1.4,
)  # fmt: skip
_BEARD = FaceStyle(
    skin=(0.93, 0.88, 0.82), hair=(0.45, 0.42, 0.45), iris=(0.8, 0.5, 0.3), fringe=False,
    long=False, brow=1.6, beard=0.6,
)  # fmt: skip

SPOKEN = {
    "a": MouthShape(jaw=0.75),
    "wide open": MouthShape(jaw=1.0),
    "e": MouthShape(jaw=0.4, wide=0.5),
    "i": MouthShape(jaw=0.18, wide=0.75),
    "o": MouthShape(jaw=0.38, round=0.7),
    "u": MouthShape(jaw=0.18, round=0.95),
    "m": MouthShape(jaw=0.04, press=1.0),
    "f": MouthShape(jaw=0.1, tuck=0.9),
    "s": MouthShape(jaw=0.08, wide=0.25, teeth=0.7),
}
OTHERS = {
    "blink 1/4": FaceState(blink=0.25),
    "blink 1/2": FaceState(blink=0.5),
    "blink 3/4": FaceState(blink=0.75),
    "blink": FaceState(blink=1.0),
    "look right": FaceState(gaze_yaw=0.3, head_yaw=0.1),
    "look down": FaceState(gaze_pitch=-0.3),
}


def expression(name: str, mouth: MouthShape = REST) -> FaceState:
    """Returns the state of a face that shows an expression, in silence unless ``mouth`` speaks."""
    animator = IdleMotionAnimator(0, prosody=False)
    animator.set_expression([float(other == name) for other in EXPRESSIONS])
    state = FaceState()
    for k in range(round(_EASED * 30)):
        state = animator.state_at(k / 30, mouth, mouth != REST)
        if k / 30 > _EASED - 1 and state.blink == 0:  # between two blinks
            break
    return state


def all_states() -> dict[str, FaceState]:
    """Returns the 24 states of the sheet by name."""
    found = {name: expression(name) for name in EXPRESSIONS}
    found |= {name: FaceState(mouth) for name, mouth in SPOKEN.items()}
    found |= OTHERS
    found["happy a"] = expression("happy", SPOKEN["a"])
    found["sad a"] = expression("sad", SPOKEN["a"])
    return found


def cell(portrait: PortraitRenderer, state: FaceState, name: str) -> Image:
    """Returns the face of one state with its name."""
    points = portrait.anatomy.points
    low, high = points.min(0), points.max(0)
    x, y = (low + high) / 2
    tall = 1.22 * float(high[1] - low[1])
    wide = tall * _CELL[0] / _CELL[1]
    to_cell = np.array([[wide / _CELL[0], 0, x - wide / 2], [0, tall / _CELL[1], y - 0.54 * tall]])
    frame = cv2.GaussianBlur(portrait.render(state), (0, 0), max(0.4 * wide / _CELL[0], 0.3))
    drawn = cv2.warpAffine(frame, to_cell, _CELL, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    cv2.putText(
        drawn, name, (3, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (255, 255, 90), 1, cv2.LINE_AA
    )
    return np.asarray(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/avatar_sheet.jpg"))
    parser.add_argument("--side", type=int, default=512, help="side of the frames, pixels")
    parser.add_argument("--blind", type=int, metavar="SEED", help="only expressions, not named")
    options = parser.parse_args()
    size = (options.side, options.side)
    portraits = [load_portrait(name, size=size) for name in ("", "astronaut", "grace_hopper")]
    portraits += [PortraitRenderer(synthetic_face(style), size=size) for style in (_DARK, _BEARD)]
    rows, truth = [], []
    random = np.random.default_rng(options.blind)
    for portrait in portraits:
        states = all_states()
        if options.blind is not None:
            order = [str(name) for name in random.permutation(EXPRESSIONS)]
            truth.append(" ".join(order))
            rows.append(np.hstack([cell(portrait, states[name], "") for name in order]))
            continue
        cells = [cell(portrait, state, name) for name, state in states.items()]
        rows += [np.hstack(cells[i : i + _COLUMNS]) for i in range(0, len(cells), _COLUMNS)]
    sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(options.output), sheet, [cv2.IMWRITE_JPEG_QUALITY, 76])
    if truth:
        options.output.with_suffix(".txt").write_text("\n".join(truth) + "\n")


if __name__ == "__main__":
    main()
