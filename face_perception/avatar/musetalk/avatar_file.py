"""A prepared avatar: what MuseTalk needs of a face, made once, and the one file that it is kept in.

The file is a zip of PNGs, arrays without pickle, and a sealed ``avatar.yaml`` with all hashes.
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
# Which of the models says what weights the latents belong to: both are made of one file.
_AUTOENCODERS = ("musetalk_vae_encoder", "musetalk_vae_decoder")
_UNET = "musetalk_unet"
_CONTENT, _BOXES, _LATENTS = "avatar.yaml", "boxes.npy", "latents.npy"
_MOST = 1 << 30  # bytes of a member, so that a small file cannot fill the memory
_AGAIN = "prepare it again with `face-perception avatar prepare`"


class AvatarError(InputError):
    """A file that is no avatar for this installation: which one, what is wrong, and the fix."""


@dataclass(frozen=True, slots=True)
class Avatar:
    """A face in F pictures, shown forwards and backwards.

    - ``pictures``: RGB uint8 [H, W, 3], all of one size; ``fps`` of them a second.
    - ``boxes``: the face that the networks see, in pixels; it may leave the picture.
    - ``masks``: uint8 [h, w] of ``crop_box(box)``, 255 where the generated face is laid over.
    - ``latents``: float32 [F, 8, 32, 32], masked face, then whole, scaled.
    - ``version``: of MuseTalk, whose conventions boxes and masks follow.
    - ``autoencoder``: hash of the weights that made the latents; "" where the model does not say.
    - ``source``: the name of the picture or clip.
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
        """Width and height of the pictures."""
        height, width = self.pictures[0].shape[:2]
        return width, height

    def picture_index(self, number: int) -> int:
        """Which picture is frame ``number``: forwards, then backwards, the ends twice."""
        return cycle_index(number, len(self.pictures))

    def blenders(self) -> list[Blender]:
        """How a generated face gets into each picture."""
        return [
            Blender.create(picture.shape, box, crop_box(box), mask)
            for picture, box, mask in zip(self.pictures, self.boxes, self.masks, strict=True)
        ]


def cycle_index(number: int, count: int) -> int:
    """0, 1, … count - 1, count - 1, … 1, 0, 0, 1, … for numbers from 0 on, as published."""
    at = number % (2 * count)
    return at if at < count else 2 * count - 1 - at


def installed_autoencoder_hash() -> str:
    """Of the autoencoder's weights that are installed; "" where there is none, or it does not say
    what it was made of. Raises ModelError for a broken card of the package.
    """
    cards = catalogue()
    for name in _AUTOENCODERS:
        if name in cards:
            found = re.search(r"sha256 ([0-9a-f]{64})", cards[name].origin)
            return found[1] if found else ""
    return ""


def installed_unet_version() -> str:
    """Version of MuseTalk that the installed UNet was imported as; "" where there is none, or it
    does not say. Raises ModelError for a broken card of the package.
    """
    card = catalogue().get(_UNET)
    return str(card.facts.get("version", "")) if card else ""


def save_avatar(path: Path, avatar: Avatar) -> None:
    """Writes the file, whole or not at all. Raises OSError."""
    members = {
        _BOXES: _array(np.array(avatar.boxes, np.int64)),
        _LATENTS: _array(avatar.latents.astype(np.float32)),
    }
    for k, (picture, mask) in enumerate(zip(avatar.pictures, avatar.masks, strict=True)):
        members[_name("picture", k)] = _png(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        members[_name("mask", k)] = _png(mask)
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
    """Reads the file and checks every byte of it.

    ``autoencoder`` is the hash of the weights that are to decode (``installed_autoencoder_hash``); an avatar
    made with others is refused, for its face would be noise. ``version`` is MuseTalk's of the UNet
    (``installed_unet_version``); an avatar of another is refused, for its face is cut and laid over by other
    rules. "" or None: not compared. Raises AvatarError naming the file and the fix.
    """
    path = Path(path).expanduser()
    try:
        with zipfile.ZipFile(path) as archive:
            content = _content(path, archive)
            members = {
                name: _member(path, archive, name, sha256)
                for name, sha256 in content["sha256"].items()
            }
    except OSError as error:
        raise AvatarError(f"avatar {path}: {error.strerror or error}: {_AGAIN}") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise AvatarError(
            f"avatar {path} is no avatar, or was cut short ({error}): copy it anew, or {_AGAIN}"
        ) from error
    try:
        avatar = _avatar(content, members)
    except (KeyError, TypeError, ValueError) as error:
        raise AvatarError(f"avatar {path} does not hold together ({error}): {_AGAIN}") from error
    made_with = avatar.autoencoder
    if autoencoder and made_with and autoencoder != made_with:
        raise AvatarError(
            f"avatar {path} was made with other weights of the autoencoder (sha256 "
            f"{made_with[:12]}…, installed is {autoencoder[:12]}…): {_AGAIN}, or import the ones "
            "that it was made with"
        )
    if version and version != avatar.version:
        raise AvatarError(
            f"avatar {path} was prepared for MuseTalk {avatar.version}, but the imported UNet is "
            f"MuseTalk {version}, which cuts the face and lays it over otherwise: prepare it again "
            f"with `face-perception avatar prepare {avatar.source} -o {path} --version {version}`, "
            f"or import the UNet of {avatar.version} with `face-perception import musetalk … "
            f"--version {avatar.version}`"
        )
    return avatar


def _content(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        data = _bounded(path, archive, _CONTENT)
    except KeyError as error:
        raise AvatarError(f"avatar {path} is a zip, but no avatar: {_AGAIN}") from error
    try:
        text = data.decode()
        content = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise AvatarError(f"avatar {path}: {_CONTENT} was changed: {_AGAIN}") from error
    # Before the seal: another format may be sealed otherwise.
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found != FORMAT:
        raise AvatarError(
            f"avatar {path} has format {found}, this version of face_perception reads {FORMAT}: "
            + (_AGAIN if found < FORMAT else f"update face_perception, or {_AGAIN}")
        )
    if check_seal(text) is None or not isinstance(content, dict):
        raise AvatarError(f"avatar {path}: {_CONTENT} was changed: {_AGAIN}")
    return content


def _member(path: Path, archive: zipfile.ZipFile, name: str, sha256: str) -> bytes:
    try:
        data = _bounded(path, archive, name)
    except KeyError as error:
        raise AvatarError(f"avatar {path} lacks {name}: {_AGAIN}") from error
    except zipfile.BadZipFile as error:
        raise AvatarError(f"avatar {path}: {name} was changed: {_AGAIN}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise AvatarError(f"avatar {path}: {name} was changed: {_AGAIN}")
    return data


def _bounded(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MOST:
        raise AvatarError(f"avatar {path}: {name} is larger than any avatar's: {_AGAIN}")
    return archive.read(name)


def _avatar(content: dict[str, Any], members: dict[str, bytes]) -> Avatar:
    count = int(content["count"])
    boxes: npt.NDArray[np.int64] = _loaded(members[_BOXES])
    latents = _loaded(members[_LATENTS])
    if boxes.shape != (count, 4) or latents.shape != (count, 8, 32, 32) or not count:
        raise InputError(f"{count} pictures, but {len(boxes)} boxes and {len(latents)} latents")
    if latents.dtype != np.float32 or not np.isfinite(latents).all():
        raise InputError("latents that are no finite float32")
    if content["version"] not in VERSIONS:
        raise InputError(f"version {content['version']!r} of MuseTalk")
    pictures, masks = [], []
    for k in range(count):
        picture = _decoded(members[_name("picture", k)], cv2.IMREAD_COLOR)
        pictures.append(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))
        masks.append(_decoded(members[_name("mask", k)], cv2.IMREAD_GRAYSCALE))
    if len({picture.shape for picture in pictures}) > 1:
        raise InputError("pictures of several sizes")
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


def _name(what: str, number: int) -> str:
    return f"{what}/{number:05d}.png"


def _array(values: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _loaded(data: bytes) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return values


def _png(picture: npt.NDArray[np.generic]) -> bytes:
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise OSError("OpenCV cannot write a PNG")
    return bytes(data.tobytes())


def _decoded(data: bytes, flags: int) -> Image:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if picture is None:
        raise InputError("a picture that does not decode")
    return np.asarray(picture, np.uint8)
