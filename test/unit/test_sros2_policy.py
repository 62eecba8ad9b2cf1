"""The SROS 2 policies: well-formed, and no larger and no smaller than docs/ros_api.md."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from face_perception.bringup.graph import NODES
from tools.sros2_policy import permissions, policy

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "ros_api.md").read_text()


@pytest.mark.parametrize("node", [node.name for node in NODES])
def test_the_policy_of_a_node(node: str) -> None:
    path = ROOT / "config" / "security" / f"{node}.policy.xml"
    assert path.read_text() == policy(node, API), "run tools/generate.py"
    (profile,) = ET.parse(path).getroot().iter("profile")
    assert (profile.get("node"), profile.get("ns")) == (node, "/")
    allowed = permissions(node, API)
    for tag, how, names in (
        ("topics", "publish", allowed.publishes),
        ("topics", "subscribe", allowed.subscribes),
        ("services", "reply", allowed.serves),
        ("services", "request", allowed.calls),
        ("actions", "call", allowed.starts),
        ("actions", "execute", allowed.executes),
    ):
        listed = {item.text for group in profile.findall(tag) if group.get(how) for item in group}
        assert listed == names
        # Nothing is allowed in general: a * stands for an id only.
        assert not [name for name in names if "*" in name.replace("/*/", "/")]


def test_alternatives_and_actions_are_allowed() -> None:
    assert {"image", "image/compressed"} <= permissions("face_tracker", API).subscribes
    gaze = permissions("gaze", API)
    assert gaze.executes == {"gaze/calibrate"}
    assert {"image", "/tf"} <= gaze.subscribes
    assert "faces" not in gaze.publishes
    assert {"gaze/get_parameters", "camera/list_parameters"} <= permissions("session", API).calls
    assert gaze.calls == set()
    assert "camera_info_file" not in permissions("camera", API).publishes


def test_a_node_without_a_row_is_noticed() -> None:
    with pytest.raises(ValueError, match="no row of the node other"):
        permissions("other", API)
