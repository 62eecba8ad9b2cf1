"""Tests computed costs, the roofline page, and the two commands that measure. Asserts no time."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path

import numpy as np
import pytest

from bench import compare
from bench.figures import Figures
from bench.fuzzing.converter_targets import CONVERTERS
from bench.roofline.devices import DEVICES
from bench.roofline.musetalk import image_seconds
from bench.roofline.page import roofline_page
from face_perception import cli
from face_perception.commands.convert import SETS
from face_perception.inference import (
    catalogue,
    compare_speeds,
    infer_overhead,
    load,
    measure_speeds,
)
from face_perception.inference.conversion.onnx_graph import Graph
from face_perception.inference.graph_cost import network_cost
from face_perception.inference.speed_measurement import time_in_turns

ROOT = Path(__file__).parents[2]


def convolution() -> bytes:
    """Returns a convolution of 8 channels of 4x4 to 16 by 3x3 (same size), and a product with [4,
    5].
    """
    graph = Graph("convolution")
    image = graph.input("image", (8, 4, 4))
    weights = graph.constant(np.zeros((16, 8, 3, 3)))
    image = graph.node("Conv", image, weights, pads=[1, 1, 1, 1])
    image = graph.node("Relu", image)
    graph.output("out", graph.node("MatMul", image, graph.constant(np.zeros((4, 5)))), (16, 4, 5))
    return graph.serialise()


@pytest.mark.parametrize("batch", [1, 3])
def test_cost_counts_every_product(batch: int) -> None:
    found = network_cost(convolution(), batch)
    assert [layer.flops for layer in found.layers] == [
        batch * 2 * 16 * 4 * 4 * 8 * 3 * 3,
        batch * 2 * 16 * 4 * 5 * 4,
    ]
    assert found.weights == 16 * 8 * 3 * 3 + 4 * 5
    assert found.values == batch * (8 * 4 * 4 + 16 * 4 * 5)
    assert found.layers[0].values == batch * (8 * 4 * 4 + 16 * 4 * 4)


def test_floor_is_the_slower_of_compute_and_memory() -> None:
    found = network_cost(convolution())
    assert found.minimum_seconds(peak=found.flops, bandwidth=1e12, width=2) == pytest.approx(1)
    moved = found.weights + found.values
    assert found.minimum_seconds(peak=1e12, bandwidth=moved, width=2) == pytest.approx(2)
    assert found.layered_seconds(1e9, 1e9, 2) >= found.minimum_seconds(1e9, 1e9, 2)


def test_what_is_fused_counts_once() -> None:
    """A Relu runs in the kernel of its convolution; a PReLU reads and writes memory once more."""
    plain = network_cost(convolution())
    assert (plain.kernels, plain.passes) == (2, ())
    graph = Graph("prelu")
    image = graph.input("image", (8, 4, 4))
    image = graph.node("Conv", image, graph.constant(np.zeros((16, 8, 1, 1))))
    image = graph.prelu(image, np.full((16, 1, 1), 0.5, np.float32))
    graph.output("out", graph.node("Transpose", image, perm=[0, 2, 3, 1]), (4, 4, 16))
    found = network_cost(graph.serialise())
    assert found.passes == (2 * 16 * 4 * 4,)
    assert found.kernels == 3
    moved = 8 * 4 * 4 + 3 * 16 * 4 * 4 + 16 * 8
    assert found.layered_seconds(peak=1e12, bandwidth=moved, width=1) == pytest.approx(1)


def test_computations_on_shapes_are_no_kernels() -> None:
    graph = Graph("shapes")
    image = graph.input("image", (8, 4, 4))
    size = graph.node("Gather", graph.node("Shape", image), graph.indices([0]))
    shape = graph.node("Concat", size, graph.indices([-1]), axis=0)
    graph.output("out", graph.node("Reshape", image, shape), (128,))
    assert network_cost(graph.serialise()).kernels == 0


def test_a_shape_that_is_not_known() -> None:
    graph = Graph("unknown")
    image = graph.input("image", (8, 4, 4))
    shape = graph.node("NonZero", image)
    graph.output("out", graph.node("MatMul", graph.node("Cast", shape, to=1), image), (8, 4, 4))
    with pytest.raises(ValueError, match="the shape of n1 is unknown"):
        network_cost(graph.serialise())


def test_devices_add_up_to_what_they_are_quoted_for() -> None:
    for device in DEVICES:
        words = device.quoted.split()
        # Sparse is twice as fast as dense, FP4 twice as fast as FP8.
        factor = 4 if "FP4" in words else 2
        assert factor * device.peak(8) / 1e12 == pytest.approx(float(words[0]), rel=0.03)


def test_the_roofline_page_is_what_the_graphs_say() -> None:
    written = (ROOT / "docs" / "roofline.md").read_text(encoding="utf-8")
    assert written == roofline_page(), "python -m bench.roofline docs/roofline.md"
    assert "Estimated, not measured" in written


def test_calls_take_turns() -> None:
    order: list[str] = []
    times = time_in_turns(
        {name: lambda name=name: order.append(name) for name in "ab"}, seconds=0, least=3
    )
    assert order == ["a", "b"] * 5
    for found in times.values():
        assert 0 < found.least <= found.p50 <= found.p95


def test_speeds_of_a_model() -> None:
    model = load("expression", backend="onnxruntime")
    one, four = measure_speeds(model, (1, 4), seconds=0)
    assert four.flops == 4 * one.flops == 4 * network_cost(model.card.path.read_bytes()).flops
    assert one.flops_per_second == one.flops / one.times.least
    assert infer_overhead(model, seconds=0) > 0


def test_batches_that_a_network_cannot_take_are_left_out() -> None:
    """The state of voice_activity is that of one stream of sound."""
    model = load("voice_activity", backend="onnxruntime")
    assert [speed.batch for speed in measure_speeds(model, (1, 2), seconds=0)] == [1]
    assert list(compare_speeds({"only": model}, (1, 2), seconds=0)) == [1]


def test_bench(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "expression", "--seconds", "0", "--batch", "2", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["gemm_gflops"] > 0
    processor, gpu = report["models"]
    assert [row["batch"] for row in processor["batches"]] == [1, 2]
    assert "on the CPU, 1 thread, fp32" in processor["runs_on"]
    assert processor["over_raw"] > 0
    assert ("not_run" in gpu) != ("batches" in gpu)
    assert cli.main(["bench", "expression", "--seconds", "0", "--batch", "1"]) == 0
    said = capsys.readouterr().out
    assert "expression: Model.infer takes" in said
    assert "GFLOP/s" in said


def test_bench_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--batch", "0"]) == 1
    assert "--batch must be 1 or more, not 0" in capsys.readouterr().err
    assert cli.main(["bench", "astronaut", "--seconds", "0", "--backend", "onnxruntime"]) == 1
    assert "astronaut is a photograph" in capsys.readouterr().err


def test_every_network_is_on_the_page() -> None:
    page = roofline_page()
    for card in catalogue().values():
        ours = card.kind == "model" and not card.folder and not card.optional
        assert (f"| {card.name} |" in page) == ours


def test_musetalk_on_paper() -> None:
    """Larger batches share the weights, and the tiny decoder costs less than the exact one."""
    slow, fast = DEVICES[0], DEVICES[-1]
    for device in DEVICES:
        one = [image_seconds(device, name, 1) for name in ("exact", "lower", "tiny")]
        assert one == sorted(one, reverse=True)
        assert image_seconds(device, "tiny", 8) < one[2]
    assert image_seconds(slow, "exact", 1) > 3 * image_seconds(fast, "exact", 1)
    # 622 GFLOP and 178 GFLOP at 10.2 TFLOP/s: a larger batch does not help.
    assert image_seconds(slow, "exact", 8) > 0.8e12 / slow.peak(16)


def names_in(path: Path) -> set[str]:
    """Returns the names that a module has at its top level."""
    names: set[str] = {other.stem for other in path.parent.glob("*") if path.stem == "__init__"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name) for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted((ROOT / "bench").rglob("*.py")), ids=lambda p: p.stem)
def test_what_a_benchmark_imports_exists(path: Path) -> None:
    """Nothing else runs them, so a renamed function would be noticed months later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module.partition(".")[0] not in ("face_perception", "bench"):
            continue
        base = ROOT / node.module.replace(".", "/")
        module = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if node.module in ("face_perception.msg", "face_perception.srv"):
            continue
        assert module.exists(), f"line {node.lineno}: {node.module}"
        missing = {alias.name for alias in node.names} - names_in(module)
        missing -= {"msg", "srv", "action"} if node.module == "face_perception" else set()
        assert not missing, f"line {node.lineno}: {node.module} has no {', '.join(missing)}"


def test_figures_that_got_worse_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A time counts relative to the reference work, which took twice as long in the second run."""
    for folder, reference, slow, speed in (("old", 0.1, 0.01, 2.0), ("new", 0.2, 0.03, 1.8)):
        monkeypatch.setattr("bench.figures.reference_seconds", lambda value=reference: value)
        figures = Figures("example")
        figures.add_time("as before", 0.01 * reference)
        figures.add_time("slower", slow)
        figures.add("speed", speed, higher_is_better=True)
        figures.add("memory", 100.0)
        new = folder == "new"
        figures.add("stopped", 0.0 if new else 30.0, higher_is_better=True)
        figures.add("unknown", math.nan if new else 1.0)
        if not new:
            figures.add("gone", 1.0)
        figures.save(tmp_path / folder / "example.json")
    monkeypatch.setattr("sys.argv", ["compare.py", str(tmp_path / "old"), str(tmp_path / "new")])
    assert compare.main() == 1
    said = {line[:50].strip(): line.split() for line in capsys.readouterr().out.splitlines()[1:]}
    assert said["as before"][-1] == "same"
    assert said["slower"][-3:] == ["+50.0", "%", "WORSE"]
    assert said["speed"][-3:] == ["+11.1", "%", "WORSE"]
    assert said["memory"][-1] == "same"
    assert said["gone"][-1] == "missing"
    assert said["stopped"][-1] == said["unknown"][-1] == "WORSE"
    monkeypatch.setattr("sys.argv", ["compare.py", *2 * [str(tmp_path / "old")]])
    assert compare.main() == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("{", "it is not JSON"), ("[]", "has no figures")],
)
def test_what_has_no_figures_is_named(
    content: str | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Figures("example").save(tmp_path / "good.json")
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    for order in ((bad, tmp_path / "good.json"), (tmp_path / "good.json", bad)):
        monkeypatch.setattr("sys.argv", ["compare.py", *map(str, order)])
        with pytest.raises(SystemExit, match="2"):
            compare.main()
        told = capsys.readouterr().err
        assert f"{bad}" in told
        assert said in told


def test_the_reference_work_takes_time() -> None:
    assert 0 < Figures("example")._reference[0] < 60


def test_every_converter_is_fuzzed() -> None:
    # The files of mpiifacegaze are other targets: "annotations" and "camera of a data set".
    assert {f"converter {name}" for name in SETS} - {*CONVERTERS} == {"converter mpiifacegaze"}


def test_the_sound_in_a_simulated_room_decays() -> None:
    """The loudspeaker of room 1110 is near the microphone, and its reverberation is short."""
    pytest.importorskip("scipy")
    from bench.simulated_rooms import RATE, make_room

    room = make_room(1110)
    for response in (room.echo, room.voice):
        early = (response[: round(0.1 * RATE)] ** 2).sum()
        assert early > 0.9 * (response**2).sum()
