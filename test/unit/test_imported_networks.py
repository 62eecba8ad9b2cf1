"""Tests imported networks: they are complete, sealed and found by name; a changed byte is
refused.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_perception import cli, paths
from face_perception.commands import import_checkpoint as importing
from face_perception.inference import (
    Card,
    ModelBuild,
    ModelError,
    Port,
    catalogue,
    find_card,
    install_model,
    load,
    make_variant,
    read_reference_inputs,
    verify_models,
)
from face_perception.inference.conversion.onnx_graph import Graph


def doubling() -> ModelBuild:
    graph = Graph("twice")
    face = graph.input("face", (2,))
    graph.output("twice", graph.node("Add", face, face), (2,))
    return ModelBuild(
        name="twice",
        onnx=graph.serialise(),
        task="doubles",
        licence="none stated",
        origin="twice.npz (sha256 00)",
        inputs={"face": Port((None, 2), "float32", "anything")},
        outputs={"twice": Port((None, 2), "float32", "doubled", tolerance=0.01)},
        reference_inputs={"face": np.array([[1, 2], [3, 4.5]], np.float32)},
        facts={"classes": ["a", "b"], "thresholds": [0.25, 0.5], "window": 32},
    )


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    return folder


def test_an_installed_network_runs_by_name(models: Path) -> None:
    made = doubling()
    card = install_model(made)
    assert card.path == models / "twice.onnx"
    assert sorted(p.name for p in models.iterdir() if p.name != ".lock") == [
        "twice.npz", "twice.onnx", "twice.yaml",
    ]  # fmt: skip
    model = load("twice")
    assert model.infer({"face": np.ones((3, 2), np.float32)})["twice"].tolist() == [[2, 2]] * 3
    assert dict(model.card.facts) == made.facts
    assert (card.licence, card.origin) == (made.licence, made.origin)
    assert (card.inputs, card.outputs) == (made.inputs, made.outputs)
    np.testing.assert_array_equal(
        read_reference_inputs(card)["face"], made.reference_inputs["face"]
    )
    assert find_card("twice") == catalogue()["twice"] == card
    assert find_card(models / "twice.yaml").sha256 == card.sha256


def test_an_output_may_be_called_as_an_input(models: Path) -> None:
    """In an ONNX file an input and an output cannot share a name. The card gives the public
    name.
    """
    made = doubling()
    port = dataclasses.replace(made.outputs["twice"], public="face")
    card = install_model(dataclasses.replace(made, outputs={"twice": port}))
    assert card.outputs == {"twice": port}
    make_variant("twice", "fp16")
    for precision in ("fp32", "fp16"):
        model = load("twice", precision=precision)
        assert model.outputs == {"face": port}
        found = model.infer({"face": np.ones((1, 2), np.float32)})
        assert {name: value.tolist() for name, value in found.items()} == {"face": [[2, 2]]}
        assert [one.output for one in model.deviations] == ["twice"] * (precision != "fp32")


def test_variants_of_it_are_made_and_gated(models: Path) -> None:
    install_model(doubling())
    make_variant("twice", "fp16")
    assert load("twice", precision="fp16").infer({"face": np.ones((1, 2), np.float32)})
    assert set(catalogue()) >= {"twice"}
    assert not any("." in name for name in catalogue())


def test_a_network_over_time_has_free_sizes_and_a_limit() -> None:
    graph = Graph("sum")
    face = graph.input("features", ("T", 2))
    graph.output("twice", graph.node("Add", face, face), ("T", 2))
    port = Port((None, None, 2), "float32", "features", most=(8, 64, 2))
    made = dataclasses.replace(
        doubling(),
        name="over_time",
        onnx=graph.serialise(),
        inputs={"features": port},
        outputs={"twice": Port((None, None, 2), "float32", "doubled", tolerance=0.01)},
        reference_inputs={"features": np.ones((1, 5, 2), np.float32)},
    )
    assert install_model(made).inputs == {"features": port}
    found = load("over_time").infer({"features": np.ones((2, 7, 2), np.float32)})
    assert found["twice"].shape == (2, 7, 2)


@pytest.mark.parametrize("file", ["twice.onnx", "twice.yaml"])
def test_any_changed_byte_is_noticed(models: Path, file: str) -> None:
    install_model(doubling())
    path = models / file
    whole = path.read_bytes()
    for number, at in enumerate(range(0, len(whole), max(1, len(whole) // 60))):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ModelError, match=r"twice\.(onnx|yaml)"):
            load("twice")
        if number % 10 == 0:  # slow: reads the cards and files of all models
            problems = {check.name: check.problem for check in verify_models()}
            assert problems["twice"], at
    path.write_bytes(whole)
    load("twice")


def test_a_broken_card_does_not_harm_the_others(
    models: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    install_model(doubling())
    install_model(dataclasses.replace(doubling(), name="thrice"))
    (models / "thrice.yaml").write_text("kind: model\n")
    assert "twice" in catalogue()
    assert "thrice" not in catalogue()
    assert "thrice.yaml" in caplog.text
    load("twice")
    assert cli.main(["models", "list"]) == 0
    assert re.search(r"^thrice .* damaged", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["models", "verify"]) == 1


def test_half_an_import_is_never_loaded(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file is there and the new card is not yet, as after kill -9 or on a full disk."""
    install_model(doubling())
    other = Graph("thrice")
    face = other.input("face", (2,))
    other.output("twice", other.node("Add", face, other.node("Add", face, face)), (2,))
    from face_perception.inference.models import install as imported

    real = imported.write_atomically

    def full_disk(path: Path, data: bytes) -> None:
        if path.suffix == ".yaml":
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(imported, "write_atomically", full_disk)
    with pytest.raises(ModelError, match=r"cannot write twice .*No space left.*FACE_PERCEPTION"):
        install_model(dataclasses.replace(doubling(), onnx=other.serialise()))
    with pytest.raises(ModelError, match=r"twice\.onnx is damaged.*import it again"):
        load("twice")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "expression"}, "is a model of the package"),
        ({"name": "geometric"}, "is a gaze estimator of the package"),
        ({"name": "small_gaze"}, "is a gaze estimator of the package"),
        ({"name": "../evil"}, "cannot be the name"),
        ({"name": "a.b"}, "cannot be the name"),
        ({"licence": ""}, "twice has no licence"),
        (
            {"reference_inputs": {"face": np.ones((2, 3), np.float32)}},
            r"face of twice is .*\[2, 3\]",
        ),
    ],
)
def test_what_cannot_be_installed(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        install_model(dataclasses.replace(doubling(), **change))


@pytest.mark.parametrize("name", ["a.b", "expression"])
def test_a_name_is_refused_before_the_work(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["import", "geddnet", "none.npz"], ["train", "geddnet"]):
        pytest.importorskip("torch")
        assert cli.main([*command, "--name", name]) == 1
        (message,) = capsys.readouterr().err.splitlines()
        assert name in message
        assert "none.npz" not in message


def test_import_command(
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Tests the command's own part, with a system whose network is the one above."""
    package = tmp_path / "package"
    (package / "networks").mkdir(parents=True)
    (package / "networks" / "import_geddnet.py").touch()
    monkeypatch.setattr(paths, "package_dir", lambda: package)

    def add_arguments(parser: Any) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--name", default="twice")

    def make(args: Any, report: Any) -> Iterator[ModelBuild]:
        report(f"reading {args.path}")
        yield dataclasses.replace(doubling(), name=args.name)

    system = types.SimpleNamespace(add_arguments=add_arguments, make=make)
    monkeypatch.setattr(importing, "_module", lambda name: system)
    for command in (["import"], ["models", "import"]):
        assert cli.main([*command, "geddnet", "--name", "mine", "weights.npz"]) == 0
        out, err = capsys.readouterr()
        assert out == f"mine: {models / 'mine.onnx'}\n"
        assert err == "geddnet: reading weights.npz\n"
    with pytest.raises(SystemExit):
        cli.main(["import", "geddnet"])
    assert "face-perception import geddnet: error:" in capsys.readouterr().err


def test_import_without_torch_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(importing.importlib, "import_module", missing)
    assert cli.main(["import", "geddnet", "x.npz"]) == 1
    assert "importing geddnet needs torch: pip install torch==" in capsys.readouterr().err


def test_cards_say_where_they_are(models: Path) -> None:
    card: Card = install_model(doubling())
    assert card.folder == models
    assert card.reference_inputs_path == models / "twice.npz"
