"""States how far the results of a person in a clip can be trusted, in numbers and in words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from face_perception.results.clip import Clip, Sample

# Limits of the warnings. docs/trust.md has the figures for turned heads and small faces.
_FEW_VALID = 0.7  # share of the time with a valid gaze
_MANY_GUESSES = 0.2  # share of the time with a target from the head pose
_TURNED = math.radians(30)  # yaw or pitch of the head, from which gaze is less exact
_MANY_TURNED = 0.2
_SMALL_FACE = 80  # pixels
_LOW_RATE = 15.0  # Hz; a blink of 0.1 s lasts 1.5 frames then
_SHORT = 10.0  # seconds


@dataclass(frozen=True)
class Quality:
    """How far the results of a person can be trusted. Shares are of time, 0 to 1.

    - ``gaze_valid``, ``head_pose``, ``eyes_unknown``, ``calibrated``: shares of the time with a
      valid gaze, with a target from the head pose only, with eyes that are not visible, and with a
      gaze that the person's calibration has corrected.
    - ``neutral``: neutral face that most frames used (``none``, ``population``, ``learned``,
      ``set``; empty: none).
    - ``head_yaw``, ``head_pitch``: 5th and 95th percentile, radians. ``turned``: share of the time
      with the head turned by more than 30 degrees.
    - ``face_width``: median, pixels. ``distance``: median, metres. ``confidence``: mean of the
      confidence of the face. ``rate``: frames per second of the clip.
    - ``warnings``: sentences.
    """

    gaze_valid: float
    head_pose: float
    eyes_unknown: float
    calibrated: float
    camera_assumed: bool
    neutral: str
    head_yaw: tuple[float, float]
    head_pitch: tuple[float, float]
    turned: float
    face_width: float
    distance: float
    confidence: float
    rate: float
    warnings: tuple[str, ...]


def assess(clip: Clip, samples: Sequence[Sample]) -> Quality:
    """Returns how far the results of the person with these samples can be trusted."""
    gaze_valid = _share(samples, lambda s: s.gaze_valid)
    head_pose = _share(samples, lambda s: s.attention_source == "head_pose")
    calibrated = _share(samples, lambda s: s.calibrated)
    turned = _share(samples, lambda s: max(abs(s.head_yaw), abs(s.head_pitch)) > _TURNED)
    face_width = _median(s.face_width for s in samples)
    rate = 1 / clip.interval if clip.interval else math.nan
    neutrals = [sample.neutral for sample in samples]
    neutral = max(sorted(set(neutrals)), key=neutrals.count)
    seconds = sum(sample.seconds for sample in samples)

    def warnings() -> Iterable[str]:
        if calibrated == 0:
            yield (
                "The gaze is not calibrated for this person: directions have a bias of several "
                "degrees."
            )
        elif calibrated < 1:
            yield f"The gaze is calibrated for only {calibrated:.0%} of the time."
        if clip.camera_assumed:
            yield "The camera is not calibrated: distances are guesses."
        if any(after < before for before, after in itertools.pairwise(clip.starts)):
            yield (
                "The stamps of the clip go back: a clock was set back. Events around that time may "
                "be wrong."
            )
        if gaze_valid < _FEW_VALID:
            yield f"The gaze is valid for only {gaze_valid:.0%} of the time."
        if head_pose > _MANY_GUESSES:
            yield (
                f"For {head_pose:.0%} of the time the eyes cannot be used: that time has no looks."
            )
        if turned > _MANY_TURNED:
            yield (
                f"The head is turned by more than 30 degrees for {turned:.0%} of the time: gaze "
                "and action units are less exact there."
            )
        if face_width < _SMALL_FACE:
            yield f"The face is small ({face_width:.0f} pixels): gaze and action units are noisy."
        if neutral == "population":
            yield (
                "Action units are relative to the mean of many people, not to this person's "
                "neutral face."
            )
        if rate < _LOW_RATE:
            yield f"At {rate:.0f} frames per second blinks are missed."
        if seconds < _SHORT:
            yield f"The person is seen for {seconds:.1f} s only: rates and shares say little."

    return Quality(
        gaze_valid=gaze_valid,
        head_pose=head_pose,
        eyes_unknown=_share(samples, lambda s: s.eyes == "unknown"),
        calibrated=calibrated,
        camera_assumed=clip.camera_assumed,
        neutral=neutral,
        head_yaw=_range(s.head_yaw for s in samples),
        head_pitch=_range(s.head_pitch for s in samples),
        turned=turned,
        face_width=face_width,
        distance=_median(s.distance for s in samples),
        confidence=float(np.mean([sample.confidence for sample in samples])),
        rate=rate,
        warnings=tuple(warnings()),
    )


def _share(samples: Sequence[Sample], wanted: Callable[[Sample], bool]) -> float:
    """Returns a share of time; of a picture, which lasts no time, the share of samples."""
    lengths = np.array([sample.seconds for sample in samples])
    weights = lengths if lengths.sum() > 0 else np.ones_like(lengths)
    return float(np.average([wanted(sample) for sample in samples], weights=weights))


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _median(values: Iterable[float]) -> float:
    known = _known(values)
    return float(np.median(known)) if known else math.nan


def _range(values: Iterable[float]) -> tuple[float, float]:
    known = _known(values)
    if not known:
        return math.nan, math.nan
    low, high = np.percentile(known, (5, 95))
    return float(low), float(high)
