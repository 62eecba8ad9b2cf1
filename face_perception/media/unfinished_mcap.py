"""Makes a recording readable whose end was never written, as after a power cut or kill -9.

An MCAP file (https://mcap.dev/spec) is a row of records: one byte for the kind, the length in 8
bytes, and the content. Messages are in chunks, and the end has an index of the chunks. A program
that is killed writes no end, and perhaps only a part of the last record. The file itself is not
changed.
"""

from __future__ import annotations

import io
import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from face_perception.files import open_regular

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x02, 0x03, 0x04, 0x05, 0x06
_CHUNK_INDEX, _STATISTICS, _DATA_END = 0x08, 0x0B, 0x0F
_HEAD = struct.Struct("<BQ")  # kind and length of a record
# Of a chunk: times of the first and last message, size, checksum, length of the compression's name.
_CHUNK_HEAD = struct.Struct("<QQQII")
_MESSAGE_HEAD = struct.Struct("<HIQ")  # channel, sequence, time
_NEVER = 2**63 - 1


class UnfinishedMcap:
    """Stands for the path of an MCAP file without an end. ``open`` opens it as if it had one.

    It has what rosbags needs of a path.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.suffix = path.suffix

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        return self._path.exists()

    def is_dir(self) -> bool:
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        """Opens the whole records of the file, followed by an end. Raises OSError."""
        file = open_regular(self._path)
        scan = _Scan(file)
        return io.BufferedReader(_WithEnd(file, scan.length, scan.end()))


def is_unfinished(path: Path) -> bool:
    """Returns whether a file is the beginning of an MCAP file, without its end. Raises OSError."""
    with open_regular(path) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return False
        size = file.seek(0, os.SEEK_END)
        file.seek(max(len(_MAGIC), size - len(_MAGIC)))
        return file.read() != _MAGIC


@dataclass
class _Chunk:
    """Where a chunk is in the file, and how many messages each channel has in it."""

    start: int
    length: int
    counts: Counter[int] = field(default_factory=Counter)
    first: int = _NEVER
    last: int = 0


class _Scan:
    """Reads the records of a file up to the last whole one. ``length`` is where that ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._definitions: dict[bytes, None] = {}  # records of schemas and channels, in order
        self._kinds: Counter[int] = Counter()
        self._chunks: list[_Chunk] = []
        self._indexable = True  # whether all messages are in chunks that can be read here
        size = file.seek(0, os.SEEK_END)
        self.length = len(_MAGIC)
        while self.length + _HEAD.size <= size:
            file.seek(self.length)
            kind, length = _HEAD.unpack(file.read(_HEAD.size))
            after = self.length + _HEAD.size + length
            if after > size or kind in (0, _DATA_END, _FOOTER):
                break
            if kind == _CHUNK and not self._add_chunk(file.read(length), file.read(1)):
                break
            self._indexable &= kind not in (_MESSAGE, _SCHEMA, _CHANNEL)
            self.length = after

    def _add_chunk(self, content: bytes, following: bytes) -> bool:
        """Notes a chunk, and returns whether it is whole.

        After a power cut, a file may end with zeros, because its size was stored before its
        content: what is followed by a zero was perhaps not stored.
        """
        if len(content) < _CHUNK_HEAD.size or following == b"\0":
            return False
        *_, name = _CHUNK_HEAD.unpack_from(content)
        begin = _CHUNK_HEAD.size + name + 8
        if int.from_bytes(content[begin - 8 : begin], "little") != len(content) - begin:
            return False
        if name:  # it is compressed
            self._indexable = False
            return True
        chunk = _Chunk(self.length, _HEAD.size + len(content))
        for kind, record in _records(content[begin:]):
            if kind in (_SCHEMA, _CHANNEL) and record not in self._definitions:
                self._definitions[record] = None
                self._kinds[kind] += 1
            elif kind == _MESSAGE and len(record) >= _HEAD.size + _MESSAGE_HEAD.size:
                channel, _, time = _MESSAGE_HEAD.unpack_from(record, _HEAD.size)
                chunk.counts[channel] += 1
                chunk.first, chunk.last = min(chunk.first, time), max(chunk.last, time)
        self._chunks.append(chunk)
        return True

    def end(self) -> bytes:
        """Returns the end of the file: an index, if there can be one. Checksums are left out."""
        data_end = _record(_DATA_END, bytes(4))
        if not self._indexable:
            return data_end + _record(_FOOTER, bytes(20)) + _MAGIC
        indexes = b"".join(map(_chunk_index, self._chunks))
        summary = b"".join(self._definitions) + indexes + self._statistics()
        footer = struct.pack("<QQI", self.length + len(data_end), 0, 0)
        return data_end + summary + _record(_FOOTER, footer) + _MAGIC

    def _statistics(self) -> bytes:
        total: Counter[int] = Counter()
        for chunk in self._chunks:
            total += chunk.counts
        head = struct.pack(
            "<QHIIIIQQ",
            sum(total.values()),
            self._kinds[_SCHEMA],
            self._kinds[_CHANNEL],
            0,
            0,
            len(self._chunks),
            min((chunk.first for chunk in self._chunks), default=_NEVER),
            max((chunk.last for chunk in self._chunks), default=0),
        )
        counts = b"".join(struct.pack("<HQ", *item) for item in sorted(total.items()))
        return _record(_STATISTICS, head + struct.pack("<I", len(counts)) + counts)


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the kind and the bytes of each record in a chunk."""
    at = 0
    while at + _HEAD.size <= len(content):
        kind, length = _HEAD.unpack_from(content, at)
        yield kind, content[at : at + _HEAD.size + length]
        at += _HEAD.size + length


def _record(kind: int, content: bytes) -> bytes:
    return _HEAD.pack(kind, len(content)) + content


def _chunk_index(chunk: _Chunk) -> bytes:
    """Returns the index record of a chunk.

    Readers take the number of messages of a channel from the places of its message indexes. These
    places are made up here, because the message indexes may be missing.
    """
    places, at = b"", chunk.start + chunk.length
    for channel, count in sorted(chunk.counts.items()):
        places += struct.pack("<HQ", channel, at)
        at += _HEAD.size + 6 + 16 * count
    content = chunk.length - _HEAD.size - _CHUNK_HEAD.size - 8
    return _record(
        _CHUNK_INDEX,
        struct.pack("<QQQQ", chunk.first, chunk.last, chunk.start, chunk.length)
        + struct.pack("<I", len(places))
        + places
        + struct.pack("<QIQQ", at - chunk.start - chunk.length, 0, content, content),
    )


class _WithEnd(io.RawIOBase):
    """The first ``length`` bytes of a file, followed by ``end``."""

    def __init__(self, file: BinaryIO, length: int, end: bytes) -> None:
        self._file, self._length, self._end, self._at = file, length, end, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        size = self._length + len(self._end)
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence, size)
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if self._at < self._length:
            self._file.seek(self._at)
            data = self._file.read(min(len(view), self._length - self._at))
        else:
            data = self._end[self._at - self._length :][: len(view)]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
