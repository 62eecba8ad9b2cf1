"""Tests avatar files: what is saved is loaded unchanged, and damage is named. Also prepares one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from faces_scene import photo

from face_perception import cli
from face_perception.avatar import (
    Avatar,
    AvatarError,
    crop_box,
    framed_pictures,
    load_avatar,
    prepare_avatar,
    save_avatar,
    soft_mask,
)
from face_perception.avatar.musetalk.avatar_file import cycle_index
from face_perception.avatar.portrait.source_picture import frame_picture
from face_perception.faces import load_tracker
from face_perception.files import add_seal
from face_perception.types import FloatArray, Image

BOX = (20, 10, 90, 110)


@pytest.fixture
def avatar() -> Avatar:
    random = np.random.default_rng(1)
    area = np.full((512, 512), 255, np.uint8)
    return Avatar(
        tuple(random.integers(0, 256, (3, 128, 128, 3), np.uint8)),
        (BOX,) * 3,
        (soft_mask(area, BOX, crop_box(BOX)),) * 3,
        random.normal(size=(3, 8, 32, 32)).astype(np.float32),
        25.0,
        "1.5",
        "a" * 64,
        "me.jpg",
    )


def test_what_is_written_is_read(avatar: Avatar, tmp_path: Path) -> None:
    file = tmp_path / "new" / "me.avatar"
    save_avatar(file, avatar)
    read = load_avatar(file, autoencoder="a" * 64)
    for name in ("pictures", "masks", "latents"):
        for one, other in zip(getattr(avatar, name), getattr(read, name), strict=True):
            np.testing.assert_array_equal(one, other)
    assert (read.boxes, read.fps, read.version) == (avatar.boxes, 25.0, "1.5")
    assert (read.autoencoder, read.source, read.size) == ("a" * 64, "me.jpg", (128, 128))
    with zipfile.ZipFile(file) as archive:
        assert not [name for name in archive.namelist() if "pkl" in name or name.startswith("/")]


def test_other_weights_are_refused(avatar: Avatar, tmp_path: Path) -> None:
    file = tmp_path / "me.avatar"
    save_avatar(file, avatar)
    with pytest.raises(AvatarError, match=r"me\.avatar .*aaaa.*bbbb"):
        load_avatar(file, autoencoder="b" * 64)


def test_another_version_of_musetalk_is_refused(avatar: Avatar, tmp_path: Path) -> None:
    """Boxes and masks of 1.0 and 1.5 differ. The error names both versions and the command."""
    file = tmp_path / "me.avatar"
    save_avatar(file, avatar)
    assert load_avatar(file, version="1.5").version == "1.5"
    assert load_avatar(file, version="").version == "1.5"  # a UNet whose card names no version
    with pytest.raises(AvatarError) as raised:
        load_avatar(file, version="1.0")
    message = str(raised.value)
    assert "was prepared for MuseTalk 1.5, but the imported UNet is MuseTalk 1.0" in message
    assert f"face-perception avatar prepare me.jpg -o {file} --version 1.0" in message


def test_every_changed_byte_is_noticed(avatar: Avatar, tmp_path: Path) -> None:
    file = tmp_path / "me.avatar"
    save_avatar(file, avatar)
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        places = {info.filename: info.header_offset + 80 for info in archive.infolist()}
    for name, place in places.items():
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
        with pytest.raises(AvatarError, match=r"me\.avatar") as raised:
            load_avatar(file)
        assert name in str(raised.value)
        assert "avatar prepare" in str(raised.value)
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(AvatarError, match=r"me\.avatar .*truncated"):
            load_avatar(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (add_seal("format: 2\n"), "has format 2, .* format 1: update"),
        (add_seal("format: 0\n"), "has format 0, .* prepare it again"),
        ("format: 1\n", r"avatar\.yaml was modified"),
        (add_seal("other: 1\n"), r"avatar\.yaml was modified"),
        (add_seal("- format\n"), r"avatar\.yaml cannot be read: it is not YAML"),
        ("\t", r"avatar\.yaml was modified"),
        (None, r"without avatar\.yaml"),
    ],
)
def test_other_files_are_named(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "me.avatar"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("avatar.yaml" if content else "other", content or "")
    with pytest.raises(AvatarError, match=message):
        load_avatar(file)


def test_no_code_in_arrays_is_run(avatar: Avatar, tmp_path: Path) -> None:
    """A pickled array is refused, even if the seal of the file is right."""
    import hashlib
    import io

    import yaml

    file = tmp_path / "me.avatar"
    save_avatar(file, avatar)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], object), allow_pickle=True)
    members["latents.npy"] = buffer.getvalue()
    content = yaml.safe_load(members["avatar.yaml"])
    content.pop("seal")
    content["sha256"]["latents.npy"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    members["avatar.yaml"] = add_seal(yaml.safe_dump(content)).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(AvatarError, match="array of objects, which is not read"):
        load_avatar(file)


def test_pictures_go_forwards_and_backwards() -> None:
    assert [cycle_index(k, 3) for k in range(8)] == [0, 1, 2, 2, 1, 0, 0, 1]
    assert [cycle_index(k, 1) for k in range(3)] == [0, 0, 0]


class Recorded:
    """Stands for the image encoder and records its input."""

    def __init__(self) -> None:
        self.seen: list[Image] = []

    def encode(self, images: Image) -> FloatArray:
        self.seen.append(images)
        return np.zeros((len(images), 4, 32, 32), np.float32)


def framed_photo(size: tuple[int, int], whole: bool = False) -> Image:
    """Returns the astronaut in a frame of this width and height."""
    return frame_picture(photo("astronaut"), load_tracker(), size, whole).image


@pytest.mark.parametrize(("version", "margin"), [("1.5", 10), ("1.0", 0)])
def test_a_face_is_prepared_as_published(version: str, margin: int) -> None:
    picture = framed_photo((512, 512))
    blank = np.zeros_like(picture)
    seen = Recorded()
    # A picture without a face is left out of all lists, so the lists stay aligned.
    made = prepare_avatar([picture, blank, picture], seen, source="x", version=version)
    assert len(made.pictures) == len(made.boxes) == len(made.masks) == len(made.latents) == 2
    masked, whole = seen.seen[0]
    assert masked[128:].max() == 0
    np.testing.assert_array_equal(masked[:128], whole[:128])
    left, top, right, bottom = made.boxes[0]
    plain = prepare_avatar([picture], Recorded(), source="x", version=version, margin=0)
    assert bottom - plain.boxes[0][3] == margin
    assert (left, top, right) == plain.boxes[0][:3]
    # The whole face is what the box cuts out. The mask lies within it, below the eyes.
    part = cv2.resize(picture[top:bottom, left:right], (256, 256))
    assert np.abs(part.astype(int) - whole).mean() < 2
    area = made.blenders()[0].area
    assert left <= area[0] < area[2] <= right
    edge = 0.1 * (crop_box(made.boxes[0])[2] - crop_box(made.boxes[0])[0])  # has soft edges
    assert (top + bottom) / 2 - edge <= area[1] < area[3] <= bottom


def test_shift_belongs_to_the_first_version() -> None:
    with pytest.raises(ValueError, match=r"1\.5 has no shift"):
        prepare_avatar([], Recorded(), source="x", shift=3)


def test_a_clip_is_cut_alike() -> None:
    picture = framed_photo((640, 480), whole=True)
    cut = list(framed_pictures([np.zeros_like(picture), picture, picture], size=(256, 256)))
    assert len(cut) == 2
    np.testing.assert_array_equal(cut[0], cut[1])


@pytest.fixture
def with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the working directory, which has an empty file of that name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jpg", "-o", "x"], "nowhere.jpg: No such file"),
        (["astronaut", "-o", "x", "--size", "5"], "--size must be WIDTHxHEIGHT"),
        (["astronaut", "-o", "x", "--seconds", "0"], "--seconds must be"),
        (["astronaut", "-o", "/"], "is a folder"),
        (["astronaut", "-o", "x", "--margin", "-1"], "--margin must be from 0 to 512 (the height)"),
        (["astronaut", "-o", "x", "--shift", "-513"], "--shift must be at most the height, 512"),
        (["astronaut", "-o", "x", "--seed", "-1"], "--seed must be 0 or more, not -1"),
        (["astronaut", "-o", "file/x"], "--output file/x cannot be written (Not a directory)"),
        (["gray.png", "-o", "x"], "gray.png: no face in the portrait"),
        (["gray.png", "-o", "gray.png"], "gray.png is the input"),
        (
            ["astronaut"],
            "musetalk needs musetalk_vae_encoder, which was not imported: face-perception import "
            "musetalk --unet FILE --vae FILE --whisper FILE",
        ),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    with_a_file: Path,
) -> None:
    cv2.imwrite("gray.png", np.full((300, 300, 3), 128, np.uint8))
    assert cli.main(["avatar", "prepare", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert {file.name for file in with_a_file.iterdir()} == {"file", "gray.png"}


@pytest.mark.parametrize("output", [".", "file/a.png"])
def test_show_says_where_it_cannot_write(
    output: str,
    capsys: pytest.CaptureFixture[str],
    with_a_file: Path,
) -> None:
    assert cli.main(["avatar", "show", "x.avatar", "-o", output]) == 1
    assert f"--output {output} " in capsys.readouterr().err
