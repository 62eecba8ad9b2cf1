"""Compares gaze estimators on whole pictures, in which the face has to be detected first."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_perception.faces import FaceTracker
from face_perception.gaze import (
    GazeEstimator,
    NetworkGaze,
    estimate_gazes,
    normalized_camera_rotation,
    to_normalized_angles,
)
from face_perception.inference import ModelBuild, install_model, load
from face_perception.learning.geddnet import recipe as recipes
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.recipe import GazeRecipe
from face_perception.learning.synthesis.gaze_crops import GazeFaces
from face_perception.learning.synthesis.gaze_pictures import GazePicture
from face_perception.types import Face, FloatArray


@dataclass(frozen=True, slots=True)
class DetectedPicture:
    """A picture with the face that was detected in it."""

    picture: GazePicture
    face: Face


def detect_faces(pictures: Sequence[GazePicture], tracker: FaceTracker) -> list[DetectedPicture]:
    """Returns the pictures in which a face is found, each with its face. They show one person."""
    return [
        DetectedPicture(picture, face)
        for picture in pictures
        for face in tracker.detect(picture.frame, max_faces=1)
    ]


def estimate_directions(estimator: GazeEstimator, found: Sequence[DetectedPicture]) -> FloatArray:
    """Returns pitch and yaw [N, 2], radians, in the normalized camera of each face.

    They are NaN if the gaze is not valid. The estimator is reset before each picture.
    """
    out = np.full((len(found), 2), np.nan)
    for i, one in enumerate(found):
        estimator.reset()
        (gaze,) = estimate_gazes(estimator, one.picture.frame, [one.face])
        if gaze.valid:
            rotation = normalized_camera_rotation(one.picture.frame.camera, one.face)
            yaw, pitch = to_normalized_angles(rotation, gaze.direction)
            out[i] = pitch, yaw
    return out


def mean_errors(estimates: Mapping[str, FloatArray], truth: FloatArray) -> dict[str, float]:
    """Returns each estimator's mean error in degrees, over pictures for which all have a gaze.

    NaN if there is no such picture.
    """
    shared = np.all([np.isfinite(e).all(1) for e in estimates.values()], axis=0)
    if not shared.any():
        return dict.fromkeys(estimates, math.nan)
    return {
        name: math.degrees(float(recipes.angular_errors(estimate[shared], truth[shared]).mean()))
        for name, estimate in estimates.items()
    }


def scatter(estimate: FloatArray, person: Sequence[str]) -> float:
    """Returns the mean distance in degrees of a person's estimates from their mean.

    It measures scatter if all pictures of a person have the same true gaze.
    """
    whose = np.array(person)
    apart = []
    for name in sorted(set(person)):
        own = estimate[(whose == name) & np.isfinite(estimate).all(1)]
        if len(own):
            apart.append(recipes.angular_errors(own, np.tile(own.mean(0), (len(own), 1))))
    return math.degrees(float(np.concatenate(apart).mean())) if apart else math.nan


def estimator_of(network: GEDDnet, recipe: GazeRecipe, held_out: GazeFaces) -> NetworkGaze:
    """Returns the trained network as the gaze node runs it: exported, installed, loaded."""
    made: ModelBuild = recipes.model_build(
        "comparison", network, recipe, held_out, trained_on="synthetic people", licence="Apache-2.0"
    )
    with tempfile.TemporaryDirectory() as folder:
        return NetworkGaze(load(install_model(made, Path(folder)).path.with_suffix(".yaml")))
