"""``face-perception avatar-demo``: the talking face says something, on a page and as an mp4."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from face_perception import paths
from face_perception.commands import graph_options
from face_perception.errors import InputError, MissingDependencyError
from face_perception.speech import Recording, read_wav


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("avatar-demo", help="have the talking face say something")
    said = parser.add_mutually_exclusive_group()
    said.add_argument("--text", default="", help="what to say; needs espeak-ng")
    said.add_argument("--wav", default="", metavar="FILE", help="a recording to say")
    parser.add_argument(
        "--portrait", default="", help="a picture of one face; astronaut; default: a drawn face"
    )
    parser.add_argument("--voice", default="en", help="espeak-ng's voice (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="of the page; default: 8090 if free")
    parser.add_argument(
        "--output", type=Path, default=Path("out"), help="folder of avatar.mp4 and the log"
    )
    parser.add_argument(
        "--duration", type=float, default=0.0, metavar="S", help="say it again for this long"
    )
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warn", "error", "fatal")
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    graph_options.require_ros()
    # All that can be wrong with what was asked for is found before anything is started: afterwards
    # only the node's log would say it.
    if not (math.isfinite(args.duration) and args.duration >= 0):
        raise InputError(f"--duration must be seconds from 0 (once) on, not {args.duration}")
    if not 0 <= args.port <= 65_535:
        raise InputError(f"--port must be 1 to 65535, or 0 (8090 if free), not {args.port}")
    if args.text:
        recording = spoken(args.text, args.voice)
    else:
        recording = read_wav(args.wav or paths.resource("resources/speech/hello.wav"))
    from face_perception.avatar import load_portrait

    portrait = args.portrait
    load_portrait(portrait)
    if os.path.exists(portrait):
        portrait = os.path.abspath(portrait)
    from face_perception.bringup.avatar_demo import run_avatar_demo

    return run_avatar_demo(
        recording,
        portrait=portrait,
        output=args.output,
        port=args.port,
        duration=args.duration,
        log_level=args.log_level,
    )


def spoken(text: str, voice: str) -> Recording:
    """Returns a text as speech, spoken by an espeak-ng process.

    Raises MissingDependencyError if espeak-ng is missing or fails.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingDependencyError(
            "a text needs espeak-ng: apt install espeak-ng, or leave the text out: then the "
            "recording of the package is said"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        # The text by standard input: it may begin with a dash.
        done = subprocess.run(
            [program, "-v", voice, "-w", str(path), "--stdin"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not path.exists():
            reason = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise MissingDependencyError(f"espeak-ng failed: {reason}")
        return read_wav(path)
