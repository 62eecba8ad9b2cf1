"""Writes a rosbag2 recording (MCAP) whose messages survive a kill and a power cut."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_perception.errors import MissingDependencyError, one_line
from face_perception.files import named_errors
from face_perception.optional_modules import extra


@dataclass(frozen=True)
class TopicQos:
    """The QoS that the publishers of a topic offer; a player publishes with it."""

    reliable: bool = True
    latched: bool = False
    depth: int = 10


class BagWriter:
    """Writes messages, which are serialised already, into the new folder ``path``.

    What was written before the last ``flush`` is on the disk, in whole parts that
    ``media.BagReader`` and other MCAP readers find without the end of the file. ``size`` is the
    bytes of the file so far. Use it on one thread at a time.

    Raises MissingDependencyError without rosbags; every method raises OSError, which names the
    file, if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        with extra("recording a session", "pip install rosbags"):
            from rosbags import interfaces, rosbag2, typesys

        self._interfaces, self._typesys = interfaces, typesys
        # Types are taken from the installed packages, so that the recording has their definitions.
        self._types = typesys.get_typestore(typesys.Stores.EMPTY)
        self._file = path / f"{path.name}.mcap"
        self._writer = rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP)
        self._connections: dict[str, Any] = {}
        self.size = 0
        with named_errors(self._file):
            self._writer.open()
            # The folder of the session is private, but the recording may be copied out of it.
            path.chmod(0o700)
            self._file.chmod(0o600)
        # rosbags offers no flush. Its storage writes a part of the file in ``close_chunk``.
        self._storage: Any = self._writer.storage
        if not hasattr(self._storage, "close_chunk"):
            raise MissingDependencyError(
                "this version of rosbags cannot write a recording part by part: run "
                "`pip install rosbags==0.11.9`"
            )

    def add_topic(
        self, topic: str, kind: str, qos: TopicQos, definitions: Mapping[str, str]
    ) -> None:
        """Adds a topic; ``kind`` is its type, such as std_msgs/msg/String.

        ``definitions`` has the text of the .msg file of that type and of all types in its fields.
        Raises LookupError if rosbags cannot read them.
        """
        try:
            found: dict[str, Any] = {}
            for name, text in definitions.items():
                found |= self._typesys.get_types_from_msg(text, name)
            new = {name: fields for name, fields in found.items() if name not in self._types.types}
            self._types.register(new)
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self._types, offered_qos_profiles=[self._qos(qos)]
            )
        except Exception as error:  # such as TypesysError and SyntaxError
            raise LookupError(
                f"rosbags cannot read the definition of its type {kind}: {one_line(error)}"
            ) from error

    def _qos(self, qos: TopicQos) -> Any:
        of = self._interfaces
        forever = of.QosTime(2**31 - 1, 2**32 - 1)
        return of.Qos(
            of.QosHistory.KEEP_LAST,
            qos.depth,
            of.QosReliability.RELIABLE if qos.reliable else of.QosReliability.BEST_EFFORT,
            of.QosDurability.TRANSIENT_LOCAL if qos.latched else of.QosDurability.VOLATILE,
            forever,
            forever,
            of.QosLiveliness.AUTOMATIC,
            forever,
            False,
        )

    def write(self, topic: str, nanoseconds: int, data: bytes) -> None:
        """Writes a message that was received at a time."""
        with named_errors(self._file):
            self._writer.write(self._connections[topic], nanoseconds, data)

    def flush(self) -> None:
        """Puts on the disk what was written so far.

        Raises FileNotFoundError if the file was removed or moved: the system writes on without it.
        """
        with named_errors(self._file):
            if self._storage.chunk.bio.tell():
                self._storage.close_chunk()
            self._storage.bio.flush()
            os.fsync(self._storage.bio.fileno())
            self.size = self._file.stat().st_size

    def close(self) -> None:
        """Writes the end of the file, and the list of files."""
        with named_errors(self._file):
            self.flush()
            self._writer.close()
            for file in self._file.parent.iterdir():  # also the list of files, made just now
                file.chmod(0o600)
            self.size = self._file.stat().st_size

    def abort(self) -> None:
        """Closes the file without its end, after an error. Raises nothing."""
        with contextlib.suppress(Exception):
            self._writer.abort()
