"""``face-perception import SYSTEM --random SEED``: runs without a download, and says that the
weights are random.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from face_perception import cli, paths
from face_perception.commands import import_checkpoint as importing
from face_perception.inference import UNTRAINED, catalogue, find_card, load, read_reference_inputs
from face_perception.learning import random_weights

PHOTOGRAPHS = ("astronaut.png", "grace_hopper.jpg")


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model cache that contains only the photographs."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in PHOTOGRAPHS:
        (folder / name).symlink_to(paths.models_dir() / name)
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return folder


def answers(name: str) -> list[np.ndarray]:
    return list(load(name, threads=2).infer(read_reference_inputs(find_card(name))).values())


@pytest.mark.parametrize(
    ("system", "names"),
    [
        ("geddnet", ["geddnet"]),
        ("dilated-net", ["dilated_net"]),
        ("multitask-rnn", ["multitask_rnn_trunk", "multitask_rnn"]),
        pytest.param("multitask", ["multitask"], marks=pytest.mark.slow),
        pytest.param("mimamo", ["mimamo", "mimamo_released"], marks=pytest.mark.slow),
    ],
)
def test_random_weights_run_and_say_so(
    system: str, names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import", system, "--random", "3"]) == 0
    assert UNTRAINED in capsys.readouterr().out
    for name, card in catalogue().items():
        assert card.trained != bool(card.origin), name
    for name in names:
        assert find_card(name).origin == f"{UNTRAINED}; seed 3"
        assert "random numbers" in find_card(name).licence
        for value in answers(name):
            assert np.isfinite(value).all()
            assert np.ptp(value) > 1e-3, "inputs that differ must not give the same"
            assert np.abs(value).max() < 100
    assert not list(tmp_path.glob("face_perception-import-*")), "checkpoints are not left behind"


def test_a_seed_gives_the_same_weights(tmp_path: Path) -> None:
    found = []
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / folder).mkdir()
        random_weights.write_checkpoints("geddnet", seed, tmp_path / folder)
        found.append(dict(np.load(tmp_path / folder / "geddnet.npz")))
    assert all((found[0][name] == found[1][name]).all() for name in found[0])
    assert not any((found[0][name] == found[2][name]).all() for name in found[0])


def test_files_said_to_be_untrained(tmp_path: Path) -> None:
    random_weights.write_checkpoints("geddnet", 5, tmp_path)
    assert cli.main(["import", "geddnet", str(tmp_path / "geddnet.npz"), "--untrained"]) == 0
    assert not find_card("geddnet").trained
    assert find_card("geddnet").origin.startswith(f"{UNTRAINED}; geddnet.npz (sha256 ")


def test_trained_weights_are_not_replaced_by_random_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random_weights.write_checkpoints("geddnet", 5, tmp_path)
    assert cli.main(["import", "geddnet", str(tmp_path / "geddnet.npz")]) == 0
    before = find_card("geddnet")
    assert before.trained, "nobody has said otherwise"
    assert cli.main(["import", "geddnet", "--random", "3"]) == 1
    assert "geddnet is installed with trained weights (geddnet.npz" in capsys.readouterr().err
    assert find_card("geddnet") == before
    assert cli.main(["import", "geddnet", "--random", "3", "--name", "other"]) == 0
    assert not find_card("other").trained
    # Replacing random weights by trained ones is allowed.
    assert cli.main(["import", "geddnet", str(tmp_path / "geddnet.npz"), "--name", "other"]) == 0
    assert find_card("other").trained


@pytest.mark.parametrize("system", importing.RANDOM)
def test_a_path_beside_random_is_refused(system: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["import", system, "--random", "3", "x.pth"])
    assert "--random replaces all files" in capsys.readouterr().err


def test_every_system_that_is_offered_has_weights() -> None:
    assert importing.RANDOM == random_weights.SYSTEMS
