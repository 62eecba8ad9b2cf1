"""Reads the sound of a film, to copy it to the annotated film."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.media.bag_reader import is_bag
from face_perception.media.film import import_av, open_container
from face_perception.media.input_file import open_input

Samples = npt.NDArray[np.int16]

# Rates that every player of AAC knows; sound of any other rate is resampled.
_RATES = (8000, 16000, 22050, 32000, 44100, 48000)
_JITTER = 0.05  # seconds; sound whose stamp is off by less follows without a gap
_LONGEST_GAP = 600.0  # seconds; a longer gap is an error in the stamps


class FilmSound:
    """The sound of a film: int16 [N, channels] at ``rate`` Hz, from the time ``begin`` on.

    Iterate over it once to get consecutive pieces; gaps are filled with silence. ``channels`` is 1
    or 2. Without sound, or if it cannot be decoded, ``rate`` is 0 and there are no pieces.
    """

    def __init__(self, path: Path, begin: float) -> None:
        self._av = import_av("sound is read")
        self._begin = begin
        self.rate, self.channels = 0, 1
        self._file = None if is_bag(path) else open_input(path, "a film")
        self._container: Any = None
        self._stream: Any = None
        if self._file is not None:
            # A damaged or unknown container has no sound.
            with contextlib.suppress(Exception):
                self._container = open_container(self._av, self._file)
                self._stream = next(iter(self._container.streams.audio), None)
        if self._stream is not None and self._stream.codec_context is not None:
            stated = int(self._stream.rate or 0)
            self.rate = stated if stated in _RATES else 48_000
            self.channels = min(int(getattr(self._stream, "channels", 1) or 1), 2)

    def close(self) -> None:
        """Closes the file."""
        if self._container is not None:
            self._container.close()
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Iterator[Samples]:
        if not self.rate:
            return
        layout = "stereo" if self.channels == 2 else "mono"
        resampler = self._av.AudioResampler(format="s16", layout=layout, rate=self.rate)
        at = 0  # samples since ``begin``
        for frame in self._decoded():
            try:
                pieces = resampler.resample(frame)
            except (self._av.FFmpegError, ValueError):  # a damaged frame
                continue
            samples = np.concatenate(
                [piece.to_ndarray().reshape(-1, self.channels) for piece in pieces]
                or [np.zeros((0, self.channels), np.int16)]
            )
            if frame.time is not None:
                gap = frame.time - self._begin - at / self.rate
                if _JITTER < gap < _LONGEST_GAP:
                    silence = np.zeros((round(gap * self.rate), self.channels), np.int16)
                    at += len(silence)
                    yield silence
                elif gap < -_JITTER:
                    samples = samples[round(-gap * self.rate) :]
            at += len(samples)
            yield samples

    def _decoded(self) -> Iterator[Any]:
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except (self._av.FFmpegError, EOFError):
                    continue
        except (self._av.FFmpegError, ValueError):  # cut off here
            return
