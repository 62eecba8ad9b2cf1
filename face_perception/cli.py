"""``face-perception``: finds the command and runs it.

Prints an error that is meant for people as one line. Any other error keeps its traceback.

Exit codes: 0 success, 1 failure, 2 wrong arguments, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from face_perception.errors import FacePerceptionError, error_text
from face_perception.standard_streams import replace_closed_streams

# Name on the command line: module in face_perception/commands, in the order of --help.
COMMANDS = {
    "demo": "demo",
    "avatar-demo": "avatar_demo",
    "avatar": "avatar",
    "say": "say",
    "up": "up",
    "watch": "watch",
    "neutral": "neutral",
    "persons": "persons",
    "session": "session",
    "annotate": "annotate",
    "run": "run",
    "table": "table",
    "report": "report",
    "calibrate": "calibrate",
    "import": "import_checkpoint",
    "models": "models",
    "convert": "convert",
    "train": "train",
    "sweep": "sweep",
    "bench": "bench",
    "doctor": "doctor",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: ``sys.argv``) and returns the exit code."""
    replace_closed_streams()
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        # Only the command that is asked for is loaded, which saves up to half a second. It is
        # loaded here, so that Ctrl-C during the imports causes no traceback.
        args = _parser(*arguments[:1]).parse_args(arguments)
        code: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has exited (`… | head`). Without this, Python prints an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, FacePerceptionError) as error:
        print(f"face-perception: {error_text(error)}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in ("", "face_perception"):
            raise  # a fault of this package
        print(
            f"face-perception: this command needs the Python module {module}, which is not "
            "installed: run `make setup` or `pip install .` in the source tree, or, for an "
            "optional command, `pip install '.[EXTRA]'` with bags, table, networks, "
            "training, tensorflow or avatar",
            file=sys.stderr,
        )
        return 1
    return code


def _parser(command: str = "") -> argparse.ArgumentParser:
    """Returns the parser of one command, or of all commands if ``command`` names none."""
    parser = argparse.ArgumentParser(
        prog="face-perception",
        description="Estimate gaze, action units, expression, valence, arousal and attention of "
        "the people in front of a robot, and show a talking face.",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in [command] if command in COMMANDS else COMMANDS:
        import_module(f"face_perception.commands.{COMMANDS[name]}").add_parser(subparsers)
    return parser
