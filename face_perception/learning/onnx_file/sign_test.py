"""Tests an imported network on pictures and their mirror images: do its signs fit its card?

In a mirror image a person looks to the other side and as far up, with the same expression. A
network that disagrees has another contract than its card: yaw and pitch exchanged, another order of
colours, another range. The pictures also have a known gaze, which tells the sign of each angle.
They are a sample photograph, whose eyes the talking face turns, and painted people.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from face_perception.affect import ExpressionNet
from face_perception.avatar import SAMPLES, read_picture
from face_perception.faces import crop_face, flip_averaging, load_tracker
from face_perception.gaze import NetworkGaze, normalized_camera_rotation, to_normalized_angles
from face_perception.inference import (
    Model,
    ModelError,
    infer_batch,
    read_reference_inputs,
    sample_photo,
)
from face_perception.learning.synthesis.actor import Actor
from face_perception.learning.synthesis.emfacs import draw_act
from face_perception.learning.synthesis.gaze_pictures import synthetic_pictures, turned_photographs
from face_perception.types import EXPRESSIONS, Camera, Face, FaceCrop, FloatArray, Frame

# Pictures: views of the first sample photograph; painted people, and images of each.
_VIEWS, _PEOPLE, _IMAGES, _SEED = 7, 4, 3, 7
# Share of the variance of yaw that must change its sign in a mirror image, and of pitch that must
# keep it. Unrelated answers have 0.5. The geometric estimator had 0.97 and 0.96 on 25 such pictures
# (14 views of both sample photographs, and painted people).
LEAST_SHARE = 0.65
# Smallest standard deviation of an angle, radians, and largest probability that may stay the same:
# a network below it does not see the picture.
_LEAST_SPREAD, _LEAST_CHANGE = 0.003, 0.002
# Correlation with the known gaze above which a sign is certain.
_CERTAIN = 0.4
# Largest mean difference of probabilities (total variation) between a crop and its mirror image,
# and the same as a share of the mean difference between two crops.
_MOST_CHANGE, _MOST_RELATIVE = 0.25, 0.6
_RETURNS_NAN = "returns NaN: check range, mean and std in the card"


@dataclass(frozen=True, slots=True)
class MirroredFace:
    """A face in a picture and in its mirror image. ``gaze`` [2] is that of ``GazePicture``."""

    frame: Frame
    face: Face
    mirrored: Frame
    mirrored_face: Face
    gaze: FloatArray


@functools.cache  # drawing them takes 5 s of processor time
def mirrored_gaze_faces() -> tuple[MirroredFace, ...]:
    """Returns the faces with known gaze that the tracker finds in both pictures of a pair."""
    tracker, found = load_tracker(), []
    pictures = chain(
        islice(turned_photographs(tracker), _VIEWS),
        synthetic_pictures(_PEOPLE, _IMAGES, seed=_SEED),
    )
    for picture in pictures:
        frame = picture.frame
        faces = tracker.detect(frame, max_faces=1)
        mirrored = flip_averaging.mirror_frame(frame)
        others = tracker.detect(mirrored, max_faces=1) if faces else []
        if others:
            found.append(MirroredFace(frame, faces[0], mirrored, others[0], picture.gaze))
    return tuple(found)


def check_gaze(model: Model, faces: Sequence[MirroredFace]) -> str:
    """Returns the findings in one sentence. Raises ModelError if the signs do not fit the card."""
    if not np.isfinite(infer_batch(model, read_reference_inputs(model.card))["gaze"]).all():
        raise ModelError(f"model {model.name} {_RETURNS_NAN}")
    estimator = NetworkGaze(model)
    seen, truth = [], []
    for pair in faces:
        both = [
            _angles(estimator, frame, face)
            for frame, face in ((pair.frame, pair.face), (pair.mirrored, pair.mirrored_face))
        ]
        if np.isfinite(both).all():
            seen.append(both)
            truth.append(pair.gaze)
    if len(seen) < 8:
        reason = next(iter(estimator.refused.values()), "their eyes are closed or turned away")
        raise ModelError(
            f"model {model.name}: its picture can be cut of only {len(seen)} of {len(faces)} "
            f"sample faces ({reason}): check picture in the card"
        )
    return judge_gaze(model.name, np.array(seen), np.array(truth))


def judge_gaze(name: str, seen: FloatArray, truth: FloatArray) -> str:
    """Returns the findings about answers ``seen`` [K, 2, 2]: of each picture and its mirror image.

    An answer and ``truth`` [K, 2] are pitch (positive up) and yaw (positive to the image's right).
    Raises ModelError as ``check_gaze`` does.
    """
    pitch, yaw = seen[..., 0], seen[..., 1]
    if min(pitch[:, 0].std(), yaw[:, 0].std()) < _LEAST_SPREAD:
        raise ModelError(
            f"model {name} says nearly the same for every picture: check range, mean, std and "
            "colour in the card"
        )
    odd_yaw, even_yaw = (yaw[:, 0] - yaw[:, 1]) / 2, (yaw[:, 0] + yaw[:, 1]) / 2
    odd_pitch, even_pitch = (pitch[:, 0] - pitch[:, 1]) / 2, (pitch[:, 0] + pitch[:, 1]) / 2
    flips = _share(float(np.mean(odd_yaw**2)), float(even_yaw.var()))
    keeps = _share(float(even_pitch.var()), float(np.mean(odd_pitch**2)))
    if flips < 1 - LEAST_SHARE and keeps < 1 - LEAST_SHARE:
        raise ModelError(
            f"model {name}: its pitch changes its sign in mirrored pictures and its yaw does not: "
            "exchange yaw and pitch in the card"
        )
    for what, share in (("yaw changes its sign", flips), ("pitch stays the same", keeps)):
        if share < LEAST_SHARE:
            raise ModelError(
                f"model {name}: {share:.0%} of the variance of its angles fits a network whose "
                f"{what} in mirrored pictures ({LEAST_SHARE:.0%} are needed): check output, index, "
                "bins, crop, colour, range, mean and std in the card"
            )
    text = f"in {len(seen)} mirrored pictures {flips:.0%} of yaw flips, {keeps:.0%} of pitch stays"
    for what, answers, known, directions in (
        ("pitch", pitch[:, 0], truth[:, 0], "up and down"),
        ("yaw", yaw[:, 0], truth[:, 1], "left and right"),
    ):
        correlation = float(np.corrcoef(answers, known)[0, 1])
        if correlation < -_CERTAIN:
            raise ModelError(
                f"model {name}: its {what} has the opposite sign (correlation {correlation:.2f} "
                f"with the known gaze of the pictures): exchange {directions} in the card"
            )
        text += f"; {what} correlates by {correlation:.2f} with the known gaze"
        if correlation < _CERTAIN:
            text += ", which is too little to tell its sign"
    return text


def _angles(estimator: NetworkGaze, frame: Frame, face: Face) -> tuple[float, float]:
    """Returns pitch and yaw in the normalized camera of the face, radians; NaN if not valid."""
    estimator.reset()
    (gaze,) = estimator.estimate(frame, [face])
    if not gaze.valid:
        return np.nan, np.nan
    yaw, pitch = to_normalized_angles(
        normalized_camera_rotation(frame.camera, face), gaze.direction
    )
    return pitch, yaw


def _share(part: float, rest: float) -> float:
    return part / max(part + rest, 1e-12)


@functools.cache
def expression_crops() -> tuple[FaceCrop, ...]:
    """Returns crops of faces with different expressions.

    They are those of the sample photographs, and one of them with each expression drawn on it.
    """
    tracker, crops = load_tracker(), []
    photographs = [read_picture(sample_photo(name)) for name in SAMPLES]
    for name, image in zip(SAMPLES, photographs, strict=True):
        height, width = image.shape[:2]
        frame = Frame(image, 0.0, Camera.assume(width, height))
        (face,) = tracker.detect(frame, max_faces=1)
        crops.append(FaceCrop(name, crop_face(image, face).image, np.eye(2, 3)))
    actor, random = Actor(photographs[-1], tracker=tracker), np.random.default_rng(_SEED)
    for name in EXPRESSIONS:
        image = actor.patch(draw_act(random, name), random)
        crops.append(FaceCrop(name, image, np.eye(2, 3)))
    return tuple(crops)


def check_expression(model: Model, crops: Sequence[FaceCrop]) -> str:
    """Returns the findings in one sentence. Raises ModelError if mirrored crops differ too much.

    ``crops`` are those of ``expression_crops``.
    """
    network = ExpressionNet(model)
    mirrored = [
        FaceCrop(crop.face_id, np.ascontiguousarray(crop.image[:, ::-1]), crop.transform)
        for crop in crops
    ]
    here, there = (
        np.array([found.probability for found in network.estimate(some)])
        for some in (crops, mirrored)
    )
    return judge_expression(model.name, here, there, network.estimate(crops[:1])[0].label)


def judge_expression(name: str, here: FloatArray, there: FloatArray, smiling: str) -> str:
    """Returns the findings about probabilities [K, 7] of crops and of their mirror images.

    ``smiling`` is the answer for a smiling face. Raises ModelError as ``check_expression`` does.
    """
    if not (np.isfinite(here).all() and np.isfinite(there).all()):
        raise ModelError(f"model {name} {_RETURNS_NAN}")
    if np.ptp(here, axis=0).max() < _LEAST_CHANGE:
        raise ModelError(
            f"model {name} says nearly the same for every picture: check range, mean, std and "
            "colour in the card"
        )
    change = float(np.abs(here - there).sum(1).mean() / 2)
    between = float(np.abs(here[:, None] - here[None]).sum(2).mean() / 2)
    if change > _MOST_CHANGE or change > _MOST_RELATIVE * max(between, 1e-9):
        raise ModelError(
            f"model {name}: its probabilities change by {change:.2f} in mirrored pictures (and by "
            f"{between:.2f} between two pictures): check layout, size and window in the card"
        )
    return (
        f"in {len(here)} mirrored pictures its probabilities change by {change:.2f} (between two "
        f"pictures by {between:.2f}); the smiling astronaut is {smiling}"
        + ("" if smiling == "happy" else ": check the order of classes in the card")
    )
