"""Gaze networks for tests: the published ones, and a small one with known answers."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dilated_net_golden
import generated_weights
import numpy as np
import numpy.typing as npt
import pytest

from face_perception.inference import ModelBuild, Port, install_model
from face_perception.inference.conversion.onnx_graph import Graph

SHAPES = {"face": (1, 96, 96), "left_eye": (1, 64, 96), "right_eye": (1, 64, 96)}
PITCH = 0.15


def install_sides(name: str = "sides", folder: Path | None = None, *, inputs: bool = True) -> None:
    """Installs a network whose pitch is PITCH, and whose yaw is a difference of brightness.

    The yaw is how much brighter the left halves of the three crops are than the right ones, so it
    changes sign for a mirrored face. Without ``inputs`` the network takes something else than
    faces.
    """
    graph = Graph(name)
    shapes = SHAPES if inputs else {"patch": (1, 96, 96)}
    total = None
    for port, shape in shapes.items():
        size = int(np.prod(shape))
        flat = graph.node("Flatten", graph.input(port, shape), axis=1)
        total_of_one = graph.node("MatMul", flat, graph.constant(weights(shape).reshape(size, 2)))
        total = total_of_one if total is None else graph.node("Add", total, total_of_one)
    offset = graph.constant(np.array([[PITCH, 0.0]]))
    graph.output("gaze", graph.node("Add", total, offset), (2,))
    rng = np.random.default_rng(0)
    install_model(
        ModelBuild(
            name=name,
            onnx=graph.serialise(),
            task="gaze, for tests",
            licence="that of this package",
            origin="test/helpers/gaze_network.py",
            inputs={n: Port((None, *s), "float32", "gray 0..255") for n, s in shapes.items()},
            outputs={"gaze": Port((None, 2), "float32", "pitch, yaw, rad", tolerance=0.01)},
            reference_inputs={
                n: rng.integers(0, 256, (4, *s)).astype(np.float32) for n, s in shapes.items()
            },
        ),
        folder,
    )


def install_picture(name: str, folder: Path, *, crop: str = "face_box", **facts: Any) -> None:
    """Installs a network that takes a colour picture of the face, as imported ONNX files do.

    Its yaw is how much redder the left half of the picture is than the right one.
    """
    side = 32
    graph = Graph(name)
    flat = graph.node("Flatten", graph.input("picture", (side, side, 3)), axis=1)
    red = np.zeros((side, side, 3, 2))
    red[:, : side // 2, 0, 1], red[:, side // 2 :, 0, 1] = 1, -1
    total = graph.node("MatMul", flat, graph.constant(red.reshape(-1, 2) / (255 * side**2)))
    offset = graph.constant(np.array([[PITCH, 0.0]]))
    graph.output("gaze", graph.node("Add", total, offset), (2,))
    normalized = crop == "normalized_face"
    cut = {
        "crop": crop,
        "size": side,
        "angles_in": "picture" if normalized else "line_of_sight",
        **({"focal": 140.0, "distance": 0.6} if normalized else {}),
    }
    install_model(
        ModelBuild(
            name=name,
            onnx=graph.serialise(),
            task="gaze, for tests",
            licence="that of this package",
            origin="test/helpers/gaze_network.py",
            inputs={"picture": Port((None, side, side, 3), "float32", "RGB 0..255")},
            outputs={"gaze": Port((None, 2), "float32", "pitch, yaw, rad", tolerance=0.01)},
            reference_inputs={"picture": np.zeros((1, side, side, 3), np.float32)},
            facts={"picture": cut, **facts},
        ),
        folder,
    )


def weights(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Returns the weights [H * W, 2] of one input: 0 for pitch; left minus right half for yaw."""
    height, width = shape[-2:]
    side = np.where(np.arange(width) < width / 2, 1.0, -1.0) / (255 * height * width)
    yaw = np.tile(side, (height, 1)).ravel()
    return np.stack([np.zeros_like(yaw), yaw], axis=1).astype(np.float32)


def answer(*crops: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Returns the pitch and yaw of the small network for the crops of one face."""
    yaw = sum(crop.ravel().astype(float) @ weights(crop.shape)[:, 1] for crop in crops)
    return PITCH, float(yaw)


def install_geddnet(folder: Path) -> Path:
    """Imports GEDDnet with the weights of its golden; returns its card."""
    return _import("geddnet", generated_weights.weights("geddnet"), folder)


def install_dilated_net(folder: Path) -> Path:
    """Imports Dilated-Net with the weights of its golden; returns its card."""
    pytest.importorskip("torch")
    from face_perception.learning.dilated_net.network import dilated_net
    from face_perception.learning.geddnet.tensorflow_variables import variables_of

    shapes = {name: value.shape for name, value in variables_of(dilated_net()).items()}
    return _import("dilated_net", dilated_net_golden.checkpoint(shapes), folder)


def _import(system: str, variables: Mapping[str, npt.NDArray[Any]], folder: Path) -> Path:
    pytest.importorskip("torch")
    checkpoint = importlib.import_module(f"face_perception.learning.{system}.checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "variables.npz", **variables)
    parser = argparse.ArgumentParser()
    checkpoint.add_arguments(parser)
    (made,) = checkpoint.make(parser.parse_args([str(folder / "variables.npz")]), lambda text: None)
    card = install_model(made, folder)
    return folder / f"{card.name}.yaml"
