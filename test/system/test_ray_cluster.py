"""Clips are analysed on a real Ray cluster of two nodes, one of which is killed half-way.

Needs tools/ray.txt, which `make test` does not install.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

from face_perception.cli import main
from face_perception.inference import sample_photo

CLIPS, FRAMES = 6, 40


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Films of the sample photograph, and a damaged file."""
    folder = tmp_path_factory.mktemp("clips")
    picture = cv2.imread(str(sample_photo("astronaut")))
    paths = []
    for number in range(CLIPS):
        paths.append(folder / f"clip_{number}.avi")
        out = cv2.VideoWriter(str(paths[-1]), cv2.VideoWriter_fourcc(*"MJPG"), 30, (512, 512))
        for k in range(FRAMES):
            out.write(cv2.convertScaleAbs(picture, alpha=1 - 0.01 * ((k + number) % 20)))
        out.release()
    paths.append(folder / "broken.avi")
    paths[-1].write_bytes(b"RIFF no film")
    return paths


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    made.shutdown()


def results(clips: list[Path], folder: Path, *options: str) -> dict[str, bytes]:
    arguments = ["run", *map(str, clips), "--output", str(folder), *options]
    assert main(arguments) == 1  # because of the broken file
    return {file.name: file.read_bytes() for file in sorted(folder.glob("clip_*.jsonl"))}


def test_a_lost_machine_and_a_broken_file_cost_only_themselves(
    clips: list[Path],
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    one_after_the_other = results(clips, tmp_path / "plain")
    assert len(one_after_the_other) == CLIPS
    node = cluster.add_node(num_cpus=1)
    monkeypatch.chdir(clips[0].parent)  # relative names reach the workers
    relative = [Path(clip.name) for clip in clips]

    def lose() -> None:
        while len(list((tmp_path / "ray").glob("clip_*.jsonl"))) < CLIPS // 2:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)

    losing = threading.Thread(target=lose)
    losing.start()
    capfd.readouterr()
    found = results(relative, tmp_path / "ray", "--ray", cluster.address)
    losing.join()
    assert found == one_after_the_other
    said = capfd.readouterr().err
    assert f"{CLIPS} of {CLIPS + 1} files analysed" in said
    assert "broken.avi" in said
    arguments = ["run", *map(str, relative[:-1]), "--output", str(tmp_path / "ray"), "--resume"]
    assert main(arguments) == 0
    assert f"{CLIPS} of {CLIPS} files are analysed already" in capfd.readouterr().err


def test_a_cluster_that_is_not_there_is_named(
    clips: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", *map(str, clips), "--output", str(tmp_path), "--ray", "127.0.0.1:1"]
    assert main(arguments) == 1
    assert "there is no Ray cluster at 127.0.0.1:1" in capfd.readouterr().err


def test_a_sweep_goes_on_when_a_machine_is_lost(
    cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ray Tune trains the jobs; those that were finished are not trained again."""
    pytest.importorskip("torch")
    pytest.importorskip("ray.tune")
    recipe, out = tmp_path / "mine.yaml", tmp_path / "out"
    recipe.write_text(
        "task: dilated_net\nepochs: 1\npeople: 10\nimages: 3\nwidth: 0.02\nbatch: 4\n"
        "sweep: {seed: [0, 1, 2, 3]}\n"
    )
    node = cluster.add_node(num_cpus=1)

    def finished() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in out.glob("*/figures.json")}

    kept: dict[Path, int] = {}

    def lose() -> None:
        while len(finished()) < 2:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)
        kept.update(finished())

    losing = threading.Thread(target=lose)
    losing.start()
    said = ["sweep", str(recipe), "--out", str(out), "--split", "test", "--ray", cluster.address]
    assert main(said) == 0
    losing.join()
    assert len(finished()) == 4
    assert {file: finished()[file] for file in kept} == kept
    assert "4 of 4" in capfd.readouterr().err
    assert main(said) == 0
    assert "4 of 4 jobs are finished" in capfd.readouterr().err
