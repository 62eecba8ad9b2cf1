"""Converts the state of a face to the numbers that move a head: blendshapes and turns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.avatar.interfaces import FaceState
from face_perception.speech import blendshapes_of
from face_perception.types import BLENDSHAPES, FloatArray

TURNS = ("gaze_yaw", "gaze_pitch", "head_yaw", "head_pitch", "head_roll")

# Turns of the eyes in the head at which the lids' blendshapes are 1, radians: to a side, up, down.
_LOOK_SIDE, _LOOK_UP, _LOOK_DOWN = 0.61, 0.28, 0.40
_MOST_TURN = 0.3  # radians, of the head
# Radians, of the eyes in the head: to a side, and up or down. Beyond, lids would hide the irises.
_MOST_EYE_TURN = (0.7, 0.45)


def face_blendshapes(state: FaceState) -> FloatArray:
    """Returns strengths [52] in [0, 1] in the order of ``types.BLENDSHAPES``, of the whole face.

    The mouth is that of ``speech.blendshapes_of``; the expression, lids and gaze are added.

    >>> strengths = face_blendshapes(FaceState(smile=1.0, blink=1.0))
    >>> smile, lid = (BLENDSHAPES.index(name) for name in ("mouthSmileLeft", "eyeBlinkLeft"))
    >>> float(strengths[smile]) > 0.8, float(strengths[lid])
    (True, 1.0)
    """
    rounded = min(max(state.mouth.round, 0.0), 1.0)
    # Lips that are pushed forward cannot be spread at the same time.
    smile = max(state.smile, 0.0) * (1 - 0.5 * rounded)
    frown = max(-state.smile, 0.0)
    inner, outer = max(state.inner_brow, 0.0), max(state.outer_brow, 0.0)
    lowered = max(-state.inner_brow, -0.5 * state.outer_brow, 0.0)
    yaw, pitch = state.gaze_yaw - state.head_yaw, state.gaze_pitch - state.head_pitch
    down, up = max(-pitch, 0.0) / _LOOK_DOWN, max(pitch, 0.0) / _LOOK_UP
    shut = min(max(state.blink, 0.0), 1.0)
    awake = 1 - shut
    both = {
        "mouthSmile": 0.9 * smile,
        "mouthFrown": frown,
        "mouthStretch": 0.9 * state.stretch * (1 - 0.7 * rounded),
        "mouthPress": 0.8 * state.tighten,
        "mouthUpperUp": 0.7 * state.nose,
        "noseSneer": state.nose,
        "cheekSquint": max(state.cheeks, 0.6 * smile),
        "browDown": max(lowered, 0.35 * state.brow_knit),
        "browOuterUp": outer,
        "eyeWide": max(state.lids, 0.0) * awake,
        "eyeSquint": max(-state.lids, 0.0) * awake,
        "eyeBlink": max(shut, 0.22 * max(-state.lids, 0.0) * awake),
        "eyeLookDown": down * awake,
        "eyeLookUp": up * awake,
    }
    strengths = {
        "browInnerUp": max(inner, 0.4 * state.brow_knit * (inner > 0)),
        "mouthShrugLower": 0.7 * frown,
        "mouthRollUpper": 0.4 * state.tighten,
        "mouthRollLower": 0.4 * state.tighten,
        # Image right is the person's left.
        "eyeLookOutLeft": max(yaw, 0.0) / _LOOK_SIDE * awake,
        "eyeLookInRight": max(yaw, 0.0) / _LOOK_SIDE * awake,
        "eyeLookInLeft": max(-yaw, 0.0) / _LOOK_SIDE * awake,
        "eyeLookOutRight": max(-yaw, 0.0) / _LOOK_SIDE * awake,
        **{f"{name}{side}": value for name, value in both.items() for side in ("Left", "Right")},
    }
    expression = np.array([strengths.get(name, 0.0) for name in BLENDSHAPES])
    strongest = np.nan_to_num(blendshapes_of(state.mouth) + expression)
    return np.asarray(np.clip(strongest, 0, 1))


def face_numbers(state: FaceState) -> npt.NDArray[np.float32]:
    """Returns the blendshapes and the ``TURNS`` in radians, [57].

    The turns of the head, and of the eyes in it, are limited.

    >>> numbers = face_numbers(FaceState(head_yaw=0.1))
    >>> len(numbers), round(float(numbers[52 + TURNS.index("head_yaw")]), 3)
    (57, 0.1)
    """
    turns = np.array([getattr(state, name) for name in TURNS], float)
    turns[~np.isfinite(turns)] = 0.0
    turns[2:] = np.clip(turns[2:], -_MOST_TURN, _MOST_TURN)
    eyes = turns[:2] - turns[2:4]
    turns[:2] = turns[2:4] + np.clip(eyes, np.negative(_MOST_EYE_TURN), _MOST_EYE_TURN)
    return np.concatenate([face_blendshapes(state), turns]).astype(np.float32)
