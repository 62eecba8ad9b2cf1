"""``face-perception up``: starts the nodes as ``ros2 launch`` does, without ``launch``."""

from __future__ import annotations

import argparse

from face_perception.bringup import graph
from face_perception.commands import graph_options
from face_perception.commands.subcommands import add_command


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "up", "Start the nodes, and restart those that exit. Works without ros2 launch."
    )
    graph_options.add_arguments(parser)
    graph_options.add_composed(parser)
    parser.add_argument(
        "--image", default="image", help="image topic of the camera; default: %(default)s"
    )
    parser.add_argument(
        "--camera-info",
        default="",
        help="CameraInfo topic; default: camera_info in the namespace of the image topic",
    )
    parser.add_argument(
        "--camera",
        default="",
        metavar="SOURCE",
        help="also start the camera node with this source: sample, a camera such as /dev/video0, a "
        "video or a picture",
    )
    parser.add_argument(
        "--nodes",
        default=",".join(graph.GraphOptions().nodes),
        metavar="NAME,...",
        help="nodes to start; default: %(default)s",
    )
    parser.add_argument(
        "--barge-in",
        default="off",
        choices=graph.BARGE_IN,
        help="what a person does who talks over the robot: nothing, make its speech softer, or "
        "interrupt it; also starts talking_face and voice_activity, with echo cancellation; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--compressed", action="store_true", help="read IMAGE/compressed instead of IMAGE"
    )
    parser.add_argument(
        "--no-autostart", action="store_true", help="do not configure and activate the nodes"
    )
    parser.add_argument("--no-respawn", action="store_true", help="do not restart nodes that exit")
    parser.add_argument("--use-sim-time", action="store_true", help="take the time from /clock")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    graph_options.require_ros()
    from face_perception.bringup.supervisor import run_graph

    nodes = tuple(name for name in args.nodes.split(",") if name)
    parameters = graph.barge_in_parameters(args.barge_in)
    nodes = (*nodes, *(name for name in parameters if name not in nodes))
    if args.camera:
        nodes = ("camera", *(n for n in nodes if n != "camera"))
        parameters["camera"] = {"source": args.camera}
    options = graph_options.options(
        args,
        nodes=nodes,
        image=args.image,
        camera_info=args.camera_info,
        parameters=parameters,
        autostart=not args.no_autostart,
        use_sim_time=args.use_sim_time,
        compressed=args.compressed,
        composed=args.composed,
    )
    return run_graph(options, respawn=not args.no_respawn, duration=args.duration)
