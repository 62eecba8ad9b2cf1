"""PCM audio as values: one chunk, from whatever samples it came as; wav files. No streams."""

from __future__ import annotations

import os
import shlex
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError

AudioSamples = npt.NDArray[np.float32]

_RATES = (4000, 192_000)
_MOST_CHANNELS = 8
# Of a chunk's samples; music mastered loud has less, a microphone amplifier turned up has more.
_CLIPPED = 0.01


class AudioError(InputError):
    """Audio that cannot be used; the text says what is wrong with it and how to mend it."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of audio, mono float32 in [-1, 1]; ``stamp`` is that of its first sample, seconds.

    A stamp of 0 is not known. Without samples it says that an utterance is over. ``clipped`` is
    true where more than one sample in a hundred is at full scale.
    """

    stamp: float
    rate: int
    samples: AudioSamples
    clipped: bool = False

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.rate


def make_chunk(samples: npt.NDArray[Any], rate: int, channels: int, stamp: float) -> AudioChunk:
    """A Chunk of interleaved samples, int16 or float in [-1, 1]; several channels become their
    mean.

    Without samples neither rate nor channels matter. Raises AudioError for a rate, channels or
    samples that cannot be.
    """
    if not samples.size:
        return AudioChunk(stamp, max(rate, 1), np.zeros(0, np.float32))
    if not _RATES[0] <= rate <= _RATES[1]:
        raise AudioError(f"sample_rate is {rate}: audio must have {_RATES[0]} to {_RATES[1]} Hz")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise AudioError(f"channels is {channels}: audio must have 1 to {_MOST_CHANNELS}")
    if samples.size % channels:
        raise AudioError(
            f"{samples.size} samples are no whole number of frames of {channels} channels: the "
            "sender fills channels wrongly or cuts a frame in two"
        )
    if samples.dtype == np.int16:
        values = samples.astype(np.float32) / 32768
    elif samples.dtype in (np.float32, np.float64):
        if not np.isfinite(samples).all():
            raise AudioError("the samples have NaN or infinite values: mend the sender")
        if samples.size and np.abs(samples).max() > 4:
            raise AudioError(
                f"float samples reach {np.abs(samples).max():.0f}: they must be scaled to -1 to 1"
            )
        values = samples.astype(np.float32)
    else:
        raise AudioError(f"samples are {samples.dtype}: audio must be int16, or float in [-1, 1]")
    clipped = bool(values.size) and float(np.mean(np.abs(values) >= 32767 / 32768)) > _CLIPPED
    mono = np.clip(values.reshape(-1, channels), -1, 1).mean(axis=1, dtype=np.float32)
    return AudioChunk(stamp, rate, mono, clipped)


# Sample formats by GStreamer's names, which audio_common uses; scale to [-1, 1].
_FORMATS: dict[str, tuple[str, float, float]] = {
    "S16LE": ("<i2", 1 / 32768, 0.0),
    "S16BE": (">i2", 1 / 32768, 0.0),
    "S32LE": ("<i4", 1 / 2**31, 0.0),
    "S8": ("i1", 1 / 128, 0.0),
    "U8": ("u1", 1 / 128, -1.0),
    "F32LE": ("<f4", 1.0, 0.0),
}


def chunk_from_bytes(
    data: bytes, sample_format: str, rate: int, channels: int, stamp: float
) -> AudioChunk:
    """A Chunk of raw PCM as GStreamer names it. Raises AudioError."""
    known = _FORMATS.get(sample_format.upper())
    if known is None:
        raise AudioError(
            f"sample format {sample_format!r} is not supported: use one of {', '.join(_FORMATS)}"
        )
    kind, scale, offset = known
    if len(data) % np.dtype(kind).itemsize:
        raise AudioError(
            f"{len(data)} bytes are no whole number of {sample_format} samples: compressed audio? "
            "Set the sender's format to wave"
        )
    values = np.frombuffer(data, kind).astype(np.float64) * scale + offset
    return make_chunk(values, rate, channels, stamp)


def to_int16(samples: AudioSamples) -> npt.NDArray[np.int16]:
    """Samples in [-1, 1] as PCM; what is beyond is clipped."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


@dataclass(frozen=True, slots=True)
class Recording:
    """A wav file's audio: int16 [N, channels]."""

    rate: int
    samples: npt.NDArray[np.int16]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.rate

    def pieces(self, seconds: float) -> Iterator[npt.NDArray[np.int16]]:
        """The samples in pieces of this length; the last may be shorter."""
        step = max(1, round(seconds * self.rate))
        for start in range(0, len(self.samples), step):
            yield self.samples[start : start + step]


def read_wav(path: str | os.PathLike[str]) -> Recording:
    """A wav file of 8, 16, 24 or 32-bit PCM. Raises OSError, and AudioError naming the file where
    it is something else (float, MP3, damaged), empty, or of a rate or channels that cannot be.
    """
    name = shlex.quote(os.fspath(path))
    # One channel: ffmpeg gives a file of more than two the header that is not read here.
    convert = f"convert it: ffmpeg -i {name} -ac 1 -ar 48000 -c:a pcm_s16le new.wav"
    try:
        with wave.open(os.fspath(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it is cut off"
        if reason.startswith("unknown format: 3"):
            reason = "its samples are floating-point numbers"
        raise AudioError(f"{path} is no wav file of PCM ({reason}): {convert}") from error
    if width not in (1, 2, 3, 4):
        raise AudioError(f"{path} has samples of {width} bytes: {convert}")
    data = data[: len(data) // (width * channels) * width * channels]
    if not data:
        raise AudioError(f"{path} has no audio: record it again")
    if width == 1:  # the only unsigned one
        samples = (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
    else:
        # The two upper bytes of each little-endian sample.
        raw = np.frombuffer(data, np.uint8).reshape(-1, width)[:, -2:]
        samples = np.ascontiguousarray(raw).view("<i2").ravel().astype(np.int16)
    try:
        make_chunk(samples[:channels], rate, channels, 0.0)  # refuses what cannot be played later
    except AudioError as error:
        raise AudioError(f"{path}: {error}; {convert}") from error
    return Recording(rate, samples.reshape(-1, channels))
