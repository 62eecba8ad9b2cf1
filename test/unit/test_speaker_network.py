"""Tests how pictures and sound are joined for the network that tells who speaks."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from face_perception.attention import SpeakerNetwork, WhoSpeaks
from face_perception.inference import ModelError
from face_perception.speech import MFCC_RATE, AudioChunk, mfcc_frames
from face_perception.types import FaceCrop


class RecordingModel:
    """A network with the ports of LR-ASD that says how bright the last picture is."""

    name = "recording"

    def __init__(self, window: int = 25, **facts: Any) -> None:
        known = {"window": 25, "rate_hz": 25, "crop": [24, 24, 112], **facts}
        self.card = SimpleNamespace(
            name=self.name, facts=known, count_fact=lambda name, default, most=0: known[name]
        )
        self.inputs = {
            "faces": SimpleNamespace(shape=(None, window, 112, 112)),
            "mfcc": SimpleNamespace(shape=(None, 4 * window, 13)),
        }

    def infer(self, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert given["faces"].dtype == given["mfcc"].dtype == np.float32
        assert len(given["faces"]) == len(given["mfcc"])
        return {"speaking": given["faces"].mean((2, 3)) / 255}


def crop(face_id: str, level: int) -> FaceCrop:
    return FaceCrop(face_id, np.full((160, 160, 3), level, np.uint8), np.eye(2, 3))


def clicks(seconds: float, rate: int) -> np.ndarray:
    """Returns noise that is loud in the first 40 ms of each half second."""
    times = np.arange(round(seconds * rate)) / rate
    loud = np.where(times % 0.5 < 0.04, 0.5, 0.001)
    return (loud * np.random.default_rng(0).normal(0, 0.3, len(times))).astype(np.float32)


def test_the_coefficients_are_those_of_the_definition() -> None:
    """States them once more, one frame and one filter at a time."""
    samples = np.random.default_rng(2).normal(0, 0.1, 720).astype(np.float32)
    found = mfcc_frames(samples)
    assert found.shape == (3, 13)
    scaled = samples.astype(float) * 32768
    emphasised = [scaled[k] - 0.97 * (scaled[k - 1] if k else 0.0) for k in range(len(scaled))]
    mels = [2595 * math.log10(1 + 8000 / 700) * k / 27 for k in range(28)]
    edges = [math.floor(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in mels]
    for frame in range(3):
        part = emphasised[160 * frame : 160 * frame + 400]
        power = np.abs(np.fft.rfft(part, 512)) ** 2 / 512
        logs = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            total = sum(power[k] * (k - low) / (middle - low) for k in range(low, middle))
            total += sum(power[k] * (high - k) / (high - middle) for k in range(middle, high))
            logs.append(math.log(total))
        for n in range(1, 13):
            cosine = sum(x * math.cos(math.pi * n * (2 * k + 1) / 52) for k, x in enumerate(logs))
            wanted = cosine * math.sqrt(2 / 26) * (1 + 11 * math.sin(math.pi * n / 22))
            assert found[frame, n] == pytest.approx(wanted, abs=1e-9)
        assert found[frame, 0] == pytest.approx(math.log(power.sum()))
    assert np.isfinite(mfcc_frames(np.zeros(400, np.float32))).all()


@pytest.mark.parametrize(("fps", "rate"), [(25, 16000), (30, 48000), (15, 44100)])
@pytest.mark.parametrize("delay", [0.0, 0.5, -0.5])
def test_pictures_and_sound_are_of_one_time(fps: int, rate: int, delay: float) -> None:
    """Faces flash while the sound clicks; the clock of the sound may be off."""
    network = SpeakerNetwork(RecordingModel())  # type: ignore[arg-type]
    sound, sent = clicks(3.0, rate), 0
    for k in range(round(2.2 * fps)):
        stamp = k / fps
        flash = 250 if stamp % 0.5 < 0.04 else 10
        network.see(100 + stamp, [crop("a", flash), crop("b", 20)])
        while sent < (stamp + 0.3) * rate:
            piece = sound[sent : sent + rate // 50]
            network.hear(AudioChunk(100 + delay + sent / rate, rate, piece))
            sent += len(piece)
    clips = network.clips(delay)
    assert clips is not None
    assert clips.stamp == pytest.approx(100 + (round(2.2 * fps) - 1) / fps)
    assert clips.face_ids == ("a", "b")
    times = clips.stamp - 100 - np.arange(25)[::-1] / 25
    bright = clips.pictures[0].mean((1, 2)) > 100
    assert bright.any()
    off = np.minimum(times[bright] % 0.5, 0.5 - times[bright] % 0.5)
    assert off.max() < 0.5 / fps + 0.041
    # The loud frames of the sound begin with the flash, to 15 ms: a frame lasts 25 ms.
    loud = clips.mfcc[:, 0] > clips.mfcc[:, 0].min() + 8
    begins = times[0] + np.arange(100) / 100
    assert loud.any()
    for begin in begins[loud]:
        assert -0.025 - 0.01 < (begin + 0.25) % 0.5 - 0.25 < 0.05
    assert network.estimate(clips)["b"] == pytest.approx(20 / 255, abs=0.01)


def test_what_is_not_known_yields_nothing() -> None:
    network = SpeakerNetwork(RecordingModel())  # type: ignore[arg-type]
    second = np.zeros(MFCC_RATE, np.float32)
    assert network.clips() is None
    network.see(1.0, [crop("a", 9)])
    assert network.clips() is None  # no sound
    network.hear(AudioChunk(0.5, MFCC_RATE, second))
    assert network.clips() is None  # seen for less than 0.5 s
    for k in range(1, 20):
        network.see(1.0 + k / 25, [crop("a", 9)])
    network.hear(AudioChunk(1.5, MFCC_RATE, second))
    clips = network.clips()
    assert clips is not None
    assert clips.stamp == pytest.approx(1.76)
    network.hear(AudioChunk(9.0, MFCC_RATE, second))  # a gap: the sound of the faces is gone
    assert network.clips() is None
    network.see(0.2, [crop("a", 9)])  # a bag that starts again
    network.hear(AudioChunk(0.0, MFCC_RATE, second))
    assert network.clips() is None


def test_stamps_that_stand_still_need_no_more_memory() -> None:
    network = SpeakerNetwork(RecordingModel())  # type: ignore[arg-type]
    piece = np.zeros(MFCC_RATE // 50, np.float32)
    for _ in range(1000):
        network.see(5.0, [crop("a", 9)])
        network.hear(AudioChunk(5.0, MFCC_RATE, piece))
    assert network.clips() is None
    assert [len(seen) for seen in network._seen.values()] == [1]
    assert sum(chunk.duration for chunk in network._sound) < 3


@pytest.mark.parametrize(
    ("window", "facts", "problem"),
    [
        (20, {}, r"takes faces \(None, 20"),
        (25, {"crop": [24, 24]}, "the fact crop"),
        (25, {"crop": [100, 24, 112]}, "the fact crop"),
        (25, {"crop": None}, "the fact crop"),
        (25, {"rate_hz": 50}, r"mfcc \[N, 50, 13\]: import the model again"),
        (25, {"rate_hz": 30}, r"mfcc \[N, 83.3333, 13\]"),
    ],
)
def test_another_network_is_refused(window: int, facts: dict[str, Any], problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        SpeakerNetwork(RecordingModel(window, **facts))  # type: ignore[arg-type]


def test_a_network_replaces_the_lips_but_not_the_voice() -> None:
    from lips_scene import chewing_lips, face_with_lips, still_lips

    who = WhoSpeaks()
    for k in range(60):
        stamp = k / 25
        who.hear_voice(stamp, 0.98 if stamp < 1 else 0.01)
        seen = [face_with_lips("a", still_lips(stamp)), face_with_lips("b", chewing_lips(stamp))]
        found = who.update(stamp, seen, {"a": 0.9, "c": 0.5})
        if k == 20:
            assert found["a"] == pytest.approx(0.98 * 0.9)
            assert math.isnan(found["b"])  # the network says nothing of it
    assert found["a"] < 0.02
    who.hear_voice(2.4, math.nan)  # the robot speaks
    assert math.isnan(who.update(2.4, seen, {"a": 0.9})["a"])
