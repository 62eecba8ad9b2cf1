"""Bringing messages of one stamp together."""

from face_perception.nodes.join import StampJoin

GAZE = frozenset({"gaze"})
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


def test_bounded() -> None:
    join = StampJoin("faces", wait=1e9, limit=8)
    out = [len(join.add("faces", stamp, stamp, GAZE)) for stamp in range(100)]
    assert sum(out) >= 91
