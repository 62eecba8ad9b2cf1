"""A server of one HTML page and one WebSocket, for the browsers of a robot.

It uses `websockets`, which is imported only here. That package is plain Python without
dependencies, and limits message sizes and waiting times itself.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit
from weakref import WeakSet

from face_perception.errors import FacePerceptionError, one_line
from face_perception.web.access import is_loopback, origin_allowed

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

STREAM = "/stream"
# Messages sent to a browser and not yet confirmed. More would only add delay.
MOST_IN_FLIGHT = 3
MOST_CLIENTS = 8
_IDLE = 5.0  # seconds without a confirmation after which a newcomer gets the seat
_ENDS = 1.2  # seconds for which the server waits for browsers, and for its tasks, when it ends
_SHORTEST_TOKEN, _TOKEN = 8, re.compile(r"[\w-]+", re.ASCII)

# Port scans and browsers that disconnect must not fill the robot's log.
_quiet = logging.getLogger(__name__)
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class WebPageError(FacePerceptionError, RuntimeError):
    """Raised if the page cannot be served; the text gives the reason and the fix."""


class Client:
    """One browser. A subclass holds what is to be sent to it.

    Set ``changed`` when there is something to send. Count in ``in_flight`` what the browser has to
    confirm, by ``sent`` and ``confirmed``.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        # Time of the last confirmation, or of the first message that it could confirm.
        self.heard = time.monotonic()
        self.in_flight = 0
        self.changed = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether it has confirmed enough to get the next message."""
        return self.in_flight < MOST_IN_FLIGHT

    def sent(self) -> None:
        """Notes that a message is sent that the browser will confirm."""
        if not self.in_flight:
            self.heard = time.monotonic()
        self.in_flight += 1

    def confirmed(self) -> None:
        """Notes that the browser has confirmed a message."""
        self.in_flight = max(0, self.in_flight - 1)
        self.heard = time.monotonic()
        self.changed.set()

    def idle_seconds(self) -> float:
        """Returns for how long it has confirmed nothing; 0 if it has confirmed all."""
        return time.monotonic() - self.heard if self.in_flight else 0.0


C = TypeVar("C", bound=Client)


class PageServer(ABC, Generic[C]):
    """Serves ``page`` (HTML) at ``http://host:port/``, and the WebSocket of each browser.

    Port 0 chooses a free port; ``address`` is the URL of the page. If ``host`` is not this computer
    only, a browser must send the ``token``; if that is empty, a random one is made. ``link`` is the
    URL with the token, and ``shown_link`` one that may be logged.

    WebSockets are accepted from the page's own origin (called by an IP address or by the computer's
    name) and from the ``origins``, so a page of another site that is open in the same browser
    cannot use them. Programs that send no Origin header may. There are eight seats; a newcomer gets
    the seat of a browser that has confirmed nothing for 5 seconds. Messages of browsers have at
    most ``largest_message`` bytes. ``files`` maps further paths, such as ``/head.js``, to content
    type and content. They need no token, because scripts load each other without it.

    Raises WebPageError if the page cannot be served, or the token is too short.
    """

    def __init__(
        self,
        host: str,
        port: int,
        page: bytes,
        *,
        largest_message: int,
        origins: Sequence[str] = (),
        token: str = "",
        files: Mapping[str, tuple[str, bytes]] | None = None,
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
        self._token = token or ("" if is_loopback(host) else secrets.token_urlsafe(16))
        self._largest_message = largest_message
        self._origins = tuple(origins)
        self.clients: set[C] = set()  # use it on the server's thread, or only whether it is empty
        self._files = {"/": ("text/html; charset=utf-8", page)} | dict(files or {})
        self.port = 0
        self.refused = 0
        self._tasks: set[asyncio.Future[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._ready: threading.Event = threading.Event()
        self._failures: list[Exception] = []
        self._thread = threading.Thread(
            target=self._run, args=(host, port), name="web page", daemon=True
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
        self.link = f"{self.address}?token={self._token}" if self._token else self.address
        # For the log, which is kept in files, and which other computers can read: a password that
        # somebody chose is not in it.
        self.shown_link = f"{self.address}?token=PASSWORD" if token else self.link

    # What a page defines. All are called on the server's thread.

    @abstractmethod
    def new_client(self, connection: ServerConnection) -> C:
        """Returns the client of a browser that has connected."""

    @abstractmethod
    def received(self, client: C, message: str | bytes) -> None:
        """Takes a message of a browser."""

    @abstractmethod
    async def send(self, client: C) -> None:
        """Sends what waits for a browser. Called when its ``changed`` was set."""

    def left(self, client: C) -> None:
        """Called when a browser has gone."""

    # Any thread may use these.

    @property
    def browser_count(self) -> int:
        """Returns how many browsers are connected."""
        return len(self.clients)

    def call(self, what: Any, *arguments: Any) -> None:
        """Calls a function on the server's thread soon."""
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed
            return

    def close(self) -> None:
        """Ends the server and all connections."""
        self.call(self._stop.set)
        self._thread.join(3)

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
        from websockets.asyncio.server import ServerConnection, serve

        connections: WeakSet[ServerConnection] = WeakSet()

        def new_connection(*args: Any, **options: Any) -> ServerConnection:
            connections.add(connection := ServerConnection(*args, **options))
            return connection

        self._stop = asyncio.Event()
        server = await serve(
            self._watch,
            host,
            port,
            process_request=self._answer,
            max_size=self._largest_message,
            max_queue=16,
            compression=None,  # JPEG does not compress further
            ping_interval=5,
            ping_timeout=10,
            close_timeout=1,
            server_header=None,
            logger=_quiet,
            create_connection=new_connection,
        )
        self.port = next(iter(server.sockets)).getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        await asyncio.wait([asyncio.ensure_future(server.wait_closed())], timeout=_ENDS)
        # Browsers open connections in advance. If such a connection stayed open after the end of
        # this server, the browser would use it to ask the next server, and would never get an
        # answer.
        for connection in connections:
            connection.transport.abort()
        await asyncio.sleep(0)
        # Tasks may hang.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left - self._tasks:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_ENDS)

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Returns the page or an HTTP error; None accepts the WebSocket."""
        try:
            asked = urlsplit(request.path)
            given = parse_qs(asked.query, max_num_fields=10).get("token", [""])[-1]
        except ValueError:  # such as a host in brackets, or too many fields
            return connection.respond(400, "the path of the request is not valid\n")
        path = asked.path
        if path != STREAM and path not in self._files:
            missing = connection.respond(404, f"not found: this server has / and {STREAM}\n")
            missing.headers["Cache-Control"] = "no-store"
            return missing
        public = path not in ("/", STREAM)
        if (
            self._token
            and not public
            and not hmac.compare_digest(given.encode(errors="replace"), self._token.encode())
        ):
            self.refused += 1
            return connection.respond(401, "add ?token=… to the address: the node's log has it\n")
        if path in self._files:
            kind, content = self._files[path]
            response = connection.respond(200, "")
            response.body = content
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(content))),
                ("Cache-Control", "no-cache"),
                ("X-Content-Type-Options", "nosniff"),
                (
                    "Content-Security-Policy",
                    "default-src 'none'; script-src 'self' 'unsafe-inline'; "
                    "style-src 'unsafe-inline'; "
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
        if len(self.clients) >= MOST_CLIENTS and not self._free_a_seat():
            return connection.respond(503, f"{MOST_CLIENTS} browsers are connected already\n")
        return None

    def _free_a_seat(self) -> bool:
        """Ends the connection of the browser that has been idle for longest; False if none is."""
        idle = [client for client in self.clients if client.idle_seconds() > _IDLE]
        if not idle:
            return False
        longest = max(idle, key=Client.idle_seconds)
        self.clients.discard(longest)
        self.run_task(longest.connection.close(1008, "idle"))
        return True

    def run_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs work on the server's thread, which waits a moment for it when the server ends."""
        self._tasks.add(task := asyncio.ensure_future(work))
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        client = self.new_client(connection)
        self.clients.add(client)
        sender = asyncio.ensure_future(self._send_all(client))
        try:
            async for message in connection:
                self.received(client, message)
        except ConnectionClosed:
            pass
        finally:
            self.clients.discard(client)
            sender.cancel()
            self.left(client)

    async def _send_all(self, client: C) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                await client.changed.wait()
                client.changed.clear()
                await self.send(client)
        except ConnectionClosed:
            return
