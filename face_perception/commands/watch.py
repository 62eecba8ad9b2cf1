"""``face-perception watch``: the live table on a running graph."""

from __future__ import annotations

import argparse

from face_perception.bringup.graph import check_namespace
from face_perception.commands import graph_options


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("watch", help="show what a running graph finds, live")
    parser.add_argument("--namespace", default="", help="namespace of the nodes")
    parser.add_argument(
        "--duration", type=float, default=0.0, metavar="S", help="end after this long; 0: Ctrl-C"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_namespace(args.namespace)
    graph_options.require_ros()
    from face_perception.bringup.watch import watch_graph

    watch_graph(args.namespace, duration=args.duration)
    return 0
