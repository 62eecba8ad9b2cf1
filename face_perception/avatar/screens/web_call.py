"""Sends the talking face to one browser as video and sound by WebRTC.

It uses `aiortc` (BSD-3-Clause), which only this module imports. A browser asks for it over the
WebSocket of the page, with JSON in text messages: {"call": true}, which is answered by the servers
that help both to reach each other, {"servers": [{"urls": …}]}, then {"offer": SDP}, which is
answered by {"answer": SDP}; or by {"problem": text}.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import aiortc
import numpy as np
import numpy.typing as npt
from av import AudioFrame, VideoFrame

from face_perception.avatar.screens.screen import ScreenFrame
from face_perception.errors import InputError, one_line
from face_perception.speech import to_int16

_VIDEO_RATE = 90_000  # ticks a second, of RTP
_SOUNDS = 50  # blocks of sound that wait, half a second
_LONGEST_WAIT = 1.0  # seconds; what is due later than this comes from another timeline


class WebCall:
    """The video and the sound of the face for one browser. Use it on one event loop.

    ``rate`` is the samples per second of the sound, ``servers`` are those of ``ice_servers``.
    Frames must have an image.
    """

    def __init__(self, rate: int, servers: Sequence[Mapping[str, str]]) -> None:
        self._picture, self._sound = _Picture(), _Sound(rate)
        configuration = aiortc.RTCConfiguration([aiortc.RTCIceServer(**one) for one in servers])
        self._connection = aiortc.RTCPeerConnection(configuration)
        self._connection.addTrack(self._picture)
        self._connection.addTrack(self._sound)

    async def answer(self, offer: str) -> str:
        """Returns the SDP that answers a browser's. Raises InputError if it cannot be read."""
        try:
            await self._connection.setRemoteDescription(
                aiortc.RTCSessionDescription(sdp=offer, type="offer")
            )
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # aiortc raises what its parser stumbles over
            raise InputError(f"the offer cannot be read: {one_line(error)}") from error
        return str(self._connection.localDescription.sdp)

    def show(self, frame: ScreenFrame) -> None:
        """Sends a frame when it is due."""
        self._picture.newest.put(frame)
        self._sound.offset = frame.at - frame.position

    def play(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        """Sends sound when it is heard; ``position`` is in seconds of the player's timeline."""
        self._sound.blocks.put((position, samples))

    async def close(self) -> None:
        """Ends the call."""
        await self._connection.close()


class _Waiting:
    """Things for a reader that waits for them. Forgets the oldest ones beyond ``most``."""

    def __init__(self, most: int) -> None:
        self._items: deque[Any] = deque(maxlen=most)
        self._came = asyncio.Event()

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._came.set()

    async def get(self) -> Any:
        while not self._items:
            self._came.clear()
            await self._came.wait()
        return self._items.popleft()


async def _wait_until(at: float) -> None:
    """Waits until a monotonic time in seconds, which both tracks keep, so that they fit."""
    wait = at - time.monotonic()
    if 0 < wait < _LONGEST_WAIT:
        await asyncio.sleep(wait)


class _Picture(aiortc.MediaStreamTrack):
    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.newest = _Waiting(1)
        self._ticks = 0

    async def recv(self) -> VideoFrame:
        frame = await self.newest.get()
        await _wait_until(frame.at)
        height, width = frame.image.shape[:2]
        # Encoders of video take even sizes.
        made = VideoFrame.from_ndarray(
            np.ascontiguousarray(frame.image[: height // 2 * 2, : width // 2 * 2]), format="rgb24"
        )
        self._ticks = max(self._ticks + 1, round(frame.position * _VIDEO_RATE))
        made.pts, made.time_base = self._ticks, Fraction(1, _VIDEO_RATE)
        return made


class _Sound(aiortc.MediaStreamTrack):
    kind = "audio"

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.blocks = _Waiting(_SOUNDS)
        self.offset = -float("inf")  # monotonic seconds at which the player's timeline began
        self._rate, self._ticks = rate, 0

    async def recv(self) -> AudioFrame:
        position, samples = await self.blocks.get()
        await _wait_until(position + self.offset)
        made = AudioFrame.from_ndarray(to_int16(samples)[None], format="s16", layout="mono")
        begin = max(self._ticks, round(position * self._rate))
        self._ticks = begin + len(samples)
        made.sample_rate, made.pts, made.time_base = self._rate, begin, Fraction(1, self._rate)
        return made


def read_request(message: str | bytes) -> Mapping[str, Any]:
    """Returns the request in a message of a browser. Raises InputError if it is none."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the message cannot be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("offer", ""), str):
        raise InputError("the message is not a request for a call")
    return found
