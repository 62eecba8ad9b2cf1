"""A search of the domain ends when nothing new appears, and not before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from face_perception.bringup.running_nodes import QUIET_LOOKS, settled_names

HIDDEN = ("_face_perception_names", "/")
GAZE = ("gaze", "/head")
OUTPUT = ("/head/gaze", ["face_perception/msg/GazeArray"])


class Domain:
    """A stand-in of a node that sees what happens in a domain: (from which look on, what)."""

    def __init__(self, nodes: list[tuple[int, tuple]], topics: list[tuple[int, tuple]]) -> None:
        self.looks = 0
        self.node = SimpleNamespace(
            get_node_names_and_namespaces=lambda: self._known(nodes),
            get_topic_names_and_types=lambda: self._known(topics),
        )

    def _known(self, events: list[tuple[int, tuple]]) -> list[tuple]:
        return [what for since, what in events if self.looks >= since]

    def names(self) -> list[str]:
        def look(_: float) -> None:
            self.looks += 1

        return settled_names(self.node, look)  # type: ignore[arg-type]


def test_a_node_that_is_found_late_is_listed() -> None:
    domain = Domain(nodes=[(1, HIDDEN), (QUIET_LOOKS, GAZE)], topics=[])
    assert domain.names() == ["/_face_perception_names", "/head/gaze"]


def test_a_topic_is_news_of_a_node_that_is_not_known_yet() -> None:
    domain = Domain(
        nodes=[(1, HIDDEN), (2 * QUIET_LOOKS - 1, GAZE)], topics=[(QUIET_LOOKS, OUTPUT)]
    )
    assert "/head/gaze" in domain.names()


def test_an_empty_domain_and_a_restless_one_end_the_search() -> None:
    empty = Domain(nodes=[(1, HIDDEN)], topics=[])
    assert empty.names() == ["/_face_perception_names"]
    restless = Domain(nodes=[(1, HIDDEN)], topics=[(i, (f"/{i}", [])) for i in range(1000)])
    assert restless.names() == ["/_face_perception_names"]
    assert empty.looks < restless.looks < 1000
