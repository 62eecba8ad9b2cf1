"""The readers of checkpoints and data sets, each with a good file.

They need PyTorch, Lightning and pyarrow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
import torch
from outside_readers import Reader, written

from face_perception import paths
from face_perception.errors import InputError
from face_perception.inference import ModelError
from face_perception.inference.conversion.onnx_graph import Graph
from face_perception.learning.data import dataset
from face_perception.learning.data.dataset import DatasetError
from face_perception.learning.data.mpiifacegaze import read_annotations, read_camera
from face_perception.learning.musetalk.state_dicts import read_state_dict
from face_perception.learning.onnx_file.card import read_contract
from face_perception.learning.onnx_file.graph import read_graph
from face_perception.learning.run_folder import data_of
from face_perception.learning.synthesis.rendered.dataset import read_settings, read_truths
from face_perception.learning.tensorflow_checkpoint import read_variables_file
from face_perception.learning.torch_checkpoint import CheckpointError, read_checkpoint
from face_perception.learning.training_loop import network_weights

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}


def _saved(name: str, content: object, zipped: bool = True) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        torch.save(content, folder / name, _use_new_zipfile_serialization=zipped)
        return folder / name

    return make


def _npz(folder: Path) -> Path:
    np.savez(folder / "x.npz", **{name: value.numpy() for name, value in STATE.items()})
    return folder / "x.npz"


def _safetensors(folder: Path) -> Path:
    from safetensors.torch import save_file

    save_file(STATE, folder / "x.safetensors")
    return folder / "x.safetensors"


def _data_set(file: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        made = folder / "set"
        with dataset.Writer(made, name="x", licence="none", made_by="a test") as writer:
            writer.add({"file": np.zeros((8, 8, 3), np.uint8)}, "anna", "train", valence=0.5)
        return made / file

    return make


def _annotations(folder: Path) -> Path:
    numbers = [0, 0, *range(12), 0, 0, 0, 0, 0, 0, 10, 10, 600, 0, 0, 0]
    line = " ".join(["a.jpg", *map(str, numbers), "left"])
    (folder / "p00.txt").write_text(f"{line}\n")
    return folder / "p00.txt"


def _camera(folder: Path) -> Path:
    scipy.io.savemat(
        folder / "Camera.mat", {"cameraMatrix": np.eye(3), "distCoeffs": np.zeros((1, 5))}
    )
    return folder / "Camera.mat"


CARD = "config/onnx_cards"


def _onnx_card(folder: Path) -> Path:
    card = sorted(paths.resource(CARD).glob("*.yaml"))[0]
    (folder / "card.yaml").write_bytes(card.read_bytes())
    return folder / "card.yaml"


def _onnx(folder: Path) -> Path:
    graph = Graph("double")
    face = graph.input("face", (2,))
    graph.output("twice", graph.node("Add", face, face), (2,))
    (folder / "double.onnx").write_bytes(graph.serialise())
    return folder / "double.onnx"


def _rendered(folder: Path) -> Path:
    (folder / "people").mkdir()
    (folder / "people" / "000001.jsonl").write_text(f'{{"file": "{"a" * 40}.jpg"}}\n')
    (folder / "settings.json").write_text('{"seed": 2, "images": 8}')
    return folder / "settings.json"


TRAINING_READERS = (
    Reader("card of an ONNX file", InputError, _onnx_card, read_contract, "yaml"),
    Reader("ONNX file", ModelError, _onnx, read_graph),
    Reader(
        "settings of rendered people",
        InputError,
        _rendered,
        lambda path: read_settings(path.parent),
        "json",
    ),
    Reader(
        "truth of rendered people",
        InputError,
        lambda folder: _rendered(folder).parent / "people" / "000001.jsonl",
        lambda path: list(read_truths(path.parents[1])),
        good=("missing", "empty"),
        says_why=False,
    ),
    Reader("checkpoint", CheckpointError, _saved("x.pth", STATE), read_checkpoint),
    Reader("old checkpoint", CheckpointError, _saved("x.pth", STATE, False), read_checkpoint),
    Reader("checkpoint as .npz", CheckpointError, _npz, read_checkpoint),
    Reader("variables as .npz", ModelError, _npz, read_variables_file),
    Reader("state dict", ModelError, _saved("x.bin", STATE), read_state_dict),
    Reader("state dict as .safetensors", ModelError, _safetensors, read_state_dict),
    Reader(
        "checkpoint of a run",
        InputError,
        _saved("last.ckpt", {"state_dict": STATE, "epoch": 3}),
        network_weights,
    ),
    Reader(
        "data path of a run",
        InputError,
        written("data.txt", "somewhere"),
        lambda path: data_of(path.parent),
        good=(  # any text is a path
            "cut in half",
            "cut after 20 bytes",
            "nested lists",
            "nested mappings",
            "nested indentation",
        ),
    ),
    Reader(
        "data set",
        DatasetError,
        _data_set("dataset.yaml"),
        lambda path: dataset.read(path.parent),
        "yaml",
    ),
    Reader(
        "table of a data set",
        DatasetError,
        _data_set("samples.parquet"),
        lambda path: dataset.read(path.parent),
        says_why=False,
    ),
    Reader(
        "annotations",
        DatasetError,
        _annotations,
        lambda path: list(read_annotations(path)),
        good=("empty",),
        says_why=False,
    ),
    Reader("camera of a data set", DatasetError, _camera, read_camera, says_why=False),
)
