"""Makes an MCAP file readable whose end was never written, or parts of which are damaged.

An MCAP file (https://mcap.dev/spec) is a row of records: one byte for the kind, the length in 8
bytes, and the content. Messages are in chunks, and the end has an index of the chunks. A program
that is killed writes no end, and perhaps only a part of the last record. A failing disk changes
bytes, or stores zeros instead. What is whole is kept, and gets a new index. The file itself is not
changed.
"""

from __future__ import annotations

import bisect
import importlib
import io
import itertools
import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from face_perception.files import open_regular

_MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
_MESSAGE_INDEX, _CHUNK_INDEX, _STATISTICS, _DATA_END = 0x07, 0x08, 0x0B, 0x0F
_OTHER_RECORDS = (0x09, 0x0C)  # attachments and metadata, which may be among the chunks
_HEAD = struct.Struct("<BQ")  # kind and length of a record
# Of a chunk: times of the first and last message, size, checksum, length of the compression's name.
_CHUNK_HEAD = struct.Struct("<QQQII")
_MESSAGE_HEAD = struct.Struct("<HIQ")  # channel, sequence, time
_NEVER = 2**63 - 1
_COMPRESSIONS = (b"", b"lz4", b"zstd")
_LARGEST_DEFINITION = 1 << 20  # bytes
_LARGEST_CHUNK = 1 << 30  # bytes: writers begin another one after about a megabyte
# How a chunk, and a message, may begin: lengths of less than a terabyte.
_CHUNK_START = re.compile(rb"\x06.{5}\0\0\0", re.DOTALL)
_MESSAGE_START = re.compile(rb"\x05.{5}\0\0\0", re.DOTALL)
_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1f]")
_MOST_PLACES = 1000  # that are damaged; after these the file is not searched further
_BLOCK = 1 << 20  # bytes that are searched at once
_Piece = bytes | tuple[int, int]  # bytes, or where they begin in the file and how many they are


class DamagedMcap:
    """Stands for the path of an MCAP file. ``open`` opens what is whole of it, as a whole file.

    It has what rosbags needs of a path. ``lost`` says in words what is left out, after ``open``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.suffix = path.suffix
        self.lost = ""

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        return self._path.exists()

    def is_dir(self) -> bool:
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        """Opens the whole records of the file, followed by an end. Raises OSError."""
        file = open_regular(self._path)
        try:
            scan = _Scan(file)
            self.lost = scan.lost()
            return io.BufferedReader(_Pieces(file, [*scan.pieces, scan.end()]))
        except BaseException:
            file.close()
            raise


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
    """Where a chunk is in the new file, and how many messages each channel has in it."""

    start: int
    length: int
    name: bytes  # of its compression
    stored: int  # bytes of its records, as they are stored and without compression
    plain: int
    counts: Counter[int] = field(default_factory=Counter)
    first: int = _NEVER
    last: int = 0


class _Scan:
    """Reads the records of a file. ``pieces`` are those that are whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self.pieces: list[_Piece] = [_MAGIC]
        self._length = len(_MAGIC)  # of the pieces
        self._definitions: dict[tuple[int, int], bytes] = {}  # records, by their kind and number
        self._channels: set[int] = set()  # numbers of those that are defined
        self._chunks: list[_Chunk] = []
        self._indexable = True  # whether all messages are in chunks that can be read here
        self._lost_bytes = self._places = 0
        self._read_summary()
        at = len(_MAGIC)
        kind, length = self._head(at)
        after = at + _HEAD.size + length
        # Of the profile, and of the library that wrote the file.
        if kind == _HEADER and after <= self._size and self._are_texts(at + _HEAD.size, length, 2):
            self._keep(at, after - at)
            at = after
        else:
            self._add(_record(_HEADER, struct.pack("<I4sI", 4, b"ros2", 0)))
        self._walk(at)

    def lost(self) -> str:
        """Returns in words what is left out; empty if nothing is but the end."""
        if not self._lost_bytes:
            return ""
        return (
            f"{self._lost_bytes} of its {self._size} bytes are damaged, in {self._places} "
            "place(s), and the messages there are left out"
        )

    def end(self) -> bytes:
        """Returns the end of the file: an index, if there can be one. Checksums are left out."""
        data_end = _record(_DATA_END, bytes(4))
        if not self._indexable:
            return data_end + _record(_FOOTER, bytes(20)) + _MAGIC
        # Schemas come before the channels that name them.
        definitions = b"".join(self._definitions[key] for key in sorted(self._definitions))
        summary = definitions + b"".join(map(_chunk_index, self._chunks)) + self._statistics()
        footer = struct.pack("<QQI", self._length + len(data_end), 0, 0)
        return data_end + summary + _record(_FOOTER, footer) + _MAGIC

    # The row of records.

    def _walk(self, at: int) -> None:
        while at + _HEAD.size <= self._size:
            kind, length = self._head(at)
            after = at + _HEAD.size + length
            if kind in (_DATA_END, _FOOTER) and after <= self._size:
                self._read_definitions(after)
                return
            if after > self._size or not self._add_record(at, after):
                following = self._next_chunk(at + 1) if self._places < _MOST_PLACES else None
                if following is None:
                    # A part that was not written is not damaged. What is not searched may be.
                    end = self._size if self._places >= _MOST_PLACES else self._summary
                    if at < end:
                        self._lose(end - at)
                    return
                self._lose(following - at)
                after = following
            at = after

    def _add_record(self, at: int, after: int) -> bool:
        """Keeps a record if it is needed. Returns False if it is damaged, or belongs elsewhere."""
        kind, _ = self._head(at)
        if kind == _CHUNK:
            if not self._may_be_chunk(at, after):
                return False
            self._file.seek(at + _HEAD.size)
            content = self._file.read(after - at - _HEAD.size)
            # After a power cut, a file may end with zeros, because its size was stored before its
            # content: what is followed by a zero was perhaps not stored.
            return self._file.read(1) != b"\0" and self._add_chunk(at, content)
        if kind in (_MESSAGE, _SCHEMA, _CHANNEL):
            self._file.seek(at)
            record = self._file.read(min(after - at, _LARGEST_DEFINITION))
            if kind == _MESSAGE:
                channel = int.from_bytes(record[_HEAD.size : _HEAD.size + 2], "little")
                if channel not in self._channels:
                    return False
            elif _is_definition(record):
                self._define(kind, record)
            else:
                return False
            self._indexable = False
            self._keep(at, after - at)
            return True
        if kind == _MESSAGE_INDEX:
            self._file.seek(at + _HEAD.size + 2)
            size = int.from_bytes(self._file.read(4), "little")
            return at + _HEAD.size + 6 + size == after
        return kind in _OTHER_RECORDS

    def _next_chunk(self, at: int) -> int | None:
        """Returns where the next chunk begins that may be whole."""
        while at < self._size:
            self._file.seek(at)
            block = self._file.read(_BLOCK + _HEAD.size - 1)
            for found in _CHUNK_START.finditer(block):
                start = at + found.start()
                length = int.from_bytes(block[found.start() + 1 : found.end()], "little")
                if self._may_be_chunk(start, start + _HEAD.size + length):
                    return start
            at += _BLOCK
        return None

    def _may_be_chunk(self, at: int, after: int) -> bool:
        """Returns whether a place has the head of a chunk that ends at ``after``."""
        length = after - at - _HEAD.size
        if after > self._size or not _CHUNK_HEAD.size + 8 <= length <= _LARGEST_CHUNK:
            return False
        self._file.seek(at + _HEAD.size)
        return _records_of(self._file.read(_CHUNK_HEAD.size + 12), length) > 0

    def _are_texts(self, at: int, length: int, count: int) -> bool:
        self._file.seek(at)
        return _are_texts(self._file.read(min(length, _LARGEST_DEFINITION)), count)

    def _head(self, at: int) -> tuple[int, int]:
        self._file.seek(at)
        head = self._file.read(_HEAD.size)
        kind, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        return kind, length

    def _read_summary(self) -> None:
        """Reads the definitions in the end of the file, which the first chunk may have lost."""
        start = self._size - len(_MAGIC) - 20
        self._file.seek(max(0, start))
        end = self._file.read()
        at = int.from_bytes(end[:8], "little")
        self._summary = at if end.endswith(_MAGIC) and at < start else 0
        if self._summary:
            self._read_definitions(self._summary)

    def _read_definitions(self, at: int) -> None:
        """Reads the definitions from a place on, up to another record."""
        while True:
            kind, length = self._head(at)
            if kind not in (_SCHEMA, _CHANNEL) or length > _LARGEST_DEFINITION:
                return
            self._file.seek(at)
            record = self._file.read(_HEAD.size + length)
            if _is_definition(record):
                self._define(kind, record)
            at += _HEAD.size + length

    def _define(self, kind: int, record: bytes) -> None:
        number = int.from_bytes(record[_HEAD.size : _HEAD.size + 2], "little")
        self._definitions.setdefault((kind, number), record)
        if kind == _CHANNEL:
            self._channels.add(number)

    # Chunks.

    def _add_chunk(self, at: int, content: bytes) -> bool:
        """Keeps what is whole in a chunk. Returns False if nothing is."""
        begin = _records_of(content, len(content))
        if not begin:
            return False
        first, last, size, checksum, name_length = _CHUNK_HEAD.unpack_from(content)
        name = content[_CHUNK_HEAD.size : _CHUNK_HEAD.size + name_length]
        records = content[begin:]
        try:
            plain = _decompressed(records, name)
        except Exception:  # of the library for this compression
            return False
        if plain is None:  # it cannot be checked without that library
            self._indexable = False
            self._keep(at, _HEAD.size + len(content))
            return True
        if len(plain) != size or (checksum and zlib.crc32(plain) != checksum):
            return False
        chunk = _Chunk(self._length, 0, name, len(records), len(plain))
        spans = []
        for kind, start, stop in _whole_records(plain, first, last, self._channels):
            if kind == _MESSAGE:
                channel, _, time = _MESSAGE_HEAD.unpack_from(plain, start + _HEAD.size)
                chunk.counts[channel] += 1
                chunk.first, chunk.last = min(chunk.first, time), max(chunk.last, time)
            else:
                self._define(kind, plain[start:stop])
            spans.append((start, stop))
        kept = sum(stop - start for start, stop in spans)
        if kept == len(plain):
            self._keep(at, _HEAD.size + len(content))
        elif name or not kept:
            return False
        else:
            self._lose(len(plain) - kept)
            head = _CHUNK_HEAD.pack(chunk.first, chunk.last, kept, 0, 0) + struct.pack("<Q", kept)
            self._add(_HEAD.pack(_CHUNK, len(head) + kept) + head)
            for start, stop in spans:
                self._keep(at + _HEAD.size + begin + start, stop - start)
            chunk.stored = chunk.plain = kept
        chunk.length = self._length - chunk.start
        self._chunks.append(chunk)
        return True

    def _keep(self, at: int, length: int) -> None:
        self.pieces.append((at, length))
        self._length += length

    def _add(self, data: bytes) -> None:
        self.pieces.append(data)
        self._length += len(data)

    def _lose(self, count: int) -> None:
        self._lost_bytes += count
        self._places += 1

    def _statistics(self) -> bytes:
        total: Counter[int] = Counter()
        for chunk in self._chunks:
            total += chunk.counts
        kinds = Counter(kind for kind, _ in self._definitions)
        head = struct.pack(
            "<QHIIIIQQ",
            sum(total.values()),
            kinds[_SCHEMA],
            kinds[_CHANNEL],
            0,
            0,
            len(self._chunks),
            min((chunk.first for chunk in self._chunks), default=_NEVER),
            max((chunk.last for chunk in self._chunks), default=0),
        )
        counts = b"".join(struct.pack("<HQ", *item) for item in sorted(total.items()))
        return _record(_STATISTICS, head + struct.pack("<I", len(counts)) + counts)


def _records_of(content: bytes, length: int) -> int:
    """Returns where the records begin in a chunk of ``length`` bytes; 0 if it is damaged."""
    if len(content) < _CHUNK_HEAD.size + 8:
        return 0
    first, last, _, _, name_length = _CHUNK_HEAD.unpack_from(content)
    name = content[_CHUNK_HEAD.size : _CHUNK_HEAD.size + name_length]
    begin = _CHUNK_HEAD.size + len(name) + 8
    size = int.from_bytes(content[begin - 8 : begin], "little")
    known = name in _COMPRESSIONS and len(name) == name_length
    # A chunk without messages has no times.
    ordered = first <= last <= _NEVER or (first, last) == (_NEVER, 0)
    return begin if known and ordered and begin + size == length else 0


def _decompressed(records: bytes, name: bytes) -> bytes | None:
    """Returns the records of a chunk; None if this rosbags shows no way. Raises many types."""
    if not name:
        return records
    storage = importlib.import_module("rosbags.rosbag2.storage_mcap")
    ways = getattr(storage, "DECOMPRESSORS", {})
    return bytes(ways[name.decode()](records, 0)) if name.decode() in ways else None


def _whole_records(
    plain: bytes, first: int, last: int, channels: set[int]
) -> Iterator[tuple[int, int, int]]:
    """Yields kind, start and end of the whole records in a chunk.

    After damage, it goes on with the next record that looks like a message of one of the
    ``channels``, to which the caller adds those that it gets. The record before the damage is left
    out, because its end may be damaged.
    """
    at = 0
    before: tuple[int, int, int] | None = None
    while at < len(plain):
        stop = _end_of_record(plain, at, first, last)
        if stop:
            if before:
                yield before
            before, at = (plain[at], at, stop), stop
            continue
        before = None
        for found in _MESSAGE_START.finditer(plain, at + 1):
            channel = int.from_bytes(plain[found.end() : found.end() + 2], "little")
            if channel in channels and _end_of_record(plain, found.start(), first, last):
                at = found.start()
                break
        else:
            return
    if before:
        yield before


def _end_of_record(plain: bytes, at: int, first: int, last: int) -> int:
    """Returns the end of a record in a chunk with messages of these times; 0 if it is damaged."""
    if at + _HEAD.size > len(plain):
        return 0
    kind, length = _HEAD.unpack_from(plain, at)
    stop: int = at + _HEAD.size + length
    if stop > len(plain) or kind not in (_SCHEMA, _CHANNEL, _MESSAGE):
        return 0
    if kind != _MESSAGE:
        return stop if _is_definition(plain[at:stop]) else 0
    if length < _MESSAGE_HEAD.size + 8:
        return 0
    return stop if first <= _MESSAGE_HEAD.unpack_from(plain, at + _HEAD.size)[2] <= last else 0


def _is_definition(record: bytes) -> bool:
    """Returns whether a record of a schema or channel has three texts that fill it."""
    if record[0] == _SCHEMA:
        return _are_texts(record[_HEAD.size + 2 :], 3)
    # The last part of a channel has a size, and texts.
    begin = _HEAD.size + 4
    for _ in range(2):
        begin += 4 + int.from_bytes(record[begin : begin + 4], "little")
    size = int.from_bytes(record[begin : begin + 4], "little")
    return (
        begin + 4 + size == len(record)
        and _are_texts(record[_HEAD.size + 4 : begin], 2)
        and _are_texts(record[begin + 4 :])
    )


def _are_texts(data: bytes, count: int | None = None) -> bool:
    """Returns whether data is ``count`` texts in a row, each with its size, without zeros."""
    found, at = 0, 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        text = data[at + 4 : at + 4 + size]
        if len(text) != size or _NO_TEXT.search(text):
            return False
        try:
            text.decode()
        except UnicodeDecodeError:
            return False
        found, at = found + 1, at + 4 + size
    return at == len(data) and count in (None, found)


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
    return _record(
        _CHUNK_INDEX,
        struct.pack("<QQQQ", chunk.first, chunk.last, chunk.start, chunk.length)
        + struct.pack("<I", len(places))
        + places
        + struct.pack("<QI", at - chunk.start - chunk.length, len(chunk.name))
        + chunk.name
        + struct.pack("<QQ", chunk.stored, chunk.plain),
    )


class _Pieces(io.RawIOBase):
    """Some pieces of a file, and bytes, in a row."""

    def __init__(self, file: BinaryIO, pieces: list[_Piece]) -> None:
        self._file, self._pieces, self._at = file, pieces, 0
        lengths = (len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces)
        self._starts = [0, *itertools.accumulate(lengths)]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence, self._starts[-1])
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        number = bisect.bisect_right(self._starts, self._at) - 1
        if number >= len(self._pieces):
            return 0
        piece, skip = self._pieces[number], self._at - self._starts[number]
        if isinstance(piece, bytes):
            data = piece[skip : skip + len(view)]
        else:
            self._file.seek(piece[0] + skip)
            data = self._file.read(min(len(view), piece[1] - skip))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
