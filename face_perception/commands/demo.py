"""``face-perception demo``: camera to attention, shown as a table and as annotated frames."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from face_perception.commands import graph_options
from face_perception.inference import Card, catalogue, find_card

# What the nodes run where it has been imported.
_MULTITASK, _MIMAMO = "multitask", "mimamo"
_NONE = "none"


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
        "--affect",
        default="",
        metavar="MODEL",
        help="of the affect node: expression, multitask, multitask_rnn (default: multitask where "
        "it has been imported)",
    )
    parser.add_argument(
        "--motion",
        default="",
        metavar="MODEL",
        help="of the motion_affect node: mimamo, mimamo_released, or none (default: mimamo where "
        "it has been imported)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out"), help="folder of the annotated frames"
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
            print(f"with {card.name}: {card.origin}")
    parameters: dict[str, dict[str, Any]] = {
        "camera": {"source": source},
        **{node: {"model": card.name} for node, card in models.items()},
    }
    nodes = [n.name for n in graph.NODES if n.perceives and (not n.needs or n.name in models)]
    options = graph_options.options(args, nodes=tuple(nodes), parameters=parameters)
    return run_demo(options, duration=args.duration, pictures=args.output)


def _models(affect: str, motion: str) -> dict[str, Card]:
    """The networks of the nodes that have a choice: those asked for, else what has been imported.

    Raises inference.ModelError for one that is not there, saying how it would be.
    """
    imported = {name for name, card in catalogue().items() if card.origin}
    found = {}
    if affect or _MULTITASK in imported:
        found["affect"] = find_card(affect or _MULTITASK)
    if motion != _NONE and (motion or _MIMAMO in imported):
        found["motion_affect"] = find_card(motion or _MIMAMO)
    return found
