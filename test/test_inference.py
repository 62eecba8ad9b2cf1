"""The default models against what MediaPipe and LiteRT make of the same pixels, and bad input.

test/data/inference.npz holds the references: landmarks of mediapipe 0.10.14's FaceLandmarkCpu graph
with attention, and outputs of LiteRT 2.3.0 for the two files that it can run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import flatbuffers
import numpy as np
import pytest
import tflite

from face_perception.inference import ModelError, catalogue, load, sample_photo, verify
from face_perception.inference.recipes import RECIPES
from face_perception.inference.tflite import UnsupportedModel

REFERENCE = Path(__file__).parent / "data" / "inference.npz"


@pytest.fixture(scope="module", autouse=True)
def fetched():
    problems = [check.problem for check in verify() if check.problem]
    if problems:
        pytest.fail(f"these tests need the default models (make setup): {problems}")


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as file:
        return dict(file)


def photo(name):
    return cv2.cvtColor(cv2.imread(str(sample_photo(name))), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def faces():
    """Two crops 192x192 cut out pixel by pixel, so that every OpenCV gives the same."""
    crops = photo("astronaut")[24:216, 129:321], photo("grace_hopper")[110:302, 180:372]
    return np.stack(crops).astype(np.float32) / 255


def test_mesh_is_mediapipes(faces, reference):
    result = load("face_mesh").infer({"image": faces})
    expected = np.stack([reference["mesh_astronaut"], reference["mesh_grace_hopper"]])
    assert result["landmarks"].shape == (2, 478, 3)
    assert np.abs(result["landmarks"] - expected).max() < 0.01
    assert result["presence"].min() > 0.99


def test_mesh_sees_no_face_in_nothing():
    blank = np.full((1, 192, 192, 3), 0.5, np.float32)
    assert load("face_mesh").infer({"image": blank})["presence"][0, 0] < 0.01


def test_a_batch_is_its_images(faces):
    model = load("face_mesh")
    batch = np.concatenate([faces, faces[:, :, ::-1]])
    together = model.infer({"image": batch})["landmarks"]
    alone = [model.infer({"image": image[None]})["landmarks"][0] for image in batch]
    assert np.abs(together - np.stack(alone)).max() < 1e-3


def test_detector_is_the_tflite_file(reference):
    image = photo("astronaut")[0:384:2, 32:416:2].astype(np.float32)[None] / 127.5 - 1
    result = load("face_detector").infer({"image": image})
    assert result["boxes"].shape == (1, 2304, 16)
    assert np.abs(result["scores"][0, :, 0] - reference["scores"]).max() < 0.01
    assert np.abs(result["boxes"][0, reference["best"]] - reference["boxes"]).max() < 0.01


def test_expression_is_the_tflite_file(reference):
    face = photo("astronaut")[72:200:2, 161:289:2, 1].astype(np.float32)[None, ..., None]
    result = load("expression").infer({"face": face})
    # LiteRT rounds the activations to 8 bits as well, we only have rounded weights.
    assert np.abs(result["probability"][0] - reference["expression"]).max() < 0.02
    assert result["probability"].sum() == pytest.approx(1, abs=1e-4)


def test_several_threads_share_a_model(faces):
    model = load("face_mesh", threads=2)
    alone = [model.infer({"image": faces[k : k + 1]})["landmarks"] for k in (0, 1)]
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(model.infer, {"image": faces[k % 2 : k % 2 + 1]}) for k in range(16)]
    for k, job in enumerate(jobs):
        assert np.abs(job.result()["landmarks"] - alone[k % 2]).max() < 1e-3


def test_a_model_says_what_it_is():
    model = load("face_mesh", backend="onnxruntime")
    assert (model.name, model.backend) == ("face_mesh", "onnxruntime")
    assert model.why.startswith("onnxruntime ")
    assert model.inputs["image"].shape == (None, 192, 192, 3)
    assert model.outputs["landmarks"].shape == (None, 478, 3)
    assert model.outputs["presence"].dtype == "float32"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"picture": np.zeros((1, 192, 192, 3), np.float32)}, "takes the inputs image, not pict"),
        ({}, "takes the inputs image, not none"),
        ({"image": np.zeros((1, 192, 192, 3))}, r"float32 \[N, 192, 192, 3\], not float64"),
        ({"image": np.zeros((1, 3, 192, 192), np.float32)}, r"not float32 \[1, 3, 192, 192\]"),
        ({"image": np.zeros((192, 192, 3), np.float32)}, r"not float32 \[192, 192, 3\]"),
        ({"image": np.zeros((0, 192, 192, 3), np.float32)}, r"not float32 \[0, 192, 192, 3\]"),
    ],
)
def test_wrong_input(inputs, said):
    model = load("face_mesh")
    with pytest.raises(ModelError, match=f"face_mesh.*{said}"):
        model.infer(inputs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "no_such"}, "no model 'no_such': use one of .*face_mesh"),
        ({"name": "astronaut"}, "astronaut is a photograph"),
        ({"name": "face_mesh", "precision": "fp8"}, "no precision 'fp8'.*fp32, fp16, int8"),
        ({"name": "face_mesh", "backend": "cuda"}, "no backend 'cuda'.*auto, onnxruntime"),
        ({"name": "face_mesh", "threads": 0}, "threads must be at least 1"),
    ],
)
def test_wrong_request(arguments, said):
    with pytest.raises(ModelError, match=said):
        load(**arguments)


def test_sample_photo_is_no_model():
    with pytest.raises(ModelError, match="face_mesh is a model"):
        sample_photo("face_mesh")


def test_a_card_at_a_path(tmp_path):
    card = catalogue()["expression"]
    text = (
        "kind: model\ntask: copy\nlicence: MIT\nfile: copy.onnx\n"
        f"sha256: {_sha256(card.path)}\n"
        "inputs: {face: {shape: [N, 64, 64, 1], dtype: float32, meaning: gray}}\n"
        "outputs: {probability: {shape: [N, 7], dtype: float32, meaning: classes}}\n"
    )
    (tmp_path / "copy.yaml").write_text(text)
    with pytest.raises(ModelError, match=f"model copy is not in {tmp_path}"):
        load(tmp_path / "copy.yaml")
    shutil.copy(card.path, tmp_path / "copy.onnx")
    assert load(tmp_path / "copy.yaml").name == "copy"
    (tmp_path / "copy.yaml").write_text(text.replace("[N, 7]", "[N, 8]"))
    with pytest.raises(ModelError, match=r"copy.onnx does not fit its card.*\[N, 7\].*\[N, 8\]"):
        load(tmp_path / "copy.yaml")


def _sha256(path):
    return subprocess.run(
        ["sha256sum", str(path)], capture_output=True, text=True, check=True
    ).stdout.split()[0]


def test_importing_and_running_need_no_converter():
    """And nothing is said on stderr, whatever processor this is."""
    code = (
        "import sys; import face_perception.inference as i;"
        "assert 'onnxruntime' not in sys.modules; i.load('expression');"
        "print([m for m in ('onnx', 'tflite', 'pip', 'torch', 'rclpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_without_onnxruntime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"ONNX Runtime is missing .*: pip install onnxruntime"):
        load("expression")


def test_recipes_are_those_that_cards_may_name():
    assert {card.recipe for card in catalogue().values() if card.recipe} == RECIPES.keys()


def one_operator(operator):
    """A TFLite file, float32 [1, 192, 192, 3] in and out, with one operator without options."""
    builder = flatbuffers.Builder(1024)

    def ints(values):
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependInt32(value)
        return builder.EndVector()

    def offsets(values):
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependUOffsetTRelative(value)
        return builder.EndVector()

    tflite.BufferStart(builder)
    buffers = offsets([tflite.BufferEnd(builder)])
    shape, tensors = ints([1, 192, 192, 3]), []
    for _ in range(2):
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tensors.append(tflite.TensorEnd(builder))
    tensors, inputs, outputs = offsets(tensors), ints([0]), ints([1])
    tflite.OperatorStart(builder)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    operators = offsets([tflite.OperatorEnd(builder)])
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operators)
    graphs = offsets([tflite.SubGraphEnd(builder)])
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, operator)
    codes = offsets([tflite.OperatorCodeEnd(builder)])
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_unknown_operator_is_named():
    with pytest.raises(UnsupportedModel, match="face_mesh: operator TANH is not supported"):
        RECIPES["face_mesh"](one_operator(tflite.BuiltinOperator.TANH))


def test_what_is_no_tflite_file():
    with pytest.raises(UnsupportedModel, match="expression: not a TFLite file"):
        RECIPES["expression"](b"<html>not found</html>")
