"""The state of one tracked face, and comparisons of tracks with each other and with detections.

It compares geometry and appearance and runs no network. ``tracker`` decides when to detect and
which tracks to keep.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from face_perception.faces.detector import Detection
from face_perception.faces.eye_openness import EyeOpenness
from face_perception.faces.eye_visibility import EyeVisibility
from face_perception.faces.face_similarity import appearance_similarity
from face_perception.faces.mesh import MARGIN, Square, square_of_landmarks
from face_perception.faces.mesh_certainty import mesh_certainty, mesh_distance
from face_perception.types import HeadPose

FloatArray = npt.NDArray[np.floating]

# Two tracks are on the same face up to this distance (in face sizes) and ratio of their sizes.
_SAME_PLACE, _SAME_SIZE = 0.25, 1.6
# A detection is that of a track up to this mean distance of eyes, nose and mouth, in face sizes.
_ON_FACE = 0.2
# Appearance similarity above which two views may be the same face, and below which they are two
# people. Between 220 pairs of people in the same place (press photographs) it is at most 0.77, and
# above 0.66 for 5 % of them. From image to image of the same face it is above 0.88 in 13 clips of
# 12 people who talk, turn and cover their face. After a third of a second it is above 0.86 in 95 %
# of cases, and above 0.84 if the light changes in strength, colour or direction.
_ALIKE = 0.7
ANOTHER = 0.8
_CONFIRM = 0.3  # weight of a new detection in the certainty of a track
_FAST = 0.05  # face sizes between two images, above which the next position is extrapolated
_LOOK_AHEAD = 0.2  # seconds; longest extrapolation


@dataclass(eq=False)
class Track:
    """A face that is tracked, or that was lost after ``stamp`` (seconds)."""

    landmarks: FloatArray  # [478, 3], in the image of ``stamp``
    presence: float  # probability of a face that the mesh network returned
    stamp: float
    usual_appearance: FloatArray  # mean over time
    certainty: float = 1.0  # of the detections, see ``mesh_certainty``
    id: str = ""  # empty until the track is confirmed
    hits: int = 1  # images in which the face was seen
    velocity: FloatArray = field(default_factory=lambda: np.zeros(2))  # pixels per second
    last_appearance: FloatArray = field(init=False)
    square: Square = field(init=False)  # where to find the face in the next image
    usual_size: float = field(init=False)  # mean over time; a face that becomes hidden shrinks
    pose: HeadPose | None = None
    eyes: EyeOpenness = field(default_factory=EyeOpenness)
    visibility: EyeVisibility = field(default_factory=EyeVisibility)
    # Stamps and appearances of the last seconds, see ``CrossFades``.
    appearances: deque[tuple[float, FloatArray]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.last_appearance = self.usual_appearance
        self.square = square_of_landmarks(self.landmarks)
        self.usual_size = self.size

    @property
    def centre(self) -> FloatArray:
        """Middle of the box around the landmarks, [2] pixels."""
        return np.array([self.square.x, self.square.y])

    @property
    def size(self) -> float:
        """Longer side of the box around the landmarks, pixels."""
        return self.square.side / MARGIN


def update_track(
    track: Track, landmarks: FloatArray, presence: float, appearance: FloatArray, stamp: float
) -> None:
    """Moves a track to the image of ``stamp``, in which its face has these values."""
    before, dt = track.centre, stamp - track.stamp
    track.landmarks, track.presence, track.stamp = landmarks, presence, stamp
    track.last_appearance, track.square = appearance, square_of_landmarks(landmarks)
    track.hits += 1
    if dt > 0:
        track.velocity += 0.3 * ((track.centre - before) / dt - track.velocity)
    track.usual_size += 0.05 * (track.size - track.usual_size)
    if not track.id:
        track.usual_appearance = appearance
        return
    # Learn slowly from a face that looks different: it may be half hidden, or another person.
    known = appearance_similarity(track.usual_appearance, appearance) > _ALIKE
    track.usual_appearance = track.usual_appearance + (0.05 if known else 0.005) * (
        appearance - track.usual_appearance
    )


def expected_square(track: Track, stamp: float) -> Square:
    """Returns the square in which to find the face at ``stamp``.

    It is extrapolated for a fast face only. Otherwise it is the last position, as in MediaPipe, so
    that the landmarks equal MediaPipe's.
    """
    step = track.velocity * min(stamp - track.stamp, _LOOK_AHEAD)
    dx, dy = step.tolist()
    if math.hypot(dx, dy) < _FAST * track.size:
        return track.square
    return replace(track.square, x=track.square.x + dx, y=track.square.y + dy)


def same_place(a: Track, b: Track) -> bool:
    """Returns whether two tracks are on the same face, whatever their rotation."""
    small, large = sorted((a.size, b.size))
    apart = math.hypot(a.square.x - b.square.x, a.square.y - b.square.y)
    return apart < _SAME_PLACE * large and large < _SAME_SIZE * small


def is_another_person(track: Track, appearance: FloatArray) -> bool:
    """Returns whether ``appearance`` differs from the last and from the usual one of a track."""
    return (
        appearance_similarity(track.usual_appearance, appearance) < ANOTHER
        and appearance_similarity(track.last_appearance, appearance) < ANOTHER
    )


def self_similarity(track: Track) -> float:
    """Returns the similarity of the last and the usual appearance; -2 for an unconfirmed track."""
    return (
        appearance_similarity(track.usual_appearance, track.last_appearance) if track.id else -2.0
    )


def is_detection_of(detection: Detection, track: Track) -> bool:
    """Returns whether the eyes, nose and mouth of a detection are those of the track."""
    size = max(track.size, float(detection.box[2:].max()))
    return mesh_distance(detection, track.landmarks) < _ON_FACE * size


def update_certainty(track: Track, detection: Detection) -> None:
    """Updates the certainty of a track whose face was detected again."""
    seen = mesh_certainty(detection, track.landmarks)
    track.certainty += _CONFIRM * (seen - track.certainty)


def face_confidence(track: Track) -> float:
    """Returns ``Face.confidence``: presence in the last image times certainty."""
    return track.presence * track.certainty


def reappearance_cost(lost: Track, new: Track, crowded: bool) -> float:
    """Returns a cost for the hypothesis that ``new`` is the face of ``lost``; accept it below 1.

    The cost grows with the distance, the difference in appearance and the change of size.
    ``crowded``: another face is near, which may hide part of this one, so that the appearance
    counts less.
    """
    size = max(lost.usual_size, new.size, 1e-6)
    there = lost.centre + lost.velocity * min(new.stamp - lost.stamp, 1.0)
    places = (lost.centre, there)
    apart = min(float(np.linalg.norm(new.centre - place)) for place in places) / size
    unlike = 1 - appearance_similarity(lost.usual_appearance, new.usual_appearance)
    change = abs(math.log(max(new.size, 1e-6) / max(lost.usual_size, 1e-6)))
    return apart / 3 + (1.2 if crowded else 3.0) * unlike + change / 3
