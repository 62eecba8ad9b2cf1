"""The head in three dimensions: its file, and the numbers that move it."""

from __future__ import annotations

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from face_perception import paths
from face_perception.avatar import FaceState, face_blendshapes, face_numbers, head_files
from face_perception.errors import InputError
from face_perception.nodes.talking_face import renderer_choice
from face_perception.speech import MouthShape
from face_perception.types import BLENDSHAPES


def test_the_file_has_all_blendshapes_in_two_megabytes() -> None:
    data = paths.resource("resources/head.glb").read_bytes()
    assert len(data) <= 2_000_000
    magic, version, length, size = struct.unpack_from("<4sIII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    document = json.loads(data[20 : 20 + size])
    assert "CC0" in document["asset"]["copyright"]
    face = document["meshes"][0]
    assert tuple(face["extras"]["targetNames"]) == BLENDSHAPES[1:]
    skin = face["primitives"][0]["targets"]
    for name, target in zip(BLENDSHAPES[1:], skin, strict=True):
        assert document["accessors"][target["POSITION"]]["sparse"]["count"] > 20, name
    assert {"eyeLeft", "eyeRight"} <= {node["name"] for node in document["nodes"]}
    assert set(head_files()) == {"/head.js", "/head.glb"}


@pytest.mark.parametrize(
    ("state", "up"),
    [
        (FaceState(smile=1.0), "mouthSmileLeft"),
        (FaceState(smile=-1.0), "mouthFrownRight"),
        (FaceState(inner_brow=-1.0), "browDownLeft"),
        (FaceState(outer_brow=1.0), "browOuterUpRight"),
        (FaceState(lids=1.0), "eyeWideLeft"),
        (FaceState(blink=1.0), "eyeBlinkLeft"),
        (FaceState(nose=1.0), "noseSneerLeft"),
        (FaceState(gaze_yaw=0.5), "eyeLookOutLeft"),
        (FaceState(gaze_yaw=-0.5), "eyeLookOutRight"),
        (FaceState(gaze_pitch=-0.4), "eyeLookDownLeft"),
        (FaceState(MouthShape(jaw=0.8)), "jawOpen"),
        (FaceState(MouthShape(jaw=0.8, press=1.0)), "mouthClose"),
    ],
)
def test_each_part_of_a_state_moves_its_blendshape(state: FaceState, up: str) -> None:
    strengths = dict(zip(BLENDSHAPES, face_blendshapes(state), strict=True))
    rest = dict(zip(BLENDSHAPES, face_blendshapes(FaceState()), strict=True))
    assert strengths[up] > 0.6
    assert rest[up] == 0


def test_numbers_are_finite_and_limited() -> None:
    wild = FaceState(smile=9.0, lids=float("nan"), head_yaw=9.0, gaze_yaw=float("inf"))
    numbers = face_numbers(wild)
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()
    assert numbers[:52].max() <= 1
    assert numbers[52 + 2] == pytest.approx(0.3)
    # Whoever stands at the side or above must not see white eyes.
    far = face_numbers(FaceState(gaze_yaw=-1.5, gaze_pitch=1.5, head_yaw=-0.2, head_pitch=0.1))
    assert far[52:57] == pytest.approx([-0.9, 0.55, -0.2, 0.1, 0.0])
    # Eyes that stay on the viewer while the head turns look to the side in the head.
    turned = face_blendshapes(FaceState(head_yaw=0.2))
    assert turned[BLENDSHAPES.index("eyeLookInLeft")] > 0.2


@pytest.mark.parametrize(
    ("renderer", "screen"),
    [
        ("none", {"window": "full"}),
        ("none", {"web_port": 8080}),
        ("head", {"window": "full"}),
        ("head", {"web_port": 0}),
    ],
)
def test_screens_that_do_not_fit_are_refused(renderer: str, screen: dict[str, object]) -> None:
    fitting = {"window": "none", "web_port": 8080 * (renderer == "head"), "renderer": renderer}
    (name,) = screen
    with pytest.raises(InputError, match=f"renderer is {renderer}, .*set {name}"):
        renderer_choice._check_screens(SimpleNamespace(**(fitting | screen)))
    renderer_choice._check_screens(SimpleNamespace(**fitting))
