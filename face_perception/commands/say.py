"""``face-perception say``: has the voice node of a running graph say a text."""

from __future__ import annotations

import argparse
import sys

from face_perception.bringup.ros_names import check_namespace
from face_perception.commands import graph_options
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "say", "Have the voice node of a running graph say a text; Ctrl-C stops it."
    )
    parser.add_argument("text", help="text to say")
    parser.add_argument(
        "--voice",
        default="",
        metavar="ENGINE:VOICE",
        help="voice, such as espeak:de; default: the node's parameter",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=0.0,
        metavar="RATIO",
        help="speed relative to the usual one, 0.5 to 2; default: the node's parameter",
    )
    parser.add_argument(
        "--expression",
        default="",
        metavar="NAME",
        help="expression of the talking face meanwhile, such as happy",
    )
    graph_options.add_namespace(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_namespace(args.namespace)
    graph_options.require_ros()
    from face_perception.bringup.say import say
    from face_perception.speech import SPEEDS

    if args.speed and not SPEEDS[0] <= args.speed <= SPEEDS[1]:
        raise InputError(
            f"--speed must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}, or 0 for that of the node, not "
            f"{args.speed:g}"
        )
    done, answer = say(
        _sendable(args.text),
        namespace=args.namespace,
        voice=_sendable(args.voice),
        speed=args.speed,
        expression=_sendable(args.expression),
    )
    print(answer, file=sys.stdout if done else sys.stderr)
    return 0 if done else 1


def _sendable(text: str) -> str:
    """Returns an argument with each byte that is not UTF-8 replaced: messages hold UTF-8 only."""
    return text.encode(errors="replace").decode()
