"""Tests how several channels of sound become one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from speech_clip import OWN, noise, read

from face_perception.errors import InputError
from face_perception.learning.synthesis.steady_sounds import at_level
from face_perception.speech import MOUTH_RATE, AudioError, ChannelMixer, make_chunk

Array = npt.NDArray[np.float32]
CHUNK = 320  # samples


def mixed(mixer: ChannelMixer, *channels: Array) -> Array:
    """Returns the whole mixed sound; it comes in chunks of 20 ms."""
    sound = np.stack(channels, axis=1).astype(np.float32)
    pieces = [sound[k : k + CHUNK] for k in range(0, len(sound), CHUNK)]
    return np.concatenate([mixer.mix(piece, MOUTH_RATE) for piece in pieces])


def hiss(seconds: float, seed: int, level: float = 0.001) -> Array:
    random = np.random.default_rng(seed)
    return (level * random.standard_normal(round(seconds * MOUTH_RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def speech() -> Array:
    return at_level(read(OWN)[: 4 * MOUTH_RATE], -26)


def correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("choice", ["mean", "best", "0"])
def test_one_channel_stays_as_it_is(speech: Array, choice: str) -> None:
    mixer = ChannelMixer(choice)
    assert np.array_equal(mixed(mixer, speech), speech)
    assert mixer.problem == ""


def test_mean_and_index() -> None:
    left, right = np.full(CHUNK, 0.5, np.float32), np.full(CHUNK, 0.25, np.float32)
    assert np.allclose(mixed(ChannelMixer("mean"), left, right), 0.375)
    assert np.array_equal(mixed(ChannelMixer("1"), left, right), right)


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("turned", [0, 1])
def test_opposite_channels_do_not_cancel_and_are_said(
    speech: Array, turned: int, delay: int
) -> None:
    """The second microphone of a pair is 6 cm away."""
    pair = [speech + hiss(4, 1), np.roll(speech, delay) + hiss(4, 2)]
    right = (pair[0] + pair[1]) / 2
    pair[turned] = -pair[turned]
    mixer = ChannelMixer("mean")
    heard = mixed(mixer, *pair)
    assert abs(correlation(heard[MOUTH_RATE:], right[MOUTH_RATE:])) > 0.99
    assert np.std(heard) > 0.9 * np.std(right)
    assert "channels 0 and 1 have opposite signs" in mixer.problem
    assert "set channel to an index" in mixer.problem


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_channels_that_belong_together_are_no_problem(speech: Array, level: float) -> None:
    """Speech, noise that differs between the channels, and silence."""
    for other in (speech, np.roll(speech, 5), hiss(4, 3), np.zeros_like(speech)):
        mixer = ChannelMixer("mean")
        mixed(mixer, speech + hiss(4, 4, level), other + hiss(4, 5, level))
        assert mixer.problem == ""


def array(speech: Array, playback: Array) -> list[Array]:
    """Returns four microphones that hear speech, and the playback channel of an array."""
    return [*(speech + hiss(len(speech) / MOUTH_RATE, seed) for seed in range(4)), playback]


@pytest.mark.parametrize("choice", ["mean", "best"])
def test_a_playback_channel_is_left_out_and_said(speech: Array, choice: str) -> None:
    """It is silent at first, and loud while the robot speaks; nobody else speaks."""
    half = len(speech) // 2
    playback = np.concatenate([np.zeros(half, np.float32), 4 * speech[half:]])
    mixer = ChannelMixer(choice)
    heard = mixed(mixer, *array(np.zeros_like(speech), playback))
    assert np.abs(heard[half:]).max() < 0.01
    assert "channel 4 is left out" in mixer.problem
    assert "playback channel" in mixer.problem
    assert np.abs(mixed(ChannelMixer("4"), *array(speech, playback))).max() > 0.1


def test_the_voice_activity_of_an_array_ignores_what_the_robot_plays(speech: Array) -> None:
    """With a given index it does so from the first moment on."""
    from face_perception.inference import load
    from face_perception.speech import VoiceActivity

    channels = array(np.zeros_like(speech), 4 * speech)
    for choice, wanted in (("0", False), ("4", True)):
        heard = mixed(ChannelMixer(choice), *channels)
        states = VoiceActivity(load("voice_activity")).detect(heard)
        assert any(state.speaking for state in states) == wanted


def test_speakers_with_a_channel_each_are_all_heard(speech: Array) -> None:
    """A recording in which each channel is muted while its person is silent."""
    silence = np.zeros_like(speech)
    mixer = ChannelMixer("mean")
    first, second = np.concatenate([speech, silence]), np.concatenate([silence, speech])
    heard = mixed(mixer, first, second)
    assert np.allclose(heard, (first + second) / 2, atol=1e-6)
    assert mixer.problem == ""


def test_best_takes_the_microphone_that_hears_most_above_its_noise(speech: Array) -> None:
    near = speech + hiss(4, 1)
    loud_but_noisy = 2 * speech + noise(4, 0.3, 0)
    heard = mixed(ChannelMixer("best"), loud_but_noisy, np.zeros_like(speech), near)
    assert correlation(heard[2 * MOUTH_RATE :], near[2 * MOUTH_RATE :]) > 0.999


def test_best_follows_the_speaker_without_a_click(speech: Array) -> None:
    far = (0.1 * speech).astype(np.float32)
    left = np.concatenate([speech, far, far]) + hiss(12, 1)
    right = np.concatenate([far, speech, speech]) + hiss(12, 2)
    heard = mixed(ChannelMixer("best"), left, right)
    end = slice(-3 * MOUTH_RATE, None)
    assert correlation(heard[end], right[end]) > 0.999
    steps = np.abs(np.diff(heard))
    assert steps.max() <= max(np.abs(np.diff(one)).max() for one in (left, right)) + 0.01


@pytest.mark.parametrize("choice", ["mean", "best"])
def test_another_number_of_channels_begins_anew(speech: Array, choice: str) -> None:
    mixer = ChannelMixer(choice)
    mixed(mixer, speech, -speech)
    mixed(mixer, speech, speech, speech)
    assert mixer.problem == ""
    assert len(mixer.mix(np.zeros((0, 3), np.float32), MOUTH_RATE)) == 0


@pytest.mark.parametrize("choice", ["", "left", "-1", "1.5", "²", "Mean", "0,1"])
def test_unknown_choices_are_refused(choice: str) -> None:
    with pytest.raises(InputError, match="mean, best, or the index"):
        ChannelMixer(choice)


def test_a_channel_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AudioError, match=r"channel is 5, .* has 2 channel.*set it to 0 to 1"):
        ChannelMixer("5").mix(np.zeros((10, 2), np.float32), 16_000)
    with pytest.raises(AudioError, match="set it to 0, or"):
        ChannelMixer("1").mix(np.zeros((10, 1), np.float32), 16_000)


def test_a_chunk_is_mixed_as_asked() -> None:
    both = np.tile(np.array([16_384, 8192], np.int16), 100)
    assert make_chunk(both, 16_000, 2, 0.0, ChannelMixer("1").mix).samples[0] == 0.25
    assert make_chunk(both, 16_000, 2, 0.0).samples[0] == 0.375
