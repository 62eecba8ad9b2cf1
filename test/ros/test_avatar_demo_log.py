"""Reading errors from node logs, and finding out which audio_common is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from face_perception.bringup.avatar_demo import last_error


def test_the_last_error_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "avatar.log"
    log.write_text("[INFO] [1.5] [talking_face]: up\n")
    assert last_error(log) == ""
    log.write_text(
        "[ERROR] [1.5] [talking_face]: configure: no face\n[WARN] [1.6] [talking_face]: slow\n"
        "[up] talking_face has exited (exit code 1)\n[ERROR] [1.7] [talking_fa"
    )
    assert last_error(log) == "configure: no face"


def audio_common(*, data: dict[str, str], info: bool) -> ModuleType:
    """Returns a stand-in for ``audio_common_msgs.msg``, of one of the two packages of that name."""
    module = ModuleType("audio_common_msgs.msg")
    kind = type(
        "AudioData", (), {"get_fields_and_field_types": classmethod(lambda cls: dict(data))}
    )
    module.AudioData = kind  # type: ignore[attr-defined]
    if info:
        module.AudioInfo = object  # type: ignore[attr-defined]
    return module


def test_which_audio_common_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from face_perception.ros.audio_input import audio_common_messages

    other = audio_common(data={"float32_data": "sequence<float>", "int16_data": "x"}, info=False)
    ours = audio_common(data={"data": "sequence<uint8>"}, info=True)
    monkeypatch.setitem(sys.modules, "audio_common_msgs", ModuleType("audio_common_msgs"))
    monkeypatch.setitem(sys.modules, "audio_common_msgs.msg", other)
    with pytest.raises(ValueError, match=r"another package of that name .*float32_data"):
        audio_common_messages()
    monkeypatch.setitem(sys.modules, "audio_common_msgs.msg", ours)
    assert audio_common_messages() is ours
