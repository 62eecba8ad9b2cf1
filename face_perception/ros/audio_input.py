"""The audio subscription of a node: our Audio messages, or those of ros-drivers' audio_common.

Two unrelated packages are called audio_common_msgs; ``audio_common_messages`` finds out which one
is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from std_msgs.msg import Header

from face_perception import msg
from face_perception.errors import InputError
from face_perception.ros import messages
from face_perception.speech import AudioChunk, AudioError, chunk_from_bytes, make_chunk

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

AUDIO_COMMON = ("none", "data", "stamped")

# Chunks that wait while a callback runs: 20 s of chunks of 10 ms. A speech synthesizer may send a
# whole sentence at once.
_DEPTH = 2000


class AudioInput:
    """Subscribes a node to ``topic``; calls ``received(chunk, header)`` on the executor's thread.

    Make it in the ``start`` of the node. ``audio_common`` is ``none`` for our Audio messages, or
    ``data`` or ``stamped`` for AudioData or AudioDataStamped of ros-drivers, whose rate and format
    come on ``<topic>_info``; AudioData has no stamps. The other arguments are those of
    ``SensorSubscription``. Raises InputError if ros-drivers' package is not installed.
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
        kind: type[Any] = msg.Audio
        convert = self._convert_ours
        if audio_common != "none":
            theirs = audio_common_messages()
            kind = theirs.AudioData if audio_common == "data" else theirs.AudioDataStamped
            convert = self._convert_theirs
            # Latched, because audio_capture sends it once.
            node.subscribe(
                theirs.AudioInfo,
                f"{topic}_info",
                self._on_info,
                depth=_DEPTH,
                latched=True,
                expected=False,
                wanted=wanted,
            )

        def on_audio(message: Any) -> None:
            node.count("input")
            try:
                convert(message)
            except AudioError as error:
                node.count("refused")
                node.warn_throttled(f"{self.topic}: {error}", key="audio refused")

        self._audio = node.subscribe(
            kind, topic, on_audio, depth=_DEPTH, expected=expected, hint=hint, wanted=wanted
        )

    @property
    def status(self) -> str:
        """Why no audio arrives; empty if it does, or if none is expected."""
        return self._audio.status

    @property
    def topic(self) -> str:
        """The full name of the audio topic."""
        return self._audio.topic

    def _convert_ours(self, message: msg.Audio) -> None:
        samples = np.frombuffer(message.samples, np.int16)
        stamp = messages.seconds(message.header.stamp)
        self._give(
            make_chunk(samples, message.sample_rate, message.channels, stamp), message.header
        )

    def _on_info(self, info: Any) -> None:
        self._info = info

    def _convert_theirs(self, message: Any) -> None:
        info = self._info
        if info is None:
            self._node.count("refused")
            self._node.warn_throttled(
                f"{self.topic}: no audio is used, because its rate and format are unknown. Remap "
                f"{self.topic}_info to the topic where the sender publishes audio_info.",
                key="audio info",
            )
            return
        if info.coding_format.lower() not in ("wave", "raw", ""):
            raise AudioError(
                f"the audio is encoded as {info.coding_format}: set the sender's format to wave "
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
            self._node.warn_throttled(
                f"{self.topic}: the audio is clipped (samples at full scale): turn the sender down",
                key="clipped",
            )
        self._received(one, header)


def audio_common_messages() -> Any:
    """Returns the module audio_common_msgs.msg of ros-drivers.

    Raises InputError if it is not installed, or if another package of that name is.
    """
    fix = "or set audio_common to none and publish face_perception/msg/Audio"
    try:
        found = importlib.import_module("audio_common_msgs.msg")
    except ImportError as error:
        raise InputError(
            "the parameter audio_common needs ros-drivers' audio_common_msgs, which is not "
            f"installed: apt install ros-$ROS_DISTRO-audio-common-msgs, {fix}"
        ) from error
    data = getattr(found, "AudioData", None)
    fields = data.get_fields_and_field_types() if data is not None else {}
    if set(fields) != {"data"} or not hasattr(found, "AudioInfo"):
        raise InputError(
            "the installed audio_common_msgs is another package of that name (mgonzs13's; fields "
            f"of its AudioData: {', '.join(fields) or 'none'}): install ros-drivers' package "
            f"instead, {fix}"
        )
    return found
