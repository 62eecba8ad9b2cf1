"""Tests frames on the audio clock in simulated time: skew, jitter, stalls and slow rendering."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from simulated_time import RATE, Keeps, World

from face_perception import paths
from face_perception.avatar import (
    AudioClock,
    FramePacer,
    Performer,
    PerformerSettings,
    PerformerState,
    PlaybackQueue,
)
from face_perception.errors import InputError
from face_perception.speech import (
    MOUTH_RATE,
    REST,
    AudioChunk,
    BandMouth,
    Mouth,
    MouthShape,
    Phone,
    PhonemeMouth,
    read_wav,
)


class Device:
    """An audio device that takes 10 ms blocks by its own crystal. Callbacks are up to ``jitter``
    late.
    """

    def __init__(
        self,
        world: World,
        playback_queue: PlaybackQueue,
        clock: AudioClock,
        skew: float,
        jitter: float = 0.004,
    ) -> None:
        self.world, self.playback_queue, self.clock = world, playback_queue, clock
        self.rate = playback_queue.rate * (1 + skew)
        self.begin, self.jitter = world.now, jitter
        self.rng = np.random.default_rng(1)
        self.block = playback_queue.rate // 100
        self.stalled = 0.0
        self._schedule()

    def true_position(self, now: float) -> float:
        """Returns what is heard now, in seconds of audio."""
        return (now - self.begin - self.stalled) * self.rate / self.playback_queue.rate

    def _schedule(self) -> None:
        due = self.begin + self.stalled + self.playback_queue.samples_taken / self.rate - 0.02
        self.world.at(due + self.rng.uniform(0, self.jitter), self._call)

    def _call(self) -> None:
        # Devices state when a block will be heard. That time jitters together with the callback.
        self.clock.observe(
            self.world.now, self.playback_queue.samples_taken / self.playback_queue.rate - 0.02
        )
        self.playback_queue.take_samples(self.block)
        self._schedule()


@pytest.mark.parametrize("skew", [-0.005, 0.0, 0.005])
def test_no_drift_over_ten_minutes(skew: float) -> None:
    world, clock = World(), AudioClock()
    device = Device(world, PlaybackQueue(RATE), clock, skew)
    pacer = FramePacer(clock, 30.0)
    off = []
    while world.now < 700:
        number = pacer.next_frame(world.now, 0.012)
        world.wait(max(0.0, pacer.due_time(number) - world.now))
        assert pacer.accept(number, world.now)
        off.append(number / 30 - device.true_position(world.now))
    # Jitter only makes callbacks late, so the mean of what the device states is 2 ms behind.
    settled = np.array(off[300:])
    assert np.abs(settled - settled.mean()).max() < 0.003
    assert abs(settled.mean()) < 0.006
    first, last = settled[:1000].mean(), settled[-1000:].mean()
    assert abs(first - last) < 0.0005, "it drifts"
    assert pacer.dropped == 0
    assert abs(pacer.recent_worst_offset()) < 0.005
    assert clock.rate == pytest.approx(1 + skew, abs=5e-4)
    assert pacer.shown == pytest.approx(600 * 30 * (1 + skew), abs=60)


def test_slow_rendering_drops_frames_and_shows_none_late() -> None:
    world, clock = World(), AudioClock()
    device = Device(world, PlaybackQueue(RATE), clock, 0.0)
    pacer = FramePacer(clock, 30.0)
    lead = 0.05
    off = []
    while world.now < 130:
        number = pacer.next_frame(world.now, lead)
        world.wait(0.05)  # seconds to render
        world.wait(max(0.0, pacer.due_time(number) - world.now))
        if pacer.accept(number, world.now):
            off.append(number / 30 - device.true_position(world.now))
    # Once the clock is known, a frame that will be ready half a period late is still started.
    assert np.abs(off[100:]).max() < 0.5 / 30 + 0.005
    assert pacer.shown == pytest.approx(30 / 0.06, abs=60)
    assert pacer.shown + pacer.dropped == pytest.approx(30 * 30, abs=3)


def test_a_frame_that_came_late_is_not_shown_and_the_next_is_in_time() -> None:
    world, clock = World(), AudioClock()
    Device(world, PlaybackQueue(RATE), clock, 0.0)
    pacer = FramePacer(clock, 30.0)
    number = pacer.next_frame(world.now, 0.01)
    world.wait(pacer.due_time(number) - world.now + 0.2)  # a stall
    assert not pacer.accept(number, world.now)
    following = pacer.next_frame(world.now, 0.01)
    assert following - number >= 6
    assert pacer.due_time(following) >= world.now + 0.01 - 1 / 60
    assert pacer.dropped == following - number


def test_a_device_that_stalls_is_followed() -> None:
    world, playback_queue, clock = World(), PlaybackQueue(RATE), AudioClock()
    device = Device(world, playback_queue, clock, 0.0)
    world.wait(5)
    device.stalled += 0.7
    world.wait(3)
    assert clock.position(world.now) == pytest.approx(device.true_position(world.now), abs=0.01)


def test_a_device_that_says_it_was_farther_than_it_is() -> None:
    """PulseAudio does this at its start: it takes two seconds at once, which are heard later."""
    world, clock = World(), AudioClock()
    pacer = FramePacer(clock, 30.0)
    clock.observe(world.now, 2.0)
    numbers, shown = [], []
    for step in range(60):
        number = pacer.next_frame(world.now, 0.01)
        world.wait(max(0.0, pacer.due_time(number) - world.now))
        if step == 9:
            begin = world.now
        if step >= 9:
            clock.observe(world.now, world.now - begin)
        numbers.append(number)
        shown.append(pacer.accept(number, world.now))
    assert shown.count(False) == 1
    assert numbers[-1] < 55


def speech(seconds: float, rate: int = RATE) -> npt.NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)).astype("f4")


def test_queued_speech_is_played_after_the_delay() -> None:
    playback_queue = PlaybackQueue(RATE, delay=0.1)
    heard: list[tuple[float, npt.NDArray[np.float32]]] = []
    playback_queue.add_listener(lambda position, samples: heard.append((position, samples)))
    playback_queue.take_samples(RATE)
    playback_queue.enqueue(speech(0.5), heard=0.98)
    assert playback_queue.speech_time_at(1.07) is None
    assert playback_queue.speech_time_at(1.08) == pytest.approx(0.0, abs=1e-4)
    assert playback_queue.speech_time_at(1.57) == pytest.approx(0.49, abs=1e-4)
    assert playback_queue.speech_time_at(1.59) is None
    out = np.concatenate([playback_queue.take_samples(160) for _ in range(100)])
    assert np.array_equal(out[1280:][:8000], speech(0.5))
    assert not out[:1280].any()
    assert not out[9280:].any()
    assert heard[0][0] == pytest.approx(1.08)
    assert np.array_equal(np.concatenate([samples for _, samples in heard]), speech(0.5))


def test_a_queue_that_ran_dry_waits_again() -> None:
    playback_queue = PlaybackQueue(RATE, delay=0.1)
    playback_queue.enqueue(speech(0.1), heard=0.0)
    playback_queue.take_samples(8000)  # until 0.5 s
    playback_queue.enqueue(speech(0.1), heard=0.5)
    assert playback_queue.speech_time_at(0.55) is None
    assert playback_queue.speech_time_at(0.6) == pytest.approx(0.1)
    assert playback_queue.speech_time_at(0.15) == pytest.approx(0.05)
    playback_queue.enqueue(speech(0.1), heard=0.52)  # continues without a gap
    assert playback_queue.speech_time_at(0.75) == pytest.approx(0.25)


def test_a_cancelled_queue_fades_and_is_silent() -> None:
    playback_queue = PlaybackQueue(RATE, delay=0.0)
    playback_queue.enqueue(speech(1.0), heard=0.0)
    playback_queue.take_samples(1600)
    playback_queue.cancel()
    out = playback_queue.take_samples(1600)
    assert out[:80].any()
    assert not out[80:].any()
    assert playback_queue.seconds_waiting == 0
    assert playback_queue.speech_time_at(0.2) is None


def test_a_queue_starts_again_after_a_cancel() -> None:
    """The sound that was cancelled still fades out. The new speech starts at its own speech
    time.
    """
    playback_queue = PlaybackQueue(RATE, delay=0.05)
    playback_queue.enqueue(speech(1.0), heard=0.0)
    playback_queue.take_samples(1600)
    playback_queue.cancel()
    base = playback_queue.seconds_enqueued
    assert playback_queue.seconds_waiting == 0
    assert playback_queue.enqueue(speech(0.5), heard=0.1) == pytest.approx(0.045, abs=1e-4)
    assert playback_queue.speech_time_at(0.104) == pytest.approx(0.054)
    assert playback_queue.speech_time_at(0.12) is None
    assert playback_queue.speech_time_at(0.2) == pytest.approx(base + 0.05)
    assert playback_queue.expected_speech_time(0.14) == pytest.approx(base - 0.01)
    out = playback_queue.take_samples(RATE)
    assert out[:80].any()
    assert not out[80:800].any()
    assert np.array_equal(out[800:8800], speech(0.5))
    # If the speech would start before the fade has ended, it starts after the fade.
    playback_queue.enqueue(speech(0.5), heard=1.1)
    playback_queue.take_samples(3200)
    playback_queue.cancel()
    playback_queue.enqueue(speech(0.5), heard=1.2)
    playback_queue.cancel()
    playback_queue.delay = 0.0
    playback_queue.enqueue(speech(0.5), heard=1.2)
    assert playback_queue.speech_time_at(1.304) == pytest.approx(1.654)
    assert playback_queue.speech_time_at(1.306) == pytest.approx(2.501)


class Loud:
    """A mouth that is open while the audio at that moment is loud. It looks 50 ms ahead."""

    look_ahead = 0.05
    frame_period = 0.01

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.samples = np.zeros(200 * RATE, np.float32)
        self.count = 0

    def push_samples(self, samples: npt.NDArray[np.float32]) -> None:
        self.samples[self.count : self.count + len(samples)] = samples
        self.count += len(samples)

    def shape_at(self, time: float) -> MouthShape:
        around = self.samples[max(0, round((time - 0.01) * RATE)) : round((time + 0.01) * RATE)]
        return MouthShape(jaw=min(1.0, float(np.abs(around).max(initial=0.0)) * 2))


class Stage:
    """A performer with a simulated device and screen."""

    def __init__(
        self,
        skew: float = 0.0,
        audio_rate: int = RATE,
        mouth: Mouth | None = None,
        settings: PerformerSettings | None = None,
    ) -> None:
        self.kept = Keeps()
        world = self.world = self.kept.world
        self.performer = Performer(
            mouth or Loud(),
            self.kept,
            self.kept,
            settings or PerformerSettings(audio_rate=audio_rate),
            now=lambda: world.now,
            wait=world.wait,
        )
        self.performer.screens = [self.kept]
        self.device = Device(world, self.performer.playback_queue, self.performer.clock, skew)
        self.heard: list[tuple[float, npt.NDArray[np.float32]]] = []
        self.performer.playback_queue.add_listener(
            lambda at, samples: self.heard.append((at, samples))
        )
        self.run(1.0)

    def run(self, seconds: float) -> None:
        end = self.world.now + seconds
        while self.world.now < end:
            self.performer.step()

    def say(
        self,
        samples: npt.NDArray[np.float32],
        chunk: float = 0.02,
        *,
        rate: int = RATE,
        begin: float | None = None,
    ) -> float:
        """Sends speech in real time from ``begin`` (default: now) and returns when it is heard."""
        begin, step = begin or self.world.now, round(chunk * rate)
        for k, start in enumerate(range(0, len(samples), step)):
            piece = AudioChunk(begin + start / rate, rate, samples[start : start + step])
            self.world.at(begin + k * chunk, lambda piece=piece: self.performer.push_speech(piece))  # type: ignore[misc]
        return begin

    def worst_offset(self, begin: float) -> float:
        """Returns the largest offset in seconds from what the device truly played, from ``begin``
        on.
        """
        return max(
            abs(frame.position - self.device.true_position(at))
            for frame, at in self.kept.shown
            if at >= begin
        )

    def open_from(self, begin: float) -> list[tuple[float, float]]:
        """Returns (time shown, jaw) of the frames from ``begin`` on."""
        return [
            (at, float(frame.image[0, 0, 0]) / 255) for frame, at in self.kept.shown if at >= begin
        ]


def test_it_speaks_in_time_and_goes_back_to_idle() -> None:
    stage = Stage()
    begin = stage.say(speech(1.0))
    stage.run(0.5)
    assert stage.performer.state[0] is PerformerState.SPEAKING
    stage.run(2.0)
    assert stage.performer.state[0] is PerformerState.IDLE
    moving = [at for at, jaw in stage.open_from(begin) if jaw > 0.5]
    assert 0.0 < moving[0] - begin <= 0.15
    assert moving[-1] - moving[0] == pytest.approx(1.0, abs=0.08)
    report = stage.performer.report()
    assert report.first_frame == pytest.approx(moving[0] - begin, abs=0.002)
    assert stage.worst_offset(begin) < 0.01
    assert report.delivered == pytest.approx(30, abs=1)
    assert report.dropped == 0
    assert report.ran_dry == 0
    assert stage.kept.states[-1].mouth == REST


@pytest.mark.parametrize("rate", [RATE, 24_000])
def test_lips_follow_announced_phonemes(rate: int) -> None:
    stage = Stage()
    begin = stage.world.now
    said = [Phone("m", 0.0, 0.3), Phone("ɑ", 0.3, 0.7), Phone("p", 0.7, 0.9)]
    stage.performer.announce_phonemes([Phone(p.name, begin + p.start, begin + p.end) for p in said])
    before = len(stage.kept.states)
    stage.say(speech(1.5, rate), rate=rate)
    stage.run(2.5)
    mouths = [state.mouth for state in stage.kept.states[before:]]
    # The lips begin to close with the first frame, and need 60 ms.
    first = next(k for k, mouth in enumerate(mouths) if mouth.press > 0)

    def during(start: float, end: float) -> list[MouthShape]:
        return mouths[first + round(start * 30) : first + round(end * 30)]

    assert all(mouth.press > 0.9 for mouth in during(0.1, 0.3))
    assert all(mouth.press < 0.1 and mouth.jaw > 0.6 for mouth in during(0.44, 0.58))
    assert all(mouth.press > 0.9 for mouth in during(0.73, 0.87))
    # After what was announced, the mouth follows the sound again.
    assert all(mouth.jaw > 0.9 for mouth in during(1.15, 1.4))
    # Other speech, without phonemes, is not moved by the old ones.
    later = stage.say(speech(0.5))
    stage.run(1.0)
    assert max(jaw for _, jaw in stage.open_from(later)) > 0.9


@pytest.mark.parametrize(
    ("interrupted", "after"),
    [(False, 1.0), (True, 1.0), (True, 3.5)],
    ids=["it ended too early", "it was interrupted", "a later sentence was interrupted"],
)
def test_phonemes_of_speech_that_stopped_do_not_move_the_next(
    interrupted: bool, after: float
) -> None:
    stage = Stage()
    begin = stage.world.now
    for start, end in ((0.0, 2.0), (3.0, 5.0)):
        stage.performer.announce_phonemes([Phone("m", begin + start, begin + end)])
    stage.say(speech(0.3))
    stage.run(0.35)
    if interrupted:
        stage.performer.interrupt()
    stage.run(begin + after - stage.world.now)
    later = stage.say(speech(0.5))
    stage.run(0.5)
    assert all(jaw > 0.9 for at, jaw in stage.open_from(later) if at > later + 0.2)


def test_phonemes_from_before_the_clock_went_back_are_forgotten() -> None:
    mouth = PhonemeMouth()
    for begin in (100.0, 101.0, 50.0):
        mouth.add([Phone("m", begin, begin + 1.0)])
    assert mouth.shape_at(100.5) is mouth.shape_at(101.5) is None
    found = mouth.shape_at(50.5)
    assert found is not None
    assert found.press > 0.9


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ([(0.0, float("nan"))], "NaN or infinite"),
        ([(1.0, 1.1), (0.5, 0.6)], "not in the order"),
        ([(1.0, 0.9)], "not in the order"),
        ([(0.0, 1e9)], "at most 60 s"),
        ([(0.0, 0.0)] * 5000, "at most 1000"),
    ],
)
def test_phonemes_that_cannot_be_are_refused(times: list[tuple[float, float]], why: str) -> None:
    with pytest.raises(InputError, match=why):
        PhonemeMouth().add([Phone("a", *time) for time in times])
    with pytest.raises(InputError, match="at most 8 letters"):
        PhonemeMouth().add([Phone("a" * 9, 0.0, 0.1)])


@pytest.mark.parametrize("skew", [-0.005, 0.005])
def test_three_minutes_against_a_skewed_device(skew: float) -> None:
    """The speech is loud and silent in turns of half a second. Every frame must match the sound."""
    stage = Stage(skew)
    beat = np.concatenate([speech(0.5), np.zeros(RATE // 2, np.float32)])
    begin = stage.say(np.tile(beat, 180))
    stage.run(182)
    report = stage.performer.report()
    assert stage.worst_offset(begin) < 0.01
    assert report.dropped <= 2
    audible = np.zeros(round(200 * RATE), bool)
    for position, samples in stage.heard:
        start = round(position * RATE)
        audible[start : start + len(samples)] = np.abs(samples) > 0.01
    wrong = 0
    frames = stage.open_from(begin + 1)
    for at, jaw in frames:
        # Checks whether it sounds within 40 ms of the moment when the frame is seen.
        heard = round(stage.device.true_position(at) * RATE)
        around = audible[heard - 640 : heard + 640]
        wrong += jaw > 0.5 and not around.any()
        wrong += jaw < 0.1 and around.mean() > 0.95
    assert len(frames) > 5000
    assert wrong <= 0.002 * len(frames)
    # Without a correction, the device that is faster than the sender would run dry every ten
    # seconds.
    assert report.ran_dry == 0
    gaps = [b - a - len(s) / RATE for (a, s), (b, _) in itertools.pairwise(stage.heard)]
    assert max(gaps) < 0.001, "one sound, without a hole"


def test_interruption_is_seen_and_heard_at_once() -> None:
    stage = Stage()
    stage.say(speech(3.0))
    stage.run(1.0)
    assert stage.performer.interrupt()
    stopped = stage.world.now
    assert stage.performer.state[0] is PerformerState.INTERRUPTED
    stage.run(0.3)
    assert stage.performer.state[0] is PerformerState.INTERRUPTED
    stage.run(1.0)
    assert stage.performer.state[0] is PerformerState.IDLE
    frames = stage.open_from(stopped)
    assert all(jaw < 0.5 for at, jaw in frames if at > stopped + 0.1)
    assert all(jaw == 0 for at, jaw in frames if at > stopped + 0.15)
    last, samples = stage.heard[-1]
    assert last + len(samples) / RATE - stage.device.true_position(stopped) < 0.05
    assert not stage.performer.interrupt()
    # The rest of the interrupted speech is not spoken. What comes after it is.
    stage.run(2.0)
    begin = stage.say(speech(0.3))
    stage.run(1.0)
    assert any(jaw > 0.5 for _, jaw in stage.open_from(begin))


def test_an_interruption_is_seen_at_once_where_rendering_is_slow() -> None:
    """The image that is being rendered when the speech is interrupted still has an open mouth."""
    stage = Stage()
    stage.kept.cost = 0.2
    stage.performer.push_speech(AudioChunk(0.0, RATE, speech(9.0)))
    stage.run(7.0)  # the performer learns how long rendering takes
    assert stage.open_from(stage.world.now - 0.5)[-1][1] > 0.5
    rendered = len(stage.kept.states)
    stopped: list[float] = []

    def interrupt() -> None:
        assert stage.performer.interrupt()
        stopped.append(stage.world.now)

    def during_rendering() -> None:
        if len(stage.kept.states) == rendered:  # it waits for the time to render
            stage.world.at(stage.world.now + 0.001, during_rendering)
        else:
            stage.world.at(stage.world.now + 0.02, interrupt)

    during_rendering()
    stage.run(2.0)
    frames = [(at - stopped[0], jaw) for at, jaw in stage.open_from(stopped[0])]
    assert len(frames) >= 5
    assert all(jaw == 0 for late, jaw in frames if late > 0.1)


def test_a_reply_at_once_is_spoken_in_time() -> None:
    stage = Stage()
    stage.performer.push_speech(AudioChunk(0.0, RATE, speech(3.0)))
    stage.run(1.0)
    stage.performer.interrupt()
    begin = stage.world.now
    quiet = np.zeros(RATE // 2, np.float32)
    stage.performer.push_speech(AudioChunk(0.0, RATE, np.concatenate([quiet, speech(0.5)])))
    stage.run(2.5)
    moving = [at for at, jaw in stage.open_from(begin + 0.08) if jaw > 0.5]
    assert 0.55 < moving[0] - begin <= 0.65
    assert moving[-1] - moving[0] == pytest.approx(0.5, abs=0.08)
    report = stage.performer.report()
    assert 0.08 <= report.first_frame <= 0.15
    assert report.ran_dry == 0


def test_a_stream_that_stops_mid_word_closes_the_mouth() -> None:
    stage = Stage()
    begin = stage.say(speech(0.4))
    stage.run(0.75)
    assert stage.performer.state[0] is PerformerState.SPEAKING
    stage.run(0.5)
    assert stage.performer.state[0] is PerformerState.IDLE
    assert all(jaw == 0 for at, jaw in stage.open_from(begin + 0.65))


def test_a_gap_within_an_utterance_is_counted() -> None:
    stage = Stage()
    stage.performer.push_speech(AudioChunk(0.0, RATE, speech(0.3)))
    stage.run(0.55)
    stage.performer.push_speech(AudioChunk(0.0, RATE, speech(0.3)))
    stage.run(0.1)
    assert stage.performer.state[0] is PerformerState.SPEAKING
    stage.run(2.0)
    assert stage.performer.report().ran_dry == 1
    assert stage.performer.state[0] is PerformerState.IDLE


@pytest.mark.parametrize("source", [16_000, 22_050, 44_100])
def test_the_first_frame_comes_soon_and_the_start_is_no_gap(source: int) -> None:
    """Resamplers give no output for their first one or two chunks."""
    stage = Stage(audio_rate=48_000)
    soon = []
    for pause in range(20):
        stage.run(0.6 + 0.0137 * pause)
        begin = stage.world.now + 0.0171 * pause % 0.033
        stage.say(speech(0.4, source), rate=source, begin=begin)
        stage.run(0.9)
        soon.append(stage.performer.report().first_frame)
    assert stage.performer.report().ran_dry == 0
    # The delay, what a resampler keeps back, and the time to the next frame.
    waited = 0.02 if source == 22_050 else 0.0
    assert min(soon) >= 0.1 + waited - 0.25 / 30 - 0.002
    assert max(soon) <= 0.1 + waited + 0.75 / 30 + 0.002
    assert np.median(soon) <= 0.115 + waited


def test_two_utterances_sent_at_once_are_said_one_after_the_other() -> None:
    stage = Stage()
    begin = stage.world.now
    for _ in range(2):
        stage.performer.push_speech(AudioChunk(0.0, RATE, speech(0.5)))
        stage.performer.push_speech(AudioChunk(0.0, RATE, speech(0.0)))
    stage.run(2.5)
    jaws = [jaw > 0.5 for _, jaw in stage.open_from(begin)]
    assert sum(a != b for a, b in itertools.pairwise(jaws)) == 4
    assert sum(jaws) == pytest.approx(30, abs=4)
    assert stage.performer.state[0] is PerformerState.IDLE


class Counted(BandMouth):
    """Records how much speech it gets at once."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def push_samples(self, samples: npt.NDArray[np.float32]) -> None:
        self.given.append(len(samples))
        super().push_samples(samples)


def test_a_minute_and_a_half_at_once_moves_the_mouth_from_its_beginning() -> None:
    """A mouth keeps less speech than this, and one run over all of it takes longer than a frame."""
    said = read_wav(paths.resource("resources/speech/hello.wav"))
    once = said.samples[:, 0].astype(np.float32) / 32768
    mouth = Counted()
    stage = Stage(mouth=mouth, audio_rate=said.rate)
    begin = stage.world.now
    stage.performer.push_speech(AudioChunk(0.0, said.rate, np.resize(once, 90 * said.rate)))
    stage.run(3.0)
    assert max(jaw for _, jaw in stage.open_from(begin)) > 0.3
    assert max(mouth.given) <= 1.2 * MOUTH_RATE
    assert sum(mouth.given) == pytest.approx(4.0 * MOUTH_RATE, abs=0.2 * MOUTH_RATE)
    stage.performer.interrupt()
    stage.run(0.5)
    assert stage.kept.states[-1].mouth == REST


def test_an_hour_of_speech_at_once_takes_bounded_memory() -> None:
    """What fits is spoken from its beginning; the rest is dropped and counted."""
    stage = Stage(settings=PerformerSettings(audio_rate=RATE, longest_speech=60.0))
    begin = stage.world.now
    for _ in range(6):
        ten_minutes = np.zeros(600 * RATE, np.float32)
        ten_minutes[RATE : 2 * RATE] = speech(1.0)
        stage.performer.push_speech(AudioChunk(0.0, RATE, ten_minutes))
    assert stage.performer.playback_queue.seconds_waiting == pytest.approx(60.0)
    report = stage.performer.report()
    assert report.dropped_speech == pytest.approx(3600 - 60)
    assert report.too_much_speech
    stage.run(3.0)
    moving = [at for at, jaw in stage.open_from(begin) if jaw > 0.5]
    assert moving[0] - begin == pytest.approx(1.1, abs=0.05)
    assert moving[-1] - begin == pytest.approx(2.1, abs=0.05)
    # An interruption makes room.
    stage.performer.interrupt()
    stage.run(1.0)
    begin = stage.say(speech(0.5))
    stage.run(1.0)
    assert any(jaw > 0.5 for _, jaw in stage.open_from(begin))
    assert not stage.performer.report().too_much_speech
    assert stage.performer.report().dropped_speech == report.dropped_speech


def test_a_renderer_too_slow_for_the_rate_stays_in_time() -> None:
    stage = Stage()
    stage.kept.cost = 0.055
    stage.run(2.0)
    shown = len(stage.kept.shown)
    begin = stage.say(speech(2.0))
    stage.run(4.0)
    report = stage.performer.report()
    assert stage.worst_offset(begin) < 0.01
    assert report.dropped > 0
    assert 12 <= (len(stage.kept.shown) - shown) / 4 <= 18
    moving = [at for at, jaw in stage.open_from(begin) if jaw > 0.5]
    assert moving[-1] - begin == pytest.approx(2.1, abs=0.1)


def test_nobody_looks_nothing_is_rendered() -> None:
    stage = Stage()
    stage.kept.wanted = False
    rendered = len(stage.kept.states)
    stage.say(speech(0.5))
    stage.run(1.0)
    assert len(stage.kept.states) == rendered
    stage.run(0.5)
    assert stage.performer.state[0] is PerformerState.IDLE
    stage.performer.set_expression([0, 0, 0, 0, 1, 0, 0])
    stage.run(0.1)
    assert stage.kept.probability == [0, 0, 0, 0, 1, 0, 0]


def test_the_volume_changes_without_a_click() -> None:
    queue = PlaybackQueue(rate=1000)
    queue.enqueue(np.ones(300, np.float32), heard=0.0)
    queue.take_samples(150)  # from the delay of 0.1 s on
    queue.set_volume(0.25)
    softer = queue.take_samples(50)  # in 20 ms from 0 to 1, so in 15 ms to a quarter
    np.testing.assert_allclose(softer[:15], 1 - np.arange(1, 16) / 20, atol=1e-6)
    np.testing.assert_allclose(softer[15:], 0.25)
    queue.set_volume(1.0)
    pieces = [queue.take_samples(5) for _ in range(4)]
    np.testing.assert_allclose(np.concatenate(pieces)[:15], 0.25 + np.arange(1, 16) / 20, atol=1e-6)
    np.testing.assert_array_equal(queue.take_samples(20), np.ones(20))
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(InputError, match="from 0 to 1"):
            queue.set_volume(wrong)
