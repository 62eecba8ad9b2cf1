"""Tests reading wav files: the formats of recorders, and one type of error for all others."""

from __future__ import annotations

import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from face_perception.errors import InputError
from face_perception.speech import AudioError, read_wav

SAMPLES = np.arange(-400, 400, dtype="<i2") * 40
DATA = SAMPLES.tobytes()


def chunk(name: bytes, content: bytes, size: int | None = None, pad: bool = True) -> bytes:
    """Returns a chunk, whose header may state a wrong ``size``."""
    padded = content + b"\0" * (len(content) % 2 if pad else 0)
    return name + struct.pack("<I", len(content) if size is None else size) + padded


def fmt(
    code: int = 1, bits: int = 16, *, channels: int = 1, rate: int = 16_000, more: bytes = b""
) -> bytes:
    frame = channels * bits // 8
    content = struct.pack("<HHIIHH", code, channels, rate, rate * frame % 2**32, frame, bits) + more
    return chunk(b"fmt ", content)


def riff(*chunks: bytes, name: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", 0xFFFFFFFF if name != b"RIFF" else len(body)) + body


def pcm(data: bytes, *, size: int | None = None) -> bytes:
    return riff(fmt(), chunk(b"data", data, size))


def extensible(code: int, bits: int, tail: str = "000000001000800000aa00389b71") -> bytes:
    return struct.pack("<HHIH", 22, bits, 4, code) + bytes.fromhex(tail)


RF64 = chunk(b"ds64", struct.pack("<QQQI", 0, len(DATA), len(SAMPLES), 0))

READ = {
    "plain": pcm(DATA),
    "metadata after the audio": riff(fmt(), chunk(b"data", DATA), chunk(b"LIST", b"abc")),
    "odd chunk with pad byte": riff(fmt(), chunk(b"LIST", b"abc"), chunk(b"data", DATA)),
    "odd chunk without pad byte": riff(fmt(), chunk(b"LIST", b"abc", pad=False),
                                       chunk(b"data", DATA)),
    "odd chunk with a pad byte that is a letter": riff(fmt(), chunk(b"LIST", b"abc", pad=False)
                                                       + b"x", chunk(b"data", DATA)),
    "two odd chunks without pad byte": riff(chunk(b"iXML", b"a", pad=False), fmt(),
                                            chunk(b"zzzz", b"abcde", pad=False),
                                            chunk(b"data", DATA)),
    "empty chunk": riff(fmt(), chunk(b"JUNK", b""), chunk(b"data", DATA)),
    "size unknown to ffmpeg": pcm(DATA, size=0xFFFFFFFF),
    "size unknown to espeak-ng": pcm(DATA, size=0x7FFFF000),
    "size unknown to sox": pcm(DATA, size=0x7FFFFFFF - 36),
    "size not filled in": pcm(DATA, size=0),
    "size of RIFF wrong": b"RIFF" + struct.pack("<I", 0) + pcm(DATA)[8:],
    "size of the audio not a whole number of samples": pcm(DATA + b"\1"),
    "less than a sample missing": pcm(DATA, size=len(DATA) + 1),
    "RF64": riff(RF64, fmt(), chunk(b"data", DATA, 0xFFFFFFFF), name=b"RF64"),
    "BW64": riff(RF64, fmt(), chunk(b"data", DATA, 0xFFFFFFFF), name=b"BW64"),
    "extensible": riff(fmt(0xFFFE, more=extensible(1, 16)), chunk(b"data", DATA)),
    "two data chunks": riff(fmt(), chunk(b"data", DATA[:600]), chunk(b"data", DATA[600:])),
    "three data chunks with metadata, of which one is empty": riff(
        fmt(), chunk(b"data", DATA[:600]), chunk(b"LIST", b"abc"), chunk(b"data", b""), fmt(),
        chunk(b"data", DATA[600:])),
    "audio before an empty data chunk of unknown size": riff(
        fmt(), chunk(b"data", DATA), chunk(b"data", b"", 0xFFFFFFFF)),
    "two data chunks, the last of unknown size": riff(
        fmt(), chunk(b"data", DATA[:600]), chunk(b"data", DATA[600:], 0xFFFFFFFF)),
    "fmt of 18 bytes": riff(fmt(more=b"\0\0"), chunk(b"data", DATA)),
    "frame size not filled in": riff(
        chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16_000, 0, 0, 16)), chunk(b"data", DATA)
    ),
}  # fmt: skip

REFUSED = {
    "empty": (b"", "it is empty; record or copy it again"),
    "cut off in the first bytes": (b"RIFF\0\0", "cut off: its header is incomplete"),
    "cut off in the format": (riff(fmt())[:30], "cut off"),
    "cut off after the format": (riff(fmt()), "cut off: its header ends before the audio"),
    "cut off in the metadata": (riff(fmt(), chunk(b"LIST", b"abc", 10_000)), "cut off"),
    "cut off in the audio": (pcm(DATA, size=4 * len(DATA)), r"cut off: 0.05 of 0.20 s are there"),
    "cut off in the audio of RF64": (
        riff(RF64, fmt(), chunk(b"data", DATA[:-100], 0xFFFFFFFF), name=b"RF64"), "cut off"),
    "RF64 without size": (riff(chunk(b"ds64", b"ab"), fmt(), chunk(b"data", DATA)), "cut off"),
    "RF64 with an absurd size": (
        riff(chunk(b"ds64", struct.pack("<QQQ", 0, 2**63, 0)), fmt(),
             chunk(b"data", DATA, 0xFFFFFFFF), name=b"RF64"), "cut off"),
    "no audio": (pcm(b""), "no audio"),
    "no audio, but metadata": (riff(fmt(), chunk(b"data", b""), chunk(b"LIST", b"ab")), "no audio"),
    "cut off in the second data chunk": (
        riff(fmt(), chunk(b"data", DATA), chunk(b"data", DATA, 4 * len(DATA))), "cut off"),
    "two data chunks of different rates": (
        riff(fmt(), chunk(b"data", DATA), fmt(rate=8000), chunk(b"data", DATA)),
        "format changes within the audio; convert it"),
    "list of pieces": (
        riff(fmt(), chunk(b"LIST", b"wavl" + chunk(b"data", DATA) + chunk(b"slnt", b"abcd"))),
        "list of pieces and silences; convert it"),
    "less than one sample": (pcm(b"a"), "no audio"),
    "audio before its format": (riff(chunk(b"data", DATA), fmt()), "before its format"),
    "zeros": (riff(bytes(20_000)), "more than 1000 chunks"),
    "short zeros": (riff(bytes(100)), "cut off"),
    "float": (riff(fmt(3, 32), chunk(b"data", DATA)), "floating-point numbers.*pcm_s16le"),
    "double": (riff(fmt(3, 64), chunk(b"data", DATA)), "floating-point numbers"),
    "float in an extensible header": (
        riff(fmt(0xFFFE, 32, more=extensible(3, 32)), chunk(b"data", DATA)), "floating-point"),
    "A-law": (riff(fmt(6, 8), chunk(b"data", DATA)), "A-law"),
    "mu-law": (riff(fmt(7, 8), chunk(b"data", DATA)), "mu-law"),
    "ADPCM": (riff(fmt(2, 4), chunk(b"data", DATA)), "ADPCM"),
    "GSM": (riff(fmt(49, 0), chunk(b"data", DATA)), "GSM"),
    "MP3 in wav": (riff(fmt(85, 0), chunk(b"data", DATA)), "MP3"),
    "unknown format": (riff(fmt(1234), chunk(b"data", DATA)), r"unknown format \(1234\)"),
    "unknown extensible format": (
        riff(fmt(0xFFFE, more=extensible(1, 16, "11" * 14)), chunk(b"data", DATA)),
        "unknown format"),
    "no bits": (riff(fmt(1, 0), chunk(b"data", DATA)), "0 bits"),
    "64 bits": (riff(fmt(1, 64), chunk(b"data", DATA)), "64 bits"),
    "60000 bits": (riff(fmt(1, 60_000), chunk(b"data", DATA)), "60000 bits"),
    "no channels": (riff(fmt(channels=0), chunk(b"data", DATA)), "channels is 0"),
    "9 channels": (riff(fmt(channels=9), chunk(b"data", DATA)), "channels is 9: .*-ac 1 "),
    "65535 channels": (
        riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 65_535, 16_000, 0, 0, 16)),
             chunk(b"data", DATA)), "channels is 65535"),
    "rate 0": (riff(fmt(rate=0), chunk(b"data", DATA)), "sample_rate is 0"),
    "low rate": (riff(fmt(rate=3000), chunk(b"data", DATA)), "sample_rate is 3000: .*ffmpeg"),
    "absurd rate": (riff(fmt(rate=2**32 - 1), chunk(b"data", DATA)), "sample_rate is 4294967295"),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n",
                        "Git LFS pointer.*git lfs pull"),
    "web page": (b"<!DOCTYPE html><html></html>", "web page"),
    "big-endian": (b"RIFX" + pcm(DATA)[4:], "big-endian"),
    "MP3": (b"ID3\x04" + bytes(100), "MP3 file; convert it"),
    "FLAC": (b"fLaC" + bytes(100), "FLAC"),
    "Ogg": (b"OggS" + bytes(100), "Ogg"),
    "M4A": (bytes(4) + b"ftypM4A " + bytes(100), "MP4"),
    "AIFF": (b"FORM\0\0\0\0AIFF", "AIFF"),
    "AVI": (b"RIFF\0\0\0\0AVI LIST", "AVI video"),
    "text": (b"Hello, this is no audio.", "does not begin with RIFF"),
}  # fmt: skip


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_what_recorders_write_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.wav"
    path.write_bytes(content)
    recording = read_wav(path)
    assert recording.rate == 16_000
    assert recording.samples.shape == (len(SAMPLES), 1)
    assert np.array_equal(recording.samples[:, 0], SAMPLES)


@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_name_reason_and_fix(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "so me some.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=said) as error:
        read_wav(path)
    text = str(error.value)
    assert text.startswith(f"{path} cannot be read: ")
    assert "; " in text
    assert len(text) < 400
    if "ffmpeg" in text:
        assert f" -i '{path}' " in text, "the command can be pasted"


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "device", "forbidden", "null byte"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "some.wav")
    said = "a (folder|named pipe|device), not a file"
    if kind == "missing":
        said = "No such file"
    elif kind == "folder":
        os.mkdir(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = "/dev/zero"
    elif kind == "forbidden":
        if os.geteuid() == 0:
            pytest.skip("root may read everything")
        Path(path).write_bytes(pcm(DATA))
        os.chmod(path, 0)
        said = "Permission denied"
    else:
        path, said = "a\0b.wav", "not valid"
    with pytest.raises(AudioError, match=said):
        read_wav(path)


def test_a_name_that_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.wav"
    with pytest.raises(AudioError, match="No such file") as error:
        read_wav(os.fsdecode(path))
    assert "\\xff.wav" in str(error.value).encode().decode()
    with open(path, "wb") as file:
        file.write(pcm(DATA))
    assert len(read_wav(os.fsdecode(path)).samples) == len(SAMPLES)


def test_a_size_in_the_header_takes_no_memory(tmp_path: Path) -> None:
    """Only bytes that are there count. More than two gigabytes are refused before they are read."""
    path = tmp_path / "some.wav"
    path.write_bytes(pcm(DATA, size=0))
    os.truncate(path, 1 << 32)  # a file with a hole takes no space
    with pytest.raises(AudioError, match=r"37\.3 hours of audio.*cut it into shorter files"):
        read_wav(path)


def test_any_damage_gives_audio_or_an_audio_error(tmp_path: Path) -> None:
    """Cuts and changes bytes of headers at random."""
    random = np.random.default_rng(0)
    path = tmp_path / "some.wav"
    good = list(READ.values())
    read, said = 0, []
    for number in range(2000):
        data = bytearray(good[number % len(good)])
        for place in random.integers(0, 90, random.integers(1, 4)):
            data[place] = random.choice([0, 1, 255, random.integers(256)])
        path.write_bytes(data[: random.integers(len(data) + 1)] if number % 3 == 0 else data)
        try:
            read += len(read_wav(path).samples) > 0
        except InputError as error:
            said.append(str(error))
    assert all(text.startswith(f"{path} cannot be read: ") for text in said)
    assert 200 < read < 1800


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_pcm_of_every_width(tmp_path: Path, width: int) -> None:
    path = tmp_path / "some.wav"
    values = np.array([0, 100, -100, 12_288, -12_288], np.int64) * 256 ** (width - 2)
    if width == 1:
        data = (np.array([0, 0, -1, 48, -48]) + 128).astype(np.uint8).tobytes()
    else:
        data = b"".join(int(v).to_bytes(width, "little", signed=True) for v in values)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(data)
    got = read_wav(path)
    assert got.rate == 8000
    want = [0, 0, -256, 12_288, -12_288] if width == 1 else [0, 100, -100, 12_288, -12_288]
    assert got.samples[:, 0].tolist() == want
