"""Each command loads only what it needs, so that it starts fast."""

from __future__ import annotations

import json
import subprocess
import sys

from face_perception.cli import COMMANDS

# Runs a command line. Prints the exit code and the names of the loaded modules.
RUN = """
import contextlib, json, sys
from face_perception import cli
with contextlib.redirect_stdout(sys.stderr):
    try:
        code = cli.main(sys.argv[1:])
    except SystemExit as end:
        code = end.code
print(json.dumps([code, sorted(sys.modules)]))
"""
# To read the arguments takes none of these.
NOT_FOR_ARGUMENTS = {
    "numpy", "cv2", "onnxruntime", "rich", "soxr", "face_perception.inference",
    "face_perception.results", "face_perception.speech", "face_perception.types",
}  # fmt: skip
# To list the models takes none of these.
IMAGES_AND_SOUND = {
    "cv2", "onnxruntime", "PIL", "av", "soxr", "face_perception.faces", "face_perception.media",
    "face_perception.results", "face_perception.speech", "face_perception.bringup",
}  # fmt: skip


def loaded(*arguments: str) -> set[str]:
    """Returns the modules that a command line loads. It must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=False
    )
    code, modules = json.loads(done.stdout)
    assert code == 0, done.stderr
    return set(modules)


def test_the_list_of_commands_loads_no_numbers_and_networks() -> None:
    """``--help`` loads the arguments of every command."""
    modules = loaded("--help")
    assert {f"face_perception.commands.{module}" for module in COMMANDS.values()} <= modules
    assert modules & NOT_FOR_ARGUMENTS == set()


def test_a_command_does_not_load_the_others() -> None:
    modules = loaded("run", "--help")
    others = {f"face_perception.commands.{module}" for module in COMMANDS.values()}
    others -= {"face_perception.commands.run"}
    assert modules & (others | NOT_FOR_ARGUMENTS | {"yaml", "face_perception.bringup"}) == set()


def test_the_list_of_models_loads_no_images_and_no_sound() -> None:
    assert loaded("models", "list") & IMAGES_AND_SOUND == set()
