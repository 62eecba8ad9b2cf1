"""Defines the deformations of a face: how its landmarks move for a jaw drop, a smile and so on.

Displacements are those at weight 1, in centimetres in the face frame (see anatomy.py): x to the
image's right, y down. Weight 1 is as much as in lively speech, not the most that a face can do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from face_perception import faces
from face_perception.avatar.interfaces import FaceState
from face_perception.avatar.portrait.anatomy import LIP_ROWS, Anatomy
from face_perception.geometry import smoothstep

FloatArray = npt.NDArray[np.floating]

JAW_DROP = 2.0  # how far the lower incisors go down at ``jaw`` 1, cm

SHAPES = (
    "close", "jaw", "jaw_lip", "wide", "round", "press", "teeth", "tuck", "smile", "frown",
    "inner_up", "outer_up", "brow_down", "yaw", "pitch", "roll", "knit", "cheek", "nose", "unsmile",
)  # fmt: skip
HEAD = tuple(SHAPES.index(name) for name in ("yaw", "pitch", "roll"))

# Largest turns of the head, radians, at which a warped flat picture still looks right.
MAX_YAW, MAX_PITCH, MAX_ROLL = 0.16, 0.12, 0.06

# Corners of the mouth of a neutral face: at most so far above the middle of the line between the
# lips, and so far from the middle of the mouth. Seen on the pictures of the package.
_NEUTRAL_UP_CM, _NEUTRAL_HALF_CM = 0.10, 2.55
_LARGEST_UP_CM = 0.6

_NECK_CM = 6.0  # from the mouth down to the point about which the head rolls


def shape_weights(state: FaceState) -> FloatArray:
    """Returns the weight of each of ``SHAPES`` for a state: [20]. Limits values out of range."""
    mouth = state.mouth
    values = np.clip(np.nan_to_num(mouth.values()), 0, 1)
    jaw, wide, rounded, press, teeth, tuck = (float(v) for v in values)
    smile = _limit(state.smile, 1)
    inner, outer = _limit(state.inner_brow, 1), _limit(state.outer_brow, 1)
    open_ = 1 - press
    knit, cheek, nose, stretch, tighten = (
        max(_limit(value, 1), 0.0)
        for value in (state.brow_knit, state.cheeks, state.nose, state.stretch, state.tighten)
    )
    # Lips that are pushed forward cannot be spread at the same time.
    # A smile of the picture itself gives way to what contradicts it.
    unsmile = 1.5 * max(-smile, 0.0) + 0.8 * nose + tighten + 0.6 * stretch + 1.2 * rounded
    smile *= 1 - 0.5 * rounded * (smile > 0)
    wide = min(1.0, wide + stretch) * (1 - 0.7 * rounded)
    table: Mapping[str, float] = {
        "close": 1.0,
        "jaw": jaw,
        "jaw_lip": -jaw * press,
        "wide": wide,
        "round": rounded * (1 - 0.7 * press),
        "press": max(press, tighten),
        "teeth": teeth * open_,
        "tuck": tuck * open_ * (1 - 0.5 * jaw),
        "smile": max(smile, 0.0),
        "frown": max(-smile, 0.0),
        "inner_up": max(inner, 0.0),
        "outer_up": max(outer, 0.0),
        "brow_down": max(-inner, -0.5 * outer, 0.0),
        "yaw": _limit(state.head_yaw, MAX_YAW),
        "pitch": _limit(state.head_pitch, MAX_PITCH),
        "roll": _limit(state.head_roll, MAX_ROLL),
        "knit": knit,
        "cheek": cheek,
        "nose": nose,
        "unsmile": min(1.0, unsmile),
    }
    return np.array([table[name] for name in SHAPES])


def own_smile(face: Anatomy) -> tuple[float, float]:
    """Returns how far the picture itself smiles: corners of the mouth up and outwards, cm.

    Of a neutral face, both are 0.
    """
    middle = face.local((face.upper_edge + face.lower_edge) / 2)
    third = len(middle) // 3
    up = float(np.median(middle[third:-third, 1]) - middle[[0, -1], 1].mean()) - _NEUTRAL_UP_CM
    up = min(max(up, 0.0), _LARGEST_UP_CM)
    return up, min(max(face.half_mouth - _NEUTRAL_HALF_CM, 0.0), up)


def displacements(face: Anatomy) -> FloatArray:
    """Returns the displacements of the landmarks for each of ``SHAPES`` at weight 1.

    [20, 468, 2], cm in the face frame. They are zero for the turns of the head, which
    ``head_turns`` gives.
    """
    out = np.zeros((len(SHAPES), 468, 2))
    by_name = dict(zip(SHAPES, out, strict=True))
    _skin(face, by_name)
    _lips(face, by_name)
    _brows(face, by_name)
    return out


def _limit(value: float, most: float) -> float:
    return max(-most, min(most, float(value))) if math.isfinite(value) else 0.0


def _skin(face: Anatomy, by_name: Mapping[str, FloatArray]) -> None:
    """Moves the skin around the lips: cheeks, chin and jaw line."""
    u, v = face.local(face.points).T
    half = face.half_mouth
    jaw = np.exp(-((u / 4.4) ** 2)) * smoothstep(v, -0.8, 1.6)
    by_name["jaw"][:, 1] = (
        1.08 * JAW_DROP * jaw
    )  # the jaw turns about the ear, so the chin moves more
    by_name["jaw"][:, 0] = -0.05 * u * jaw
    # The skin next to the corners of the mouth.
    side = np.exp(-(((np.abs(u) - half) / 1.4) ** 2) - (v / 1.6) ** 2) * np.sign(u)
    by_name["wide"][:, 0] = 0.30 * side
    by_name["round"][:, 0] = -0.42 * side
    cheek = np.exp(-(((np.abs(u) - half - 0.7) / 1.5) ** 2) - ((v + 1.3) / 1.8) ** 2)
    by_name["smile"][:, 0] = 0.34 * side + 0.08 * np.sign(u) * cheek
    by_name["smile"][:, 1] = -0.36 * cheek - 0.25 * np.abs(side)
    by_name["frown"][:, 1] = 0.22 * np.abs(side)
    up, out = own_smile(face)
    by_name["unsmile"][:, 0] = -0.8 * out * side - 0.15 * up * np.sign(u) * cheek
    by_name["unsmile"][:, 1] = up * (0.75 * np.abs(side) + 0.6 * cheek)
    near = np.exp(-((u / 2.2) ** 2))
    by_name["teeth"][:, 1] = -0.12 * near * np.exp(-(((v + 1.1) / 0.8) ** 2))
    eyes = face.local(face.points[[faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS]])
    below = float(eyes[:, 1].mean())
    raised = np.exp(-(((np.abs(u) - 3.4) / 1.7) ** 2) - ((v - below - 2.2) / 1.1) ** 2)
    by_name["cheek"][:, 1] = -0.55 * raised
    by_name["cheek"][:, 0] = 0.10 * np.sign(u) * raised
    tip = float(face.local(face.points[faces.NOSE_TIP][None])[0, 1])
    wings = np.exp(-(((np.abs(u) - 1.1) / 0.9) ** 2) - ((v - tip - 0.3) / 1.2) ** 2)
    # The upper lip moves with the nose, but its lower edge does not.
    lip = np.exp(-((u / 1.8) ** 2) - ((v + 1.3) / 0.6) ** 2)
    by_name["nose"][:, 1] = -0.42 * wings - 0.18 * lip
    by_name["nose"][:, 0] = 0.10 * np.sign(u) * wings
    chin = near * np.exp(-(((v - 2.2) / 1.2) ** 2))
    by_name["press"][:, 1] = -0.10 * chin
    by_name["tuck"][:, 1] = -0.12 * chin
    by_name["frown"][:, 1] -= 0.14 * chin


def _lips(face: Anatomy, by_name: Mapping[str, FloatArray]) -> None:
    half = face.half_mouth
    narrow = 0.34 * min(half, 2.5)
    middle = (face.upper_edge + face.lower_edge) / 2
    for sign, rows in zip((-1.0, 1.0), LIP_ROWS, strict=True):  # -1: the upper lip
        upper = sign < 0
        edge = face.upper_edge if upper else face.lower_edge
        # Row by row: the corners belong to both lips and must get the same values twice.
        for i, row in enumerate(rows):
            inner = i / (len(rows) - 1)  # 0 at the skin, 1 at the opening
            u, _ = face.local(face.points[row]).T
            t = np.clip(np.abs(u) / half, 0, 1)
            bow = 1 - t * t
            arch = bow**0.7
            places = np.linspace(0, len(edge) - 1, len(row)).astype(int)
            # From the edge of the lip in the picture to the line where the lips meet.
            closing = face.local(middle[places]) - face.local(edge[places])
            by_name["close"][row] = closing * (0.75 + 0.25 * inner)
            if face.parted:
                # An open mouth in a picture is mostly a laugh, which closing the lips reduces.
                by_name["close"][row] += np.stack([-0.10 * u / half, 0.14 * t * t], 1)
            jaw = by_name["jaw"]
            jaw[row, 0] = -0.13 * u * t
            lift = by_name["jaw_lip"]
            if upper:
                jaw[row, 1] = 0.30 * JAW_DROP * t**3 - 0.04 * bow
            else:
                jaw[row, 1] = JAW_DROP * (0.30 * t**3 + arch * (1.0 - 0.30 * t**3))
                lift[row, 1] = JAW_DROP * arch * (1.0 - 0.30 * t**3)
            by_name["wide"][row, 0] = 0.42 * u / half
            by_name["wide"][row, 1] = -0.05 * sign * (1 - inner) * bow
            by_name["round"][row, 0] = -narrow * u / half
            by_name["round"][row, 1] = sign * bow * (0.22 if not upper else 0.16) - 0.02 * inner
            by_name["press"][row, 1] = -0.13 * sign * (1 - inner) * bow
            by_name["teeth"][row, 1] = (
                sign
                * (1 - 0.75 * t * t)
                * (0.26 if upper else 0.30)
                * (0.7 + 0.3 * inner)
                * bow**0.3
            )
            if upper:
                by_name["tuck"][row, 1] = -0.17 * bow
            else:
                by_name["tuck"][row, 1] = -0.22 * (1 - inner) * bow
            by_name["smile"][row, 0] = 0.46 * u / half
            by_name["smile"][row, 1] = -0.52 * t * t - 0.04 * bow
            by_name["frown"][row, 0] = 0.05 * u / half
            by_name["frown"][row, 1] = 0.44 * t * t - 0.10 * bow
            up, out = own_smile(face)
            by_name["unsmile"][row, 0] = -out * u / half
            by_name["unsmile"][row, 1] = up * (t * t - 0.15 * bow)


def _brows(face: Anatomy, by_name: Mapping[str, FloatArray]) -> None:
    u, v = face.local(face.points).T
    for upper, lower, lid in (
        (faces.RIGHT_BROW_UPPER, faces.RIGHT_BROW_LOWER, faces.RIGHT_EYE_UPPER),
        (faces.LEFT_BROW_UPPER, faces.LEFT_BROW_LOWER, faces.LEFT_EYE_UPPER),
    ):
        brow = face.local((face.points[upper] + face.points[lower]) / 2)
        inner, outer = brow[-1], brow[0]
        side = math.copysign(1.0, float(outer[0]))
        along = np.clip((u - inner[0]) / (outer[0] - inner[0]), -0.6, 1.3)
        at = inner[1] + along * (outer[1] - inner[1])
        # The forehead above moves with the brow; the eyelid below stays.
        lid_v = float(face.local(face.points[lid])[2:7, 1].mean()) - 0.1
        room = max(lid_v - float(brow[:, 1].mean()), 0.3)
        above = np.exp(-(((v - at) / 1.9) ** 2))
        below = 1 - smoothstep((v - at) / room, 0.0, 1.0)
        high = np.where(v < at, above, below)
        down = min(0.40, 0.42 * room)
        own = smoothstep(side * u, -0.5, 0.9)
        near = own * high * np.exp(-((np.clip(along - 1, 0, None) / 0.5) ** 2))
        by_name["inner_up"][:, 1] -= 0.58 * near * smoothstep(1 - along, 0.05, 0.95)
        by_name["outer_up"][:, 1] -= 0.50 * near * smoothstep(along, 0.0, 0.75)
        by_name["brow_down"][:, 1] += down * near * (0.35 + 0.65 * smoothstep(1 - along, 0.1, 0.9))
        by_name["brow_down"][:, 0] -= 0.20 * side * near * smoothstep(1 - along, 0.1, 0.9)
        by_name["knit"][:, 0] -= 0.30 * side * near * smoothstep(1 - along, 0.0, 0.9)


def head_turns(local: FloatArray) -> FloatArray:
    """Returns how points [..., 2] of the face frame move per radian of yaw, pitch and roll.

    The result is [3, ..., 2] in cm, to first order. The head is modelled as a smooth bulge: with
    the depth of the mesh itself, the picture would tear at the rim of the mesh, between cheek and
    hair.
    """
    u, v = local[..., 0], local[..., 1]
    depth = 1.8 + 6.0 * np.exp(-((u / 5.4) ** 2) - ((v + 3.0) / 7.5) ** 2)
    depth = depth + 1.8 * np.exp(-((u / 1.3) ** 2) - ((v + 3.2) / 2.0) ** 2)
    none = np.zeros_like(depth)
    return np.stack(
        [
            np.stack([depth, none], -1),
            np.stack([none, -depth], -1),
            np.stack([-(v - _NECK_CM), u], -1),
        ]
    )
