"""What one picture of a person shows: pose, gaze, expression, camera and light; drawn at random.

Frames. The head's frame is the mesh's: x to the person's left, y up, z out of the face, metres from
the midpoint of the eyes. The world's frame has the camera at its origin: x to the right of the
picture, y up, z towards the camera's back, so a person stands at negative z. The truth is in the
package's optical frame: x to the right, y down, z forward. Yaw is positive to the right of the
picture and pitch is positive up.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from face_perception.learning.synthesis.rendered.accessories import Worn, draw_worn
from face_perception.learning.synthesis.rendered.expression import (
    Expression,
    both,
    draw_expression,
    draw_units,
)
from face_perception.learning.synthesis.rendered.person import Person
from face_perception.learning.synthesis.rendered.sensor import Sensor, draw_sensor
from face_perception.learning.synthesis.rendered.surroundings import KINDS

Array = npt.NDArray[np.float64]

FACE_WIDTH = 0.145  # metres, of an adult

# How far the eyes turn in the head, radians: to both sides, down and up.
_EYE_YAW, _EYE_DOWN, _EYE_UP = np.radians([33.0, 27.0, 22.0])


@dataclass(frozen=True, slots=True)
class View:
    """Angles are radians, lengths metres.

    ``position`` [3] of the midpoint of the eyes and ``target`` [3], the point that the person looks
    at, are in the world's frame. ``focal`` is pixels; the principal point is the middle of the
    picture. ``head`` is yaw, pitch and roll. ``blink`` is 0 for open eyes and 1 for closed ones.
    """

    width: int
    height: int
    focal: float
    position: tuple[float, float, float]
    head: tuple[float, float, float]
    target: tuple[float, float, float]
    expression: Expression = field(default_factory=Expression)
    blink: float = 0.0
    worn: Worn = field(default_factory=Worn)
    surroundings: str = "room"
    key_light: tuple[float, float, float] | None = None  # azimuth, elevation, strength
    infrared: bool = False
    sensor: Sensor = field(default_factory=Sensor)
    seed: int = 0


def rotation(yaw: float, pitch: float, roll: float = 0.0) -> Array:
    """Returns the rotation [3, 3], head to world, that turns (0, 0, 1) to this yaw and pitch, after
    a roll.

    A positive roll is clockwise in the picture.
    """
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def angles(direction: Array) -> tuple[float, float]:
    """Returns yaw and pitch of a direction [3] in the head's or the world's frame."""
    x, y, z = direction / np.linalg.norm(direction)
    return float(np.arctan2(x, z)), float(np.arcsin(np.clip(y, -1, 1)))


def draw_view(
    person: Person, seed: int, index: int, *, size: int = 224, worn: Worn | None = None
) -> View:
    """Draws view ``index`` of a person: a square picture of ``size`` pixels.

    What the person wears stays the same in all views, unless ``worn`` says otherwise.
    """
    random = np.random.default_rng([seed, person.seed, index, 2])
    if worn is None:
        worn = draw_worn(np.random.default_rng([seed, person.seed, 3]), person.sex, person.age)
    # Perspective matters up close: distances are drawn evenly on a logarithmic scale.
    distance = float(np.exp(random.uniform(np.log(0.35), np.log(3.5))))
    face = float(random.uniform(0.42, 0.68)) * size
    focal = face * distance / FACE_WIDTH
    spread = 0.10 * size / focal * distance
    position = (
        float(random.uniform(-spread, spread)),
        float(random.uniform(-0.5 * spread, 1.5 * spread)),
        -distance,
    )
    # The person faces the camera, more or less, from its side or below it.
    to_camera = angles(-np.array(position))
    head = (
        to_camera[0] + float(np.clip(random.normal(0, 0.30), -0.8, 0.8)),
        to_camera[1] + float(np.clip(random.normal(0, 0.16), -0.45, 0.45)),
        float(random.normal(0, 0.09)),
    )
    target = _draw_target(random, np.array(position), head)
    blink = 0.0
    chance = random.random()
    if chance < 0.06:
        blink = 1.0
    elif chance < 0.12:
        blink = float(random.uniform(0.1, 0.8))
    key = None
    if random.random() < 0.45:
        key = (float(random.normal(0, 0.9)), float(random.uniform(-0.1, 1.1)),
               float(random.uniform(0.3, 2.5)))  # fmt: skip
    return View(
        width=size,
        height=size,
        focal=focal,
        position=position,
        head=head,
        target=target,
        expression=draw_expression(random),
        blink=blink,
        worn=worn,
        surroundings=str(random.choice(KINDS, p=[0.36, 0.12, 0.08, 0.14, 0.14, 0.16])),
        key_light=key,
        infrared=bool(random.random() < 0.04),
        sensor=draw_sensor(random, face),
        seed=int(random.integers(1 << 31)),
    )


def draw_gaze_view(person: Person, seed: int, index: int, *, size: int = 200) -> View:
    """Draws view ``index`` of a person for the training of gaze networks.

    The face fills the square picture, nothing hides the eyes, they are open, and expressions are
    weak. Looks are spread evenly: up to 32 degrees to both sides of the lens, 26 down and 22 up, as
    far as eyes turn in the head.
    """
    view = draw_view(person, seed, index, size=size)
    random = np.random.default_rng([seed, person.seed, index, 4])
    view, face = _moved_to_the_middle(
        view, random, size, (0.35, 2.5), (0.66, 0.76), (0.22, 0.14, 0.09)
    )
    position = np.array(view.position)
    to_camera, turn = angles(-position), rotation(*view.head)
    point = position
    for _ in range(100):
        look = rotation(
            to_camera[0] + random.uniform(-0.56, 0.56), to_camera[1] + random.uniform(-0.45, 0.38)
        )
        far = float(np.exp(random.uniform(np.log(0.35), np.log(4))))
        point = position + look @ [0, 0, far]
        yaw, pitch = angles(turn.T @ (point - position))
        if abs(yaw) < _EYE_YAW and -_EYE_DOWN < pitch < _EYE_UP:
            break
    return replace(
        view,
        target=(float(point[0]), float(point[1]), float(point[2])),
        expression=_open_eyed(random, view.expression),
        blink=float(random.uniform(0, 0.25)) if random.random() < 0.1 else 0.0,
        sensor=draw_sensor(random, face),
    )


def draw_expression_view(person: Person, seed: int, index: int, *, size: int = 176) -> View:
    """Draws view ``index`` of a person for the training of networks for action units.

    The face is in the middle of the picture, and only clear glasses cover a part of it. Expressions
    are strong (``draw_units``).
    """
    view = draw_view(person, seed, index, size=size)
    random = np.random.default_rng([seed, person.seed, index, 5])
    view, face = _moved_to_the_middle(
        view, random, size, (0.5, 3.0), (0.50, 0.62), (0.20, 0.12, 0.07)
    )
    return replace(
        view,
        target=_draw_target(random, np.array(view.position), view.head),
        expression=draw_units(random),
        blink=float(random.uniform(0, 1)) if random.random() < 0.1 else 0.0,
        sensor=draw_sensor(random, face),
    )


def _moved_to_the_middle(
    view: View,
    random: np.random.Generator,
    size: int,
    distances: tuple[float, float],
    widths: tuple[float, float],
    turns: tuple[float, float, float],
) -> tuple[View, float]:
    """Returns a view of a face that nothing but clear glasses covers, and its width in pixels.

    ``distances`` are the least and largest distance (m), ``widths`` those of the face as a share of
    the picture of ``size`` pixels, and ``turns`` the standard deviations of yaw and pitch of the
    head to the camera, and of its roll (rad).
    """
    distance = float(np.exp(random.uniform(*np.log(distances))))
    face = float(random.uniform(*widths)) * size
    pixel = FACE_WIDTH / face  # metres at the face
    position = np.array([random.normal(0, 0.03), random.normal(0.11, 0.02), 0]) * size * pixel
    position[2] = -distance
    to_camera = angles(-position)
    head = (
        to_camera[0] + float(np.clip(random.normal(0, turns[0]), -0.6, 0.6)),
        to_camera[1] + float(np.clip(random.normal(0, turns[1]), -0.4, 0.4)),
        float(random.normal(0, turns[2])),
    )
    hidden = view.worn.glasses is not None and view.worn.glasses.transmission < 0.3
    moved = replace(
        view,
        focal=distance / pixel,
        position=(float(position[0]), float(position[1]), float(position[2])),
        head=head,
        worn=replace(view.worn, mask=None, glasses=None if hidden else view.worn.glasses),
    )
    return moved, face


def _open_eyed(random: np.random.Generator, expression: Expression) -> Expression:
    """Returns a weaker expression, with eyes as wide as those of people who look at a target.

    The lids of the mesh are a tenth closer together than those of 56 people (Columbia Gaze).
    """
    share = float(random.choice([0.0, 0.35, 0.7]))
    units = {name: share * value for name, value in expression.units.items()}
    wide = float(random.uniform(0.1, 0.6))
    for name in both("eyeWide*"):
        units[name] = max(units.get(name, 0.0), wide)
    return replace(expression, units=units)


def _draw_target(
    random: np.random.Generator, position: Array, head: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Returns a point that the eyes can look at: the lens, one near it, or anywhere before the
    person.
    """
    turn = rotation(*head)
    for _ in range(100):
        chance = random.random()
        if chance < 0.18:
            point = np.zeros(3)
        elif chance < 0.40:
            point = random.normal(0, 0.25, 3) * [1, 1, 0.3]
        else:
            yaw, pitch = random.uniform(-0.58, 0.58), random.uniform(-0.47, 0.38)
            far = float(np.exp(random.uniform(np.log(0.35), np.log(4))))
            point = position + turn @ rotation(yaw, pitch) @ [0, 0, far]
        yaw, pitch = angles(turn.T @ (point - position))
        if abs(yaw) < _EYE_YAW and -_EYE_DOWN < pitch < _EYE_UP:
            return float(point[0]), float(point[1]), float(point[2])
    ahead = position + turn @ [0, 0, 1.0]
    return float(ahead[0]), float(ahead[1]), float(ahead[2])


def simple_view(
    *,
    look_deg: tuple[float, float] = (0.0, 0.0),
    head_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    size: int = 224,
    distance: float = 0.9,
    face: float = 0.6,
) -> View:
    """Returns a plain view for tests: head in the middle of the picture, even light, a good camera.

    ``look_deg`` are yaw and pitch from the eyes to a point that is as far away as the camera;
    (0, 0) is the lens. ``face`` is the width of the face as a share of the picture.
    """
    look = rotation(*np.radians(look_deg)) @ [0, 0, distance]
    yaw, pitch, roll = (float(np.radians(angle)) for angle in head_deg)
    return View(
        width=size,
        height=size,
        focal=face * size * distance / FACE_WIDTH,
        position=(0.0, 0.0, -distance),
        head=(yaw, pitch, roll),
        target=(float(look[0]), float(look[1]), float(look[2]) - distance),
        surroundings="studio",
        key_light=(0.5, 0.6, 0.8),
        sensor=Sensor(level=0.33, defocus=0.35, electrons=20000, jpeg=92),
    )
