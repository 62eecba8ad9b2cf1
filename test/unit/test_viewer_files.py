"""The files for RViz, Foxglove and rqt name topics, fields and nodes that exist."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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
# What RViz reads of its files, by class or by the key above it, from the sources of rviz_common and
# rviz_default_plugins: a type, the values that are allowed, or the part below. It ignores every
# other key without a word, so a misspelt one would have no effect.
NUMBER = (int, float)
QOS = {
    "Value": str,
    "Depth": int,
    "History Policy": ("System Default", "Keep Last", "Keep All"),
    "Reliability Policy": ("System Default", "Reliable", "Best Effort"),
    "Durability Policy": ("System Default", "Transient Local", "Volatile"),
}
DISPLAY = {"Class": str, "Name": str, "Enabled": bool, "Value": bool}
PANEL = {"Class": str, "Name": str}
RVIZ_PARTS: dict[str, dict[str, Any]] = {
    "": {"Panels": list, "Visualization Manager": dict, "Window Geometry": dict},
    "rviz_common/Displays": PANEL,
    "rviz_common/Views": PANEL,
    "Visualization Manager": {
        "Class": str, "Displays": list, "Enabled": bool, "Global Options": dict, "Name": str,
        "Tools": list, "Value": bool, "Views": dict,
    },
    "Global Options": {"Background Color": str, "Fixed Frame": str, "Frame Rate": int},
    "Views": {"Current": dict, "Saved": list},
    "Window Geometry": {
        "Height": int, "Width": int, "X": int, "Y": int, "Hide Left Dock": bool,
        "Hide Right Dock": bool, "QMainWindow State": str,
    },
    "rviz_default_plugins/TF": DISPLAY | {
        "Show Names": bool, "Show Axes": bool, "Show Arrows": bool, "Marker Scale": NUMBER,
        "Update Interval": NUMBER, "Frame Timeout": NUMBER,
    },
    "rviz_default_plugins/MarkerArray": DISPLAY | {"Topic": dict, "Namespaces": bool},
    "rviz_default_plugins/PointCloud2": DISPLAY | {
        "Topic": dict, "Alpha": NUMBER, "Decay Time": NUMBER, "Selectable": bool,
        "Style": ("Points", "Squares", "Flat Squares", "Spheres", "Boxes", "Tiles"),
        "Size (m)": NUMBER, "Size (Pixels)": NUMBER,
        "Color Transformer": ("AxisColor", "FlatColor", "Intensity", "RGB8", "RGBF32"),
        "Position Transformer": ("XYZ",), "Channel Name": str, "Use rainbow": bool,
        "Invert Rainbow": bool, "Autocompute Intensity Bounds": bool, "Min Intensity": NUMBER,
        "Max Intensity": NUMBER,
    },
    "rviz_default_plugins/Image": DISPLAY | {
        "Topic": dict, "Normalize Range": bool, "Min Value": NUMBER, "Max Value": NUMBER,
        "Median window": int,
    },
    "rviz_default_plugins/MoveCamera": {"Class": str},
    "rviz_default_plugins/Measure": {"Class": str},
    "rviz_default_plugins/Orbit": {
        "Class": str, "Name": str, "Distance": NUMBER, "Focal Point": dict, "Pitch": NUMBER,
        "Yaw": NUMBER, "Target Frame": str, "Near Clip Distance": NUMBER, "Invert Z Axis": bool,
    },
    "Focal Point": {"X": NUMBER, "Y": NUMBER, "Z": NUMBER},
    "Topic": QOS,
}  # fmt: skip
# What Foxglove reads of a layout, from the sources of its open fork, Lichtblick: of a panel, by the
# word before the exclamation mark; of a part, by its key.
FOXGLOVE_PARTS: dict[str, dict[str, Any]] = {
    "Image": {"imageMode": dict},
    "imageMode": {"imageTopic": str, "annotations": dict, "synchronize": bool},
    "3D": {
        "followTf": str, "followMode": ("follow-pose", "follow-position", "follow-none"),
        "cameraState": dict, "scene": dict, "topics": dict,
    },
    "cameraState": {
        "distance": NUMBER, "perspective": bool, "phi": NUMBER, "thetaOffset": NUMBER,
        "target": list, "targetOffset": list, "targetOrientation": list, "fovy": NUMBER,
        "near": NUMBER, "far": NUMBER,
    },
    "scene": {"transforms": dict},
    "transforms": {"axisScale": NUMBER, "labelSize": NUMBER},
    "of a topic": {
        "visible": bool, "colorField": str, "pointSize": NUMBER,
        "colorMode": ("flat", "gradient", "colormap", "rgb", "rgba", "rgba-fields"),
    },
    "Plot": {"title": str, "paths": list},
    "of a path": {
        "value": str, "enabled": bool, "timestampMethod": ("receiveTime", "headerStamp"),
    },
    "DiagnosticSummary": {
        "topicToRender": str, "minLevel": int, "pinnedIds": list, "hardwareIdFilter": str,
        "sortByLevel": bool,
    },
}  # fmt: skip
IN_3D = ("visualization_msgs/msg/MarkerArray", "sensor_msgs/msg/PointCloud2")


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


def check_rviz(part: Any, name: str, where: str) -> None:
    """Checks that RViz reads each key of a part of its file, and takes its value."""
    for item in part if isinstance(part, list) else ():
        check_rviz(item, "", where)
    if isinstance(part, dict):
        check_keys(part, RVIZ_PARTS[part.get("Class") or name], where)
        for key, value in part.items():
            check_rviz(value, key, f"{where}/{key}")


def check_keys(part: dict[str, Any], allowed: dict[str, Any], where: str) -> None:
    """Checks that ``allowed`` has each key, and that its value is of the type or one of those."""
    for key, value in part.items():
        wanted = allowed.get(key)
        assert wanted is not None, f"nothing reads {key!r} of {where}"
        if isinstance(wanted, tuple) and isinstance(wanted[0], str):
            assert value in wanted, f"{key} of {where}"
        else:
            assert isinstance(value, wanted), f"{key} of {where}"
            assert wanted is bool or not isinstance(value, bool), f"{key} of {where}"


def test_rviz_reads_every_key() -> None:
    found = yaml.safe_load(RVIZ.read_text())
    check_rviz(found, "", "the file")
    geometry = found["Window Geometry"]
    # RViz reads these into variables that it has not initialised.
    assert (geometry["Hide Left Dock"], geometry["Hide Right Dock"]) == (False, False)
    options = found["Visualization Manager"]["Global Options"]
    assert re.fullmatch(r"\d+; \d+; \d+", options["Background Color"])
    names = [d["Name"] for d in found["Visualization Manager"]["Displays"]]
    assert len({*names}) == len(names)


def test_the_view_of_rviz_is_upright() -> None:
    view = yaml.safe_load(RVIZ.read_text())["Visualization Manager"]["Views"]["Current"]
    yaw, pitch = view["Yaw"], view["Pitch"]
    towards_viewer = np.array(
        [math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)]
    )
    focus = np.array([view["Focal Point"][axis] for axis in "XYZ"])
    check_view(focus, view["Distance"], towards_viewer)


def test_the_view_of_foxglove_is_upright() -> None:
    view = json.loads(FOXGLOVE.read_text())["configById"]["3D!people"]["cameraState"]
    assert view["targetOrientation"] == [0, 0, 0, 1]
    phi, theta = math.radians(view["phi"]), -math.radians(view["thetaOffset"])
    towards_viewer = np.array(
        [math.sin(theta) * math.sin(phi), -math.cos(theta) * math.sin(phi), math.cos(phi)]
    )
    check_view(np.array(view["targetOffset"]), view["distance"], towards_viewer)


def check_view(focus: Any, distance: float, towards_viewer: Any) -> None:
    """Checks that who looks at the scene stands behind the camera, and sees what it sees.

    All is in the optical frame. Both programs turn its z axis up.
    """
    right = np.cross(-towards_viewer, [0.0, 0.0, 1.0])
    up = np.cross(right, -towards_viewer)
    assert (focus + distance * towards_viewer)[2] < 0, "behind the lens"
    assert right[0] > 0.9 * np.linalg.norm(right), "what is right in the image is on the right"
    assert up[1] < 0, "y of an optical frame points down"


def test_foxglove_shows_topics_that_exist() -> None:
    layout = json.loads(FOXGLOVE.read_text())
    panels = layout["configById"]
    assert set(leaves(layout["layout"])) == panels.keys()
    for name, panel in panels.items():
        check_foxglove(panel, name.partition("!")[0], name)
    image = panels["Image!camera"]["imageMode"]
    assert published()[image["imageTopic"]] == "sensor_msgs/msg/Image"
    for topic in image["annotations"]:
        assert published()[topic] == "foxglove_msgs/msg/ImageAnnotations"
    for topic in panels["3D!people"]["topics"]:
        assert published()[topic] in IN_3D
    assert panels["DiagnosticSummary!nodes"]["topicToRender"] == "/diagnostics"


def check_foxglove(part: Any, name: str, where: str) -> None:
    """Checks that Foxglove reads each key of a part of its layout, and takes its value."""
    if name in ("topics", "annotations", "paths"):
        inner = part if name == "paths" else part.values()
        for item in inner:
            check_keys(
                item, FOXGLOVE_PARTS["of a path" if name == "paths" else "of a topic"], where
            )
    elif isinstance(part, dict):
        check_keys(part, FOXGLOVE_PARTS[name], where)
        for key, value in part.items():
            check_foxglove(value, key, f"{where}/{key}")


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
