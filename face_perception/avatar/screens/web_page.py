"""A screen as a web page, for a kiosk browser or a tablet.

Protocol of the WebSocket. To the browser: binary messages, little-endian: kind (uint8, FRAME,
SOUND or FACE), 3 unused bytes, uint32 (number of the frame, or samples per second of the sound),
float64 position of the frame or of the first sample on the player's timeline in seconds, then a
JPEG, int16 mono samples, or the float32 numbers of ``face_numbers``, from which the page draws a
head in three dimensions itself. From the browser: any short message for each frame that it has
received.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from face_perception import paths
from face_perception.avatar.head_numbers import face_numbers
from face_perception.avatar.screens.screen import ScreenFrame
from face_perception.speech import to_int16
from face_perception.web import Client, PageServer

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

# Bytes of a message from a browser. A browser only sends the number of the frame that it has.
LARGEST_MESSAGE = 256
_SOUNDS = 50  # blocks of sound kept for a slow browser, half a second
_WINDOW = 5.0  # seconds over which the frame rate is computed

FRAME, SOUND, FACE = 1, 2, 3
_HEADER = struct.Struct("<BxxxId")


class _Viewer(Client):
    """Holds what is to be sent to one browser."""

    def __init__(self, connection: ServerConnection) -> None:
        super().__init__(connection)
        self.frame: ScreenFrame | None = None
        self.sounds: deque[tuple[float, npt.NDArray[np.float32]]] = deque(maxlen=_SOUNDS)


class WebScreen(PageServer[_Viewer]):
    """Serves the page of the face, and sends it frames and sound.

    ``rate`` is the samples per second of the sound. The other arguments are those of
    ``web.PageServer``; ``files`` has those of ``head_files`` if frames have no image. A browser
    gets the newest frame as soon as fewer than three are unconfirmed; frames that a slow
    browser misses are dropped.

    Raises web.WebPageError if the page cannot be served, or the token is too short.

    >>> screen = WebScreen("127.0.0.1", 0, rate=48_000)
    >>> screen.address.startswith("http://127.0.0.1:"), screen.wanted  # nobody watches yet
    (True, False)
    >>> screen.close()
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        rate: int,
        origins: Sequence[str] = (),
        token: str = "",
        files: Mapping[str, tuple[str, bytes]] | None = None,
    ) -> None:
        self._rate = rate
        self.dropped = 0
        self._delivered: deque[float] = deque(maxlen=1000)
        super().__init__(
            host,
            port,
            paths.resource("resources/avatar.html").read_bytes(),
            largest_message=LARGEST_MESSAGE,
            origins=origins,
            token=token,
            files=files,
        )

    # The methods of Screen. Any thread may call them.

    @property
    def wanted(self) -> bool:
        return bool(self.clients)

    problem = ""

    def delivered_rate(self) -> float:
        """Returns the frames per second that browsers have confirmed, averaged over browsers."""
        now = time.monotonic()
        recent = sum(1 for t in list(self._delivered) if t > now - _WINDOW)
        return recent / _WINDOW / max(1, len(self.clients))

    def show_frame(self, frame: ScreenFrame) -> None:
        if self.clients:
            self.call(self._offer, frame)

    def play_audio(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        if self.clients:
            self.call(self._offer_sound, position, samples)

    # The methods below run on the server's thread.

    def new_client(self, connection: ServerConnection) -> _Viewer:
        return _Viewer(connection)

    def received(self, client: _Viewer, message: str | bytes) -> None:
        """Takes a confirmation of a frame: every message is one."""
        client.confirmed()
        self._delivered.append(time.monotonic())

    async def send(self, client: _Viewer) -> None:
        while client.sounds:
            position, samples = client.sounds.popleft()
            data = to_int16(samples).astype("<i2").tobytes()
            await client.connection.send(_HEADER.pack(SOUND, self._rate, position) + data)
        frame = client.frame
        if frame is not None and client.is_ready:
            client.frame = None
            client.sent()
            kind, data = FRAME, b""
            if frame.image is None:
                kind, data = FACE, face_numbers(frame.state).astype("<f4").tobytes()
            else:
                data = frame.jpeg()
            head = _HEADER.pack(kind, frame.number & 0xFFFFFFFF, frame.position)
            await client.connection.send(head + data)

    def _offer(self, frame: ScreenFrame) -> None:
        for client in self.clients:
            if client.frame is not None:
                self.dropped += 1
            client.frame = frame
            client.changed.set()

    def _offer_sound(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        for client in self.clients:
            client.sounds.append((position, samples))
            client.changed.set()
