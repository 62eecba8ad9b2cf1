"""Reads and writes avatar files: everything that MuseTalk needs of a face, prepared in advance.

An avatar file is a zip archive of PNGs, arrays without pickle, and a sealed ``avatar.yaml`` with
the hashes of all members.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from face_perception.avatar.musetalk.blending import Blender, Box, crop_box
from face_perception.errors import InputError, one_line, shortened
from face_perception.files import add_seal, check_seal, open_regular, write_atomically
from face_perception.inference import catalogue
from face_perception.media import decode_picture
from face_perception.outside_files import (
    check_archive,
    one_error,
    parse_array,
    parse_yaml,
    refuse_stand_in,
)
from face_perception.paths import expanded
from face_perception.types import FloatArray, Image

FORMAT = 1
VERSIONS = ("1.5", "1.0")
# Both models come from one file of weights, so the card of either states its hash.
_AUTOENCODERS = ("musetalk_vae_encoder", "musetalk_vae_decoder")
_UNET = "musetalk_unet"
_CONTENT, _BOXES, _LATENTS = "avatar.yaml", "boxes.npy", "latents.npy"
# What the decoded pictures may take: so many bytes in any case, and so many times the size of the
# file. Photographs shrink to a third as PNG, drawings to a twentieth.
_FREE_MEMORY, _LARGEST_RATIO = 64 << 20, 50
_MOST_PIXELS, _HIGHEST_FPS = 8192, 240
_FARTHEST = 4  # how far a face box may reach, in sizes of the picture
_FORMAT_LINE = re.compile(r"^format: (\d{1,9})$", re.MULTILINE)
_AGAIN = "prepare it again with `face-perception avatar prepare`"


class AvatarError(InputError):
    """Raised for an avatar file that cannot be used; the text names the file and the fix."""


@dataclass(frozen=True, slots=True)
class Avatar:
    """A face in F pictures that are shown forwards and backwards.

    - ``pictures``: RGB uint8 [H, W, 3], all of the same size, at ``fps`` pictures per second.
    - ``boxes``: the part that the networks see, (left, top, right, bottom) in pixels; it may extend
      beyond the picture.
    - ``masks``: uint8 [h, w] of ``crop_box(box)``, 255 where the generated face replaces the
      picture.
    - ``latents``: float32 [F, 8, 32, 32]: the masked face, then the whole face, scaled.
    - ``version``: the MuseTalk version whose rules boxes and masks follow.
    - ``autoencoder``: hash of the weights that made the latents; "" if unknown.
    - ``source``: name of the picture or clip.

    Usually ``prepare_avatar`` makes it. After ``face-perception import musetalk``:

    >>> from face_perception.avatar import FaceEncoder, prepare_avatar
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     pictures = [frame.image for frame in clip] * 2
    >>> avatar = prepare_avatar(pictures, FaceEncoder.load(), source="astronaut")
    >>> avatar.size, avatar.latents.shape
    ((512, 512), (2, 8, 32, 32))
    >>> [avatar.picture_index(number) for number in range(5)]
    [0, 1, 1, 0, 0]
    """

    pictures: tuple[Image, ...]
    boxes: tuple[Box, ...]
    masks: tuple[Image, ...]
    latents: FloatArray
    fps: float
    version: str
    autoencoder: str
    source: str

    @property
    def size(self) -> tuple[int, int]:
        """Returns width and height of the pictures, pixels."""
        height, width = self.pictures[0].shape[:2]
        return width, height

    def picture_index(self, number: int) -> int:
        """Returns the picture of frame ``number``: forwards, then backwards, both ends twice."""
        return cycle_index(number, len(self.pictures))

    def blenders(self) -> list[Blender]:
        """Returns, for each picture, a blender that puts a generated face into it."""
        return [
            Blender.create(picture.shape, box, crop_box(box), mask)
            for picture, box, mask in zip(self.pictures, self.boxes, self.masks, strict=True)
        ]


def cycle_index(number: int, count: int) -> int:
    """Returns 0, 1, … count - 1, count - 1, … 1, 0, 0, 1, … for numbers from 0, as in MuseTalk."""
    at = number % (2 * count)
    return at if at < count else 2 * count - 1 - at


def installed_autoencoder_hash() -> str:
    """Returns the hash of the installed autoencoder's weights; "" if none is installed or its card
    states no hash.

    Raises ModelError if a card of the package is damaged.
    """
    cards = catalogue()
    for name in _AUTOENCODERS:
        if name in cards:
            found = re.search(r"sha256 ([0-9a-f]{64})", cards[name].origin)
            return found[1] if found else ""
    return ""


def installed_unet_version() -> str:
    """Returns the MuseTalk version of the installed UNet; "" if none is installed or its card
    states no version.

    Raises ModelError if a card of the package is damaged.
    """
    card = catalogue().get(_UNET)
    return str(card.facts.get("version", "")) if card else ""


def save_avatar(path: Path, avatar: Avatar) -> None:
    """Writes an avatar file. A failed write leaves no partial file. Raises OSError.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from face_perception.avatar import Avatar, crop_box, load_avatar, save_avatar
    >>> box = (8, 8, 24, 24)
    >>> left, top, right, bottom = crop_box(box)
    >>> avatar = Avatar(
    ...     pictures=(np.zeros((32, 32, 3), np.uint8),),
    ...     boxes=(box,),
    ...     masks=(np.zeros((bottom - top, right - left), np.uint8),),
    ...     latents=np.zeros((1, 8, 32, 32), np.float32),
    ...     fps=25.0,
    ...     version="1.5",
    ...     autoencoder="",
    ...     source="me.png",
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_avatar(Path(folder) / "me.avatar", avatar)
    ...     loaded = load_avatar(Path(folder) / "me.avatar")
    >>> loaded.size, loaded.source, bool((loaded.latents == avatar.latents).all())
    ((32, 32), 'me.png', True)
    """
    members = {
        _BOXES: _array_bytes(np.array(avatar.boxes, np.int64)),
        _LATENTS: _array_bytes(avatar.latents.astype(np.float32)),
    }
    for k, (picture, mask) in enumerate(zip(avatar.pictures, avatar.masks, strict=True)):
        members[_member_name("picture", k)] = _encode_png(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        members[_member_name("mask", k)] = _encode_png(mask)
    content = {
        "format": FORMAT,
        "version": avatar.version,
        "source": avatar.source,
        "fps": float(avatar.fps),
        "count": len(avatar.pictures),
        "autoencoder": avatar.autoencoder,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_CONTENT, add_seal(yaml.safe_dump(content, sort_keys=False)))
        for name, data in members.items():
            archive.writestr(name, data)
    write_atomically(path, buffer.getvalue())


def load_avatar(
    path: str | Path, *, autoencoder: str | None = None, version: str | None = None
) -> Avatar:
    """Reads an avatar file and verifies every member. See ``save_avatar`` for an example.

    - ``autoencoder``: hash of the weights that will decode (``installed_autoencoder_hash``). An
      avatar made with other weights is refused: its generated face would be noise.
    - ``version``: MuseTalk version of the UNet (``installed_unet_version``). An avatar of another
      version is refused: it crops and blends the face by other rules.

    "" or None skips a comparison. Raises AvatarError, which names the file and the fix.
    """
    path = expanded(path)
    with one_error(f"avatar {path}", f"copy it again, or {_AGAIN}", AvatarError):
        with open_regular(path) as file:
            refuse_stand_in(file.read(100))
            size = file.seek(0, os.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                check_archive(archive, size)
                content = _read_content(path, archive)
                members = {
                    name: _verified_member(path, archive, name, sha256)
                    for name, sha256 in content["sha256"].items()
                }
        avatar = _build_avatar(content, members, size)
    prepared_with = avatar.autoencoder
    if autoencoder and prepared_with and autoencoder != prepared_with:
        raise AvatarError(
            f"avatar {path} was prepared with other weights of the autoencoder (sha256 "
            f"{prepared_with[:12]}…, installed is {autoencoder[:12]}…): {_AGAIN}, or import the "
            "weights that it was prepared with"
        )
    if version and version != avatar.version:
        raise AvatarError(
            f"avatar {path} was prepared for MuseTalk {avatar.version}, but the imported UNet is "
            f"MuseTalk {version}, which crops and blends the face by other rules: prepare it again "
            f"with `face-perception avatar prepare {avatar.source} -o {path} --version {version}`, "
            f"or import the UNet of {avatar.version} with `face-perception import musetalk … "
            f"--version {avatar.version}`"
        )
    return avatar


def _read_content(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if _CONTENT not in archive.namelist():
        raise AvatarError(f"avatar {path} is a zip archive without {_CONTENT}: {_AGAIN}")
    with one_error(f"avatar {path}: {_CONTENT}", _AGAIN, AvatarError):
        data = archive.read(_CONTENT)
    text = data.decode(errors="replace")
    # The format is checked before the seal: another format may be sealed in another way.
    found = _FORMAT_LINE.search(text)
    if found and int(found[1]) != FORMAT:
        raise AvatarError(
            f"avatar {path} has format {found[1]}, but this face_perception reads format {FORMAT}: "
            + (_AGAIN if int(found[1]) < FORMAT else f"update face_perception, or {_AGAIN}")
        )
    with one_error(f"avatar {path}: {_CONTENT}", _AGAIN, AvatarError):
        content = parse_yaml(text) if check_seal(text) is not None else None
    if not isinstance(content, dict) or not isinstance(content.get("sha256"), dict):
        raise AvatarError(f"avatar {path}: {_CONTENT} was modified: {_AGAIN}")
    return content


def _verified_member(path: Path, archive: zipfile.ZipFile, name: str, sha256: str) -> bytes:
    try:
        data = archive.read(name)
    except KeyError as error:
        raise AvatarError(f"avatar {path} lacks {one_line(name, 80)}: {_AGAIN}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise AvatarError(f"avatar {path}: {one_line(name, 80)} was modified: {_AGAIN}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise AvatarError(f"avatar {path}: {name} was modified: {_AGAIN}")
    return data


def _build_avatar(content: dict[str, Any], members: dict[str, bytes], size: int) -> Avatar:
    """Returns the avatar of a file of ``size`` bytes. Raises several types if it is inconsistent.

    Everything is checked before a picture is decoded, because a small PNG can be a huge picture.
    """
    count, fps = content["count"], content["fps"]
    if type(count) is not int or count < 1:
        raise InputError(f"count is {shortened(count)}, not a number of pictures")
    if type(fps) not in (int, float) or not 0 < fps <= _HIGHEST_FPS:
        raise InputError(f"fps is {shortened(fps)}, not a number from 0 to {_HIGHEST_FPS}")
    if content["version"] not in VERSIONS:
        raise InputError(f"unknown MuseTalk version {shortened(content['version'])}")
    boxes = parse_array(members[_BOXES])
    latents = parse_array(members[_LATENTS])
    if boxes.shape != (count, 4) or latents.shape != (count, 8, 32, 32):
        raise InputError(
            f"{count} pictures, but boxes of shape {boxes.shape} and latents of {latents.shape}"
        )
    if latents.dtype != np.float32 or not np.isfinite(latents).all():
        raise InputError("the latents are not finite float32 values")
    if boxes.dtype != np.int64:
        raise InputError("the boxes are not whole numbers")
    left, top, right, bottom = boxes.T.tolist()
    faces = tuple(zip(left, top, right, bottom, strict=True))
    pictures = [members[_member_name("picture", k)] for k in range(count)]
    masks = [members[_member_name("mask", k)] for k in range(count)]
    sizes = {_png_size(picture) for picture in pictures}
    if len(sizes) > 1:
        raise InputError("the pictures have different sizes")
    width, height = sizes.pop()
    for box, mask in zip(faces, masks, strict=True):
        _check_box(box, width, height, _png_size(mask))
    crops = [crop_box(face) for face in faces]
    needed = count * width * height * 3 + sum((c[2] - c[0]) * (c[3] - c[1]) for c in crops)
    if needed > _FREE_MEMORY + _LARGEST_RATIO * size:
        raise InputError(f"its pictures would take {needed >> 20} MB")
    return Avatar(
        tuple(decode_picture(data, "a picture", ("PNG",)) for data in pictures),
        faces,
        tuple(_decode_mask(data) for data in masks),
        latents,
        float(fps),
        str(content["version"]),
        str(content["autoencoder"]),
        str(content["source"]),
    )


def _check_box(box: Box, width: int, height: int, mask: tuple[int, int]) -> None:
    """Raises InputError for a face box that is empty, absurd, or not that of the mask.

    ``width`` and ``height`` are those of the picture, and ``mask`` those of the mask.
    """
    left, top, right, bottom = box
    reach = _FARTHEST * max(width, height)
    if not (-reach < left < right < reach and -reach < top < bottom < reach):
        raise InputError(f"the face box {box} does not fit pictures of {width}x{height}")
    crop = crop_box(box)
    if mask != (crop[2] - crop[0], crop[3] - crop[1]):
        raise InputError(f"a mask of {mask[0]}x{mask[1]} does not fit the face box {box}")


def _member_name(what: str, number: int) -> str:
    return f"{what}/{number:05d}.png"


def _array_bytes(values: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _encode_png(picture: npt.NDArray[np.generic]) -> bytes:
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise OSError("OpenCV cannot write a PNG")
    return bytes(data.tobytes())


def _png_size(data: bytes) -> tuple[int, int]:
    """Returns width and height from the header of a PNG. Raises InputError for anything else."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 24:
        raise InputError("a picture is not a PNG")
    width, height = struct.unpack(">II", data[16:24])
    if not (0 < width <= _MOST_PIXELS and 0 < height <= _MOST_PIXELS):
        raise InputError(f"a picture of {width}x{height} is larger than {_MOST_PIXELS} pixels")
    return width, height


def _decode_mask(data: bytes) -> Image:
    rgb = decode_picture(data, "a mask", ("PNG",))
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
