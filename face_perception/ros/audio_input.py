"""The audio subscription of a node: our Audio messages, or those of ros-drivers' audio_common.

Two unrelated packages are called audio_common_msgs; ``audio_common_messages`` finds out which one
is installed.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from std_msgs.msg import Header

from face_perception import msg
from face_perception.errors import InputError
from face_perception.ros import messages
from face_perception.settings import setting
from face_perception.speech import (
    AudioChunk,
    AudioError,
    ChannelMixer,
    chunk_from_bytes,
    make_chunk,
)

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

# Chunks that wait while a callback runs: 20 s of chunks of 10 ms. A speech synthesizer may send a
# whole sentence at once.
_DEPTH = 2000
# Seconds. A larger jump of the stamps means that the clock was set, unless as much time has passed.
_CLOCK_SET = 600.0
_SAID = 10.0  # seconds for which the diagnostics say that audio was lost
_GAP = 0.25  # seconds, or two chunks if that is longer; a larger gap between stamps is a loss


@dataclass(frozen=True)
class AudioInputSettings:
    """Settings of ``AudioInput``."""

    audio_common: str = setting(
        "none",
        "Read messages of ros-drivers' audio_common instead of face_perception/Audio. data: "
        "AudioData. stamped: AudioDataStamped. Both read AudioInfo from the same topic with _info "
        "added.",
        choices=("none", "data", "stamped"),
    )
    channel: str = setting(
        "mean",
        "Which channel of the audio is used. mean: the average. best: the one with the most sound "
        "above its noise. A number: the channel of this index (0 is the first); choose a "
        "microphone if an array has a channel for what the robot plays.",
    )


class AudioInput:
    """Subscribes a node to ``topic``; calls ``received(chunk, header)`` on the executor's thread.

    Make it in the ``start`` of the node. The rate and format of ros-drivers' AudioData and
    AudioDataStamped come on ``<topic>_info``; AudioData has no stamps.

    With ``longest_delay`` the audio is live. If more seconds of it wait, the oldest is dropped. The
    log names what was lost, and ``dropped`` is called with its seconds before the next chunk is
    received. Audio that is missing between the stamps counts as lost, too.

    The other arguments are those of ``SensorSubscription``. Raises InputError if ros-drivers'
    package is not installed, or if ``settings`` name no valid channel.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        topic: str,
        received: Callable[[AudioChunk, Header], None],
        settings: AudioInputSettings,
        *,
        longest_delay: float = math.inf,
        dropped: Callable[[float], None] = lambda seconds: None,
        expected: bool = True,
        hint: str = "",
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._node = node
        self._received, self._dropped = received, dropped
        self._longest_delay = longest_delay
        self._mixer = ChannelMixer(settings.channel)
        # Seconds of audio in total: dropped here, and missing between the stamps.
        self.dropped_seconds = self.missing_seconds = 0.0
        self._expected_stamp = 0.0  # of the next chunk; 0: unknown
        self._chunk_at = -math.inf  # when the last one came (monotonic, seconds)
        self._loss, self._lost_at = "", -math.inf
        self._info: Any = None
        kind: type[Any] = msg.Audio
        self._convert: Callable[[Any], tuple[AudioChunk, Header] | None] = self._convert_ours
        if settings.audio_common != "none":
            theirs = audio_common_messages()
            data = settings.audio_common == "data"
            kind = theirs.AudioData if data else theirs.AudioDataStamped
            self._convert = self._convert_theirs
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

        def still_wanted() -> bool:
            if not wanted():
                self._expected_stamp = 0.0  # what comes meanwhile is not lost
                return False
            return True

        self._audio = node.subscribe(
            kind,
            topic,
            self._on_audio,
            depth=_DEPTH,
            expected=expected,
            hint=hint,
            wanted=still_wanted,
        )

    @property
    def status(self) -> str:
        """Returns what is wrong with the audio, such as why none arrives; empty if nothing is."""
        lately = time.monotonic() - self._lost_at < _SAID
        problems = self._audio.status, self._loss if lately else "", self._mixer.problem
        return "; ".join(filter(None, problems))

    @property
    def topic(self) -> str:
        """The full name of the audio topic."""
        return self._audio.topic

    def _on_audio(self, message: Any) -> None:
        live = math.isfinite(self._longest_delay)
        messages_waiting = [message, *(self._audio.take_waiting() if live else ())]
        found = []
        for one in messages_waiting:
            self._node.count("input")
            try:
                converted = self._convert(one)
            except AudioError as error:
                self._node.count("refused")
                self._node.warn_throttled(f"{self.topic}: {error}", key="audio refused")
                continue
            if converted is not None:
                found.append(converted)
        first = self._drop_oldest([chunk.duration for chunk, _ in found])
        for chunk, header in found[first:]:
            if live:
                self._notice_gap(chunk)
            self._received(chunk, header)

    def _drop_oldest(self, durations: Sequence[float]) -> int:
        """Returns how many of the oldest chunks, which have these durations, are dropped."""
        first = first_of_newest(durations, self._longest_delay)
        if not first:
            return 0
        seconds = sum(durations[:first])
        self.dropped_seconds += seconds
        for _ in range(first):
            self._node.count("dropped")
        self._expected_stamp = 0.0  # the gap is known
        self._tell_loss(
            f"the node is {sum(durations):.1f} s behind, so the oldest {seconds:.1f} s of audio "
            f"were dropped ({self.dropped_seconds:.1f} s so far): this computer does not keep up, "
            "or the sender is faster than real time",
            seconds,
        )
        return first

    def _notice_gap(self, chunk: AudioChunk) -> None:
        """Tells of audio that is missing before a chunk, by the stamps."""
        now = time.monotonic()
        gap = chunk.stamp - self._expected_stamp
        known = chunk.stamp > 0 and self._expected_stamp > 0
        passed, self._chunk_at = now - self._chunk_at, now
        if known and min(abs(gap), abs(gap - passed)) > _CLOCK_SET:
            self._tell_loss(
                f"the stamps have jumped by {gap:.0f} s: the clock of the sender was set, or there "
                "are two senders",
                0.0,
            )
        elif known and gap > max(_GAP, 2 * chunk.duration):
            self.missing_seconds += gap
            self._tell_loss(
                f"{gap:.1f} s of audio are missing ({self.missing_seconds:.1f} s so far): the "
                "sender has paused, or its queue ran over because this computer does not keep up",
                gap,
            )
        self._expected_stamp = chunk.stamp + chunk.duration if chunk.stamp > 0 else 0.0

    def _tell_loss(self, what: str, seconds: float) -> None:
        self._loss, self._lost_at = f"{self.topic}: {what}", time.monotonic()
        self._node.warn_throttled(self._loss, key="audio lost")
        self._dropped(seconds)

    def _convert_ours(self, message: msg.Audio) -> tuple[AudioChunk, Header]:
        samples = np.frombuffer(message.samples, np.int16)
        stamp = messages.seconds(message.header.stamp)
        chunk = make_chunk(samples, message.sample_rate, message.channels, stamp, self._mixer.mix)
        return self._checked(chunk), message.header

    def _on_info(self, info: Any) -> None:
        self._info = info

    def _convert_theirs(self, message: Any) -> tuple[AudioChunk, Header] | None:
        info = self._info
        if info is None:
            self._node.count("refused")
            self._node.warn_throttled(
                f"{self.topic}: no audio is used, because its rate and format are unknown. Remap "
                f"{self.topic}_info to the topic where the sender publishes audio_info.",
                key="audio info",
            )
            return None
        if info.coding_format.lower() not in ("wave", "raw", ""):
            raise AudioError(
                f"the audio is encoded as {info.coding_format}: set the sender's format to wave "
                "(audio_capture's default is mp3)"
            )
        header = message.header if hasattr(message, "header") else Header()
        data = message.audio.data if hasattr(message, "audio") else message.data
        stamp = messages.seconds(header.stamp)
        chunk = chunk_from_bytes(
            bytes(data),
            info.sample_format,
            info.sample_rate,
            info.channels,
            stamp,
            self._mixer.mix,
        )
        return self._checked(chunk), header

    def _checked(self, chunk: AudioChunk) -> AudioChunk:
        """Returns the chunk, after warnings about clipping and about the channels."""
        if chunk.clipped:
            self._node.warn_throttled(
                f"{self.topic}: the audio is clipped (samples at full scale): turn the sender down",
                key="clipped",
            )
        if problem := self._mixer.problem:
            self._node.warn_throttled(f"{self.topic}: {problem}", key="channels")
        return chunk


def first_of_newest(durations: Sequence[float], longest: float) -> int:
    """Returns the index of the first of the newest chunks that last ``longest`` seconds at most.

    ``durations`` are those of the chunks, in seconds, the oldest first. The newest chunk is always
    kept.

    >>> first_of_newest([1.0, 1.0, 1.0], longest=2.5)
    1
    """
    total = 0.0
    for index in reversed(range(len(durations))):
        total += durations[index]
        if total > longest:
            return min(index + 1, len(durations) - 1)
    return 0


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
