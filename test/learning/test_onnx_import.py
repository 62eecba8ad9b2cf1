"""Tests ``face-perception import onnx``: cards, wrapped graphs, sign test, and use by name."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import published_onnx
import pytest
import yaml

onnx = pytest.importorskip("onnx")

from onnx import helper

from face_perception import cli
from face_perception.affect import ExpressionNet, expression_input
from face_perception.errors import InputError
from face_perception.faces import crop_face
from face_perception.gaze import (
    FacePicture,
    GeometricGaze,
    NetworkGaze,
    make_face_picture,
    normalized_camera_rotation,
    to_normalized_angles,
)
from face_perception.inference import ModelError, find_card, load, read_reference_inputs
from face_perception.learning.onnx_file.card import card_file, read_contract
from face_perception.learning.onnx_file.graph import read_graph
from face_perception.learning.onnx_file.sign_test import (
    LEAST_SHARE,
    MirroredFace,
    expression_crops,
    judge_expression,
    judge_gaze,
    mirrored_gaze_faces,
)
from face_perception.types import EXPRESSIONS, Face, FaceCrop, FloatArray, Frame

GAZE_CARDS = ("l2cs_net", "mobilegaze", "unigaze")
Images = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> list[MirroredFace]:
    return list(mirrored_gaze_faces())


@pytest.fixture(scope="module")
def crops() -> list[FaceCrop]:
    return list(expression_crops())


def card_content(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(card_file(name).read_text())
    return content


def written(folder: Path, content: dict[str, Any]) -> Path:
    file = folder / "card.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def pictures_and_angles(faces: list[MirroredFace], cut: FacePicture) -> tuple[Images, FloatArray]:
    """Returns pictures of the faces and their mirror images, and pitch and yaw (to the left) in the
    axes that the network states angles in, degrees."""
    pictures, angles = [], []
    for pair in faces:
        pitch, yaw = pair.gaze
        for frame, face, sign in (
            (pair.frame, pair.face, 1),
            (pair.mirrored, pair.mirrored_face, -1),
        ):
            assert face.pose is not None
            picture, _ = make_face_picture(frame.image, frame.camera, face, face.pose, cut)
            pictures.append(picture)
            angles.append((pitch, -sign * yaw))
    return np.stack(pictures), np.degrees(angles)


def write_gaze(
    folder: Path, name: str, faces: list[MirroredFace], **changes: Any
) -> tuple[Path, Images]:
    """Writes an ONNX file in the published form of a card of the package, fitted to the faces."""
    cut = read_contract(card_file(name)).picture
    assert cut is not None
    pictures, angles = pictures_and_angles(faces, cut)
    heads: dict[str, Any] = {}
    if name == "unigaze":
        heads["pred_gaze"] = published_onnx.fitted(pictures, np.radians(angles))
    else:
        names = ("vertical", "horizontal") if name == "l2cs_net" else ("pitch", "yaw")
        for column, output in enumerate(names):
            fit = published_onnx.fitted(pictures, angles[:, [column]])
            heads[output] = published_onnx.bins_head(*fit, bins=90, width=4, offset=-180)
    settings = {
        "batch": name != "mobilegaze",
        "input_name": "face" if name == "unigaze" else "input",
        **changes,
    }
    file = published_onnx.write(folder / f"{name}.onnx", cut.size, heads, **settings)
    return file, pictures


@pytest.fixture(scope="module")
def unigaze(faces: list[MirroredFace], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in the published form of UniGaze."""
    return write_gaze(tmp_path_factory.mktemp("unigaze"), "unigaze", faces)[0]


@pytest.mark.parametrize("name", GAZE_CARDS)
def test_a_gaze_network_runs_by_its_card(
    name: str,
    faces: list[MirroredFace],
    own_models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The decoded angles are the fitted ones, in the axes of each network, one face or several."""
    file, _ = write_gaze(tmp_path, name, faces)
    assert cli.main(["import", "onnx", str(file), "--card", name]) == 0
    assert "sign test: in " in capsys.readouterr().err
    model = load(name)
    assert model.inputs["picture"].shape[0] == (1 if name == "mobilegaze" else None)
    assert (model.card.trained, model.card.facts["commercial_use"]) == (True, False)
    assert model.card.licence == card_content(name)["licence"]
    estimator = NetworkGaze(model)
    errors = []
    for pair in faces[::2]:
        estimator.reset()
        (gaze,) = estimator.estimate(pair.frame, [pair.face])
        axes = normalized_camera_rotation(pair.frame.camera, pair.face)
        yaw, pitch = to_normalized_angles(axes, gaze.direction)
        errors.append((pitch - pair.gaze[0], yaw - pair.gaze[1]))
    assert np.degrees(np.nanmedian(np.abs(errors))) < 2
    pair = faces[0]
    alone = NetworkGaze(model).estimate(pair.frame, [pair.face])
    together = NetworkGaze(model).estimate(pair.frame, [pair.face, pair.face])
    assert together[1].direction == pytest.approx(alone[0].direction, abs=1e-5)
    assert len(read_reference_inputs(model.card)["picture"]) == 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"yaw": {"positive": "right"}}, "yaw has the opposite sign"),
        ({"pitch": {"positive": "down"}}, "pitch has the opposite sign"),
        ({"yaw": {"index": 0}, "pitch": {"index": 1}}, "exchange yaw and pitch"),
    ],
)
def test_wrong_signs_are_refused(
    change: dict[str, dict[str, str]],
    reason: str,
    unigaze: Path,
    own_models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = card_content("unigaze")
    for output, fields in change.items():
        content["outputs"][output].update(fields)
    command = ["import", "onnx", str(unigaze), "--card", str(written(tmp_path, content))]
    assert cli.main(command) == 1
    assert reason in capsys.readouterr().err
    with pytest.raises(ModelError, match="there is no model"):
        find_card("unigaze")
    assert cli.main([*command, "--untrained"]) == 0
    assert not find_card("unigaze").trained


def test_a_vector_is_decoded(faces: list[MirroredFace], own_models: Path, tmp_path: Path) -> None:
    """The same angles as a vector of any length, whose axes the card names."""
    cut = read_contract(card_file("unigaze")).picture
    assert cut is not None
    pictures, angles = pictures_and_angles(faces, cut)
    pitch, left = np.radians(angles).T
    towards = np.cos(pitch) * np.cos(left)
    vectors = 3 * np.stack([-np.cos(pitch) * np.sin(left), -np.sin(pitch), -towards], 1)
    heads = {"gaze": published_onnx.fitted(pictures, vectors)}
    file = published_onnx.write(tmp_path / "vector.onnx", cut.size, heads)
    content = card_content("unigaze")
    content["input"]["name"] = "input"
    content["outputs"] = {"vector": {"output": "gaze", "x": "right", "y": "down", "z": "away"}}
    card = written(tmp_path, content)
    assert cli.main(["import", "onnx", str(file), "--card", str(card)]) == 0
    model = load("vector")
    found = model.infer({"picture": pictures[::5].astype(np.float32)})["gaze"]
    assert np.abs(np.degrees(found) - angles[::5]).max() < 4


def test_the_graph_normalises_as_the_card_says(
    faces: list[MirroredFace], own_models: Path, tmp_path: Path
) -> None:
    """BGR in -1 to 1, channel last or first: the network gets the same numbers as before."""
    picture = np.arange(3 * 28 * 28, dtype=np.float32).reshape(1, 28, 28, 3) % 256
    weights = np.zeros((3 * 14 * 14, 2))
    weights[:196, 0], weights[196:392, 1] = 1 / 196, 1 / 196  # means of the first two channels
    file = published_onnx.write(tmp_path / "means.onnx", 28, {"g": (weights, np.zeros(2))})
    content = card_content("unigaze")
    content["input"] = {"colour": "BGR", "range": [-1, 1], "std": [0.5, 0.25, 1.0]}
    content["picture"].update(size=28)
    content["outputs"] = {
        "pitch": {"index": 0, "positive": "down", "unit": "degrees"},
        "yaw": {"index": 1, "positive": "left"},
    }
    card = written(tmp_path, content)
    assert cli.main(["import", "onnx", str(file), "--card", str(card), "--untrained"]) == 0
    (found,) = load("means").infer({"picture": picture})["gaze"]
    blue, green = (picture[..., 2] / 127.5 - 1).mean() / 0.5, (picture[..., 1] / 127.5 - 1).mean()
    assert found == pytest.approx((-math.radians(blue), green / 0.25), abs=1e-5)


@pytest.mark.parametrize("name", ["emotiefflib", "emotiefflib_va"])
def test_an_expression_network_runs_by_its_card(
    name: str,
    crops: list[FaceCrop],
    own_models: Path,
    tmp_path: Path,
    photo_faces: dict[str, tuple[Frame, Face]],
) -> None:
    file, affect = write_affect(tmp_path, name, crops)
    assert cli.main(["import", "onnx", str(file), "--card", name]) == 0
    card = find_card(name)
    assert "the smiling astronaut is happy" in card.facts["sign_test"]
    found = ExpressionNet(load(name)).estimate_affect(crops)
    assert [e.label for e, _ in found[2:]] == [crop.face_id for crop in crops[2:]]
    if name == "emotiefflib_va":
        assert {va.source for _, va in found} == {name}
        values = [(va.valence, va.arousal) for _, va in found]
        assert np.array(values) == pytest.approx(affect, abs=0.05)
    else:
        assert {va.source for _, va in found} == {"derived"}
    # Offline, with the crop of the photograph; the results carry the source.
    frame, face = photo_faces["astronaut"]
    crop = crop_face(frame.image, face)
    from face_perception.pipeline import Perception

    result = Perception.load(affect=name, single_image=True).process(frame)
    (alone,) = ExpressionNet(load(name)).estimate([crop])
    assert result.expressions[0].source == name
    assert result.expressions[0].label == alone.label == "happy"
    assert result.valence_arousal[0].source == (name if name == "emotiefflib_va" else "derived")


def write_affect(folder: Path, name: str, crops: list[FaceCrop]) -> tuple[Path, FloatArray]:
    """Writes an ONNX file in the published form, fitted to the crops and their mirror images."""
    contract = read_contract(card_file(name))
    assert contract.crop is not None
    row, column, side = map(int, contract.crop.window)
    labels = ["happy", "neutral", *(crop.face_id for crop in crops[2:])]
    random = np.random.default_rng(0)
    affect = random.uniform(-0.8, 0.8, (len(crops), 2))
    pictures, answers = [], []
    for crop, label, values in zip(crops, labels, affect, strict=True):
        picture = expression_input(crop, (row, column, side), contract.crop.size)
        logits = [8.0 if known == label else 0.0 for known in contract.classes]
        logits[1] = 20.0  # contempt, which is left out
        for image in (picture, picture[:, ::-1]):
            pictures.append(image.astype(np.uint8))
            answers.append([*logits, *values] if contract.affect else logits)
    heads = {"output": published_onnx.fitted(np.stack(pictures), np.array(answers))}
    return published_onnx.write(folder / f"{name}.onnx", contract.crop.size, heads), affect


def test_run_uses_the_network_and_states_its_licence_once(
    unigaze: Path,
    own_models: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from face_perception.inference import sample_photo
    from face_perception.inference.model import log_terms

    assert cli.main(["import", "onnx", str(unigaze), "--card", "unigaze"]) == 0
    log_terms.cache_clear()
    lines = tmp_path / "out.jsonl"
    command = ["run", str(sample_photo("astronaut")), "--gaze", "unigaze", "--output", str(lines)]
    with caplog.at_level(logging.WARNING):
        assert cli.main(command) == 0
        assert cli.main(command) == 0
    (face,) = json.loads(lines.read_text())["faces"]
    assert face["gaze"]["source"] == "unigaze"
    told = [record.message for record in caplog.records if "commercial" in record.message]
    assert told == ["model unigaze is not for commercial use: ModelGo "
                    "Attribution-NonCommercial-ResponsibleAI 2.0 (MG-BY-NC-RAI-2.0)"]  # fmt: skip


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("card", "change", "message"),
    [
        ("l2cs_net", lambda c: c.pop("licence"), "field licence is missing"),
        ("l2cs_net", lambda c: c.update(commercial_use="no"), "commercial_use must be true or"),
        ("l2cs_net", lambda c: c.update(estimates="age"), "estimates must be gaze or expression"),
        ("l2cs_net", lambda c: c["input"].update(colour="CMYK"), "in input, colour: 'CMYK' is not"),
        ("l2cs_net", lambda c: c["input"].update(std=[0, 1, 1]), "in input, std: "),
        ("l2cs_net", lambda c: c["input"].update(mean=[0, 1]), "input.mean must have 1 or 3"),
        ("l2cs_net", lambda c: c["input"].update(range=[1, 1]), "input.range must have different"),
        ("l2cs_net", lambda c: c["picture"].update(crop="body"), "in picture, crop: 'body' is not"),
        ("l2cs_net", lambda c: c["picture"].update(focal=960), "focal and distance belong to"),
        ("l2cs_net", lambda c: c["picture"].pop("angles_in"), "give angles_in line_of_sight"),
        ("unigaze", lambda c: c["picture"].pop("distance"), "needs focal"),
        ("l2cs_net", lambda c: c["outputs"]["yaw"].update(positive="up"), "yaw.positive must be"),
        ("l2cs_net", lambda c: c["outputs"]["yaw"].update(bins=0), "yaw.bins and width_deg must"),
        ("l2cs_net", lambda c: c["outputs"].update(roll={}), "outputs.roll is not known"),
        ("l2cs_net", lambda c: c.update(license="MIT"), "license is not known: did you mean"),
        ("emotiefflib", lambda c: c["crop"].update(window=[0, 0, 0]), "crop.window must be three"),
        (
            "emotiefflib",
            lambda c: c["outputs"]["expression"]["classes"].__setitem__(0, "furious"),
            "classes has 'furious': each must be one of neutral",
        ),
        (
            "emotiefflib",
            lambda c: c["outputs"]["expression"]["classes"].__setitem__(0, "none"),
            "classes has no angry",
        ),
        ("emotiefflib_va", lambda c: c["outputs"].pop("arousal"), "arousal is missing"),
    ],
)
def test_a_wrong_card_is_named_with_its_field(
    card: str, change: Change, message: str, tmp_path: Path
) -> None:
    content = card_content(card)
    change(content)
    file = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_contract(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["input"].update(name="image"), "input.name does not fit"),
        (lambda c: c["input"].update(layout="NHWC"), "[N, 3, 224, 224], but the card says [N, 224"),
        (lambda c: c["picture"].update(size=448), "but the card says [N, 3, 448, 448]"),
        (
            lambda c: c["outputs"]["yaw"].update(output="yaw"),
            "name one of them, not yaw",
        ),
        (lambda c: c["outputs"]["yaw"].update(index=2), "has 2 values for each face"),
        (
            lambda c: c["outputs"]["yaw"].update(form="bins", bins=90, width_deg=4),
            "has 2 values for each face, but the card needs at least 91",
        ),
    ],
)
def test_a_card_that_does_not_fit_the_file_is_refused(
    change: Change,
    message: str,
    unigaze: Path,
    own_models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = card_content("unigaze")
    change(content)
    card = written(tmp_path, content)
    assert cli.main(["import", "onnx", str(unigaze), "--card", str(card)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!doctype html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x08\x08\x12", "export the network again"),
        (None, "it is a named pipe, not a file"),
    ],
)
def test_a_file_that_is_no_network_is_refused(
    content: bytes | None,
    message: str,
    own_models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "odd.onnx"
    if content is None:
        os.mkfifo(file)
    else:
        file.write_bytes(content)
    assert cli.main(["import", "onnx", str(file), "--card", "unigaze"]) == 1
    said = capsys.readouterr().err
    assert f"{file} cannot be read" in said
    assert message in said


def test_an_unknown_card_is_refused(
    own_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import", "onnx", str(tmp_path / "x.onnx"), "--card", "unigaz"]) == 1
    assert "did you mean unigaze?" in capsys.readouterr().err


def test_weights_in_another_file_are_read_from_its_folder_only(
    unigaze: Path, tmp_path: Path
) -> None:
    file = tmp_path / "inside" / "network.onnx"
    file.parent.mkdir()
    model = onnx.load(unigaze)
    whole = {weights.name: weights.raw_data for weights in model.graph.initializer}
    onnx.save(model, file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    found = {weights.name: weights.raw_data for weights in read_graph(file).graph.initializer}
    assert found == whole
    (file.parent / "weights.bin").rename(tmp_path / "weights.bin")
    with pytest.raises(ModelError, match=r"network\.onnx cannot be read"):
        read_graph(file)
    model = onnx.load(file, load_external_data=False)
    for weights in model.graph.initializer:
        weights.external_data[0].value = "../weights.bin"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"network\.onnx cannot be read"):
        read_graph(file)


def test_a_file_of_an_old_exporter_runs(unigaze: Path, own_models: Path, tmp_path: Path) -> None:
    """In format 3, all weights are also inputs."""
    model = onnx.load(unigaze)
    model.ir_version, model.opset_import[0].version = 3, 9
    for weights in model.graph.initializer:
        port = helper.make_tensor_value_info(weights.name, weights.data_type, weights.dims)
        model.graph.input.append(port)
    file = tmp_path / "old.onnx"
    onnx.save(model, file)
    assert cli.main(["import", "onnx", str(file), "--card", "unigaze"]) == 0
    onnx.checker.check_model(find_card("old").path)
    found = load("old").infer({"picture": np.zeros((2, 224, 224, 3), np.float32)})
    assert found["gaze"].shape == (2, 2)


def test_a_network_that_returns_nan_is_refused(
    unigaze: Path, own_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(unigaze)
    for weights in model.graph.initializer:
        if weights.name.endswith(".bias"):
            weights.raw_data = np.full(2, np.nan, np.float32).tobytes()
    file = tmp_path / "nan.onnx"
    onnx.save(model, file)
    assert cli.main(["import", "onnx", str(file), "--card", "unigaze"]) == 1
    assert "returns NaN: check range" in capsys.readouterr().err


def test_it_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'pytorch_lightning', 'scipy', 'pyarrow', 'tensorboard'):\n"
        "    sys.modules[name] = None\n"
        "import face_perception.learning.onnx_file.checkpoint\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_geometric_estimator_passes_the_sign_test(faces: list[MirroredFace]) -> None:
    """The estimator that the package was measured with has the signs that the test demands."""
    seen, truth = [], []
    for pair in faces:
        both = []
        for frame, face in ((pair.frame, pair.face), (pair.mirrored, pair.mirrored_face)):
            gaze = GeometricGaze().estimate(frame.camera, face, 0.0)
            axes = normalized_camera_rotation(frame.camera, face)
            yaw, pitch = to_normalized_angles(axes, gaze.direction)
            both.append((pitch, yaw) if gaze.valid else (math.nan, math.nan))
        if np.isfinite(both).all():
            seen.append(both)
            truth.append(pair.gaze)
    assert len(seen) >= 15
    text = judge_gaze("geometric", np.array(seen), np.array(truth))
    assert "too little" not in text


def test_answers_that_have_nothing_to_do_with_the_picture_are_refused() -> None:
    random = np.random.default_rng(3)
    truth = random.normal(0, 0.2, (30, 2))
    with pytest.raises(ModelError, match=r"variance of its angles fits .* are needed"):
        judge_gaze("noise", random.normal(0, 0.2, (30, 2, 2)), truth)
    with pytest.raises(ModelError, match="says nearly the same for every picture"):
        judge_gaze("constant", np.zeros((30, 2, 2)), truth)
    right = np.stack([truth, truth * (1, -1)], axis=1)
    assert "100% of yaw flips" in judge_gaze("right", right, truth)
    assert LEAST_SHARE > 0.5
    here = random.dirichlet(np.ones(7), 9)
    with pytest.raises(ModelError, match="change by"):
        judge_expression("noise", here, random.dirichlet(np.ones(7), 9), "happy")
    with pytest.raises(ModelError, match="nearly the same"):
        judge_expression("constant", np.full((9, 7), 1 / 7), np.full((9, 7), 1 / 7), "happy")
    assert "check the order of classes" in judge_expression("right", here, here, EXPRESSIONS[0])
