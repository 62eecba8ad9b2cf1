"""The web page in a real Chromium, if one is installed: frames, sound, reconnecting."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from waits import scaled

from face_perception.avatar import ScreenFrame, WebScreen

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
client = pytest.importorskip("websockets.sync.client")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed here")

RATE = 48_000


class Browser:
    """Headless Chromium, controlled by its DevTools protocol."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        self._log = (folder / "chromium.log").open("wb")
        self.process = subprocess.Popen(
            [
                *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio"),
                *("--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"),
                *(f"--user-data-dir={folder}/profile", "--window-size=600,600", "about:blank"),
            ],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        port_file = folder / "profile" / "DevToolsActivePort"
        eventually(lambda: port_file.exists() and port_file.read_text(), 60)
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=scaled(10)) as answer:
            targets = json.load(answer)
        page = next(t for t in targets if t["type"] == "page")
        self._held = contextlib.ExitStack()
        self._socket = self._held.enter_context(
            client.connect(page["webSocketDebuggerUrl"], max_size=None)
        )
        self._ids = itertools.count(1)

    def do(self, method: str, **parameters: Any) -> Any:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=scaled(30)))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def value(self, expression: str) -> Any:
        return self.do("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get(
            "value"
        )

    def screenshot(self) -> npt.NDArray[np.uint8]:
        """Returns the page as BGR (height, width, 3)."""
        data = base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"])
        return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)

    def resize(self, width: int, height: int) -> None:
        self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def close(self) -> None:
        self._held.close()
        self._end()
        self._log.close()

    def _end(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(scaled(10))
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def eventually(condition: Any, timeout: float = 20.0) -> None:
    end = time.monotonic() + scaled(timeout)
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


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
        page = browser.screenshot()
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
