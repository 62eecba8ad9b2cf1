"""Who plays the speech: a loudspeaker while there is one, else nobody. Knows no ROS."""

from __future__ import annotations

import time
from collections.abc import Callable

from face_perception.avatar.playback.audio_clock import AudioClock
from face_perception.avatar.playback.audio_players import (
    AudioDeviceError,
    AudioPlayer,
    LoudspeakerPlayer,
    SilentPlayer,
    rescan_devices,
)
from face_perception.avatar.playback.playback_queue import PlaybackQueue

AUDIO_OUTPUTS = ("auto", "device", "none")


class AudioOutput:
    """Has ``playback_queue`` played, and ``clock`` told how far it is, whatever happens to the device.

    ``wanted``: a loudspeaker (`device`), the computer's clock alone (`none`), or a loudspeaker
    where there is one (`auto`). ``device`` as for LoudspeakerPlayer. A loudspeaker that went away
    is looked for every ``retry`` seconds, while the computer's clock goes on. ``inform`` and
    ``warn`` are called with what is to be said. Raises AudioDeviceError where `device` finds none.
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
        self._retry_at = 0.0
        self._player: AudioPlayer
        if wanted == "none":
            self._player = SilentPlayer(playback_queue, clock)
            return
        try:
            self._player = self._loudspeaker()
        except AudioDeviceError as error:
            if wanted == "device":
                rescan_devices()  # for whoever tries anew
                raise
            self._be_silent(str(error))

    @property
    def description(self) -> str:
        """What plays."""
        return self._player.description

    @property
    def silent_because(self) -> str:
        """Why no loudspeaker plays, with the fix; empty where one does, or none is wanted."""
        return self._silent_because

    @property
    def problem(self) -> str:
        """``silent_because``, where a loudspeaker was asked for."""
        return self._silent_because if self._wanted == "device" else ""

    def follow_device(self) -> None:
        """Follows the loudspeaker's coming and going; to be called a few times a second."""
        if self._player.problem:
            why = self._player.problem
            self._player.close()
            self._be_silent(why)
        elif self._silent_because and time.monotonic() >= self._retry_at:
            self._try_again()

    def close(self) -> None:
        """Stops playing."""
        self._player.close()

    def _loudspeaker(self) -> AudioPlayer:
        found = LoudspeakerPlayer(self._queue, self._clock, self._device)
        self._inform(f"speech is played on {found.description}")
        return found

    def _be_silent(self, why: str) -> None:
        self._silent_because = why
        self._warn(f"no sound: {why}")
        self._player = SilentPlayer(self._queue, self._clock)
        self._retry_at = time.monotonic() + self._retry

    def _try_again(self) -> None:
        self._retry_at = time.monotonic() + self._retry
        rescan_devices()
        try:
            found = self._loudspeaker()
        except AudioDeviceError as error:
            self._silent_because = str(error)
            return
        self._player.close()
        self._player, self._silent_because = found, ""
