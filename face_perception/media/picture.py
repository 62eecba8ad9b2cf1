"""Decodes pictures: JPEG, PNG, GIF, WebP, TIFF, AVIF, BMP, JPEG 2000 and the PNM formats.

Pillow decodes them, because it reads the size first, reports damage, and knows all frames and the
orientation, whatever the version of OpenCV. OpenCV decodes only colour pictures of 16 bits a
channel, which Pillow reduces to 8.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import UnidentifiedImageError, features

from face_perception.errors import InputError
from face_perception.media.alpha import on_plain_ground
from face_perception.media.closable import Closable
from face_perception.media.eight_bits import looks_like_depth, to_eight_bits
from face_perception.media.jpeg import jpeg_complete, jpeg_runs_out, unusual_jpeg
from face_perception.media.orientation import turn_of_tag
from face_perception.types import Image

# Largest number of pixels, 300 MB once decoded. Above the second, a picture must have at least a
# byte for each 100 pixels: it is a decompression bomb otherwise. Photographs have 10 to 100 times
# that.
MOST_PIXELS = 100_000_000
_PIXELS_OF_ANY_FILE = 12_000_000
_PIXELS_PER_BYTE = 100

# Pillow's names. Others are left out, because they start programs (EPS), have no signature, or
# have no use here.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF", "BMP", "DIB", "JPEG2000", "PPM", "SUN")
# Names of formats in messages, where they are not Pillow's.
_PILLOW_NAMES = {"WebP": "WEBP", "JPEG 2000": "JPEG2000", "PNM": "PPM", "Sun raster": "SUN"}
# Signatures at the start of files, and what they are. Formats that are not read are refused by
# name, and a file that cannot be decoded is called damaged instead of unknown.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (12, b"CgBI", "PNG of iPhone apps (CgBI)"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (8, b"CR\x02", "camera raw (CR2)"),
    (0, b"IIRO", "camera raw (ORF)"),
    (0, b"IIU\0", "camera raw (RW2)"),
    (0, b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),  # BigTIFF
    (0, b"MM\0+", "TIFF"),
    (0, b"BM", "BMP"),
    (4, b"jP  \r\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),  # without a container
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "SVG or other XML"),
)
# Brands in the first box of an ISO base media file that is a picture.
_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"hevc", b"mif1", b"msf1"),
    "camera raw (CR3)": (b"crx ",),
}
_NOT_READ = {
    *("HEIC", "JPEG XL", "Photoshop", "OpenEXR", "Radiance HDR", "PDF", "SVG", "SVG or other XML"),
    *(f"camera raw ({kind})" for kind in ("CR2", "CR3", "ORF", "RAF", "RW2")),
    "PNG of iPhone apps (CgBI)",
}
# Tags of TIFF.
_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _PARTS, _DNG_VERSION = 254, 258, 262, 330, 50706
# Formats whose decoders take zeros for data: a picture whose last part was never written, because a
# download or a memory card failed, is read with a plain area. A good picture ends in zeros for at
# most 5 % of the file (WebP, one colour; n = 27, of all qualities).
_ZEROS_ARE_DATA = ("WebP", "AVIF")
_MOST_ZEROS = 1 / 8  # share of the file
# Formats that a Pillow may lack, and their names for ``features.check``.
_FEATURES = {"AVIF": "avif", "WebP": "webp", "JPEG 2000": "jpg_2000"}
_JPEG_HEADERS = 1 << 20  # bytes in which the kind of a JPEG picture is searched
# Seconds of a frame whose file states none, or too little: what browsers use.
_FRAME_SECONDS = 0.1

# This module checks the size itself, before decoding, and reports damage as one error.
warnings.filterwarnings("ignore", category=Pillow.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def format_of(start: bytes) -> str:
    """Returns the format of a picture, given its first 64 bytes; empty if it is not a picture.

    >>> format_of(b"GIF89a"), format_of(b"RIFF????AVI LIST")
    ('GIF', '')
    """
    if start[4:8] == b"ftyp":
        box = start[8 : int.from_bytes(start[:4], "big")]
        brands = {box[:4], *(box[at : at + 4] for at in range(8, len(box), 4))}
        return next((name for name, own in _BRANDS.items() if brands & set(own)), "")
    if start[:1] == b"P" and start[1:2] in b"1234567fFy" and start[2:3].isspace():
        return "PNM"
    return next((name for at, sign, name in _SIGNATURES if start.startswith(sign, at)), "")


class Picture(Closable):
    """A picture of one or more frames, opened but not decoded. Close it, or use it in ``with``.

    ``still`` is true for one frame. ``count`` is the number of frames. ``name`` is for messages.
    ``fix`` says what to do if it is damaged. Raises InputError, which gives the name, the reason
    and the fix, if it is not a picture, of a format that is not read, of more pixels than a picture
    of its size in bytes has, or damaged.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        formats: tuple[str, ...] = FORMATS,
        fix: str = "copy or record it again",
    ) -> None:
        self._file, self._name, self._fix = file, name, fix
        file.seek(0, os.SEEK_END)
        self._bytes = file.tell()
        file.seek(0)
        start = file.read(64)
        file.seek(0)
        self.format = format_of(start)
        if self.format in _NOT_READ:
            raise InputError(
                f"{name} is a picture in the format {self.format}, which is not read: convert it "
                "to JPEG or PNG"
            )
        if self.format and _PILLOW_NAMES.get(self.format, self.format) not in formats:
            raise InputError(
                f"{name} is a picture in the format {self.format}, which is not read here: convert "
                "it to JPEG or PNG"
            )
        with self._errors():
            Pillow.init()
            self._image = Pillow.open(file, formats=[f for f in formats if f in Pillow.OPEN])
            self._check_size()
            self._check_end()
            # Pillow keeps 8 of the 16 bits of colours. ``tile`` says so; ``load`` empties it.
            self._deep = not self._image.mode.startswith("I") and ";16" in str(self._image.tile)
            self._skip = int(bool(self._image.info.get("default_image")))  # APNG: not a frame
            self.count = self._frame_count()
        self.still = self.count == 1
        if self._image.format == "TIFF" and not self.still:
            raise InputError(
                f"{name} has {self.count} pages: save each page as a picture, for example with "
                "tiffsplit"
            )

    def close(self) -> None:
        self._image.close()

    def image(self) -> Image:
        """Decodes a still: RGB uint8 [H, W, 3], upright, on a plain ground where transparent.

        Raises InputError if the picture is animated or damaged, is fully transparent, or is a depth
        image.
        """
        if not self.still:
            raise InputError(
                f"{self._name} is animated ({self.count} frames), not a still: save one frame of "
                "it as a picture"
            )
        with self._errors():
            return self._decode()

    def frames(self) -> Iterator[tuple[Image, float]]:
        """Yields the frames, as ``image`` returns them, and for how many seconds each is shown.

        Raises InputError as ``image`` does.
        """
        for number in range(self.count):
            with self._errors():
                if not self.still:
                    self._image.seek(number + self._skip)
                    self._check_size()  # a frame of a GIF may enlarge it
                image = self._decode()
                shown = float(self._image.info.get("duration") or 0) / 1000
            yield image, shown if shown > 0.01 else _FRAME_SECONDS

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns any failure into InputError. Pillow raises many types for damaged files."""
        try:
            yield
        except InputError as error:
            named = str(error).startswith(self._name)
            raise InputError(str(error) if named else f"{self._name}: {error}") from error
        except Exception as error:
            if not self.format:
                raise InputError(
                    f"{self._name} is not a picture that can be read: give a JPEG or PNG"
                ) from error
            if self.format in _FEATURES and not features.check(_FEATURES[self.format]):
                raise InputError(
                    f"{self._name} is a picture in the format {self.format}, which this Pillow "
                    "cannot read: pip install --upgrade Pillow, or convert it to JPEG"
                ) from error
            if isinstance(error, Pillow.DecompressionBombError):
                raise self._too_large("") from error
            if self.format == "JPEG" and (kind := self._kind_of_jpeg()):
                raise InputError(
                    f"{self._name} is a {kind} JPEG, which is not read: convert it to a baseline "
                    "JPEG or PNG"
                ) from error
            if isinstance(error, UnidentifiedImageError):
                raise InputError(
                    f"{self._name} is damaged or cut off, or of a kind of {self.format} that is "
                    f"not read: convert it to JPEG or PNG, or {self._fix}"
                ) from error
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{self._name} is damaged or cut off: it starts like a picture ({self.format}), "
                f"but cannot be decoded ({reason}): {self._fix}"
            ) from error

    def _too_large(self, size: str) -> InputError:
        return InputError(
            f"{self._name} has {size or 'far too many'} pixels in {self._bytes} bytes, more than a "
            f"picture has (at most {MOST_PIXELS // 10**6} million): scale it down"
        )

    def _check_size(self) -> None:
        width, height = self._image.size
        most = max(_PIXELS_OF_ANY_FILE, _PIXELS_PER_BYTE * self._bytes)
        if width * height > min(most, MOST_PIXELS):
            raise self._too_large(f"{width}x{height}")

    def _check_end(self) -> None:
        """Raises InputError if the last part of the file was never written."""
        if self.format not in _ZEROS_ARE_DATA:
            return
        end = self._bytes
        if self.format == "WebP":
            self._file.seek(4)
            end = min(end, 8 + int.from_bytes(self._file.read(4), "little"))
        start = int(end * (1 - _MOST_ZEROS))
        self._file.seek(start)
        if not any(self._file.read(end - start)):
            raise InputError(
                f"{self._name} is damaged: its last part is only zeros, as a failed download or "
                f"copy leaves it: {self._fix}"
            )

    def _kind_of_jpeg(self) -> str:
        self._file.seek(0)
        return unusual_jpeg(self._file.read(_JPEG_HEADERS))

    def _frame_count(self) -> int:
        count = int(getattr(self._image, "n_frames", 1)) - self._skip
        if self._image.format == "MPO":  # further views of the same still
            return 1
        if self._image.format == "TIFF":
            # Pages may be smaller copies of the first, or masks (tag NewSubfileType).
            pages, raw = 0, False
            for number in range(count):
                self._image.seek(number)
                tags = _tags_of(self._image)
                pages += not int(tags.get(_SUBFILE_TYPE, 0)) & 5
                raw |= _PARTS in tags or _DNG_VERSION in tags
            self._image.seek(0)
            if raw and not pages:
                raise InputError(
                    "only a small preview of it can be read, as of the raw files of cameras: "
                    "convert it to JPEG or PNG"
                )
            return max(pages, 1)
        return max(count, 1)

    def _decode(self) -> Image:
        image = self._image
        jpeg = b""
        if image.format in ("JPEG", "MPO"):
            self._file.seek(0)
            jpeg = self._file.read()
            if not jpeg_complete(jpeg):
                raise self._cut_off()
        image.load()
        if jpeg:
            last: Any = image.getpixel((image.width - 1, image.height - 1))
            if jpeg_runs_out(jpeg, last if isinstance(last, tuple) else (last,)):
                raise self._cut_off()
        turned = image.format == "TIFF" and _pillow_turns_tiff()
        orientation = None if turned else _orientation_of(image)
        values = self._sixteen_bit_colours() if self._deep and self.still else _values_of(image)
        if values.ndim == 2 and values.dtype == np.uint16:
            values = _from_deep_gray(values, image.info.get("transparency"))
        values = to_eight_bits(values)
        if self.still and values.ndim == 3 and values.shape[2] == 4 and not values[..., 3].any():
            raise InputError("it is fully transparent: save it without an alpha channel")
        return np.ascontiguousarray(turn_of_tag(orientation).apply(to_rgb(values)))

    def _cut_off(self) -> InputError:
        return InputError(f"{self._name} is cut off: part of its data is missing: {self._fix}")

    def _sixteen_bit_colours(self) -> npt.NDArray[Any]:
        """Returns gray [H, W] uint16, or RGB or RGBA uint8 [H, W, 3 or 4]."""
        self._file.seek(0)
        data = np.frombuffer(self._file.read(), np.uint8)
        # Only IMREAD_UNCHANGED keeps 16 bits; it does not turn the picture.
        decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise InputError(
                "its colours have 16 bits a channel, which OpenCV cannot read from this file: "
                "convert it to 8 bits"
            )
        if decoded.ndim == 2:
            return np.asarray(decoded)
        colours = to_eight_bits(decoded[..., :3])[..., ::-1]
        if decoded.shape[2] == 3:
            return np.ascontiguousarray(colours)
        return np.dstack([colours, to_eight_bits(decoded[..., 3])])


def decode_picture(
    data: bytes,
    name: str,
    formats: tuple[str, ...] = FORMATS,
    fix: str = "copy or record it again",
) -> Image:
    """Decodes the bytes of a still picture to RGB uint8 [H, W, 3], as ``Picture.image`` does.

    ``name`` says in messages what the bytes are, and ``fix`` what to do if they are damaged. Raises
    InputError as ``Picture`` does.

    >>> decode_picture(b"P5 1 1 255 \x07", "this picture").tolist()
    [[[7, 7, 7]]]
    """
    with Picture(io.BytesIO(data), name, formats, fix) as picture:
        return picture.image()


def to_rgb(values: npt.NDArray[np.uint8]) -> Image:
    """Returns RGB uint8 [H, W, 3] of gray [H, W], RGB or RGBA [H, W, 3 or 4] uint8.

    What is transparent becomes gray, as if it were not there.
    """
    if values.ndim == 2:
        return np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2RGB))
    return on_plain_ground(values) if values.shape[2] == 4 else values


@functools.cache
def _pillow_turns_tiff() -> bool:
    """Returns whether this Pillow turns TIFF pictures itself: 9.1 does not, 9.3 does."""
    data = io.BytesIO()
    Pillow.fromarray(np.array([[0, 255]], np.uint8)).save(data, "TIFF", tiffinfo={274: 3})
    with Pillow.open(data) as image:
        return bool(image.getpixel((0, 0)) == 255)


def _orientation_of(image: Any) -> object:
    try:
        return image.getexif().get(0x0112)
    except Exception:  # damaged EXIF: viewers ignore it, too
        return None


def _tags_of(image: Any) -> Any:
    """Returns the tags of a page of TIFF, by number; none for other formats."""
    return getattr(image, "tag_v2", {})


def _from_deep_gray(values: npt.NDArray[np.uint16], key: object) -> npt.NDArray[np.uint8]:
    """Returns gray [H, W], or RGBA [H, W, 4] if ``key`` is the value of transparent pixels.

    Pillow applies such a key to 8 bits only. Raises InputError for a depth image.
    """
    if isinstance(key, int):
        gray = to_eight_bits(values)
        return np.dstack([gray, gray, gray, np.where(values == key, 0, 255).astype(np.uint8)])
    if looks_like_depth(values):
        raise InputError(
            "it looks like a depth image (16 bits, with holes): give the colour or infrared "
            "picture, or convert it to 8 bits"
        )
    return to_eight_bits(values)


def _values_of(image: Any) -> npt.NDArray[Any]:
    """Returns the decoded values: gray [H, W], RGB or RGBA [H, W, 3 or 4]."""
    if image.mode in ("PA", "LA", "La", "RGBa") or (
        image.mode in ("P", "RGB", "L", "1") and "transparency" in image.info
    ):
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "I", "F", "RGB", "RGBA") and not image.mode.startswith("I;16"):
        image = image.convert("RGB")
    values = np.array(image)
    if image.mode.startswith("I;16") and _tags_of(image).get(_PHOTOMETRIC) == 0:  # 0 is white
        values = (1 << int(_tags_of(image)[_BITS][0])) - 1 - values
    # Older versions of Pillow read gray of 16 bits as int32.
    sixteen = values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535
    return values.astype(np.uint16) if values.dtype.itemsize > 1 and sixteen else values
