"""Reads wav files of PCM audio. Everything that cannot be read gets one error with the fix.

Three libraries were tried on the cases of ``test_wav_file.py``: PyAV 18, libsndfile 1.2.2 and
Python's ``wave``. All of them read a file that is cut off without a word, and none reads a file in
which a chunk of odd length lacks its pad byte. So this module finds the samples itself.
"""

from __future__ import annotations

import os
import shlex
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from face_perception.errors import machine_limit
from face_perception.files import open_regular
from face_perception.outside_files import reason_of, stands_in
from face_perception.speech.audio_chunks import AudioError, check_format

_MOST_SAMPLES = 1 << 30  # samples of all channels together; they take 2 GiB
_BLOCK = 1 << 20  # samples that are converted at once
_MOST_CHUNKS = 1000  # chunks that are searched for the audio
# A program that writes to a pipe cannot know the size. It writes 0, or a number close to the
# largest one: 0xFFFFFFFF (ffmpeg), 0x7FFFF000 (espeak-ng), 0x7FFFFFFF less the header (sox).
_UNKNOWN_SIZE = 0x7FFF0000

_PCM, _EXTENSIBLE = 1, 0xFFFE
# The last 14 bytes of a sub-format in an extensible header; the first two are the format.
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
_FORMATS = {
    2: "compressed with ADPCM",
    3: "floating-point numbers",
    6: "compressed with A-law",
    7: "compressed with mu-law",
    17: "compressed with ADPCM",
    49: "compressed with GSM 6.10",
    80: "compressed as MPEG audio",
    85: "compressed as MP3",
    255: "compressed as AAC",
}
# How files of other kinds begin: place, bytes, and what they are.
_OTHER_FILES = (
    (0, b"RIFX", "a big-endian wav file"),
    (8, b"AVI ", "an AVI video"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"FORM", "an AIFF file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"\xff\xfb", "an MP3 file"),
    (0, b"\xff\xf3", "an MP3 file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an Ogg file"),
    (4, b"ftyp", "an MP4 file"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (0, b"caff", "a CAF file"),
    (0, b"\x1f\x8b", "compressed with gzip: unpack it"),
    (0, b"PK\x03\x04", "a zip archive: unpack it"),
)
_KNOWN_CHUNKS = {b"data", b"fmt ", b"fact", b"LIST", b"bext", b"cue ", b"smpl", b"JUNK", b"PEAK",
                 b"PAD ", b"id3 ", b"ID3 ", b"iXML", b"inst", b"ds64", b"FLLR"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recording:
    """Holds the audio of a wav file: int16 [N, channels], with ``rate`` in hertz."""

    rate: int
    samples: npt.NDArray[np.int16]

    @property
    def channels(self) -> int:
        """Returns the number of channels."""
        return int(self.samples.shape[1])

    @property
    def duration(self) -> float:
        """Returns the length in seconds."""
        return len(self.samples) / self.rate

    def pieces(self, seconds: float) -> Iterator[npt.NDArray[np.int16]]:
        """Yields the samples in pieces of this length; the last one may be shorter."""
        step = max(1, round(seconds * self.rate))
        for start in range(0, len(self.samples), step):
            yield self.samples[start : start + step]


@dataclass(frozen=True, slots=True)
class _Format:
    """Holds the format of the samples: channels, hertz, and bytes of one sample."""

    channels: int
    rate: int
    width: int

    @property
    def frame(self) -> int:
        """Returns the bytes of one sample of every channel."""
        return self.channels * self.width


class _Unreadable(Exception):
    """Says why a file cannot be read, and with ``fix`` what to do if converting does not help."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.fix = fix


def read_wav(path: str | os.PathLike[str]) -> Recording:
    """Reads a wav file of 8, 16, 24 or 32-bit PCM, and reduces it to 16 bits.

    Also reads RF64 files, files whose header does not know the size of the audio because a program
    wrote them to a pipe, files with several data chunks, whose audio is joined, and files with
    chunks of odd length that lack the pad byte. Raises
    AudioError, which names the file, the reason and the fix, for everything that cannot be read: a
    missing file, a folder, a device, another format (float, A-law, MP3), a file that is damaged,
    empty or cut off, and an invalid rate or number of channels.
    """
    name = os.fsencode(os.fspath(path)).decode(errors="backslashreplace")
    # Convert to one channel: for more than two, ffmpeg writes an extensible header.
    convert = f"convert it: ffmpeg -i {shlex.quote(name)} -ac 1 -ar 48000 -c:a pcm_s16le new.wav"
    try:
        with open_regular(path) as file:
            return _read(file)
    except _Unreadable as error:
        raise AudioError(f"{name} cannot be read: {error}; {error.fix or convert}") from error
    except AudioError as error:  # the rate or the number of channels
        raise AudioError(f"{name} cannot be read: {error}; {convert}") from error
    except OSError as error:
        fix = "" if machine_limit(error) else "; check the path and the permissions"
        raise AudioError(f"{name} cannot be read: {reason_of(error)}{fix}") from error


def _read(file: BinaryIO) -> Recording:
    size = os.fstat(file.fileno()).st_size
    head = file.read(100)
    if not head:
        raise _Unreadable("it is empty", "record or copy it again")
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
        _refuse_other_file(head)
    form: _Format | None = None
    long_size = -1  # bytes of audio in an RF64 file, whose data chunk cannot state it
    pieces: list[tuple[int, int]] = []  # first byte and length of the audio of each data chunk
    for kind, start, length in _chunks(file, size):
        if kind == b"ds64":
            long_size = _long_size(_part(file, start, min(length, 24)))
        elif kind == b"LIST" and _part(file, start, 4) == b"wavl":
            raise _Unreadable("its audio is a list of pieces and silences")
        elif kind == b"fmt ":
            again = _format(_part(file, start, min(length, 40)))
            if pieces and again != form:
                raise _Unreadable("its format changes within the audio")
            form = again
        elif kind == b"data":
            if form is None:
                raise _Unreadable("its header is damaged: the audio comes before its format")
            if length == 0xFFFFFFFF and long_size >= 0 and not pieces:
                length = long_size
            pieces.append((start, _audio_length(file, form, start, length, size)))
            if sum(pieces[-1]) >= size:
                break
    if form is None or not pieces:
        raise _cut_off("its header ends before the audio")
    return _audio(file, form, pieces)


def _refuse_other_file(head: bytes) -> NoReturn:
    """Raises _Unreadable if the file is not a wav file, naming its format."""
    problem = stands_in(head)
    if problem:
        raise _Unreadable(problem, "give the recording itself")
    for at, begins, what in _OTHER_FILES:
        if head[at:].startswith(begins):
            reason, _, fix = what.partition(": ")
            raise _Unreadable(f"it is {reason}", fix)
    if len(head) < 12:
        raise _cut_off("its header is incomplete")
    raise _Unreadable("it is not a wav file, because it does not begin with RIFF and WAVE")


def _cut_off(what: str) -> _Unreadable:
    return _Unreadable(f"it is cut off: {what}", "record or copy it again")


def _chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, start and length in bytes of each chunk. The length is that of the header."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        header = _part(file, at, 8)
        if len(header) < 8:
            return
        name, length = struct.unpack("<4sI", header)
        yield name, at + 8, length
        at += 8 + length
        if length % 2:
            at += _pad_byte(file, at)
        if at > size:
            return
    raise _Unreadable(f"its header is damaged: it has more than {_MOST_CHUNKS} chunks")


def _pad_byte(file: BinaryIO, at: int) -> int:
    """Returns 1 if a pad byte follows a chunk of odd length that ends at ``at``, as it should; 0 if
    the next chunk follows at once, as several recorders write it.
    """
    following = _part(file, at, 5)
    if following[1:] in _KNOWN_CHUNKS:
        return 1
    return 0 if _is_name(following[:4]) else 1


def _is_name(text: bytes) -> bool:
    return len(text) == 4 and all(0x20 <= letter < 0x7F for letter in text)


def _part(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _long_size(chunk: bytes) -> int:
    """Returns the size of the audio in bytes from the chunk ds64 of an RF64 file."""
    if len(chunk) < 24:
        raise _cut_off("its header is incomplete")
    return int(struct.unpack_from("<Q", chunk, 8)[0])


def _format(chunk: bytes) -> _Format:
    """Returns the format from the chunk fmt. Raises _Unreadable or AudioError."""
    if len(chunk) < 16:
        raise _cut_off("its header is incomplete")
    code, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _SUBFORMAT:
            raise _Unreadable("its samples have an unknown format")
        code = struct.unpack_from("<H", chunk, 24)[0]
    if code != _PCM:
        what = _FORMATS.get(code, f"of an unknown format ({code})")
        raise _Unreadable(f"its samples are {what}, not PCM")
    check_format(rate, channels)
    # Samples of 12 or 20 bits fill two or three bytes.
    width = frame // channels if frame and frame % channels == 0 else -(-bits // 8)
    if not bits or width not in (1, 2, 3, 4) or bits > 8 * width:
        raise _Unreadable(f"its samples have {bits} bits in {width} bytes, not 8, 16, 24 or 32")
    return _Format(channels, rate, width)


def _audio_length(file: BinaryIO, form: _Format, start: int, length: int, size: int) -> int:
    """Returns the bytes of whole samples in a data chunk that begins at byte ``start``.

    ``length`` is that in its header, ``size`` that of the file. Raises _Unreadable if the file is
    cut off.
    """
    there = size - start
    unknown = length == 0 and not _is_chunk(file, start)
    if unknown or (_UNKNOWN_SIZE <= length <= 0xFFFFFFFF and length > there):
        length = there
    if length - there >= form.frame:
        second = form.rate * form.frame
        raise _cut_off(f"{there / second:.2f} of {length / second:.2f} s are there")
    return min(length, there) // form.frame * form.frame


def _audio(file: BinaryIO, form: _Format, pieces: Sequence[tuple[int, int]]) -> Recording:
    """Reads the audio and joins it. ``pieces`` are the first byte and the length in bytes of each.

    Players do the same with several data chunks.
    """
    count = sum(length for _, length in pieces) // form.frame
    if not count:
        raise _Unreadable("it has no audio", "record it again")
    if count * form.channels > _MOST_SAMPLES:
        raise _Unreadable(
            f"it has {count / form.rate / 3600:.1f} hours of audio, which need more than "
            f"{_MOST_SAMPLES * 2 >> 30} GiB of memory",
            "cut it into shorter files",
        )
    samples = np.empty(count * form.channels, np.int16)
    begin = 0
    for start, length in pieces:
        file.seek(start)
        end = begin + length // form.width
        while begin < end:
            block = min(end - begin, _BLOCK)
            data = file.read(block * form.width)
            if len(data) < block * form.width:
                raise _Unreadable(
                    "it became shorter while it was read", "wait until it is complete"
                )
            samples[begin : begin + block] = _sixteen_bits(data, form.width)
            begin += block
    return Recording(form.rate, samples.reshape(-1, form.channels))


def _is_chunk(file: BinaryIO, at: int) -> bool:
    """Returns whether a chunk begins at ``at``, or the file ends there."""
    return _part(file, at, 4) in {*_KNOWN_CHUNKS, b""}


def _sixteen_bits(data: bytes, width: int) -> npt.NDArray[np.int16]:
    """Returns little-endian PCM of ``width`` bytes as int16."""
    if width == 1:  # the only unsigned width
        return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
    # Keep the two upper bytes of each sample.
    raw = np.frombuffer(data, np.uint8).reshape(-1, width)[:, -2:]
    return np.ascontiguousarray(raw).view("<i2").ravel().astype(np.int16)
