"""What nodes that hear have in common: our Audio messages, or those of ros-drivers' audio_common.

Two unrelated packages are called audio_common_msgs; which one is installed is found out here.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from std_msgs.msg import Header

from face_perception import msg
from face_perception.errors import InputError
from face_perception.ros import messages
from face_perception.ros.qos import SensorSubscription
from face_perception.speech import AudioChunk, AudioError, chunk_from_bytes, make_chunk

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

AUDIO_COMMON = ("none", "data", "stamped")

# Chunks that wait while a callback runs. A speech synthesiser may send all that it has at once: at
# 10 ms each, this is 20 seconds.
_DEPTH = 2000


class AudioInput:
    """Subscribes to ``topic`` and calls ``received(chunk, header)`` on the executor's thread.

    ``audio_common`` other than `none` reads ros-drivers' AudioData (`data`; without stamps) or
    AudioDataStamped (`stamped`) instead, whose rate and format come on ``<topic>_info``. Raises
    InputError where that package is not installed, or is the other one of its name.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        topic: str,
        received: Callable[[AudioChunk, Header], None],
        *,
        audio_common: str = "none",
        expected: bool = True,
        hint: str = "",
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._node = node
        self._received = received
        self._info: Any = None
        self._subscriptions = []
        subscribe = functools.partial(SensorSubscription, node, depth=_DEPTH, wanted=wanted)
        kind: type[Any] = msg.Audio
        take = self._take_ours
        if audio_common != "none":
            theirs = audio_common_messages()
            kind = theirs.AudioData if audio_common == "data" else theirs.AudioDataStamped
            take = self._take_theirs
            # Said once in a while, or once: audio_capture's is latched.
            info = subscribe(
                theirs.AudioInfo, f"{topic}_info", self._on_info, latched=True, expected=False
            )
            self._subscriptions.append(info)
        self._audio = subscribe(kind, topic, self._guarded(take), expected=expected, hint=hint)
        self._subscriptions.append(self._audio)

    @property
    def status(self) -> str:
        """Why nothing comes; empty while it does, or nothing is expected."""
        return self._audio.status

    @property
    def topic(self) -> str:
        return self._audio.topic

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            subscription.destroy()

    def _guarded(self, take: Callable[[Any], None]) -> Callable[[Any], None]:
        def guarded(message: Any) -> None:
            self._node.count("input")
            try:
                take(message)
            except AudioError as error:
                self._node.count("refused")
                self._node.complain(f"{self.topic}: {error}", key="audio refused")

        return self._node.guarded(guarded)

    def _take_ours(self, message: msg.Audio) -> None:
        samples = np.frombuffer(message.samples, np.int16)
        stamp = messages.seconds(message.header.stamp)
        self._give(
            make_chunk(samples, message.sample_rate, message.channels, stamp), message.header
        )

    def _on_info(self, info: Any) -> None:
        self._info = info

    def _take_theirs(self, message: Any) -> None:
        info = self._info
        if info is None:
            self._node.count("refused")
            self._node.complain(
                f"{self.topic}: waiting for {self.topic}_info, which says its rate and format: "
                "remap it to where the sender publishes audio_info",
                key="audio info",
            )
            return
        if info.coding_format.lower() not in ("wave", "raw", ""):
            raise AudioError(
                f"it is coded as {info.coding_format}: set the sender's format to wave "
                "(audio_capture's default is mp3)"
            )
        header = message.header if hasattr(message, "header") else Header()
        data = message.audio.data if hasattr(message, "audio") else message.data
        stamp = messages.seconds(header.stamp)
        self._give(
            chunk_from_bytes(
                bytes(data), info.sample_format, info.sample_rate, info.channels, stamp
            ),
            header,
        )

    def _give(self, one: AudioChunk, header: Header) -> None:
        if one.clipped:
            self._node.complain(
                f"{self.topic}: the audio is clipped (samples at full scale): turn the sender down",
                key="clipped",
            )
        self._received(one, header)


def audio_common_messages() -> Any:
    """ros-drivers' messages. Raises InputError saying what is there instead."""
    fix = "or set audio_common to none and publish face_perception/msg/Audio"
    try:
        found = importlib.import_module("audio_common_msgs.msg")
    except ImportError as error:
        raise InputError(
            "audio_common asks for ros-drivers' audio_common_msgs, which is not installed: "
            f"apt install ros-$ROS_DISTRO-audio-common-msgs, {fix}"
        ) from error
    data = getattr(found, "AudioData", None)
    fields = data.get_fields_and_field_types() if data is not None else {}
    if set(fields) != {"data"} or not hasattr(found, "AudioInfo"):
        raise InputError(
            "the audio_common_msgs installed here is another package of that name (mgonzs13's; its "
            f"AudioData has {', '.join(fields) or 'no such message'}): only ros-drivers' is read. "
            f"Install that one instead, {fix}"
        )
    return found
