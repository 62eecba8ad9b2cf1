"""Tests how chunks become utterances, and voice activity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from face_perception import paths
from face_perception.inference import load
from face_perception.speech import (
    AudioChunk,
    AudioError,
    SpeechSegment,
    SpeechStream,
    VoiceActivity,
    VoiceActivitySettings,
    chunk_from_bytes,
    make_chunk,
    read_wav,
    to_int16,
)

HELLO = paths.resource("resources/speech/hello.wav")


def tone(seconds: float, rate: int, hertz: float = 440.0) -> npt.NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype("f4")


def cut(
    samples: npt.NDArray[np.float32], rate: int, sizes: list[int], at: float
) -> list[AudioChunk]:
    """Returns the samples as chunks that repeat these sizes, with stamps from ``at``."""
    out, start, k = [], 0, 0
    while start < len(samples):
        piece = samples[start : start + sizes[k % len(sizes)]]
        out.append(AudioChunk(at + start / rate, rate, piece))
        start, k = start + len(piece), k + 1
    return out


def run(stream: SpeechStream, chunks: list[AudioChunk], at: float = 0.0) -> list[SpeechSegment]:
    """Sends each chunk when its last sample is due, like a live sender, then waits 2 s."""
    heard, now = [], at
    for one in chunks:
        now = max(now, at + one.stamp - chunks[0].stamp + one.duration)
        heard += stream.push_chunk(one, now)
    for _ in range(100):
        now += 0.02
        heard += stream.poll(now)
    return heard


def joined(heard: list[SpeechSegment], rate: int = 16_000) -> npt.NDArray[np.float32]:
    return np.concatenate([h.samples[rate] for h in heard])


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("sizes", [[320], [1], [7, 4096, 333]])
def test_any_rate_and_size_gives_the_same_speech(rate: int, sizes: list[int]) -> None:
    if sizes == [1]:
        sizes = [rate // 100 + 1]
    heard = run(SpeechStream(), cut(tone(1.0, rate), rate, sizes, 5.0))
    assert [h.begins for h in heard].index(True) == 0
    assert sum(h.begins for h in heard) == sum(h.ends for h in heard) == 1
    speech = joined(heard)
    assert abs(len(speech) - 16_000) <= 1
    # Leave out both ends, which the filter changes.
    want = tone(1.0, 16_000)[: len(speech)]
    assert np.abs(speech - want[: len(speech)])[400:-400].max() < 0.01


def test_two_rates_at_once_stay_aligned() -> None:
    heard = run(SpeechStream((16_000, 48_000)), cut(tone(1.0, 44_100), 44_100, [441], 1.0))
    assert len(joined(heard, 48_000)) == pytest.approx(3 * len(joined(heard)), abs=3)


def test_swapped_chunks_are_sorted() -> None:
    chunks = cut(tone(1.0, 16_000), 16_000, [480], 3.0)
    stream = SpeechStream()
    heard, now = [], 0.0
    for k in (0, 1, 3, 2, 4, 7, 6, 5, *range(8, len(chunks))):
        now = max(now + 1e-3, chunks[k].stamp - 3.0 - 0.03)
        heard += stream.push_chunk(chunks[k], now)
    heard += stream.poll(now + 3)
    assert stream.late_chunks == 0
    assert np.array_equal(joined(heard), tone(1.0, 16_000))


def test_a_missing_chunk_becomes_silence_and_is_dropped_if_it_comes_late() -> None:
    chunks = cut(tone(1.0, 16_000), 16_000, [480], 3.0)
    stream = SpeechStream()
    heard, now = [], 0.0
    for k, one in enumerate(chunks):
        now = one.stamp - 3.0 + 0.03
        heard += stream.poll(now)
        if k != 5:
            heard += stream.push_chunk(one, now - 0.025 if k == 6 else now)
        if k == 20:
            heard += stream.push_chunk(chunks[5], now)
    heard += stream.poll(now + 3)
    assert stream.late_chunks == 1
    speech, want = joined(heard), tone(1.0, 16_000)
    want[5 * 480 : 6 * 480] = 0
    assert np.array_equal(speech, want)


def test_a_gap_between_stamps_becomes_silence_if_chunks_come_early() -> None:
    first, second = (
        cut(tone(0.2, 16_000), 16_000, [800], 1.0),
        cut(tone(0.2, 16_000), 16_000, [800], 1.7),
    )
    stream = SpeechStream()
    heard, now = [], 0.0
    for one in [*first, *second]:
        now += 0.001
        heard += stream.push_chunk(one, now)
    for _ in range(200):
        now += 0.02
        heard += stream.poll(now)
    speech = joined(heard)
    assert len(speech) == pytest.approx(0.9 * 16_000, abs=2)
    assert np.abs(speech[3300:11_000]).max() == 0
    assert sum(h.ends for h in heard) == 1
    with_silence = next(h for h in heard if len(h.samples[16_000]) > 1000)
    assert with_silence.stamp == pytest.approx(1.2), "of its first sample"


def test_a_gap_that_has_been_heard_adds_no_silence() -> None:
    chunks = cut(tone(0.2, 16_000), 16_000, [320], 1.0) + cut(tone(0.2, 16_000), 16_000, [320], 1.6)
    stream, heard, now = SpeechStream(), [], 0.0
    for one in chunks:
        while now < one.stamp - 1.0 + 0.02:
            now += 0.005
            heard += stream.poll(now)
        heard += stream.push_chunk(one, now)
    heard += stream.poll(now + 1)
    # Playback has paused for the gap.
    assert len(joined(heard)) == pytest.approx(0.4 * 16_000, abs=400)
    assert sum(h.begins for h in heard) == 1


@pytest.mark.parametrize("stamps", ["none", "same", "sending"])
def test_senders_that_are_faster_than_real_time(stamps: str) -> None:
    chunks = cut(tone(2.0, 24_000), 24_000, [2400], 0.0)
    given = {"none": lambda k: 0.0, "same": lambda k: 9.0, "sending": lambda k: 9.0 + 0.004 * k}
    stream, heard = SpeechStream(), []
    for k, one in enumerate(chunks):
        heard += stream.push_chunk(AudioChunk(given[stamps](k), 24_000, one.samples), 0.004 * k)
    now = 0.004 * len(chunks)
    while now < 1.9:
        now += 0.02
        heard += stream.poll(now)
    assert stream.speaking, "what was sent ahead is still to be spoken"
    heard += stream.poll(3.0)
    assert not stream.speaking
    assert len(joined(heard)) == pytest.approx(2.0 * 16_000, abs=2)
    assert stream.late_chunks == 0


def test_a_stamp_that_goes_back_begins_another_utterance() -> None:
    stream = SpeechStream()
    heard = stream.push_chunk(AudioChunk(1000.0, 16_000, tone(0.1, 16_000)), 0.0)
    heard += stream.push_chunk(AudioChunk(5.0, 16_000, tone(0.1, 16_000)), 0.1)
    assert [(h.begins, h.ends) for h in heard] == [(True, False), (False, True), (True, False)]


def test_the_sample_rate_may_change_within_an_utterance() -> None:
    chunks = cut(tone(0.5, 48_000), 48_000, [960], 1.0) + cut(tone(0.5, 16_000), 16_000, [320], 1.5)
    heard = run(SpeechStream(), chunks)
    assert len(joined(heard)) == pytest.approx(16_000, abs=3)
    assert sum(h.begins for h in heard) == 1


def test_a_chunk_without_samples_ends_the_utterance() -> None:
    stream = SpeechStream()
    stream.push_chunk(AudioChunk(1.0, 44_100, tone(0.3, 44_100)), 0.0)
    (end,) = stream.push_chunk(AudioChunk(1.3, 44_100, np.zeros(0, np.float32)), 0.01)
    assert end.ends
    assert len(end.samples[16_000]) > 0, "what the resampler held back"
    assert not stream.speaking


def interrupted(stamp: Callable[[int], float]) -> tuple[SpeechStream, float]:
    stream, now = SpeechStream(), 0.0
    for k in range(10):
        now = 0.02 * k
        stream.push_chunk(AudioChunk(stamp(k), 16_000, tone(0.02, 16_000)), now)
    stream.interrupt(now)
    assert not stream.speaking
    for k in range(10, 30):
        now = 0.02 * k
        assert stream.push_chunk(AudioChunk(stamp(k), 16_000, tone(0.02, 16_000)), now) == []
        stream.poll(now)
    return stream, now


@pytest.mark.parametrize("stamped", [True, False])
def test_chunks_of_an_interrupted_utterance_are_dropped(stamped: bool) -> None:
    stream, now = interrupted(lambda k: 7.0 + 0.02 * k if stamped else 0.0)
    after = now + (0.1 if stamped else 0.7)
    stamp = 7.0 + after if stamped else 0.0
    heard = stream.push_chunk(AudioChunk(stamp, 16_000, tone(0.02, 16_000)), after)
    assert [h.begins for h in heard] == [True]


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("length", [0.02, 1.0, 5.0])
@pytest.mark.parametrize("after", [0.2, 1.0, 2.0, 2.9])
def test_another_utterance_after_an_interruption_is_kept(
    stamped: bool, length: float, after: float
) -> None:
    """The first utterance was sent as one chunk; the next one comes before its duration is over."""
    stream = SpeechStream()
    stream.push_chunk(AudioChunk(1000.0 if stamped else 0.0, 16_000, tone(4.0, 16_000)), 50.0)
    stream.interrupt(51.0)
    now = 51.0 + after
    heard = stream.push_chunk(
        AudioChunk(now + 950 if stamped else 0.0, 16_000, tone(length, 16_000)), now
    )
    assert [h.begins for h in heard] == [True]


@pytest.mark.parametrize("stamped", [True, False])
def test_another_utterance_in_small_chunks_is_kept(stamped: bool) -> None:
    stream = SpeechStream()
    for k in range(50):
        at = 1 + 0.02 * k
        stream.push_chunk(AudioChunk(at if stamped else 0.0, 16_000, tone(0.02, 16_000)), at)
    stream.interrupt(2.0)
    heard = []
    for k in range(50):
        at = 2.2 + 0.02 * k
        heard += stream.push_chunk(
            AudioChunk(at if stamped else 0.0, 16_000, tone(0.02, 16_000)), at
        )
    assert len(joined(heard)) == 16_000
    assert stream.interrupted_chunks == 0


def test_an_interrupted_utterance_with_sending_times_as_stamps_is_dropped() -> None:
    stream = SpeechStream()
    for k in range(10):
        stream.push_chunk(AudioChunk(9.0 + 0.004 * k, 16_000, tone(0.1, 16_000)), 0.004 * k)
    stream.interrupt(0.04)
    for k in range(10, 30):
        assert not stream.push_chunk(
            AudioChunk(9.0 + 0.004 * k, 16_000, tone(0.1, 16_000)), 0.004 * k
        )
    assert stream.interrupted_chunks == 20


@pytest.mark.parametrize("length", [0.01, 0.02, 0.04, 0.1])
def test_swapped_chunks_of_a_live_sender_are_sorted(length: float) -> None:
    rate = 16_000
    speech = tone(2.0, rate)
    chunks = cut(speech, rate, [round(length * rate)], 3.0)
    order = list(range(len(chunks)))
    for k in range(5, len(order) - 1, 10):
        order[k], order[k + 1] = order[k + 1], order[k]
    stream, heard = SpeechStream(), []
    for place, k in enumerate(order):
        heard += stream.poll(length * place)
        heard += stream.push_chunk(chunks[k], length * place)
    heard += stream.poll(length * len(order) + 3)
    assert stream.late_chunks == 0
    assert np.array_equal(joined(heard), speech)


def test_of_two_senders_the_later_one_is_kept() -> None:
    """Their clocks differ, and their chunks alternate."""
    stream, heard = SpeechStream(), []
    for k in range(10):
        heard += stream.push_chunk(
            AudioChunk(10.0 + 0.02 * k, 16_000, tone(0.02, 16_000)), 0.02 * k
        )
    first = len(joined(heard))
    for k in range(10, 60):
        heard += stream.push_chunk(
            AudioChunk(10.0 + 0.02 * k, 16_000, tone(0.02, 16_000)), 0.02 * k
        )
        heard += stream.push_chunk(
            AudioChunk(900.0 + 0.02 * k, 16_000, tone(0.02, 16_000)), 0.02 * k + 0.01
        )
    assert sum(h.begins for h in heard) == 2
    assert stream.other_sender_chunks == 49
    assert len(joined(heard)) == first + 320 + 50 * 320


def test_abrupt_ends_are_counted() -> None:
    for quiet, broken in ((0.0, 1), (0.1, 0)):
        stream = SpeechStream()
        speech = np.concatenate([tone(0.5, 16_000), np.zeros(round(quiet * 16_000), np.float32)])
        run(stream, cut(speech, 16_000, [320], 5.0))
        assert stream.abrupt_ends == broken


def test_a_chunk_without_samples_needs_no_rate() -> None:
    """This is an Audio message with default values."""
    assert len(make_chunk(np.zeros(0, np.int16), 0, 0, 0.0).samples) == 0


def test_interrupting_silence_does_nothing() -> None:
    stream = SpeechStream()
    stream.interrupt(0.0)
    assert stream.push_chunk(AudioChunk(0.0, 16_000, tone(0.02, 16_000)), 0.1)[0].begins


@pytest.mark.parametrize(
    ("samples", "rate", "channels", "said"),
    [
        (np.zeros(10, np.int16), 0, 1, "sample_rate is 0"),
        (np.zeros(10, np.int16), 16_000, 0, "channels is 0"),
        (np.zeros(11, np.int16), 16_000, 2, "2 channels"),
        (np.zeros(10, np.int32), 16_000, 1, "int32"),
        (np.full(10, np.nan, np.float32), 16_000, 1, "NaN"),
        (np.full(10, 3e4, np.float32), 16_000, 1, "float samples reach"),
    ],
)
def test_invalid_audio_is_refused(
    samples: npt.NDArray[np.float32], rate: int, channels: int, said: str
) -> None:
    with pytest.raises(AudioError, match=said):
        make_chunk(samples, rate, channels, 1.0)


def test_stereo_and_clipping() -> None:
    stereo = np.tile(np.array([16384, 0], np.int16), 100)
    mono = make_chunk(stereo, 44_100, 2, 1.0)
    assert mono.samples == pytest.approx(np.full(100, 0.25))
    assert not mono.clipped
    square = np.where(np.arange(1000) % 50 < 25, 32767, -32768).astype(np.int16)
    assert make_chunk(square, 16_000, 1, 1.0).clipped
    assert np.array_equal(to_int16(make_chunk(square, 16_000, 1, 1.0).samples), square)


@pytest.mark.parametrize("kind", ["S16LE", "S16BE", "S32LE", "S8", "U8", "F32LE"])
def test_raw_formats(kind: str) -> None:
    values = np.array([0.0, 0.5, -0.5, 0.25])
    data = {
        "S16LE": (values * 32768).astype("<i2"),
        "S16BE": (values * 32768).astype(">i2"),
        "S32LE": (values * 2**31).astype("<i4"),
        "S8": (values * 128).astype("i1"),
        "U8": (values * 128 + 128).astype("u1"),
        "F32LE": values.astype("<f4"),
    }[kind].tobytes()
    assert chunk_from_bytes(data, kind, 16_000, 1, 1.0).samples == pytest.approx(values)
    assert chunk_from_bytes(data, kind, 16_000, 2, 1.0).samples == pytest.approx([0.25, -0.125])


def test_invalid_raw_formats_are_refused() -> None:
    with pytest.raises(AudioError, match="'MP3' is not supported: use one of S16LE"):
        chunk_from_bytes(b"", "MP3", 16_000, 1, 1.0)
    with pytest.raises(AudioError, match=r"3 bytes.*S16LE"):
        chunk_from_bytes(b"abc", "S16LE", 16_000, 1, 1.0)


@pytest.fixture(scope="module")
def with_a_pause() -> tuple[np.ndarray, float, float]:
    """Returns a sentence twice, with 0.25 s of silence between and silence before and after, at
    16 kHz; begin and end of the pause in seconds.
    """
    recording = read_wav(HELLO)
    speech = make_chunk(recording.samples, recording.rate, 1, 0.0).samples
    loud = np.flatnonzero(np.abs(speech) > 0.02)
    speech = speech[loud[0] : loud[-1]]
    second, pause = np.zeros(16_000, np.float32), np.zeros(4000, np.float32)
    begin = 1 + len(speech) / 16_000
    return np.concatenate([second, speech, pause, speech, second]), begin, begin + 0.25


@pytest.mark.parametrize(("leave_time", "share"), [(0.3, 1.0), (0.1, 0.5), (0.0, 0.125)])
def test_leave_time_is_the_longest_pause_that_is_bridged(
    with_a_pause: tuple[np.ndarray, float, float], leave_time: float, share: float
) -> None:
    """The default bridges a short pause; a shorter time does not."""
    samples, begin, end = with_a_pause
    found = VoiceActivity(
        load("voice_activity"), VoiceActivitySettings(leave_time=leave_time)
    ).detect(samples)
    # Look at the middle of each part.
    pause = [a for a in found if begin < a.end - 0.016 < end]
    assert len(pause) == 8
    assert np.mean([a.speaking for a in pause]) == share
    # The probability is not affected by the times.
    assert all(a.probability < 0.3 for a in pause[1:])


def test_the_state_can_follow_the_probability(
    with_a_pause: tuple[np.ndarray, float, float],
) -> None:
    settings = VoiceActivitySettings(enter=0.5, leave=0.5, enter_time=0.0, leave_time=0.0)
    activity = VoiceActivity(load("voice_activity"), settings)
    found = activity.detect(with_a_pause[0])
    assert [a.speaking for a in found] == [a.probability >= 0.5 for a in found]
    assert {a.speaking for a in found} == {True, False}


def test_voice_activity_finds_speech_and_ignores_noise() -> None:
    model = load("voice_activity")
    recording = read_wav(HELLO)
    speech = make_chunk(recording.samples, recording.rate, 1, 0.0).samples
    silence = np.zeros(16_000, np.float32)
    found = VoiceActivity(model).detect(np.concatenate([silence, speech, silence]))
    speaking = [a for a in found if a.speaking]
    assert not any(a.speaking for a in found if a.end < 1.0)
    assert 1.0 < speaking[0].since < 1.4
    assert speaking[0].end - speaking[0].since == pytest.approx(0.06, abs=0.05)
    assert not found[-1].speaking
    rng = np.random.default_rng(0)
    noise = VoiceActivity(model).detect((0.1 * rng.normal(size=32_000)).astype(np.float32))
    assert not any(a.speaking for a in noise)
    # The result does not depend on how the samples are split.
    pieces = VoiceActivity(model)
    again = [a for part in np.array_split(speech, 97) for a in pieces.detect(part)]
    assert again == VoiceActivity(model).detect(speech)
