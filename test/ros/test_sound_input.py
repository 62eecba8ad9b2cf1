"""What the attention node passes on of the sound that it is told about."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from std_msgs.msg import Header

from face_perception import msg
from face_perception.attention import WhoSpeaks
from face_perception.errors import InputError
from face_perception.nodes.attention.sound_input import SoundInput, SoundInputSettings
from face_perception.ros import messages


def test_a_voice_without_a_probability_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probability of 80, such as of a node that counts in percent, would reach `speaking`."""
    callbacks: dict[str, Callable[[Any], None]] = {}

    def subscribe(kind: type, topic: str, callback: Callable[[Any], None], **_: Any) -> Any:
        callbacks[topic] = callback
        return SimpleNamespace(published=True)

    who, node = WhoSpeaks(), SimpleNamespace(subscribe=subscribe)
    heard: list[tuple[float, float]] = []
    monkeypatch.setattr(who, "hear_voice", lambda *voice: heard.append(voice))
    SoundInput(node, who, SoundInputSettings(), lambda: True)  # type: ignore[arg-type]

    def hear(probability: float, valid: bool = True) -> None:
        header = Header(stamp=messages.time(5.0))
        callbacks["voice_activity"](
            msg.VoiceActivity(header=header, valid=valid, probability=probability)
        )

    for wrong in (80.0, -0.5, math.nan, math.inf):
        with pytest.raises(InputError, match="publish one from 0 to 1"):
            hear(wrong)
    assert not heard
    hear(0.75)
    hear(80.0, valid=False)
    assert heard[0] == (pytest.approx(5.016), 0.75)
    assert math.isnan(heard[1][1])
