"""Simulates the gaze estimates of people during a calibration, with known gain and bias.

Angles are (yaw, pitch) in radians. There are no images: only the output of an estimator is
simulated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.types import FloatArray

Pair = tuple[float, float]

_FIELD = math.radians(40)  # largest angle of an outlier
_LIDS = (0.16, -0.08, 0.55)  # usual heights of the upper lid, the lower lid and the brow
_CLOSED = np.radians((0.0, -15.0))  # error of the estimate during a blink
# Movement of upper lid, lower lid and brow in a smile, eye widths.
_SMILE = np.array((-0.05, 0.08, -0.06))


@dataclass(frozen=True, slots=True)
class GazePopulation:
    """How people differ: truth = gain * estimate + bias + error, on yaw and on pitch.

    ``gain`` is the mean over people and ``gain_spread`` its standard deviation; ``bias`` is the
    standard deviation of the bias, and ``error`` that of the remaining error, which is the same in
    all images of a target; radians. ``noise`` is the standard deviation of the estimate in an
    image. ``lid`` is the movement of the upper lid, eye widths per radian of look, and
    ``lid_noise`` its standard deviation at a target.
    """

    gain: Pair = (1.0, 1.0)
    gain_spread: Pair = (0.0, 0.0)
    bias: Pair = (math.radians(3), math.radians(3))
    error: float = 0.0
    noise: float = math.radians(2)
    lid: float = 0.117  # 3.5 mm per unit of direction on 56 people (Columbia Gaze), eyes of 30 mm
    lid_noise: float = 0.01

    def draw(self, random: np.random.Generator) -> GazePerson:
        """Draws one person. Gains are at least a quarter of the mean."""
        gain = random.normal(self.gain, self.gain_spread)
        return GazePerson(
            self, np.maximum(gain, np.array(self.gain) / 4), random.normal(0, self.bias)
        )


@dataclass(frozen=True, slots=True)
class GazePerson:
    """One simulated person with ``gain`` [2] and ``bias`` [2]."""

    people: GazePopulation
    gain: FloatArray
    bias: FloatArray

    def estimates(self, random: np.random.Generator, truths: npt.ArrayLike) -> FloatArray:
        """Returns estimates [N, 2] at targets ``truths`` [N, 2], without the noise of an image."""
        looks = np.asarray(truths, np.float64).reshape(-1, 2)
        error = random.normal(0, self.people.error, looks.shape)
        return np.asarray((looks - self.bias - error) / self.gain)

    def lids(self, random: np.random.Generator, truths: npt.ArrayLike) -> FloatArray:
        """Returns heights [N, 3] of upper lid, lower lid and brow at targets ``truths`` [N, 2].

        Heights are in eye widths.
        """
        pitch = np.asarray(truths, np.float64).reshape(-1, 2)[:, 1]
        heights = np.tile(_LIDS, (len(pitch), 1))
        heights[:, 0] += self.people.lid * pitch
        heights[:, 0] += random.normal(0, self.people.lid_noise, len(pitch))
        return heights


@dataclass(frozen=True, slots=True)
class GazeSamples:
    """Images with open eyes of ``person``, who looks at targets, in order of time.

    ``estimates`` and ``truths`` [N, 2], ``targets`` [N] and ``lids`` [N, 3] (upper lid, lower lid,
    brow; eye widths).
    """

    person: GazePerson
    estimates: FloatArray
    truths: FloatArray
    targets: npt.NDArray[np.int_]
    lids: FloatArray


def gaze_samples(
    random: np.random.Generator,
    images: int = 30,
    *,
    people: GazePopulation | None = None,
    places: Sequence[Pair] = ((0.0, 0.0),),
    blinks: float = 0.1,
    missed: float = 0.0,
    outliers: float = 0.05,
    elsewhere: float = 0.0,
    apart: float = 0.0,
    spots: int = 1,
    smiles: float = 0.0,
) -> GazeSamples:
    """Simulates one of ``people``, who looks at targets at ``places``, ``images`` images at each.

    A place is (yaw, pitch). ``blinks``, ``outliers`` and ``elsewhere`` are shares of the images,
    ``missed`` the share in which a blink was missed: the estimate is then 15 degrees too low. A
    look ``elsewhere`` is at one of ``spots`` places, ``apart`` radians from the target. ``smiles``
    is the share of targets at which the person smiles.
    """
    person = (people or GazePopulation()).draw(random)
    parts = []
    for target, place in enumerate(places):
        estimates = np.repeat(person.estimates(random, [place]), images, axis=0)
        estimates += random.normal(0, person.people.noise, estimates.shape)
        lids = np.repeat(person.lids(random, [place]), images, axis=0)
        if random.random() < smiles:
            lids += _SMILE
        angles = random.uniform(0, 2 * math.pi, spots)[random.integers(0, spots, images)]
        away = random.random(images) < elsewhere
        steps = apart * np.stack([np.cos(angles), np.sin(angles)], 1) / person.gain
        estimates[away] += steps[away]
        wrong = random.random(images) < outliers
        estimates[wrong] = random.uniform(-_FIELD, _FIELD, (int(wrong.sum()), 2))
        estimates[random.random(images) < missed] += _CLOSED
        opened = random.random(images) >= blinks
        parts.append((target, estimates[opened], lids[opened]))
    return GazeSamples(
        person,
        np.concatenate([estimates for _, estimates, _ in parts]),
        np.concatenate([np.tile(places[k], (len(e), 1)) for k, e, _ in parts]),
        np.concatenate([np.full(len(e), k) for k, e, _ in parts]),
        np.concatenate([lids for _, _, lids in parts]),
    )
