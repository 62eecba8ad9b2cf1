"""The dashboard in a real Chromium, if one is installed: buttons, keyboard, sizes of tablets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chromium import Browser, eventually, needs_chromium

pytest.importorskip("websockets")
from face_perception.web import Command, DashboardPage

pytestmark = needs_chromium
SIZES = ((1024, 768), (800, 480))  # of tablets and of the screens of robots, pixels

PERSON = {
    "face": "face_1", "person": "", "target": "robot", "engagement": "engaged",
    "eye_contact": "0.93", "valence": "0.20", "arousal": "0.10", "expression": "happy 0.81",
    "units": "6 0.5, 12 0.8", "speaking": "0.02",
}  # fmt: skip
STATE: dict[str, Any] = {
    "stamp": 1.0,
    "picture": True,
    "size": [0, 0],
    "lines": [
        {"points": [[60, 50], [120, 50], [120, 130]], "closed": True, "colour": "#0f0", "width": 2}
    ],
    "labels": [{"text": "face_1", "x": 60, "y": 50, "colour": "#0f0"}],
    "people": [PERSON, {**PERSON, "face": "face_2", "person": "Ada Müller"}],
    "state": "",
    "nodes": [
        {
            "name": name, "text": "OK", "level": 0, "input": "30.0", "output": "30.0",
            "p50": "9.1", "p95": "12.0",
        }
        for name in ("face_tracker", "gaze", "affect", "attention", "session")
    ],
    "session": "recording",
    "hint": "",
}  # fmt: skip


class Dashboard:
    """The page with a still picture, and the commands that it sends."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, dict[str, str]]] = []
        self.page = DashboardPage("127.0.0.1", 0, command=self._on_command)
        jpeg = cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))[1].tobytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, args=(jpeg,))
        self._thread.start()

    def _on_command(self, command: Command) -> None:
        self.commands.append((command.name, dict(command.texts)))
        command.answer(command.name != "forget", f"the answer to {command.name}")

    def _show(self, jpeg: bytes) -> None:
        while not self._stop.wait(0.1):
            self.page.show(STATE, jpeg)

    def stop(self) -> None:
        """Sends nothing more."""
        self._stop.set()
        self._thread.join()

    def close(self) -> None:
        self.stop()
        self.page.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


@pytest.fixture
def dashboard(browser: Browser) -> Iterator[Dashboard]:
    made = Dashboard()
    browser.do("Page.navigate", url=made.page.address)
    eventually(lambda: (browser.value("stats.pictures") or 0) > 2)
    yield made
    made.close()


def click(browser: Browser, selector: str) -> None:
    """Clicks with the mouse where an element is, which it must not be hidden from."""
    place = browser.value(
        f"(() => {{ const e = document.querySelector(`{selector}`); "
        "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); "
        "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.do(
            "Input.dispatchMouseEvent",
            type=kind, x=place[0], y=place[1], button="left", clickCount=1,
        )  # fmt: skip


def press(browser: Browser, key: str) -> None:
    text = {"Enter": "\r", "Tab": ""}.get(key, key)
    code = {"Enter": 13, "Tab": 9, " ": 32}.get(key, 0)
    more: dict[str, Any] = {"text": text} if text else {}
    for kind in ("keyDown", "keyUp"):
        browser.do(
            "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
            **(more if kind == "keyDown" else {}),
        )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_every_button_sends_its_command(
    browser: Browser, dashboard: Dashboard, size: tuple[int, int]
) -> None:
    width, height = size
    browser.resize(width, height, mobile=True)
    eventually(lambda: browser.value("innerWidth") == width)
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    assert browser.value("Math.min(...[...document.querySelectorAll('button')].map("
                         "(b) => b.getBoundingClientRect().height))") >= 44  # fmt: skip

    for name in ("calibrate", "forget", "link"):  # without a person id, nothing is sent
        click(browser, f"[data-do={name}]")
    browser.value("document.querySelector('#faces').value = 'face_2'")
    click(browser, "[name=person_id]")
    browser.do("Input.insertText", text="Ada Müller")
    person = {"person_id": "Ada Müller"}
    ask = {"face_id": "face_2", **person}
    wanted: list[tuple[str, dict[str, str]]] = [
        ("calibrate", ask),
        ("cancel", {}),
        ("forget", person),
        ("link", ask),
        ("stop", {}),
    ]
    for number, (name, texts) in enumerate(wanted):
        click(browser, f"[data-do={name}]")
        eventually(lambda: browser.value("said.textContent") == f"the answer to {name}")  # noqa: B023
        assert dashboard.commands[number] == (name, texts)
        kind = "bad" if name == "forget" else "good"
        assert browser.value("said.className") == kind
        assert browser.value(
            "(() => { const r = said.getBoundingClientRect(); "
            "return r.top >= 0 && r.bottom <= innerHeight; })()"
        ), f"the answer to {name} is out of sight"
    assert len(dashboard.commands) == len(wanted)


def test_the_keyboard_is_enough(browser: Browser, dashboard: Dashboard) -> None:
    press(browser, "m")
    assert browser.value("document.activeElement.id") == "mark"
    browser.do("Input.insertText", text="condition B")
    press(browser, "Enter")
    eventually(lambda: dashboard.commands == [("mark", {"label": "condition B"})])
    # Everything can be reached with Tab, in the order in which it is shown.
    reached = []
    for _ in range(12):
        press(browser, "Tab")
        reached.append(browser.value("document.activeElement.dataset.do || "
                                     "document.activeElement.name || "
                                     "document.activeElement.textContent"))  # fmt: skip
    assert reached == [
        *("Mark", "label", "consent", "video", "Start session", "stop"),
        *("face_id", "person_id", "link", "calibrate", "cancel", "forget"),
    ]
    browser.value("document.querySelector('[data-do=cancel]').focus()")
    press(browser, " ")
    eventually(lambda: dashboard.commands[-1] == ("cancel", {}))


def test_a_choice_and_a_text_stay_while_the_page_is_updated(
    browser: Browser, dashboard: Dashboard
) -> None:
    browser.value("document.querySelector('#faces').value = 'face_2'")
    click(browser, "[name=person_id]")
    browser.do("Input.insertText", text="bob")
    updates = browser.value("stats.updates")
    eventually(lambda: browser.value("stats.updates") > updates + 5)
    assert browser.value("[document.querySelector('#faces').value, "
                         "document.querySelector('[name=person_id]').value]") == [
        "face_2",
        "bob",
    ]  # fmt: skip


def test_the_page_says_that_nothing_comes_and_has_the_size_of_the_camera(
    browser: Browser, dashboard: Dashboard
) -> None:
    dashboard.stop()
    state = "document.querySelector('#state').textContent"
    dashboard.page.show({**STATE, "picture": False, "size": [320, 180]})
    size = "[pen.canvas.width, pen.canvas.height]"
    eventually(lambda: browser.value(size) == [320, 180])
    assert browser.value(state) == ""
    browser.value("heard -= 20000")
    eventually(lambda: "no news for 2" in browser.value(state))
    dashboard.page.show(STATE)
    eventually(lambda: browser.value(state) == "")


@pytest.fixture(scope="module", autouse=True)
def _screenshots(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps a screenshot of each size, to look at."""
    yield
    folder: Path = tmp_path_factory.mktemp("dashboard")
    made = Dashboard()
    browser.do("Page.navigate", url=made.page.address)
    for width, height in SIZES:
        browser.resize(width, height, mobile=True)
        eventually(lambda: (browser.value("stats.pictures") or 0) > 2)
        (folder / f"{width}x{height}.png").write_bytes(browser.screenshot())
    made.close()
