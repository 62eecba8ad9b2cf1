"""Reads the messages of a rosbag2 recording. Needs the library rosbags, and no ROS."""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from face_perception.errors import InputError, MissingDependencyError, machine_limit
from face_perception.files import open_regular
from face_perception.media.bounded_bags import bound_decompression, unpacked_message
from face_perception.media.damaged_db3 import DamagedDb3, has_log
from face_perception.media.damaged_mcap import DamagedMcap, is_unfinished
from face_perception.media.input_file import open_input
from face_perception.outside_files import one_error, reason_of

METADATA = "metadata.yaml"
SESSION_BAG = "bag"  # the folder of the recording in the folder of a session
_FILES = (".mcap", ".db3")
# A line of the list of files, and the bytes in which it is searched.
_LISTED = re.compile(
    r"""^[ \t]*-[ \t]+(?!path:)["']?(?:.*/)?([^/\n"']+\.(?:mcap|db3)(?:\.zstd)?)["']?[ \t\r]*$""",
    re.MULTILINE,
)
_MOST_LIST = 1 << 20
_MOST_PER_BYTE = 10  # messages that a file can have for each of its bytes, because it is compressed
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
    of its messages, -1 where what the recording states cannot be right. Types that rosbags does not
    know are those that the recording defines.

    A recording whose program was killed is read up to its last whole part: ``unfinished`` is true.
    Of damaged files, the whole parts are read: ``damage`` says what is left out, as far as the
    messages were read. A file that is missing, or of which nothing can be read, is left out if
    there are others.

    Raises InputError, which names the bag, the reason and the fix, OSError, and
    MissingDependencyError without rosbags.
    """

    def __init__(self, path: Path) -> None:
        self._rosbags = _import_rosbags(path)
        self.path, self.name = path, f"bag {path}"
        self._bag: Any = None
        self._recovered, self.unfinished, self._note = False, False, ""
        at = path
        if path.is_dir():
            at = path / SESSION_BAG if is_session(path) else path
            self._files, self._missing, self._others = _files_of(at)
            # The list of files is written at the end.
            if not (at / METADATA).exists() and len(self._files) == 1:
                (at,) = self._files
        else:
            self._files, self._missing, self._others = [path], [], ""
        if len(self._files) > 1:
            with one_error(self.name, _FIX):
                self._bag = parts = _Parts(self._files)
            self.unfinished = parts.unfinished
            self._read_topics()
            return
        for file in self._files:
            if not has_log(file):
                open_input(file, "a bag").close()  # no pipe, no pointer; not empty
        with one_error(self.name, _FIX):
            self.unfinished = at in self._files and _is_mcap(at) and is_unfinished(at)
            must_recover = self.unfinished or any(map(has_log, self._files))
        if must_recover:
            self._recover()
            return
        try:
            self._open(at)
        except InputError:
            if not self._open_damaged(at):
                raise

    @property
    def damage(self) -> str:
        missing = [f"{name} is missing" for name in self._missing]
        lost = getattr(self._bag, "lost", "")
        return "; ".join(filter(None, (*missing, self._others, self._note, lost)))

    @property
    def connections(self) -> list[Any]:
        """The topics of the recording, as rosbags describes them."""
        return list(self._bag.connections)

    def _open_damaged(self, at: Path) -> bool:
        """Opens what is whole of a recording that cannot be opened. Returns False if nothing is."""
        if not self._files:
            return False
        if at != self._files[0]:
            with contextlib.suppress(InputError):
                self._open(self._files[0])
                if not self._missing:
                    self._note = f"its {METADATA} cannot be read, and is not needed"
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
        self._read_topics()

    def _recover(self) -> None:
        """Opens what is whole of the file. Raises InputError."""
        self._recovered = True
        (file,) = self._files
        if not _is_mcap(file):
            with one_error(self.name, _FIX):
                self._bag = DamagedDb3(file)
            self._read_topics()
            return
        at = DamagedMcap(file)
        self._open(at)
        self._note = at.lost
        if not self._note and not self.unfinished:
            self._note = "its index is damaged; the messages are read without it"

    def _read_topics(self) -> None:
        """Learns the topics and types of the recording that was opened."""
        try:
            with one_error(self.name, _FIX):
                self.topics: dict[str, str] = {}
                self.counts: dict[str, int] = {}
                for one in self._bag.connections:
                    same = self.topics.get(one.topic, one.msgtype) == one.msgtype
                    self.topics[one.topic] = one.msgtype if same else ""
                    self.counts[one.topic] = self.counts.get(one.topic, 0) + one.msgcount
                self._check_counts()
        except BaseException:
            self.close()
            raise

    def _check_counts(self) -> None:
        """Sets a count that cannot be right to -1, and notes it."""
        if not self._files:  # compressed ones, which rosbags unpacks
            return
        most = _MOST_PER_BYTE * sum(file.stat().st_size for file in self._files)
        wrong = [topic for topic, count in self.counts.items() if not 0 <= count <= most]
        self.counts.update(dict.fromkeys(wrong, -1))
        if wrong:
            self._note = f"the number of messages that it states for {', '.join(wrong)} is damaged"

    @functools.cached_property
    def _types(self) -> Any:
        """The types of the messages: those of ROS, and those that the recording defines."""
        typesys = self._rosbags.typesys
        # Fields of the messages of ROS itself have not changed since Humble.
        types = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
        for connection in self._bag.connections:
            kind, definition = connection.msgtype, connection.msgdef
            if kind in types.types or not definition.data:
                continue
            if definition.format.name == "IDL":
                found = typesys.get_types_from_idl(definition.data)
            else:
                found = typesys.get_types_from_msg(definition.data, kind)
            types.register({name: one for name, one in found.items() if name not in types.types})
        return types

    def messages(
        self, *topics: str, refuse: Callable[[str, Exception], None] | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Yields topic, time of the recording in nanoseconds, and message, in the order of time.

        Calls ``refuse`` with the topic for each message that is not of the type of its topic, and
        leaves it out. Without ``refuse``, raises InputError instead.
        """
        with one_error(self.name, _FIX):
            types = self._types
        for connection, time, data in self.stored_messages(topics):
            try:
                message = types.deserialize_cdr(unpacked_message(data), connection.msgtype)
            except Exception as error:
                if refuse is not None:
                    refuse(connection.topic, error)
                    continue
                with one_error(f"{self.name}, {connection.topic}", _FIX):
                    raise
            yield connection.topic, time, message

    def stored_messages(self, topics: Collection[str]) -> Iterator[tuple[Any, int, bytes]]:
        """Yields the messages as they are stored: connection, time and content.

        Goes on with what is whole after damage.
        """
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
                stated = [self.counts[topic] for topic in {c.topic for c in wanted}]
                self._note_missing(sum(stated) - count if min(stated) >= 0 else 0)
                return
            except Exception:
                if len(self._files) != 1 or self._recovered:
                    with one_error(self.name, _FIX):
                        raise
            self.close()
            self._recover()

    def _note_missing(self, count: int) -> None:
        """Notes messages that the index lists, but that are not there: zeros in their place."""
        missing = f"{count} messages that its index lists are damaged, and left out"
        known = missing in self._note  # the messages were read before
        if count > 0 and len(self._files) == 1 and not self._recovered and not known:
            self._note = "; ".join(filter(None, (self._note, missing)))

    def close(self) -> None:
        """Closes the files."""
        if getattr(self._bag, "is_open", True):
            self._bag.close()


class _Parts:
    """The files of a recording that is split, with the interface of a rosbags reader.

    Each may be damaged. ``lost`` says in words what is left out, as far as the messages were read.
    Raises InputError if nothing can be read.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._parts: list[BagReader] = []
        self._left_out: list[str] = []
        try:
            for file in files:
                self._add(file)
        except BaseException:
            self.close()
            raise
        if not self._parts:
            raise InputError("; ".join(self._left_out) or "it has no files")
        *before, last = self._parts
        self.unfinished = last.unfinished
        self._left_out += [f"{part.path.name} is cut off" for part in before if part.unfinished]
        self.connections = [one for part in self._parts for one in part.connections]

    def _add(self, file: Path) -> None:
        """Opens the next file, or notes why it is left out. Raises at a limit of the machine."""
        try:
            self._parts.append(BagReader(file))
        except (InputError, OSError) as error:
            if machine_limit(error):
                raise
            reason = error.__cause__ if isinstance(error.__cause__, Exception) else error
            self._left_out.append(f"{file.name} is left out: {reason_of(reason)}")

    @property
    def lost(self) -> str:
        damaged = [f"{part.path.name}: {part.damage}" for part in self._parts if part.damage]
        return "; ".join([*self._left_out, *damaged])

    def messages(self, wanted: Collection[Any], start: int = 0) -> Iterator[tuple[Any, int, bytes]]:
        """Yields connection, time in nanoseconds and content of the messages, file after file."""
        topics = {connection.topic for connection in wanted}
        for part in self._parts:
            yield from (found for found in part.stored_messages(topics) if found[1] >= start)

    def close(self) -> None:
        for part in self._parts:
            part.close()


def _is_mcap(file: Path) -> bool:
    return file.suffix.lower() == ".mcap"


def _files_of(folder: Path) -> tuple[list[Path], list[str], str]:
    """Returns the files of a recording, the names of missing ones, and a note on others.

    There are no files if all that are listed are compressed: rosbags unpacks these. If as many
    files are there as are listed, one with another name counts as renamed.
    """
    found = _data_files(folder)
    at = folder / METADATA
    if not at.is_file():
        return found, [], ""
    with open_regular(at) as file:
        text = file.read(_MOST_LIST).decode(errors="replace")
    listed = dict.fromkeys(_LISTED.findall(text))
    there = [name for name in listed if (folder / name).exists()]
    if listed and len(there) == len(listed):
        files = [folder / name for name in there if Path(name).suffix in _FILES]
        others = ", ".join(file.name for file in found if file.name not in listed)
        note = f"{others}: not in its {METADATA}, and left out" if others and files else ""
        return files, [], note
    if len(listed) <= len(found):
        return found, [], ""
    return found, [name for name in listed if name not in there], ""


def _data_files(folder: Path) -> list[Path]:
    """Returns the files of messages in a folder, in the order of their numbers: 9 before 10."""
    found = [file for file in folder.iterdir() if file.suffix.lower() in _FILES]
    return sorted(
        found, key=lambda file: ([int(n) for n in re.findall(r"\d+", file.stem)], file.name)
    )


def _import_rosbags(path: Path) -> Any:
    try:
        for part in ("rosbag2", "typesys"):
            importlib.import_module(f"rosbags.{part}")
        rosbags = importlib.import_module("rosbags")
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} is read with rosbags, which is not installed: run `pip install rosbags`"
        ) from error
    bound_decompression()
    return rosbags
