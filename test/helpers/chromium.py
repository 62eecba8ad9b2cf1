"""Headless Chromium, for the tests of web pages."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from waits import scaled

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LONGEST_ANSWER = 120  # seconds: a page does not answer while it compiles shaders without a GPU
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed here")


class Browser:
    """Headless Chromium, controlled by its DevTools protocol."""

    def __init__(self, folder: Path, *, software_gl: bool = False) -> None:
        """Starts a browser. With ``software_gl`` it has WebGL, computed by the processor."""
        gl = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
        assert CHROMIUM is not None
        self._log = (folder / "chromium.log").open("wb")
        self._held = contextlib.ExitStack()
        # Chromium leaves folders in TMPDIR. `folder` is too long a name for the sockets in them.
        temporary = self._held.enter_context(
            tempfile.TemporaryDirectory(prefix="chromium_", ignore_cleanup_errors=True)
        )
        self.process = subprocess.Popen(
            [
                *(CHROMIUM, "--headless=new", "--no-sandbox", "--mute-audio"),
                *(gl if software_gl else ("--disable-gpu",)),
                *("--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"),
                *(f"--user-data-dir={folder}/profile", "--window-size=600,600", "about:blank"),
            ],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "TMPDIR": temporary},
            start_new_session=True,
        )
        client = pytest.importorskip("websockets.sync.client")
        port_file = folder / "profile" / "DevToolsActivePort"
        eventually(lambda: port_file.exists() and port_file.read_text(), 60)
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=scaled(10)) as answer:
            targets = json.load(answer)
        page = next(t for t in targets if t["type"] == "page")
        self._socket = self._held.enter_context(
            client.connect(page["webSocketDebuggerUrl"], max_size=None)
        )
        self._ids = itertools.count(1)

    def do(self, method: str, **parameters: Any) -> Any:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=scaled(LONGEST_ANSWER)))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def value(self, expression: str) -> Any:
        return self.do("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get(
            "value"
        )

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Sets the size of the page, pixels. ``mobile``: as a tablet shows it."""
        self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def screenshot(self) -> bytes:
        """Returns the page as PNG."""
        return base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        self._socket.close()
        self._end()
        self._held.close()
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
