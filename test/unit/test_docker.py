"""Checks the files for containers and pixi as far as that needs no Docker daemon."""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("Dockerfile*"))
COMPOSE = sorted(DOCKER.glob("*.yaml"))
INSTRUCTIONS = {
    *("FROM", "ARG", "ENV", "RUN", "COPY", "ADD", "WORKDIR", "SHELL", "USER", "ENTRYPOINT", "CMD"),
}
SERVICE = {
    *("image", "build", "command", "network_mode", "ipc", "devices", "environment", "volumes"),
    *("restart", "runtime"),
}
OURS = "face_perception"  # the image that docker/Dockerfile builds


def instructions(file: Path) -> list[tuple[str, str]]:
    """Returns the instructions of a Dockerfile with their arguments, lines joined."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n", " ", "\n".join(lines))
    found = []
    for line in filter(str.strip, text.splitlines()):
        name, _, arguments = line.partition(" ")
        found.append((name, arguments.strip()))
    return found


def of_kind(file: Path, kind: str) -> list[str]:
    return [arguments for name, arguments in instructions(file) if name == kind]


def ignored(path: str) -> bool:
    """Returns whether .dockerignore keeps a path of the source from the image."""
    patterns = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    return any(fnmatch.fnmatch(path.split("/")[0], p.removeprefix("**/")) for p in patterns)


def test_the_files_are_found() -> None:
    assert [file.name for file in DOCKERFILES] == ["Dockerfile", "Dockerfile.jetson"]
    assert [file.name for file in COMPOSE] == ["avatar.yaml", "jetson.yaml", "perception.yaml"]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_instructions_and_stages(file: Path) -> None:
    found = instructions(file)
    assert {name for name, _ in found} <= INSTRUCTIONS
    stages: list[str] = []
    for source in of_kind(file, "FROM"):
        image, _, stage = source.partition(" AS ")
        assert image in stages or re.search(r":[\w${}.-]+$", image), f"{image} has no tag"
        assert not image.endswith(":latest")
        stages.append(stage)
    assert of_kind(file, "USER")[-1] != "root", "the nodes do not run as root"
    # A variable in a stage is declared before.
    declared = {"ROS_DISTRO"}  # by the images of ROS
    for name, arguments in found:
        declared |= {arguments.partition("=")[0]} if name in ("ARG", "ENV") else set()
        if name in ("FROM", "RUN"):
            assert {*re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", arguments)} <= declared


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_what_is_copied_exists(file: Path) -> None:
    for copied in of_kind(file, "COPY"):
        if copied.startswith("--from="):
            continue
        *sources, _ = copied.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source == "." or not ignored(source), f"{source} is in .dockerignore"
    for needed in ("msg", "face_perception", "launch", "config", "resources", "scripts", "docker"):
        assert not ignored(needed), "the build needs it"


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_commands(file: Path) -> None:
    for command in of_kind(file, "RUN"):
        checked = subprocess.run(
            ["bash", "-n", "-c", command], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        assert "sudo" not in command
        if "apt-get install" in command or "rosdep install" in command:
            assert "apt-get update" in command
            assert "rm -rf /var/lib/apt/lists/*" in command
            assert command.count("apt-get install -y --no-install-recommends") == command.count(
                "apt-get install"
            )
        if "pip install" in command:
            assert "--no-cache-dir" in command


def test_the_entry_point_is_valid() -> None:
    script = DOCKER / "entrypoint.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o111
    assert script.read_text().rstrip().endswith('exec "$@"'), "signals reach the nodes"


# Of the models that are there, and the renderer: what is fetched.
FETCHES: dict[str, tuple[str, str, list[str]]] = {
    "nothing": ("default three", "head", []),
    "the default models": ("", "auto", ["default"]),
    "three.js for the head": ("default", "head", ["three"]),
    "three.js for the head alone": ("default", "auto", []),
}


@pytest.mark.parametrize("case", FETCHES)
def test_the_entry_point_fetches_what_is_missing(case: str, tmp_path: Path) -> None:
    there, renderer, fetched = FETCHES[case]
    for name in ("opt/ros/jazzy/setup.bash", "ws/install/setup.bash", "opt/venv/bin/activate"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    script = re.sub(r"(/opt/|/ws/)", rf"{tmp_path}\1", (DOCKER / "entrypoint.sh").read_text())
    program = tmp_path / "face-perception"
    program.write_text(
        f"""#!/bin/sh
        if [ "$2" = verify ]; then
          case " {there} " in *" ${{3:-default}} "*) exit 0;; *) exit 1;; esac
        fi
        echo "$2 ${{4:-default}}" >> {tmp_path}/asked
        """
    )
    program.chmod(0o755)
    (tmp_path / "asked").touch()
    (tmp_path / "models").mkdir()
    done = subprocess.run(
        ["bash", "-c", script, "entrypoint", "echo", "the nodes"],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin", "ROS_DISTRO": "jazzy", "HOME": str(tmp_path),
            "FACE_PERCEPTION_MODELS": str(tmp_path / "models"), "RENDERER": renderer,
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "the nodes\n"
    assert (tmp_path / "asked").read_text().splitlines() == [f"fetch {name}" for name in fetched]
    # The folder of the calibrations is missing here.
    assert re.search(r"cannot write to \S+/face_perception: .* chown -R \d+ \S+", done.stderr)
    assert "models: a volume" not in done.stderr


@pytest.mark.parametrize("file", COMPOSE, ids=lambda f: f.name)
def test_a_compose_file(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    assert content.keys() <= {"services", "volumes"}
    for service in content["services"].values():
        assert service.keys() <= SERVICE
        assert service["image"].startswith(f"{OURS}:")
        assert not service["image"].endswith(":latest")
        build = service["build"]
        assert (file.parent / build["context"] / build["dockerfile"]).is_file()
        for volume in service["volumes"]:
            source, target = volume.split(":")
            assert source.startswith("/") or source in content["volumes"]
            assert target.startswith("/")
        if "command" in service:
            check_launch(service["command"])


@pytest.mark.parametrize(
    ("compose", "dockerfile"),
    [("perception", "Dockerfile"), ("avatar", "Dockerfile"), ("jetson", "Dockerfile.jetson")],
)
def test_the_user_may_write_into_the_volumes(compose: str, dockerfile: str) -> None:
    content = yaml.safe_load((DOCKER / f"{compose}.yaml").read_text())
    user, owned = "root", set()
    for name, arguments in instructions(DOCKER / dockerfile):
        user = arguments if name == "USER" else user
        for folder in re.findall(r"mkdir (?:-p )?(\S+)", arguments):
            if user == "robot" or f"chown robot {folder}" in arguments:
                owned.add(folder)
    for service in content["services"].values():
        for volume in service["volumes"]:
            source, target = volume.split(":")
            assert source.startswith("/") or target in owned, target


def check_launch(command: list[str]) -> None:
    """Checks that a launch file has the arguments of a command."""
    assert command[:3] == ["ros2", "launch", "face_perception"]
    tree = ast.parse((ROOT / "launch" / command[3]).read_text())
    names: set[Any] = {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "declare_argument"
        and isinstance(call.args[0], ast.Constant)
    }
    names |= {"camera"}  # a switch of a node
    for argument in command[4:]:
        assert argument.partition(":=")[0] in names, argument


def test_a_jetson_adds_to_perception() -> None:
    jetson = yaml.safe_load((DOCKER / "jetson.yaml").read_text())["services"]
    assert (
        jetson.keys() <= yaml.safe_load((DOCKER / "perception.yaml").read_text())["services"].keys()
    )


def test_pixi_installs_the_requirements() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 has it")
    pixi = tomllib.loads((ROOT / "pixi.toml").read_text())
    required = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, limits = re.match(r"([\w-]+)(.*)", line).groups()  # type: ignore[union-attr]
            required[name] = limits
    assert required.pop("numpy"), "conda has it"
    assert pixi["pypi-dependencies"] == required
