"""Speech with phoneme times, the mouth shapes for it, and the recipe that learns them."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from face_perception.learning.synthesis.espeak import (
    SPEECH_RATE,
    Request,
    SpeechError,
    Spoken,
    speak,
)
from face_perception.learning.synthesis.room_acoustics import simulate_recording
from face_perception.learning.synthesis.sentences import SENTENCES
from face_perception.speech import Phone, articulation, loudness

if TYPE_CHECKING:  # needs ROS
    from node_processes import NodeProcess, Peer

SAID = Request("My puppy, Bob, may come home.", "en-us", "f3")


@pytest.fixture(scope="module")
def spoken() -> list:
    pytest.importorskip("espeakng_loader")
    return speak([SAID, Request(SENTENCES["it"][0], "it", rate=140, size=1.1)], workers=2)


def test_phonemes_cover_the_speech(spoken: list) -> None:
    for one in spoken:
        assert one.samples.dtype == np.float32
        assert 1 < len(one.samples) / SPEECH_RATE < 8
        ends = [phone.end for phone in one.phones]
        assert [phone.start for phone in one.phones[1:]] == ends[:-1]
        assert ends[-1] == pytest.approx(len(one.samples) / SPEECH_RATE, abs=0.001)


def test_times_are_those_of_the_sound(spoken: list) -> None:
    """The times fit the sound: vowels are loud, pauses silent, a /p/ begins with silence."""
    one = spoken[0]
    level = loudness(one.samples, len(one.samples) // 160 + 1)

    def at(phone: Phone) -> float:
        return float(level[round((phone.start + phone.end) * 50)])

    long = [p for p in one.phones if p.end - p.start > 0.1]
    vowels = [at(p) for p in long if p.name[:1] in tuple("aeiouɑʌo")]
    rests = [at(p) for p in long if not p.name]
    assert len(vowels) >= 3
    assert rests
    assert min(vowels) > 5 * max(rests)
    stop = next(p for p in one.phones if p.name == "p")
    begin = round(stop.start * SPEECH_RATE) + 60
    assert np.abs(one.samples[begin : begin + 120]).max() < 0.02


def test_equal_requests_give_equal_samples(spoken: list) -> None:
    again = speak([spoken[0].request, spoken[1].request])
    for one, other in zip(spoken, again, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
        assert one.phones == other.phones


def test_what_is_missing_or_unknown_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from face_perception.learning.synthesis import espeak as speech

    pytest.importorskip("espeakng_loader")
    with pytest.raises(SpeechError, match="no voice 'xx"):
        speak([Request("hello", "xx")])
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SpeechError, match="pip install espeakng-loader"):
        speech._Library()


def test_lips_meet_for_bilabials_and_rest_in_pauses() -> None:
    phones = [
        Phone("", 0.0, 0.3),
        Phone("a", 0.3, 0.5),
        Phone("p", 0.5, 0.58),
        Phone("uː", 0.58, 0.8),
        Phone("f", 0.8, 0.9),
        Phone("iː", 0.9, 1.1),
        Phone("", 1.1, 1.5),
    ]
    jaw, wide, rounded, press, _, tuck = articulation(phones, 150).T
    assert press[54] > 0.95
    assert jaw[54] < 0.1
    assert jaw[40] > 0.7
    assert press[40] < 0.05
    assert rounded[70] > 0.8
    assert tuck[85] > 0.8
    assert wide[100] > 0.6
    assert not articulation(phones, 150)[[5, 20, 120, 145]].max() > 1e-6


def test_rooms_are_seeded_and_change_what_is_heard(spoken: list) -> None:
    one, again, other = (
        simulate_recording(spoken[0].samples, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one).max() <= 1
    assert np.abs(one - other).max() > 0.01


@pytest.fixture(scope="module")
def few(spoken: list):
    torch = pytest.importorskip("torch")
    pytest.importorskip("pytorch_lightning")
    from face_perception.learning.mouth import data as mouth_data

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a second thread would only make so small a network slower
    yield mouth_data.to_arrays(mouth_data.make_clips(spoken * 2, 1.0, seed=3))
    torch.set_num_threads(threads)


def recipe(**changed: object):
    from face_perception.learning.mouth.recipe import MouthRecipe

    values = {
        "seed": 3, "clips": 4, "seconds": 1.0, "delay_frames": 5, "width": 24, "hidden": 32,
        "layers": 1, "batch_size": 2, "epochs": 4, "learning_rate": 0.02,
    }  # fmt: skip
    return MouthRecipe(**{**values, **changed})


def test_overfits_a_few_clips(few, tmp_path: Path) -> None:
    import torch

    from face_perception.learning.mouth.recipe import MouthModule, train

    asked = recipe(epochs=25)
    one = torch.from_numpy(few.features), torch.from_numpy(few.weights)
    before = MouthModule(asked, few).loss(*one)
    learned = MouthModule(asked, few)
    learned.network = train(asked, few, tmp_path, quiet=True)
    assert learned.loss(*one) < 0.5 * before


def test_resumes_bit_for_bit(few, tmp_path: Path) -> None:
    from face_perception.learning.mouth.recipe import train

    whole = train(recipe(), few, tmp_path / "whole", quiet=True).state_dict()
    train(recipe(), few, tmp_path / "parts", stop_after=2, quiet=True)
    parts = train(recipe(), few, tmp_path / "parts", resume=True, quiet=True).state_dict()
    for name, value in whole.items():
        assert value.equal(parts[name]), name


def test_the_share_of_clips_without_speech_is_chosen() -> None:
    """Films of talking people have none."""
    from face_perception.learning.mouth.data import make_clips

    said = Spoken(SAID, np.zeros(8000, np.float32), (Phone("a", 0.0, 0.5),))
    some = make_clips([said] * 60, 0.1, 0)
    assert 0 < sum(not clip.phones for clip in some) < 15
    assert all(clip.phones for clip in make_clips([said] * 60, 0.1, 0, silent=0.0))


def test_what_was_trained_runs_as_a_mouth(few, tmp_path: Path) -> None:
    from face_perception.inference import install_model, load
    from face_perception.learning.mouth.network import MouthNetwork
    from face_perception.learning.mouth.recipe import model_build
    from face_perception.speech import NeuralMouth

    install_model(model_build(MouthNetwork(24, 32, 1), recipe(), few, {}), tmp_path)
    mouth = NeuralMouth(load(tmp_path / "mouth.yaml", backend="onnxruntime"))
    mouth.push_samples(np.zeros(8000, np.float32))
    assert mouth.shape_at(0.2).jaw == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 1", "clips is missing"),
        ("colour: 1", "colour"),
        ("[", "cannot be read"),
        ("seed: one", "seed: 'one'"),
    ],
)
def test_wrong_recipes_are_named(text: str, says: str, tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning")
    from face_perception.learning.mouth.recipe import MouthRecipe
    from face_perception.learning.recipe import read_settings

    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"mine.yaml.*{says}"):
        read_settings(MouthRecipe, path)


def test_the_command_trains_a_mouth(
    few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The smallest run is resumed and evaluated, and its model moves the lips."""
    import yaml

    from face_perception.cli import main
    from face_perception.inference import load
    from face_perception.learning.mouth import evaluation as mouth_evaluation
    from face_perception.learning.mouth import recipe as mouth
    from face_perception.learning.synthesis.steady_sounds import steady_sounds
    from face_perception.speech import NeuralMouth

    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(mouth_evaluation, "_CLIPS", 4)
    monkeypatch.setattr(mouth, "VALIDATION_CLIPS", 4)
    two = dict(itertools.islice(steady_sounds().items(), 2))
    monkeypatch.setattr(mouth_evaluation, "steady_sounds", lambda: two)
    file, out = tmp_path / "small.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(dataclasses.asdict(recipe(epochs=1, layers=1))))
    assert main(["train", str(file), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "held-out voices, closed:" in said
    assert main(["train", str(file), "--out", str(out)]) == 1
    assert "--resume" in capsys.readouterr().err
    assert main(["train", str(file), "--out", str(out), "--resume"]) == 0
    assert capsys.readouterr().out == said
    assert main(["train", str(file), "--data", str(out), "--out", str(tmp_path / "b")]) == 1
    assert "without --data" in capsys.readouterr().err
    assert main(["evaluate", str(out), "--data", str(tmp_path)]) == 1
    assert "has no *.wav" in capsys.readouterr().err
    assert main(["evaluate", str(out), "--split", "train"]) == 1
    assert "a mouth has no splits" in capsys.readouterr().err
    mouth_ = NeuralMouth(load("small_trained", backend="onnxruntime"))
    mouth_.push_samples(np.zeros(8000, np.float32))
    assert mouth_.shape_at(0.2).jaw == 0


def test_what_was_trained_runs_in_its_node(
    few,
    own_models: Path,
    start: Callable[..., NodeProcess],
    peer: Peer,
) -> None:
    from face_perception import msg
    from face_perception.inference import install_model
    from face_perception.learning.mouth.network import MouthNetwork
    from face_perception.learning.mouth.recipe import model_build

    node = start("talking_face", audio_out="none", width=128, height=128, mouth="own_mouth")
    node.wait_for_log("own_mouth")  # there is no model yet: the node reports it and tries again
    install_model(model_build(MouthNetwork(24, 32, 1), recipe(), few, {}, "own_mouth"))
    heard = peer.listen(msg.Audio, "avatar/audio")
    speech = peer.publisher(msg.Audio, "speech")
    peer.until(lambda: speech.get_subscription_count() > 0, why="for its ears")
    message = msg.Audio(sample_rate=16000, channels=1)
    message.samples.frombytes(np.zeros(8000, np.int16).tobytes())
    speech.publish(message)
    peer.until(lambda: len(heard) > 5, why="for what it says")
