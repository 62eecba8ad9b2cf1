"""Reads the messages of a rosbag2 recording. Needs the library rosbags, and no ROS."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from face_perception.errors import InputError, MissingDependencyError
from face_perception.files import open_regular
from face_perception.media.damaged_mcap import DamagedMcap, is_unfinished
from face_perception.outside_files import one_error

METADATA = "metadata.yaml"
SESSION_BAG = "bag"  # the folder of the recording in the folder of a session
_FILES = (".mcap", ".db3")
_FIX = "record it again, or try `ros2 bag reindex`"


def is_bag(path: Path) -> bool:
    """Returns whether a path looks like a recording.

    A recording is a folder of rosbag2, one of its files, or the folder of a session.
    """
    if path.is_dir():
        return (path / METADATA).exists() or is_session(path)
    return path.suffix.lower() in _FILES


def is_session(path: Path) -> bool:
    """Returns whether a path is the folder of a session (``sessions.SessionFolder``)."""
    return (path / SESSION_BAG).is_dir()


def bag_files(folder: Path) -> list[Path]:
    """Returns the files of a recording in a folder, without others that are there, too."""
    at = folder / SESSION_BAG if is_session(folder) else folder
    return [
        file
        for file in at.iterdir()
        if file.name == METADATA or file.name.removesuffix(".zstd").lower().endswith(_FILES)
    ]


class BagReader:
    """The messages of a recording: a folder of rosbag2, one of its files, or a session.

    ``topics`` has the type of each topic, such as sensor_msgs/msg/Image, and ``counts`` the number
    of its messages. Types that rosbags does not know are those that the recording defines.

    A recording whose program was killed is read up to its last whole part: ``unfinished`` is true.
    Of one MCAP file that is damaged, the whole parts are read: ``damage`` says what is left out, as
    far as the messages were read.

    Raises InputError, which names the bag, the reason and the fix, OSError, and
    MissingDependencyError without rosbags.
    """

    def __init__(self, path: Path) -> None:
        rosbags = _import_rosbags(path)
        self.name = f"bag {path}"
        at, mcap = path, path
        if path.is_dir():
            at = path / SESSION_BAG if is_session(path) else path
            files = sorted(at.glob("*.mcap"))
            mcap = files[0] if len(files) == 1 else at
            # The list of files is written at the end.
            at = at if (at / METADATA).exists() else mcap
        else:
            open_regular(path).close()  # no pipe, no device
        # The file that can be read without its list, its index and its damaged parts.
        self._mcap = mcap if mcap.suffix.lower() == ".mcap" and mcap.is_file() else None
        self._rosbags, self._recovered, self.damage = rosbags, False, ""
        with one_error(self.name, _FIX):
            self.unfinished = at == self._mcap and is_unfinished(at)
        if self.unfinished:
            self._recover()
            return
        try:
            self._open(at)
        except InputError:
            if not self._open_damaged(at):
                raise

    def _open_damaged(self, at: Path) -> bool:
        """Opens what is whole of a recording that cannot be opened. Returns False if nothing is."""
        if self._mcap is None:
            return False
        if at != self._mcap:
            with contextlib.suppress(InputError):
                self._open(self._mcap)
                self.damage = f"its {METADATA} cannot be read, and is not needed"
                return True
        with contextlib.suppress(InputError):
            self._recover()
            if any(self.counts.values()):
                return True
            self.close()
        return False

    def _open(self, at: Path | DamagedMcap) -> None:
        with one_error(self.name, _FIX):
            # rosbags takes what behaves as a path.
            path: Any = at
            self._bag = self._rosbags.rosbag2.Reader(path)
            self._bag.open()
        try:
            with one_error(self.name, _FIX):
                typesys = self._rosbags.typesys
                # Fields of the messages of ROS itself have not changed since Humble.
                self._types = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
                self._add_types(typesys)
                self.topics = {name: info.msgtype or "" for name, info in self._bag.topics.items()}
                self.counts = {name: info.msgcount for name, info in self._bag.topics.items()}
        except BaseException:
            self.close()
            raise

    def _recover(self) -> None:
        """Opens what is whole of the file. Raises InputError."""
        assert self._mcap is not None
        self._recovered, at = True, DamagedMcap(self._mcap)
        self._open(at)
        self.damage = at.lost
        if not self.damage and not self.unfinished:
            self.damage = "its index is damaged; the messages are read without it"

    def _add_types(self, typesys: Any) -> None:
        for connection in self._bag.connections:
            kind, definition = connection.msgtype, connection.msgdef
            if kind in self._types.types or not definition.data:
                continue
            if definition.format.name == "IDL":
                found = typesys.get_types_from_idl(definition.data)
            else:
                found = typesys.get_types_from_msg(definition.data, kind)
            new = {name: fields for name, fields in found.items() if name not in self._types.types}
            self._types.register(new)

    def messages(
        self, *topics: str, refuse: Callable[[str, Exception], None] | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Yields topic, time of the recording in nanoseconds, and message, in the order of time.

        Calls ``refuse`` with the topic for each message that is not of the type of its topic, and
        leaves it out. Without ``refuse``, raises InputError instead.
        """
        for connection, time, data in self._raw_messages(topics):
            try:
                message = self._types.deserialize_cdr(data, connection.msgtype)
            except Exception as error:
                if refuse is not None:
                    refuse(connection.topic, error)
                    continue
                with one_error(f"{self.name}, {connection.topic}", _FIX):
                    raise
            yield connection.topic, time, message

    def _raw_messages(self, topics: tuple[str, ...]) -> Iterator[tuple[Any, int, bytes]]:
        """Yields the messages as they are stored. Goes on with what is whole after damage."""
        start, seen = 0, 0  # the time of the last message, and how many of that time were yielded
        count = 0
        while True:
            wanted = [c for c in self._bag.connections if c.topic in topics]
            if not wanted:
                return
            skip = seen
            try:
                for found in self._bag.messages(wanted, start=start):
                    if skip and found[1] == start:
                        skip -= 1
                        continue
                    seen = seen + 1 if found[1] == start else 1
                    start, count = found[1], count + 1
                    yield found
                self._note_missing(sum(c.msgcount for c in wanted) - count)
                return
            except Exception:
                if self._mcap is None or self._recovered:
                    with one_error(self.name, _FIX):
                        raise
            self.close()
            self._recover()

    def _note_missing(self, count: int) -> None:
        """Notes messages that the index lists, but that are not there: zeros in their place."""
        missing = f"{count} messages that its index lists are damaged, and left out"
        known = missing in self.damage  # the messages were read before
        if count > 0 and self._mcap is not None and not self._recovered and not known:
            self.damage = "; ".join(filter(None, (self.damage, missing)))

    def close(self) -> None:
        """Closes the files."""
        if self._bag.is_open:
            self._bag.close()


def _import_rosbags(path: Path) -> Any:
    try:
        for part in ("rosbag2", "typesys"):
            importlib.import_module(f"rosbags.{part}")
        return importlib.import_module("rosbags")
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} is read with rosbags, which is not installed: run `pip install rosbags`"
        ) from error
