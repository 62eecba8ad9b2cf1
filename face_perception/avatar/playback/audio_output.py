"""Chooses the player of the speech: a loudspeaker if there is one, else a silent player."""

from __future__ import annotations

import time
from collections.abc import Callable

from face_perception.audio_devices import AudioDeviceError, rescan_devices
from face_perception.avatar.playback.audio_clock import AudioClock
from face_perception.avatar.playback.audio_players import (
    AudioPlayer,
    LoudspeakerPlayer,
    SilentPlayer,
)
from face_perception.avatar.playback.playback_queue import PlaybackQueue

AUDIO_OUTPUTS = ("auto", "device", "none")


class AudioOutput:
    """Keeps a player on ``playback_queue`` and ``clock``, even if the loudspeaker goes away.

    - ``wanted``: `device` plays on a loudspeaker, `none` on the computer's clock without sound,
      `auto` on a loudspeaker if there is one.
    - ``device``: as for ``LoudspeakerPlayer``.
    - ``inform``, ``warn``: are called with texts for the log.
    - ``retry``: seconds between two attempts to find a loudspeaker that has gone away. Meanwhile a
      silent player runs on the computer's clock.

    Raises AudioDeviceError if ``wanted`` is `device` and none can be opened.

    >>> clock = AudioClock()
    >>> output = AudioOutput(PlaybackQueue(rate=16_000), clock, wanted="none")
    >>> output.description
    "none (paced by the computer's clock)"
    >>> output.close()
    """

    def __init__(
        self,
        playback_queue: PlaybackQueue,
        clock: AudioClock,
        wanted: str = "auto",
        device: str = "",
        *,
        inform: Callable[[str], None] = lambda text: None,
        warn: Callable[[str], None] = lambda text: None,
        retry: float = 5.0,
    ) -> None:
        self._queue, self._clock = playback_queue, clock
        self._wanted, self._device = wanted, device
        self._inform, self._warn, self._retry = inform, warn, retry
        self._silent_because = ""
        self._retry_at = 0.0  # monotonic seconds
        self._player: AudioPlayer
        if wanted == "none":
            self._player = SilentPlayer(playback_queue, clock)
            return
        try:
            self._player = self._open_loudspeaker()
        except AudioDeviceError as error:
            if wanted == "device":
                rescan_devices()  # so that the caller's next attempt sees new devices
                raise
            self._play_silently(str(error))

    @property
    def description(self) -> str:
        """Returns what plays, for diagnostics."""
        return self._player.description

    @property
    def silent_because(self) -> str:
        """Returns why no loudspeaker plays, with the fix; empty if one plays or none is wanted."""
        return self._silent_because

    @property
    def problem(self) -> str:
        """Returns ``silent_because`` if a loudspeaker was asked for (`device`), else ""."""
        return self._silent_because if self._wanted == "device" else ""

    def follow_device(self) -> None:
        """Switches to silence if the loudspeaker has gone, and back if it has returned.

        Call it a few times per second.
        """
        if self._player.problem:
            why = self._player.problem
            self._player.close()
            self._play_silently(why)
        elif self._silent_because and time.monotonic() >= self._retry_at:
            self._retry_loudspeaker()

    def close(self) -> None:
        """Stops playing."""
        self._player.close()

    def _open_loudspeaker(self) -> AudioPlayer:
        player = LoudspeakerPlayer(self._queue, self._clock, self._device)
        self._inform(f"speech is played on {player.description}")
        return player

    def _play_silently(self, why: str) -> None:
        self._silent_because = why
        self._warn(f"no sound: {why}")
        self._player = SilentPlayer(self._queue, self._clock)
        self._retry_at = time.monotonic() + self._retry

    def _retry_loudspeaker(self) -> None:
        self._retry_at = time.monotonic() + self._retry
        rescan_devices()
        try:
            player = self._open_loudspeaker()
        except AudioDeviceError as error:
            self._silent_because = str(error)
            return
        self._player.close()
        self._player, self._silent_because = player, ""
