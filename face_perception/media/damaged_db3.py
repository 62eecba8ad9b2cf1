"""Reads what is whole of a recording in SQLite (.db3), parts of which are damaged.

SQLite gives up at the first damaged page. Here the messages are asked for by their numbers, so that
those behind the damage are found, too. A program that was killed may have left messages beside the
file, in its write-ahead log (.db3-wal); these are read as well.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sqlite3
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from face_perception.errors import InputError
from face_perception.files import open_regular

_LAST = 2**63 - 1  # largest number of a message
_MOST_PLACES = 1000  # that are damaged; after these the file is not searched further
_SMALLEST = 20  # bytes that a message needs in the file, with its place in the index of times
_ROWS = "SELECT id, topic_id, timestamp FROM messages NOT INDEXED WHERE id > ? ORDER BY id"


def has_log(path: Path) -> bool:
    """Returns whether a file has messages beside it, in a write-ahead log."""
    log = path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def _size_with_log(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if has_log(path) else 0)


@contextlib.contextmanager
def _errors_of_sqlite() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(f"its list of topics cannot be read: {error}") from error


class DamagedDb3:
    """The messages of a damaged .db3 file, with the interface of a rosbags reader.

    ``lost`` says in words what is left out, as far as the messages were read. Raises InputError if
    not even the list of topics can be read, and OSError.
    """

    def __init__(self, path: Path) -> None:
        open_regular(path).close()  # no pipe, no device
        # With a log, SQLite has to write beside the file. Without, nothing is written.
        mode = "mode=ro" if has_log(path) else "immutable=1"
        self._most = _size_with_log(path) // _SMALLEST
        with _errors_of_sqlite():
            self._db = sqlite3.connect(
                f"file:{quote(os.fsencode(path.absolute()))}?{mode}",
                uri=True,
                check_same_thread=False,  # frames are read ahead in another thread
            )
        try:
            self._read_index()
        except BaseException:
            self.close()
            raise

    def _read_index(self) -> None:
        """Finds the topics, and the number, topic and time of each message. Raises InputError."""
        with _errors_of_sqlite():
            self._db.execute("PRAGMA cell_size_check = ON")
            # Without this, SQLite refuses a file that is cut off. Nothing is written.
            self._db.execute("PRAGMA writable_schema = ON")
            self.connections = self._topics()
        self._damaged = 0  # messages whose content is damaged
        self._complete = False  # whether the last message was found
        known = {connection.id for connection in self.connections}
        ids, topics, times = array("q"), array("q"), array("q")
        for number, topic, time in self._rows():
            if topic in known and 0 <= time < _LAST:
                ids.append(number)
                topics.append(topic)
                times.append(time)
        order = np.argsort(np.array(times), kind="stable")
        self._ids, self._of_topic = np.array(ids)[order], np.array(topics)[order]
        self._times = np.array(times)[order]
        counts = Counter(topics)
        self.connections = [c._replace(msgcount=counts[c.id]) for c in self.connections]

    @property
    def lost(self) -> str:
        # Messages are numbered from 1 on, without gaps.
        count = self._damaged + int(self._ids.max(initial=0)) - len(self._ids)
        parts = [f"{count} of its messages"] if count else []
        parts += [] if self._complete else ["its end"]
        return f"{' and '.join(parts)}: damaged, and left out" if parts else ""

    def messages(self, wanted: Collection[Any], start: int = 0) -> Iterator[tuple[Any, int, bytes]]:
        """Yields connection, time in nanoseconds and content of the whole messages, by time."""
        of_id = {connection.id: connection for connection in wanted}
        first = int(np.searchsorted(self._times, start))
        chosen = first + np.flatnonzero(np.isin(self._of_topic[first:], list(of_id)))
        self._damaged = 0
        for place in chosen.tolist():
            number, topic = int(self._ids[place]), int(self._of_topic[place])
            row = None
            with contextlib.suppress(sqlite3.Error):
                row = self._db.execute(
                    "SELECT data FROM messages NOT INDEXED WHERE id = ?", (number,)
                ).fetchone()
            if row is None or not isinstance(row[0], bytes):
                self._damaged += 1
                continue
            yield of_id[topic], int(self._times[place]), row[0]

    def close(self) -> None:
        self._db.close()

    def _topics(self) -> list[Any]:
        kinds = importlib.import_module("rosbags.interfaces")
        formats = {
            "ros2msg": kinds.MessageDefinitionFormat.MSG,
            "ros2idl": kinds.MessageDefinitionFormat.IDL,
        }
        definitions = {}
        with contextlib.suppress(sqlite3.Error):  # before Iron there were none
            definitions = {
                name: kinds.MessageDefinition(formats[encoding], text)
                for name, encoding, text in self._db.execute(
                    "SELECT topic_type, encoding, encoded_message_definition "
                    "FROM message_definitions"
                )
                if encoding in formats
            }
        none = kinds.MessageDefinition(kinds.MessageDefinitionFormat.NONE, "")
        found = self._db.execute("SELECT id, name, type FROM topics ORDER BY id").fetchall()
        return [
            kinds.Connection(number, topic, kind, definitions.get(kind, none), "", 0, None, self)
            for number, topic, kind in found
        ]

    def _rows(self) -> Iterator[tuple[int, int, int]]:
        """Yields number, topic and time of each message that is found, by number.

        The numbers of the rows of a file rise. Of two rows whose numbers do not, one is damaged:
        the earlier one if the later one still follows all others, else the later one.
        """
        after, ended = 0, False
        row: tuple[int, int, int] | None = None  # the last one, which the next one confirms
        for _ in range(_MOST_PLACES):
            with contextlib.suppress(sqlite3.Error):
                for following in self._db.execute(_ROWS, (after,)):
                    if not all(isinstance(value, int) for value in following):
                        raise sqlite3.DatabaseError("a number is not one")
                    if following[0] <= after:
                        raise sqlite3.DatabaseError("a number is too small")
                    if row is not None and row[0] < following[0]:
                        yield row
                        after = row[0]
                    row = following
                ended = True
            # No row confirms the last one before damage, or of the file.
            if row is not None and row[0] - after <= self._most:
                yield row
                after, row = row[0], None
            if ended:
                self._complete = row is None
                return
            row = None
            next_number = self._next_readable(after)
            if next_number is None:
                return
            after = next_number

    def _next_readable(self, after: int) -> int | None:
        """Returns the smallest number, from ``after`` on, behind which messages can be read.

        Returns None if there are none.
        """
        bad, step = after, 1
        while not self._is_readable(after + step):
            bad, step = after + step, 2 * step
            if after + step >= _LAST:
                return None
        good = after + step
        while good - bad > 1:
            middle = (good + bad) // 2
            bad, good = (bad, middle) if self._is_readable(middle) else (middle, good)
        return good

    def _is_readable(self, after: int) -> bool:
        try:
            self._db.execute(f"{_ROWS} LIMIT 1", (after,)).fetchone()
        except sqlite3.Error:
            return False
        return True
