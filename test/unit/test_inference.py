"""Tests the default models against MediaPipe and LiteRT on the same pixels, and bad input.

test/data/inference.npz holds the references: landmarks of mediapipe 0.10.14's FaceLandmarkCpu graph
with attention, and outputs of LiteRT 2.3.0 for the three files that it can run (blendshapes on
these landmarks).
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

from face_perception.affect import BlendshapesNet
from face_perception.inference import ModelError, catalogue, load, sample_photo, verify_models
from face_perception.inference.conversion.default_models import RECIPES
from face_perception.inference.conversion.tflite_reader import UnsupportedModel
from face_perception.types import BLENDSHAPES, EXPRESSIONS, Face, Roi

REFERENCE = Path(__file__).parents[1] / "data" / "inference.npz"


@pytest.fixture(scope="module", autouse=True)
def fetched():
    problems = [check.problem for check in verify_models() if check.problem and not check.left_out]
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
    """Returns two crops of 192x192, cut out pixel by pixel so that every OpenCV gives the same."""
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


def test_expression_fer_is_the_tflite_file(reference):
    face = photo("astronaut")[72:200:2, 161:289:2, 1].astype(np.float32)[None, ..., None]
    result = load("expression_fer").infer({"face": face})
    # LiteRT also rounds the activations to 8 bits; here only the weights are rounded.
    assert np.abs(result["probability"][0] - reference["expression"]).max() < 0.02
    assert result["probability"].sum() == pytest.approx(1, abs=1e-4)


def test_blendshapes_are_the_tflite_file(reference):
    landmarks = [reference["mesh_astronaut"], reference["mesh_grace_hopper"]]
    faces = [Face("a", 1.0, Roi(0, 0, 1, 1), mesh, None) for mesh in landmarks]
    found = BlendshapesNet(load("blendshapes")).estimate(faces)
    strengths = np.stack([shapes.strength for shapes in found])
    assert np.abs(strengths - reference["blendshapes"]).max() < 1e-4
    named = dict(zip(BLENDSHAPES, strengths.T, strict=True))
    assert named["mouthSmileLeft"][0] > 0.5 > named["mouthSmileLeft"][1]
    assert len(named) == 52


# The answers of @vladmandic/face-api 1.7.15 (FaceExpressionNet.forward under Node.js 20 with the
# `cpu` backend of @tensorflow/tfjs 4.22.0) for the pictures of the test below.
# fmt: off
FACE_API = [
    {"neutral": 1.83508634e-12, "happy": 1.0, "sad": 3.22157544e-11, "angry": 3.37049610e-10,
     "scared": 7.06482832e-13, "disgusted": 2.41158412e-14, "surprised": 1.60548450e-10},
    {"neutral": 9.08297777e-01, "happy": 9.06947926e-02, "sad": 5.16226399e-04,
     "angry": 4.11519955e-04, "scared": 2.66742489e-07, "disgusted": 7.80247938e-05,
     "surprised": 1.32916045e-06},
    {"neutral": 1.42231246e-03, "happy": 2.63983384e-04, "sad": 9.98268366e-01,
     "angry": 2.75231305e-05, "scared": 1.29942009e-05, "disgusted": 5.38774941e-07,
     "surprised": 4.22415087e-06},
    {"neutral": 6.57106340e-02, "happy": 9.32212397e-02, "sad": 5.89035749e-01,
     "angry": 1.11294165e-02, "scared": 2.14361921e-01, "disgusted": 5.29823359e-04,
     "surprised": 2.60111671e-02},
]
# fmt: on


def test_expression_is_the_npm_packages_network(reference):
    """The published probabilities, calibrated by hand, must equal those of this network."""
    calm = photo("grace_hopper")[80:304:2, 170:394:2]
    pictures = [photo("astronaut")[68:180, 165:277], calm, calm[::-1], 255 - calm]
    result = load("expression").infer({"face": np.stack(pictures).astype(np.float32)})
    published = np.array([[answer[name] for name in EXPRESSIONS] for answer in FACE_API])
    logits = 0.37 * np.log(published)
    logits[:, EXPRESSIONS.index("sad")] -= 0.46
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(result["probability"] - expected).max() < 1e-5


def test_weights_that_are_none(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3, np.uint8))
    np.savez(tmp_path / "part.npz", **{"dense0/conv0/bias": np.zeros(32, np.float32)})
    for data in (b"text", (tmp_path / "other.npz").read_bytes()):
        with pytest.raises(ModelError, match="the file of the expression network cannot be read"):
            RECIPES["expression"](data)
    with pytest.raises(ModelError, match="weights of the expression network lack"):
        RECIPES["expression"]((tmp_path / "part.npz").read_bytes())


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
        ({"name": "face_mesh", "threads": 0}, "threads must be 1 to 64, not 0"),
        ({"name": "face_mesh", "threads": 100_000}, "threads must be 1 to 64, not 100000"),
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
        "inputs: {face: {shape: [N, 112, 112, 3], dtype: float32, meaning: RGB}}\n"
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
    """Nothing is printed on stderr, on any processor."""
    code = (
        "import sys; import face_perception.inference as i;"
        "assert 'onnxruntime' not in sys.modules; i.load('expression');"
        "print([m for m in ('onnx', 'tflite', 'pip', 'torch', 'rclpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_without_onnxruntime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"pip install onnxruntime"):
        load("expression")


def test_recipes_are_those_that_cards_may_name():
    assert {card.recipe for card in catalogue().values() if card.recipe} == RECIPES.keys()


def one_operator(operator):
    """Returns a TFLite file, float32 [1, 192, 192, 3] in and out, with one operator without
    options.
    """
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
    with pytest.raises(UnsupportedModel, match="expression_fer is not a TFLite file"):
        RECIPES["expression_fer"](b"<html>not found</html>")
