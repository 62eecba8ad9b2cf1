"""Points of other frames, with tf2 and without it."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from face_perception.nodes.frames import Frames

POINT = np.array([1.0, 0.0, 0.0])


class Buffer:
    """Stands for tf2_ros.Buffer, which is in no registry: base_link turned by 90° about z."""

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        if (target, source) != ("camera", "base_link"):
            raise RuntimeError(f'"{source}" passed to lookupTransform does not exist')
        half = 0.5**0.5
        return SimpleNamespace(
            transform=SimpleNamespace(
                rotation=SimpleNamespace(x=0.0, y=0.0, z=half, w=half),
                translation=SimpleNamespace(x=0.0, y=0.0, z=2.0),
            )
        )


@pytest.fixture
def tf2(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tf2_ros")
    module.Buffer = Buffer  # type: ignore[attr-defined]
    module.TransformListener = (  # type: ignore[attr-defined]
        lambda buffer, node, spin_thread: SimpleNamespace(unregister=lambda: None)
    )
    monkeypatch.setitem(sys.modules, "tf2_ros", module)


def test_points_are_transformed(tf2: None) -> None:
    frames = Frames(SimpleNamespace())
    assert frames.transformed(POINT, "base_link", "camera") == pytest.approx([0, 1, 2])
    with pytest.raises(LookupError, match=r"no transform from map to camera: .* does not exist"):
        frames.transformed(POINT, "map", "camera")
    frames.destroy()


def test_the_image_frame_needs_no_tf2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    frames = Frames(SimpleNamespace())
    assert frames.transformed(POINT, "camera", "camera") is POINT
    with pytest.raises(LookupError, match="base_link needs tf2_ros, which is not installed"):
        frames.transformed(POINT, "base_link", "camera")
    frames.destroy()
