"""Converts PCM audio of several formats to mono float chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError, shortened

AudioSamples = npt.NDArray[np.float32]

_RATES = (4000, 192_000)  # hertz
_MOST_CHANNELS = 8
# Share of samples at full scale above which a chunk counts as clipped. Loudly mastered music has
# less; a microphone whose gain is too high has more.
_CLIPPED = 0.01


class AudioError(InputError):
    """Raised for audio that cannot be used; the text names the reason and the fix."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Holds a piece of audio: mono float32 [N] in [-1, 1], with ``rate`` in hertz.

    ``stamp`` is the time of the first sample in seconds; 0 if unknown. A chunk without samples ends
    an utterance. ``clipped`` is true if more than 1 % of the samples are at full scale.
    """

    stamp: float
    rate: int
    samples: AudioSamples
    clipped: bool = False

    @property
    def duration(self) -> float:
        """Returns the length in seconds."""
        return len(self.samples) / self.rate


def check_format(rate: int, channels: int) -> None:
    """Raises AudioError if a sample rate (hertz) or a number of channels is not supported."""
    if not _RATES[0] <= rate <= _RATES[1]:
        raise AudioError(f"sample_rate is {rate}: it must be from {_RATES[0]} to {_RATES[1]} Hz")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise AudioError(f"channels is {channels}: it must be from 1 to {_MOST_CHANNELS}")


def mean_of_channels(samples: AudioSamples, rate: int) -> AudioSamples:
    """Returns the mean [N] of the channels of sound [N, C]; ``rate`` is not used."""
    mean: AudioSamples = samples.mean(axis=1, dtype=np.float32)
    return mean


def make_chunk(
    samples: npt.NDArray[Any],
    rate: int,
    channels: int,
    stamp: float,
    mix: Callable[[AudioSamples, int], AudioSamples] = mean_of_channels,
) -> AudioChunk:
    """Returns a chunk of interleaved samples [N * channels], int16 or float in [-1, 1].

    ``mix`` makes one channel [N] of sound [N, C], such as ``ChannelMixer.mix``; without it the
    channels are averaged. Ignores ``rate`` and ``channels`` if there are no samples. Raises
    AudioError if the rate, the number of channels or the samples are invalid.
    """
    if not samples.size:
        return AudioChunk(stamp, max(rate, 1), np.zeros(0, np.float32))
    check_format(rate, channels)
    if samples.size % channels:
        raise AudioError(
            f"{samples.size} samples cannot be split into {channels} channels: make the sender set "
            "channels correctly and send whole frames"
        )
    if samples.dtype == np.int16:
        values = samples.astype(np.float32) / 32768
    elif samples.dtype in (np.float32, np.float64):
        if not np.isfinite(samples).all():
            raise AudioError("samples are NaN or infinite: make the sender send finite samples")
        if samples.size and np.abs(samples).max() > 4:
            raise AudioError(
                f"float samples reach {np.abs(samples).max():.0f}: scale them to -1 to 1"
            )
        values = samples.astype(np.float32)
    else:
        raise AudioError(f"samples are {samples.dtype}: audio must be int16, or float in [-1, 1]")
    clipped = bool(values.size) and float(np.mean(np.abs(values) >= 32767 / 32768)) > _CLIPPED
    mono = mix(np.clip(values.reshape(-1, channels), -1, 1), rate)
    return AudioChunk(stamp, rate, mono, clipped)


# Sample formats by their GStreamer names, which audio_common uses: NumPy type, factor and offset
# that map the samples to [-1, 1].
_FORMATS: dict[str, tuple[str, float, float]] = {
    "S16LE": ("<i2", 1 / 32768, 0.0),
    "S16BE": (">i2", 1 / 32768, 0.0),
    "S32LE": ("<i4", 1 / 2**31, 0.0),
    "S8": ("i1", 1 / 128, 0.0),
    "U8": ("u1", 1 / 128, -1.0),
    "F32LE": ("<f4", 1.0, 0.0),
}


def chunk_from_bytes(
    data: bytes,
    sample_format: str,
    rate: int,
    channels: int,
    stamp: float,
    mix: Callable[[AudioSamples, int], AudioSamples] = mean_of_channels,
) -> AudioChunk:
    """Returns a chunk of raw interleaved PCM; ``sample_format`` is a GStreamer name such as S16LE.

    Raises AudioError as ``make_chunk`` does, and for an unknown format or an incomplete sample.
    """
    known = _FORMATS.get(sample_format.upper())
    if known is None:
        raise AudioError(
            f"sample format {shortened(sample_format)} is not supported: use one of "
            f"{', '.join(_FORMATS)}"
        )
    kind, scale, offset = known
    if len(data) % np.dtype(kind).itemsize:
        raise AudioError(
            f"{len(data)} bytes are not a whole number of {sample_format} samples: if the audio is "
            "compressed, set the sender's format to wave"
        )
    values = np.frombuffer(data, kind).astype(np.float64) * scale + offset
    return make_chunk(values, rate, channels, stamp, mix)


def checked_samples(samples: AudioSamples) -> AudioSamples:
    """Returns the samples clipped to [-1, 1], with 0 for samples that are not finite.

    Raises InputError if ``samples`` is not float32 [N].
    """
    array = np.asarray(samples)
    if array.ndim != 1 or array.dtype != np.float32:
        raise InputError(
            f"sound must be float32 [N], mono, not {array.dtype} {list(array.shape)}: average the "
            "channels and divide int16 by 32768"
        )
    made: AudioSamples = np.clip(np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0), -1, 1)
    return made


def to_int16(samples: AudioSamples) -> npt.NDArray[np.int16]:
    """Returns samples in [-1, 1] as int16 PCM; clips samples outside."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
