"""Tests that package.xml and setup.py name exactly what the code imports."""

from __future__ import annotations

import re
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MANIFEST = ET.parse(ROOT / "package.xml").getroot()
# Names in rosdep of modules that are called differently.
ROSDEP = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "numpy": "python3-numpy",
    "pytest": "python3-pytest",
    "tf2_ros": "tf2_ros_py",
    "yaml": "python3-yaml",
}
_IMPORT = re.compile(r"^ *(?:from (\w+)[\w.]* import|import (\w+))\b", re.M)
ROS = ("launch", "launch_ros", "rclpy", "ament_index_python", "cv_bridge", "sensor_msgs_py")
# Optional: used if installed, otherwise an error says what is missing.
OPTIONAL = {"audio_common_msgs", "cv_bridge", "foxglove_msgs", "hri_msgs"}
# Not imported by name: interfaces of actions, and what the generated modules load.
UNSEEN = {"action_msgs", "rosidl_default_runtime"}


def imported(*folders: str) -> set[str]:
    """Returns what a file imports, by the name in package.xml or the name of the module."""
    texts = (path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    found = {name for text in texts for pair in _IMPORT.findall(text) for name in pair if name}
    return {ROSDEP.get(name, name) for name in found - OPTIONAL}


def named(*tags: str) -> set[str]:
    return {str(entry.text) for tag in tags for entry in MANIFEST.findall(tag)}


def known(names: set[str]) -> set[str]:
    """Returns the names that package.xml could have: those of ROS, or those in rosdep."""
    ours = {*ROSDEP.values(), *ROS}
    return {n for n in names if n in ours or n.endswith(("_msgs", "_srvs", "_interfaces"))}


def test_the_manifest_names_what_runs() -> None:
    at_run_time = named("depend", "exec_depend") - UNSEEN
    assert at_run_time == known(imported("face_perception", "launch"))


def test_the_manifest_names_what_tests_import() -> None:
    every = named("depend", "exec_depend", "test_depend")
    assert known(imported("test")) <= every
    assert named("test_depend") <= known(imported("test"))


def test_the_manifest_names_what_the_interfaces_use() -> None:
    used = set()
    for kind in ("msg", "srv", "action"):
        for path in ROOT.glob(f"{kind}/*.{kind}"):
            fields = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
            used |= {field.partition("/")[0] for field in fields if "/" in field}
    assert used <= named("depend")
    build = (ROOT / "CMakeLists.txt").read_text()
    for package in named("depend", "buildtool_depend"):
        assert f"find_package({package} REQUIRED)" in build, package


def test_setup_says_what_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", lambda **options: said.update(options))
    runpy.run_path(str(ROOT / "setup.py"))
    assert said["version"] == MANIFEST.findtext("version")
    assert said["long_description"] == (ROOT / "README.md").read_text()
    assert "Programming Language :: Python :: 3.10" in said["classifiers"]
    assert said["python_requires"] == ">=3.10"


def test_no_address_is_made_up() -> None:
    for file in ("package.xml", "setup.py"):
        assert "example." not in (ROOT / file).read_text()
