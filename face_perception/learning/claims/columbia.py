"""Tests the claims of Dilated-Net and of gaze decomposition on Columbia Gaze, across people.

Source: Chen and Shi, ACCV 2018 and TPAMI 2022; the first paper measured on this set. Every person
is tested on by networks that were trained on others. Intervals are over people.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from face_perception.errors import InputError
from face_perception.files import write_atomically
from face_perception.learning.claims.columbia_bands import Bands, read_bands
from face_perception.learning.claims.edge_filters import EdgeFilters
from face_perception.learning.claims.table import (
    COLUMBIA,
    VERDICTS,
    Report,
    Row,
    claim_lines,
    machine,
    mean_with_interval,
    prepare_work,
    remove_work,
    summary,
    with_section,
)
from face_perception.learning.dilated_net import recipe as dilated_net
from face_perception.learning.dilated_net.recipe import (
    DilatedNetModule,
    DilatedNetRecipe,
    EyeSamples,
)
from face_perception.learning.geddnet import recipe as geddnet
from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.recipe import GazeRecipe, GEDDnetModule
from face_perception.learning.machine_share import processors
from face_perception.learning.processes import finished_calls
from face_perception.learning.synthesis.gaze_crops import GazeFaces
from face_perception.learning.training_loop import (
    LAST,
    fit_module,
    has_checkpoint,
    keep_freed_memory,
    network_weights,
)
from face_perception.types import FloatArray

PLAIN, POOLED, DECOMPOSED = "dilated", "with pooling", "dilated, with biases"
CONTACT, CONTACT_POOLED = "eye contact, dilated", "eye contact, with pooling"
VARIANTS = (PLAIN, POOLED, DECOMPOSED, CONTACT, CONTACT_POOLED)
# Networks that are not better than this have learned too little to test a claim: share of the error
# of always answering the mean gaze, and balanced accuracy of eye contact (chance is 0.5).
_MOST_ERROR, _LEAST_ACCURACY = 0.8, 0.6
_RATE, _BETA2 = 5e-3, 0.99  # chosen with the dilated network, on people of the first fold
# Looks elsewhere, for each training image of eye contact, which is repeated as often.
_OTHERS = 6
# Networks that one process trains one after the other: one of eye contact starts from the weights
# of one of gaze. From random weights it learned little in the same time (AUC .60 against .83).
_CHAINS = ((PLAIN, CONTACT), (POOLED, CONTACT_POOLED), (DECOMPOSED,))
_STARTS = {CONTACT: PLAIN, CONTACT_POOLED: POOLED}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is trained.

    ``folds`` is the number of groups of people; the first ``tested`` of them are each tested on by
    networks of all other groups.
    ``images`` of each person are for training on gaze. ``epochs`` are those of gaze; networks of
    eye contact have ``contact_epochs``. ``hours`` is the expected CPU time in all.
    """

    folds: int
    tested: int
    images: int
    epochs: int
    contact_epochs: int
    width: float
    hours: float


SIZES = {
    "quick": Size(
        folds=2, tested=1, images=63, epochs=2, contact_epochs=2, width=0.125, hours=0.07
    ),
    "reduced": Size(
        folds=4, tested=4, images=63, epochs=3, contact_epochs=3, width=0.125, hours=0.2
    ),
    "full": Size(folds=7, tested=7, images=105, epochs=8, contact_epochs=8, width=0.125, hours=0.9),
}

# Of each variant: what is answered for each picture, [N, 2] pitch and yaw, or [N, 1] probability.
Answers = Mapping[str, FloatArray]


def write_columbia(folder: Path, out: Path, name: str, report: Report, work: Path) -> str:
    """Trains and measures on the pictures in ``folder``; returns the section for the page ``out``.

    The section replaces an earlier one of ``out``; the rest of the page stays. ``work`` keeps
    finished networks, from which an interrupted run continues, unless the source of the package
    has changed. ``name`` is one of SIZES. Raises what ``read_bands`` raises, and InputError for an
    unknown size and for fewer people than folds.
    """
    size = SIZES.get(name)
    if size is None:
        raise InputError(f"{name} is not a size: use one of {', '.join(SIZES)}")
    prepare_work(work, report)
    work.mkdir(parents=True, exist_ok=True)
    bands = read_bands(folder, keep=work, workers=processors(), report=report)
    people = len(bands.names)
    if people < max(size.folds, 3):
        raise InputError(
            f"{folder} has {people} people: at least {max(size.folds, 3)} are needed to train on "
            "some and to test on others"
        )
    report(
        f"columbia: {len(bands.faces)} pictures of {people} people, {len(bands.targets)} targets; "
        f"about {size.hours:g} hours of one processor"
    )
    place = work / f"columbia_{bands.digest[:12]}_{_digest(size)}"
    began = time.monotonic()
    answers, seconds = _answers(bands, size, report, place)
    tested = np.isin(
        bands.faces.person, np.concatenate(folds_of(people, size.folds)[: size.tested])
    )
    answers = {what: found[tested] for what, found in answers.items()}
    section = _section(_part(bands, tested), size, answers, name, people)
    minutes = (time.monotonic() - began) / 60
    section += (
        f"\n{minutes:.1f} minutes in the last start of the command, {seconds / 60:.1f} minutes of "
        f"processor time for all networks, on {machine()}.\n"
    )
    page = out.read_text(encoding="utf-8") if out.exists() else ""
    write_atomically(out, with_section(page, COLUMBIA, section).encode())
    remove_work(work, [place.name, *(file.name for file in work.glob("eyes_*.npz"))])
    return section


def _digest(size: Size) -> str:
    return "_".join(f"{value:g}" for value in dataclasses.astuple(size)[:-1])


def folds_of(people: int, folds: int) -> list[npt.NDArray[np.int64]]:
    """Returns the numbers of the people of each fold, drawn at random but always the same."""
    order = np.random.default_rng(0).permutation(people)
    return [np.sort(part) for part in np.array_split(order, folds)]


def _answers(
    bands: Bands, size: Size, report: Report, work: Path
) -> tuple[dict[str, FloatArray], float]:
    """Returns what networks of other people say about each picture, and their processor time."""
    count = len(bands.faces)
    found = {
        what: np.full((count, 1 if what in (CONTACT, CONTACT_POOLED) else 2), math.nan)
        for what in VARIANTS
    }
    spent = 0.0
    folds = folds_of(len(bands.names), size.folds)
    work.mkdir(parents=True, exist_ok=True)
    calls = [
        (bands, size, fold, folds[fold], chain, work)
        for fold in range(size.tested)
        for chain in _CHAINS
    ]
    done, count = 0, size.tested * len(VARIANTS)
    with closing(finished_calls(_chain, calls, processors())) as results:
        for number, of_chain in results:
            fold = number // len(_CHAINS)
            for what, (answers, seconds) in of_chain.items():
                found[what][np.isin(bands.faces.person, folds[fold])] = answers
                spent += seconds
                done += 1
                report(
                    f"columbia: {done} of {count} networks: fold {fold}, {what}: {seconds:.0f} s"
                )
    return found, spent


def _chain(
    bands: Bands,
    size: Size,
    fold: int,
    tested: npt.NDArray[np.int64],
    chain: Sequence[str],
    work: Path,
) -> dict[str, tuple[FloatArray, float]]:
    """Returns what ``_fold`` returns for each network of ``chain``, by its name."""
    return {what: _fold(bands, size, fold, tested, what, work) for what in chain}


def _folder(work: Path, fold: int, what: str) -> Path:
    return work / f"{fold}_{what.replace(', ', '_').replace(' ', '_')}"


def _fold(
    bands: Bands, size: Size, fold: int, tested: npt.NDArray[np.int64], what: str, work: Path
) -> tuple[FloatArray, float]:
    """Returns the answers of one network about the pictures of the people ``tested``.

    Also returns its processor time in seconds. Both are kept in ``work``.
    """
    kept = _folder(work, fold, what)
    if (kept / "answers.npz").exists():
        with np.load(kept / "answers.npz") as file:
            return file["answers"], float(file["seconds"])
    torch.set_num_threads(1)
    keep_freed_memory()
    began = time.process_time()
    held_out = np.isin(bands.faces.person, tested)
    test = _take(bands, np.flatnonzero(held_out))
    dilated = what not in (POOLED, CONTACT_POOLED)
    shared: dict[str, Any] = {
        "width": size.width,
        "rate": _RATE,
        "beta2": _BETA2,
        "seed": fold,
        "dilated": dilated,
    }
    module: GEDDnetModule
    if what in (CONTACT, CONTACT_POOLED):
        contact = DilatedNetRecipe(
            target=dilated_net.EYE_CONTACT, epochs=size.contact_epochs, **shared
        )
        samples = _take(bands, _contact_rows(bands, ~held_out, fold))
        module = DilatedNetModule(samples, contact)
        network = _fit(module, contact, kept, _folder(work, fold, _STARTS[what]))
        answers = dilated_net.contact_probability(network, test)[:, None]
    else:
        recipe = GazeRecipe(epochs=size.epochs, decomposed=what == DECOMPOSED, **shared)
        samples = _take(bands, _gaze_rows(bands, ~held_out, size.images, fold))
        module = GEDDnetModule(samples.faces, recipe, face=False)
        network = _fit(module, recipe, kept)
        answers = geddnet.predict(network, test.faces)
    seconds = time.process_time() - began
    with (kept / "answers.part").open("wb") as file:
        np.savez(file, answers=answers, seconds=seconds)
    (kept / "answers.part").rename(kept / "answers.npz")
    return answers, seconds


def _fit(
    module: GEDDnetModule, recipe: GazeRecipe, kept: Path, start: Path | None = None
) -> GEDDnet:
    """Trains on fixed filters in place of the trunk; returns the network, in inference mode.

    Starts from all layers but the last of the run in ``start``, if given.
    """
    network = module.network
    network.add_module("trunk", EdgeFilters(network.eye.conv2_3.in_channels))
    if start is not None:
        weights = network_weights(start / LAST)
        kind = ("output.weight", "output.bias")
        own = {key: value for key, value in network.state_dict().items() if key in kind}
        network.load_state_dict(weights | own)
    network.to(memory_format=torch.channels_last)
    resume = has_checkpoint(kept)
    fit_module(module, epochs=recipe.epochs, seed=recipe.seed, out=kept, resume=resume, quiet=True)
    return network.to(memory_format=torch.contiguous_format).cpu().eval()


def _gaze_rows(
    bands: Bands, training: npt.NDArray[np.bool_], images: int, seed: int
) -> npt.NDArray[np.int64]:
    """Returns the rows of ``images`` pictures, drawn at random, of each person in training."""
    random = np.random.default_rng(seed)
    own = [random.permutation(rows)[:images] for rows in _by_person(bands, training)]
    return np.concatenate(own)


def _contact_rows(
    bands: Bands, training: npt.NDArray[np.bool_], seed: int
) -> npt.NDArray[np.int64]:
    """Returns rows of as many looks into the lens, each repeated, as of other looks."""
    random = np.random.default_rng(seed)
    rows = []
    for own in _by_person(bands, training):
        into = own[bands.contact[own] == 1]
        away = random.permutation(own[bands.contact[own] == 0])[: _OTHERS * len(into)]
        rows += [np.resize(into, len(away)), away]
    return np.concatenate(rows)


def _by_person(bands: Bands, which: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    person = bands.faces.person
    return [np.flatnonzero(which & (person == p)) for p in np.unique(person[which])]


def _part(bands: Bands, which: npt.NDArray[np.bool_]) -> Bands:
    """Returns the pictures of some people as bands of their own."""
    return dataclasses.replace(
        bands,
        faces=_take(bands, np.flatnonzero(which)).faces,
        target=bands.target[which],
        head_deg=bands.head_deg[which],
        names=tuple(bands.names[p] for p in np.unique(bands.faces.person[which])),
    )


def _take(bands: Bands, rows: npt.NDArray[np.int64]) -> EyeSamples:
    """Returns these pictures, with their people numbered from 0."""
    fields = {f.name: getattr(bands.faces, f.name)[rows] for f in dataclasses.fields(GazeFaces)}
    _, fields["person"] = np.unique(fields["person"], return_inverse=True)
    return EyeSamples(GazeFaces(**fields), bands.contact[rows])


def _per_person(bands: Bands, of: Callable[[npt.NDArray[np.int64]], float]) -> FloatArray:
    """Returns a figure of each person's rows, [people]."""
    everyone = np.ones(len(bands.faces), bool)
    return np.array([of(rows) for rows in _by_person(bands, everyone)])


def _gains(before: FloatArray, after: FloatArray) -> tuple[float, ...]:
    """Returns a value [people] whose mean is the per cent by which the mean error is less."""
    return tuple((100 * (before - after) / before.mean()).tolist())


def calibrated(bands: Bands, estimate: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns errors [T, people], radians, before and after calibration at each target.

    The bias is the mean offset over a person's pictures of this target (one for each pose of the
    head). Both errors are over the person's other pictures.
    """
    gaze, own_target = bands.faces.gaze, bands.target
    before, after = [], []
    for target in range(len(bands.targets)):

        def errors(rows: npt.NDArray[np.int64], bias: bool, target: int = target) -> float:
            at = rows[own_target[rows] == target]
            rest = rows[own_target[rows] != target]
            moved = (gaze[at] - estimate[at]).mean(0) if bias else 0.0
            return float(geddnet.angular_errors(estimate[rest] + moved, gaze[rest]).mean())

        before.append(_per_person(bands, lambda rows: errors(rows, False)))
        after.append(_per_person(bands, lambda rows: errors(rows, True)))
    return np.array(before), np.array(after)


def _balanced_accuracy(bands: Bands, probability: FloatArray) -> FloatArray:
    """Returns each person's mean of the shares of looks into the lens and away told right."""
    contact = bands.contact
    said = probability[:, 0] > 0.5

    def one(rows: npt.NDArray[np.int64]) -> float:
        kinds = [rows[contact[rows] == kind] for kind in (0, 1)]
        return float(np.mean([(said[k] == contact[k]).mean() for k in kinds]))

    return _per_person(bands, one)


def rows_and_figures(bands: Bands, answers: Answers) -> tuple[list[Row], dict[str, FloatArray]]:
    """Returns the rows of the table, with a value for each person, and each person's figures."""
    gaze = bands.faces.gaze

    def error(what: str) -> FloatArray:
        off = geddnet.angular_errors(answers[what], gaze)
        return _per_person(bands, lambda rows: float(off[rows].mean()))

    def split(rows: npt.NDArray[np.int64]) -> tuple[float, float]:
        nobody = np.zeros(len(rows), np.int64)
        return geddnet.bias_and_variance(answers[PLAIN][rows], gaze[rows], nobody)

    plain, pooled, biased = error(PLAIN), error(POOLED), error(DECOMPOSED)
    between = _per_person(bands, lambda rows: split(rows)[0])
    within = _per_person(bands, lambda rows: split(rows)[1])
    before, after = calibrated(bands, answers[DECOMPOSED])
    gains = 100 * (before - after).mean(1) / before.mean(1)
    worst = int(gains.argmin())
    place = _place(*bands.targets[worst].tolist())
    mean_gaze = np.tile(gaze.mean(0), (len(gaze), 1))
    always = geddnet.angular_errors(mean_gaze, gaze)
    seen = {
        "gaze, always the mean, degrees": np.degrees(
            _per_person(bands, lambda r: always[r].mean())
        ),
        "gaze, dilated, degrees": np.degrees(plain),
        "gaze, with pooling, degrees": np.degrees(pooled),
        "gaze, dilated, with biases, degrees": np.degrees(biased),
        f"the same, calibrated, mean of {len(gains)} targets, degrees": np.degrees(after.mean(0)),
        f"the same, calibrated at the worst target ({place}), degrees": np.degrees(after[worst]),
        "squared bias of a person (dilated), square degrees": np.degrees(np.degrees(between)),
        "variance within a person (dilated), square degrees": np.degrees(np.degrees(within)),
        "eye contact, dilated, balanced accuracy %": 100
        * _balanced_accuracy(bands, answers[CONTACT]),
        "eye contact, with pooling, balanced accuracy %": 100
        * _balanced_accuracy(bands, answers[CONTACT_POOLED]),
    }
    contact = [100 * _balanced_accuracy(bands, answers[k]) for k in (CONTACT, CONTACT_POOLED)]
    table = [
        Row(
            "dilated convolutions tell eye contact better than pooling",
            "they do, at equal receptive field",
            "points of balanced accuracy",
            tuple((contact[0] - contact[1]).tolist()),
            "",
        ),
        Row(
            "dilated convolutions err less than pooling",
            "up to −20.8 % error",
            "% less error, uncalibrated",
            _gains(pooled, plain),
            "",
        ),
        Row(
            "people differ more than the estimates of one person scatter",
            "they do, in a network without biases of people",
            "% by which squared bias exceeds variance",
            tuple((100 * (between - within) / within.mean()).tolist()),
            "",
        ),
        Row(
            "decomposition helps without calibration",
            "it does",
            "% less error",
            _gains(plain, biased),
            "",
        ),
        Row(
            "calibration with one target helps",
            "up to −35.6 % error",
            f"% less error, mean of {len(gains)} targets",
            _gains(before.mean(0), after.mean(0)),
            "",
        ),
        Row(
            f"calibration helps from the worst of {len(gains)} targets, too",
            "it does not matter where the target is",
            f"% less error, target {place}",
            _gains(before[worst], after[worst]),
            "",
        ),
    ]
    learned = float(plain.mean()) < _MOST_ERROR * float(always.mean())
    sees_contact = contact[0].mean() > 100 * _LEAST_ACCURACY
    table = [
        dataclasses.replace(row, tested=learned if k else bool(sees_contact))
        for k, row in enumerate(table)
    ]
    return table, seen


def _place(up: int, side: int) -> str:
    """Returns a direction in words; ``side`` is positive to the right of the image.

    >>> _place(-10, 15)
    '10° down, 15° right'
    """
    return (
        f"{abs(up)}° {'down' if up < 0 else 'up'}, {abs(side)}° {'left' if side < 0 else 'right'}"
    )


def _section(bands: Bands, size: Size, answers: Answers, name: str, people: int) -> str:
    table, seen = rows_and_figures(bands, answers)
    before, after = calibrated(bands, answers[DECOMPOSED])
    gains = 100 * (before - after).mean(1) / before.mean(1)
    ups = sorted({int(up) for up, _ in bands.targets}, reverse=True)
    sides = sorted({int(side) for _, side in bands.targets})
    gain = {(int(u), int(s)): g for (u, s), g in zip(bands.targets, gains, strict=True)}
    lines = [
        COLUMBIA,
        "",
        "Are the claims about gaze true of real people? `face-perception claims --columbia DIR "
        f"--size {name}` trains networks on grey bands of both eyes of {people} people in "
        f"{size.folds} folds. {len(bands.names)} people are tested on, in {len(bands.faces)} "
        "pictures, by networks that learned from the other folds.",
        "",
        *summary(table),
        "",
        f"* *Measured* is the mean over the {len(bands.names)} people, ± half of its 95 % "
        "confidence interval (Student's t). The interval says how people differ. It does not say "
        "how training again would differ: people of one fold share networks, and each network was "
        "trained once.",
        *VERDICTS,
        "* A claim is *not tested* if the networks have learned too little for the figures to say "
        f"anything about it: the dilated network errs more than {_MOST_ERROR:g} times as much as "
        "the constant answer *mean gaze*, or tells eye contact with a balanced accuracy below "
        f"{100 * _LEAST_ACCURACY:g} %. A larger size trains longer.",
        f"* Each network has {size.width:g} of the published width. Fixed edge filters stand in "
        "for the first layers of VGG16, which the package does not contain. For gaze, a network "
        f"learned from {size.images} pictures of each person in {size.epochs} epochs. A network "
        "of eye contact started from that of gaze with the same layers (in the paper: from "
        f"VGG16), and learned from looks into the lens and {_OTHERS} times as many others, in "
        f"equal shares, in {size.contact_epochs} epochs. The settings were chosen with the dilated "
        "network, on people of the first of 4 folds, which may favour it.",
        "* The face mesh finds the corners of the eyes, after each band was set into the face of a "
        "donor. The crops of the eyes are those that the published networks take. The gaze is the "
        "direction of the target as the data set gives it.",
        "",
        *claim_lines(table, "people"),
        "",
        "| of each person | mean over people |",
        "|---|---|",
        *(f"| {key} | {mean_with_interval(v.tolist())} |" for key, v in seen.items()),
        "",
        "Per cent less error after calibration at each target. Rows are degrees up, columns are "
        "degrees to the right of the image:",
        "",
        "| | " + " | ".join(f"{side}°" for side in sides) + " |",
        "|---" * (len(sides) + 1) + "|",
        *(
            f"| {up}° | "
            + " | ".join(f"{gain[up, s]:.1f}" if (up, s) in gain else "" for s in sides)
            + " |"
            for up in ups
        ),
    ]
    return "\n".join(lines) + "\n"
