"""Tests errors on the command line: one line for errors that are meant for people, else a
traceback.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from face_perception import cli, paths
from face_perception.commands import doctor, subcommands
from face_perception.errors import InputError
from face_perception.files import open_lines
from face_perception.inference import sample_photo

# Replaces the body of a command by one line of code, and runs the command.
RUN = """
import numpy as np
from face_perception import cli, paths
from face_perception.commands import doctor
from face_perception.errors import InputError

def run(args):
    {body}

doctor.run = run
raise SystemExit(cli.main(["doctor"]))
"""


def doctor_that_runs(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN.format(body=body)], capture_output=True, text=True, check=False
    )


def test_a_fault_inside_a_command_keeps_its_traceback() -> None:
    """A mismatch of shapes is a ValueError, like InputError, but it is a fault of the package."""
    done = doctor_that_runs("np.zeros(2) + np.zeros(3)")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert ", in run\n" in done.stderr, "the place of the fault"
    assert "\nValueError: " in done.stderr
    assert "face-perception:" not in done.stderr


def test_an_error_for_people_is_one_line() -> None:
    done = doctor_that_runs("raise InputError('picture.png is empty: copy it again')")
    assert done.returncode == 1
    assert done.stderr == "face-perception: picture.png is empty: copy it again\n"


@pytest.mark.parametrize(
    "error", [LookupError("no such key"), RuntimeError("broken"), TypeError("wrong")]
)
def test_no_other_error_is_caught(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def run(args: object) -> int:
        raise error

    monkeypatch.setattr(doctor, "run", run)
    with pytest.raises(type(error), match=str(error)):
        cli.main(["doctor"])


def test_a_fault_in_a_neutral_clip_is_not_blamed_on_the_clip() -> None:
    """`run --neutral` adds the name of the file to an InputError, and leaves other errors
    unchanged.
    """
    from face_perception.commands.clip_analysis import _take_neutral
    from face_perception.inference import sample_photo

    class Pipeline:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def set_neutral_from(self, clip: object) -> None:
            raise self.error

    path = str(sample_photo("astronaut"))
    with pytest.raises(InputError, match=f"--neutral {path}: no face"):
        _take_neutral(path, Pipeline(InputError("no face")), None, "")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shapes") as caught:
        _take_neutral(path, Pipeline(ValueError("shapes")), None, "")  # type: ignore[arg-type]
    assert not isinstance(caught.value, InputError)


def test_every_help_starts_with_what_the_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "demo", "up", "watch", "models", "calibrate", "doctor", "bench"):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        description = capsys.readouterr().out.split("\n\n")[1]
        assert description[0].isupper(), command
        assert description.endswith("."), command


def test_a_command_has_one_text_for_its_list_entry_and_its_help() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    command = subcommands.add_command(subparsers, "look", "Look at faces.")
    assert "Look at faces." in parser.format_help()
    assert command.description == "Look at faces."


def face_perception(*arguments: str) -> subprocess.CompletedProcess[str]:
    main = "import sys; from face_perception.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", main, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/a.jpg", "rtsp://camera/1", "file:///a.mp4"]
)
def test_an_address_is_not_called_a_missing_file(address: str) -> None:
    done = face_perception("run", address)
    assert done.returncode == 1
    assert "is an address, and only files are read: download it" in done.stderr


def test_a_full_disk_is_reported_with_the_file() -> None:
    with open_lines("/dev/full") as file:
        file.write("x")
        with pytest.raises(OSError, match="No space left"):
            file.flush()
    done = face_perception("run", str(sample_photo("astronaut")), "--output", "/dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "face-perception: /dev/full: No space left on device"


def test_a_pipe_that_nobody_reads_is_refused_and_one_that_is_read_is_written(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="nobody reads: start the reader first"), open_lines(pipe):
        pass
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        with open_lines(pipe) as file:
            file.write("line\n")
            file.flush()
        assert reader.read() == "line\n"


def test_closed_standard_streams_are_replaced(tmp_path: Path) -> None:
    """rclpy's executor enables faulthandler, which needs ``sys.stderr``."""
    code = (
        "import faulthandler, os, pathlib\n"
        "from face_perception.standard_streams import replace_closed_streams\n"
        "replace_closed_streams()\n"
        "faulthandler.enable()\n"
        "names = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]\n"
        "pathlib.Path('streams').write_text(' '.join(names))\n"
    )
    closed = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} 0<&- 1>&- 2>&-"
    subprocess.run(["sh", "-c", closed], cwd=tmp_path, check=True)
    assert (tmp_path / "streams").read_text() == "/dev/null /dev/null /dev/null"


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_standard_stream_is_no_fault(closed: str) -> None:
    main = "import sys; from face_perception.cli import main; sys.exit(main())"
    command = f'exec "{sys.executable}" -c "{main}" run missing.jpg {closed}>&-'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "" if closed == "2" else "face-perception: missing.jpg: No such file or directory\n"
    )


def test_a_user_without_a_home_folder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(InputError, match=r"home folder is not known: set .* HOME"):
        paths.cache_dir()
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", "~nobody_of_this_name/models")
    assert paths.models_dir() == Path("~nobody_of_this_name/models")
