"""What goes wrong with the speech that a talking face is sent, said in its log."""

from __future__ import annotations

from collections.abc import Callable

from face_perception.avatar import PerformerReport


class SpeechWarnings:
    """Tells what is new since the last time, with the fix.

    ``warn(text, key)`` and ``inform(text)`` say it; ``topic`` is where speech comes from and
    ``publishers()`` how many send it.
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
        """To be called some times a second."""
        before, self._before = self._before or now, now
        if now.late_chunks > before.late_chunks:
            several = self._publishers()
            why = (
                f"it has {several} publishers, and only one may speak at a time"
                if several > 1
                else "the sender or the network is irregular; a larger delay gives them time"
            )
            self._warn(
                f"{self._topic}: chunks came when their place had been filled, and were dropped "
                f"({now.late_chunks} so far): {why}",
                "late chunks",
            )
        if now.other_chunks > before.other_chunks:
            self._warn(
                f"{self._topic}: two senders at once, whose clocks differ: the one that began last "
                "is heard; stop the other",
                "two senders",
            )
        if now.broken_off > before.broken_off:
            self._warn(
                f"{self._topic}: the speech stopped in the middle of a sound, and nothing came "
                "after it: was the sender stopped? (An Audio message without samples ends an "
                "utterance.)",
                "broken off",
            )
        cutting = now.cut_off_chunks > before.cut_off_chunks
        if cutting and not self._cutting:
            self._inform(f"{self._topic}: what still comes of the interrupted speech is dropped")
        self._cutting = cutting
        if browsers != self._browsers:
            what = "has left" if browsers < self._browsers else "watches"
            self._inform(f"the page: a browser {what}, {browsers} now")
            self._browsers = browsers
