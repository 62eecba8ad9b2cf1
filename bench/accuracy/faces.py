"""Counts found and false faces in cropped, small, dark and turned pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.accuracy import product
from bench.accuracy.context import Context, Findings, Measure, Row, counted
from bench.accuracy.data_sets import EMPTY, MUXSPACE, Missing
from bench.accuracy.labelled import Labelled, press
from bench.accuracy.pictures import (
    darkened,
    no_larger_than,
    read_picture,
    turned,
    with_margin,
    with_width,
)
from face_perception.learning.claims.donor_face import largest
from face_perception.statistics import mean
from face_perception.types import Camera, Face, Frame, Image

_CROPS = "press photographs A-H"
_EMPTY = "t-top"
_SIDE = 1920  # pixels; larger photographs without people are shrunk to this
_EVERY = 4  # one picture in so many is also measured small, dark and turned
_WIDTHS = (96, 64, 48, 32, 24)  # of the crop, in pixels; the face is about 0.6 of it
_LIGHT = ((0.25, 2.0), (0.1, 4.0), (0.05, 4.0))  # share of the light, noise in gray levels
_TURNS = (60, 90, 120, 150, 180, 210, 240)  # degrees
_UPRIGHT = math.radians(45)  # above this error of roll a turned face counts as wrong
_STREAM, _RATE = 8, 15.0  # a photograph as a stream: number of images, and their rate, hertz


def run(context: Context) -> Findings:
    findings, missing = Findings(), []
    for part in (_found, _false):
        try:
            made = part(context)
        except Missing as reason:
            missing.append(str(reason))
            continue
        findings.rows += made.rows
        findings.details |= made.details
    if not findings.rows:
        raise Missing("; ".join(missing))
    if missing:
        findings.details["not measured"] = missing
    return findings


def _found(context: Context) -> Findings:
    chosen = press(context)
    key = (context.use(MUXSPACE, [one.file for one in chosen]), *(one.label for one in chosen))
    seen = context.remember("faces-found", key, lambda: _look_for_faces(chosen))
    rows = []
    for condition, found in seen["found"].items():
        people = [person for person, _ in found]
        share = mean([ok for _, ok in found], people)
        rows.append(Row("faces", "found", share, "share", _CROPS, condition))
    for condition, said in seen["confidence"].items():
        if said:
            share = mean([c for _, c in said], [p for p, _ in said])
            rows.append(Row("faces", "mean confidence of faces", share, "", _CROPS, condition))
    for condition, wrong in seen["turned"].items():
        share = mean([ok for _, ok in wrong], [person for person, _ in wrong])
        rows.append(Row("faces", "found with a wrong roll", share, "share", _CROPS, condition))
    return Findings(rows)


def _look_for_faces(chosen: Sequence[Labelled]) -> dict[str, dict[str, list[tuple[str, float]]]]:
    """Returns (person, value) of each picture, by condition."""
    random = np.random.default_rng(0)
    found: dict[str, list[tuple[str, float]]] = {}
    said: dict[str, list[tuple[str, float]]] = {}
    wrong: dict[str, list[tuple[str, float]]] = {}

    def look(one: Labelled, image: Image, condition: str) -> Face | None:
        face = largest(product.tracker(), image)
        found.setdefault(condition, []).append((one.person, face is not None))
        if face is not None:
            said.setdefault(condition, []).append((one.person, face.confidence))
        return face

    for number, one in enumerate(counted(chosen, _CROPS)):
        image = read_picture(one.file)
        look(one, image, "face fills the picture")
        wide = with_margin(image)
        look(one, wide, "face fills a quarter of the picture")
        if number % _EVERY:
            continue
        for width in _WIDTHS:
            look(one, with_margin(with_width(image, width)), f"crop of {width} pixels")
        for share, noise in _LIGHT:
            look(one, darkened(wide, share, noise, random), f"{share:.0%} of the light (simulated)")
        for degrees in _TURNS:
            face = look(one, turned(wide, math.radians(degrees)), f"turned by {degrees}°")
            off = _roll_error(face, math.radians(degrees))
            wrong.setdefault(f"turned by {degrees}°", []).append((one.person, off > _UPRIGHT))
    return {"found": found, "confidence": said, "turned": wrong}


def _roll_error(face: Face | None, turn: float) -> float:
    """Returns the error of the roll of a face turned by ``turn``, radians; 0 without a face."""
    if face is None or face.pose is None:
        return 0.0
    return abs(math.remainder(face.pose.roll - turn, 2 * math.pi))


def _false(context: Context) -> Findings:
    files = context.files(EMPTY, "*.jpg")[::2]
    key = (context.use(EMPTY, files),)

    def make() -> list[tuple[list[float], int]]:
        return [_look_at_empty(read_picture(file)) for file in counted(files, _EMPTY)]

    seen = context.remember("faces-false", key, make)
    stills = [said for said, _ in seen]
    rows = [
        Row("faces", "photographs without people in which a face is found", mean(share), "share",
            _EMPTY, condition, "")
        for share, condition in (
            ([bool(said) for said in stills], "a picture"),
            ([bool(count) for _, count in seen], f"a stream of {_STREAM} images"),
        )
    ]  # fmt: skip
    confidence = sorted((c for said in stills for c in said), reverse=True)
    if confidence:
        rows.append(
            Row("faces", "mean confidence of false faces", mean(confidence), "", _EMPTY, "", "")
        )
    return Findings(rows, {"confidence of false faces": confidence})


def _look_at_empty(image: Image) -> tuple[list[float], int]:
    """Returns the confidence of each false face in a still, and the number of faces at the end of a
    stream.
    """
    image = np.ascontiguousarray(no_larger_than(image, _SIDE))
    height, width = image.shape[:2]
    camera = Camera.assume(width, height)
    tracker = product.tracker()
    said = [float(face.confidence) for face in tracker.detect(Frame(image, 0.0, camera))]
    tracker.reset()
    count = 0
    for k in range(_STREAM):
        count = len(tracker.track(Frame(image, k / _RATE, camera)))
    return said, count


MEASURE = Measure("faces", (MUXSPACE, EMPTY), run)
