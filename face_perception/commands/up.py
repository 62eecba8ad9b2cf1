"""``face-perception up``: the graph in processes, as `ros2 launch` starts it, without launch."""

from __future__ import annotations

import argparse

from face_perception.bringup import graph
from face_perception.commands import graph_options


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "up", help="start the nodes and start again what ends (like ros2 launch, without it)"
    )
    graph_options.add_arguments(parser)
    parser.add_argument("--image", default="image", help="image topic of the camera")
    parser.add_argument("--camera-info", default="", help="default: camera_info beside the image")
    parser.add_argument(
        "--camera",
        default="",
        metavar="SOURCE",
        help="also play this: sample, /dev/video0, a video or a picture",
    )
    parser.add_argument(
        "--nodes",
        default=",".join(n.name for n in graph.NODES if n.by_default),
        help="comma-separated; default: %(default)s",
    )
    parser.add_argument("--compressed", action="store_true", help="read <image>/compressed")
    parser.add_argument("--no-autostart", action="store_true", help="leave the nodes unconfigured")
    parser.add_argument("--no-respawn", action="store_true", help="leave ended what ends")
    parser.add_argument("--use-sim-time", action="store_true", help="follow /clock")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    graph_options.require_ros()
    from face_perception.bringup.supervisor import run_graph

    nodes = tuple(name for name in args.nodes.split(",") if name)
    parameters = {}
    if args.camera:
        nodes = ("camera", *(n for n in nodes if n != "camera"))
        parameters = {"camera": {"source": args.camera}}
    options = graph_options.options(
        args,
        nodes=nodes,
        image=args.image,
        camera_info=args.camera_info,
        parameters=parameters,
        autostart=not args.no_autostart,
        use_sim_time=args.use_sim_time,
        compressed=args.compressed,
    )
    return run_graph(options, respawn=not args.no_respawn, duration=args.duration)
