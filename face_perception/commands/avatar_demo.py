"""``face-perception avatar-demo``: the talking face speaks, on a web page and in an mp4 file."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from face_perception import paths
from face_perception.commands import graph_options
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError

if TYPE_CHECKING:
    from face_perception.speech import Phone, Recording


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "avatar-demo",
        "Let the talking face speak on a web page, and record it as an mp4 file.",
    )
    said = parser.add_mutually_exclusive_group()
    said.add_argument("--text", default="", help="text to speak")
    said.add_argument("--wav", default="", metavar="FILE", help="recording to speak")
    parser.add_argument(
        "--portrait",
        default="",
        help="picture of one face, or the sample photograph astronaut; default: a synthetic face",
    )
    parser.add_argument(
        "--voice",
        default="",
        metavar="ENGINE:VOICE",
        help="voice of the text; espeak:de is the German one of espeak-ng; default: hibari:heart",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        help="TCP port of the web page; default: 8090, or another one if 8090 is in use",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("out"),
        metavar="FOLDER",
        help="folder for avatar.mp4 and avatar.log; default: %(default)s",
    )
    parser.add_argument(
        "--duration",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds for which to repeat the speech; default: until Ctrl-C, or once where there "
        "is no display",
    )
    graph_options.add_log_level(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    graph_options.require_ros()
    # Check all arguments before starting the node. Later, only its log would show the error.
    if not (math.isfinite(args.duration) and args.duration >= 0):
        raise InputError(f"--duration must be 0 or more seconds, not {args.duration}")
    if not 0 <= args.port <= 65_535:
        raise InputError(
            f"--port must be from 1 to 65535, or 0 to choose a free port, not {args.port}"
        )
    from face_perception.avatar import load_portrait
    from face_perception.speech import read_wav

    phonemes: list[tuple[Phone, ...]] = []
    if args.text:
        recording, phonemes = spoken(args.text, args.voice)
    else:
        recording = read_wav(args.wav or paths.resource("resources/speech/hello.wav"))
    portrait = args.portrait
    for text in load_portrait(portrait).warnings:
        print(f"warning: {text}", file=sys.stderr)
    if os.path.exists(portrait):
        portrait = os.path.abspath(portrait)
    from face_perception.bringup.avatar_demo import run_avatar_demo

    return run_avatar_demo(
        recording,
        phonemes=phonemes,
        portrait=portrait,
        output=args.output,
        port=args.port,
        duration=args.duration,
        log_level=args.log_level,
    )


def spoken(text: str, voice: str) -> tuple[Recording, list[tuple[Phone, ...]]]:
    """Returns the speech of a text, and the phonemes of each sentence with times from its start.

    ``voice`` is ENGINE or ENGINE:VOICE (``open_voice``); empty means the default voice.
    """
    import numpy as np

    from face_perception.speech import (
        DEFAULT_VOICE,
        Recording,
        Utterance,
        open_voice,
        speak_text,
        to_int16,
    )

    utterance = Utterance()
    for sentence, left in speak_text(open_voice(voice or DEFAULT_VOICE), text):
        utterance.append(sentence, left)
    chunks = utterance.take_all()
    samples = to_int16(np.concatenate([chunk.samples for chunk in chunks]))
    recording = Recording(chunks[0].rate, samples[:, None])
    return recording, [chunk.phones for chunk in chunks if chunk.phones]
