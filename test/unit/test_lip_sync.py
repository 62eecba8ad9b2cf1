"""Tests that generated lips match the audio clock, never delay a frame, and stop when interrupted.

The networks are simple arithmetic and time is simulated; the threads are real.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from waits import scaled

from face_perception.avatar import Avatar, FaceState, LipSync, crop_box, soft_mask
from face_perception.speech import WhisperWindowStream, image_windows, whisper_states
from face_perception.types import FloatArray, Image

FPS = 25
BOX = (20, 10, 90, 110)
PLACE = (90, 55)  # row and column in the middle of the mask
PICTURES = 4


class Steps:
    """A Whisper encoder whose states are their own numbers."""

    broken = False

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if self.broken:
            raise RuntimeError("whisper broke")
        states = np.arange(1500, dtype=np.float32)[:, None, None] + np.zeros((1500, 5, 384))
        return {"states": states[None].astype(np.float32)}


class Lips:
    """A generator whose images have the level of the Whisper step at the time of the image."""

    batch = 2

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.calls: list[tuple[list[int], list[int]]] = []
        self.broken = False
        self.entered = 0

    def generate(self, latents: FloatArray, audio: FloatArray) -> Image:
        self.entered += 1
        assert self.free.wait(scaled(20))
        if self.broken:
            raise RuntimeError("out of memory")
        steps = audio.reshape(len(audio), 10, 5, 384)[:, 4, 0, 0].round().astype(int)
        self.calls.append((latents[:, 0, 0, 0].astype(int).tolist(), steps.tolist()))
        images = np.zeros((len(audio), 256, 256, 3), np.uint8)
        images[:] = steps.astype(np.uint8)[:, None, None, None]
        return images


def avatar() -> Avatar:
    mask = soft_mask(np.full((512, 512), 255, np.uint8), BOX, crop_box(BOX))
    latents = np.zeros((PICTURES, 8, 32, 32), np.float32)
    latents[:] = np.arange(PICTURES)[:, None, None, None]
    pictures = tuple(np.full((128, 128, 3), 200 + k, np.uint8) for k in range(PICTURES))
    masks = (mask,) * PICTURES
    return Avatar(pictures, (BOX,) * PICTURES, masks, latents, FPS, "1.5", "", "x")


class Scene:
    def __init__(self) -> None:
        self.now = 50.0
        self.made, self.lips = avatar(), Lips()
        self.whisper = Steps()
        self.errors: list[Exception] = []
        self.sync = LipSync(
            self.made,
            self.lips,
            WhisperWindowStream(self.whisper),
            fps=FPS,
            failed=self.errors.append,
            now=lambda: self.now,
        )

    def say(self, seconds: float) -> None:
        self.sync.append_speech(np.zeros(round(16_000 * seconds), np.float32))
        self.sync.end_utterance()

    def level(self, number: int, moment: float | None) -> int:
        """Returns the level of a frame where the lips are."""
        self.sync.announce_frame(number, moment)
        return int(self.sync.render(FaceState())[PLACE][0])

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + scaled(20)
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.002)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.lips.free.set()
    assert made.sync.close(20)


def steps_of(scene: Scene) -> list[int]:
    return [step for _, steps in scene.lips.calls for step in steps]


def test_frames_have_the_lips_of_their_moment(scene: Scene) -> None:
    scene.sync.announce_frame(100, -0.4)  # the speech begins ten frames from now
    scene.say(1.0)
    scene.until(lambda: len(steps_of(scene)) == FPS)
    assert steps_of(scene) == list(range(0, 50, 2))
    # Each image belongs to the picture that is shown then: from frame 110 on, forwards and
    # backwards.
    places = [place for places, _ in scene.lips.calls for place in places]
    assert places == [scene.made.picture_index(110 + k) for k in range(FPS)]
    own = lambda number: 200 + scene.made.picture_index(number)  # noqa: E731
    assert scene.level(106, -4 / FPS) == own(106)
    # The lips are blended in before the first sound, and fully shown from then on.
    for k in range(-3, 0):
        share = (k + 4) / 3
        assert scene.level(110 + k, k / FPS) == pytest.approx(own(110 + k) * (1 - share), abs=1.5)
    for k in range(FPS):
        scene.now += 1 / FPS
        scene.until(lambda k=k: k in scene.sync._made)
        assert scene.level(110 + k, k / FPS) == 2 * k
    assert scene.sync.report().shown == FPS
    # The last image is held, then blended out. After that the frame is the avatar's own picture.
    after = [scene.level(135 + k, 1 + k / FPS) for k in range(6)]
    assert after[:3] == [48] * 3
    for k, share in enumerate((2 / 3, 1 / 3, 0), 3):
        wanted = own(135 + k) * (1 - share) + 48 * share
        assert after[k] == pytest.approx(wanted, abs=1.5)
    assert scene.level(201, None) == own(201)


def test_an_interruption_closes_the_mouth_within_a_tenth_of_a_second(scene: Scene) -> None:
    scene.sync.announce_frame(0, 0.0)
    scene.say(0.4)
    scene.until(lambda: 5 in scene.sync._made)
    assert scene.level(5, 5 / FPS) == 10
    scene.sync.reset_speech()
    assert 10 < scene.level(6, None) < 200
    assert scene.level(7, None) == 200 + scene.made.picture_index(7)


def test_speech_is_heard_while_an_image_takes_long(scene: Scene) -> None:
    """Whisper runs on a separate thread."""
    scene.lips.free.clear()
    scene.sync.announce_frame(0, 0.0)
    scene.sync.append_speech(np.zeros(16_000, np.float32))
    scene.until(lambda: scene.lips.entered == 1)
    assert max(scene.sync._features.windows) < 25
    scene.sync.append_speech(np.zeros(16_000, np.float32))
    scene.sync.end_utterance()
    scene.until(lambda: 49 in scene.sync._features.windows)
    assert not scene.lips.calls  # still in the first call


def test_what_is_not_ready_is_not_waited_for_nor_shown_late(scene: Scene) -> None:
    scene.lips.free.clear()
    scene.sync.announce_frame(0, 0.0)
    scene.say(2.0)
    scene.until(lambda: scene.lips.entered == 1)
    for k in range(10):
        scene.now += 1 / FPS
        assert scene.level(k, k / FPS) == 200 + scene.made.picture_index(k)
    assert scene.sync.report().missed == 10
    scene.now += 0.6  # one second has passed when the first call ends
    scene.sync.announce_frame(25, 1.0)
    scene.lips.free.set()
    scene.until(lambda: scene.sync.report().late > 0)
    # From there on only images that can be in time are started, and they are shown.
    scene.until(lambda: bool(scene.sync._made))
    later = [step for step in steps_of(scene) if step >= 50]
    assert later
    assert not set(range(6, 48)) & set(steps_of(scene))
    key = min(scene.sync._made)
    assert scene.level(key, key / FPS) == 2 * key


def test_an_interruption_throws_away_what_is_being_made(scene: Scene) -> None:
    scene.lips.free.clear()
    scene.sync.announce_frame(0, -0.2)
    scene.say(1.0)
    scene.until(lambda: scene.lips.entered == 1)
    scene.sync.reset_speech()
    scene.lips.free.set()
    scene.until(lambda: bool(scene.lips.calls) and not scene.sync._features.windows)
    assert scene.level(5, 0.0) == 200 + scene.made.picture_index(5)
    assert not scene.sync._made
    # The next speech begins with its own first step.
    before = len(steps_of(scene))
    scene.sync.announce_frame(10, -0.2)
    scene.say(0.4)
    scene.until(lambda: len(steps_of(scene)) == before + 10)
    assert steps_of(scene)[before:] == list(range(0, 20, 2))


def test_utterances_that_follow_at_once_are_counted_on(scene: Scene) -> None:
    scene.sync.announce_frame(0, -0.2)
    scene.say(0.4)
    scene.say(0.4)
    scene.until(lambda: len(steps_of(scene)) == 20)
    assert steps_of(scene) == [*range(0, 20, 2)] * 2  # each utterance has its own features
    scene.until(lambda: sorted(scene.sync._made) == list(range(20)))
    assert scene.level(17, 17 / FPS) == 2 * 7


def test_nobody_looks_so_nothing_is_made(scene: Scene) -> None:
    scene.sync.announce_frame(0, -1.2)
    scene.now += 1.0
    scene.say(0.4)
    scene.until(lambda: len(scene.sync._features.windows) == 10)
    time.sleep(0.1)
    assert not scene.lips.calls
    # Images that can no longer be shown are not kept.
    scene.now += 0.4
    scene.until(lambda: sorted(scene.sync._features.windows) == [5, 6, 7, 8, 9])


def test_what_nobody_followed_is_kept_for_a_while_only(scene: Scene) -> None:
    windows = scene.sync._features.windows
    scene.say(25.0)
    scene.until(lambda: len(windows) == 20 * FPS and max(windows) == 25 * FPS - 1)
    # A time in the earlier speech says nothing about the next.
    scene.sync.announce_frame(0, 60.0)
    scene.until(lambda: not windows)
    scene.sync.reset_speech()
    scene.say(0.4)
    scene.until(lambda: len(windows) == 10)
    time.sleep(0.1)
    assert len(windows) == 10


def features(scene: Scene) -> dict[int, FloatArray]:
    """Returns the features that wait for their images, by image number."""
    with scene.sync._changed:
        return dict(scene.sync._features.windows)


def test_long_speech_waits_as_sound_not_as_features(scene: Scene) -> None:
    """The features of 300 s of speech take 576 MB."""
    samples = np.zeros(16_000 * 95, np.float32)
    want = image_windows(whisper_states(samples, scene.whisper), 95 * FPS, FPS)
    scene.sync.announce_frame(0, -1.2)
    scene.sync.append_speech(samples)
    scene.sync.end_utterance()
    found: dict[int, FloatArray] = {}
    for second in (0, 20, 40, 60, 80):
        scene.now = 50.0 + second
        scene.sync.announce_frame(second * FPS, float(second))
        scene.until(lambda newest=(second + 14) * FPS: max(features(scene), default=0) > newest)
        waiting = features(scene)
        assert len(waiting) <= 60 * FPS, "up to 30 s and a block of 30 s"
        found |= waiting
    assert len(found) > 80 * FPS, "without those that became images at once"
    assert all(np.array_equal(window, want[number]) for number, window in found.items()), (
        "the same as those of the whole speech"
    )


def test_a_network_that_fails_is_told_of_and_lips_come_again(scene: Scene) -> None:
    scene.lips.broken = True
    scene.sync.announce_frame(0, -0.2)
    scene.say(0.4)
    scene.until(lambda: bool(scene.errors))
    assert "out of memory" in str(scene.errors[0])
    scene.sync.reset_speech()
    scene.lips.broken = False
    scene.sync.announce_frame(0, -0.2)
    scene.say(0.4)
    # An image from before the reset may still be in work.
    scene.until(lambda: len(steps_of(scene)) >= 10)


def test_a_batch_is_begun_for_frames_that_all_of_it_can_be_in_time_for(scene: Scene) -> None:
    scene.lips.free.clear()
    scene.sync.announce_frame(0, 0.0)
    scene.say(2.0)
    scene.until(lambda: scene.lips.entered == 1)
    scene.now += 0.2
    scene.sync.announce_frame(5, 0.2)
    scene.lips.free.set()  # two images took 0.2 s
    scene.until(lambda: len(scene.lips.calls) > 1)
    # From now on 0.2 s and the margin are needed: no image before number 10.
    assert min(scene.lips.calls[1][1]) >= 2 * 10


def test_after_a_failure_of_whisper_the_next_utterance_keeps_its_place(scene: Scene) -> None:
    scene.whisper.broken = True
    scene.sync.announce_frame(0, -0.2)
    scene.say(0.4)
    scene.until(lambda: bool(scene.errors))
    scene.whisper.broken = False
    scene.sync.append_speech(np.zeros(800, np.float32))
    scene.say(0.35)
    scene.until(lambda: sorted(scene.sync._made) == list(range(10, 20)))
    assert steps_of(scene) == list(range(0, 20, 2))
    assert [str(error) for error in scene.errors] == ["whisper broke"]


def test_a_call_that_goes_on_is_waited_for_at_the_end_of_the_program(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the runtime would be unloaded during the call, and the process would abort."""
    waiting: list[Callable[..., object]] = []
    monkeypatch.setattr("atexit.register", lambda call, *_: waiting.append(call))
    scene.lips.free.clear()
    scene.sync.announce_frame(0, 0.0)
    scene.say(1.0)
    scene.until(lambda: scene.lips.entered == 1)
    assert not scene.sync.close(0.05)
    assert len(waiting) == 1  # Whisper is idle
    scene.lips.free.set()
    waiting[0]()
    assert scene.sync.close(20)


def test_a_rate_must_be_whole() -> None:
    with pytest.raises(ValueError, match=r"rate.* 12\.5"):
        LipSync(avatar(), Lips(), WhisperWindowStream(Steps()), fps=12.5, failed=print)
