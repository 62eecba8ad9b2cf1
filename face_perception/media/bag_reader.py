"""Reads the messages of a rosbag2 recording. Needs the library rosbags, and no ROS."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from face_perception.errors import MissingDependencyError
from face_perception.files import open_regular
from face_perception.media.unfinished_mcap import UnfinishedMcap, is_unfinished
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

    Raises InputError, which names the bag, the reason and the fix, OSError, and
    MissingDependencyError without rosbags.
    """

    def __init__(self, path: Path) -> None:
        rosbags = _import_rosbags(path)
        self.name = f"bag {path}"
        at: Any = path
        if path.is_dir():
            folder = path / SESSION_BAG if is_session(path) else path
            mcap = sorted(folder.glob("*.mcap"))
            # The list of files is written at the end.
            at = folder if (folder / METADATA).exists() or len(mcap) != 1 else mcap[0]
        else:
            open_regular(path).close()  # no pipe, no device
        self.unfinished = False
        with one_error(self.name, _FIX):
            if at.suffix.lower() == ".mcap" and at.is_file() and is_unfinished(at):
                at, self.unfinished = UnfinishedMcap(at), True
            self._bag = rosbags.rosbag2.Reader(at)
            self._bag.open()
        try:
            with one_error(self.name, _FIX):
                # Fields of the messages of ROS itself have not changed since Humble.
                self._types = rosbags.typesys.get_typestore(rosbags.typesys.Stores.ROS2_HUMBLE)
                self._add_types(rosbags.typesys)
                self.topics = {name: info.msgtype or "" for name, info in self._bag.topics.items()}
                self.counts = {name: info.msgcount for name, info in self._bag.topics.items()}
        except BaseException:
            self.close()
            raise

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
        wanted = [c for c in self._bag.connections if c.topic in topics]
        if not wanted:
            return
        messages = iter(self._bag.messages(wanted))
        while True:
            with one_error(self.name, _FIX):
                found = next(messages, None)
                if found is None:
                    return
            connection, time, data = found
            try:
                message = self._types.deserialize_cdr(data, connection.msgtype)
            except Exception as error:
                if refuse is not None:
                    refuse(connection.topic, error)
                    continue
                with one_error(f"{self.name}, {connection.topic}", _FIX):
                    raise
            yield connection.topic, time, message

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
