"""Joining messages of one stamp, and handling slow ones."""

import pytest

from face_perception.nodes.attention.node import AttentionParameters
from face_perception.nodes.overlay.node import OverlayParameters
from face_perception.ros.stamp_join import Newest, Pace, StampJoin
from face_perception.settings import settings_of

GAZE = frozenset({"gaze"})
IMAGE = frozenset({"image"})
NONE = frozenset[str]()
MS = 1_000_000


def test_pairs_by_stamp_whatever_comes_first() -> None:
    join = StampJoin("faces", wait=0.1)
    assert join.add("faces", 1, "f1", GAZE) == []
    assert join.add("gaze", 1, "g1", GAZE) == [(1, {"faces": "f1", "gaze": "g1"})]
    assert join.add("gaze", 2, "g2", GAZE) == []
    assert join.add("faces", 2, "f2", GAZE) == [(2, {"faces": "f2", "gaze": "g2"})]


def test_waits_no_longer_than_told() -> None:
    join = StampJoin("faces", wait=0.1)
    assert join.add("faces", 0, "f0", GAZE) == []
    assert join.add("faces", 100 * MS, "f1", GAZE) == []
    assert join.add("faces", 101 * MS, "f2", GAZE) == [(0, {"faces": "f0"})]


def test_without_anything_expected_it_waits_for_nothing() -> None:
    join = StampJoin("faces", wait=0.1)
    assert join.add("faces", 5, "f", NONE) == [(5, {"faces": "f"})]


def test_a_complete_later_group_lets_an_earlier_one_go() -> None:
    join = StampJoin("faces", wait=10.0)
    join.add("faces", 1 * MS, "f1", GAZE)
    join.add("faces", 2 * MS, "f2", GAZE)
    ready = join.add("gaze", 2 * MS, "g2", GAZE)
    assert ready == [(1 * MS, {"faces": "f1"}), (2 * MS, {"faces": "f2", "gaze": "g2"})]


def test_late_values_are_lost_and_groups_without_anchor_never_come() -> None:
    join = StampJoin("faces", wait=0.1)
    join.add("faces", 1, "f1", NONE)
    assert join.add("gaze", 1, "g1", GAZE) == []
    assert join.add("gaze", 2, "g2", GAZE) == []
    assert join.add("faces", 200 * MS, "f3", NONE) == [(200 * MS, {"faces": "f3"})]


def test_starts_again_when_stamps_go_far_back() -> None:
    join = StampJoin("faces", wait=0.1)
    join.add("faces", 60_000 * MS, "end", NONE)
    assert join.add("faces", 10 * MS, "begin", NONE) == [(10 * MS, {"faces": "begin"})]


def test_a_late_value_of_another_kind_clears_nothing() -> None:
    join = StampJoin("faces", wait=0.1)
    assert join.add("faces", 5000 * MS, "f", NONE) == [(5000 * MS, {"faces": "f"})]
    assert join.add("faces", 5030 * MS, "g", GAZE) == []
    assert join.add("slow", 100 * MS, "s", GAZE) == []
    assert join.add("gaze", 5030 * MS, "g", GAZE) == [(5030 * MS, {"faces": "g", "gaze": "g"})]


@pytest.mark.parametrize("wrong", ["faces", "image"])
def test_a_stamp_of_a_clock_that_is_wrong_is_forgotten(wrong: str) -> None:
    """A message has a stamp years ahead, and no other message has that stamp."""
    join = StampJoin("faces", wait=0.1)
    assert join.add(wrong, 2**31 * 1000 * MS, "wrong", IMAGE) == []
    pairs = []
    for t in range(4):
        assert join.add("image", t * 33 * MS, t, IMAGE) == []
        pairs += join.add("faces", t * 33 * MS, t, IMAGE)
    # Messages before the next anchor may be lost.
    assert pairs[-3:] == [(t * 33 * MS, {"faces": t, "image": t}) for t in (1, 2, 3)]


@pytest.mark.parametrize("late", ["slow", "gaze"])
def test_what_is_late_of_the_round_before_holds_up_nothing(late: str) -> None:
    """A bag loops, and a late value of its end arrives after the first anchor."""
    join = StampJoin("faces", wait=0.1)
    join.add("faces", 59_900 * MS, "end", NONE)
    assert not join.outdated("slow", 62_000 * MS), "no round is over yet"
    assert join.add("faces", 0, "f0", GAZE) == []
    assert join.outdated(late, 60_000 * MS)
    assert not join.outdated(late, 33 * MS)
    assert join.add(late, 60_000 * MS, "late", GAZE) == []
    assert join.add("faces", 33 * MS, "f1", GAZE) == []
    assert join.add("gaze", 0, "g0", GAZE) == [(0, {"faces": "f0", "gaze": "g0"})]
    assert join.add("gaze", 33 * MS, "g1", GAZE) == [(33 * MS, {"faces": "f1", "gaze": "g1"})]


def test_after_the_round_before_a_slow_anchor_may_come_last_again() -> None:
    """For example faces that arrive after their image, at one image in two seconds."""
    join = StampJoin("faces", wait=0.1)
    join.add("faces", 4000 * MS, "end", NONE)
    for second in (0, 2, 4, 6, 8):
        join.add("image", second * 1000 * MS, f"i{second}", IMAGE)
        ready = join.add("faces", second * 1000 * MS, f"f{second}", IMAGE)
    assert ready == [(8000 * MS, {"image": "i8", "faces": "f8"})]


def kept(
    late: int, every: int, wait: float = 0.15, frames: int = 60, period: int = 33
) -> frozenset[str]:
    """Returns the joined values, with one image in ``period`` milliseconds.

    The value "slow" arrives some images late, and only for every n-th image.
    """
    pace = Pace("image", wait)
    for t in range(frames):
        pace.add("image", t * period * MS)
        if t >= late and (t - late) % every == 0:
            pace.add("slow", (t - late) * period * MS)
    return pace.kept()


@pytest.mark.parametrize(
    ("late", "every", "waits"), [(0, 1, True), (3, 1, True), (6, 1, False), (0, 2, False)]
)
def test_only_what_is_quick_and_regular_is_waited_for(late: int, every: int, waits: bool) -> None:
    assert kept(late, every) == ({"slow"} if waits else set())


@pytest.mark.parametrize(
    ("name", "parameters"), [("wait", OverlayParameters), ("gaze_wait", AttentionParameters)]
)
def test_the_longest_wait_that_is_allowed_is_waited(name: str, parameters: type) -> None:
    """At 60 images a second."""
    (wait,) = [f.maximum for f in settings_of(parameters) if f.name == name]
    assert wait is not None
    frames = int(wait * 60)
    assert kept(frames - 1, 1, wait=wait, frames=4 * frames, period=16) == {"slow"}
    join = StampJoin("faces", wait)
    for t in range(frames):
        assert join.add("faces", t * 16 * MS, t, GAZE) == []


def test_pace_follows() -> None:
    pace = Pace("image", 0.15)
    assert pace.kept() == set(), "nothing is known yet"
    for t in range(20):
        pace.add("image", t * 33 * MS)
        pace.add("gaze", t * 33 * MS)
    assert pace.kept() == {"gaze"}
    for t in range(20, 40):  # it has died
        pace.add("image", t * 33 * MS)
    assert pace.kept() == set()
    pace.clear()
    pace.add("image", 0)
    assert pace.kept() == set()


def test_newest_of_each_key_up_to_a_stamp_and_an_age() -> None:
    newest = Newest[str, str](0.5)
    newest.add("a", 100 * MS, "old")
    newest.add("a", 200 * MS, "new")
    newest.add("b", 300 * MS, "b")
    assert newest.at(250 * MS) == {"a": "new"}, "b is of later"
    assert newest.at(700 * MS) == {"a": "new", "b": "b"}
    assert newest.at(701 * MS) == {"b": "b"}
    assert newest.at(250 * MS) == {}, "forgotten"
    newest.clear()
    assert newest.at(700 * MS) == {}


def test_newest_without_an_age_is_of_the_stamp_itself() -> None:
    newest = Newest[str, int](0.0)
    newest.add("a", 1, 1)
    assert newest.at(1) == {"a": 1}
    assert newest.at(2) == {}


def test_bounded() -> None:
    join = StampJoin("faces", wait=1e9, limit=8)
    out = [len(join.add("faces", stamp, stamp, GAZE)) for stamp in range(100)]
    assert sum(out) >= 91
