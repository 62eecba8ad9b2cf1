"""``face-perception demo``: runs the perception graph, and shows a table and annotated frames."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_perception.commands import graph_options
from face_perception.commands.subcommands import add_command

if TYPE_CHECKING:
    from face_perception.inference import Card

# The networks that the nodes use if they are imported.
_MULTITASK, _MIMAMO = "multitask", "mimamo"
_NONE = "none"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "demo",
        "Run the whole perception graph, show the results as a table, and save annotated frames.",
    )
    graph_options.add_arguments(parser)
    graph_options.add_composed(parser)
    parser.add_argument(
        "--camera",
        default="sample",
        metavar="SOURCE",
        help="sample (moving photographs), a camera such as /dev/video0, a video or a picture; "
        "default: sample",
    )
    parser.add_argument(
        "--affect",
        default="",
        metavar="MODEL",
        help="network of the affect node: expression, multitask or multitask_rnn; default: "
        "multitask if it is imported, else expression",
    )
    parser.add_argument(
        "--motion",
        default="",
        metavar="MODEL",
        help="network of the motion_affect node: mimamo or mimamo_released; none: do not start "
        "that node; default: mimamo if it is imported, else none",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("out"),
        metavar="FOLDER",
        help="folder for the annotated frames and nodes.log; default: %(default)s",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    graph_options.require_ros()
    from face_perception.bringup import graph
    from face_perception.bringup.demo import run_demo

    source = args.camera
    if source != "sample" and not re.fullmatch(r"\d+", source):
        if not os.path.exists(source):
            raise FileNotFoundError(2, "no such camera, video or picture", source)
        source = os.path.abspath(source)
    models = _models(args.affect, args.motion)
    for card in models.values():
        if card.origin:
            print(f"using {card.name}: {card.origin}")
    parameters: dict[str, dict[str, Any]] = {
        "camera": {"source": source},
        **{node: {"model": card.name} for node, card in models.items()},
    }
    nodes = [
        n.name
        for n in graph.NODES
        if n.perceives and n.installed and (not n.needs or n.name in models)
    ]
    options = graph_options.options(
        args, nodes=tuple(nodes), parameters=parameters, composed=args.composed
    )
    return run_demo(options, duration=args.duration, pictures=args.output)


def _models(affect: str, motion: str) -> dict[str, Card]:
    """Returns the chosen networks by node. An empty name stands for the imported network.

    Raises inference.ModelError, with the fix, if a network is missing.
    """
    from face_perception.affect import AFFECT_NETWORKS
    from face_perception.inference import catalogue, find_card
    from face_perception.motion import MIMAMO_NETWORKS

    imported = {name for name, card in catalogue().items() if card.origin}
    found = {}
    if affect or _MULTITASK in imported:
        found["affect"] = find_card(affect or _MULTITASK, AFFECT_NETWORKS)
    if motion != _NONE and (motion or _MIMAMO in imported):
        found["motion_affect"] = find_card(motion or _MIMAMO, MIMAMO_NETWORKS)
    return found
