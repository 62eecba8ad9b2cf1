"""Tests which module may import which other module, from the sources and at run time."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "face_perception"

# Small top-level modules that every folder may use.
BASE = {
    "errors",
    "types",
    "geometry",
    "paths",
    "smoothing",
    "files",
    "outside_files",
    "settings",
    "gaze_probability",
    "camera_messages",
    "result_messages",
    "optional_modules",
    "lazy_names",
    "markers",
}
# What a process and the parent that watches it agree on.
PROCESS = {"exit_codes", "heartbeat", "standard_streams"}
SENSES = {"gaze", "people", "affect", "motion", "attention", "speech", "avatar"}

# For each folder or top-level module: what else of the package it may import. There is no cycle.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "lazy_names": set(),
    "exit_codes": set(),
    "heartbeat": set(),
    "standard_streams": set(),
    "files": {"errors"},
    "outside_files": {"errors", "files"},
    "markers": {"errors", "outside_files"},
    "event_settings": {"settings"},
    "geometry": {"errors"},
    "audio_devices": {"errors"},
    "paths": {"errors"},
    "settings": {"errors"},
    "smoothing": {"errors"},
    "statistics": set(),
    "types": {"errors", "geometry"},
    "gaze_probability": {"errors", "types"},
    "person_ids": {"types"},
    "camera_messages": {"errors", "types"},
    "result_messages": {"errors", "types", "geometry", "camera_messages"},
    "media": BASE,
    "web": BASE,
    "inference": BASE,
    "faces": BASE | {"inference"},
    "gaze": BASE | {"inference", "faces"},
    "people": BASE | {"inference", "faces", "gaze"},
    "affect": BASE | {"inference", "faces"},
    "motion": BASE | {"inference", "faces"},
    "attention": BASE | {"inference", "faces", "speech"},
    "speech": BASE | {"inference"},
    "avatar": BASE | {"inference", "faces", "media", "speech", "audio_devices", "web"},
    "overlay": {"errors", "types", "geometry", "faces"},
    "hri": BASE | {"faces", "attention"},
    "optional_modules": {"errors"},
    "ray_cluster": {"errors", "optional_modules"},
    "results": BASE | {"media", "event_settings"},
    "sessions": BASE | {"media"},
    "report": BASE | {"results"},
    "pipeline": BASE | {"inference", "faces", "results"} | SENSES,
    "learning": BASE | SENSES | {"inference", "faces", "media", "statistics", "report"}
    | {"ray_cluster", "exit_codes"},
    "ros": BASE | PROCESS | {"inference", "faces", "media", "speech"},
    "bringup": BASE | PROCESS | {"media", "speech", "ros"},
    "nodes": BASE | PROCESS | SENSES
    | {"inference", "faces", "media", "overlay", "hri", "ros", "bringup", "audio_devices"}
    | {"sessions", "web", "person_ids"},
    "commands": BASE | SENSES | {"inference", "faces", "media", "overlay", "pipeline", "results"}
    | {"report", "bringup", "ros", "nodes", "learning", "exit_codes", "event_settings"}
    | {"ray_cluster"},
    "cli": {"commands", "errors", "standard_streams"},
}  # fmt: skip

# The folders that know ROS and the messages.
KNOW_ROS = {"ros", "nodes", "bringup"}
# The half of bringup that runs or hears nodes; the other half is data and plain processes.
RUNNING = {"demo", "avatar_demo", "say", "watch", "launching", "running_nodes"}
# Rooms whose files are imported one by one. All others are used through their __init__.
BY_FILE = {"ros", "nodes", "bringup", "commands", "learning"}

ROS = {
    "action_msgs", "ament_index_python", "builtin_interfaces", "diagnostic_msgs", "foxglove_msgs",
    "geometry_msgs", "hri_msgs", "launch", "launch_ros", "lifecycle_msgs", "rcl_interfaces",
    "rclpy", "sensor_msgs", "std_msgs", "std_srvs", "tf2_msgs", "tf2_ros", "visualization_msgs",
}  # fmt: skip

# Distributions that only some modules may import. This includes imports inside functions.
RESERVED: dict[str, set[str]] = {
    **dict.fromkeys(ROS, KNOW_ROS),
    "torch": {"learning"},
    "pyarrow": {"learning", "results"},
    "pandas": {"results"},
    "polars": {"results"},
    "matplotlib": {"report"},
    "pytorch_lightning": {"learning"},
    "scipy": {"learning"},
    "mitsuba": {"learning"},
    "drjit": {"learning"},
    "onnx": {"learning", "inference"},
    "tflite": {"inference"},
    "onnxruntime": {"inference"},
    "tensorrt": {"inference"},
    "mediapipe": set(),
    "ray": {"ray_cluster", "learning"},
    "soxr": {"attention", "speech", "learning"},
    "espeakng_loader": {"learning"},
    "hibari": {"speech"},
    "av": {"media", "avatar"},
    "aiortc": {"avatar"},
    "pygame": {"avatar"},
    "websockets": {"avatar", "web"},
    "sounddevice": {"audio_devices"},
    "audio_common_msgs": {"ros"},
}

# These are imported inside functions only, so that every command starts fast and without them.
LAZY_IN_COMMANDS = {"nodes", "learning", "ros", *(f"bringup.{name}" for name in RUNNING)}

HEAVY = (
    "torch", "rclpy", "onnx", "tflite", "mediapipe", "onnxruntime", "av", "pygame", "sounddevice",
    "websockets", "hibari", "pyarrow", "pandas", "polars", "matplotlib", "pytorch_lightning",
    "scipy", "aiortc",
)  # fmt: skip

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


@functools.cache
def imports(path: Path) -> list[tuple[str, bool, int]]:
    """Returns (absolute dotted name, at top level, line) of everything that a module imports.

    A ``from`` import counts with each of its names, because a name may be a module. Imports for
    type checkers do not count as top level, because they never run.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = ("face_perception", *path.relative_to(PACKAGE).with_suffix("").parts)[:-1]
    found = []

    def visit(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, top, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parts = package[: len(package) - child.level + 1]
                    base = ".".join((*parts, base)).rstrip(".")
                found.extend((f"{base}.{alias.name}", top, child.lineno) for alias in child.names)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
                visit(child, top and not function and not for_types)

    visit(tree, True)
    return found


def is_module(*parts: str) -> bool:
    return PACKAGE.joinpath(*parts).with_suffix(".py").exists() or PACKAGE.joinpath(*parts).is_dir()


def offer(room: str) -> set[str]:
    """Returns the names in the ``__all__`` of a folder."""
    return names_offered(PACKAGE / room / "__init__.py")


@functools.cache
def names_offered(path: Path) -> set[str]:
    if not path.exists():
        return set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def faults(path: Path) -> list[str]:
    """Returns the imports of a module that break the rules."""
    room = room_of(path)
    if room == "__init__":
        room = "face_perception"
    wrong = []
    for name, top, line in imports(path):
        first, *rest = name.split(".")
        where = f"{path.relative_to(PACKAGE.parent)}:{line}"
        if first in RESERVED and room not in RESERVED[first]:
            wrong.append(f"{where}: {room} may not import {first}")
        if first != "face_perception" or not rest or rest[0] == room:
            continue
        target = rest[0]
        if target not in ALLOWED.get(room, set()) and target not in ("msg", "srv", "action"):
            wrong.append(f"{where}: {room} may not import {target}")
        elif target in ("msg", "srv", "action") and room not in KNOW_ROS:
            wrong.append(f"{where}: only {sorted(KNOW_ROS)} know the messages")
        if top and room in ("cli", "commands") and {target, ".".join(rest[:2])} & LAZY_IN_COMMANDS:
            wrong.append(f"{where}: {target} must be imported inside a function")
        whole_rooms = target not in BY_FILE
        if whole_rooms and len(rest) > 1 and is_module(*rest[:2]) and rest[1] not in offer(target):
            wrong.append(f"{where}: {name} is a file of the room {target}: import from the room")
    return wrong


def test_imports_go_one_way() -> None:
    new = {room_of(path) for path in MODULES} - {"__init__"} - set(ALLOWED)
    assert not new, f"new rooms {sorted(new)}: say in ALLOWED what they import"
    assert [fault for path in MODULES for fault in faults(path)] == []


def test_the_rules_have_no_cycle() -> None:
    done: set[str] = set()
    while len(done) < len(ALLOWED):
        ready = {r for r in ALLOWED if r not in done and ALLOWED[r] & set(ALLOWED) <= done}
        assert ready, f"a cycle among {sorted(set(ALLOWED) - done)}"
        done |= ready


def files_imported_by(path: Path) -> set[Path]:
    """Returns the files of the package that a file imports, also those for type checkers only."""
    found = set()
    for name, _, _ in imports(path):
        parts = name.split(".")[1:] if name.split(".")[0] == "face_perception" else []
        for depth in range(len(parts), 0, -1):
            target = PACKAGE.joinpath(*parts[:depth])
            file = target / "__init__.py" if target.is_dir() else target.with_suffix(".py")
            if file.exists():
                found.add(file)
                break
    return found - {path}


def test_no_files_import_each_other_in_a_circle() -> None:
    left = {path: files_imported_by(path) for path in MODULES}
    while ready := [path for path in left if not left[path] & left.keys()]:
        for path in ready:
            del left[path]
    # Those that only import from a circle are not part of one.
    while outside := [p for p in left if not any(p in needed for needed in left.values())]:
        for path in outside:
            del left[path]
    assert {
        str(p.relative_to(PACKAGE)): sorted(map(str, left[p] & left.keys())) for p in left
    } == {}


def test_rooms_say_what_they_offer() -> None:
    rooms = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    assert "inference" in rooms
    for room in rooms:
        assert offer(room) or room in BY_FILE, f"{room}/__init__.py has no __all__"


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("gaze/x.py", "import rclpy", "gaze may not import rclpy"),
        ("gaze/x.py", "def f():\n    from torch import nn", "gaze may not import torch"),
        ("gaze/x.py", "from face_perception.affect import A", "gaze may not import affect"),
        ("gaze/x.py", "from ..nodes import x", "gaze may not import nodes"),
        ("gaze/x.py", "from face_perception.msg import Face", "know the messages"),
        (
            "gaze/x.py",
            "from face_perception.inference.models.store import read",
            "is a file of the room",
        ),
        (
            "gaze/x.py",
            "from face_perception.inference.models import store",
            "is a file of the room",
        ),
        ("cli.py", "from face_perception.nodes import gaze", "cli may not import nodes"),
        ("commands/x.py", "from face_perception.bringup import demo", "inside a function"),
    ],
)
def test_faults_are_found(
    module: str, source: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "face_perception"
    path = package / module
    path.parent.mkdir(parents=True)
    path.write_text(source)
    (package / "inference" / "models").mkdir(parents=True)
    (package / "inference" / "store.py").write_text("")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", package)
    assert any(fault in found for found in faults(path))


def test_run_time_modules_load_nothing_heavy() -> None:
    left_out = BY_FILE | {"__init__"}
    rooms = {room_of(path) for path in MODULES} - left_out
    commands = {f"commands.{path.stem}" for path in (PACKAGE / "commands").glob("[a-z]*.py")}
    plain = {f"bringup.{path.stem}" for path in (PACKAGE / "bringup").glob("[a-z]*.py")}
    plain -= {f"bringup.{name}" for name in RUNNING}
    names = [f"face_perception.{name}" for name in sorted(rooms | commands | plain)]
    program = (
        "import importlib, sys\n"
        f"for name in {names}: importlib.import_module(name)\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    assert {"face_perception.cli", "face_perception.faces"} <= set(names)


MANGLED = re.compile(r"_[A-Z]\w*__\w+")


def private_uses(source: str) -> list[str]:
    """Returns the private names of modules and of other objects that a source uses, except
    os._exit.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [n for n in names if any(re.match("_[^_]", part) for part in n.split("."))]
        if isinstance(node, ast.FunctionDef) and MANGLED.match(node.name):
            found.append(node.name)
        if isinstance(node, ast.Attribute) and re.match("_(?!_|exit$)", node.attr):
            of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not of_self or MANGLED.match(node.attr):
                found.append(node.attr)
    return found


def test_private_names_of_rclpy_are_in_one_file() -> None:
    files = [path for path in MODULES if room_of(path) in KNOW_ROS]
    users = {path.name: found for path in files if (found := private_uses(path.read_text()))}
    assert set(users) == {"rclpy_compat.py"}, users


@pytest.mark.parametrize(
    "source",
    [
        "from rclpy._rclpy_pybind11 import RCLError",
        "import rclpy._rclpy_pybind11",
        "node._parameter_overrides",
        "class A:\n    def _Mixin__change(self): pass",
        "super()._Mixin__change()",
    ],
)
def test_private_names_are_found(source: str) -> None:
    assert private_uses(source)
