"""Calls the talking face's page by WebRTC, with aiortc as the browser, on this machine."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from waits import scaled

from face_perception.avatar import ScreenFrame, WebScreen

aiortc = pytest.importorskip("aiortc")
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
