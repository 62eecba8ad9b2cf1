"""A screen as a web page, for a kiosk browser or a tablet: one HTML page and one WebSocket.

It is served by `websockets`, which is imported only here. That package is plain Python without
dependencies, and limits message sizes and waiting times itself.

Protocol of the WebSocket. To the browser: binary messages, little-endian: kind (uint8, FRAME or
SOUND), 3 unused bytes, uint32 (number of the frame, or samples per second of the sound), float64
position of the frame or of the first sample on the player's timeline in seconds, then a JPEG or
int16 mono samples. From the browser: any short message for each frame that it has received.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import os
import re
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import numpy.typing as npt

from face_perception import paths
from face_perception.avatar.screens.screen import ScreenFrame
from face_perception.errors import FacePerceptionError, InputError, one_line
from face_perception.outside_files import MOST_TEXT, one_error, read_bytes
from face_perception.speech import to_int16

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

STREAM = "/stream"
# Bytes of a message from a browser. A browser only sends the number of the frame that it has.
LARGEST_MESSAGE = 256
# Frames sent to a browser and not yet confirmed. More would only add delay.
_IN_FLIGHT = 3
_MOST_CLIENTS = 8
_IDLE = 5.0  # seconds without a confirmation after which a newcomer gets the seat
_SHORTEST_TOKEN, _TOKEN = 8, re.compile(r"[\w-]+", re.ASCII)
_SOUNDS = 50  # blocks of sound kept for a slow browser, half a second
_WINDOW = 5.0  # seconds over which the frame rate is computed

FRAME, SOUND = 1, 2
_HEADER = struct.Struct("<BxxxId")

# Port scans and browsers that disconnect must not fill the robot's log.
_quiet = logging.getLogger(__name__)
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class WebPageError(FacePerceptionError, RuntimeError):
    """Raised if the page cannot be served; the text gives the reason and the fix."""


def read_web_token(path: str | os.PathLike[str]) -> str:
    """Returns the first line of a file, the password of the page.

    Raises InputError if the file cannot be read. Its message never quotes the file.
    """
    name = os.fspath(path)
    with one_error(f"web_token_file {name}", "write the password into its first line"):
        lines = read_bytes(os.path.expanduser(name), MOST_TEXT).decode().splitlines()
        token = lines[0].strip()
        if not token:
            raise InputError("its first line is empty")
    return token


class WebScreen:
    """Serves the page at ``http://host:port/`` and sends it frames and sound.

    ``rate`` is the samples per second of the sound. Port 0 chooses a free port; ``address`` is the
    URL of the page. If ``host`` is not this computer only, a browser must send the ``token``; if
    that is empty, a random one is made. ``link`` is the URL with the token.

    A browser gets the newest frame as soon as fewer than three are unconfirmed; frames that a slow
    browser misses are dropped. WebSockets are accepted from the page's own origin (called by an IP
    address or by the computer's name) and from the ``origins``, so a page of another site that is
    open in the same browser cannot watch. Programs that send no Origin header may watch. There are
    eight seats; a newcomer gets the seat of a browser that has confirmed nothing for 5 seconds.

    Raises WebPageError if the page cannot be served, or the token is too short.

    >>> screen = WebScreen("127.0.0.1", 0, rate=48_000)
    >>> screen.address.startswith("http://127.0.0.1:"), screen.wanted  # nobody watches yet
    (True, False)
    >>> screen.close()
    """

    def __init__(
        self, host: str, port: int, *, rate: int, origins: Sequence[str] = (), token: str = ""
    ) -> None:
        if not host:  # the server would take it as every address
            raise WebPageError(
                "web_host is empty: set it to 127.0.0.1 to serve the page to this computer only, "
                "or to 0.0.0.0 to serve it to every computer on the network"
            )
        if token and (len(token) < _SHORTEST_TOKEN or not _TOKEN.fullmatch(token)):
            raise WebPageError(
                f"web_token must have at least {_SHORTEST_TOKEN} characters, each a letter, digit, "
                "- or _"
            )
        if not token and not is_loopback(host):
            token = secrets.token_urlsafe(16)
        self._token = token
        self._rate = rate
        self._origins = tuple(origins)
        self._clients: set[_Client] = set()
        self._page = paths.resource("resources/avatar.html").read_bytes()
        self.port = 0
        self.dropped = 0
        self.refused = 0
        self._delivered: deque[float] = deque(maxlen=1000)
        self._endings: set[asyncio.Future[None]] = set()
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
                raise WebPageError(
                    "the web page needs the Python package websockets, version 13 or newer: "
                    "pip install websockets"
                )
            raise WebPageError(
                f"the web page cannot be served on {host}:{port}: {error}; set web_port or "
                "web_host to another value"
            ) from error
        name = f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{self.port}/"
        self.link = f"{self.address}?token={token}" if token else self.address

    # The methods of Screen. Any thread may call them.

    @property
    def wanted(self) -> bool:
        return bool(self._clients)

    problem = ""

    @property
    def browser_count(self) -> int:
        """Returns how many browsers are connected."""
        return len(self._clients)

    def delivered_rate(self) -> float:
        """Returns the frames per second that browsers have confirmed, averaged over browsers."""
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
        except RuntimeError:  # the loop is closed
            return

    # The methods below run on the event loop's thread.

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
            compression=None,  # JPEG does not compress further
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
        """Returns the page or an HTTP error; None accepts the WebSocket."""
        try:
            asked = urlsplit(request.path)
            given = parse_qs(asked.query, max_num_fields=10).get("token", [""])[-1]
        except ValueError:  # such as a host in brackets, or too many fields
            return connection.respond(400, "the path of the request is not valid\n")
        path = asked.path
        if path not in ("/", STREAM):
            return connection.respond(404, f"not found: this server has / and {STREAM}\n")
        if self._token and not hmac.compare_digest(given.encode(), self._token.encode()):
            self.refused += 1
            return connection.respond(401, "add ?token=… to the address: the node's log has it\n")
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
        origin, host = request.headers.get("Origin"), request.headers.get("Host", "")
        if origin is not None and not origin_allowed(origin, host, self._origins):
            self.refused += 1
            return connection.respond(
                403, f"origin {one_line(origin, 80)} is not allowed: add it to web_origins\n"
            )
        if len(self._clients) >= _MOST_CLIENTS and not self._free_a_seat():
            return connection.respond(503, f"{_MOST_CLIENTS} browsers are connected already\n")
        return None

    def _free_a_seat(self) -> bool:
        """Ends the connection of the browser that has been idle for longest; False if none is."""
        idle = [client for client in self._clients if client.idle_seconds() > _IDLE]
        if not idle:
            return False
        longest = max(idle, key=_Client.idle_seconds)
        self._clients.discard(longest)
        self._endings.add(ending := asyncio.ensure_future(longest.connection.close(1008, "idle")))
        ending.add_done_callback(self._endings.discard)
        return True

    async def _watch(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        client = _Client(connection)
        self._clients.add(client)
        sender = asyncio.ensure_future(self._send(connection, client))
        try:
            async for _ in connection:  # every message confirms one frame
                client.in_flight = max(0, client.in_flight - 1)
                client.heard = time.monotonic()
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
                    if not client.in_flight:
                        client.heard = time.monotonic()
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
    """Holds what is to be sent to one browser."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        # Time of the last confirmation, or of the first frame that it could confirm.
        self.heard = time.monotonic()
        self.frame: ScreenFrame | None = None
        self.sounds: deque[tuple[float, npt.NDArray[np.float32]]] = deque(maxlen=_SOUNDS)
        self.in_flight = 0
        self.changed = asyncio.Event()

    def idle_seconds(self) -> float:
        """Returns for how long it has confirmed none of its frames; 0 if it has confirmed all."""
        return time.monotonic() - self.heard if self.in_flight else 0.0


def is_loopback(host: str) -> bool:
    """Returns whether a server on this address can be reached from this computer only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin_allowed(origin: str, host: str, origins: Sequence[str] = ()) -> bool:
    """Returns whether a page with this Origin header may watch a server with this Host header.

    The server's own page may, if the server was called by an IP address or the computer's own name.
    Under any other name the page could belong to somebody else (DNS rebinding). The ``origins``
    may, too.
    """
    if origin in origins:
        return True
    try:
        page = urlsplit(origin)
    except ValueError:
        return False
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
