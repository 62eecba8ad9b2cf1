"""``face-perception watch``: shows the results of a running graph as a live table."""

from __future__ import annotations

import argparse

from face_perception.bringup.ros_names import check_namespace
from face_perception.commands import graph_options
from face_perception.commands.subcommands import add_command


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "watch", "Show the results of a running graph as a live table."
    )
    graph_options.add_namespace(parser)
    graph_options.add_duration(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_namespace(args.namespace)
    graph_options.require_ros()
    from face_perception.bringup.watch import watch_graph

    watch_graph(args.namespace, duration=args.duration)
    return 0
