"""The multitask networks and MIMAMO-Net give the published answers.

In PyTorch, and in ONNX Runtime after the import command. TensorRT builds them.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from affect_goldens import (
    NETWORKS,
    load_networks,
    published_face,
    random_network,
)
from generated_weights import parameter_shapes
from goldens import Golden, golden

from face_perception import cli
from face_perception.inference import (
    Card,
    Model,
    find_card,
    load,
    make_variant,
    read_reference_inputs,
)
from face_perception.inference.models import store
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.multitask import export as multitask_export
from face_perception.learning.multitask.network import (
    HEADS,
    Multitask,
    RecurrentMultitask,
    average_logits,
    average_probabilities,
)
from face_perception.learning.resnet50_ferplus import MEAN, ResNet50FERPlus
from face_perception.types import EXPRESSIONS

# The largest deviations from the published answers.
LOGITS, POOLED, TWO_STREAM = 2e-5, 1e-4, 1e-5

MODELS = (
    *("multitask", "multitask_rnn_trunk", "multitask_rnn", "mimamo_appearance"),
    *("mimamo_frame", "mimamo_over_time", "mimamo", "mimamo_released"),
)

# Names of the heads in the goldens.
HEAD_NAMES = {"expression": "EXPR", "au": "AU", "va": "VA"}


@pytest.fixture(scope="module")
def mtl() -> Golden:
    return golden("multitask")


@pytest.fixture(scope="module")
def mimamo() -> Golden:
    return golden("mimamo")


@pytest.fixture(scope="module")
def networks() -> dict[str, torch.nn.Module]:
    return load_networks()


@pytest.fixture(scope="module")
def imported(
    published_affect_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Makes the imported models with the weights of the goldens the ones in use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(published_affect_models))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def run(name: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    return loaded(name).infer(inputs)


def loaded(name: str) -> Model:
    return load(name, backend="onnxruntime", threads=2)


def less_mean(faces: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(faces) - torch.tensor(MEAN).view(3, 1, 1)


def near(got: object, wanted: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=0, atol=tolerance)


# The networks in PyTorch.


@pytest.mark.parametrize(
    ("system", "tensors_", "parameters"),
    [
        ("multitask", 360, 24_314_999),
        ("multitask-rnn", 390, 24_545_582),
        ("mimamo", 107, 2_636_425),
        ("resnet50_ferplus", 320, 23_524_424),
    ],
)
def test_sizes_are_the_published_ones(system: str, tensors_: int, parameters: int) -> None:
    network = NETWORKS[system]()
    assert len(network.state_dict()) == tensors_
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("system", NETWORKS)
def test_names_and_shapes_are_the_published_ones(system: str) -> None:
    ours = NETWORKS[system]().state_dict()
    wanted = parameter_shapes(system.replace("-", "_"))
    assert {name: list(value.shape) for name, value in ours.items()} == wanted


@torch.no_grad()
def test_multitask_is_the_published_one(networks: dict[str, torch.nn.Module], mtl: Golden) -> None:
    network: Multitask = networks["multitask"]
    faces = less_mean(published_face(mtl["cnn_inputs_u8"], 134, 112))
    given = less_mean(published_face(mtl["faces_u8"][:2], 134, 112))
    near(given[:, :, ::4], mtl["input_first2"], 0)
    near(network.backbone(faces), mtl["cnn_backbone"], POOLED)
    features = network.features(faces)
    near(features, np.hstack([mtl[f"cnn_{HEAD_NAMES[head]}_feature"] for head in HEADS]), LOGITS)
    for head, logits in network(faces).items():
        near(logits, mtl[f"cnn_{HEAD_NAMES[head]}_logits"], LOGITS)


@torch.no_grad()
def test_two_stream_is_the_published_one(
    networks: dict[str, torch.nn.Module], mimamo: Golden
) -> None:
    for recurrence, out in (("clips", "out"), ("time", "out_time_axis")):
        network = TwoStream(recurrence).eval()
        network.load_state_dict(networks["mimamo"].state_dict())
        inputs = [
            torch.from_numpy(mimamo[f"net_b1t8_{name}"]) for name in ("rgb", "phase0", "phase1")
        ]
        near(network(*inputs), mimamo[f"net_b1t8_{out}"], TWO_STREAM)
        temporal = network.phasenet(*(x.flatten(0, 1) for x in inputs[1:]))
        near(temporal, mimamo["net_b1t8_temporal"], TWO_STREAM)


def test_released_recurrence_does_not_see_time() -> None:
    """Frames of one clip in another order give the same results, in that order.

    With the recurrence over time they do not.
    """
    inputs = [torch.rand(1, 5, *shape) for shape in ((2048,), (24, 48, 48), (24, 24, 24))]
    order = torch.tensor([3, 0, 4, 1, 2])
    state = random_network("mimamo", 3).state_dict()
    for recurrence in ("clips", "time"):
        network = TwoStream(recurrence).eval()
        network.load_state_dict(state)
        with torch.no_grad():
            out = network(*inputs)[:, order]
            reordered = network(*(x[:, order] for x in inputs))
        assert torch.allclose(out, reordered, atol=1e-6) == (recurrence == "clips")
    with pytest.raises(ValueError, match="recurrence must be time or clips, not 'batch'"):
        TwoStream("batch")


# The imported networks in ONNX Runtime.


def test_multitask_onnx_is_the_published_one(imported: None, mtl: Golden) -> None:
    found = run("multitask", face=published_face(mtl["cnn_inputs_u8"], 134, 112))
    for head, name in HEAD_NAMES.items():
        near(found[f"{head}_logits"], mtl[f"cnn_{name}_logits"], LOGITS)
    wanted = np.hstack([mtl[f"cnn_{HEAD_NAMES[head]}_feature"] for head in HEADS])
    near(found["features"], wanted, LOGITS)


def test_multitask_rnn_onnx_is_the_published_one(imported: None, mtl: Golden) -> None:
    faces = published_face(mtl["faces_u8"][:32], 134, 112)
    features = run("multitask_rnn_trunk", face=faces)["features"]
    for prefix, sequences in (
        ("rnn", features[None]),
        ("rnn_b2t16", features.reshape(2, 16, -1)),
    ):
        found = run("multitask_rnn", features=sequences)
        for head, name in HEAD_NAMES.items():
            near(found[f"{head}_logits"], mtl[f"{prefix}_{name}_logits"], LOGITS)


def test_appearance_onnx_is_the_published_one(imported: None, mimamo: Golden) -> None:
    faces = published_face(mimamo["e2e_frames_u8"][::14], 256, 224)
    near(less_mean(faces[:1])[:, :, ::8], mimamo["e2e_resnet_input0"], 0)
    near(run("mimamo_appearance", face=faces)["features"], mimamo["e2e_features"], POOLED)


def test_mimamo_onnx_is_the_published_one(imported: None, mimamo: Golden) -> None:
    inputs = {
        ours: mimamo[f"net_b1t8_{name}"]
        for ours, name in (("appearance", "rgb"), ("phase0", "phase0"), ("phase1", "phase1"))
    }
    over_time = mimamo["net_b1t8_out_time_axis"]
    near(run("mimamo", **inputs)["valence_arousal"], over_time, TWO_STREAM)
    near(
        run("mimamo_released", **inputs)["valence_arousal"],
        mimamo["net_b1t8_out"],
        TWO_STREAM,
    )
    # In two parts, as on a stream.
    frames = {name: value.reshape(-1, *value.shape[2:]) for name, value in inputs.items()}
    features = run("mimamo_frame", **frames)["features"].reshape(*over_time.shape[:2], -1)
    near(run("mimamo_over_time", features=features)["valence_arousal"], over_time, TWO_STREAM)


def random_inputs(name: str, sizes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Returns random inputs in the range of the reference inputs, with these free sizes."""
    random = np.random.default_rng(0)
    inputs = {}
    for port, reference_inputs in read_reference_inputs(find_card(name)).items():
        shape = (*sizes, *reference_inputs.shape[len(sizes) :])
        low, high = reference_inputs.min(), reference_inputs.max()
        inputs[port] = random.uniform(low, high, shape).astype(np.float32)
    return inputs


@pytest.mark.parametrize("count", [1, 3])
@torch.no_grad()
def test_faces_at_other_batches(
    imported: None, networks: dict[str, torch.nn.Module], count: int
) -> None:
    """The graphs were traced with two faces."""
    inputs = random_inputs("multitask", (count,))
    found = run("multitask", **inputs)
    for head, logits in networks["multitask"](less_mean(inputs["face"])).items():
        near(found[f"{head}_logits"], logits.numpy(), LOGITS)
    trunk = networks["multitask-rnn"].backbone.features(less_mean(inputs["face"]))
    near(run("multitask_rnn_trunk", **inputs)["features"], trunk.numpy(), LOGITS)
    inputs = random_inputs("mimamo_appearance", (count,))
    features = networks["resnet50_ferplus"](less_mean(inputs["face"])).numpy()
    near(run("mimamo_appearance", **inputs)["features"], features, POOLED)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 16), (3, 1), (4, 3)])
@torch.no_grad()
def test_sequences_at_other_sizes(
    imported: None, networks: dict[str, torch.nn.Module], sizes: tuple[int, int]
) -> None:
    """The graphs were traced with two sequences of three images."""
    inputs = random_inputs("multitask_rnn", sizes)
    found = run("multitask_rnn", **inputs)
    for head, logits in (
        networks["multitask-rnn"].over_time(torch.from_numpy(inputs["features"])).items()
    ):
        near(found[f"{head}_logits"], logits.numpy(), LOGITS)
    inputs = random_inputs("mimamo", sizes)
    for name, recurrence in (("mimamo", "time"), ("mimamo_released", "clips")):
        network = TwoStream(recurrence).eval()
        network.load_state_dict(networks["mimamo"].state_dict())
        wanted = network(*(torch.from_numpy(value) for value in inputs.values())).numpy()
        near(run(name, **inputs)["valence_arousal"], wanted, TWO_STREAM)


def test_recurrent_network_runs_from_faces(networks: dict[str, torch.nn.Module]) -> None:
    """Runs the whole network on clips of faces, as training does."""
    network: RecurrentMultitask = networks["multitask-rnn"]
    faces = torch.rand(2, 2, 3, 112, 112)
    with torch.no_grad():
        whole = network(faces)
        features = network.backbone.features(faces.flatten(0, 1)).reshape(2, 2, -1)
        for head, logits in network.over_time(features).items():
            assert logits.shape == (2, 2, HEADS[head])
            near(whole[head], logits.numpy(), 1e-6)


def test_cards_say_what_decoding_needs(imported: None) -> None:
    facts = {name: find_card(name).facts for name in MODELS}
    for name in ("multitask", "multitask_rnn"):
        assert facts[name]["au"] == [1, 2, 4, 6, 12, 15, 20, 25]
        assert facts[name]["expressions"] == list(EXPRESSIONS)
        assert facts[name]["va_values"] == pytest.approx(np.linspace(-1, 1, 20))
        assert len(facts[name]["expressions_published"]) == len(EXPRESSIONS)
    assert facts["multitask"]["au_thresholds"][:2] == [0.1448537, 0.03918985]
    assert facts["multitask_rnn"]["au_thresholds"][:2] == [0.30485213, 0.09509478]  # 16 frames
    assert (facts["multitask_rnn"]["window"], facts["multitask_rnn"]["trunk"]) == (
        16,
        "multitask_rnn_trunk",
    )
    assert [facts[name].get("recurrence") for name in ("mimamo", "mimamo_released")] == [
        "time",
        "clips",
    ]
    for name in ("mimamo", "mimamo_released"):
        assert facts[name]["appearance"] == "mimamo_appearance"
        assert (facts[name]["window"], facts[name]["rate_hz"]) == (64, 30)
    for name in MODELS:
        card = find_card(name)
        assert "MIT" in card.licence
        assert "sha256" in card.origin
    assert "model_weights.pth.tar" in find_card("mimamo").origin
    assert "resnet50_ferplus_dag.pth" in find_card("mimamo_appearance").origin


def test_thresholds_are_the_published_ones(mtl: Golden) -> None:
    """All digits are equal."""
    assert list(multitask_export.CNN_THRESHOLDS) == mtl["thresholds_cnn"].tolist()
    assert list(multitask_export.RNN_THRESHOLDS) == [32, 16, 8]
    for length, thresholds in multitask_export.RNN_THRESHOLDS.items():
        assert list(thresholds) == mtl[f"thresholds_rnn_{length}"].tolist()


@pytest.mark.parametrize("name", ["multitask_rnn", "mimamo", "mimamo_released"])
def test_half_precision_serves(imported: None, name: str) -> None:
    """ONNX Runtime has no FP16 recurrent layers and runs them in FP32."""
    make_variant(name, "fp16")
    model = load(name, backend="onnxruntime", precision="fp16")
    assert all(found.within for found in model.deviations)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="tensorrt_rtx is for x86-64")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    "name",
    MODELS,
)
def test_tensorrt_builds(imported: None, tmp_path: Path, name: str, precision: str) -> None:
    builds(find_card(name), tmp_path / "build", precision)


def builds(card: Card, folder: Path, precision: str) -> None:
    from face_perception.inference.conversion.precision import to_fp16
    from face_perception.inference.tensorrt.engine_build import build_engine

    onnx = store.read(card)
    if precision == "fp16":
        onnx = to_fp16(onnx)
    built = build_engine(card, onnx, folder, precision=precision)
    assert len(built.engine) > 0.8 * len(onnx)


# Ensembles


def two_students() -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(5)
    return [{head: 3 * torch.randn(4, size) for head, size in HEADS.items()} for _ in range(2)]


def test_average_of_logits() -> None:
    students = two_students()
    for head, logits in average_logits(students).items():
        near(logits, (students[0][head] + students[1][head]).numpy() / 2, 1e-6)


def test_average_of_probabilities() -> None:
    """The decoded average is the mean of the decoded results of the students."""
    students = two_students()
    found = average_probabilities(students)

    def mean(function: object) -> np.ndarray:
        return sum(function(student) for student in students).numpy() / len(students)

    near(found["au"].sigmoid(), mean(lambda s: s["au"].sigmoid()), 1e-6)
    near(found["expression"].softmax(1), mean(lambda s: s["expression"].softmax(1)), 1e-6)
    values = torch.linspace(-1, 1, 20)

    def va(student: dict[str, torch.Tensor]) -> torch.Tensor:
        return student["va"].reshape(-1, 2, 20).softmax(-1) @ values

    near(va(found), mean(va), 1e-6)


def test_students_that_are_sure_stay_finite() -> None:
    students = [{h: torch.full((1, n), 300.0 * sign) for h, n in HEADS.items()} for sign in (1, -1)]
    for student in students:
        student["va"][:, 3] = -900
        student["expression"][:, 2] = 900
    averaged = average_probabilities(students)
    assert all(logits.isfinite().all() for logits in averaged.values())
    near(averaged["au"].sigmoid(), np.full((1, 8), 0.5), 1e-6)


@pytest.mark.parametrize(
    "average", ["logits", pytest.param("probabilities", marks=pytest.mark.slow)]
)
@torch.no_grad()
def test_ensemble_is_imported_as_one_graph(
    imported: None, networks: dict[str, torch.nn.Module], tmp_path: Path, average: str
) -> None:
    """A folder of checkpoints is imported as their ensemble."""
    first = networks["multitask"].state_dict()
    second = {k: v.flip(0) if k.endswith("fc_1.weight") else v for k, v in first.items()}
    for number, state in enumerate((first, second)):
        torch.save(state, tmp_path / f"{number}.pth")
    thresholds = [str(k / 10) for k in range(8)]
    options = ["--average", average, "--name", "ensemble", "--thresholds", *thresholds]
    assert cli.main(["import", "multitask", str(tmp_path), *options]) == 0
    card = find_card("ensemble")
    assert list(card.outputs) == ["au_logits", "expression_logits", "va_logits"]
    assert (card.facts["students"], card.facts["average"]) == (2, average)
    assert card.facts["au_thresholds"] == [float(value) for value in thresholds]
    assert "0.pth" in card.origin
    assert "1.pth" in card.origin
    faces = read_reference_inputs(card)["face"][:3]
    students = []
    for state in (first, second):
        student = Multitask().eval()
        student.load_state_dict(state)
        students.append(student(less_mean(faces)))
    found = run("ensemble", face=faces)
    for head, logits in multitask_export.AVERAGES[average](students).items():
        near(found[f"{head}_logits"], logits.numpy(), LOGITS)
    if average == "probabilities" and platform.machine() == "x86_64":
        for precision in ("fp32", "fp16"):
            builds(card, tmp_path / precision, precision)


# Layers that only training needs.


def test_dropout_of_the_trunk_is_where_it_was_published() -> None:
    network = ResNet50FERPlus()
    dropped = [name for name, module in network.named_modules() if "drop" in name]
    assert dropped == ["conv5_3_3x3_drop", "conv5_3_1x1_increase_drop"]
    face = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.eval()(face), network(face))
        assert not torch.equal(network.train()(face), network(face))
    assert math.isclose(network.conv5_3_3x3_drop.p, 0.5)
