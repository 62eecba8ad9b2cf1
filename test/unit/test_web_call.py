"""Calls the talking face's page by WebRTC, with aiortc as the browser, on this machine."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from waits import scaled

from face_perception.avatar import ScreenFrame, WebScreen
from face_perception.avatar.screens import web_page
from face_perception.errors import InputError

aiortc = pytest.importorskip("aiortc")
web_call = pytest.importorskip("face_perception.avatar.screens.web_call")
websockets_client = pytest.importorskip("websockets.asyncio.client")

RATE = 48_000
TONE = 440.0  # hertz


@pytest.fixture
def speaking() -> Iterator[WebScreen]:
    """A screen that gets frames, dark on the left and bright on the right, and a tone."""
    screen, stop = WebScreen("127.0.0.1", 0, rate=RATE, calls=[]), threading.Event()
    image = np.full((63, 64, 3), 20, np.uint8)  # encoders of video take even sizes
    image[:, 32:] = 220

    def run() -> None:
        begin, number = time.monotonic(), 0
        while not stop.wait(0.01):
            position = number / 100
            if number % 3 == 0:
                screen.show_frame(ScreenFrame(number, image, position, begin + position))
            tone = 0.5 * np.sin(2 * np.pi * TONE * (position + np.arange(RATE // 100) / RATE))
            screen.play_audio(position, tone.astype(np.float32))
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    yield screen
    stop.set()
    thread.join()
    screen.close()
    assert not screen._thread.is_alive()


async def ask(socket: object, **request: object) -> dict[str, object]:
    """Sends a request for a call; returns the answer."""
    await socket.send(json.dumps(request))  # type: ignore[attr-defined]
    while True:
        message = await asyncio.wait_for(socket.recv(), scaled(10))  # type: ignore[attr-defined]
        if isinstance(message, str):
            found: dict[str, object] = json.loads(message)
            return found


async def call(screen: WebScreen) -> tuple[np.ndarray, np.ndarray, list[Fraction]]:
    """Returns a frame of a call, samples of its sound, and the times of its pictures."""
    address = screen.link.replace("http:", "ws:").replace("/?", "/stream?")
    address = address if "stream" in address else f"{address}stream"
    async with websockets_client.connect(address, compression=None) as socket:
        assert await ask(socket, call=True) == {"servers": []}
        for wrong in ("nonsense", {"sdp": 1}, "v=0\r\nm=video 9 nothing"):
            assert "problem" in await ask(socket, offer=wrong), "and the connection goes on"
        peer = aiortc.RTCPeerConnection()
        tracks = {}
        peer.on("track", lambda track: tracks.update({track.kind: track}))
        for kind in ("video", "audio"):
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        answer = await ask(socket, offer=peer.localDescription.sdp)
        await peer.setRemoteDescription(
            aiortc.RTCSessionDescription(sdp=answer["answer"], type="answer")
        )
        times = []
        for _ in range(10):
            picture = await asyncio.wait_for(tracks["video"].recv(), scaled(20))
            times.append(picture.pts * picture.time_base)
        heard = [
            (await asyncio.wait_for(tracks["audio"].recv(), scaled(20))).to_ndarray().ravel()[::2]
            for _ in range(40)
        ]
        await peer.close()
        return picture.to_ndarray(format="rgb24"), np.concatenate(heard[10:]), times


def test_a_call_shows_the_face_and_plays_its_sound(speaking: WebScreen) -> None:
    picture, sound, times = asyncio.run(call(speaking))
    assert picture.shape == (62, 64, 3)
    assert picture[:, :24].mean() == pytest.approx(20, abs=15)
    assert picture[:, 40:].mean() == pytest.approx(220, abs=15)
    steps = np.diff([float(one) for one in times])
    assert min(steps) > 0
    assert sum(steps) / len(steps) == pytest.approx(0.03, abs=0.015), "their own times"
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    loudest = np.argmax(spectrum) * RATE / len(sound)
    assert loudest == pytest.approx(TONE, abs=5)
    assert np.abs(sound).max() > 8000


def test_a_robot_that_offers_no_calls_says_so() -> None:
    screen = WebScreen("127.0.0.1", 0, rate=RATE)

    async def wanted() -> dict[str, object]:
        async with websockets_client.connect(f"ws://127.0.0.1:{screen.port}/stream") as socket:
            return await ask(socket, call=True)

    assert "web_calls" in str(asyncio.run(wanted()))
    screen.close()


class BrokenCall:
    """A call that fails at one place; ``open`` is how many were made and not closed."""

    open = 0

    def __init__(self, place: str, error: BaseException) -> None:
        self._place, self._error = place, error
        if place == "make":
            raise error
        BrokenCall.open += 1

    async def answer(self, offer: str) -> str:
        if self._place == "answer":
            raise self._error
        return offer

    async def close(self) -> None:
        BrokenCall.open -= 1
        if self._place == "close":
            raise self._error


@pytest.mark.parametrize("place", ["make", "answer", "close"])
@pytest.mark.parametrize("error", [InputError("no"), RuntimeError("no"), asyncio.CancelledError()])
def test_after_a_call_that_failed_another_can_be_made(
    monkeypatch: pytest.MonkeyPatch, place: str, error: BaseException
) -> None:
    BrokenCall.open = 0
    screen: Any = object.__new__(WebScreen)
    client: Any = web_page._Viewer(object())  # type: ignore[arg-type]
    screen._rate, screen._calls, screen.clients = RATE, [], {client}
    client.call = BrokenCall(place, error) if place == "close" else None
    monkeypatch.setattr(web_call, "WebCall", lambda *_: BrokenCall(place, error))

    async def offer() -> None:
        await screen._answer_call(client, '{"offer": "v=0"}')

    if isinstance(error, asyncio.CancelledError):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(offer())
    else:
        asyncio.run(offer())
        assert "no" in json.loads(client.answers.pop())["problem"]
    assert (client.calling, client.call, BrokenCall.open) == (False, None, 0)


def test_the_rate_is_that_of_the_browsers_that_confirm() -> None:
    screen: Any = object.__new__(WebScreen)
    clients: Any = [web_page._Viewer(object()) for _ in range(3)]  # type: ignore[arg-type]
    clients[0].call = clients[1].call = object()
    screen.clients, screen._delivered = set(clients), deque([time.monotonic()] * 100)
    assert screen.delivered_rate() == pytest.approx(20.0)
