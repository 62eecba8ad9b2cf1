"""GEDDnet's claims: dilation, bias between people against variance within, decomposition, and
calibration with one target, wherever it is.

Chen and Shi, ACCV 2018 and TPAMI 2022.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from face_perception.synthesis import GazeFaces, gaze_faces
from face_perception.training import geddnet_recipe as recipes
from face_perception.training.claims import Report, Row
from face_perception.training.recipe import GazeRecipe
from face_perception.types import FloatArray

RECIPE = GazeRecipe(width=0.125, epochs=12, people=40, images=30)
TEST_PEOPLE, TEST_IMAGES = 20, 40
# Where the one target of a calibration is: pitch, yaw.
TARGETS = tuple((math.radians(p), math.radians(y)) for p, y in ((0, 0), (0, -15), (0, 15), (10, 0)))

NOTE = (
    f"Gaze: GEDDnet at {RECIPE.width:g} of the published width, no VGG16, {RECIPE.people} people "
    f"of {RECIPE.images} images, {RECIPE.epochs} epochs; tested on {TEST_PEOPLE} others. Their "
    "bias is drawn with 2.5° on each axis and shows in no image: that it exceeds what a network "
    "errs otherwise is a question to the network, that it is there is not."
)


def rows(
    seeds: Sequence[int],
    report: Report,
    recipe: GazeRecipe = RECIPE,
    test: tuple[int, int] = (TEST_PEOPLE, TEST_IMAGES),
) -> list[Row]:
    """Three networks a seed, on the same images: as published, without dilation, without biases."""
    found: dict[str, list[float]] = {}
    for seed in seeds:
        for key, value in of_seed(seed, report, recipe, test).items():
            found.setdefault(key, []).append(value)
    small = "the network is narrow and sees few, drawn people"
    return [
        Row(
            "dilated convolutions err less than pooling",
            "up to −20.8 % error",
            "% less error, uncalibrated",
            tuple(found["dilated"]),
            f"{small}, whose irises are large and sharp, so that little is lost by pooling",
        ),
        Row(
            "squared bias between people exceeds variance within",
            "it does",
            "% more",
            tuple(found["between"]),
            f"{small}, so that it errs more from image to image than people differ",
        ),
        Row(
            "decomposition helps without calibration",
            "it does",
            "% less error",
            tuple(found["decomposed"]),
            "a bias that no image shows averages out over people in training",
        ),
        Row(
            "calibration with one target helps",
            "up to −35.6 % error",
            f"% less error, {recipes.CALIBRATION} images",
            tuple(found["calibrated"]),
            f"{small}; calibrating removes the bias only",
        ),
        Row(
            "the same from the worst of four targets",
            "it does not matter where the target is",
            "% less error",
            tuple(found["worst"]),
            "what the network errs there differs from what it errs elsewhere",
        ),
    ]


def of_seed(
    seed: int, report: Report, recipe: GazeRecipe, test: tuple[int, int]
) -> dict[str, float]:
    """Gains in percent of one seed's networks, data and people."""
    report(f"gaze, seed {seed}: drawing people")
    ours = gaze_faces(recipe.people, recipe.images, seed=2 * seed, workers=2)
    others = gaze_faces(*test, seed=2 * seed + 1, workers=2)
    recipe = dataclasses.replace(recipe, seed=seed)

    def estimate(what: str, chosen: GazeRecipe) -> FloatArray:
        report(f"gaze, seed {seed}: training {what}")
        network = recipes.train(ours, chosen, quiet=True)
        return recipes.predict(network, others)

    published = estimate("as published", recipe)
    pooled = estimate("with pooling", dataclasses.replace(recipe, dilated=False))
    whole = estimate("without biases", dataclasses.replace(recipe, decomposed=False))

    def error(of: FloatArray) -> float:
        return float(recipes.angles(of, others.gaze).mean())

    between, within = recipes.split_error(published, others.gaze, others.person)
    return {
        "dilated": _gain(error(pooled), error(published)),
        "between": 100 * (between / within - 1),
        "decomposed": _gain(error(whole), error(published)),
        "calibrated": _calibration_gain(published, others, None),
        "worst": min(_calibration_gain(published, others, np.array(t)) for t in TARGETS),
    }


def _gain(before: float, after: float) -> float:
    return 100 * (1 - after / before)


def _calibration_gain(estimate: FloatArray, data: GazeFaces, target: FloatArray | None) -> float:
    random = np.random.default_rng(0)
    return _gain(*recipes.calibrated(estimate, data.gaze, data.person, random, target))
