"""Tests of reading rosbag2 recordings without ROS."""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
import random
import re
import resource
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from face_perception.errors import InputError, MissingDependencyError
from face_perception.media import (
    FrameReader,
    FrameWriter,
    bag_reader,
    damaged_db3,
    damaged_mcap,
    play_clip,
)
from face_perception.media.background import read_ahead
from face_perception.media.bag_reader import BagReader
from face_perception.media.bounded_bags import bound_decompression
from face_perception.media.damaged_db3 import DamagedDb3
from face_perception.types import Camera

pytest.importorskip("rosbags")
from bags import STORE, camera_info, compressed, image, make, write_bag
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

RAW, PACKED, INFO = "/camera/image_raw", "/camera/image_raw/compressed", "/camera/camera_info"
START = 1_700_000_000.25


def pixels(number: int) -> Any:
    return np.full((48, 64, 3), 20 + 5 * number, np.uint8)


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", pixels(number))[1].tobytes()


def raw_images(count: int = 5) -> list[tuple[str, Any]]:
    return [(RAW, image(pixels(i), START + i / 20)) for i in range(count)]


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
@pytest.mark.parametrize("file", [False, True])
def test_images_have_the_stamps_and_the_camera_of_the_bag(
    tmp_path: Path, plugin: str, file: bool
) -> None:
    """The camera_info follows its first image, as some drivers send it."""
    messages = raw_images()
    messages.insert(1, (INFO, camera_info(64, 48, 80.0, START)))
    path = write_bag(tmp_path / "bag", messages, plugin)
    if file:
        (path,) = [*path.glob("*.mcap"), *path.glob("*.db3")]
    with FrameReader(path) as clip:
        frames = list(clip)
    assert (clip.still, clip.count, clip.damage) == (False, 5, "")
    assert clip.rate == pytest.approx(20, rel=1e-4)
    assert clip.first_stamp == START
    assert np.allclose([f.stamp - START for f in frames], np.arange(5) / 20, atol=1e-6)
    assert [frame.image.max() for frame in frames] == [20 + 5 * i for i in range(5)]
    assert {frame.frame_id for frame in frames} == {"camera_optical_frame"}
    assert {(f.camera.fx, f.camera.cx, f.camera.assumed) for f in frames} == {(80.0, 32.0, False)}


def test_compressed_images_have_the_camera_of_their_namespace(tmp_path: Path) -> None:
    bag = write_bag(
        tmp_path / "bag",
        [
            ("/other/camera_info", camera_info(64, 48, 999.0, START)),
            (INFO, camera_info(64, 48, 80.0, START)),
            *((PACKED, compressed(jpeg(i), START + i / 20)) for i in range(3)),
        ],
    )
    frames = list(FrameReader(bag))
    assert [abs(int(f.image.mean()) - 20 - 5 * i) <= 1 for i, f in enumerate(frames)] == [True] * 3
    assert {frame.camera.fx for frame in frames} == {80.0}


def test_a_given_camera_replaces_that_of_the_bag(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", [(INFO, camera_info(64, 48, 80.0, START)), *raw_images(2)])
    camera = Camera(64, 48, 70.0, 70.0, 31.5, 23.5)
    assert {frame.camera for frame in FrameReader(bag, camera)} == {camera}


def test_without_camera_info_the_camera_is_assumed(tmp_path: Path) -> None:
    frames = list(FrameReader(write_bag(tmp_path / "bag", raw_images(2))))
    assert {frame.camera for frame in frames} == {Camera.assume(64, 48)}


def test_camera_info_of_another_size_is_refused(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", [(INFO, camera_info(640, 480, 80.0, START)), *raw_images()])
    with pytest.raises(InputError, match=r"camera_info: it is for 640x480 .* 64x48.*--camera-info"):
        FrameReader(bag)


def test_a_topic_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    second = ("/rear/image_raw", image(pixels(9), START))
    text = ("/chatter", make("std_msgs/msg/String", data="hello"))
    bag = write_bag(tmp_path / "bag", [second, text, *raw_images(2)])
    with pytest.raises(InputError, match=r"several image topics.*/camera/image_raw, /rear/image"):
        FrameReader(bag)
    with pytest.raises(InputError, match=r"no topic /front: .*/camera/image_raw, /rear/image_raw"):
        FrameReader(bag, topic="/front")
    with pytest.raises(InputError, match=r"/chatter has messages of type std_msgs/msg/String"):
        FrameReader(bag, topic="/chatter")
    (frame,) = FrameReader(bag, topic="rear/image_raw")
    assert frame.image.max() == 65
    with pytest.raises(InputError, match="no image topic"):
        FrameReader(write_bag(tmp_path / "text", [text]))


def test_swapped_images_are_left_out_and_broken_ones_counted(tmp_path: Path) -> None:
    messages = raw_images()
    messages[1], messages[2] = messages[2], messages[1]
    short = image(pixels(9), START + 1)
    short.data = short.data[:100]
    with FrameReader(write_bag(tmp_path / "bag", [*messages, (RAW, short)])) as clip:
        stamps = [round((frame.stamp - START) * 20) for frame in clip]
    assert stamps == [0, 2, 3, 4]
    assert "1 of 6 images cannot be read" in clip.damage
    assert "data has 100 bytes" in clip.damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(b"\x00\xff" * (path.stat().st_size // 2))


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n")


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
@pytest.mark.parametrize("damage", [cut, overwrite, pointer, Path.unlink])
@pytest.mark.parametrize("file", ["metadata.yaml", "*.[md][cb][a3]*"])
def test_a_damaged_bag_is_named(tmp_path: Path, plugin: str, damage: Any, file: str) -> None:
    bag = write_bag(tmp_path / "bag", raw_images(), plugin)
    (path,) = bag.glob(file)
    damage(path)
    if file == "metadata.yaml" and path.exists():
        with FrameReader(bag) as clip:
            assert len(list(clip)) == 5
        assert clip.damage == "its metadata.yaml cannot be read, and is not needed"
        return
    with pytest.raises(InputError, match=r"bag"):
        list(FrameReader(bag))


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (pointer, r"it is a Git LFS pointer and not the file itself \(run `git lfs pull`\)$"),
        (lambda path: path.write_bytes(b""), "is empty: copy or record it again$"),
    ],
)
def test_what_is_no_bag_is_named(tmp_path: Path, plugin: str, spoil: Any, reason: str) -> None:
    bag = write_bag(tmp_path / "bag", raw_images(), plugin)
    (path,) = [*bag.glob("*.mcap"), *bag.glob("*.db3")]
    spoil(path)
    for given in (bag, path):
        with pytest.raises(InputError, match=reason):
            FrameReader(given)


def split_bag(folder: Path, plugin: str, count: int = 12) -> Path:
    """Writes a recording of several files, each of four images of ``noise``."""
    info: Any = {}
    folder.mkdir()
    for number in range(count // 4):
        messages = [(RAW, noise(i)) for i in range(4 * number, 4 * number + 4)]
        part = write_bag(folder / "part", messages, plugin)
        (file,) = [*part.glob("*.mcap"), *part.glob("*.db3")]
        name = f"bag_{number}{file.suffix}"
        file.rename(folder / name)
        one = yaml.safe_load((part / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        info = info or {**one, "relative_file_paths": []}
        info["relative_file_paths"].append(name)
        shutil.rmtree(part)
    text = yaml.safe_dump({"rosbag2_bagfile_information": info})
    (folder / "metadata.yaml").write_text(text)
    return folder


def noise(number: int) -> Any:
    """Returns an image that compresses badly; its red is ``number``."""
    values = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
    values[..., 0] = number
    return image(values, START + number / 20)


def numbers(path: Path) -> tuple[list[int], str]:
    """Returns which of the images of ``noise`` a recording has, and its damage."""
    with FrameReader(path) as clip:
        return [int(frame.image[0, 0, 0]) for frame in clip], clip.damage


# What happens to the file of number 1, and what is said.
HARM: dict[str, tuple[Any, str]] = {
    "zeros": (lambda data, at: data[:at] + bytes(9000) + data[at + 9000 :], "left out"),
    "noise": (
        lambda data, at: data[:at] + random.Random(1).randbytes(9000) + data[at + 9000 :],
        "left out",
    ),
    "cut off": (lambda data, at: data[:at], "left out|cut off"),
    "pointer": (lambda data, at: b"version https://git-lfs.github.com/spec/v1\n", "is left out"),
    "missing": (None, "is missing"),
}


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
@pytest.mark.parametrize("kind", HARM)
def test_the_other_files_of_a_split_bag_are_read(tmp_path: Path, kind: str, plugin: str) -> None:
    bag = split_bag(tmp_path / "bag", plugin)
    assert numbers(bag) == (list(range(12)), "")
    (path,) = bag.glob("bag_1.*")
    harm, said = HARM[kind]
    data = path.read_bytes()
    path.unlink()
    if harm is not None:
        path.write_bytes(harm(data, len(data) // 2))
    found, damage = numbers(bag)
    assert found == sorted(found)
    assert {0, 1, 2, 3, 8, 9, 10, 11} <= set(found) != set(range(12))
    assert path.name in damage
    assert re.search(said, damage)


@pytest.mark.parametrize("kind", ["zeros", "noise", "cut off"])
def test_a_damaged_database_is_read_behind_the_damage(tmp_path: Path, kind: str) -> None:
    bag = write_bag(tmp_path / "bag", [(RAW, noise(i)) for i in range(40)], "SQLITE3")
    (path,) = bag.glob("*.db3")
    data = path.read_bytes()
    path.write_bytes(HARM[kind][0](data, len(data) // 2))
    found, damage = numbers(bag)
    assert found == sorted(found)
    assert len(found) >= (10 if kind == "cut off" else 35)
    assert kind == "cut off" or found[-1] == 39
    assert "damaged, and left out" in damage


@pytest.mark.parametrize("changed", [b"\xff\x16", b"\x01"], ids=["too large", "too small"])
def test_a_damaged_number_costs_few_messages(tmp_path: Path, changed: bytes) -> None:
    """The number 150 becomes 16278, or 1 with a wrong start of the message: others are found."""
    bag = write_bag(tmp_path / "bag", [(RAW, image(pixels(1), START))] * 300, "SQLITE3")
    (path,) = bag.glob("*.db3")
    data, number = bytearray(path.read_bytes()), b"\x81\x16"
    at = data.index(number + b"\x07\x00\x09")  # followed by the kinds of the row's values
    data[at : at + len(changed)] = changed
    path.write_bytes(data)
    with contextlib.closing(DamagedDb3(path)) as reader:
        found = len(list(reader.messages(reader.connections)))
        assert reader.lost == f"{300 - found} of its messages: damaged, and left out"
    assert found >= 290


def test_a_huge_last_number_is_not_a_number_of_messages(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", raw_images(), "SQLITE3")
    (path,) = bag.glob("*.db3")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE messages SET id = 1 << 60 WHERE id = 5")
    with contextlib.closing(DamagedDb3(path)) as reader:
        assert len(list(reader.messages(reader.connections))) == 4
        assert reader.lost == "its end: damaged, and left out"


@pytest.mark.parametrize("count", [-3, 10**12])
def test_an_absurd_number_in_the_list_of_files_is_not_believed(tmp_path: Path, count: int) -> None:
    bag = write_bag(tmp_path / "bag", raw_images())
    listed = bag / "metadata.yaml"
    listed.write_text(re.sub(r"message_count: \d+", f"message_count: {count}", listed.read_text()))
    with FrameReader(bag) as clip:
        assert (clip.count, len(list(clip))) == (0, 5)
        assert clip.damage == f"the number of messages that it states for {RAW} is damaged"


def open_files() -> set[str]:
    return {
        os.readlink(f"/proc/self/fd/{n}")
        for n in os.listdir("/proc/self/fd")
        if Path(f"/proc/self/fd/{n}").exists()
    }


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
@pytest.mark.parametrize("fails", ["third part", "damaged part"])
def test_no_file_stays_open_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: str, fails: str
) -> None:
    bag = split_bag(tmp_path / "bag", plugin)
    paths = sorted(bag.glob("bag_*"))
    if fails == "third part":  # with an error that is not of the file
        opened = bag_reader.open_input

        def open_but_one(path: Path, wanted: str) -> Any:
            if path == paths[2]:
                raise MemoryError
            return opened(path, wanted)

        monkeypatch.setattr(bag_reader, "open_input", open_but_one)
    else:  # the reader of damaged files fails in the middle
        path = paths[1]
        cut(path)
        monkeypatch.setattr(damaged_mcap, "_Scan", refuse)
        monkeypatch.setattr(damaged_db3.DamagedDb3, "_rows", refuse)
    gc.disable()
    try:
        with pytest.raises((InputError, MemoryError)):
            BagReader(path if fails == "damaged part" else bag)
        left = [name for name in open_files() if str(tmp_path) in name]
    finally:
        gc.enable()
    assert left == []


def refuse(*_: Any) -> Any:
    raise RuntimeError("not expected")


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_too_many_open_files_are_no_damage(tmp_path: Path, plugin: str) -> None:
    """Parts that cannot be opened because of the machine are not left out."""
    bag = split_bag(tmp_path / "bag", plugin, 40)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = os.dup(0) + 6  # the first number that is free
    os.close(limit - 6)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
        with pytest.raises(InputError) as raised:
            numbers(bag)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert str(raised.value).endswith(
        "read: this process has too many files open: raise the limit with `ulimit -n 65536`"
    )


def test_any_damage_of_a_bag_is_said_or_refused(tmp_path: Path) -> None:
    """Only changed pixels of raw images cannot be noticed."""
    for plugin in ("MCAP", "SQLITE3"):
        bag = split_bag(tmp_path / plugin, plugin)
        rng = random.Random(plugin)
        for path in sorted(bag.glob("bag_*")):
            good = path.read_bytes()
            for _ in range(6):
                data, at = bytearray(good), rng.randrange(len(good))
                data[at : at + 600] = rng.choice((bytes(600), rng.randbytes(600)))
                path.write_bytes(data)
                found, damage = numbers(bag)
                assert len(found) == 12 or damage
            path.write_bytes(good)


def test_messages_beside_a_database_are_read(tmp_path: Path) -> None:
    """A recorder that was killed leaves them in the write-ahead log."""
    bag = write_bag(tmp_path / "bag", [(RAW, noise(i)) for i in range(4)], "SQLITE3")
    (path,) = bag.glob("*.db3")
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    with database:
        database.execute("UPDATE messages SET data = (SELECT data FROM messages LIMIT 1)")
        database.execute("DELETE FROM messages WHERE id = 4")
    killed = shutil.copytree(bag, tmp_path / "killed")
    database.close()
    found, _ = numbers(killed)
    assert found == [0, 0, 0]
    with FrameReader(killed) as clip:
        assert len(list(read_ahead(clip))) == 3, "another thread reads, as in `face-perception run`"


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_a_copy_beside_the_listed_files_is_left_out(tmp_path: Path, plugin: str) -> None:
    bag = split_bag(tmp_path / "bag", plugin)
    one = sorted(bag.glob("bag_*"))[0]
    shutil.copy(one, bag / f"a_copy_of_{one.name}")
    found, damage = numbers(bag)
    assert found == list(range(12))
    assert damage == f"a_copy_of_{one.name}: not in its metadata.yaml, and left out"


def test_frames_of_zstd_in_a_row_are_all_unpacked() -> None:
    zstd = pytest.importorskip("rosbags.rosbag2.storage_mcap").zstd
    bound_decompression()
    storage = importlib.import_module("rosbags.rosbag2.storage_mcap")
    packed = zstd.compress(b"one, ") + zstd.compress(b"two")
    assert storage.DECOMPRESSORS["zstd"](packed, 8) == b"one, two"


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE", "STORAGE"])
@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_compressed_bags_are_read_but_no_bombs(tmp_path: Path, plugin: str, mode: str) -> None:
    if (plugin, mode) == ("SQLITE3", "STORAGE"):
        pytest.skip("SQLite has no such compression")
    for name, size in (("good", 48 * 64 * 3), ("bomb", 60_000_000)):
        message = noise(1)
        message.data = message.data[:size] if name == "good" else np.zeros(size, np.uint8)
        writer = Writer(tmp_path / name, version=9, storage_plugin=StoragePlugin[plugin])
        writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
        with writer:
            topic = writer.add_connection(RAW, message.__msgtype__, typestore=STORE)
            writer.write(topic, 1, STORE.serialize_cdr(message, message.__msgtype__))
    assert numbers(tmp_path / "good") == ([1], "")
    if mode == "MESSAGE":
        (file,) = (tmp_path / "good").glob("good.*")
        assert numbers(file) == ([1], ""), "without the list that says that it is compressed"
    with pytest.raises(InputError):
        numbers(tmp_path / "bomb")


@pytest.mark.parametrize("name", ["run #3", "50%25", "what?", os.fsdecode(b"caf\xe9")])
@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_any_name_of_a_bag_will_do(tmp_path: Path, name: str, plugin: str) -> None:
    bag = write_bag(tmp_path / "bag", raw_images(), plugin).rename(tmp_path / name)
    assert [len(list(FrameReader(path))) for path in (bag, *bag.glob("bag.*"))] == [5, 5]


def test_rosbags_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = write_bag(tmp_path / "bag", raw_images(1))
    for name in [name for name in sys.modules if name.partition(".")[0] == "rosbags"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rosbags", None)
    with pytest.raises(MissingDependencyError, match="pip install rosbags"):
        FrameReader(bag)


def test_a_folder_that_is_no_bag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder: give a picture, a film or a bag"):
        FrameReader(tmp_path)


def test_the_annotated_film_of_a_bag_starts_at_zero(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", raw_images())
    with FrameReader(bag) as clip, FrameWriter(tmp_path / "drawn.mp4", clip) as writer:
        for frame in clip:
            writer.write(frame.image, frame.stamp)
    film = FrameReader(tmp_path / "drawn.mp4")
    assert [round(frame.stamp * 20) for frame in film] == [0, 1, 2, 3, 4]


def test_the_camera_node_plays_a_bag_at_its_times(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", raw_images(3))
    played = play_clip(bag, 10.0, loop=True, warn=lambda text: None)
    times = [due for _, due in itertools.islice(played, 6)]
    assert np.allclose(times, np.arange(6) / 20, atol=1e-6)


def test_a_loop_in_a_bag_starts_again(tmp_path: Path) -> None:
    """Two recordings of one clock in one bag: stamps go back by more than a second."""
    later = [(RAW, image(pixels(i), START + 100 + i / 20)) for i in range(3)]
    frames = list(FrameReader(write_bag(tmp_path / "bag", [*later, *raw_images(2)])))
    assert [frame.stamp > START + 50 for frame in frames] == [True] * 3 + [False] * 2


def test_depth_images_are_refused_by_name(tmp_path: Path) -> None:
    depth = image(np.full((48, 64), 1.5, np.float32), START, "32FC1")
    with pytest.raises(InputError, match=r"depth image"):
        FrameReader(write_bag(tmp_path / "bag", [(RAW, depth)]))


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mcap")
    with pytest.raises((InputError, OSError), match="pipe"):
        FrameReader(tmp_path / "pipe.mcap")
