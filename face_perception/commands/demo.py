"""``face-perception demo``: camera to attention, shown as a table and as annotated frames."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from face_perception.commands import graph_options
from face_perception.inference import catalogue

# What the affect node runs where it has been imported.
_MULTITASK = "multitask"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("demo", help="run everything and show it")
    graph_options.add_arguments(parser)
    parser.add_argument(
        "--camera",
        default="sample",
        metavar="SOURCE",
        help="sample (photographs that move), /dev/video0, a video or a picture",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out"), help="folder of the annotated frames"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    graph_options.require_ros()
    from face_perception import graph
    from face_perception.nodes.demo import demo

    source = args.camera
    if source != "sample" and not re.fullmatch(r"\d+", source):
        if not os.path.exists(source):
            raise FileNotFoundError(2, "no such camera, video or picture", source)
        source = os.path.abspath(source)
    parameters: dict[str, dict[str, Any]] = {"camera": {"source": source}}
    imported = {name: card for name, card in catalogue().items() if card.origin}
    if _MULTITASK in imported:
        parameters["affect"] = {"model": _MULTITASK}
    nodes = [
        node
        for node in graph.NODES
        if node.perceives and (not node.needs or node.needs in imported)
    ]
    for name in (_MULTITASK, *(node.needs for node in nodes)):
        if name in imported:
            print(f"with {name}: {imported[name].origin}")
    options = graph_options.options(
        args, nodes=tuple(node.name for node in nodes), parameters=parameters
    )
    return demo(options, duration=args.duration, pictures=args.output)
