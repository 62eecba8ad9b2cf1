"""Decodes films with PyAV.

PyAV (FFmpeg) gives what OpenCV hides: the stamp, the display matrix and the damage of each frame,
and the shape of the pixels. It is the same in all versions; OpenCV 4.6 turns films the wrong way.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import statistics
from array import array
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import cv2
import numpy as np

from face_perception.errors import InputError, MissingDependencyError
from face_perception.media.alpha import on_plain_ground
from face_perception.media.eight_bits import BitDepth
from face_perception.media.ffmpeg_log import errors_of_ffmpeg
from face_perception.media.film_damage import check_picture_list, missing_part
from face_perception.media.nameless_file import NamelessFile
from face_perception.media.orientation import Turn, turn_of_matrix
from face_perception.types import Image

# Containers that are read, by FFmpeg's names. Others are left out: playlists, which open other
# files and addresses, pictures (see picture.py), and texts, which FFmpeg draws as films.
_CONTAINERS = (
    *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg"),
    *("mpegvideo", "flv", "live_flv", "ogg", "asf", "ivf", "nut", "mxf", "dv", "rm", "wtv", "obu"),
    *("yuv4mpegpipe", "mjpeg", "mpjpeg", "h264", "hevc", "m4v", "amv", "nsv", "smjpeg", "gxf"),
)
# FFmpeg's own decoders of these codecs leave the alpha channel of WebM out.
_DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# Largest frame of any film, pixels (8K).
_MOST_PIXELS = 36_000_000
# Bytes of memory that a film may take: one of less than a megabyte, and larger ones for each byte
# of the file. Each pixel of a frame is taken to need 22 bytes, and 36 times its own, because a
# decoder of H.264 may hold 36 frames. Measured with films of 10 kB that refer to 16 frames and have
# 16 B-frames: 36 bytes a pixel where it has 12 bits (2560x1440), 51 with 24 (1920x1080), 78 with 48
# (1280x1024).
_SMALL_FILE, _MEMORY_OF_SMALL_FILE, _MEMORY_PER_BYTE = 1_000_000, 300_000_000, 860
_BYTES_PER_PIXEL, _FRAMES_HELD = 22, 36
_USUAL_BITS = 12  # of a pixel (4:2:0)
_FIRST_PACKETS = 64  # from which the rate is found
_USUAL_RATE = 30.0  # Hz, if nothing tells the rate
_RATES = (0.01, 1000.0)  # Hz
# Pixels that are shown this much wider or higher than stored are an error in the file.
_LARGEST_ASPECT = 4
# Names that Apple's players give to encrypted films, and the value that WebM stores for them.
_ENCRYPTED_TAGS, _KEY_OF_WEBM = ("drmi", "encv"), "enc_key_id"
# Containers in which no frame may be missing.
_STEADY_CONTAINERS = ("mxf", "gxf")
# Frames from which a rate can be steady, and the share of them that must follow it.
_STEADY_FROM, _STEADY = 10, 0.9
_STEADY_OVER = 31  # frames before a gap, which must be steady
_LONGEST_GAP = 60.0  # seconds; a longer gap is an error in the stamps
# How files of sound begin that are not in a container of films: MP3, FLAC, AMR, AIFF and WAV.
_SOUNDS, _SOUNDS_OF_FORM = (b"ID3", b"\xff\xfb", b"fLaC", b"#!AMR"), (b"WAVE", b"AIFF", b"AIFC")
_SIXTEEN_BIT_GRAY = ("gray16le", "gray16be")


class Film:
    """A film, opened. Iterate over it once to get its frames: RGB uint8 [H, W, 3] and their stamps.

    ``rate`` is the usual number of frames per second: 1 / the median time between two frames.
    ``count`` is the number of frames that the file states, 0 if it states none. ``begin`` is the
    time of the first frame in the container, in seconds; stamps count from there. Frames are turned
    and stretched as a player shows them. Damaged and encrypted frames are left out; after the
    iteration, ``damage`` says how many, and whether the file is cut off.

    ``name`` is for messages. ``kind`` is FFmpeg's name of the container, if it is known. Raises
    InputError, which gives the name, the reason and the fix, if the file is not a film that can be
    decoded, and MissingDependencyError without PyAV.
    """

    def __init__(self, file: BinaryIO, name: str, kind: str | None = None) -> None:
        self._av = import_av(f"{name} is read")
        self._name, self._file = name, file
        self._missing = missing_part(file)
        self._bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            self._container = open_container(self._av, file, kind)
        except Exception as error:  # FFmpegError, and what PyAV raises for damaged values
            raise self._unreadable(error) from error
        try:
            self._stream = self._choose_stream()
            self._codec = self._choose_codec()
            self._decode_times = self._find_decode_times()
            self._damaged, self._encrypted, self._complete = 0, 0, False
            self._gaps = FrameGaps()
            self._harmed = False  # whether the container is damaged
            self._steps_back = 0
            self._first_packets = self._read_first_packets()
            self.rate = self._find_rate()
            stated = int(self._stream.frames)
            self.count = stated if 0 <= stated <= self._bytes else 0  # a frame has a byte or more
            self._bit_depth = BitDepth()
            self._turns: dict[bytes, Turn] = {}
            self._decoded = self._frames()
            first = next(self._decoded, None)
            if first is None:
                raise self._encrypted_film() if self._encrypted else self._unreadable(None)
        except BaseException as error:
            self._container.close()
            if isinstance(error, Exception) and not isinstance(error, InputError):
                raise self._unreadable(error) from error
            raise
        self._first = first
        self._begin = first[1] or Fraction(0)
        self.begin = float(self._begin)

    def __iter__(self) -> Iterator[tuple[Image, float]]:
        last = before = -1.0
        for image, time in itertools.chain([self._first], self._decoded):
            # Some containers have no stamps, or repeat a stamp.
            stamp = -1.0 if time is None else float(time - self._begin)
            self._steps_back += time is not None and stamp < before - 1 / self.rate
            before = stamp
            last = stamp if stamp > last else last + 1 / self.rate if last >= 0 else 0.0
            yield image, last

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first frame as shown, in pixels."""
        height, width = self._first[0].shape[:2]
        return width, height

    @property
    def damage(self) -> str:
        """What is wrong with the file, in words, as far as it was read; empty if nothing is."""
        problems = []
        if self._damaged:
            problems.append(f"{self._damaged} damaged frame(s) were left out")
        if self._encrypted:
            problems.append(f"{self._encrypted} encrypted frame(s) were left out")
        harmed = self._is_harmed()
        missing = self._gaps.missing() - self._damaged if harmed else 0
        if missing > 0:
            problems.append(f"{missing} frame(s) are missing between the others, by their times")
        if self._steps_back:
            problems.append(
                f"its times step back {self._steps_back} time(s), and are not known from there on"
            )
        if self._missing and self._complete:
            problems.append(f"it is cut off: it lacks {self._missing}")
        if self._harmed and not problems:
            problems.append("a part of it cannot be read, so that frames may be missing")
        return "; ".join(problems)

    def _is_harmed(self) -> bool:
        """Returns whether missing frames are an error: a recorder may have left them out."""
        steady = self._container.format.name in _STEADY_CONTAINERS
        return steady or self._harmed or bool(self._damaged)

    def close(self) -> None:
        """Closes the film, not the file."""
        self._container.close()

    def _unreadable(self, error: Exception | None) -> InputError:
        if self._missing:
            return InputError(
                f"{self._name} is cut off: it lacks {self._missing}: copy it again, record again, "
                "or repair it with a tool such as untrunc"
            )
        if error is None:
            return InputError(
                f"{self._name} has no frame that can be decoded: convert it, or copy it again"
            )
        self._file.seek(0)
        if is_sound(self._file.read(12)):
            return self._only_sound()
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        return InputError(
            f"{self._name} is not a picture or film that can be read ({reason}): convert it to "
            "JPEG or MP4, for example"
        )

    def _only_sound(self) -> InputError:
        return InputError(f"{self._name} has no film in it, only sound: give a film")

    def _encrypted_film(self) -> InputError:
        return InputError(
            f"{self._name} is encrypted (protected by DRM), and is not read without its key: give "
            "a film without protection"
        )

    def _choose_stream(self) -> Any:
        # FFmpeg's choice: what the file marks as default, before thumbnails and covers.
        stream = self._container.streams.best("video")
        if stream is None or _is_cover(stream):
            if self._missing:
                raise self._unreadable(None)
            raise self._only_sound()
        if stream.codec_context is None:
            raise InputError(
                f"{self._name} is a film in a format that PyAV cannot decode: convert it to H.264"
            )
        if stream.codec_context.codec_tag in _ENCRYPTED_TAGS or _KEY_OF_WEBM in stream.metadata:
            raise self._encrypted_film()
        self._format = stream.codec_context.format  # of its pixels; None: not known yet
        self._check_size(stream.codec_context.width, stream.codec_context.height)
        return stream

    def _choose_codec(self) -> Any:
        """Returns the decoder of the stream, which decodes on this thread.

        With several threads, FFmpeg returns a frame before it knows whether the frame is damaged.
        """
        codec = self._stream.codec_context
        with_alpha = _DECODERS_WITH_ALPHA.get(codec.name, "")
        if (
            self._stream.metadata.get("alpha_mode") == "1"
            and with_alpha in self._av.codecs_available
        ):
            codec = self._av.CodecContext.create(with_alpha, "r")
        # Also holds for later frames, which may have another size.
        codec.options = {"max_pixels": str(self._most_pixels())}
        if codec.name == "mjpeg":  # a frame that lacks data counts as damaged (see jpeg.py)
            codec.options = {**codec.options, "err_detect": "explode"}
        codec.thread_type, codec.thread_count = "NONE", 1
        return codec

    def _find_decode_times(self) -> list[Fraction] | None:
        """Returns an empty heap for the times of decoding, if the file has no times of display.

        AVI has none. With B-frames, frames are decoded in another order than they are shown in: the
        first frame that the decoder returns is shown at the smallest time, and so on.
        """
        out_of_order = self._container.format.name == "avi" and self._codec.has_b_frames
        return [] if out_of_order else None

    def _most_pixels(self) -> int:
        memory = _MEMORY_OF_SMALL_FILE
        if self._bytes >= _SMALL_FILE:
            memory = max(memory, self._bytes * _MEMORY_PER_BYTE)
        bits = self._format.padded_bits_per_pixel if self._format else _USUAL_BITS
        return min(_MOST_PIXELS, int(memory / (_BYTES_PER_PIXEL + _FRAMES_HELD * bits / 8)))

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._most_pixels():
            raise InputError(
                f"{self._name} has frames of {width}x{height} in {self._bytes} bytes, more than a "
                f"film has (at most {_MOST_PIXELS // 10**6} million pixels): scale it down"
            )

    def _read_first_packets(self) -> deque[Any]:
        self._packets = self._demux()
        return deque(itertools.islice(self._packets, _FIRST_PACKETS))

    def _find_rate(self) -> float:
        """Returns the usual rate. What containers state may be a default (WebM: 1000 Hz)."""
        unit = float(self._stream.time_base or 0)
        stamps = sorted(p.pts * unit for p in self._first_packets if p.pts is not None)
        steps = [b - a for a, b in itertools.pairwise(stamps) if b > a]
        stated = float(self._stream.average_rate or 0)
        if not steps:
            return stated if _RATES[0] <= stated <= 240 else _USUAL_RATE
        median = statistics.median(steps)
        # Stamps of whole milliseconds: the mean of similar steps is more accurate than the median.
        step = statistics.fmean(s for s in steps if 0.5 * median <= s <= 1.5 * median)
        if abs(stated * step - 1) < 0.003:
            return stated
        return min(max(1 / step, _RATES[0]), _RATES[1])

    def _demux(self) -> Iterator[Any]:
        """Yields the packets of the film, and at the end an empty one, which flushes the codec."""
        packets = self._container.demux(self._stream)
        while True:
            with errors_of_ffmpeg(self._av) as errors:
                try:
                    packet = next(packets)
                except StopIteration:
                    break
                except Exception:  # the container is damaged here; what was read is good
                    packet = None
            self._harmed |= packet is None or bool(errors) or packet.is_corrupt
            if packet is None:
                yield None
                break
            yield packet

    def _frames(self) -> Iterator[tuple[Image, Fraction | None]]:
        """Yields each frame and its time in the container, seconds; None if it has no time."""
        times = self._decode_times
        # Frames refer to others before. After damage they are wrong, up to the next key frame.
        wrong, damaged_at = False, None
        for packet in itertools.chain(self._first_packets, self._packets):
            if packet is not None and _is_encrypted(packet):
                self._encrypted += 1
                continue
            if times is not None and packet is not None and packet.dts is not None:
                heapq.heappush(times, packet.dts * packet.time_base)
            if packet is not None and packet.is_corrupt:
                wrong, damaged_at = True, packet.pts
            try:
                decoded = self._codec.decode(packet)
            except EOFError:
                continue
            except self._av.FFmpegError:
                self._damaged += 1
                wrong, damaged_at = True, packet.pts if packet is not None else None
                if times:
                    heapq.heappop(times)
                continue
            for frame in decoded:
                time = None if frame.pts is None else frame.pts * frame.time_base
                if times is not None:
                    time = heapq.heappop(times) if times else None
                wrong |= self._is_harmed() and self._gaps.before(time)
                self._gaps.add_decoded(time)
                later = damaged_at is None or frame.pts is None or frame.pts > damaged_at
                if frame.is_corrupt:
                    wrong, damaged_at = True, frame.pts
                elif frame.key_frame and later:
                    wrong = False
                if wrong:
                    self._damaged += 1
                    continue
                self._gaps.add(time)
                self._check_size(frame.width, frame.height)
                yield self._image_of(frame), time
        self._complete = True

    def _image_of(self, frame: Any) -> Image:
        """Returns a decoded frame as a player shows it: RGB uint8 [H, W, 3]."""
        if frame.format.name in _SIXTEEN_BIT_GRAY:
            values = self._bit_depth.convert(frame.to_ndarray(format="gray16le"))
            image = np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2RGB))
        elif any(part.is_alpha for part in frame.format.components):
            image = on_plain_ground(frame.to_ndarray(format="rgba"))
        else:
            image = frame.to_ndarray(format="rgb24")
        return self._turn_of(frame).apply(self._square_pixels(image))

    def _square_pixels(self, image: Image) -> Image:
        """Stretches the image where pixels are not square, as players do."""
        aspect = float(self._stream.sample_aspect_ratio or 1)
        if not 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT or abs(aspect - 1) < 0.005:
            return image
        height, width = image.shape[:2]
        size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        self._check_size(*size)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))

    def _turn_of(self, frame: Any) -> Turn:
        matrix = b""
        # Not frame.side_data, which refers to the frame: such a cycle keeps all frames in memory.
        # ValueError: a kind of data that PyAV does not know, such as EXIF of MJPEG.
        with contextlib.suppress(ValueError):
            for data in self._av.sidedata.sidedata.SideDataContainer(frame):
                if data.type.name == "DISPLAYMATRIX":
                    matrix = bytes(data)
        if matrix not in self._turns:
            self._turns[matrix] = turn_of_matrix(matrix)
        return self._turns[matrix]


class FrameGaps:
    """Counts the frames that are missing in a film of a steady rate, by the times of the others."""

    def __init__(self) -> None:
        self._times = array("d")
        self._recent: deque[float] = deque(maxlen=_STEADY_OVER)  # also of frames left out

    def add_decoded(self, time: Fraction | None) -> None:
        """Adds the time of the next frame, seconds, also if the frame is left out."""
        if time is not None:
            self._recent.append(float(time))

    def add(self, time: Fraction | None) -> None:
        """Adds the time of the next frame that is kept, seconds; None if it is not known."""
        if time is not None:
            self._times.append(float(time))

    def before(self, time: Fraction | None) -> bool:
        """Returns whether frames are missing before that of ``time``, the next that is decoded.

        Returns False where the rate is not steady.
        """
        usual = _steady_step(np.diff(np.array(self._recent)))
        if time is None or usual is None:
            return False
        return float(time) - self._recent[-1] > 1.5 * usual

    def missing(self) -> int:
        """Returns how many frames are missing; 0 if the rate is not steady."""
        steps = np.diff(np.array(self._times))
        usual = _steady_step(steps)
        if usual is None:
            return 0
        gaps = (steps > 1.5 * usual) & (steps < _LONGEST_GAP)
        return int((np.rint(steps / usual) - 1)[gaps].sum())


def _steady_step(steps: np.ndarray) -> float | None:
    """Returns the usual one of ``steps`` between frames; None if there are few, or they vary."""
    steps = steps[steps > 0]
    if len(steps) < _STEADY_FROM:
        return None
    usual = float(np.median(steps))
    steady = np.abs(steps - usual) <= max(0.1 * usual, 0.0015)
    return usual if steady.mean() >= _STEADY else None


def import_av(purpose: str) -> Any:
    """Returns the module av. ``purpose`` begins the message of the MissingDependencyError."""
    try:
        import av
        import av.logging
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} with PyAV, which is not installed ({error}): pip install av"
        ) from error
    return av


def open_container(av: Any, file: BinaryIO, kind: str | None = None) -> Any:
    """Opens the container of a film with PyAV. Raises what PyAV raises, and ValueError.

    FFmpeg must open nothing but ``file``: other containers name files and addresses. ``kind`` is
    its name of the container, if it is known.
    """
    check_picture_list(file)
    file.seek(0)
    return av.open(
        NamelessFile(file),
        format=kind,
        buffer_size=1 << 18,
        metadata_errors="replace",
        container_options={"format_whitelist": ",".join(_CONTAINERS), "protocol_whitelist": ""},
    )


def _is_encrypted(packet: Any) -> bool:
    """Returns whether a packet of an MP4 file is encrypted (CENC)."""
    # PyAV 14.0 cannot tell: such a film then has no frame that can be decoded.
    asked = getattr(packet, "has_sidedata", None)
    return asked is not None and bool(asked("encryption_info"))


def is_sound(start: bytes) -> bool:
    """Returns whether a file that starts with these 12 bytes or more has sound only.

    >>> is_sound(b"RIFF....WAVEfmt "), is_sound(b"RIFF....AVI LIST")
    (True, False)
    """
    return start.startswith(_SOUNDS) or start[8:12] in _SOUNDS_OF_FORM


def _is_cover(stream: Any) -> bool:
    """Returns whether a stream is the picture on the cover of a piece of music."""
    flags: Any = getattr(stream, "disposition", 0)
    return bool(flags) and bool(flags & type(flags).attached_pic)
