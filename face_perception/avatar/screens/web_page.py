"""A screen as a web page, for a kiosk browser or a tablet.

Protocol of the WebSocket. To the browser: binary messages, little-endian: kind (uint8, FRAME,
SOUND or FACE), 3 unused bytes, uint32 (number of the frame, or samples per second of the sound),
float64 position of the frame or of the first sample on the player's timeline in seconds, then a
JPEG, int16 mono samples, or the float32 numbers of ``face_numbers``, from which the page draws a
head in three dimensions itself. From the browser: any short message for each frame that it has
received. A browser may ask for video and sound by WebRTC instead (``web_call``).
"""

from __future__ import annotations

import json
import struct
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from face_perception import paths
from face_perception.avatar.head_numbers import face_numbers
from face_perception.avatar.screens.screen import ScreenFrame
from face_perception.errors import InputError
from face_perception.speech import to_int16
from face_perception.web import Client, PageServer, WebPageError

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from face_perception.avatar.screens.web_call import WebCall

# Bytes of a message from a browser. A browser only sends the number of the frame that it has.
LARGEST_MESSAGE = 256
_LARGEST_OFFER = 65_536  # bytes of a message that asks for a call; Chromium's have 3000 to 8000
_MOST_ANSWERS = 4  # that wait for a browser
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
        self.call: WebCall | None = None  # it gets frames and sound instead
        self.calling = False  # whether a call is being made
        self.answers: deque[str] = deque(maxlen=_MOST_ANSWERS)


class WebScreen(PageServer[_Viewer]):
    """Serves the page of the face, and sends it frames and sound.

    ``rate`` is the samples per second of the sound. ``calls`` allows WebRTC, by these servers of
    ``ice_servers``; None does not. The other arguments are those of ``web.PageServer``; ``files``
    has those of ``head_files`` if frames have no image. A browser gets the newest frame as soon as
    fewer than three are unconfirmed; frames that a slow browser misses are dropped.

    Raises web.WebPageError if the page cannot be served, the token is too short, or calls need a
    package that is missing.

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
        calls: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        self._rate, self._calls = rate, calls
        if calls is not None:
            try:
                import aiortc  # noqa: F401 (so that a browser need not tell of it)
            except ImportError as error:
                raise WebPageError(
                    "web_calls needs the Python package aiortc: pip install 'aiortc>=1.16'"
                ) from error
        self.dropped = 0
        self._delivered: deque[float] = deque(maxlen=1000)
        super().__init__(
            host,
            port,
            paths.resource("resources/avatar.html").read_bytes(),
            largest_message=LARGEST_MESSAGE if calls is None else _LARGEST_OFFER,
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
        """Returns the frames per second that browsers have confirmed, averaged over browsers.

        A browser with a call confirms nothing, and is left out.
        """
        now = time.monotonic()
        recent = sum(1 for t in list(self._delivered) if t > now - _WINDOW)
        confirming = sum(1 for client in tuple(self.clients) if client.call is None)
        return recent / _WINDOW / max(1, confirming)

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
        """Takes a confirmation of a frame, or a request for a call, which is a JSON object."""
        if message[:1] in ("{", b"{"):
            self.run_task(self._answer_call(client, message))
            return
        client.confirmed()
        self._delivered.append(time.monotonic())

    def left(self, client: _Viewer) -> None:
        if client.call is not None:
            self.run_task(client.call.close())
            client.call = None

    async def _answer_call(self, client: _Viewer, message: str | bytes) -> None:
        try:
            answer = await self._asked_call(client, message)
        except InputError as error:
            answer = {"problem": str(error)}
        except Exception as error:  # the browser waits for an answer
            answer = {"problem": f"the call cannot be made: {type(error).__name__}: {error}"}
        client.answers.append(json.dumps(answer))
        client.changed.set()

    async def _asked_call(self, client: _Viewer, message: str | bytes) -> dict[str, Any]:
        if self._calls is None:
            raise InputError(
                "the robot offers no calls: set web_calls of the talking_face node and a renderer "
                "other than head, or open the page without via=webrtc"
            )
        from face_perception.avatar.screens.web_call import WebCall, read_request

        offer = read_request(message).get("offer")
        if not offer:
            return {"servers": list(self._calls)}
        if client.calling:  # each call takes a port
            raise InputError("another offer is being answered: wait for its answer")
        client.calling, call = True, None
        try:
            before, client.call = client.call, None
            if before is not None:
                await before.close()
            call = WebCall(self._rate, self._calls)
            answer = await call.answer(offer)
            if client in self.clients:  # else it has gone meanwhile
                client.call, call = call, None
            return {"answer": answer}
        finally:
            client.calling = False
            if call is not None:
                await call.close()

    async def send(self, client: _Viewer) -> None:
        while client.answers:
            await client.connection.send(client.answers.popleft())
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
            if client.call is not None and frame.image is not None:
                client.call.show(frame)
                continue
            if client.frame is not None:
                self.dropped += 1
            client.frame = frame
            client.changed.set()

    def _offer_sound(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        for client in self.clients:
            if client.call is not None:
                client.call.play(position, samples)
                continue
            client.sounds.append((position, samples))
            client.changed.set()
