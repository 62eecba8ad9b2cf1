"""What must hold for GEDDnet and for Dilated-Net alike, once they are imported."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

from face_perception import cli
from face_perception.inference import Deviation, ModelError, load, make_variant, read_variant
from face_perception.learning.geddnet.export import FoldedGEDDnet
from face_perception.learning.geddnet.network import GEDDnet

Array = npt.NDArray[np.float32]


def check_folding(network: GEDDnet, crops: Mapping[str, Array]) -> Array:
    """Returns pitch and yaw [N, 2] of a network for its crops [N, 1, height, width], in radians.

    Fails if the folded graph, which is exported, has other answers.
    """
    images = {name: torch.from_numpy(image) for name, image in crops.items()}
    with torch.no_grad():
        wanted = network.gaze(images.get("face"), images["left_eye"], images["right_eye"])
        folded = FoldedGEDDnet(network)(*images.values())
    torch.testing.assert_close(folded, wanted, rtol=0, atol=1e-5)
    assert wanted.std(0).min() > 1e-3, "the samples must differ for a comparison to mean something"
    answers: Array = wanted.numpy()
    return answers


def check_fp16(name: str, crops: Mapping[str, Array]) -> Deviation:
    """Makes the FP16 variant of a model; fails if the gate refuses it or it does not run."""
    (found,) = make_variant(name, "fp16").deviations
    assert 0 < found.used < 0.5
    gaze = load(name, precision="fp16").infer(crops)["gaze"]
    assert gaze.shape == (len(crops["left_eye"]), 2)
    return found


def check_int8(name: str, least: float) -> None:
    """Makes the INT8 variant of a model by the command; fails if the gate ignores its deviation.

    The deviation must be larger than ``least`` radians.
    """
    assert cli.main(["models", "quantize", name, "--recipe", "int8-cpu"]) == 0
    (found,) = read_variant(name, "int8-cpu").deviations
    assert least < found.largest < 0.2
    if found.within:
        load(name, precision="int8")
    else:
        with pytest.raises(ModelError, match="deviates too much from ONNX Runtime in FP32"):
            load(name, precision="int8")
