"""Tests that every reader of outside files refuses a damaged file at once, with one error type."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from at_once import at_once
from damage import KINDS, laughter, merged
from outside_readers import READERS, Reader, npz_bytes, rewritten_archive
from refusals import reads_the_good_file, refused, refuses_damage, survives_wrong_values

from face_perception.bringup.shared_memory import remove_orphans
from face_perception.errors import InputError, one_line, shortened
from face_perception.files import file_lock, open_regular, write_atomically
from face_perception.inference import (
    ModelBuild,
    ModelError,
    Port,
    catalogue,
    install_model,
    load,
    verify_models,
)
from face_perception.outside_files import (
    one_error,
    parse_array,
    parse_arrays,
    parse_yaml,
    refuse_stand_in,
    stands_in,
)

BY_NAME = {reader.name: reader for reader in READERS}
TEXTS = [reader for reader in READERS if reader.text]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_what_is_not_the_file_is_refused(reader: Reader, kind: str, tmp_path: Path) -> None:
    refuses_damage(reader, kind, tmp_path)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_the_good_file_is_read(reader: Reader, tmp_path: Path) -> None:
    reads_the_good_file(reader, tmp_path)


@pytest.mark.parametrize("reader", TEXTS, ids=lambda reader: reader.name)
def test_wrong_types_and_huge_numbers(reader: Reader, tmp_path: Path) -> None:
    survives_wrong_values(reader, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        laughter(),
        f"{laughter()}kind: *i\nformat: *i\ntask: *i\nimage_width: *i\n",
        f"{merged()}kind: *i\n",
        "&a [*a]",
        "kind: &a {b: *a}",
        "a: 2026-99-99",
        "a: !!python/object/apply:os.system [true]",
        "? [a]\n: b",
        f"a: {'9' * 5000}",
        f"a: 0x{'f' * 5000}",
        f"a: {'1:' * 5000}1",
        '"\\U99999999"',
        "\0",
        "a: !!int ''",
        "a: !!float x",
        "a: !!timestamp x",
        "%YAML:1.0\n---\na: 1",
    ],
    ids=lambda text: one_line(text, 20),
)
@pytest.mark.parametrize("reader", TEXTS, ids=lambda reader: reader.name)
def test_hostile_yaml(reader: Reader, text: str, tmp_path: Path) -> None:
    path = reader.make(tmp_path)
    path.write_text(text)
    reader.seal(path)
    refused(reader, path)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"/annex/objects/MD5E-s7--0.pth\n", "git annex get"),
        (b"<!-- saved from url=(0014)about:internet -->\n<html>", "web page"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE HTML>", "web page"),
        (b"404: Not Found", r"a server answered .*\(404: Not Found\)"),
        (b"Entry not found", "a server answered"),
        (b'{"error":"Repository not found"}', "a server answered"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code>', "a server answered"),
        (b'<?xml version="1.0"?>\n<opencv_storage>', "^$"),
        (b"RIFF", "^$"),
        (b"", "^$"),
    ],
)
def test_what_one_gets_instead_of_a_file_is_named(start: bytes, said: str) -> None:
    assert re.search(said, stands_in(start))


def test_a_stand_in_has_a_fix_of_its_own() -> None:
    """To download it again would give the same pointer again."""
    with (
        pytest.raises(InputError, match=r"^checkpoint a cannot be read: .*`git lfs pull`\)$"),
        one_error("checkpoint a", "download it again"),
    ):
        refuse_stand_in(b"version https://git-lfs.github.com/spec/v1\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-05", 1e-5), ("-2E3", -2000.0), (".5e+1", 5.0), ("1.5e5", 1.5e5), ("1.0e-05", 1e-5),
     ("1e", "1e"), ("e5", "e5"), ("1e5x", "1e5x"), ("'1e5'", "1e5"), ("1.2.3e4", "1.2.3e4")],
)  # fmt: skip
def test_numbers_with_an_exponent_are_numbers(text: str, value: float | str) -> None:
    """Other programs write 1e-05 into calibrations and settings."""
    assert parse_yaml(f"a: [{text}]") == {"a": [value]}


def test_messages_quote_no_more_than_a_line() -> None:
    loop: list[object] = []
    loop.append(loop)
    for value in ("x" * 10**6, list(range(10**6)), 10**6000, loop, {"a": {"b": {"c": {}}}}):
        assert len(shortened(value)) <= 80
    assert len(one_line("a\n b" * 10**5)) <= 200


ARRAYS = {
    "much from little": lambda: npz_bytes(face=np.zeros((8_300, 8_300), np.uint8)),
    "objects": lambda: npz_bytes(face=np.array([print], object)),
    "another shape": lambda: npz_bytes(face=np.ones((3, 2, 9), np.float32)),
    "texts": lambda: npz_bytes(face=np.array(["a", "b"])),
    "complex": lambda: npz_bytes(face=np.ones((3, 2), complex)),
    "not finite": lambda: npz_bytes(face=np.full((3, 2), np.nan, np.float32)),
    "another name": lambda: npz_bytes(other=np.ones((3, 2), np.float32)),
}


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("name", ["reference inputs", "captured inputs"])
def test_hostile_arrays(name: str, kind: str, tmp_path: Path) -> None:
    reader = BY_NAME[name]
    path = reader.make(tmp_path)
    path.write_bytes(ARRAYS[kind]())
    if name == "captured inputs" and kind in ("another shape", "texts", "not finite", "complex"):
        pytest.skip("the network refuses them")
    refused(reader, path)


def test_an_array_with_a_false_header_is_not_allocated() -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("a.npy", npy_header("<f8", (1 << 40,)))
    with at_once(), pytest.raises(InputError, match="does not fit its own header"):
        parse_arrays(stored.getvalue())


@pytest.mark.parametrize("order", "<>")
def test_a_text_of_impossible_letters_is_not_read(order: str) -> None:
    """NumPy reads it, but Python raises SystemError where it becomes a text."""
    letters = np.array([ord("a"), sys.maxunicode + 1], f"{order}u4")
    assert parse_array(npy_header(f"{order}U1", (1,)) + letters[:1].tobytes()).item() == "a"
    with pytest.raises(InputError, match="not Unicode"):
        parse_array(npy_header(f"{order}U2", (1,)) + letters.tobytes())


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def png(width: int, height: int) -> bytes:
    """Returns a PNG of 60 bytes whose header states a size."""
    small = cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
    head = b"IHDR" + struct.pack(">II", width, height) + small[24:29]
    return small[:12] + head + struct.pack(">I", zlib.crc32(head)) + small[33:]


def boxes(*values: int) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([values, values], np.int64))
    return stream.getvalue()


AVATARS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "huge pictures": ("picture/", lambda data: png(8000, 8000)),
    "absurd pictures": ("picture/", lambda data: png(2**31 - 1, 2**31 - 1)),
    "a huge mask": ("mask/00000", lambda data: png(8000, 8000)),
    "no pictures": ("picture/", lambda data: b"GIF89a" + bytes(50)),
    "a box far away": ("boxes", lambda data: boxes(10**9, 0, 10**9 + 9, 9)),
    "an absurd box": ("boxes", lambda data: boxes(-(2**62), -(2**62), 2**62, 2**62)),
    "an empty box": ("boxes", lambda data: boxes(9, 9, 9, 9)),
    "latents of zeros": ("latents", lambda data: npy_header("<f4", (2, 8, 32, 1 << 30))),
    "objects": ("latents", lambda data: npz_bytes(a=np.array([print], object))),
    "a member that is no array": ("boxes", lambda data: b""),
    "a huge count": ("avatar.yaml", lambda data: data.replace(b"count: 2", b"count: 999999999")),
    "no count": ("avatar.yaml", lambda data: data.replace(b"count: 2", b"count: [2]")),
    "no rate": ("avatar.yaml", lambda data: data.replace(b"fps: 25.0", b"fps: .nan")),
    "no hashes": ("avatar.yaml", lambda data: b"format: 1\nsha256: 3\n"),
    "hashes of numbers": ("avatar.yaml", lambda data: b"format: 1\nsha256: {1: 2}\n"),
    "aliases": ("avatar.yaml", lambda data: b"format: 1\n" + laughter().encode()),
    "nesting": ("avatar.yaml", lambda data: b"[" * 5000),
}


@pytest.mark.parametrize("kind", AVATARS)
def test_hostile_avatars(kind: str, tmp_path: Path) -> None:
    reader = BY_NAME["avatar"]
    path = reader.make(tmp_path)
    member, change = AVATARS[kind]
    rewritten_archive(path, lambda name, data: change(data) if name.startswith(member) else data)
    refused(reader, path)


def test_an_avatar_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    reader = BY_NAME["avatar"]
    path = reader.make(tmp_path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("padding", bytes(70 << 20))
    assert "would unpack to 70 MB" in refused(reader, path)


def hungry(folder: Path, at_run_time: bool) -> Path:
    """Returns a network of 200 bytes that needs 6 GB, while it is loaded or when it runs."""
    onnx = pytest.importorskip("onnx")
    helper, number = onnx.helper, onnx.TensorProto
    size = helper.make_tensor("size", number.INT64, [2], [40_000, 40_000])
    first = ("Expand", ["x", "size"]) if at_run_time else ("ConstantOfShape", ["size"])
    graph = helper.make_graph(
        [
            helper.make_node(*first, ["big"]),
            helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        "hungry",
        [helper.make_tensor_value_info("x", number.FLOAT, ["N", 1])],
        [helper.make_tensor_value_info("y", number.FLOAT, ["N", 1])],
        [size],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return installed(model.SerializeToString(), folder)


def installed(network: bytes, folder: Path) -> Path:
    port = Port((None, 1), "float32", "anything")
    build = ModelBuild(
        name="hungry",
        onnx=network,
        task="needs memory",
        licence="MIT",
        origin="here",
        inputs={"x": port},
        outputs={"y": port},
        reference_inputs={"x": np.ones((1, 1), np.float32)},
    )
    return install_model(build, folder).path.with_suffix(".yaml")


@pytest.mark.parametrize("at_run_time", [False, True])
def test_a_network_that_needs_absurd_memory_is_refused(at_run_time: bool, tmp_path: Path) -> None:
    card = hungry(tmp_path, at_run_time)
    with pytest.raises(ModelError, match=r"hungry.*ONNX Runtime.*(allocate|memory)") as caught:
        load(card, backend="onnxruntime")
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("place", ["weights", "/dev/zero", "../../etc/passwd", "fifo"])
def test_a_network_with_weights_elsewhere_is_refused(place: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, number = onnx.helper, onnx.TensorProto
    weight = number(name="w", data_type=number.FLOAT, dims=[1])
    weight.data_location = number.EXTERNAL
    weight.external_data.add(key="location", value=place)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", number.FLOAT, ["N", 1])],
        [helper.make_tensor_value_info("y", number.FLOAT, ["N", 1])],
        [weight],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "weights").write_bytes(bytes(4))
    card = installed(model.SerializeToString(), tmp_path)
    with at_once(), pytest.raises(ModelError, match="refers to the weight file"):
        load(card, backend="onnxruntime")


@pytest.mark.parametrize("kind", KINDS)
def test_one_broken_card_never_hides_the_others(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path))
    BY_NAME["model card"].make(tmp_path)
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: model")
    KINDS[kind](broken, (tmp_path / "double.yaml").read_bytes())
    with at_once():
        known = catalogue()
        checks = {check.name: check.problem for check in verify_models()}
    assert {"double", "face_mesh"} <= known.keys()
    assert "broken" not in known
    assert checks["double"] == ""
    if kind != "missing":
        assert str(broken) in checks["broken"]


# Locks, and shared memory that other processes left.


def test_a_lock_changes_nothing_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with (
        pytest.raises(OSError, match="it is a symbolic link"),
        file_lock(tmp_path / ".lock", print),
    ):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["named pipe", "folder"])
def test_a_lock_is_a_regular_file(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / ".lock")
    with (
        at_once(),
        pytest.raises(OSError, match="not a file"),
        file_lock(tmp_path / ".lock", print),
    ):
        pass


def test_a_lock_can_be_held_again(tmp_path: Path) -> None:
    for _ in range(2):
        with file_lock(tmp_path / ".lock", print):
            pass


def test_orphans_are_regular_files(tmp_path: Path) -> None:
    names = [f"fastdds_{number:016x}" for number in range(4)]
    os.mkfifo(tmp_path / f"{names[0]}_el")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / f"{names[1]}_el").symlink_to(tmp_path / "victim")
    (tmp_path / f"{names[2]}_el").mkdir()
    (tmp_path / f"{names[3]}_el").touch()
    (tmp_path / names[3]).touch()
    with at_once():
        assert remove_orphans(older_than=-1.0, folder=tmp_path) == 1
    assert not (tmp_path / names[3]).exists()
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_file_is_written_beside_a_link_of_its_part(tmp_path: Path) -> None:
    """Another user may have put a link in place of the part that is being written."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / f"a.{os.getpid()}.part").symlink_to(tmp_path / "victim")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_names_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="name"):
        open_regular(tmp_path / name)


def test_yaml_may_have_aliases() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1},
    }
