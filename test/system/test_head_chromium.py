"""The head in three dimensions in a real Chromium, if one and three.js are installed."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import Browser, eventually, needs_chromium

from face_perception import paths
from face_perception.avatar import (
    FaceState,
    IdleMotionAnimator,
    Performer,
    ScreenFrame,
    SilentPlayer,
    WebScreen,
    face_numbers,
    head_files,
    three_files,
)
from face_perception.inference import ModelError
from face_perception.speech import AudioChunk, BandMouth, MouthShape, read_wav
from face_perception.types import BLENDSHAPES, EXPRESSIONS

pytest.importorskip("websockets")
pytestmark = needs_chromium

JAW = BLENDSHAPES.index("jawOpen")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path, software_gl=True)
    yield made
    made.close()


def with_three() -> dict[str, tuple[str, bytes]]:
    try:
        return head_files() | three_files()
    except ModelError as error:
        pytest.skip(str(error))


def test_without_three_the_page_says_how_to_get_it(browser: Browser) -> None:
    web = WebScreen("127.0.0.1", 0, rate=48_000, files=head_files())
    try:
        browser.do("Page.navigate", url=web.address)
        eventually(lambda: web.wanted)
        web.show_frame(ScreenFrame(0, None, 0.0, time.monotonic()))
        eventually(lambda: "models fetch three" in (browser.value("note.textContent") or ""))
    finally:
        web.close()


def test_the_page_follows_a_node_with_another_renderer(browser: Browser) -> None:
    """A canvas cannot show both, and a problem of the head does not stay for the pictures."""
    picture = np.zeros((64, 64, 3), np.uint8)
    stages: list[tuple[np.ndarray | None, dict[str, tuple[str, bytes]], str]] = [
        (None, head_files(), "note.textContent.includes('three.js is missing')"),
        (picture, {}, "window.stats && stats.drawn > 0 && !problem"),
        (None, with_three(), "window.stats && stats.drawn > 0 && head !== null"),
        (picture, {}, "window.stats && stats.drawn > 0 && head === null"),
    ]
    port = 0
    for image, files, expected in stages:
        web = WebScreen("127.0.0.1", port, rate=48_000, files=files)
        if not port:
            browser.resize(240, 160)
            browser.do("Page.navigate", url=web.address)
        port = web.port

        def is_shown(
            web: WebScreen = web, image: np.ndarray | None = image, expected: str = expected
        ) -> bool:
            web.show_frame(ScreenFrame(0, image, 0.0, time.monotonic()))
            return bool(browser.value(expected))

        try:
            eventually(is_shown, 120)
        finally:
            web.close()


def test_its_jaw_follows_the_speech_and_moods_change_the_face(browser: Browser) -> None:
    web = WebScreen("127.0.0.1", 0, rate=48_000, token="secret_token", files=with_three())
    performer = Performer(BandMouth(), IdleMotionAnimator(prosody=False), None)
    player = SilentPlayer(performer.playback_queue, performer.clock)
    performer.screens = (web,)
    said: list[tuple[float, float]] = []
    stop = threading.Event()

    def perform() -> None:
        while not stop.is_set():
            frame = performer.step()
            if frame is not None:
                said.append((frame.position, frame.state.mouth.jaw))

    thread = threading.Thread(target=perform)
    thread.start()
    try:
        browser.resize(240, 160)
        browser.do("Page.navigate", url=f"{web.link}&sound=off")
        # The first picture takes long.
        eventually(lambda: (browser.value("window.stats && stats.drawn") or 0) > 5, 120)
        browser.value(
            "window.seen = []; const show = head.show.bind(head); head.show = (numbers) => {"
            f" seen.push([clock() - base, numbers[{JAW}]]); show(numbers); }}"
        )
        recording = read_wav(paths.resource("resources/speech/hello.wav"))
        samples = recording.samples[:, 0].astype(np.float32) / 32768
        for _ in range(10):  # a slow computer draws few frames of each sentence
            performer.push_speech(AudioChunk(0.0, recording.rate, samples))
            performer.push_speech(AudioChunk(0.0, recording.rate, samples[:0]))
            known = len(said)
            eventually(lambda known=known: any(jaw > 0.2 for _, jaw in said[known:]))
            eventually(lambda: not any(jaw for _, jaw in said[-20:]))
            drawn = np.array(browser.value("seen"))
            if (drawn[:, 1] > 0.2).sum() > 5:
                break
        eventually(lambda: browser.value("seen[seen.length - 1][1]") == 0)
    finally:
        stop.set()
        thread.join()
        player.close()
        web.close()
    # A slow computer draws few frames, and those late: each must be near what was said just before.
    sent = np.array(said)
    drawn = drawn[(drawn[:, 0] > sent[0, 0]) & (drawn[:, 0] < sent[-1, 0])]
    assert drawn[:, 1].max() > 0.2
    apart = []
    for position, jaw in drawn:
        first, end = np.searchsorted(sent[:, 0], (position - 0.25, position + 0.1))
        near = sent[max(first - 1, 0) : end + 1, 1]
        apart.append(abs(jaw - np.clip(jaw, near.min(), near.max())))
    print(f"{len(drawn)} drawn, at most {max(apart):.3f} apart")
    assert np.mean(np.array(apart) < 0.05) > 0.9
    # The moods look different from each other, and an open mouth from a closed one.
    pictures = {}
    for name in (*EXPRESSIONS, "open"):
        animator = IdleMotionAnimator(prosody=False)
        animator.set_expression([float(name == other) for other in EXPRESSIONS])
        mouth = MouthShape(jaw=0.8 if name == "open" else 0.0)
        state = FaceState()
        for k in range(40):
            state = animator.state_at(k / 20, mouth, speaking=name == "open")
        pictures[name] = _drawn(browser, state)
    names = list(pictures)
    for k, one in enumerate(names):
        for other in names[:k]:
            apart = np.abs(pictures[one].astype(int) - pictures[other]).mean()
            assert apart > 0.4, (one, other)


def _drawn(browser: Browser, state: FaceState) -> np.ndarray:
    """Returns the head that shows a state, RGB."""
    numbers = json.dumps(face_numbers(state).tolist())
    url = browser.value(f"last = null; head.show({numbers}); canvas.toDataURL()")
    data = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
