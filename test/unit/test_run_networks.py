"""Tests ``face-perception run`` with multitask networks and MIMAMO-Net."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affect_models import install_mimamo, install_multitask
from faces_scene import photo

from face_perception import cli
from face_perception.affect import MultitaskNet
from face_perception.faces import crop_face, load_tracker
from face_perception.inference import load, sample_photo
from face_perception.media import FrameReader
from face_perception.motion import Mimamo, load_mimamo

FRAMES = 12


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut, getting darker, at 30 Hz."""
    import av

    path = tmp_path_factory.mktemp("film") / "film.mkv"
    image = photo("astronaut")
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=30)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "bgr0"
        for k in range(FRAMES):
            darker = np.ascontiguousarray((image * (1 - 0.03 * k)).astype(np.uint8))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(darker, "rgb24")))
        out.mux(stream.encode())
    return path


def lines_of(*arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert cli.main(["run", *map(str, arguments)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_multitask_network_gives_units_and_affect(
    own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_multitask()
    picture = sample_photo("astronaut")
    (line,) = lines_of(picture, "--affect", "multitask", capsys=capsys)
    (face,) = line["faces"]
    sources = ("action_unit_source", "expression_source", "valence_arousal_source")
    assert [face[name] for name in sources] == 3 * ["multitask"]
    with FrameReader(picture) as clip:
        (frame,) = clip
    (found,) = load_tracker().detect(frame)
    (wanted,) = MultitaskNet(load("multitask")).estimate([crop_face(frame.image, found)])
    assert face["valence"] == pytest.approx(wanted.valence_arousal.valence, abs=1e-3)
    assert face["action_unit_probability"]["12"] == pytest.approx(
        wanted.units.units[12].probability, abs=1e-3
    )


def test_a_recurrent_network_looks_at_earlier_frames(
    film: Path, own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_multitask()
    lines = lines_of(film, "--affect", "multitask_rnn", capsys=capsys)
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    affects = [line["faces"][0]["arousal"] for line in lines]
    assert all(line["faces"][0]["valence_arousal_source"] == "multitask_rnn" for line in lines)
    (again,) = lines_of(film, "--affect", "multitask_rnn", "--skip-frames", "99", capsys=capsys)
    assert again["faces"][0]["arousal"] == affects[0]
    assert len(set(affects)) > FRAMES // 2


def test_motion_gives_valence_and_arousal_of_every_frame(
    film: Path, own_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The frames come late and in order, with the values of a run over the whole film."""
    install_mimamo()
    lines = lines_of(film, "--motion", "mimamo", capsys=capsys)
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert {line["faces"][0]["valence_arousal_source"] for line in lines} == {"mimamo"}
    assert {line["faces"][0]["expression_source"] for line in lines} == {"expression"}
    tracker, mimamo = load_tracker(), Mimamo[int](load_mimamo("mimamo"))
    known: list[Any] = []
    with FrameReader(film) as clip:
        for number, frame in enumerate(clip):
            crops = [crop_face(frame.image, face) for face in tracker.track(frame)]
            known += mimamo.estimate(number, frame.stamp, crops)
    known += mimamo.finish()
    wanted = [found[0].valence for _, found in known]
    assert [line["faces"][0]["valence"] for line in lines] == pytest.approx(wanted, abs=1e-3)
    drawn = tmp_path / "drawn.mp4"
    assert cli.main(["run", str(film), "--motion", "mimamo", "--annotated", str(drawn)]) == 0
    with FrameReader(drawn) as clip:
        assert len(list(clip)) == FRAMES


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--motion", "mimamo", "--skip-frames", "1"], "leave out --skip-frames"),
        (["--motion", "expression"], "mimamo"),
        (["--motion", "nothing"], "nothing"),
        (["--affect", "face_mesh"], "face_mesh"),
    ],
)
def test_what_does_not_fit_is_named(
    arguments: list[str],
    named: str,
    film: Path,
    own_models: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install_mimamo()
    assert cli.main(["run", str(film), *arguments]) == 1
    assert named in capsys.readouterr().err


def test_motion_of_a_picture_is_refused(
    own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_mimamo()
    assert cli.main(["run", str(sample_photo("astronaut")), "--motion", "mimamo"]) == 1
    assert "is a picture: --motion needs a film" in capsys.readouterr().err
