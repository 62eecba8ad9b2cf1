"""The dashboard as a web page: a picture with results to draw over it, and buttons.

Protocol of the WebSocket. To the browser: binary messages: the length of a JSON object (uint32,
little-endian), the object, and a JPEG, which may be empty; and text messages with the answer to a
command: {"answer": number, "success": true, "text": "…"}. From the browser, as JSON: {"seen": true}
for each binary message, and commands: {"command": name, "number": number, and texts by name}.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from face_perception import paths
from face_perception.errors import InputError
from face_perception.web.page_server import Client, PageServer

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

_LARGEST_MESSAGE = 16_384  # bytes: a consent text is the longest
_MOST_ANSWERS = 100  # that wait for a browser
_LENGTH = struct.Struct("<I")
# The texts of each command.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "start": ("label", "consent", "video"),
    "stop": (),
    "mark": ("label",),
    "link": ("face_id", "person_id"),
    "forget": ("person_id",),
    "calibrate": ("face_id", "person_id"),
    "cancel": (),
}


@dataclass(frozen=True)
class Command:
    """What somebody wants: the name of a command, and its texts.

    ``answer`` tells how it went. ``at`` is when the command arrived (monotonic, seconds).
    """

    name: str
    texts: Mapping[str, str]
    answer: Callable[[bool, str], None]
    at: float = dataclasses.field(default_factory=time.monotonic)


@dataclass
class _Update:
    """The newest state for a browser."""

    data: bytes
    jpeg: bytes


class _Viewer(Client):
    def __init__(self, connection: ServerConnection) -> None:
        super().__init__(connection)
        self.update: _Update | None = None
        # A program that takes no answers gets the newest.
        self.answers: deque[str] = deque(maxlen=_MOST_ANSWERS)


class DashboardPage(PageServer[_Viewer]):
    """Serves the page of the dashboard. The arguments of the server are those of ``PageServer``.

    ``command`` is called on the server's thread for each command of a browser. ``show`` may be
    called on any thread; a browser that is slow misses updates. ``dropped`` counts these.

    >>> page = DashboardPage("127.0.0.1", 0, command=lambda command: command.answer(True, "done"))
    >>> page.show({"faces": []})
    >>> page.close()
    """

    def __init__(
        self, host: str, port: int, *, command: Callable[[Command], None], **options: Any
    ) -> None:
        self._command = command
        self.dropped = 0
        super().__init__(
            host,
            port,
            paths.resource("resources/dashboard.html").read_bytes(),
            largest_message=_LARGEST_MESSAGE,
            **options,
        )

    @property
    def wanted(self) -> bool:
        """Whether a browser could take an update now."""
        return any(client.is_ready for client in tuple(self.clients))

    def show(self, data: Mapping[str, Any], jpeg: bytes = b"") -> None:
        """Sends a state as JSON, and a picture. Numbers that are not finite become null."""
        if self.clients:
            try:
                text = _json(data)
            except ValueError:  # looking for such numbers in each update takes as long as this
                text = _json(finite(data))
            self.call(self._offer, _Update(text.encode(), jpeg))

    # On the server's thread.

    def new_client(self, connection: ServerConnection) -> _Viewer:
        return _Viewer(connection)

    def received(self, client: _Viewer, message: str | bytes) -> None:
        """Takes a confirmation or a command; answers what is neither with the reason."""
        number: Any = None
        try:
            found = json.loads(message)
            if not isinstance(found, dict):
                raise InputError("it is not an object")
            if found.get("seen") is True:
                client.confirmed()
                return
            number = found.get("number")
            name, texts = _checked(found)
        except (ValueError, RecursionError) as error:
            self._answer_command(client, number, False, f"the command cannot be read: {error}")
            return

        def answer(success: bool, text: str) -> None:
            self.call(self._answer_command, client, number, success, text)

        self._command(Command(name, texts, answer))

    async def send(self, client: _Viewer) -> None:
        while client.answers:
            await client.connection.send(client.answers.popleft())
        update = client.update
        if update is not None and client.is_ready:
            client.update = None
            client.sent()
            await client.connection.send(_LENGTH.pack(len(update.data)) + update.data + update.jpeg)

    def _offer(self, update: _Update) -> None:
        for client in self.clients:
            self.dropped += client.update is not None
            client.update = update
            client.changed.set()

    def _answer_command(self, client: _Viewer, number: Any, success: bool, text: str) -> None:
        shown = number if isinstance(number, int) else None
        client.answers.append(json.dumps({"answer": shown, "success": success, "text": text}))
        client.changed.set()


def _json(data: Any) -> str:
    """Returns plain values as JSON. Raises ValueError for a number that is not finite."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


def _checked(found: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Returns the name and the texts of a command. Raises InputError."""
    name = found.get("command")
    if not isinstance(name, str) or name not in COMMANDS:
        raise InputError(f"there is no command {str(name)[:40]!r}: use {', '.join(COMMANDS)}")
    texts = {key: found.get(key, "") for key in COMMANDS[name]}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise InputError(f"{key} is not a text")
        # ROS cuts a text at a NUL, and cannot send half of a surrogate pair.
        if any(
            unicodedata.category(letter) in ("Cc", "Cs") for letter in text if letter not in "\n\t"
        ):
            raise InputError(f"{key} has a control character, or half a character: remove it")
    return name, texts


def finite(value: Any) -> Any:
    """Returns plain values with None for each number that is not finite.

    >>> finite({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
