"""Logs what is wrong with the speech that the talking face receives."""

from __future__ import annotations

from collections.abc import Callable

from face_perception.avatar import PerformerReport


class SpeechWarnings:
    """Logs new faults of the incoming speech, with the fix.

    - ``topic``: where the speech comes from; ``publishers`` returns how many nodes publish there.
    - ``warn(text, key)``, ``inform(text)``: write to the log.
    """

    def __init__(
        self,
        topic: str,
        publishers: Callable[[], int],
        warn: Callable[[str, str], None],
        inform: Callable[[str], None],
    ) -> None:
        self._topic, self._publishers = topic, publishers
        self._warn, self._inform = warn, inform
        self._before: PerformerReport | None = None
        self._browsers = 0
        self._cutting = False

    def warn_of_changes(self, now: PerformerReport, browsers: int = 0) -> None:
        """Logs what has changed since the last call. Call it a few times per second.

        ``browsers`` is the number of browsers that show the web page.
        """
        before, self._before = self._before or now, now
        if now.late_chunks > before.late_chunks:
            several = self._publishers()
            why = (
                f"the topic has {several} publishers, and only one may speak at a time"
                if several > 1
                else "the sender or the network is irregular; set a larger delay"
            )
            self._warn(
                f"{self._topic}: chunks arrived after their time and were dropped "
                f"({now.late_chunks} so far): {why}",
                "late chunks",
            )
        if now.dropped_speech > before.dropped_speech:
            self._warn(
                f"{self._topic}: more speech arrives than may wait to be played; "
                f"{now.dropped_speech:.1f} s were dropped so far: send it later, or set a larger "
                "longest_speech",
                "too much speech",
            )
        if now.other_chunks > before.other_chunks:
            self._warn(
                f"{self._topic}: two senders at once, whose clocks differ; the one that started "
                "last is played: stop the other one",
                "two senders",
            )
        if now.broken_off > before.broken_off:
            self._warn(
                f"{self._topic}: the speech stopped in the middle of a sound: was the sender "
                "stopped? (An Audio message without samples ends an utterance.)",
                "broken off",
            )
        cutting = now.cut_off_chunks > before.cut_off_chunks
        if cutting and not self._cutting:
            self._inform(
                f"{self._topic}: drops the chunks of the interrupted speech that still arrive"
            )
        self._cutting = cutting
        if browsers != self._browsers:
            what = "disconnected" if browsers < self._browsers else "connected"
            self._inform(f"web page: a browser {what}; {browsers} connected now")
            self._browsers = browsers
