"""Records the messages of one session: takes them at once, and writes them on another thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from face_perception.errors import error_text
from face_perception.markers import Marker
from face_perception.sessions.bag_writer import BagWriter, TopicQos
from face_perception.sessions.clock_offsets import ClockOffset, header_stamp
from face_perception.sessions.folder import SessionFolder, free_space

# Seconds that the time must go back for a clock that was set back, as by a simulation that starts
# again. Threads hand in their messages in another order, but with milliseconds between them.
_SET_BACK = 0.5
_FLUSH_PERIOD = 1.0  # seconds: what a power cut may cost
_GB = 1e9


class SessionRecorder:
    """Writes a session into a ``folder``.

    ``put`` may be called on any thread. Call ``write`` again and again on a thread that may wait
    for the disk, until ``failure`` is not empty: then the disk is full, or another error ended the
    recording, and what was written is kept. ``buffer`` is the most bytes that wait to be written.

    - ``messages``, ``size``: number and bytes of what is written.
    - ``dropped``: number of messages that came while the buffer was full.
    - ``set_back``: how often the clock was set back. Readers sort messages by time, so from then on
      the times in the recording are later than those of the clock, by as much as it was set back.

    Raises MissingDependencyError without rosbags, and OSError.
    """

    def __init__(self, folder: SessionFolder, *, buffer: int, stop_below: float = 0.0) -> None:
        self.folder = folder
        self.stop_below = stop_below  # bytes
        self.failure = ""
        self.messages = self.dropped = 0
        self._most = buffer
        self._writer = BagWriter(folder.bag)
        self._lock = threading.Lock()  # held by the thread that uses the writer
        self._waiting: deque[tuple[str, int, bytes]] = deque()
        self._waiting_bytes = 0
        self._count_lock = threading.Lock()
        self._offsets: dict[str, ClockOffset] = {}
        self._latest = 0  # nanoseconds: the largest time in the recording
        self._added = 0  # nanoseconds that are added, because the clock was set back
        self.set_back = 0
        self._flushed = time.monotonic()
        self._ended = False

    @property
    def size(self) -> int:
        """The bytes of the recording on the disk."""
        return self._writer.size

    def add_topic(
        self,
        topic: str,
        kind: str,
        qos: TopicQos,
        definitions: Mapping[str, str],
        *,
        stamped: bool = False,
    ) -> None:
        """Adds a topic, before its first message. ``stamped`` messages begin with a header.

        The other arguments are those of ``BagWriter.add_topic``.
        """
        if stamped:
            self._offsets[topic] = ClockOffset()
        with self._lock:
            if not self._ended:
                self._writer.add_topic(topic, kind, qos, definitions)

    def put(self, topic: str, nanoseconds: int, data: bytes) -> None:
        """Takes a serialised message, and the time at which it was received."""
        if offset := self._offsets.get(topic):
            offset.add(header_stamp(data), nanoseconds * 1e-9)
        with self._count_lock:
            if self._ended or self._waiting_bytes + len(data) > self._most:
                self.dropped += not self._ended
                return
            self._waiting_bytes += len(data)
            self._waiting.append((topic, self._ascending(nanoseconds), data))

    def _ascending(self, nanoseconds: int) -> int:
        """Returns the time in the recording for a time of the clock."""
        back = self._latest - nanoseconds - self._added
        if back > _SET_BACK * 1e9:
            self._added += back
            self.set_back += 1
        time = nanoseconds + self._added
        self._latest = max(self._latest, time)
        return time

    def mark(self, marker: Marker) -> None:
        """Writes a marker. Raises OSError."""
        self.folder.add_marker(marker)

    def write(self) -> None:
        """Writes what waits, and puts it on the disk once a second. Sets ``failure``."""
        with self._lock:
            if self._ended:
                return
            try:
                self._write_waiting()
                if time.monotonic() - self._flushed >= _FLUSH_PERIOD:
                    self._writer.flush()
                    self._flushed = time.monotonic()
                    self._check_space()
            except OSError as error:
                self._fail(f"the session was stopped: {error_text(error)}")
            except Exception as error:  # a fault, which must not look like a recording
                self._fail(f"the session was stopped by a fault: {error!r}")

    def close(self, reason: str, when: float) -> None:
        """Ends the recording, and says in session.yaml why. Raises nothing: see ``failure``."""
        with self._lock:
            if not self._ended:
                try:
                    self._write_waiting()
                    self._ended = True
                    self._writer.close()
                except OSError as error:
                    self._fail(f"the session was cut off: {error_text(error)}")
                except Exception as error:  # a fault, which must not end the process
                    self._fail(f"the session was cut off by a fault: {error!r}")
        facts: dict[str, Any] = {
            "messages": self.messages,
            "dropped": self.dropped,
            "bytes": self.size,
            "markers": self.folder.marker_count,
            "clock_set_back": self.set_back,
            "clock_offsets": {
                topic: summary
                for topic, offset in sorted(self._offsets.items())
                if (summary := offset.summary())
            },
        }
        try:
            self.folder.end(when, self.failure or reason, facts)
        except OSError as error:
            self.failure = self.failure or f"session.yaml has no end: {error_text(error)}"

    def _write_waiting(self) -> None:
        while self._waiting:
            topic, nanoseconds, data = self._waiting.popleft()
            with self._count_lock:
                self._waiting_bytes -= len(data)
            self._writer.write(topic, nanoseconds, data)
            self.messages += 1

    def _check_space(self) -> None:
        free = free_space(self.folder.path)
        if free < self.stop_below:  # false for NaN
            self._ended = True
            self.failure = (
                f"the session was stopped: the disk has {free / _GB:.1f} GB left, less than "
                f"stop_below ({self.stop_below / _GB:.1f} GB); remove files, or set folder to "
                "another disk"
            )
            self._writer.close()

    def _fail(self, text: str) -> None:
        self._ended = True
        self._waiting.clear()
        self.failure = self.failure or text
        self._writer.abort()
