"""Tests GEDDnet's claims, and compares GEDDnet with the geometric estimator.

The claims are about dilation, bias between people and variance within a person, gaze decomposition,
and calibration with one target. Source: Chen and Shi, ACCV 2018 and TPAMI 2022.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch

from face_perception.faces import load_tracker
from face_perception.gaze import GeometricGaze
from face_perception.learning.claims import gaze_comparison as comparison
from face_perception.learning.claims.table import Outcome, Report, Row, interval
from face_perception.learning.geddnet import recipe as recipes
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.recipe import GazeRecipe
from face_perception.learning.machine_share import processors
from face_perception.learning.processes import finished_calls
from face_perception.learning.synthesis.gaze_crops import GazeFaces, gaze_faces
from face_perception.learning.synthesis.gaze_pictures import (
    photographs,
    synthetic_pictures,
    turned_photographs,
)
from face_perception.learning.training_loop import has_checkpoint, keep_freed_memory
from face_perception.types import FloatArray

# A smaller beta2 than usual: with a few thousand steps, averaging squared gradients over a thousand
# steps is too slow.
RECIPE = GazeRecipe(width=0.125, rate=1e-2, beta2=0.97, epochs=4, people=128, images=32)
TEST_PEOPLE, TEST_IMAGES = 40, 30
PICTURES = 2  # number of whole pictures of each test person
# Targets of calibrations: pitch, yaw, radians. Their images are not among those tested on.
TARGETS = tuple((math.radians(p), math.radians(y)) for p, y in ((0, 0), (0, -15), (0, 15), (10, 0)))

# Networks that are trained for each seed, on the same images.
PUBLISHED, POOLED, WHOLE = "as published", "with pooling", "without biases"
CALIBRATED = f"{PUBLISHED}, calibrated, mean of {len(TARGETS)} targets"
WORST = f"{PUBLISHED}, calibrated, worst of {len(TARGETS)} targets"
BETWEEN, WITHIN = "bias between people, root mean square", "standard deviation within a person"
TRUE_BIAS = "true bias between people"
VARIANTS = {
    PUBLISHED: RECIPE,
    POOLED: dataclasses.replace(RECIPE, dilated=False),
    WHOLE: dataclasses.replace(RECIPE, decomposed=False),
}

NOTE = (
    f"Gaze: GEDDnet at {RECIPE.width:g} of the published width, no VGG16, {RECIPE.people} people "
    f"of {RECIPE.images} images, {RECIPE.epochs} epochs, no dropout, "
    f"learning rate {RECIPE.rate:g} and Adam's beta2 {RECIPE.beta2:g}, chosen with the dilated "
    f"network alone, on other people (which may favour it). Tested on {TEST_PEOPLE} other people "
    f"of {TEST_IMAGES} images, and calibrated with {recipes.CALIBRATION} more images of each, in "
    "which the person looks at one target with different head poses. The biases of these people "
    "are random, with a standard deviation of 2.5° on each axis, and cannot be seen in the images: "
    "the test shows whether they exceed the other errors of a network, not that people have "
    "them."
)


@dataclasses.dataclass(frozen=True)
class SeedResult:
    """Networks and test people of one seed.

    ``estimates`` [N, 2] are those of ``others``, by variant. ``targets`` show the same people
    looking at each of TARGETS, with the estimates of the variant PUBLISHED.
    """

    seed: int
    others: GazeFaces
    estimates: dict[str, FloatArray]
    targets: list[tuple[GazeFaces, FloatArray]]
    published: GEDDnet


def rows(
    seeds: Sequence[int],
    report: Report,
    work: Path,
    recipe: GazeRecipe = RECIPE,
    test: tuple[int, int] = (TEST_PEOPLE, TEST_IMAGES),
) -> Outcome:
    """Trains and compares three networks for each seed, on the same images, on all processors."""
    trained = train_all(seeds, report, work, recipe, test)
    found = [gains(one) for one in trained]
    why = explanations(found)

    def values(key: str) -> tuple[float, ...]:
        return tuple(one[key] for one in found)

    table = [
        Row(
            "dilated convolutions err less than pooling",
            "up to −20.8 % error",
            "% less error, uncalibrated",
            values("dilated"),
            why["dilated"],
        ),
        Row(
            "people differ more than the estimates of one person scatter",
            "they do, in a network without biases of people",
            "% by which squared bias exceeds variance, without biases",
            values("between"),
            why["between"],
        ),
        Row(
            "decomposition helps without calibration",
            "it does",
            "% less error",
            values("decomposed"),
            why["decomposed"],
        ),
        Row(
            "calibration with one target helps",
            "up to −35.6 % error",
            f"% less error, {recipes.CALIBRATION} images, mean of {len(TARGETS)} targets",
            values("calibrated"),
            why["calibrated"],
        ),
        Row(
            f"calibration helps from the worst of {len(TARGETS)} targets, too",
            "it does not matter where the target is",
            "% less error",
            values("worst"),
            why["worst"],
        ),
    ]
    return Outcome(table, [errors_section(found), comparison_section(trained, recipe, report)])


def explanations(found: Sequence[dict[str, float]]) -> dict[str, str]:
    """Returns a possible reason why each claim does not hold, with the measured errors."""
    seen = {key: f"{np.mean([one[key] for one in found]):.1f}°" for key in found[0]}
    between = {what: seen[f"{BETWEEN} ({what})"] for what in (PUBLISHED, WHOLE)}
    within = {what: seen[f"{WITHIN} ({what})"] for what in (PUBLISHED, WHOLE)}
    return {
        "dilated": f"{seen[PUBLISHED]} against {seen[POOLED]}: painted irises are large and "
        "sharp, so pooling may lose little",
        "between": f"people differ by {between[WHOLE]} (true difference: {seen[TRUE_BIAS]}), the "
        f"estimates of one person scatter by {within[WHOLE]}: after a few minutes of training, the "
        "errors of a narrow network vary from image to image",
        "decomposed": f"{seen[WHOLE]} without biases, {seen[PUBLISHED]} with: the true biases "
        "have mean 0, so they average out over people without a table of biases as well",
        "calibrated": f"{seen[PUBLISHED]} before and {seen[CALIBRATED]} after: calibration "
        f"removes the bias ({between[PUBLISHED]}), not the scatter ({within[PUBLISHED]})",
        "worst": f"{seen[PUBLISHED]} before and {seen[WORST]} after: calibration applies the "
        "error of the network at one target everywhere",
    }


def train_all(
    seeds: Sequence[int], report: Report, work: Path, recipe: GazeRecipe, test: tuple[int, int]
) -> list[SeedResult]:
    """Trains all networks of all seeds; the number of processors does not change the results.

    ``work`` keeps finished epochs.
    """
    workers = processors()
    data: dict[int, tuple[GazeFaces, GazeFaces]] = {}
    targets: dict[int, list[GazeFaces]] = {}
    for seed in seeds:
        report(f"gaze, seed {seed}: painting {recipe.people + test[0]} people")
        ours = gaze_faces(recipe.people, recipe.images, seed=2 * seed, workers=workers)
        others = partial(gaze_faces, test[0], seed=2 * seed + 1, workers=workers)
        data[seed] = ours, others(test[1])
        targets[seed] = [others(recipes.CALIBRATION, target=target) for target in TARGETS]
    estimates: dict[int, dict[str, FloatArray]] = {seed: {} for seed in seeds}
    networks: dict[int, GEDDnet] = {}
    began = time.monotonic()
    jobs = [(seed, what) for seed in seeds for what in VARIANTS]
    calls = [
        (
            data[seed],
            dataclasses.replace(
                recipe,
                seed=seed,
                dilated=VARIANTS[what].dilated,
                decomposed=VARIANTS[what].decomposed,
            ),
            work / f"seed_{seed}_{what.replace(' ', '_')}",
        )
        for seed, what in jobs
    ]
    report(f"gaze: training {len(jobs)} networks")
    with closing(finished_calls(_train_one, calls, workers)) as results:
        for done, (number, (network, answers)) in enumerate(results, 1):
            seed, what = jobs[number]
            estimates[seed][what] = answers
            if what == PUBLISHED:
                networks[seed] = network
            error = math.degrees(_error(estimates[seed][what], data[seed][1]))
            report(
                f"gaze: {done} of {len(jobs)} networks after {time.monotonic() - began:.0f} s: "
                f"seed {seed}, {what}: {error:.2f} deg"
            )
    return [
        SeedResult(
            s,
            data[s][1],
            estimates[s],
            [(looks, recipes.predict(networks[s], looks)) for looks in targets[s]],
            networks[s],
        )
        for s in seeds
    ]


def _train_one(
    data: tuple[GazeFaces, GazeFaces], recipe: GazeRecipe, out: Path
) -> tuple[GEDDnet, FloatArray]:
    """Trains one network, on one thread, because more threads do not speed up small batches."""
    torch.set_num_threads(1)
    keep_freed_memory()
    ours, others = data
    network = recipes.train(ours, recipe, out=out, resume=has_checkpoint(out), quiet=True)
    return network, recipes.predict(network, others)


def gains(trained: SeedResult) -> dict[str, float]:
    """Returns the gains of one seed in percent, and the errors behind them in degrees."""
    others, estimates = trained.others, trained.estimates
    published, pooled, whole = (_error(estimates[k], others) for k in (PUBLISHED, POOLED, WHOLE))
    after = [_calibrated_error(trained, k) for k in range(len(TARGETS))]
    mean = np.tile(others.gaze.mean(0), (len(others), 1))
    split = {
        what: recipes.bias_and_variance(estimates[what], others.gaze, others.person)
        for what in (PUBLISHED, WHOLE)
    }
    return {
        "dilated": _gain(pooled, published),
        "between": 100 * (split[WHOLE][0] / split[WHOLE][1] - 1),
        "decomposed": _gain(whole, published),
        "calibrated": _gain(published, float(np.mean(after))),
        "worst": _gain(published, max(after)),
        "always the mean gaze": math.degrees(_error(mean, others)),
        PUBLISHED: math.degrees(published),
        CALIBRATED: math.degrees(float(np.mean(after))),
        WORST: math.degrees(max(after)),
        POOLED: math.degrees(pooled),
        WHOLE: math.degrees(whole),
        TRUE_BIAS: math.degrees(_true_bias(others)),
        **{f"{BETWEEN} ({k})": _degrees_of_square(split[k][0]) for k in split},
        **{f"{WITHIN} ({k})": _degrees_of_square(split[k][1]) for k in split},
    }


def _error(estimate: FloatArray, data: GazeFaces) -> float:
    return float(recipes.angular_errors(estimate, data.gaze).mean())


def _true_bias(data: GazeFaces) -> float:
    kappa = np.stack([data.kappa[data.person == p][0] for p in np.unique(data.person)])
    return math.sqrt(float((kappa**2).sum(1).mean()))


def _gain(before: float, after: float) -> float:
    return 100 * (1 - after / before)


def _degrees_of_square(square: float) -> float:
    return math.degrees(math.sqrt(max(square, 0)))


def _calibrated_error(trained: SeedResult, target: int) -> float:
    """Returns the mean error, radians, after calibration with the mean offset at one of TARGETS."""
    looks, answers = trained.targets[target]
    offset = looks.gaze - answers
    bias = np.stack([offset[looks.person == p].mean(0) for p in np.unique(looks.person)])
    return _error(trained.estimates[PUBLISHED] + bias[trained.others.person], trained.others)


def errors_section(found: Sequence[dict[str, float]]) -> str:
    """Returns a table of the errors from which the percentages are computed."""
    lines = [
        "## Gaze error in degrees",
        "",
        "| people not trained on | degrees |",
        "|---|---|",
    ]
    for key in list(found[0])[5:]:
        lines.append(f"| {key} | {_interval([one[key] for one in found])} |")
    return "\n".join(lines) + "\n"


def comparison_section(trained: Sequence[SeedResult], recipe: GazeRecipe, report: Report) -> str:
    """Returns a table of errors in degrees, of GEDDnet and of the geometric estimator."""
    tracker = load_tracker()
    looking = list(photographs())
    turned = list(turned_photographs(tracker))
    stills = {
        LOOKING: (looking, comparison.detect_faces(looking, tracker)),
        TURNED: (turned, comparison.detect_faces(turned, tracker)),
    }
    table: dict[str, dict[str, list[float]]] = {}
    geometric = GeometricGaze()

    def add(row: str, **values: float) -> None:
        for column, value in values.items():
            table.setdefault(row, {}).setdefault(column, []).append(value)

    for one in trained:
        report(f"gaze, seed {one.seed}: comparing with the geometric estimator")
        network = comparison.estimator_of(one.published, recipe, one.others)
        mean = np.tile(one.others.gaze.mean(0), (len(one.others), 1))
        add(CROPS, mean=math.degrees(_error(mean, one.others)))
        add(CROPS, network=math.degrees(_error(one.estimates[PUBLISHED], one.others)))
        people = len(np.unique(one.others.person))
        drawn = list(synthetic_pictures(people, PICTURES, seed=2 * one.seed + 1))
        for row, (pictures, found) in {
            WHOLE_PICTURES: (drawn, comparison.detect_faces(drawn, tracker)),
            **stills,
        }.items():
            truth = np.array([f.picture.gaze for f in found]).reshape(-1, 2)
            answers = {
                "mean": np.tile(truth.mean(0), (len(truth), 1)),
                "geometric": comparison.estimate_directions(geometric, found),
                "network": comparison.estimate_directions(network, found),
            }
            add(
                row,
                found=100 * len(found) / len(pictures),
                **comparison.mean_errors(answers, truth),
            )
            if row == LOOKING:
                people_of = [f.picture.person for f in found]
                scatters = {k: comparison.scatter(answers[k], people_of) for k in answers}
                add(APART, **{**scatters, "mean": 0.0})
    lines = [
        "## GEDDnet trained on synthetic people, and the geometric estimator",
        "",
        "Error in degrees without calibration (mean over the seeds' networks, 95 % interval).",
        "In whole pictures the face has to be detected first. Only pictures with a valid gaze of",
        "both estimators count.",
        "",
        "| tested on | face found | always the mean | geometric | GEDDnet |",
        "|---|---|---|---|---|",
    ]
    for row, columns in table.items():
        cells = [_interval(columns.get(c, [])) for c in ("mean", "geometric", "network")]
        share = columns.get("found", [])
        found_cell = f"{sum(share) / len(share):.0f} %" if share else ""
        lines.append(f"| {row} | {found_cell} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *COMPARISON_NOTES, ""])


CROPS = "synthetic people never seen, GEDDnet's crops as painted"
WHOLE_PICTURES = "the same people in whole pictures"
LOOKING = "two photographs of people who look into the lens, 12 views (rotated by 20°, mirrored)"
APART = "the same: mean distance of one person's estimates from their mean"
TURNED = "the two photographs with eyes turned by the talking face, 14 directions"

COMPARISON_NOTES = (
    "The people in the photographs look into the lens: there, a constant answer is right. The",
    "movement of the talking face's irises was tuned to the geometric estimator, which favours it",
    "in the last row.",
)


def _interval(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, half = interval(values)
    return f"{mean:.2f}" + ("" if math.isnan(half) or half < 0.005 else f" ± {half:.2g}")
