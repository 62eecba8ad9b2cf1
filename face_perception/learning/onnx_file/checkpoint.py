"""``face-perception import onnx``: makes a model from an ONNX file and a card that describes it."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from face_perception.affect import expression_input
from face_perception.gaze import CropsUnavailable, make_face_picture
from face_perception.inference import Model, ModelBuild, ModelError, Port, install_model, load
from face_perception.learning.onnx_file.card import Contract, card_file, read_contract
from face_perception.learning.onnx_file.graph import read_graph, wrap
from face_perception.learning.onnx_file.sign_test import (
    MirroredFace,
    check_expression,
    check_gaze,
    expression_crops,
    mirrored_gaze_faces,
)
from face_perception.types import EXPRESSIONS, FaceCrop, FloatArray, Image

# Largest deviations that another backend may have: 0.6 degrees, as for GEDDnet, and 0.05 of a
# probability, or of valence and arousal, as for the default expression network.
_GAZE_TOLERANCE, _AFFECT_TOLERANCE = 0.01, 0.05
_SAMPLES = 4  # pictures on which the gate compares backends
_SAME = 1e-4  # largest difference between a face alone and in a batch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``face-perception import onnx``."""
    parser.add_argument("file", type=Path, metavar="FILE.onnx", help="the network")
    parser.add_argument(
        "--card",
        required=True,
        metavar="NAME|CARD.yaml",
        help="card that states what the network takes and returns: one of the package "
        "(l2cs_net, mobilegaze, unigaze, emotiefflib, emotiefflib_va), or a file of your own "
        "(docs/onnx_import.md)",
    )
    parser.add_argument("--name", default="", help="name of the model; default: that of the file")


def make(args: argparse.Namespace, report: Callable[[str], None]) -> Iterator[ModelBuild]:
    """Yields the model. Raises InputError for a wrong card, and ModelError that names the file or
    field if the network does not fit its card or fails the sign test, which ``--untrained`` skips.
    """
    contract = read_contract(card_file(args.card))
    name = args.name or "".join(c if c.isalnum() else "_" for c in args.file.stem).lower()
    report(f"reading {args.file}")
    graph = read_graph(args.file)
    report("preparing the sample pictures")
    if contract.picture is not None:
        faces = mirrored_gaze_faces()
        build = _gaze_build(name, graph, contract, faces)
        if not args.untrained:
            build = _tested(build, lambda model: check_gaze(model, faces), report)
    else:
        crops = expression_crops()
        build = _expression_build(name, graph, contract, crops)
        if not args.untrained:
            build = _tested(build, lambda model: check_expression(model, crops), report)
    sha256 = hashlib.sha256(args.file.read_bytes()).hexdigest()
    yield replace(build, origin=f"{args.file.name} (sha256 {sha256}) of {contract.source}")


def _tested(
    build: ModelBuild, check: Callable[[Model], str], report: Callable[[str], None]
) -> ModelBuild:
    with tempfile.TemporaryDirectory() as folder:
        card = install_model(build, Path(folder))
        findings = check(load(card.path.with_suffix(".yaml"), backend="onnxruntime"))
    report(f"sign test: {findings}")
    return replace(build, facts={**build.facts, "sign_test": findings})


def _gaze_build(
    name: str, graph: Any, contract: Contract, faces: Sequence[MirroredFace]
) -> ModelBuild:
    cut = contract.picture
    assert cut is not None
    samples: list[Image] = []
    for pair in faces:
        if pair.face.pose is not None and len(samples) < _SAMPLES:
            try:
                picture, _ = make_face_picture(
                    pair.frame.image, pair.frame.camera, pair.face, pair.face.pose, cut
                )
            except CropsUnavailable:
                continue
            samples.append(picture)
    if not samples:
        raise ModelError(
            f"card {contract.file}: field picture: it can be cut of none of the sample faces: "
            "check size, margin, focal and distance"
        )
    meaning = (
        "pitch (positive up) and yaw (positive to the image's left), radians, in the axes "
        f"{cut.angles_in}"
    )
    facts = {"picture": dict(vars(cut))}
    return _build(
        name,
        graph,
        contract,
        cut.size,
        inputs={"picture": np.stack(samples).astype(np.float32)},
        outputs={"gaze": Port((None, 2), "float32", meaning, tolerance=_GAZE_TOLERANCE)},
        task="gaze of one person from a picture of the face",
        facts=facts,
    )


def _expression_build(
    name: str, graph: Any, contract: Contract, crops: Sequence[FaceCrop]
) -> ModelBuild:
    spec = contract.crop
    assert spec is not None
    outputs = {
        "probability": Port(
            (None, len(EXPRESSIONS)),
            "float32",
            f"probability of {', '.join(EXPRESSIONS)}",
            tolerance=_AFFECT_TOLERANCE,
        )
    }
    if contract.affect is not None:
        outputs["valence_arousal"] = Port(
            (None, 2), "float32", "valence and arousal, -1 to 1", tolerance=_AFFECT_TOLERANCE
        )
    row, column, side = (int(value) for value in spec.window)
    window = row, column, side
    facts: dict[str, Any] = {"window": list(window), "classes": list(contract.classes)}
    faces = np.stack([expression_input(crop, window, spec.size) for crop in crops[:_SAMPLES]])
    return _build(
        name,
        graph,
        contract,
        spec.size,
        inputs={"face": faces},
        outputs=outputs,
        task="expression of an aligned face"
        + (", valence and arousal" if contract.affect is not None else ""),
        facts=facts,
    )


def _build(
    name: str,
    graph: Any,
    contract: Contract,
    size: int,
    *,
    inputs: dict[str, FloatArray],
    outputs: dict[str, Port],
    task: str,
    facts: dict[str, Any],
) -> ModelBuild:
    """Returns the model for any number of faces, or for one if the file cannot take more."""
    (port,) = inputs
    for batch in (True, False):
        count = None if batch else 1
        build = ModelBuild(
            name=name,
            onnx=wrap(graph, contract, size, name=name, batch=batch),
            task=task,
            licence=contract.licence,
            origin=contract.source,
            inputs={port: Port((count, size, size, 3), "float32", "face, RGB, 0 to 255")},
            outputs={key: replace(p, shape=(count, *p.shape[1:])) for key, p in outputs.items()},
            facts={
                "system": "onnx",
                "commercial_use": contract.commercial_use,
                **facts,
            },
            reference_inputs=inputs,
        )
        if not batch or _takes_batches(build):
            return build
    raise AssertionError("a network takes at least one face")


def _takes_batches(build: ModelBuild) -> bool:
    """Returns whether several faces in one call get the answers that each gets alone."""
    ((port, samples),) = build.reference_inputs.items()
    samples = np.resize(samples, (3, *samples.shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        card = install_model(build, Path(folder))
        try:
            model = load(card.path.with_suffix(".yaml"), backend="onnxruntime")
            together = model.infer({port: samples})
        except ModelError:
            return False
        alone = [model.infer({port: samples[k : k + 1]}) for k in range(len(samples))]
    return all(
        values.shape[0] == len(samples)
        and np.allclose(values, np.concatenate([one[key] for one in alone]), atol=_SAME, rtol=0)
        for key, values in together.items()
    )
