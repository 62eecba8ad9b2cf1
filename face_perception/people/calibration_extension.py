"""Looks of a person at known targets, kept to extend the person's calibration later."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from face_perception.gaze import LidCue
from face_perception.people.calibration_samples import TargetMeans

MAX_KNOWN_LOOKS = 30  # for each person and estimator; the oldest are dropped


@dataclass(frozen=True, slots=True)
class KnownLook:
    """Mean gaze of one person at one target: estimated and true angles, radians.

    Angles are in the normalized camera. ``lids`` is None if the lids were not seen.
    """

    yaw: float
    pitch: float
    true_yaw: float
    true_pitch: float
    lids: LidCue | None = None


def looks_of(means: TargetMeans) -> tuple[KnownLook, ...]:
    """Returns the looks of ``means``, in their order; at most the last ``MAX_KNOWN_LOOKS``."""
    looks = [
        KnownLook(
            yaw,
            pitch,
            true_yaw,
            true_pitch,
            LidCue(*lids) if all(map(math.isfinite, lids)) else None,
        )
        for (yaw, pitch), (true_yaw, true_pitch), lids in zip(
            means.estimates.tolist(), means.truths.tolist(), means.lids.tolist(), strict=True
        )
    ]
    return tuple(looks[-MAX_KNOWN_LOOKS:])


def extended_means(earlier: Sequence[KnownLook], means: TargetMeans) -> TargetMeans:
    """Returns ``earlier`` looks followed by ``means``, whose targets count on from them."""
    if not earlier:
        return means
    lids = [look.lids or LidCue() for look in earlier]
    return TargetMeans(
        np.concatenate([np.arange(len(earlier)), len(earlier) + means.targets]),
        np.concatenate([[(look.yaw, look.pitch) for look in earlier], means.estimates]),
        np.concatenate([[(look.true_yaw, look.true_pitch) for look in earlier], means.truths]),
        np.concatenate([[(cue.upper, cue.lower, cue.brow) for cue in lids], means.lids]),
    )
