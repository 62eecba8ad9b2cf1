"""``face-perception session``: starts, stops and marks the recording in a running graph."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

from face_perception.bringup.ros_names import check_namespace
from face_perception.commands import graph_options
from face_perception.commands.subcommands import add_command
from face_perception.commands.typed_markers import Typed, key_labels, pressed_keys, typed_lines
from face_perception.errors import InputError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "session", "Record a session of a running graph, and set markers in it."
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    start = add_command(actions, "start", "Start to record into a new folder.")
    start.add_argument(
        "--label",
        default="",
        metavar="TEXT",
        help="name of the session; is stored, and its letters and digits become part of the name "
        "of the folder",
    )
    start.add_argument(
        "--consent", default="", metavar="TEXT", help="what the people agreed to; is stored"
    )
    start.add_argument(
        "--video",
        default="",
        choices=("off", "pixelated", "full"),
        help="video in the recording; default: the parameter video of the node",
    )
    start.set_defaults(run=_start)
    add_command(actions, "stop", "End the session.").set_defaults(run=_stop)
    mark = add_command(actions, "mark", "Set a marker in the session that is recorded.")
    mark.add_argument(
        "label",
        nargs="*",
        metavar="TEXT",
        help="what is marked now; without it, each line of the standard input is a marker",
    )
    mark.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="KEY=TEXT",
        help="set the marker TEXT whenever KEY is pressed in this terminal, until Esc; may be "
        "given several times, such as --key a='condition A' --key b='condition B'",
    )
    mark.set_defaults(run=_mark)
    add_command(actions, "status", "Say what is recorded.").set_defaults(run=_status)
    for action in actions.choices.values():
        graph_options.add_namespace(action)


def _start(args: argparse.Namespace) -> int:
    _prepare(args)
    from face_perception.nodes.session.client import start_session

    return _report(start_session(args.namespace, args.label, args.consent, args.video))


def _stop(args: argparse.Namespace) -> int:
    _prepare(args)
    from face_perception.nodes.session.client import stop_session

    return _report(stop_session(args.namespace))


def _mark(args: argparse.Namespace) -> int:
    labels = _labels(args.label, args.key)
    _prepare(args)
    from face_perception.nodes.session.client import marking

    failed = 0
    with marking(args.namespace) as mark:
        for label, at in labels:
            failed += _report(mark(label, at))
    return int(failed > 0)


def _labels(words: Sequence[str], keys: Sequence[str]) -> Iterator[Typed]:
    """Returns what to mark, and when it was said. Raises InputError."""
    if words and keys:
        raise InputError("give either the text of one marker or --key, not both")
    if words:
        return iter([(" ".join(words), time.monotonic())])
    return pressed_keys(sys.stdin, key_labels(keys)) if keys else typed_lines(sys.stdin)


def _status(args: argparse.Namespace) -> int:
    _prepare(args)
    from face_perception.nodes.session.client import session_status

    print(session_status(args.namespace))
    return 0


def _prepare(args: argparse.Namespace) -> None:
    check_namespace(args.namespace)
    graph_options.require_ros()


def _report(answer: tuple[bool, str]) -> int:
    """Prints what the node says, and returns the exit code."""
    done, said = answer
    print(said, file=sys.stdout if done else sys.stderr)
    return 0 if done else 1
