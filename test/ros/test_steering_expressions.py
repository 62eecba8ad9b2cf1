"""The talking face follows hri_msgs/Expression as it does its own topics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from face_perception import types
from face_perception.nodes.talking_face.steering import Steering


class Told:
    """Stands in for the performer and for the node, and keeps what they are told."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.topics: list[str] = []
        self.warned: list[str] = []

    def set_expression(self, shares: list[float] | None) -> None:
        self.shown.append(shares and types.EXPRESSIONS[shares.index(1.0)])

    def set_valence_arousal(self, valence: float, arousal: float) -> None:
        self.shown.append((valence, arousal))

    def subscribe(self, kind: Any, topic: str, callback: Any, **options: Any) -> None:
        self.topics.append(topic)

    def on_end(self, function: Any) -> None: ...

    def count(self, what: str) -> None: ...

    def warn_throttled(self, text: str, key: str) -> None:
        self.warned.append(text)


@pytest.mark.parametrize("installed", [True, False])
def test_it_listens_where_hri_msgs_is_installed(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "face_perception.nodes.talking_face.steering.importlib"
    monkeypatch.setattr(f"{package}.util.find_spec", lambda name: installed or None)
    monkeypatch.setattr(f"{package}.import_module", lambda name: SimpleNamespace(Expression=object))
    told: Any = Told()
    Steering(told, told, (0.0, 0.0, 0.0), "camera")
    assert ("robot_face/expression" in told.topics) is installed


def test_a_category_counts_else_valence_and_arousal() -> None:
    told: Any = Told()
    steering = Steering(told, told, (0.0, 0.0, 0.0), "camera")

    def show(expression: str, valence: float, arousal: float) -> None:
        steering._on_hri_expression(
            SimpleNamespace(expression=expression, valence=valence, arousal=arousal)
        )

    show("happy", 0.0, 0.0)
    show("", -0.5, 0.25)
    assert told.shown == ["happy", (-0.5, 0.25)]
    show("pleading", 0.0, 0.0)  # a category of hri_msgs that the face cannot show
    show("", float("nan"), 0.0)
    assert len(told.shown) == 2
    assert "unknown expression 'pleading': use one of neutral" in told.warned[0]
    assert "must each be in [-1, 1]" in told.warned[1]
