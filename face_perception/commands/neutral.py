"""``face-perception neutral``: sets or forgets the neutral faces in a running graph."""

from __future__ import annotations

import argparse
import sys

from face_perception.bringup.ros_names import check_namespace
from face_perception.commands import graph_options
from face_perception.commands.subcommands import add_command


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "neutral",
        "Take the present face of each person as the neutral face in a running graph.",
    )
    graph_options.add_namespace(parser)
    parser.add_argument(
        "--face", default="", metavar="ID", help="id of one face; default: all faces"
    )
    parser.add_argument(
        "--forget",
        action="store_true",
        help="forget the neutral face instead, so that the node learns it again",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_namespace(args.namespace)
    graph_options.require_ros()
    from face_perception.nodes.affect.neutral_service import call_set_neutral

    done, said = call_set_neutral(args.namespace, args.face, forget=args.forget)
    print(said, file=sys.stdout if done else sys.stderr)
    return 0 if done else 1
