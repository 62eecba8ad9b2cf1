"""Who plays the speech: a loudspeaker while there is one, else nobody. Knows no ROS."""

from __future__ import annotations

import time
from collections.abc import Callable

from face_perception.avatar.playback.audio_clock import AudioClock
from face_perception.avatar.playback.audio_device import (
    LoudspeakerPlayer,
    NoLoudspeaker,
    Player,
    SilentPlayer,
    look_again,
)
from face_perception.avatar.playback.playout import Playout

SOUND = ("auto", "device", "none")


class Sound:
    """Has ``playout`` played, and ``clock`` told how far it is, whatever happens to the device.

    ``wanted``: a loudspeaker (`device`), the computer's clock alone (`none`), or a loudspeaker
    where there is one (`auto`). ``device`` as for LoudspeakerPlayer. A loudspeaker that went away
    is looked for every ``retry`` seconds, while the computer's clock goes on. ``inform`` and
    ``warn`` are called with what is to be said. Raises NoLoudspeaker where `device` finds none.
    """

    def __init__(
        self,
        playout: Playout,
        clock: AudioClock,
        wanted: str = "auto",
        device: str = "",
        *,
        inform: Callable[[str], None] = lambda text: None,
        warn: Callable[[str], None] = lambda text: None,
        retry: float = 5.0,
    ) -> None:
        self._playout, self._clock = playout, clock
        self._wanted, self._device = wanted, device
        self._inform, self._warn, self._retry = inform, warn, retry
        self._silent_because = ""
        self._retry_at = 0.0
        self._player: Player
        if wanted == "none":
            self._player = SilentPlayer(playout, clock)
            return
        try:
            self._player = self._loudspeaker()
        except NoLoudspeaker as error:
            if wanted == "device":
                look_again()  # for whoever tries anew
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

    def look_after(self) -> None:
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

    def _loudspeaker(self) -> Player:
        found = LoudspeakerPlayer(self._playout, self._clock, self._device)
        self._inform(f"speech is played on {found.description}")
        return found

    def _be_silent(self, why: str) -> None:
        self._silent_because = why
        self._warn(f"no sound: {why}")
        self._player = SilentPlayer(self._playout, self._clock)
        self._retry_at = time.monotonic() + self._retry

    def _try_again(self) -> None:
        self._retry_at = time.monotonic() + self._retry
        look_again()
        try:
            found = self._loudspeaker()
        except NoLoudspeaker as error:
            self._silent_because = str(error)
            return
        self._player.close()
        self._player, self._silent_because = found, ""
