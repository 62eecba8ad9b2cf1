"""The web page in a real Chromium, if one is installed: frames, sound, reconnecting."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import Browser, eventually, needs_chromium

from face_perception.avatar import ScreenFrame, WebScreen

pytest.importorskip("websockets")
pytestmark = needs_chromium

RATE = 48_000


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path)
    yield made
    made.close()


class Source:
    """Sends single-coloured frames and a tone in real time."""

    def __init__(self, screen: WebScreen) -> None:
        self.screen = screen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        begin = time.monotonic()
        for number in itertools.count():
            image = np.full((256, 256, 3), (250, (number * 7) % 250, 20), np.uint8)
            self.screen.show_frame(ScreenFrame(number, image, number / 30, begin + number / 30))
            samples = np.sin(2 * np.pi * 440 * np.arange(RATE // 30) / RATE).astype(np.float32)
            self.screen.play_audio(number / 30 + 0.03, 0.3 * samples)
            if self._stop.wait(max(0.0, begin + (number + 1) / 30 - time.monotonic())):
                return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def test_frames_sound_and_coming_back(browser: Browser) -> None:
    web = WebScreen("127.0.0.1", 0, rate=RATE)
    port = web.port
    source = Source(web)
    try:
        browser.do("Page.navigate", url=web.address)
        eventually(lambda: (browser.value("stats.drawn") or 0) > 20)
        eventually(lambda: browser.value("stats.sounds") > 20)
        assert browser.value("audio.state") == "running"
        pixel = "Array.from(pen.getImageData(9, 9, 1, 1).data)"
        first = browser.value(pixel)
        assert first[0] > 230
        assert first[2] < 60
        eventually(lambda: browser.value(pixel)[1] != first[1])
        # On one clock, frames are drawn neither before nor long after their sound is heard.
        eventually(lambda: browser.value("frames.length") < 12)
        played = browser.value("stats.sounds - stats.late")
        assert played > 0.8 * browser.value("stats.sounds")
    finally:
        source.stop()
        web.close()
    eventually(lambda: browser.value("note.textContent") == "connecting…")
    again = WebScreen("127.0.0.1", port, rate=RATE)
    source = Source(again)
    try:
        drawn = browser.value("stats.drawn")
        eventually(lambda: browser.value("stats.drawn") > drawn + 10)
        assert browser.value("stats.connections") == 2
    finally:
        source.stop()
        again.close()


def test_a_call_comes_as_video_with_sound_and_comes_back(browser: Browser) -> None:
    pytest.importorskip("aiortc")
    web = WebScreen("127.0.0.1", 0, rate=RATE, calls=[])
    port = web.port
    source = Source(web)
    try:
        browser.do("Page.navigate", url=web.address + "?via=webrtc")
        eventually(lambda: (browser.value("stats.drawn") or 0) > 20)
        pixel = "Array.from(pen.getImageData(128, 128, 1, 1).data)"
        first = browser.value(pixel)
        assert first[0] > 220
        assert first[2] < 70
        eventually(lambda: abs(browser.value(pixel)[1] - first[1]) > 30)
        assert browser.value("video.muted") is False
        browser.value(
            "call.getStats().then((all) => all.forEach((one) => {"
            " if (one.kind === 'audio' && one.totalAudioEnergy) { stats.energy = 1; } }))"
        )
        eventually(lambda: browser.value("stats.energy") == 1)
        assert browser.value("note.style.opacity") == "0"
        browser.value("stats.kept = 1; loading = Promise.resolve(); 1")  # it showed the head before
        eventually(lambda: not browser.value("stats.kept"))
        eventually(lambda: (browser.value("stats.drawn") or 0) > 5)
    finally:
        source.stop()
        web.close()
    assert not web._thread.is_alive(), "the server has ended the call"
    again = WebScreen("127.0.0.1", port, rate=RATE)
    try:
        eventually(lambda: "web_calls" in browser.value("note.textContent"))
    finally:
        again.close()


def test_the_page_says_why_a_call_does_not_work(browser: Browser) -> None:
    web = WebScreen("127.0.0.1", 0, rate=RATE, calls=None)
    try:
        browser.do("Page.navigate", url=web.address)  # without a call of its own
        eventually(lambda: browser.value("connected"))
        closed = "let closed = 0; const socket = { close() { closed += 1; } };"
        changed = "callChanged(made, socket); return closed; })()"
        state = "made.connectionState = 'failed';"
        made = "const made = { connectionState: 'connected' }; callChanged(made, socket);"
        assert browser.value(f"(() => {{ {closed} {made} {state} {changed}") == 1, (
            "it worked before"
        )
        assert browser.value("problem") == ""
        assert browser.value(f"(() => {{ {closed} const made = {{}}; {state} {changed}") == 0
        eventually(lambda: "set web_ice" in browser.value("note.textContent"))
        assert browser.value("lacking()") == ""
        for taken, named in (
            ("delete HTMLVideoElement.prototype.requestVideoFrameCallback", "requestVideoFrame"),
            ("delete window.RTCPeerConnection", "RTCPeerConnection"),
        ):
            browser.value(taken)
            assert named in browser.value("lacking()")
    finally:
        web.close()


@pytest.mark.parametrize(("width", "height"), [(800, 480), (480, 800)])
def test_the_page_fills_the_screen(browser: Browser, width: int, height: int) -> None:
    web = WebScreen("127.0.0.1", 0, rate=RATE)
    source = Source(web)
    try:
        browser.resize(width, height)
        browser.do("Page.navigate", url=web.address + "?sound=off")
        eventually(lambda: (browser.value("stats.drawn") or 0) > 20)
        assert browser.value("audio") is None
        assert browser.value("note.style.opacity") == "0"
        page = cv2.imdecode(np.frombuffer(browser.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        assert page.shape == (height, width, 3)
        # The frames are of one colour: red 250, blue 20.
        for y, x in (
            (3, 3),
            (3, -3),
            (height // 2, 3),
            (-3, 3),
            (-3, -3),
            (height // 2, width // 2),
        ):
            assert page[y, x, 2] > 230
            assert page[y, x, 0] < 60
    finally:
        source.stop()
        web.close()


def test_the_page_says_that_no_picture_comes(browser: Browser) -> None:
    web = WebScreen("127.0.0.1", 0, rate=RATE)
    try:
        browser.do("Page.navigate", url=web.address)
        eventually(lambda: "waiting for a picture" in (browser.value("note.textContent") or ""))
        assert browser.value("note.style.opacity") == "1"
    finally:
        web.close()
