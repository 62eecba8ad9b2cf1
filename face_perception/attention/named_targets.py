"""Named targets: places and things that people may look at, besides the robot and other faces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from face_perception.errors import InputError, one_line, shortened
from face_perception.types import FloatArray

MAX_TARGETS = 64
ROBOT_NAME, NONE_NAME = "robot", "none"  # names that mean something else than a named target
_LONGEST_NAME = 64
_FORMAT = "NAME=X,Y,Z,RADIUS in metres, with @FRAME after it for another frame than the image's"


class Sphere(NamedTuple):
    """A target as it is looked at: its centre [3] and its radius, metres, in the optical frame."""

    centre: FloatArray
    radius: float


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """A place or thing with a name.

    ``point`` is its centre and ``radius`` its size, metres. ``frame`` is the frame of the point;
    empty: the frame of the image.

    Raises InputError if the name or a number is not allowed.
    """

    name: str
    point: tuple[float, float, float]
    radius: float
    frame: str = ""

    def __post_init__(self) -> None:
        name = self.name
        if (
            not name
            or len(name) > _LONGEST_NAME
            or not name.isprintable()
            or set(name) & set(";=@")
        ):
            raise InputError(
                f"the name {shortened(name)} of a target must be 1 to {_LONGEST_NAME} printable "
                "characters without ; = and @"
            )
        if name in (ROBOT_NAME, NONE_NAME):
            raise InputError(f"a target cannot be called {name}: give it another name")
        if not all(map(math.isfinite, self.point)):
            raise InputError(f"target {name}: its point {self.point} is not finite")
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise InputError(f"target {name}: its radius must be above 0 m, not {self.radius}")

    def placed(self, centre: FloatArray) -> Sphere:
        """Returns the target with its centre [3] in the optical frame."""
        return Sphere(centre, self.radius)


def check_targets(targets: Iterable[NamedTarget]) -> tuple[NamedTarget, ...]:
    """Returns ``targets``. Raises InputError if two have one name, or if there are too many."""
    found: dict[str, NamedTarget] = {}
    for target in targets:
        if target.name in found:
            raise InputError(f"two targets are called {target.name}: give each its own name")
        found[target.name] = target
    if len(found) > MAX_TARGETS:
        raise InputError(f"there are {len(found)} targets: at most {MAX_TARGETS} are allowed")
    return tuple(found.values())


def parse_targets(text: str) -> tuple[NamedTarget, ...]:
    """Reads targets from one line of text, separated by semicolons.

    Each is ``NAME=X,Y,Z,RADIUS`` in metres. ``@FRAME`` after it names the frame of the point; else
    the point is in the frame of the image. Raises InputError if the text cannot be read.

    >>> door, cup = parse_targets("door=1.5,0,3,0.5; cup=0,0,0.05,0.06@tray_link")
    >>> door.name, door.point, door.frame
    ('door', (1.5, 0.0, 3.0), '')
    >>> cup.radius, cup.frame
    (0.06, 'tray_link')
    """
    return check_targets(_parse(part.strip()) for part in text.split(";") if part.strip())


def _parse(text: str) -> NamedTarget:
    name, equals, rest = text.partition("=")
    numbers, at, frame = rest.partition("@")
    try:
        x, y, z, radius = map(float, numbers.split(","))
    except ValueError:
        raise InputError(
            f"targets: {one_line(text, 80)!r} is not a target: write {_FORMAT}"
        ) from None
    if not equals or (at and not frame.strip()):
        raise InputError(f"targets: {one_line(text, 80)!r} is not a target: write {_FORMAT}")
    return NamedTarget(name.strip(), (x, y, z), radius, frame.strip())


def merged_targets(
    fixed: Iterable[NamedTarget], changing: Iterable[NamedTarget]
) -> tuple[NamedTarget, ...]:
    """Returns both lists; of two targets with one name, the one in ``changing`` is used.

    Each list may have ``MAX_TARGETS``, so that one of them never makes the other one too long.
    """
    return tuple({target.name: target for target in (*fixed, *changing)}.values())


def spheres_in_image_frame(targets: Iterable[NamedTarget]) -> Mapping[str, Sphere]:
    """Returns targets without a frame as spheres by name.

    Raises InputError if a target has a frame, because only a node can transform it.
    """
    found = {}
    for target in targets:
        if target.frame:
            raise InputError(
                f"target {target.name} is in the frame {target.frame}: without ROS give its point "
                "in the camera's optical frame"
            )
        found[target.name] = target.placed(np.array(target.point, np.float64))
    return found
