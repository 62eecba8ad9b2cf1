"""Tests the screens with real clients: a WebSocket client on this machine, and SDL's dummy
driver.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from waits import scaled

from face_perception.avatar import (
    NoDisplayError,
    ScreenFrame,
    WebScreen,
    WindowScreen,
)
from face_perception.avatar.screens.web_page import FRAME, LARGEST_MESSAGE, SOUND
from face_perception.errors import InputError
from face_perception.web import WebPageError, origin_allowed, page_server, read_web_token

websockets_client = pytest.importorskip("websockets.sync.client")
from websockets.exceptions import ConnectionClosed, InvalidStatus

NAME = socket.gethostname().lower()


def frame(number: int, size: int = 64) -> ScreenFrame:
    image = np.full((size, size, 3), (number * 10) % 250, np.uint8)
    return ScreenFrame(number, image, number / 30, time.monotonic())


def eventually(condition: Callable[[], object], timeout: float = 10.0) -> None:
    end = time.monotonic() + scaled(timeout)
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def web() -> Iterator[WebScreen]:
    screen = WebScreen("127.0.0.1", 0, rate=48_000)
    yield screen
    screen.close()
    assert not screen._thread.is_alive()


def connect(web: WebScreen, origin: str | None = None, **more: object) -> object:
    return websockets_client.connect(
        f"ws://127.0.0.1:{web.port}/stream", origin=origin, compression=None, **more
    )


def parse(message: bytes) -> tuple[int, int, float, bytes]:
    kind, number, position = struct.unpack("<BxxxId", message[:16])
    return kind, number, position, message[16:]


def test_the_page_is_served(web: WebScreen) -> None:
    with urllib.request.urlopen(web.address, timeout=scaled(5)) as answer:
        page = answer.read().decode()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<canvas" in page
    assert "http://" not in page, "the page must need nothing from elsewhere"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(web.address + "etc/passwd", timeout=scaled(5))


def test_frames_and_sound_arrive(web: WebScreen) -> None:
    assert not web.wanted
    web.show_frame(frame(0))
    with connect(web) as client:  # type: ignore[attr-defined]
        eventually(lambda: web.wanted)
        web.show_frame(frame(7))
        kind, number, position, data = parse(client.recv(timeout=scaled(5)))
        assert (kind, number) == (FRAME, 7)
        assert position == pytest.approx(7 / 30)
        assert data.startswith(b"\xff\xd8")
        web.play_audio(1.5, np.array([0.0, 0.5, -1.0], np.float32))
        kind, number, position, data = parse(client.recv(timeout=scaled(5)))
        assert (kind, number, position) == (SOUND, 48_000, 1.5)
        assert np.frombuffer(data, "<i2").tolist() == [0, 16384, -32768]
    eventually(lambda: not web.wanted)


def test_a_slow_browser_misses_frames_and_gets_the_newest(web: WebScreen) -> None:
    with connect(web) as slow, connect(web) as quick:  # type: ignore[attr-defined]
        eventually(lambda: web.browser_count == 2)
        got = []
        for number in range(60):
            web.show_frame(frame(number))
            got.append(parse(quick.recv(timeout=scaled(5)))[1])
            quick.send(str(number))
        assert got == list(range(60))
        seen = [parse(slow.recv(timeout=scaled(5)))[1] for _ in range(3)]
        with pytest.raises(TimeoutError):
            slow.recv(timeout=0.3)
        assert seen[0] == 0
        slow.send("0")
        assert parse(slow.recv(timeout=scaled(5)))[1] == 59, (
            "the newest, not the oldest that was missed"
        )
        assert web.dropped >= 55
        assert web.delivered_rate() > 0


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://127.0.0.1:8090", "127.0.0.1:8090", True),
        ("http://localhost:8090", "localhost:8090", True),
        ("http://[::1]:8090", "[::1]:8090", True),
        ("http://192.168.1.5:8090", "192.168.1.5:8090", True),
        (f"http://{NAME}:8090", f"{NAME}:8090", True),
        ("http://kiosk.example", "192.168.1.5:8090", True),
        ("http://evil.example", "127.0.0.1:8090", False),
        ("http://evil.example:8090", "evil.example:8090", False),
        ("http://127.0.0.1:9999", "127.0.0.1:8090", False),
        ("null", "127.0.0.1:8090", False),
        ("file://", "", False),
        ("http://[", "127.0.0.1:8090", False),
        ("http://[::1", "[::1]:8090", False),
        ("http://\uff0f/", "127.0.0.1:8090", False),
    ],
)  # fmt: skip
def test_who_may_watch(origin: str, host: str, allowed: bool) -> None:
    assert origin_allowed(origin, host, ("http://kiosk.example",)) is allowed


def test_a_page_from_elsewhere_is_refused(web: WebScreen) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        connect(web, origin="http://evil.example")
    assert web.refused == 1
    with connect(web, origin=web.address.rstrip("/")):  # type: ignore[attr-defined]
        eventually(lambda: web.wanted)


def status(address: str, request: str) -> int:
    """Returns the HTTP status of a request line that no client library would send."""
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=scaled(5)) as raw:
        raw.sendall(f"GET {request} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode("latin1"))
        return int(raw.recv(100).split()[1])


@pytest.mark.parametrize(
    ("request_path", "expected"),
    [
        ("http://[", 400),
        ("//[::1/stream", 400),
        (f"/?{'&'.join(['a=1'] * 50)}", 400),
        ("/../../etc/passwd", 404),
        ("/%00", 404),
        ("*", 404),
    ],
)
def test_odd_requests_are_the_fault_of_the_browser(
    web: WebScreen, request_path: str, expected: int
) -> None:
    assert status(web.address, request_path) == expected


def test_beyond_this_computer_a_token_is_asked_for() -> None:
    screen = WebScreen("0.0.0.0", 0, rate=48_000)
    try:
        local = f"http://127.0.0.1:{screen.port}/"
        token = screen.link.partition("?token=")[2]
        assert len(token) > 20
        assert token not in screen.address
        assert [status(local, path) for path in ("/", "/?token=", "/?token=%e4")] == [401] * 3
        assert status(local, f"/?token={token}") == 200
        stream = f"ws://127.0.0.1:{screen.port}/stream"
        with pytest.raises(InvalidStatus, match="401"):
            websockets_client.connect(stream, compression=None)
        with websockets_client.connect(f"{stream}?token={token}", compression=None):
            eventually(lambda: screen.wanted)
    finally:
        screen.close()


def test_a_token_can_be_chosen() -> None:
    screen = WebScreen("127.0.0.1", 0, rate=48_000, token="kiosk-in-the-hall")
    try:
        assert screen.link == f"{screen.address}?token=kiosk-in-the-hall"
        assert status(screen.address, "/") == 401
        assert status(screen.address, "/?token=kiosk-in-the-hall") == 200
    finally:
        screen.close()
    for token in ("short", "with a space", "ümlauts-here"):
        with pytest.raises(WebPageError, match="web_token must have at least 8"):
            WebScreen("127.0.0.1", 0, rate=48_000, token=token)


def test_a_token_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("kiosk-in-the-hall\nnot this\n")
    assert read_web_token(file) == "kiosk-in-the-hall"
    for content, said in ((b"", "it is empty"), (b"\n", "first line is empty"), (b"\xff", "UTF-8")):
        file.write_bytes(content)
        with pytest.raises(InputError, match=f"web_token_file {file} cannot be read: .*{said}"):
            read_web_token(file)
    with pytest.raises(InputError, match="it is a device"):
        read_web_token("/dev/zero")


def test_idle_browsers_do_not_keep_all_seats(
    web: WebScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_server, "_IDLE", 0.2)
    with contextlib.ExitStack() as idle, connect(web) as good:  # type: ignore[attr-defined]
        for _ in range(7):
            idle.enter_context(connect(web))  # type: ignore[arg-type]
        eventually(lambda: web.browser_count == 8)
        with pytest.raises(InvalidStatus, match="503"):
            connect(web).__enter__()  # type: ignore[attr-defined] # they owe no confirmation yet
        for number in range(20):
            web.show_frame(frame(number))
            parse(good.recv(timeout=scaled(5)))
            good.send(str(number))
            time.sleep(0.02)
        with connect(web) as newcomer:  # type: ignore[attr-defined]
            eventually(lambda: web.browser_count == 8)
            web.show_frame(frame(20))
            assert parse(newcomer.recv(timeout=scaled(5)))[1] == 20
            assert parse(good.recv(timeout=scaled(5)))[1] == 20, "the good one stays"


def test_a_large_message_ends_that_connection_only(web: WebScreen) -> None:
    with connect(web) as good, connect(web) as bad:  # type: ignore[attr-defined]
        eventually(lambda: web.browser_count == 2)
        bad.send("x" * (LARGEST_MESSAGE + 1))
        with pytest.raises(ConnectionClosed) as closed:
            bad.recv(timeout=scaled(5))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        eventually(lambda: web.browser_count == 1)
        web.show_frame(frame(3))
        assert parse(good.recv(timeout=scaled(5)))[1] == 3


def test_a_browser_that_vanishes_is_forgotten(web: WebScreen) -> None:
    client = connect(web)
    eventually(lambda: web.wanted)
    client.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    eventually(lambda: not web.wanted)
    web.show_frame(frame(1))
    with connect(web):  # type: ignore[attr-defined]
        eventually(lambda: web.wanted)


def test_a_spare_connection_ends_with_the_server(web: WebScreen) -> None:
    """A browser that kept it would ask the next server's page on it, and wait for ever."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=scaled(5)) as spare:
        urllib.request.urlopen(web.address, timeout=scaled(5)).close()  # both are accepted now
        web.close()
        with contextlib.suppress(ConnectionResetError):
            assert spare.recv(1) == b""


def test_a_port_in_use_is_said(web: WebScreen) -> None:
    with pytest.raises(WebPageError, match=f"127.0.0.1:{web.port}.*web_port"):
        WebScreen("127.0.0.1", web.port, rate=48_000)


def test_an_empty_address_is_not_every_address() -> None:
    with pytest.raises(WebPageError, match=r"web_host .*127\.0\.0\.1"):
        WebScreen("", 0, rate=48_000)


def test_window_shows_the_newest_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = WindowScreen()
    try:
        assert window.driver == "dummy"
        assert window.wanted
        for number in range(1, 4):
            window.show_frame(frame(number))
            eventually(lambda number=number: window.shown + window.dropped == number)  # type: ignore[misc]
        surface = pygame.display.get_surface()
        eventually(lambda: tuple(surface.get_at((256, 256)))[:3] == (30, 30, 30))
        wide = np.zeros((100, 200, 3), np.uint8)
        wide[:] = (255, 0, 0)
        window.show_frame(ScreenFrame(9, wide, 0.0, 0.0))
        eventually(lambda: tuple(surface.get_at((256, 256)))[:3] == (255, 0, 0))
        assert tuple(surface.get_at((256, 10)))[:3] == (0, 0, 0), "not stretched"
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        eventually(lambda: window.problem)
        assert not window.wanted
        assert "restart the node" in window.problem
    finally:
        window.close()


def test_no_display_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":987")
    with pytest.raises(NoDisplayError, match=r"no display can be opened .*web page"):
        WindowScreen()


@pytest.mark.skipif(any(Path("/dev/dri").glob("card*")), reason="SDL may find that display")
def test_what_nobody_sees_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a robot without X, SDL chooses a driver that shows nothing. That counts as no display."""
    pytest.importorskip("pygame")
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoDisplayError, match=r"no display can be opened .*/dev/dri"):
        WindowScreen()
