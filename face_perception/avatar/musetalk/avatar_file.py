"""Reads and writes avatar files: everything that MuseTalk needs of a face, prepared in advance.

An avatar file is a zip archive of PNGs, arrays without pickle, and a sealed ``avatar.yaml`` with
the hashes of all members.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from face_perception.avatar.musetalk.blending import Blender, Box, crop_box
from face_perception.errors import InputError
from face_perception.files import add_seal, check_seal, write_atomically
from face_perception.inference import catalogue
from face_perception.types import FloatArray, Image

FORMAT = 1
VERSIONS = ("1.5", "1.0")
# Both models come from one file of weights, so the card of either states its hash.
_AUTOENCODERS = ("musetalk_vae_encoder", "musetalk_vae_decoder")
_UNET = "musetalk_unet"
_CONTENT, _BOXES, _LATENTS = "avatar.yaml", "boxes.npy", "latents.npy"
_MOST = 1 << 30  # largest size of a member, bytes: a small file must not fill the memory
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
    path = Path(path).expanduser()
    try:
        with zipfile.ZipFile(path) as archive:
            content = _read_content(path, archive)
            members = {
                name: _verified_member(path, archive, name, sha256)
                for name, sha256 in content["sha256"].items()
            }
    except OSError as error:
        raise AvatarError(f"avatar {path}: {error.strerror or error}: {_AGAIN}") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise AvatarError(
            f"avatar {path} is not an avatar file, or is truncated ({error}): copy it again, or "
            f"{_AGAIN}"
        ) from error
    try:
        avatar = _build_avatar(content, members)
    except (KeyError, TypeError, ValueError) as error:
        raise AvatarError(f"avatar {path} is inconsistent ({error}): {_AGAIN}") from error
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
    try:
        data = _read_member(path, archive, _CONTENT)
    except KeyError as error:
        raise AvatarError(f"avatar {path} is a zip archive without {_CONTENT}: {_AGAIN}") from error
    try:
        text = data.decode()
        content = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise AvatarError(f"avatar {path}: {_CONTENT} was modified: {_AGAIN}") from error
    # The format is checked before the seal: another format may be sealed in another way.
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found != FORMAT:
        raise AvatarError(
            f"avatar {path} has format {found}, but this face_perception reads format {FORMAT}: "
            + (_AGAIN if found < FORMAT else f"update face_perception, or {_AGAIN}")
        )
    if check_seal(text) is None or not isinstance(content, dict):
        raise AvatarError(f"avatar {path}: {_CONTENT} was modified: {_AGAIN}")
    return content


def _verified_member(path: Path, archive: zipfile.ZipFile, name: str, sha256: str) -> bytes:
    try:
        data = _read_member(path, archive, name)
    except KeyError as error:
        raise AvatarError(f"avatar {path} lacks {name}: {_AGAIN}") from error
    except zipfile.BadZipFile as error:
        raise AvatarError(f"avatar {path}: {name} was modified: {_AGAIN}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise AvatarError(f"avatar {path}: {name} was modified: {_AGAIN}")
    return data


def _read_member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MOST:
        raise AvatarError(f"avatar {path}: {name} is larger than 1 GB: {_AGAIN}")
    return archive.read(name)


def _build_avatar(content: dict[str, Any], members: dict[str, bytes]) -> Avatar:
    count = int(content["count"])
    boxes: npt.NDArray[np.int64] = _load_array(members[_BOXES])
    latents = _load_array(members[_LATENTS])
    if boxes.shape != (count, 4) or latents.shape != (count, 8, 32, 32) or not count:
        raise InputError(f"{count} pictures, but {len(boxes)} boxes and {len(latents)} latents")
    if latents.dtype != np.float32 or not np.isfinite(latents).all():
        raise InputError("the latents are not finite float32 values")
    if content["version"] not in VERSIONS:
        raise InputError(f"unknown MuseTalk version {content['version']!r}")
    pictures, masks = [], []
    for k in range(count):
        picture = _decode_png(members[_member_name("picture", k)], cv2.IMREAD_COLOR)
        pictures.append(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))
        masks.append(_decode_png(members[_member_name("mask", k)], cv2.IMREAD_GRAYSCALE))
    if len({picture.shape for picture in pictures}) > 1:
        raise InputError("the pictures have different sizes")
    left, top, right, bottom = boxes.T.tolist()
    return Avatar(
        tuple(pictures),
        tuple(zip(left, top, right, bottom, strict=True)),
        tuple(masks),
        latents,
        float(content["fps"]),
        str(content["version"]),
        str(content["autoencoder"]),
        str(content["source"]),
    )


def _member_name(what: str, number: int) -> str:
    return f"{what}/{number:05d}.png"


def _array_bytes(values: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _load_array(data: bytes) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return values


def _encode_png(picture: npt.NDArray[np.generic]) -> bytes:
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise OSError("OpenCV cannot write a PNG")
    return bytes(data.tobytes())


def _decode_png(data: bytes, flags: int) -> Image:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if picture is None:
        raise InputError("a picture cannot be decoded")
    return np.asarray(picture, np.uint8)
