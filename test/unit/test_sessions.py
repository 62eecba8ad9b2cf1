"""Sessions without ROS: what is written survives kills, full disks and odd input."""

from __future__ import annotations

import csv
import os
import resource
import struct
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from face_perception.errors import InputError, MissingDependencyError
from face_perception.markers import Marker
from face_perception.media import BagReader, damaged_mcap
from face_perception.results import read_markers
from face_perception.sessions import (
    CHANNELS,
    LabStreams,
    SessionFolder,
    SessionRecorder,
    StreamedFace,
    TopicQos,
    check_marker,
    free_space,
    header_stamp,
)

START = 1_700_000_000.25
TOPIC, KIND = "/chat", "std_msgs/msg/String"
DEFINITION = {KIND: "string data\n"}


def string(text: str) -> bytes:
    """Returns a serialised std_msgs/String."""
    data = text.encode() + b"\0"
    return b"\0\1\0\0" + struct.pack("<I", len(data)) + data


def recorder(root: Path, buffer: int = 1 << 20, stop_below: float = 0.0) -> SessionRecorder:
    pytest.importorskip("rosbags")
    made = SessionRecorder(SessionFolder(root, "test", START), buffer=buffer, stop_below=stop_below)
    made.add_topic(TOPIC, KIND, TopicQos(latched=True, depth=1), DEFINITION)
    return made


def put(made: SessionRecorder, first: int, count: int, text: str = "message") -> None:
    for number in range(first, first + count):
        made.put(TOPIC, number * 1_000_000, string(f"{text} {number}"))


def read(path: Path) -> tuple[list[str], bool]:
    """Returns the texts in a session, and whether it has no end."""
    reader = BagReader(path)
    texts = [message.data for _, _, message in reader.messages(TOPIC)]
    reader.close()
    return texts, reader.unfinished


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each ``write`` put its messages on the disk."""
    from face_perception.sessions import recorder as module

    monkeypatch.setattr(module, "_FLUSH_PERIOD", 0.0)


def test_a_session_is_a_rosbag2_recording_with_its_facts(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    put(made, 0, 5)
    made.mark(Marker(START + 1, "=begin, now", "service"))
    made.close("it was stopped", START + 10)
    folder = made.folder.path
    for private in (folder, *folder.rglob("*")):
        assert private.stat().st_mode & 0o077 == 0, private
    record = yaml.safe_load((folder / "session.yaml").read_text())
    assert (record["label"], record["reason"]) == ("test", "it was stopped")
    assert (record["messages"], record["dropped"], record["markers"]) == (5, 0, 1)
    with (folder / "markers.csv").open(newline="") as file:
        # A spreadsheet must not read a label as a formula.
        assert list(csv.reader(file))[1] == [f"{START + 1:.6f}", "'=begin, now", "service"]
    assert read(folder) == ([f"message {n}" for n in range(5)], False)
    from rosbags.interfaces import QosDurability
    from rosbags.rosbag2 import Reader

    with Reader(folder / "bag") as reader:
        (connection,) = reader.connections
        (qos,) = connection.ext.offered_qos_profiles  # type: ignore[union-attr]
    assert (qos.durability, qos.depth) == (QosDurability.TRANSIENT_LOCAL, 1)


@pytest.mark.usefixtures("at_once")
def test_every_beginning_of_a_recording_is_readable(tmp_path: Path) -> None:
    """As after a power cut: the file ends anywhere, perhaps in zeros, and nothing else is there."""
    made = recorder(tmp_path)
    for part in range(4):
        put(made, 3 * part, 3)
        made.write()
    file = made.folder.bag / "bag.mcap"
    data = file.read_bytes()
    assert len(list(made.folder.bag.iterdir())) == 1
    seen = set()
    for length in range(60, len(data), 37):
        for cut in (data[:length], data[:length] + bytes(100)):
            file.write_bytes(cut)
            texts, unfinished = read(made.folder.path)
            assert unfinished
            assert texts == [f"message {n}" for n in range(len(texts))]
            seen.add(len(texts))
    assert seen == {0, 3, 6, 9, 12}


def damaged(data: bytes, kind: str, at: int, count: int) -> bytes:
    noise = np.random.default_rng(at).bytes(count)
    middle = {"zeros": bytes(count), "noise": noise, "missing": b"", "added": noise}[kind]
    return data[:at] + middle + data[at if kind == "added" else at + count :]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("kind", ["zeros", "noise", "missing", "added"])
@pytest.mark.parametrize("count", [1, 64, 4096])
def test_what_is_whole_before_and_after_damage_is_kept(
    tmp_path: Path, kind: str, count: int
) -> None:
    """Anywhere: in the definitions, the messages, between the parts, and in the index."""
    made = recorder(tmp_path)
    for part in range(10):
        put(made, 30 * part, 30)
        made.write()
    made.close("it was stopped", START + 9)
    file = made.folder.bag / "bag.mcap"
    data, numbers = file.read_bytes(), {f"message {n}": n for n in range(300)}
    for at in range(9, len(data) - count, 2411):
        file.write_bytes(damaged(data, kind, at, count))
        reader = BagReader(made.folder.path)
        refused: list[str] = []
        messages = reader.messages(TOPIC, refuse=lambda topic, _, to=refused: to.append(topic))
        found = [numbers[text] for *_, m in messages if (text := m.data) in numbers]
        reader.close()
        assert found == sorted(set(found)), "they come in order, and once"
        # A part has 30 messages; 4096 bytes touch three parts.
        assert len(found) >= 300 - (90 if count > 64 else 30)
        # Without a checksum, a change within a text or a time cannot be seen.
        if len(found) + len(refused) < 299:
            assert reader.damage, at


@pytest.mark.usefixtures("at_once")
def test_the_first_part_goes_on_after_damage_without_an_end(tmp_path: Path) -> None:
    """Only the first part says which channels there are, and no end repeats it."""
    made = recorder(tmp_path)
    put(made, 0, 30)
    made.write()
    file = made.folder.bag / "bag.mcap"
    data = file.read_bytes()
    at = data.index(b"message 10")
    file.write_bytes(data[: at - 60] + bytes(70) + data[at + 10 :])
    texts, unfinished = read(made.folder.path)
    assert unfinished
    assert {f"message {n}" for n in (*range(8), *range(12, 30))} <= set(texts)


@pytest.mark.usefixtures("at_once")
def test_messages_that_only_the_index_has_are_counted_once(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    put(made, 0, 30)
    made.close("it was stopped", START + 9)
    file = made.folder.bag / "bag.mcap"
    data = file.read_bytes()
    # Nine records of one length are zeros, which a reader takes for records of no kind.
    begin, end = (data.index(b"message %d" % n) for n in (10, 19))
    head = 9 + 22 + 8  # of a record, of its message, and of the text
    file.write_bytes(data[: begin - head] + bytes(end - begin) + data[end - head :])
    reader = BagReader(made.folder.path)
    for _ in range(2):
        assert len(list(reader.messages(TOPIC))) == 21
        assert reader.damage == "9 messages that its index lists are damaged, and left out"
    reader.close()


def test_a_part_that_claims_to_be_huge_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has a hole: it needs no space on the disk."""
    pytest.importorskip("rosbags")
    monkeypatch.setattr(damaged_mcap, "_LARGEST_CHUNK", 1 << 20)
    length = 1 << 27
    head = struct.pack("<QQQIIQ", 1, 2, length - 40, 0, 0, length - 40)
    file = tmp_path / "large.mcap"
    file.write_bytes(b"\x89MCAP0\r\n" + struct.pack("<BQ", 6, length) + head)
    os.truncate(file, length + 100)
    tracemalloc.start()
    try:
        BagReader(file).close()
        assert tracemalloc.get_traced_memory()[1] < length / 2
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("at_once")
def test_messages_without_an_index_come_in_the_order_of_time(tmp_path: Path) -> None:
    """Threads that record may hand in messages in another order."""
    made = recorder(tmp_path)
    for number in (2, 0, 1, 4, 3):
        put(made, number, 1)
        made.write()
    assert read(made.folder.path) == ([f"message {n}" for n in range(5)], True)


@pytest.fixture
def _small_files() -> Iterator[None]:
    """Lets writing fail after 20 kB of a file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("_small_files", "at_once")
def test_a_full_disk_ends_the_session_and_keeps_what_is_written(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    for part in range(100):
        put(made, 10 * part, 10, "x" * 100)
        made.write()
    assert "the session was stopped: " in made.failure
    assert "bag.mcap" in made.failure
    made.close("not this", START + 9)
    texts, _ = read(made.folder.path)
    assert 50 < len(texts) < 200
    record = yaml.safe_load((made.folder.path / "session.yaml").read_text())
    assert record["reason"] == made.failure


@pytest.mark.usefixtures("at_once")
def test_a_session_ends_before_the_disk_is_full(tmp_path: Path) -> None:
    made = recorder(tmp_path, stop_below=1e18)
    put(made, 0, 3)
    made.write()
    assert "less than stop_below" in made.failure
    assert read(made.folder.path) == ([f"message {n}" for n in range(3)], False)


@pytest.mark.usefixtures("at_once")
def test_a_fault_ends_the_session_and_is_named(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.put("/unknown", 1, string("x"))
    made.write()
    assert "stopped by a fault: KeyError('/unknown')" in made.failure


def test_a_fault_at_the_end_is_named_too(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.put("/unknown", 1, string("x"))
    made.close("it was stopped", START)
    assert "cut off by a fault: KeyError('/unknown')" in made.failure
    record = yaml.safe_load((made.folder.path / "session.yaml").read_text())
    assert record["reason"] == made.failure


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("moved", [False, True])
def test_a_folder_that_disappears_ends_the_session(tmp_path: Path, moved: bool) -> None:
    """The system lets a program write into a file that has no name any more."""
    made = recorder(tmp_path / "sessions")
    put(made, 0, 3)
    made.write()
    assert made.failure == ""
    if moved:
        made.folder.path.rename(tmp_path / "elsewhere")
    else:
        made.folder.remove()
    made.write()
    assert "bag.mcap: No such file" in made.failure
    made.close("not this", START + 9)
    assert "bag.mcap: No such file" in made.failure
    assert not made.folder.path.exists()  # it is not made again


def test_a_folder_in_which_nothing_can_be_written_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from face_perception.sessions import folder as module

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        SessionFolder(tmp_path, "test", START)
    assert list(tmp_path.iterdir()) == []


def test_a_definition_that_cannot_be_read_leaves_the_topic_out(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    with pytest.raises(LookupError, match=r"definition of its type x_msgs/msg/Odd"):
        made.add_topic("/odd", "x_msgs/msg/Odd", TopicQos(), {"x_msgs/msg/Odd": "this is not it"})
    with pytest.raises(LookupError):  # it is there already
        made.add_topic(TOPIC, KIND, TopicQos(latched=True, depth=1), DEFINITION)
    made.close("", START)


@pytest.mark.parametrize("label", ["=begin", "'tis", "''", "it's", "-1"])
def test_the_label_of_a_marker_comes_back_as_it_was(label: str, tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path, "test", START)
    folder.add_marker(Marker(START, label, "service"))
    folder.bag.mkdir()  # as with a recording
    assert read_markers(folder.path) == (Marker(START, label, "service"),)


def test_a_marker_without_a_time_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.markers.csv").write_text("stamp,label,source\nnan,begin,service\n")
    with pytest.raises(InputError, match="the stamp 'nan' is not a number: correct or remove it"):
        read_markers(tmp_path / "clip.jsonl")


@pytest.mark.parametrize(
    ("label", "ending"),
    [
        ("Teilnehmerin Müller 7", "_Teilnehmerin_Muller_7"),
        ("../a/b", "__a_b"),
        ("", ""),
        ("ü" * 200, "_" + "u" * 60),
    ],
)
def test_any_label_is_stored_and_its_letters_name_the_folder(
    label: str, ending: str, tmp_path: Path
) -> None:
    folder = SessionFolder(tmp_path, label, START).path
    assert folder.parent == tmp_path
    assert folder.name[len("2023-11-14_22-13-20") :] == ending
    assert yaml.safe_load((folder / "session.yaml").read_text())["label"] == label


@pytest.mark.parametrize("label", ["a\nb", "\0", "a" * 201, "caf\udce9"])
def test_a_label_that_cannot_be_shown_is_refused(label: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give at most 200 printable characters"):
        SessionFolder(tmp_path, label, START)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_disk_drops_and_counts(tmp_path: Path) -> None:
    made = recorder(tmp_path, buffer=100)
    put(made, 0, 10)
    assert made.dropped == 5
    made.write()
    put(made, 10, 1)
    made.close("", START)
    assert len(read(made.folder.path)[0]) == 6


def test_the_space_on_a_disk_that_cannot_be_reached_is_unknown(tmp_path: Path) -> None:
    assert free_space(tmp_path / "not" / "there") > 0
    assert np.isnan(free_space(tmp_path / ("x" * 300)))  # as without permission, an OSError


def test_two_sessions_of_one_second_have_two_folders(tmp_path: Path) -> None:
    root = tmp_path / "sessions"
    first, second = (SessionFolder(root, "a", START).path for _ in range(2))
    assert second.name == f"{first.name}_2"
    assert root.stat().st_mode & 0o077 == 0  # the names of the folders have the labels


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "x" * 201])
def test_a_marker_that_cannot_be_shown_is_refused(label: str) -> None:
    with pytest.raises(InputError, match=r"marker .* cannot be used"):
        check_marker(label)


def test_the_stamp_of_a_message_is_read_without_its_type() -> None:
    data = b"\0\1\0\0" + struct.pack("<iI", 12, 250_000_000) + b"rest"
    assert header_stamp(data) == 12.25
    for other in (b"", b"\0\0" + data[2:], b"\0\1\0\0" + bytes(8)):  # short, big-endian, unset
        assert np.isnan(header_stamp(other))


def test_clock_offsets_are_receipt_minus_stamp(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    text = "std_msgs/Header header\n"
    header = "builtin_interfaces/Time stamp\nstring frame_id\n"
    definitions = {
        "x_msgs/msg/Stamped": text,
        "std_msgs/msg/Header": header,
        "builtin_interfaces/msg/Time": "int32 sec\nuint32 nanosec\n",
    }
    made.add_topic("/s", "x_msgs/msg/Stamped", TopicQos(), definitions, stamped=True)
    for second, late in ((10, 0.5), (11, 0.25)):
        data = b"\0\1\0\0" + struct.pack("<iI", second, 0) + string("frame")[4:]
        made.put("/s", round((second + late) * 1e9), data)
    made.close("", START)
    record = yaml.safe_load((made.folder.path / "session.yaml").read_text())
    assert record["clock_offsets"] == {
        "/s": {"count": 2, "smallest": 0.25, "mean": 0.375, "largest": 0.5}
    }


# Lab Streaming Layer, with a stand-in for pylsl.


class Outlet:
    def __init__(self, info: Any) -> None:
        self.info, self.sent = info, []  # type: ignore[var-annotated]
        MADE.append(self)

    def push_sample(self, sample: list[Any], at: float) -> None:
        self.sent.append((sample, at))


class Info:
    """A description of a stream, with its channels."""

    def __init__(self, name: str, kind: str, count: int, *_: Any) -> None:
        self._name, self.kind, self.count, self.labels = name, kind, count, []  # type: ignore[var-annotated]

    def name(self) -> str:
        return self._name

    def uid(self) -> str:
        return f"uid of {self._name}"

    def desc(self) -> Info:
        return self

    append_child = lambda self, name: self  # noqa: E731

    def append_child_value(self, name: str, value: str) -> None:
        self.labels.append(value)


class LostError(RuntimeError):
    pass


class Inlet:
    def __init__(self, info: Info, **_: Any) -> None:
        self.waiting: list[Any] = [(["go"], 90.0), ([""], 91.0)]
        INLETS.append(self)

    def pull_sample(self, timeout: float) -> tuple[Any, float]:
        if not self.waiting:
            return None, 0.0
        found = self.waiting.pop(0)
        if found is None:
            raise LostError
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]

    def open_stream(self, timeout: float) -> None:
        pass

    def close_stream(self) -> None:
        pass


MADE: list[Outlet] = []
INLETS: list[Inlet] = []


@pytest.fixture
def lsl(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A stand-in for pylsl whose clock shows 100 s."""
    MADE.clear()
    INLETS.clear()
    found = [Info("stimuli", "Markers", 1), Info("face markers", "Markers", 1)]
    standin = SimpleNamespace(
        StreamInfo=Info,
        StreamOutlet=Outlet,
        StreamInlet=Inlet,
        local_clock=lambda: 100.0,
        ContinuousResolver=lambda prop, value: SimpleNamespace(results=lambda: found),
        IRREGULAR_RATE=0.0,
        cf_float32="float32",
        cf_string="string",
        proc_clocksync=1,
        proc_monotonize=4,
    )
    monkeypatch.setitem(sys.modules, "pylsl", standin)
    return standin


def test_numbers_and_markers_go_out_with_the_time_of_the_image(lsl: SimpleNamespace) -> None:
    streams = LabStreams("face")
    numbers = StreamedFace(2.0, 0.1, -0.1, 1.0, 0.5, 0.0, 0.3, -0.2)
    streams.send_faces([numbers], age=0.25)
    streams.send_marker("begin", age=1.0)
    faces, markers = MADE
    assert (faces.info.kind, faces.info.count) == ("Face", len(CHANNELS))
    assert tuple(faces.info.labels) == CHANNELS
    assert faces.sent == [([2.0, 0.1, -0.1, 1.0, 0.5, 0.0, 0.3, -0.2], 99.75)]
    assert markers.sent == [(["begin"], 99.0)]


def test_markers_of_other_programs_come_with_their_age(lsl: SimpleNamespace) -> None:
    streams = LabStreams("face")
    assert streams.find() == ["stimuli"]  # not our own
    assert streams.find() == []
    assert [(m.label, m.age, m.stream) for m in streams.markers()] == [
        ("go", 10.0, "stimuli"),
        ("", 9.0, "stimuli"),
    ]
    assert streams.markers() == []
    latin = UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid")
    INLETS[0].waiting += [latin, (["later"], float("nan")), (["next"], 95.0)]
    assert [m.label for m in streams.markers()] == ["next"]
    assert streams.refused == 2
    INLETS[0].waiting.append(None)  # the program has ended
    assert streams.markers() == []
    assert streams.find() == ["stimuli"]
    streams.close()


def test_pylsl_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(MissingDependencyError, match="pip install pylsl"):
        LabStreams("face")
