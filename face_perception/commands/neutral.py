"""``face-perception neutral``: tells a running graph that the faces it sees are neutral now."""

from __future__ import annotations

import argparse
import sys

from face_perception.bringup.graph import check_namespace
from face_perception.commands import graph_options


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "neutral", help="set the neutral face of each face in a running graph, or forget it"
    )
    parser.add_argument("--namespace", default="", help="namespace of the nodes")
    parser.add_argument("--face", default="", metavar="ID", help="default: every face")
    parser.add_argument(
        "--forget", action="store_true", help="forget the neutral face and learn it again"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_namespace(args.namespace)
    graph_options.require_ros()
    from face_perception.nodes.affect.neutral_service import call_set_neutral

    done, said = call_set_neutral(args.namespace, args.face, forget=args.forget)
    print(said, file=sys.stdout if done else sys.stderr)
    return 0 if done else 1
