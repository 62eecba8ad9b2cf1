"""The files for RViz, Foxglove and rqt name topics, fields and nodes that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from face_perception.bringup.graph import NODES

ROOT = Path(__file__).parents[2]
RVIZ = ROOT / "config" / "rviz" / "perception.rviz"
FOXGLOVE = ROOT / "config" / "foxglove" / "perception.json"
ANALYZERS = ROOT / "config" / "diagnostics" / "analyzers.yaml"
# Types of messages that a display of RViz or a panel of Foxglove shows.
DISPLAYS = {
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
}
IN_3D = (
    "visualization_msgs/msg/MarkerArray",
    "sensor_msgs/msg/PointCloud2",
    "tf2_msgs/msg/TFMessage",
)


def published() -> dict[str, str]:
    """Returns the type of each topic that our nodes publish, from docs/ros_api.md."""
    rows = re.findall(
        r"^\| \w+ \| publishes \| `/?([^`]+)`.* \| (\S+) \|$",
        (ROOT / "docs" / "ros_api.md").read_text(),
        re.M,
    )
    assert len(rows) > 30
    return {f"/{topic}": kind for topic, kind in rows}


def test_rviz_shows_topics_that_exist() -> None:
    displays = yaml.safe_load(RVIZ.read_text())["Visualization Manager"]["Displays"]
    shown = {d["Class"]: d["Topic"] for d in displays if "Topic" in d}
    assert shown.keys() == DISPLAYS.keys()
    for display, topic in shown.items():
        assert published()[topic["Value"]] == DISPLAYS[display]
        assert topic["Durability Policy"] == "Volatile", "as our results are"
    # The colours of landmarks are those of a field of the cloud.
    (cloud,) = [d for d in displays if d["Class"].endswith("PointCloud2")]
    source = (ROOT / "face_perception/nodes/overlay/viewer_topics.py").read_text()
    (fields,) = re.findall(r"^_FIELDS = (.*)$", source, re.M)
    assert f'"{cloud["Channel Name"]}"' in fields


def test_foxglove_shows_topics_that_exist() -> None:
    layout = json.loads(FOXGLOVE.read_text())
    panels = layout["configById"]
    assert set(leaves(layout["layout"])) == panels.keys()
    image = panels["Image!camera"]["imageMode"]
    assert published()[image["imageTopic"]] == "sensor_msgs/msg/Image"
    for topic in image["annotations"]:
        assert published()[topic] == "foxglove_msgs/msg/ImageAnnotations"
    for topic in panels["3D!people"]["topics"]:
        assert published()[topic] in IN_3D
    assert panels["DiagnosticSummary!nodes"]["topicToRender"] == "/diagnostics"


def leaves(part: Any) -> Iterator[str]:
    """Yields the panels of a layout."""
    if isinstance(part, str):
        yield part
    else:
        yield from leaves(part["first"])
        yield from leaves(part["second"])


def plotted() -> list[str]:
    panels = json.loads(FOXGLOVE.read_text())["configById"].values()
    return [path["value"] for panel in panels for path in panel.get("paths", ())]


def documented() -> list[str]:
    """Returns the paths of PlotJuggler in docs/robot.md, as those of Foxglove."""
    page = (ROOT / "docs" / "robot.md").read_text()
    return [
        f"/{path.replace('/', '.')}" for path in re.findall(r"`/(\w+/\w+\[0\][\w/\[\]]*)`", page)
    ]


@pytest.mark.parametrize("path", [*plotted(), *documented()])
def test_plots_are_of_fields_that_exist(path: str) -> None:
    topic, _, fields = path.partition(".")
    kind = published()[topic]
    for field in fields.split("."):
        if kind == "geometry_msgs/Vector3":
            assert field in ("x", "y", "z"), path
            continue
        package, _, name = kind.removesuffix("[]").rpartition("/")
        assert package.split("/")[0] == "face_perception", path
        text = (ROOT / "msg" / f"{name}.msg").read_text()
        found = re.search(rf"^(\S+) {field.partition('[')[0]}\b", text, re.M)
        assert found is not None, f"{path}: {name} has no {field}"
        assert ("[" in field) == ("[" in found[1]), path
        kind = found[1] if "/" in found[1] else f"face_perception/msg/{found[1]}"


def test_plots_are_found() -> None:
    assert len(plotted()) == 5
    assert len(documented()) > 5


def test_the_aggregator_groups_all_nodes() -> None:
    analyzers = yaml.safe_load(ANALYZERS.read_text())["/**"]["ros__parameters"]
    named = [*starts(analyzers)]
    assert sorted(named) == sorted(node.name for node in NODES)


def starts(part: Any) -> Iterator[str]:
    """Yields the names by which analyzers choose."""
    if isinstance(part, dict):
        yield from part.get("startswith", ())
        for value in part.values():
            yield from starts(value)
