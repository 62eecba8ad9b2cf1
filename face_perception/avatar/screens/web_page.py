"""The screen as a web page, for a kiosk browser or a tablet: one page, one WebSocket.

Served by `websockets`, which is imported only here: plain Python, no dependencies, and its own
checks of message sizes and time-outs. What goes over the socket is said at the end of this file.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from face_perception import paths
from face_perception.avatar.screens.screen import ScreenFrame
from face_perception.errors import FacePerceptionError
from face_perception.speech import to_int16

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

STREAM = "/stream"
# A browser says no more than which frame it has.
LARGEST_MESSAGE = 256
# Frames on their way to a browser; more would be a queue.
_IN_FLIGHT = 3
_MOST_CLIENTS = 8
_SOUNDS = 50  # blocks; half a second
_WINDOW = 5.0

FRAME, SOUND = 1, 2
_HEADER = struct.Struct("<BxxxId")

# What strangers do to an open port (port scans, browsers that go) is no news for a robot's log.
_quiet = logging.getLogger(__name__)
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class WebPageError(FacePerceptionError, RuntimeError):
    """The page cannot be served; the text says why, and the fix."""


class WebScreen:
    """Serves the page at ``http://host:port/`` and sends it frames and sound.

    A browser gets the next frame when it has confirmed one of the last few, and always the newest:
    what a slow one misses is dropped. WebSockets are accepted from the page's own origin only, by
    an address or the computer's name, or from ``origins``: a page of somebody else, open in the
    same browser, cannot watch. Programs, which send no Origin, may. Raises WebError.
    """

    def __init__(self, host: str, port: int, *, rate: int, origins: Sequence[str] = ()) -> None:
        if not host:  # which would be every address
            raise WebPageError(
                "the page has no address to be served on (web_host): give 127.0.0.1 for this "
                "computer alone, or 0.0.0.0 for every computer of the network"
            )
        self._rate = rate
        self._origins = tuple(origins)
        self._clients: set[_Client] = set()
        self._page = paths.resource("resources/avatar.html").read_bytes()
        self.port = 0
        self.dropped = 0
        self.refused = 0
        self._delivered: deque[float] = deque(maxlen=1000)
        self._loop = asyncio.new_event_loop()
        self._ready: threading.Event = threading.Event()
        self._failures: list[Exception] = []
        self._thread = threading.Thread(
            target=self._run, args=(host, port), name="web screen", daemon=True
        )
        self._thread.start()
        self._ready.wait(10)
        for error in self._failures:
            self._thread.join(1)
            if isinstance(error, ImportError):
                raise WebPageError("the page needs websockets 13 or newer: pip install websockets")
            raise WebPageError(
                f"the page cannot be served on {host}:{port}: {error}; choose another port or "
                "address"
            ) from error
        name = f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{self.port}/"

    # Screen, on any thread.

    @property
    def wanted(self) -> bool:
        return bool(self._clients)

    problem = ""

    @property
    def browser_count(self) -> int:
        """How many watch."""
        return len(self._clients)

    def delivered_rate(self) -> float:
        """Frames a second that browsers have confirmed, the mean of them."""
        now = time.monotonic()
        recent = sum(1 for t in list(self._delivered) if t > now - _WINDOW)
        return recent / _WINDOW / max(1, len(self._clients))

    def show_frame(self, frame: ScreenFrame) -> None:
        if self._clients:
            self._call(self._offer, frame)

    def play_audio(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        if self._clients:
            self._call(self._offer_sound, position, samples)

    def close(self) -> None:
        self._call(self._stop.set)
        self._thread.join(3)

    def _call(self, what: Any, *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # closed
            return

    # On the loop's thread.

    def _run(self, host: str, port: int) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(host, port))
        except Exception as error:
            self._failures.append(error)
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self, host: str, port: int) -> None:
        from websockets.asyncio.server import serve

        self._stop = asyncio.Event()
        async with serve(
            self._watch,
            host,
            port,
            process_request=self._answer,
            max_size=LARGEST_MESSAGE,
            max_queue=16,
            compression=None,  # JPEG does not get smaller
            ping_interval=5,
            ping_timeout=10,
            close_timeout=1,
            server_header=None,
            logger=_quiet,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The page, or a refusal; None lets the WebSocket be opened."""
        path = urlsplit(request.path).path
        if path == "/":
            response = connection.respond(200, "")
            response.body = self._page
            for name, value in (
                ("Content-Type", "text/html; charset=utf-8"),
                ("Content-Length", str(len(self._page))),
                ("Cache-Control", "no-cache"),
                ("X-Content-Type-Options", "nosniff"),
                (
                    "Content-Security-Policy",
                    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                    "connect-src 'self'; frame-ancestors 'self'",
                ),
            ):
                if name in response.headers:
                    del response.headers[name]
                response.headers[name] = value
            return response
        if path != STREAM:
            return connection.respond(404, f"there is / and {STREAM}\n")
        origin, host = request.headers.get("Origin"), request.headers.get("Host", "")
        if origin is not None and not origin_allowed(origin, host, self._origins):
            self.refused += 1
            return connection.respond(403, f"origin {origin} may not watch: see web_origins\n")
        if len(self._clients) >= _MOST_CLIENTS:
            return connection.respond(503, f"{_MOST_CLIENTS} browsers watch already\n")
        return None

    async def _watch(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        client = _Client()
        self._clients.add(client)
        sender = asyncio.ensure_future(self._send(connection, client))
        try:
            async for _ in connection:  # anything confirms a frame
                client.in_flight = max(0, client.in_flight - 1)
                client.changed.set()
                self._delivered.append(time.monotonic())
        except ConnectionClosed:
            pass
        finally:
            self._clients.discard(client)
            sender.cancel()

    async def _send(self, connection: ServerConnection, client: _Client) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                await client.changed.wait()
                client.changed.clear()
                while client.sounds:
                    position, samples = client.sounds.popleft()
                    data = to_int16(samples).astype("<i2").tobytes()
                    await connection.send(_HEADER.pack(SOUND, self._rate, position) + data)
                frame = client.frame
                if frame is not None and client.in_flight < _IN_FLIGHT:
                    client.frame = None
                    client.in_flight += 1
                    number = frame.number & 0xFFFFFFFF
                    head = _HEADER.pack(FRAME, number, frame.position)
                    await connection.send(head + frame.jpeg())
        except ConnectionClosed:
            return

    def _offer(self, frame: ScreenFrame) -> None:
        for client in self._clients:
            if client.frame is not None:
                self.dropped += 1
            client.frame = frame
            client.changed.set()

    def _offer_sound(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        for client in self._clients:
            client.sounds.append((position, samples))
            client.changed.set()


class _Client:
    """What one browser is to get."""

    def __init__(self) -> None:
        self.frame: ScreenFrame | None = None
        self.sounds: deque[tuple[float, npt.NDArray[np.float32]]] = deque(maxlen=_SOUNDS)
        self.in_flight = 0
        self.changed = asyncio.Event()


def origin_allowed(origin: str, host: str, origins: Sequence[str] = ()) -> bool:
    """Whether a page of this Origin may watch a server that was called by this Host.

    Its own page may, if the server was called by an address or the computer's own name: under
    another name (DNS rebinding) it could be anybody's.
    """
    if origin in origins:
        return True
    page = urlsplit(origin)
    if page.scheme not in ("http", "https") or not page.hostname or page.netloc != host:
        return False
    own = socket.gethostname().lower()
    if page.hostname in ("localhost", own, own.split(".")[0], f"{own.split('.')[0]}.local"):
        return True
    try:
        ipaddress.ip_address(page.hostname)
    except ValueError:
        return False
    return True


# On the socket. To the browser, binary, little-endian: kind (uint8: FRAME, SOUND), 3 bytes unused,
# uint32 (a frame's number; a sound's samples a second), float64 position of the frame or of the
# first sample on the player's timeline in seconds, then a JPEG, or int16 samples. From the browser:
# any short message for each frame that it has.
