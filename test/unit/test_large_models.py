"""Tests models whose weights are in a file next to the ONNX file: install, verify, run, build."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import numpy as np
import pytest

from face_perception import files as inference_files
from face_perception.inference import (
    Card,
    ModelBuild,
    ModelError,
    Port,
    export_onnx_file,
    find_card,
    install_model,
    load,
    make_variant,
    verify_models,
)
from face_perception.inference.conversion import precision
from face_perception.inference.models import store
from face_perception.inference.tensorrt.engine_build import build_engine

onnx = pytest.importorskip("onnx")

WEIGHT = np.arange(32, dtype=np.float32).reshape(4, 8) / 8
DATA = "large.onnx.data"


def large(folder: Path, weight: np.ndarray = WEIGHT) -> ModelBuild:
    """Returns a model ``y`` = ``x`` @ weight, with the weight in an external file."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    tensor = onnx.TensorProto(name="w", data_type=kind, dims=weight.shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", DATA), ("offset", "0"), ("length", str(weight.nbytes))):
        tensor.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", kind, ["N", 4])],
        [helper.make_tensor_value_info("y", kind, ["N", 8])],
        [tensor],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opset)
    folder.mkdir(exist_ok=True)
    (folder / DATA).write_bytes(weight.tobytes())
    return ModelBuild(
        name="large",
        onnx=model.SerializeToString(),
        extra={DATA: folder / DATA},
        task="multiplies",
        licence="none stated",
        origin="here",
        inputs={"x": Port((None, 4), "float32", "anything")},
        outputs={"y": Port((None, 8), "float32", "products", tolerance=0.05)},
        reference_inputs={"x": np.ones((2, 4), np.float32)},
    )


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "models"


def answer() -> np.ndarray:
    return load("large", backend="onnxruntime").infer({"x": np.ones((1, 4), np.float32)})["y"][0]


def test_it_runs_by_name(models: Path, tmp_path: Path) -> None:
    made = large(tmp_path / "new")
    card = install_model(made)
    assert sorted(p.name for p in models.iterdir() if p.name != ".lock") == [
        "large.npz", "large.onnx", DATA, "large.yaml",
    ]  # fmt: skip
    assert not (tmp_path / "new" / DATA).exists()
    assert card == find_card("large")
    assert set(card.extra) == {DATA}
    np.testing.assert_allclose(answer(), WEIGHT.sum(axis=0))
    assert {c.name: c.problem for c in verify_models()}["large"] == ""


def test_every_byte_of_the_weights_counts(models: Path, tmp_path: Path) -> None:
    install_model(large(tmp_path / "new"))
    path = models / DATA
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole + b"x", *(_flipped(whole, at) for at in (0, 60, 127))):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=rf"{DATA} is damaged .*import it again"):
            answer()
        assert DATA in {c.name: c.problem for c in verify_models()}["large"]
    path.unlink()
    with pytest.raises(ModelError, match=rf"model large needs .*{DATA}, which is missing: import"):
        answer()


def _flipped(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


def test_weights_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_model(large(tmp_path / "new"))
    hashed: list[str] = []
    real = inference_files.sha256_of

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return real(path)

    monkeypatch.setattr(store, "sha256_of", counted)
    answer()
    assert hashed == [DATA]


def test_half_an_import_is_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new weights are there, the new card is not yet."""
    install_model(large(tmp_path / "new"))
    from face_perception.inference.models import install as imported

    def full_disk(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(imported, "write_atomically", full_disk)
        with pytest.raises(ModelError, match=r"cannot write large .*No space left"):
            install_model(large(tmp_path / "newer", WEIGHT * 2))
    with pytest.raises(ModelError, match=rf"{DATA} is damaged"):
        answer()
    install_model(large(tmp_path / "newer", WEIGHT * 2))
    np.testing.assert_allclose(answer(), 2 * WEIGHT.sum(axis=0))


def test_weights_that_come_from_another_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path
) -> None:
    elsewhere = Path("/dev/shm") / f"face_perception_test_{os.getpid()}"
    if not elsewhere.parent.is_dir() or elsewhere.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    try:
        install_model(large(elsewhere))
        np.testing.assert_allclose(answer(), WEIGHT.sum(axis=0))
        assert list(elsewhere.iterdir()) == []
        assert not list(models.glob("*.part"))
    finally:
        for left in elsewhere.glob("*"):
            left.unlink()
        elsewhere.rmdir()


def test_fp16_is_one_file_and_belongs_to_these_weights(tmp_path: Path, models: Path) -> None:
    install_model(large(tmp_path / "new"))
    make_variant("large", "fp16")
    model = load("large", backend="onnxruntime", precision="fp16")
    found = model.infer({"x": np.ones((1, 4), np.float32)})["y"][0]
    np.testing.assert_allclose(found, WEIGHT.sum(axis=0), rtol=1e-3)
    # Other weights in the same graph: the variant does not belong to them.
    install_model(large(tmp_path / "newer", WEIGHT * 2))
    with pytest.raises(ModelError, match="made from another version of large"):
        load("large", backend="onnxruntime", precision="fp16")


def test_a_copy_takes_its_weights_along(tmp_path: Path) -> None:
    install_model(large(tmp_path / "new"))
    copy = export_onnx_file("large", "", tmp_path / "copy")
    assert (copy.parent / DATA).read_bytes() == WEIGHT.tobytes()
    assert onnx.load(str(copy)).graph.initializer[0].raw_data == WEIGHT.tobytes()


def test_what_cannot_be_installed(tmp_path: Path) -> None:
    made = large(tmp_path / "new")
    wrong = dataclasses.replace(made, extra={"../evil": made.extra[DATA]})
    with pytest.raises(ModelError, match=r"must be in large\.onnx\.data"):
        install_model(wrong)


def test_a_card_cannot_name_files_elsewhere(tmp_path: Path, models: Path) -> None:
    install_model(large(tmp_path / "new"))
    card = models / "large.yaml"
    text = card.read_text().partition("seal:")[0].replace(f"{DATA}:", "../../evil:")
    other = tmp_path / "evil.yaml"
    other.write_text(text)
    with pytest.raises(ModelError, match=r"extra\.\.\./\.\./evil must be a file name"):
        find_card(other)


def test_tensorrt_builds_it_where_it_is(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    card: Card = install_model(large(tmp_path / "new"))
    built = build_engine(card, store.read(card), tmp_path / "build")
    assert len(built.engine) > 1000
    (card.path.with_name(DATA)).unlink()
    with pytest.raises(ModelError, match=r"cannot parse .*large\.onnx"):
        build_engine(card, card.path.read_bytes(), tmp_path / "build")


@pytest.mark.parametrize(
    ("flags", "weights"),
    [
        ("flags\t\t: fpu avx2 avx512bw", onnx.TensorProto.UINT8),
        ("flags\t\t: fpu avx2 avx_vnni", onnx.TensorProto.INT8),
        ("Features\t: fp asimd asimddp", onnx.TensorProto.INT8),  # ARM
    ],
)
def test_all_products_run_in_int8(
    flags: str, weights: int, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those whose weights are shared through an Identity. Signed weights would saturate on a
    processor without VNNI.
    """
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\nbugs\t: none\n")
    monkeypatch.setattr(precision, "_CPU_INFO", tmp_path / "cpuinfo")
    made = large(tmp_path / "new")
    graph = onnx.load_from_string(made.onnx)
    graph.graph.node[0].input[1] = "shared"
    graph.graph.node.insert(0, onnx.helper.make_node("Identity", ["w"], ["shared"]))
    install_model(dataclasses.replace(made, onnx=graph.SerializeToString()))
    variant = make_variant("large", "int8-cpu")
    if weights == onnx.TensorProto.UINT8:
        assert variant.deviations[0].within
    found = onnx.load(models / "large.int8-cpu.onnx").graph
    kinds = [node.op_type for node in found.node]
    assert "MatMulInteger" in kinds
    assert "MatMul" not in kinds
    (quantized,) = (one for one in found.initializer if list(one.dims) == [4, 8])
    assert quantized.data_type == weights
    assert not [path.name for path in models.iterdir() if path.name.startswith((".v", ".f"))]
