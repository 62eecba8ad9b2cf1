"""Tests FP16 and INT8 variants, and the gate, which refuses those that deviate too much from
FP32.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import numpy_helper

from face_perception import cli, paths
from face_perception.files import add_seal, check_seal
from face_perception.inference import (
    Deviation,
    ModelError,
    build_tensorrt_engine,
    catalogue,
    export_onnx_file,
    find_card,
    load,
    make_variant,
    read_reference_inputs,
    read_variant,
    record_inputs,
    write_reference_inputs,
)
from face_perception.inference.accuracy_gate import deviations, refuse_deviating
from face_perception.inference.conversion.precision import to_fp16, to_int8
from face_perception.inference.models.variants import card_of, write_variant

KINDS = ("fp16", "int8-cpu", "int8-trt")


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Creates a model cache with the expression network."""
    folder = tmp_path / "models"
    folder.mkdir()
    for path in paths.models_dir().glob("expression.onnx*"):
        shutil.copy(path, folder)
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    return folder


@pytest.fixture
def samples() -> dict[str, np.ndarray]:
    return read_reference_inputs(find_card("expression"))


def test_fp16_serves() -> None:
    variant = make_variant("expression", "fp16")
    assert all(found.within for found in variant.deviations)
    model = load("expression", precision="fp16")
    assert (model.backend, model.precision) == ("onnxruntime", "fp16")
    assert ", fp16, " in model.why
    inputs = read_reference_inputs(find_card("expression"))
    off = model.infer(inputs)["probability"] - load("expression").infer(inputs)["probability"]
    largest = next(found.largest for found in variant.deviations if found.output == "probability")
    assert 0 < np.abs(off).max() == pytest.approx(largest, rel=0.05)


def test_fp16_is_half_the_size(models: Path) -> None:
    make_variant("expression", "fp16")
    sizes = [(models / name).stat().st_size for name in ("expression.onnx", "expression.fp16.onnx")]
    assert sizes[1] < 0.6 * sizes[0]
    graph = onnx.load(models / "expression.fp16.onnx").graph
    assert {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)} == {1}


def test_int8_has_the_two_recipes(models: Path, samples: dict[str, np.ndarray]) -> None:
    """TensorRT: all signed, with zero at 0. CPU: unsigned activations."""
    for kind, types in (("int8-trt", {3}), ("int8-cpu", {2, 3, 6})):
        make_variant("expression", kind, samples)
        graph = onnx.load(models / f"expression.{kind}.onnx").graph
        constants = {tensor.name: tensor for tensor in graph.initializer}
        zeros = [
            constants[node.input[2]]
            for node in graph.node
            if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        ]
        assert zeros
        assert {tensor.data_type for tensor in zeros} == types
        if kind == "int8-trt":
            assert not any(numpy_helper.to_array(tensor).any() for tensor in zeros)


def test_convolutions_that_share_a_bias_run_in_int8(tmp_path: Path) -> None:
    """PyTorch's exporter stores equal biases once and shares them through Identity nodes.

    The graph is a network that sees two eyes with the same two convolutions.
    """
    random = np.random.default_rng(0)
    constants = {
        "kernel1": random.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "kernel2": random.normal(size=(8, 8, 3, 3)).astype(np.float32),
        "bias": np.zeros(8, np.float32),
    }
    eyes = {eye: random.normal(size=(4, 3, 16, 16)).astype(np.float32) for eye in ("left", "right")}
    node, port = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [node("Identity", ["bias"], ["shared"])]
    for eye in eyes:
        nodes += [
            node("Conv", [eye, "kernel1", "bias"], [f"{eye}_features"]),
            node("Relu", [f"{eye}_features"], [f"{eye}_positive"]),
            node("Conv", [f"{eye}_positive", "kernel2", "shared"], [f"{eye}_out"]),
        ]
    graph = onnx.helper.make_graph(
        nodes,
        "two_eyes",
        [port(eye, onnx.TensorProto.FLOAT, ["N", 3, 16, 16]) for eye in eyes],
        [port(f"{eye}_out", onnx.TensorProto.FLOAT, ["N", 8, 12, 12]) for eye in eyes],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset]).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    on_cpu = ["CPUExecutionProvider"]
    int8 = onnxruntime.InferenceSession(to_int8(model, "int8-cpu", eyes), options, on_cpu)
    kinds = [n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node]
    assert kinds.count("QLinearConv") == 4
    assert "Conv" not in kinds
    wanted = np.stack(onnxruntime.InferenceSession(model, providers=on_cpu).run(None, eyes))
    off = np.stack(int8.run(None, eyes)) - wanted
    # 16-bit sums saturate on processors without VNNI, so single values may be far off.
    assert np.sqrt(np.mean(off**2)) < 0.2 * wanted.std()


def test_int8_needs_samples() -> None:
    with pytest.raises(ModelError, match="int8-cpu of expression needs samples"):
        make_variant("expression", "int8-cpu")


def test_what_is_off_is_kept_off(samples: dict[str, np.ndarray]) -> None:
    variant = make_variant("expression", "int8-cpu", samples)
    assert not variant.deviations[0].within
    said = r"expression: onnxruntime .* int8, .*: probability deviates by .* times the tol"
    with pytest.raises(ModelError, match=said):
        load("expression", precision="int8")
    model = load("expression", precision="int8", fall_back=True)
    assert (model.backend, model.precision) == ("onnxruntime", "fp32")
    assert "used because onnxruntime in int8 cannot be used: model expr" in model.why


def spoiled(data: bytes, spoil: float) -> bytes:
    """Returns the network with the weights of its first convolution scaled by 1 + spoil."""
    model = onnx.load_from_string(data)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    tensor = next(t for t in model.graph.initializer if t.name == first.input[1])
    values = numpy_helper.to_array(tensor) * np.float32(1 + spoil)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model.SerializeToString()


@pytest.mark.parametrize("spoil", [0.0, 10.0, np.nan])
def test_a_spoiled_network_with_a_whole_card(spoil: float) -> None:
    """The hashes are right, and the card says that the variant is exact. The gate measures
    itself.
    """
    card = find_card("expression")
    data = card.path.read_bytes()
    exact = Deviation("probability", largest=0.0, rms=0.0, relative=0.0, used=0.0)
    write_variant(card, "fp16", data, spoiled(data, spoil), [exact], "test")
    if spoil == 0:
        assert load("expression", precision="fp16").precision == "fp16"
    else:
        with pytest.raises(ModelError, match="fp16, deviates too much from ONNX Runtime in FP32"):
            load("expression", precision="fp16")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_variant(kind: str) -> None:
    with pytest.raises(ModelError, match=rf"no {kind} variant in .*: run `face-perception models"):
        read_variant("expression", kind)


def test_missing_variant_of_the_backend() -> None:
    with pytest.raises(ModelError, match=r"no int8-cpu variant.*quantize expression --recipe"):
        load("expression", precision="int8")
    with pytest.raises(ModelError, match=r"no int8-trt variant.*quantize expression --recipe"):
        build_tensorrt_engine("expression", "int8")


def test_every_byte_of_a_variants_card_counts(models: Path) -> None:
    made = make_variant("expression", "fp16")
    path = card_of(find_card("expression"), "fp16")
    whole = path.read_bytes()
    assert read_variant("expression", "fp16") == made
    for k in range(len(whole)):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :])
        with pytest.raises(ModelError, match=r"expression\.fp16\.yaml is damaged: run `face-perc"):
            read_variant("expression", "fp16")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is damaged"):
        read_variant("expression", "fp16")


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(more=1),
        lambda fields: fields.pop("sha256"),
        lambda fields: fields.pop("deviations"),
        lambda fields: fields.update(deviations=3),
        lambda fields: fields["deviations"][0].update(more=1),
    ],
)
def test_a_sealed_card_of_another_version(change: Callable[[dict[str, Any]], object]) -> None:
    make_variant("expression", "fp16")
    path = card_of(find_card("expression"), "fp16")
    body = check_seal(path.read_text())
    assert body is not None
    header, _, content = body.partition("\n")
    fields = yaml.safe_load(content)
    change(fields)
    path.write_text(add_seal(f"{header}\n{yaml.safe_dump(fields, sort_keys=False)}"))
    with pytest.raises(ModelError, match=r"expression\.fp16\.yaml is damaged: run `face-perc"):
        read_variant("expression", "fp16")


@pytest.mark.parametrize("name", ["expression.fp16.onnx", "expression.onnx"])
def test_a_byte_of_a_network(models: Path, name: str) -> None:
    make_variant("expression", "fp16")
    data = bytearray((models / name).read_bytes())
    data[len(data) // 2] ^= 1
    (models / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name} is damaged"):
        load("expression", precision="fp16")


def test_variant_of_another_network(models: Path) -> None:
    """Another converter made the FP32 file again, so the variant no longer belongs to it."""
    card = find_card("expression")
    data = card.path.read_bytes()
    write_variant(card, "fp16", data + b" ", to_fp16(data), [], "test")
    with pytest.raises(ModelError, match="was made from another version of expression: run"):
        load("expression", precision="fp16")


def test_disk_full_when_a_variant_is_written(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from face_perception import files

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(models.iterdir())
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ModelError, match=r"cannot write fp16 of expression to .*No space left"):
        make_variant("expression", "fp16")
    assert sorted(models.iterdir()) == before


class Fixed:
    """A network that gives the same for every input."""

    def __init__(self, *values: float) -> None:
        self.values = np.array([values])

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"probability": self.values}


@pytest.mark.parametrize(
    ("values", "used"),
    [((1.0, 100.0), 0), ((1.1, 100.0), 1 / 2), ((1.0, 100.6), 0.5), ((1.3, 100.6), 1.5)],
)
def test_tolerance_has_an_absolute_and_a_relative_part(
    values: tuple[float, ...], used: float
) -> None:
    card = find_card("expression")
    port = dataclasses.replace(
        card.outputs["probability"], tolerance=0.2 - 0.01, relative_tolerance=0.01
    )
    card = dataclasses.replace(card, outputs={"probability": port})
    inputs = {"face": np.zeros((1, 64, 64, 1), np.float32)}
    found = deviations(card, Fixed(1.0, 100.0), Fixed(*values), inputs)[0]
    assert found.used == pytest.approx(used, abs=0.01)
    if used > 1:
        with pytest.raises(ModelError, match="the candidate, deviates"):
            refuse_deviating(card, [found], "the candidate")


def test_reference_inputs_of_every_network() -> None:
    for card in catalogue().values():
        if card.kind == "model":
            for name, value in read_reference_inputs(card).items():
                assert len(value) >= 4
                assert value.shape[1:] == card.inputs[name].shape[1:]
                assert all(a.std() > 0 for a in value)


def test_reference_inputs_are_kept_exactly(tmp_path: Path) -> None:
    card = dataclasses.replace(find_card("expression"), folder=tmp_path)
    rng = np.random.default_rng(0)
    for value in (
        rng.integers(0, 256, (3, 112, 112, 3)).astype(np.float32),
        rng.normal(size=(3, 112, 112, 3)).astype(np.float32),
    ):
        write_reference_inputs(card.reference_inputs_path, {"face": value})
        assert np.array_equal(read_reference_inputs(card)["face"], value)


@pytest.mark.parametrize("damage", ["missing", "truncated", "changed", "other"])
def test_damaged_reference_inputs(damage: str, tmp_path: Path) -> None:
    card = dataclasses.replace(find_card("expression"), folder=tmp_path)
    data = bytearray(find_card("expression").reference_inputs_path.read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    elif damage == "changed":
        data[len(data) // 2] ^= 1
    if damage == "other":
        write_reference_inputs(card.reference_inputs_path, {"face": np.zeros((1, 2), np.float32)})
    elif damage != "missing":
        card.reference_inputs_path.write_bytes(data)
    with pytest.raises(ModelError, match="run `face-perception models capture expression`"):
        read_reference_inputs(card)


def test_recording_keeps_what_networks_were_given(samples: dict[str, np.ndarray]) -> None:
    model = load("expression")
    face = samples["face"][:1].copy()
    with record_inputs() as seen:
        model.infer({"face": face})
        face[:] = 0
        model.infer({"face": face})
    model.infer({"face": face})
    kept = seen["expression"]
    assert len(kept) == 2
    assert np.array_equal(kept[0]["face"], samples["face"][:1])
    assert not kept[1]["face"].any()


def test_commands(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, face=read_reference_inputs(find_card("expression"))["face"])
    out = tmp_path / "out"
    assert cli.main(["models", "export", "expression", "--output", str(out)]) == 0
    assert (out / "expression.fp16.onnx").exists()
    assert "expression fp16: probability deviates by" in capsys.readouterr().out
    assert cli.main(["models", "quantize", "expression", "--inputs", str(inputs)]) == 0
    said = capsys.readouterr().out
    assert "int8-cpu: probability" in said
    assert "int8-trt: probability" in said
    assert "refused by the gate" in said
    assert cli.main(["models", "compare", "expression", "--seconds", "0.1"]) == 0
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines() if " x" in line][1:] == list(KINDS)
    assert (
        export_onnx_file("expression", "", out).read_bytes()
        == find_card("expression").path.read_bytes()
    )


def test_calibration_on_the_wrong_thing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "other.npz", picture=np.zeros(3))
    other = ["models", "quantize", "expression", "--inputs", str(tmp_path / "other.npz")]
    assert cli.main(other) == 1
    said = capsys.readouterr().err
    assert "other.npz cannot be read" in said
    assert "give an .npz file with the arrays face" in said
    (tmp_path / "text.png").write_text("no picture")
    assert cli.main(["models", "quantize", "expression", "--images", str(tmp_path / "no.png")]) == 1
    assert "no.png" in capsys.readouterr().err
    assert cli.main(["models", "quantize", "astronaut"]) == 1
    assert "astronaut is a photograph" in capsys.readouterr().err
