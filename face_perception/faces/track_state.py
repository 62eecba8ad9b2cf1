"""One face that is followed, and what tells whether two tracks, or a detection, are one face.

Geometry and looks; no network runs here. When to search and whom to follow is in track.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from face_perception.faces.appearance import appearance_similarity
from face_perception.faces.detector import Detection
from face_perception.faces.eye_openness import EyeOpenness
from face_perception.faces.eye_visibility import EyeVisibility
from face_perception.faces.landmarks import (
    LEFT_INNER_CANTHUS,
    LEFT_OUTER_CANTHUS,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NOSE_TIP,
    RIGHT_INNER_CANTHUS,
    RIGHT_OUTER_CANTHUS,
)
from face_perception.faces.mesh import MARGIN, Square, bounds, square_of_landmarks
from face_perception.geometry import smoothstep
from face_perception.types import HeadPose

FloatArray = npt.NDArray[np.floating]

_SAME_PLACE, _SAME_SIZE = 0.25, 1.6  # two tracks on one face: distance in sizes, ratio of sizes
_ON_FACE = 0.2  # mean distance of eyes, nose and mouth, in sizes: a detection of a track's face
# Likeness (``looks.likeness``) above which two views may be one face, and below which they are two
# people. Between 220 pairs of people in one place (press photographs) it is at most 0.77, and above
# 0.66 in 5 %. For one face from image to image it is above 0.88 in 13 clips of 12 people who talk,
# turn and cover their face. After a third of a second it is above 0.86 in 95 % of cases, and above
# 0.84 if the light changes in strength, colour or side.
_ALIKE = 0.7
_ANOTHER = 0.8
# Mean distance, in face sizes, between a detection's eyes, nose and mouth and those of the mesh. Up
# to the first value the two agree (half of 300 close-ups lie below 0.035, 95 % below 0.055). From
# the second on, one of them has the face wrong, or there is no face.
_AGREE, _DISAGREE = 0.06, 0.2
_CONFIRM = 0.3  # weight of a new search in a track's certainty
_FAST = 0.05  # sizes a face moves from image to image
_LOOK_AHEAD = 0.2  # seconds for which a velocity is good


@dataclass(eq=False)
class Track:
    """A face that is followed, or was until ``stamp``."""

    landmarks: FloatArray
    presence: float
    stamp: float
    usual_appearance: FloatArray  # its own, over time
    certainty: float = 1.0  # of the detection, see the function ``certainty``
    id: str = ""  # given when the track first counts
    hits: int = 1
    velocity: FloatArray = field(default_factory=lambda: np.zeros(2))
    seen: FloatArray = field(init=False)  # the look in the last image
    square: Square = field(init=False)  # where to look next
    usual_size: float = field(init=False)  # a face that is being hidden shrinks
    pose: HeadPose | None = None
    eyes: EyeOpenness = field(default_factory=EyeOpenness)
    visibility: EyeVisibility = field(default_factory=EyeVisibility)

    def __post_init__(self) -> None:
        self.last_appearance = self.usual_appearance
        self.square = square_of_landmarks(self.landmarks)
        self.usual_size = self.size

    @property
    def centre(self) -> FloatArray:
        """[2], pixels."""
        return np.array([self.square.x, self.square.y])

    @property
    def size(self) -> float:
        """Longer side of the landmarks' box, pixels."""
        return self.square.side / MARGIN


def update_track(
    track: Track, landmarks: FloatArray, presence: float, appearance: FloatArray, stamp: float
) -> None:
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
    # What looks like another face, or half hidden, must not become this track's look.
    known = appearance_similarity(track.usual_appearance, appearance) > _ALIKE
    track.usual_appearance = track.usual_appearance + (0.05 if known else 0.005) * (
        appearance - track.usual_appearance
    )


def expected_square(track: Track, stamp: float) -> Square:
    """Where to look for a track: where it was, or ahead of that if it moves fast.

    A slow face is looked for where it was, as MediaPipe does, so that the landmarks are the same.
    """
    step = track.velocity * min(stamp - track.stamp, _LOOK_AHEAD)
    dx, dy = step.tolist()
    if math.hypot(dx, dy) < _FAST * track.size:
        return track.square
    return replace(track.square, x=track.square.x + dx, y=track.square.y + dy)


def same_place(a: Track, b: Track) -> bool:
    """Whether two tracks are on one face, however they hold it."""
    small, large = sorted((a.size, b.size))
    apart = math.hypot(a.square.x - b.square.x, a.square.y - b.square.y)
    return apart < _SAME_PLACE * large and large < _SAME_SIZE * small


def is_another_person(track: Track, appearance: FloatArray) -> bool:
    """Whether a look belongs to another person: it differs from the track's last and usual look."""
    return (
        appearance_similarity(track.usual_appearance, appearance) < _ANOTHER
        and appearance_similarity(track.last_appearance, appearance) < _ANOTHER
    )


def self_similarity(track: Track) -> float:
    """How far a track is on its own face; those that do not count yet are never sure."""
    return (
        appearance_similarity(track.usual_appearance, track.last_appearance) if track.id else -2.0
    )


def is_detection_of(detection: Detection, track: Track) -> bool:
    """Whether a detection's eyes, nose and mouth are those of the track."""
    size = max(track.size, float(detection.box[2:].max()))
    return _apart(detection, track.landmarks) < _ON_FACE * size


def mesh_certainty(detection: Detection, landmarks: FloatArray) -> float:
    """Certainty that the landmarks [478, 3] lie on a face, in [0, 1].

    The detector's score, lowered if its eyes, nose and mouth differ from those of the mesh: 0 for
    an upright mesh on an upside-down face. The mesh's own presence is no help: it is 1.0 on most
    false detections too.
    """
    left, top, right, bottom = bounds(landmarks)
    apart = _apart(detection, landmarks) / max(right - left, bottom - top, 1e-6)
    return detection.score * float(1 - smoothstep(apart, _AGREE, _DISAGREE))


def update_certainty(track: Track, detection: Detection) -> None:
    """Updates the certainty of a track whose face a search has found again."""
    seen = mesh_certainty(detection, track.landmarks)
    track.certainty += _CONFIRM * (seen - track.certainty)


def face_confidence(track: Track) -> float:
    """``Face.confidence``: the mesh's presence in this image, times the detection's certainty."""
    return track.presence * track.certainty


def _apart(detection: Detection, landmarks: FloatArray) -> float:
    """Mean distance, pixels, of a detection's eyes, nose and mouth from those of landmarks."""
    points = landmarks[:, :2]
    expected = np.stack(
        [
            (points[RIGHT_OUTER_CANTHUS] + points[RIGHT_INNER_CANTHUS]) / 2,
            (points[LEFT_OUTER_CANTHUS] + points[LEFT_INNER_CANTHUS]) / 2,
            points[NOSE_TIP],
            (points[MOUTH_RIGHT] + points[MOUTH_LEFT]) / 2,
        ]
    )
    return float(np.linalg.norm(detection.keypoints[:4] - expected, axis=1).mean())


def reappearance_cost(lost: Track, new: Track, crowded: bool) -> float:
    """How unlikely it is that the new track is the lost one; below 1 it is.

    Looks count less in a crowd: who comes out from behind another is half hidden at first.
    """
    size = max(lost.usual_size, new.size, 1e-6)
    there = lost.centre + lost.velocity * min(new.stamp - lost.stamp, 1.0)
    places = (lost.centre, there)
    apart = min(float(np.linalg.norm(new.centre - place)) for place in places) / size
    unlike = 1 - appearance_similarity(lost.usual_appearance, new.usual_appearance)
    change = abs(math.log(max(new.size, 1e-6) / max(lost.usual_size, 1e-6)))
    return apart / 3 + (1.2 if crowded else 3.0) * unlike + change / 3
